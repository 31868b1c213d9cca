"""PyMC's own NUTS, with functions compiled by Numba: chains in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from hdsl.backend import Progress, Settings
from hdsl_pymc.runtime import starts
from hdsl_pymc.sample import Run

_STATISTICS = ("diverging", "tree_depth", "n_steps", "acceptance_rate", "step_size", "energy", "lp")
_NOTHING = "Not enough samples"  # what PyMC says when it is interrupted before the first draw is kept
_WHOLE = ("tree_depth", "n_steps")


def run(
    study: Any,
    names: Sequence[str],
    settings: Settings,
    cores: int,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Draw from the posterior of a `pm.Model`."""
    import pymc as pm

    began = time.perf_counter()
    reporter = _Reporter(settings, progress)
    try:
        trace = pm.sample(
            settings.draws,
            tune=settings.warmup,
            chains=settings.chains,
            cores=cores,
            random_seed=[int(each) for each in np.random.SeedSequence(settings.seed).generate_state(settings.chains)],
            nuts_sampler="pymc",
            nuts={"target_accept": settings.target_accept, "max_treedepth": settings.max_tree_depth},
            initvals=starts(study),
            init=str(settings.options.get("init", "jitter+adapt_diag")),
            compile_kwargs={"mode": "NUMBA"},
            callback=None if progress is None else reporter,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
            var_names=list(names),
            model=study,
        )
    except ValueError as error:
        if _NOTHING in str(error):
            raise reporter.raised or KeyboardInterrupt from error
        raise
    _refuse_part(trace, settings, reporter.raised)
    took = time.perf_counter() - began
    return Run(
        values={name: np.asarray(trace.posterior[name].values) for name in names if name in trace.posterior},
        statistics=_statistics(trace.sample_stats),
        engine=f"PyMC {version('pymc')} NUTS (PyTensor {version('pytensor')}, Numba)",
        seconds={"sampling": took},
    )


def _refuse_part(trace: Any, settings: Settings, raised: BaseException | None) -> None:
    """Let an interrupt through: PyMC stops at it, and returns what it has by then."""
    sizes = trace.posterior.sizes
    if raised is not None:
        raise raised
    if sizes["draw"] < settings.draws or sizes["chain"] < settings.chains:
        raise KeyboardInterrupt


class _Reporter:
    """Passes on how far each chain is, about four times a second."""

    def __init__(self, settings: Settings, progress: Callable[[Progress], None] | None) -> None:
        self.settings = settings
        self.progress = progress
        self.divergences: dict[int, int] = {}
        self.last: dict[int, float] = {}
        self.began: dict[int, float] = {}
        self.raised: BaseException | None = None

    def __call__(self, trace: Any, draw: Any) -> None:
        now, total = time.perf_counter(), self.settings.warmup + self.settings.draws
        done = draw.draw_idx + 1
        self.began.setdefault(draw.chain, now)
        if not draw.tuning:
            self.divergences[draw.chain] = self.divergences.get(draw.chain, 0) + _diverged(draw.stats)
        if self.progress is None or (now - self.last.get(draw.chain, 0.0) < 0.25 and done < total):
            return
        self.last[draw.chain] = now
        left = (now - self.began[draw.chain]) / done * (total - done)
        state = Progress(draw.chain, done, total, draw.tuning, self.divergences.get(draw.chain, 0), left)
        try:
            self.progress(state)
        except BaseException as error:
            self.raised = error
            raise KeyboardInterrupt from error


def _diverged(statistics: Sequence[Mapping[str, Any]]) -> int:
    return int(any(each.get("diverging", False) for each in statistics))


def _statistics(found: Any) -> dict[str, Any]:
    kinds = {"diverging": np.bool_, **dict.fromkeys(_WHOLE, np.int64)}
    return {
        name: np.asarray(found[name].values, dtype=kinds.get(name, np.float64)) for name in _STATISTICS if name in found
    }
