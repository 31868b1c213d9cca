"""Draws from the posterior of a program: one NUTS chain a thread, as many at a time as there are processors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Array, Draws, Program, Progress, SamplingFailed, Settings
from hdsl.diagnostics import Diagnostic, short_of_memory
from hdsl.model.ir import Model, ModelData
from hdsl_numpyro.bart import build_with_trees, surface_of
from hdsl_numpyro.kernel import BLOCK, Arrays, Kernel, build
from hdsl_numpyro.runtime import device_data, model_function, prepare

RADII = (1.0,) * 10 + (0.1,) * 10 + (0.01, 0.0)
BLOCK_SECONDS = 0.25
OPTIONS = frozenset({"dense_mass"})


@dataclass
class _Chain:
    """What one chain has drawn."""

    positions: Array
    statistics: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    warmup_seconds: float = 0.0
    sampling_seconds: float = 0.0


def sample(
    program: Program,
    model: Model,
    data: ModelData,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Draws:
    """Draw from the posterior of the program.

    Compiled once; each chain runs in its own thread, in blocks of draws of about a quarter of a second, after
    each of which `progress` is called (in the calling thread) and an interrupt is obeyed. The draws depend on
    the seed and the chain's number alone.

    Raises
    ------
    SamplingFailed
        HDM711 where no finite starting point is found, HDM712 where the sampler breaks down, HDM713 for
        settings that cannot be used.
    """
    _check(settings)
    with _failures():
        prepare()
        arrays = device_data(data)
        began = time.perf_counter()
        surface = surface_of(model)
        if surface is None:
            kernel = build(model_function(program), arrays, settings)
        else:
            kernel = build_with_trees(model_function(program), surface, arrays, data, settings)
        states = [_start(kernel, arrays, settings, chain) for chain in range(settings.chains)]
        compiled = time.perf_counter() - began
        began = time.perf_counter()
        chains = _run(kernel, arrays, states, settings, progress)
        ran = time.perf_counter() - began
        values = _constrained(kernel, arrays, chains)
    values = {name: values[source] for name, source in program.parameters.items()}
    return Draws(
        values=values,
        statistics={name: np.stack([c.statistics[name] for c in chains]) for name in chains[0].statistics},
        engine=_engine(surface is not None),
        seconds={"compile": compiled, **_seconds(chains, ran)},
        max_tree_depth=settings.max_tree_depth,
    )


def _engine(trees: bool) -> str:
    from importlib.metadata import version

    name = f"NumPyro {version('numpyro')} NUTS (JAX {version('jax')})"
    return f"{name}, trees by bartz {version('bartz')}" if trees else name


def _seconds(chains: list[_Chain], ran: float) -> dict[str, float]:
    warmup = sum(chain.warmup_seconds for chain in chains)
    total = warmup + sum(chain.sampling_seconds for chain in chains)
    share = warmup / total if total else 0.0
    return {"warmup": ran * share, "sampling": ran * (1 - share)}


def _check(settings: Settings) -> None:
    problems = [
        (settings.chains < 1, "There must be at least one chain."),
        (settings.draws < 1, "There must be at least one draw."),
        (settings.warmup < 0, "The number of warm-up draws cannot be negative."),
        (settings.seed < 0, "The seed cannot be negative."),
        (not 0 < settings.target_accept < 1, "The target acceptance rate must lie between 0 and 1."),
        (not 1 <= settings.max_tree_depth <= 20, "The maximum tree depth must lie between 1 and 20."),
    ]
    unknown = sorted(set(settings.options) - OPTIONS)
    problems += [(True, f"NumPyro has no option `{n}`; its options: {', '.join(sorted(OPTIONS))}.") for n in unknown]
    found = [Diagnostic("HDM713", text, help="Change the sampling settings.") for wrong, text in problems if wrong]
    if settings.engine not in (None, "nuts"):
        text = f"There is no NumPyro engine called {settings.engine!r}."
        found.append(Diagnostic("HDM714", text, help="Engines: nuts."))
    if found:
        raise SamplingFailed(found)


@contextmanager
def _failures() -> Generator[None]:
    """Turn whatever breaks in JAX into a diagnostic."""
    try:
        yield
    except SamplingFailed:
        raise
    except Exception as error:
        if short_of_memory(error):
            raise SamplingFailed([_out_of_memory()]) from error
        lines = str(error).strip().splitlines() or [""]
        text = f"NumPyro stopped: {type(error).__name__}: {lines[0][:300]}"
        advice = "Try another backend with --backend; if the study is small, please report it with the study file."
        raise SamplingFailed([Diagnostic("HDM712", text, help=advice)]) from error


def _out_of_memory() -> Diagnostic:
    return Diagnostic(
        "HDM712",
        "The sampler ran out of memory.",
        help="Ask for fewer draws or chains, or run where there is more memory.",
    )


def _seeds(settings: Settings, chain: int, *more: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([settings.seed, chain, *more])


def _start(kernel: Kernel, arrays: Arrays, settings: Settings, chain: int) -> Any:
    """Return the state at the first of several random points where density and gradient are finite."""
    import jax

    key = jax.random.key(int(_seeds(settings, chain).generate_state(1)[0]))
    for attempt, radius in enumerate(RADII):
        rng = np.random.default_rng(_seeds(settings, chain, attempt))
        state = kernel.start(key, rng.uniform(-radius, radius, kernel.size), arrays)
        if np.isfinite(state[1].potential_energy) and np.all(np.isfinite(state[1].z_grad)):
            return state
    raise SamplingFailed(
        [
            Diagnostic(
                "HDM711",
                f"No starting point with a finite density was found in {len(RADII)} tries.",
                help="Look for outcomes that the family cannot produce, covariates of very different sizes, "
                "and priors that exclude the data.",
            )
        ]
    )


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _run(
    kernel: Kernel,
    arrays: Arrays,
    states: list[Any],
    settings: Settings,
    progress: Callable[[Progress], None] | None,
) -> list[_Chain]:
    stop, news = threading.Event(), SimpleQueue[Progress]()

    def run(chain: int) -> _Chain:
        return _one_chain(kernel, arrays, states[chain], settings, chain, stop, news)

    with ThreadPoolExecutor(min(settings.chains, _processors())) as pool:
        futures = [pool.submit(run, chain) for chain in range(settings.chains)]
        try:
            _watch(futures, news, progress)
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def _watch(
    futures: list[Future[_Chain]], news: SimpleQueue[Progress], progress: Callable[[Progress], None] | None
) -> None:
    while not (all(future.done() for future in futures) and news.empty()):
        for future in futures:
            if future.done():
                future.result()
        try:
            latest = news.get(timeout=0.1)
        except Empty:
            continue
        if progress is not None:
            progress(latest)


def _one_chain(
    kernel: Kernel,
    arrays: Arrays,
    state: Any,
    settings: Settings,
    chain: int,
    stop: threading.Event,
    news: SimpleQueue[Progress],
) -> _Chain:
    total = settings.warmup + settings.draws
    found = _Chain(np.empty((settings.draws, kernel.size)))
    done, divergences, pace = 0, 0, 0.0
    while done < total and not stop.is_set():
        warming = done < settings.warmup
        left = (settings.warmup if warming else total) - done
        count = min(left, BLOCK, max(1, int(BLOCK_SECONDS / pace)) if pace else 10)
        began = time.perf_counter()
        state, positions, statistics = kernel.advance(state, arrays, np.int64(count))
        new = {name: np.asarray(each)[:count] for name, each in statistics.items()}
        seconds = time.perf_counter() - began
        pace = seconds / count
        if warming:
            found.warmup_seconds += seconds
        else:
            found.sampling_seconds += seconds
            divergences += int(np.sum(new["diverging"]))
            _keep(found, np.asarray(positions)[:count], new, done - settings.warmup)
        done += count
        news.put(Progress(chain, done, total, done < settings.warmup, divergences, pace * (total - done)))
    return found


def _keep(found: _Chain, positions: Array, new: Mapping[str, NDArray[np.generic]], at: int) -> None:
    draws = len(found.positions)
    found.positions[at : at + len(positions)] = positions
    for name, values in new.items():
        if name not in found.statistics:
            found.statistics[name] = np.empty(draws, values.dtype)
        found.statistics[name][at : at + len(values)] = values


def _constrained(kernel: Kernel, arrays: Arrays, chains: list[_Chain]) -> dict[str, Array]:
    positions = np.stack([chain.positions for chain in chains])
    return {name: np.asarray(each, dtype=np.float64) for name, each in kernel.constrain(positions, arrays).items()}
