"""Draws from the posterior of a program, with nutpie or with PyMC's own NUTS."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Array, Draws, Program, Progress, SamplingFailed, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData
from hdsl.model.walk import distributions_used
from hdsl_pymc.child import run
from hdsl_pymc.failures import BAD_SETTING, INCOMPLETE, NO_ENGINE, failed, no_start

ENGINES = ("nutpie", "pymc")
_MOST = 2**31 - 1
_CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "nutpie": {"compiler": ("numba", "jax"), "adaptation": ("diag", "draw_diag", "low_rank")},
    "pymc": {"init": ("jitter+adapt_diag", "adapt_diag", "jitter+adapt_full")},
}


class Run(NamedTuple):
    """What an engine returns: draws and statistics by the names of the program, its version, wall times."""

    values: Mapping[str, NDArray[np.generic]]
    statistics: Mapping[str, NDArray[np.generic]]
    engine: str
    seconds: Mapping[str, float]


def sample(
    program: Program,
    model: Model,
    data: ModelData,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Draws:
    """Draw from the posterior of the program, in a process of its own.

    `progress` is called in the calling thread.

    Raises
    ------
    SamplingFailed
        HDM711 where no finite starting point is found, HDM712 where the sampler breaks down, HDM713 for
        settings that cannot be used, HDM714 for an engine that is not there, HDM715 for draws that are not
        whole.
    """
    engine = _with_trees(settings) if "bart" in distributions_used(model) else engine_of(settings)
    _check(settings, engine)
    _check_data(data)
    result = run(program.source, data, list(program.parameters.values()), settings, engine, cores(settings), progress)
    return Draws(
        values=_complete_values(program, model, settings, result),
        statistics={name: _complete(name, each, settings, ()) for name, each in result.statistics.items()},
        engine=result.engine,
        seconds=result.seconds,
        max_tree_depth=settings.max_tree_depth,
    )


def _with_trees(settings: Settings) -> str:
    """Return the engine that draws trees. Raises SamplingFailed (HDM714) where another is asked for."""
    if settings.engine not in (None, "pymc"):
        raise failed(NO_ENGINE, f"The engine {settings.engine!r} draws no trees.", "Leave the engine out.")
    return "pymc"


def engine_of(settings: Settings) -> str:
    """Return the engine that runs. Raises SamplingFailed (HDM714) for one that is not there."""
    if settings.engine is None:
        return "nutpie" if find_spec("nutpie") else "pymc"
    if settings.engine not in ENGINES:
        raise failed(
            NO_ENGINE, f"There is no PyMC engine called {settings.engine!r}.", f"Engines: {', '.join(ENGINES)}."
        )
    if find_spec(settings.engine) is None:
        raise failed(NO_ENGINE, f"The engine {settings.engine!r} is not installed.", "pip install nutpie")
    return settings.engine


def _check(settings: Settings, engine: str) -> None:
    problems = [
        (settings.chains < 1, "There must be at least one chain."),
        (settings.draws < 1, "There must be at least one draw."),
        (settings.warmup < 0, "The number of warm-up draws cannot be negative."),
        (settings.warmup == 0 and engine == "nutpie", "nutpie needs at least one warm-up draw."),
        (not 0 <= settings.seed <= _MOST, "The seed must be a whole number that is not negative."),
        (not 0 < settings.target_accept < 1, "The target acceptance rate must lie between 0 and 1."),
        (not 1 <= settings.max_tree_depth <= 20, "The maximum tree depth must lie between 1 and 20."),
        *((True, _bad_option(name, value, engine)) for name, value in settings.options.items()),
    ]
    texts = [text for wrong, text in problems if wrong and text]
    if texts:
        raise SamplingFailed([Diagnostic(BAD_SETTING, text, help="Change the sampling settings.") for text in texts])


def _bad_option(name: str, value: object, engine: str) -> str:
    """Return what is wrong with an option, "" if nothing."""
    choices = _CHOICES[engine]
    if name == "cores":
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return "" if whole else "`cores` must be a whole number of at least 1."
    if name not in choices:
        return f"{engine} has no option `{name}`; its options: {', '.join(('cores', *choices))}."
    return "" if value in choices[name] else f"`{name}` must be one of {', '.join(choices[name])}."


def _check_data(data: ModelData) -> None:
    for name, values in data.values.items():
        if np.any(np.isnan(values)):
            raise no_start(f"The data {name!r} have values that are not numbers, so no density is finite.")


def cores(settings: Settings) -> int:
    """Return how many chains run at a time."""
    wanted = settings.options.get("cores")
    if isinstance(wanted, int):
        return min(wanted, settings.chains)
    try:
        available = len(os.sched_getaffinity(0))
    except AttributeError:
        available = os.cpu_count() or 1
    return min(available, settings.chains)


def _complete_values(program: Program, model: Model, settings: Settings, result: Run) -> dict[str, Array]:
    sizes = model.sizes
    found: dict[str, Array] = {}
    for variable in model.variables:
        source = program.parameters[variable.name]
        shape = tuple(sizes[dim] for dim in variable.dims)
        array = _complete(variable.name, result.values.get(source), settings, shape)
        found[variable.name] = np.asarray(array, dtype=np.float64)
        if not np.all(np.isfinite(found[variable.name])):
            raise failed(
                INCOMPLETE,
                f"In the draws, `{variable.name}` is not always a finite number.",
                "Check the priors: a scale may be driven to 0 or to infinity.",
            )
    return found


def _complete(
    name: str, found: NDArray[np.generic] | None, settings: Settings, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    """Return an array that is there and of the right shape. Raises SamplingFailed (HDM715)."""
    full = (settings.chains, settings.draws, *shape)
    if found is None or found.shape != full:
        what = "is missing" if found is None else f"has shape {found.shape}, not {full}"
        raise failed(INCOMPLETE, f"In the draws, `{name}` {what}.", "Try another engine or backend.")
    return found
