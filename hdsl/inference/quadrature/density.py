"""The log density of the hyperparameters, the varying effects integrated out group by group.

Of each group the mode of its effects and the curvature there are found by Newton's method, and the integral is
taken at Gauss-Hermite nodes around the mode (Pinheiro & Bates 1995, JCGS 4).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from hdsl.inference.exact import small
from hdsl.inference.exact.density import processors
from hdsl.inference.exact.hyper import hyper_at
from hdsl.inference.quadrature.groups import Grouped, Here, Points, Table, at_points, here_of
from hdsl.inference.quadrature.nodes import nodes
from hdsl.reference.values import Array

NUMBERS_AT_ONCE = 16_384
POINTS_AT_ONCE = 64
MOST_STEPS = 30
SHORT_STEP = 0.03
LONG_STEP = 3.0
FAR = 4.0


@dataclass(frozen=True)
class Warm:
    """Where the modes of the kinds of groups are: `modes` (kinds, q) at `centre` (d,), and `slopes` (d, kinds, q)."""

    centre: Array
    modes: Array
    slopes: Array

    def at(self, points: Array, groups: slice) -> Array:
        """Return roughly the modes at points (b, d), shape (b, groups, q)."""
        moved = np.tensordot(points - self.centre, self.slopes[:, groups], axes=1)
        return self.modes[groups] + np.clip(moved, -FAR, FAR)


@dataclass(frozen=True)
class Modes:
    """Modes (b, groups, q) of the effects' densities, and the inverses of the Cholesky factors of the curvatures."""

    u: Array
    inverse: small.Rows


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
                here = here_of(model, model.kinds, groups, said.of(piece))
                start = None if warm is None else warm.at(points[piece], groups)
                total[piece] += log_integrals(here, model.size, count, start) @ model.times[groups]
    return np.where(np.isfinite(total), total, -np.inf)


def piece_of(table: Table, groups: slice) -> int:
    """Return at how many points at once some groups are looked at."""
    return max(1, NUMBERS_AT_ONCE // max(int(table.counts[groups].sum()), 1))


def log_integrals(here: Here, size: int, count: int, start: Array | None) -> Array:
    """Return the log marginal likelihoods of groups, (b, groups)."""
    if size == 0:
        return here.log_likelihood(np.zeros((len(here.fixed), len(here.starts), 0)))
    found = modes_of(here, size, start)
    rule = nodes(count, size)
    heights = np.empty((len(rule.log_weights), *found.u.shape[:2]))
    for place, (x, log_weight) in enumerate(zip(rule.points, rule.log_weights, strict=True)):
        u = found.u + spread(found.inverse, x)
        heights[place] = here.log_likelihood(u) - 0.5 * np.sum(u**2, axis=2) + log_weight
    top = np.max(heights, axis=0)
    found_sum = top + np.log(np.sum(np.exp(heights - top), axis=0))
    return found_sum + sum(np.log(found.inverse[place][place]) for place in range(size))


def spread(inverse: small.Rows, x: Array) -> Array:
    """Return L^-T x for the inverses of lower factors L and x (..., q): shape (b, groups, q)."""
    size = len(inverse)
    parts = [sum(inverse[i][j] * x[..., i] for i in range(j, size)) for j in range(size)]
    return np.stack([np.asarray(part) for part in parts], axis=-1)


def modes_of(here: Here, size: int, start: Array | None = None) -> Modes:
    """Return the modes of groups' effects by Newton's method; steps are at most `LONG_STEP` curvature sds long."""
    u = np.zeros((len(here.fixed), len(here.starts), size)) if start is None else start
    inverse: small.Rows = []
    for _ in range(MOST_STEPS):
        slope, information = here.slopes(u)
        sums = [np.add.reduceat(slope * here.load[:, j], here.starts, axis=1) - u[:, :, j] for j in range(size)]
        rows: small.Rows = []
        for i in range(size):
            weighted = information * here.load[:, i]
            rows.append([np.add.reduceat(weighted * here.load[:, j], here.starts, axis=1) for j in range(i + 1)])
            rows[i][i] = rows[i][i] + 1.0
        inverse = small.inverse_factor(small.cholesky(rows)[0])
        half = np.stack([np.asarray(sum(inverse[i][k] * sums[k] for k in range(i + 1))) for i in range(size)], axis=-1)
        length = np.sqrt(np.sum(half**2, axis=-1))
        half *= np.minimum(1.0, LONG_STEP / np.maximum(length, 1e-300))[..., None]
        u = u + spread(inverse, half)
        if not np.any(length > SHORT_STEP):
            break
    return Modes(u, inverse)


def warm_start(model: Grouped, centre: Array, steps: Array) -> Warm:
    """Return the modes at a point (d,) and their slopes, by differences over `steps` (d,)."""
    size = len(centre)
    points = np.concatenate([centre[None], centre + np.diag(steps), centre - np.diag(steps)])
    said = at_points(model, hyper_at(model.predicted.linear, points))
    found = np.zeros((len(points), model.kinds.groups, model.size))
    with np.errstate(all="ignore"):
        for groups in model.kinds.blocks() if model.size else ():
            found[:, groups] = all_modes(model, groups, said)
    found = np.nan_to_num(found)
    slopes = (found[1 : size + 1] - found[size + 1 :]) / (2 * steps[:, None, None])
    return Warm(centre, found[0], slopes)


def all_modes(model: Grouped, groups: slice, said: Points) -> Array:
    """Return the modes of some kinds of groups at all points, (b, groups, q)."""
    step = piece_of(model.kinds, groups)
    parts: list[Array] = []
    for at in range(0, len(said.coefficients), step):
        here = here_of(model, model.kinds, groups, said.of(slice(at, at + step)))
        parts.append(modes_of(here, model.size).u)
    return np.concatenate(parts)
