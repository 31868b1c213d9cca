"""What every engine's draws have in common: names of statistics, completeness, progress lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Array, Progress
from hdsl_stan.failures import INCOMPLETE, failed

STATISTICS: Mapping[str, str] = {
    "lp__": "lp",
    "accept_stat__": "acceptance_rate",
    "stepsize__": "step_size",
    "treedepth__": "tree_depth",
    "n_leapfrog__": "n_steps",
    "divergent__": "diverging",
    "energy__": "energy",
}
_WHOLE = ("tree_depth", "n_steps")
_ITERATION = re.compile(r"Chain \[(\d+)\] Iteration:\s*(\d+) / (\d+) \[.*\]\s+\((\w+)\)")

Shapes = Mapping[str, tuple[int, ...]]
Found = Mapping[str, NDArray[np.generic] | None]


def report(line: str, progress: Callable[[Progress], None] | None) -> None:
    """Pass on what a line of Stan's console output says of a chain."""
    found = _ITERATION.match(line)
    if found and progress is not None:
        chain, done, total, phase = found.groups()
        progress(Progress(int(chain) - 1, int(done), int(total), phase == "Warmup", 0))


def complete_values(engine: str, found: Found, shapes: Shapes, lead: tuple[int, int]) -> dict[str, Array]:
    """Return the draws of all parameters. Raises SamplingFailed (HDM715) where any is not whole."""
    return {name: complete(engine, name, found.get(name), (*lead, *shape)) for name, shape in shapes.items()}


def complete_statistics(engine: str, found: Found, lead: tuple[int, int]) -> dict[str, NDArray[np.generic]]:
    """Return the sampler's statistics under ArviZ's names. Raises SamplingFailed (HDM715)."""
    return {
        ours: _typed(ours, complete(engine, theirs, found.get(theirs), lead)) for theirs, ours in STATISTICS.items()
    }


def complete(engine: str, name: str, found: NDArray[np.generic] | None, shape: tuple[int, ...]) -> Array:
    """Return an array that is there, of the shape and finite. Raises SamplingFailed (HDM715)."""
    if found is None or found.shape != shape:
        what = "is missing" if found is None else f"has shape {found.shape}, not {shape}"
        raise failed(INCOMPLETE, f"In the draws of {engine}, `{name}` {what}.", "Try another backend or engine.")
    array = np.asarray(found, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise failed(
            INCOMPLETE,
            f"In the draws of {engine}, `{name}` is not always a finite number.",
            "Check the priors: a scale may be driven to 0 or to infinity.",
        )
    return array


def _typed(name: str, values: Array) -> NDArray[np.generic]:
    if name == "diverging":
        return values > 0
    return values.astype(np.int64) if name in _WHOLE else values
