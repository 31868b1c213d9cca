"""Two crossed groupings of intercepts: their density from polynomials in the two ratios of spreads.

Where one residual spread is all there is, each other spread enters by its ratio to it. With both groupings' effects
integrated out, of n outcomes and p coefficients there remain a log determinant and the (p + 1) x (p + 1) cross-products
of coefficients and outcome, given everything else: smooth functions of the logarithms of the two ratios. What the
residual spread, the coefficients' priors and the hyperparameters' priors add is closed form. Those functions are known
exactly on a grid around the mode, one Cholesky factor a point, and between them by Chebyshev polynomials.
Source: Bates, Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1), eq. 33-42, for the density by relative spreads;
Trefethen (2013), Approximation Theory and Approximation Practice, ch. 8, for how fast the error falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from hdsl.inference.exact.chain import reduce_chain
from hdsl.inference.exact.density import processors
from hdsl.inference.exact.hyper import Hyper, hyper_at, loading
from hdsl.inference.exact.marginal import Marginal
from hdsl.inference.exact.mode import Mode, mode_at, rough_mode
from hdsl.inference.exact.together import large_factors, loads_of, solve_factor
from hdsl.model.functions import dims_of
from hdsl.model.ir import Const
from hdsl.reference.values import Array

COARSE = (0.05, 0.25, 1.2)
SPREADS = 81
SPREADS_WIDE = 8.0
NODES = (5, 9)
HALF_WIDTH = 7.0
WIDEST = 1.5
LOW_AT_EDGE = 15.0
EDGE = 25
EDGE_SHARE = 0.1
FAR = 100.0
MOST_FIXED = 40


@dataclass(frozen=True)
class Grid:
    """Polynomials over a box of log ratios, (2,) `low` to `high`.

    `coefficients` (nodes, nodes, 1 + (p + 1)^2), of Chebyshev polynomials: the log determinant, then the
    cross-products. `evaluations` counts the Cholesky factors that were computed for it and to find where it should lie.
    """

    low: Array
    high: Array
    coefficients: Array
    evaluations: int

    def at(self, ratios: Array) -> Array:
        """Return what is interpolated at log ratios (n, 2), shape (n, 1 + (p + 1)^2)."""
        x, y = (2 * (ratios - self.low) / (self.high - self.low) - 1).T
        return np.ascontiguousarray(chebyshev.chebval2d(x, y, self.coefficients).T)


def two_crossed(marginal: Marginal) -> bool:
    """Return whether a model has two groupings that cross, one column each, no others, and one residual spread."""
    statistics = marginal.statistics
    finest, blocks = statistics.finest, statistics.blocks
    if finest is None or statistics.coarser or statistics.offsets or len(statistics.together) > 1 or len(blocks) != 1:
        return False
    groupings, scope = (finest.grouping, blocks[0].grouping), marginal.linear.model.dims_of()
    entries = [entry for grouping in groupings for entry in grouping.entries]
    single = len(entries) == 2 and all(isinstance(entry.unknown, Const) for entry in entries)
    alike = all(not dims_of(effect.law.args[1], scope) for each in groupings for effect in each.effects)
    return single and alike and len(statistics.fixed) <= MOST_FIXED


def grids_of(marginal: Marginal) -> Iterator[Grid]:
    """Yield grids around the mode, each finer; none for models of another kind, or where a spread may be near zero."""
    if not two_crossed(marginal):
        return
    counted = _Counted(marginal)

    def likelihood(ratios: Array) -> Array:
        return _of_ratios(marginal, counted(ratios))

    starts = np.log(np.array([[a, b] for a in COARSE for b in COARSE]))
    heights = likelihood(starts)
    if not np.any(np.isfinite(heights)):
        return
    mode = mode_at(likelihood, rough_mode(likelihood, starts[int(np.argmax(heights))]))
    half = HALF_WIDTH * np.sqrt(np.diag(mode.covariance))
    if not np.isfinite(mode.height) or not np.all(half < WIDEST):
        return
    for nodes in NODES:
        made = _interpolated(counted, mode.point - half, mode.point + half, nodes)
        if not _low_at_edge(marginal, made, mode):
            return
        yield made


def ratios_of(marginal: Marginal, hyper: Hyper) -> Array:
    """Return the logarithms of the ratios of two spreads to the residual one, shape (b, 2)."""
    finest = marginal.statistics.finest
    assert finest is not None
    loads = (loading(finest.grouping, finest.scales, hyper, marginal.linear), *loads_of(marginal, hyper))
    assert all(load.shape[1:] == (1, 1, 1) for load in loads)
    with np.errstate(all="ignore"):
        spreads = np.stack([load[:, 0, 0, 0] for load in loads], axis=1)
        return np.log(spreads) + 0.5 * np.log(hyper.precision)


def log_density_by(marginal: Marginal, grid: Grid, points: Array, led_back: bool = False) -> Array:
    """Return the interpolated log density at unconstrained hyperparameters, shape (b, d).

    Outside the box it is minus infinity, or, for a search that is to be led back, falls with the distance.
    """
    hyper = hyper_at(marginal.linear, points)
    ratios = ratios_of(marginal, hyper)
    ratios = np.where(np.isfinite(ratios), ratios, -FAR)
    nearest = np.clip(ratios, grid.low, grid.high)
    away = np.sum((ratios - nearest) ** 2, axis=1)
    with np.errstate(all="ignore"):
        likelihood = _of_spread(marginal, grid.at(nearest), hyper.precision[:, 0])
        total = hyper.log_prior + marginal.linear.log_jacobian + likelihood
        total = total - away * marginal.statistics.weight[0] if led_back else np.where(away > 0, -np.inf, total)
    return np.where(np.isfinite(total), total, -np.inf)


def share_near_edge(marginal: Marginal, grid: Grid, points: Array, log_weights: Array) -> float:
    """Return the share of the weight of points (b, d) that lies in the outer tenth of the box on any side."""
    ratios = ratios_of(marginal, hyper_at(marginal.linear, points))
    margin = EDGE_SHARE * (grid.high - grid.low)
    with np.errstate(invalid="ignore"):
        near = np.any((ratios < grid.low + margin) | (ratios > grid.high - margin), axis=1)
    weights = np.exp(log_weights - np.max(log_weights))
    return float(np.sum(weights[near]) / np.sum(weights))


class _Counted:
    """The log determinants and cross-products at log ratios (n, 2), computed exactly."""

    def __init__(self, marginal: Marginal) -> None:
        self.evaluations = 0
        self._marginal = marginal

    def __call__(self, ratios: Array) -> Array:
        self.evaluations += len(ratios)
        values, which = np.unique(ratios[:, 0], return_inverse=True)
        others = [ratios[which == k, 1] for k in range(len(values))]
        with ThreadPoolExecutor(processors()) as pool:
            made = list(pool.map(lambda pair: _given_one(self._marginal, *pair), zip(values, others, strict=True)))
        found = np.empty((len(ratios), made[0].shape[1]))
        for k, each in enumerate(made):
            found[which == k] = each
        return found


def _given_one(marginal: Marginal, ratio: float, others: Array) -> Array:
    """Return the same at one log ratio of the finest grouping and several of the other, by Cholesky factors."""
    alone = Hyper(np.zeros(1), np.ones((1, 1)), np.zeros((1, 0)), {}, {})
    reduced = reduce_chain(marginal, alone, np.full((1, 1, 1, 1), np.exp(ratio)))
    gram, first, columns = reduced.gram[0], len(marginal.statistics.fixed), marginal.statistics.columns
    beside = [*range(first), columns]
    square = np.tril(gram[np.ix_(beside, beside)])
    square[-1, :-1] = gram[:first, -1]
    square = square + np.tril(square, -1).T
    across = gram[first:columns, beside]
    found = np.empty((len(others), 1 + square.size))
    for place, scale in enumerate(np.exp(others)):
        matrix = scale**2 * gram[None, first:columns, first:columns]
        matrix[0].flat[:: columns - first + 1] += 1.0
        factor = large_factors(matrix)
        half = solve_factor(factor, scale * across.T)
        found[place, 0] = reduced.log_determinant[0] + 2 * np.sum(np.log(np.diagonal(factor[0])))
        found[place, 1:] = (square - half @ half.T).reshape(-1)
    return found


def _of_spread(marginal: Marginal, given: Array, precision: Array) -> Array:
    """Return the log likelihood, coefficients integrated out too, of n tables at n precisions of the residuals."""
    middle = marginal.statistics.middle[: len(marginal.statistics.fixed)]
    size = len(middle)
    square = given[:, 1:].reshape(-1, size + 1, size + 1)
    matrix = precision[:, None, None] * square[:, :size, :size] + np.eye(size)
    linear = precision[:, None] * square[:, :size, size] - middle
    rest = precision * square[:, size, size] + middle @ middle
    log_determinant = given[:, 0]
    if size:
        rest = rest - np.sum(linear * np.linalg.solve(matrix, linear[:, :, None])[:, :, 0], axis=1)
        log_determinant = log_determinant + np.linalg.slogdet(matrix)[1]
    weight = marginal.statistics.weight[0]
    return 0.5 * (weight * np.log(precision / (2 * np.pi)) - log_determinant - rest)


def _of_ratios(marginal: Marginal, given: Array) -> Array:
    """Return the log likelihood of n tables with the residual spread integrated out too, on the log scale."""
    size = len(marginal.statistics.fixed)
    square = given[:, 1:].reshape(-1, size + 1, size + 1)
    weight = marginal.statistics.weight[0]
    left = square[:, size, size]
    if size:
        slopes = np.stack([np.linalg.lstsq(each[:size, :size], each[:size, size])[0] for each in square])
        left = left - np.sum(square[:, :size, size] * slopes, axis=1)
    steps = np.linspace(-SPREADS_WIDE, SPREADS_WIDE, SPREADS) / np.sqrt(weight / 2)
    with np.errstate(all="ignore"):
        precision = weight / left[:, None] * np.exp(steps)
        tables = np.repeat(given, SPREADS, axis=0)
        heights = _of_spread(marginal, tables, precision.reshape(-1)).reshape(precision.shape)
        found = np.logaddexp.reduce(heights, axis=1)
    return np.where(np.isfinite(found), found, -np.inf)


def _interpolated(counted: _Counted, low: Array, high: Array, count: int) -> Grid:
    nodes = chebyshev.chebpts1(count)
    back = np.linalg.inv(chebyshev.chebvander(nodes, count - 1))
    a, b = (low[k] + (high[k] - low[k]) * (nodes + 1) / 2 for k in (0, 1))
    every = np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2)
    values = counted(every).reshape(count, count, -1)
    coefficients = np.einsum("ia,jb,abk->ijk", back, back, values)
    return Grid(low, high, coefficients, counted.evaluations)


def _low_at_edge(marginal: Marginal, grid: Grid, mode: Mode) -> bool:
    """Return whether the likelihood on the edge of the box is so low that nothing lies beyond."""
    along = np.linspace(0, 1, EDGE)
    sides = [np.column_stack([along, np.full(EDGE, end)]) for end in (0.0, 1.0)]
    edge = grid.low + (grid.high - grid.low) * np.concatenate([*sides, *(side[:, ::-1] for side in sides)])
    return bool(np.max(_of_ratios(marginal, grid.at(edge))) < mode.height - LOW_AT_EDGE)
