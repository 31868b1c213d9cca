"""The log density of the hyperparameters, the varying effects integrated out group by group."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hdsl.inference.exact.density import processors
from hdsl.inference.exact.hyper import hyper_at
from hdsl.inference.quadrature.groups import Codes, Grouped, Points, Table, at_points, here_of
from hdsl.inference.quadrature.integrals import log_integrals, modes_of
from hdsl.inference.quadrature.nested import joint_modes, log_integrals_nested
from hdsl.reference.values import Array

NUMBERS_AT_ONCE = 16_384
POINTS_AT_ONCE = 64
FAR = 4.0


@dataclass(frozen=True)
class Warm:
    """Where the modes of the kinds of groups are: `modes` (kinds, q) at `centre` (d,), and `slopes` (d, kinds, q).

    `above` (coarser units,) and `above_slopes` (d, coarser units) are those of the coarser units' effects.
    """

    centre: Array
    modes: Array
    slopes: Array
    above: Array
    above_slopes: Array

    def at(self, points: Array, groups: slice | Codes) -> Array:
        """Return roughly the modes at points (b, d), shape (b, groups, q)."""
        moved = np.tensordot(points - self.centre, self.slopes[:, groups], axes=1)
        return self.modes[groups] + np.clip(moved, -FAR, FAR)

    def above_at(self, points: Array, units: slice) -> Array:
        """Return roughly the modes of coarser units, shape (b, units)."""
        moved = (points - self.centre) @ self.above_slopes[:, units]
        return self.above[units] + np.clip(moved, -FAR, FAR)


def log_density(model: Grouped, points: Array, count: int, warm: Warm | None = None) -> Array:
    """Return the log density at unconstrained hyperparameters (b, d) with `count` nodes a dimension; -inf for none."""
    return in_threads(lambda piece: _log_density(model, piece, count, warm), points)


def in_threads(function: Callable[[Array], Array], points: Array) -> Array:
    """Return a function's values at points, pieces of them at once on each processor."""
    step = max(1, min(POINTS_AT_ONCE, -(-len(points) // processors())))
    pieces = [points[at : at + step] for at in range(0, len(points), step)]
    if len(pieces) == 1:
        return function(points)
    with ThreadPoolExecutor(processors()) as pool:
        return np.concatenate(list(pool.map(function, pieces)))


def _log_density(model: Grouped, points: Array, count: int, warm: Warm | None) -> Array:
    hyper = hyper_at(model.predicted.linear, points)
    with np.errstate(all="ignore"):
        said = at_points(model, hyper)
        total = hyper.log_prior + model.kernel.constant(model.predicted.outcome, said.extra)
        for groups in model.kinds.blocks():
            step = piece_of(model.kinds, groups)
            for at in range(0, len(points), step):
                piece = slice(at, at + step)
                total[piece] += _block(model, groups, said.of(piece), points[piece], count, warm)
    return np.where(np.isfinite(total), total, -np.inf)


def _block(model: Grouped, groups: slice, said: Points, points: Array, count: int, warm: Warm | None) -> Array:
    """Return the sum of the log integrals of a run of groups, (b,)."""
    here, times = here_of(model, model.kinds, groups, said), model.times[groups]
    u = None if warm is None else warm.at(points, groups)
    if not model.nested:
        return log_integrals(here, model.size, count, u) @ times
    v = None if warm is None else warm.above_at(points, parents_of(model.kinds, groups))
    modes = joint_modes(here, times, model.size, u, v)
    return np.sum(log_integrals_nested(here, times, model.size, count, modes), axis=1)


def parents_of(table: Table, groups: slice) -> slice:
    """Return the coarser units of a run of groups."""
    return slice(int(table.parent[groups.start]), int(table.parent[groups.stop - 1]) + 1)


def piece_of(table: Table, groups: slice) -> int:
    """Return at how many points at once some groups are looked at."""
    return max(1, NUMBERS_AT_ONCE // max(int(table.counts[groups].sum()), 1))


def warm_start(model: Grouped, centre: Array, steps: Array) -> Warm:
    """Return the modes at a point (d,) and their slopes, by differences over `steps` (d,)."""
    size = len(centre)
    points = np.concatenate([centre[None], centre + np.diag(steps), centre - np.diag(steps)])
    said = at_points(model, hyper_at(model.predicted.linear, points))
    found = np.zeros((len(points), model.kinds.groups, model.size))
    above = np.zeros((len(points), len(model.above) if model.nested else 0))
    with np.errstate(all="ignore"):
        for groups in model.kinds.blocks() if model.size else ():
            found[:, groups], own = _all_modes(model, groups, said)
            if model.nested:
                above[:, parents_of(model.kinds, groups)] = own
    found, above = np.nan_to_num(found), np.nan_to_num(above)
    slopes, above_slopes = (
        (each[1 : size + 1] - each[size + 1 :]) / (2 * steps.reshape(-1, *[1] * (each.ndim - 1)))
        for each in (found, above)
    )
    return Warm(centre, found[0], slopes, above[0], above_slopes)


def _all_modes(model: Grouped, groups: slice, said: Points) -> tuple[Array, Array]:
    """Return the modes of some kinds of groups at all points, (b, groups, q), and of their coarser units."""
    step = piece_of(model.kinds, groups)
    parts: list[Array] = []
    above: list[Array] = []
    for at in range(0, len(said.coefficients), step):
        here = here_of(model, model.kinds, groups, said.of(slice(at, at + step)))
        if model.nested:
            modes = joint_modes(here, model.times[groups], model.size)
            parts.append(modes.u)
            above.append(modes.v)
        else:
            parts.append(modes_of(here, model.size).u)
    return np.concatenate(parts), np.concatenate(above) if above else np.zeros((0, 0))
