"""The log density of the hyperparameters, with all effects integrated out.

Every effect is its law's mean plus a factor times standard normal draws: what is integrated out has the prior
precision 1, whatever the spreads, so that spreads near zero do no harm.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hdsl.inference.exact.chain import reduce_chain
from hdsl.inference.exact.hyper import Hyper, hyper_at
from hdsl.inference.exact.marginal import Marginal
from hdsl.inference.exact.together import solve_diagonal, solve_together
from hdsl.passes.suffice import Coarser
from hdsl.reference.values import Array

AT_ONCE = 400_000


def log_density(marginal: Marginal, points: Array) -> Array:
    """Return the log density at unconstrained hyperparameters, shape (b, d); -inf where it is no number."""
    return in_pieces(lambda piece: _log_density(marginal, piece), points, per_point(marginal))


def in_pieces(function: Callable[[Array], Array], points: Array, cost: int) -> Array:
    """Return a function's values at points, some at a time, as many at once as there are processors."""
    step = max(1, AT_ONCE // max(cost, 1))
    pieces = [points[at : at + step] for at in range(0, len(points), step)]
    if len(pieces) == 1:
        return function(points)
    with ThreadPoolExecutor(processors()) as pool:
        return np.concatenate(list(pool.map(function, pieces)))


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def per_point(marginal: Marginal) -> int:
    """Return how many numbers are at work for one point."""
    statistics = marginal.statistics
    if marginal.diagonal is not None:
        return statistics.columns
    cost = statistics.columns**2 + sum(_coarse(level) for level in statistics.coarser)
    if marginal.patterns is not None:
        return cost + 2 * marginal.patterns.own.shape[0] * marginal.patterns.own.shape[1] ** 2
    return cost if statistics.finest is None else cost + statistics.finest.others.size


def _coarse(level: Coarser) -> int:
    """Return how many numbers a coarser grouping has: what its cells say, and what is said of its units."""
    own = level.own.shape[1]
    return level.own.size + level.others.size + level.grouping.size * own * (own + level.others.shape[2])


def _log_density(marginal: Marginal, points: Array) -> Array:
    hyper = hyper_at(marginal.linear, points)
    weight = marginal.statistics.weight
    with np.errstate(all="ignore"):
        normaliser = 0.5 * np.sum(weight * np.log(hyper.precision / (2 * np.pi)), axis=1)
        total = hyper.log_prior + normaliser + marginal.linear.log_jacobian - 0.5 * _integral(marginal, hyper)
    return np.where(np.isfinite(total), total, -np.inf)


def _integral(marginal: Marginal, hyper: Hyper) -> Array:
    """Return the sum of squares that is left plus the log determinants, (b,)."""
    if marginal.diagonal is not None:
        apart = solve_diagonal(marginal, hyper)
        return apart.rest + apart.log_determinant
    reduced = reduce_chain(marginal, hyper)
    together = solve_together(marginal, hyper, reduced)
    return reduced.log_determinant + together.log_determinant + together.rest
