"""The nutpie engine: NUTS in threads, the density compiled by Numba (no C compiler) or JAX."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from hdsl.backend import Progress, Settings
from hdsl_pymc.runtime import frozen, starts
from hdsl_pymc.sample import Run

_STATISTICS: Mapping[str, str] = {
    "diverging": "diverging",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "mean_tree_accept": "acceptance_rate",
    "step_size": "step_size",
    "energy": "energy",
    "logp": "lp",
}
_WHOLE = ("tree_depth", "n_steps")
_WAIT = 0.1


def run(
    study: Any,
    names: Sequence[str],
    settings: Settings,
    cores: int,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Draw from the posterior of a `pm.Model`."""
    import nutpie

    began = time.perf_counter()
    study = frozen(study)
    options: Mapping[str, Any] = settings.options
    compiler: Any = options.get("compiler", "numba")
    how: dict[str, Any] = {"gradient_backend": "jax"} if compiler == "jax" else {}
    compiled = nutpie.compile_pymc_model(
        study, backend=compiler, initial_points=starts(study), var_names=list(names), **how
    )
    ready = time.perf_counter()
    news: SimpleQueue[list[Progress]] = SimpleQueue()
    sampler: Any = nutpie.sample(
        compiled,
        draws=settings.draws,
        tune=settings.warmup,
        chains=settings.chains,
        cores=cores,
        seed=settings.seed,
        target_accept=settings.target_accept,
        maxdepth=settings.max_tree_depth,
        adaptation=options.get("adaptation", "diag"),
        save_warmup=False,
        progress_bar=False,
        blocking=False,
        progress_callback=None if progress is None else lambda chains: news.put(_states(chains)),
        progress_rate=250,
    )
    trace = _wait(sampler, news, progress)
    return Run(
        values={name: np.asarray(trace.posterior[name].values) for name in names if name in trace.posterior},
        statistics={ours: _typed(ours, trace.sample_stats[theirs].values) for theirs, ours in _STATISTICS.items()},
        engine=f"nutpie {version('nutpie')} ({compiler}, PyMC {version('pymc')})",
        seconds={"compile": ready - began, "sampling": time.perf_counter() - ready},
    )


def _states(chains: Sequence[Any]) -> list[Progress]:
    return [
        Progress(number, chain.finished_draws, chain.total_draws, chain.tuning, chain.divergences, _left(chain))
        for number, chain in enumerate(chains)
        if chain.started
    ]


def _left(chain: Any) -> float | None:
    if not chain.finished_draws:
        return None
    return chain.runtime_ms / 1000 / chain.finished_draws * (chain.total_draws - chain.finished_draws)


def _wait(sampler: Any, news: SimpleQueue[list[Progress]], progress: Callable[[Progress], None] | None) -> Any:
    """Wait for the sampler's threads and report what they do; an interrupt ends them."""
    try:
        while True:
            try:
                trace = sampler.wait(timeout=_WAIT)
                break
            except TimeoutError:
                _report(news, progress)
        _report(news, progress)
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # nutpie's threads are lost, and so is its lock
            raise RuntimeError(f"nutpie broke down: {error}") from error
        with suppress(Exception):  # a chain that failed meanwhile would hide why this one ends
            sampler.cancel()
        raise
    return trace


def _report(news: SimpleQueue[list[Progress]], progress: Callable[[Progress], None] | None) -> None:
    while progress is not None:
        try:
            states = news.get_nowait()
        except Empty:
            return
        for state in states:
            progress(state)


def _typed(name: str, values: Any) -> Any:
    if name == "diverging":
        return np.asarray(values, dtype=bool)
    return np.asarray(values, dtype=np.int64 if name in _WHOLE else np.float64)
