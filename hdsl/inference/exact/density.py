"""The log density of the hyperparameters, with all effects integrated out.

Every effect is its law's mean plus a factor times standard normal draws. Of the finest grouping's pseudo-rows
with own columns R, loading G and precisions w, the covariance is 1/w + R G G' R': its inverse weighs what the
groups say about everything else, so that only positive terms are added up. The coarser groupings of the
chain and then the columns that are integrated out together follow by Schur complements.
Source: Harville (1977), JASA 72; the recursion is that of Bates et al. (2015) read from the groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.exact.hyper import Hyper, hyper_at, known_scales, loading, size_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes.marginal.forms import NotLinear
from hdsl.passes.marginal.recognise import Linear, Unrecognised, recognise
from hdsl.passes.marginal.structure import structure_of
from hdsl.passes.precompute import precompute
from hdsl.passes.suffice import Coarser, Finest, Statistics, suffice
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
AT_ONCE = 400_000
OUTER_AT_MOST = 30_000_000


@dataclass(frozen=True)
class Patterns:
    """Groups whose own pseudo-rows are the same, and the sums of outer products of their other columns."""

    own: Array
    classes: Codes
    count: Array
    outer: Array
    of_group: Codes


@dataclass(frozen=True)
class Marginal:
    """A model with its effects integrated out: a density of few hyperparameters.

    `ancestors` has for each grouping of the chain the units of all coarser ones to which its units belong.
    """

    linear: Linear
    statistics: Statistics
    patterns: Patterns | None
    ancestors: tuple[tuple[Codes, ...], ...]

    @property
    def size(self) -> int:
        """The number of unconstrained hyperparameters."""
        return size_of(self.linear.hyper)


@dataclass(frozen=True)
class Level:
    """A coarser grouping at b points: cross-products given all that is finer; `factor` of its whitened precision."""

    own: Array
    others: Array
    load: Array
    factor: Array


@dataclass(frozen=True)
class Reduced:
    """What is left at b points when the chain is integrated out.

    `gram` (b, q, q) of the columns integrated out together, the outcome and the offsets; `log_determinant` (b,).
    """

    gram: Array
    log_determinant: Array
    levels: tuple[Level, ...]
    load: Array | None


def marginal_of(model: Model, data: ModelData) -> Marginal | Unrecognised:
    """Return a plain model with its effects integrated out, or why they cannot be."""
    lean, values = precompute(model, data)
    linear = recognise(lean, values)
    if isinstance(linear, Unrecognised):
        return linear
    try:
        statistics = suffice(linear, structure_of(linear), known_scales(linear))
    except NotLinear as reason:
        return Unrecognised(str(reason))
    light = replace(linear, columns=(), outcome=linear.outcome[:0], weights=None)
    return Marginal(light, statistics, _patterns(statistics, light), _ancestors(statistics))


def _patterns(statistics: Statistics, linear: Linear) -> Patterns | None:
    """Return groups by pattern where the outer products of their columns fit into the memory."""
    finest = statistics.finest
    if finest is None or statistics.coarser:
        return None
    groups, rank, columns = finest.others.shape
    if any(_by_unit(effect.law.args[1], finest, linear) for effect in finest.grouping.effects):
        key = np.arange(groups)
        first = key
    else:
        key, first = _same(finest)
    pairs = rank * (rank + 1) // 2
    wide = columns * (columns + 1) // 2
    if len(first) * pairs * wide > OUTER_AT_MOST or rank > small.WRITTEN_OUT:
        return None
    outer = _outer_products(finest, key, len(first))
    count = np.bincount(key, minlength=len(first)).astype(np.float64)
    return Patterns(finest.own[first], finest.classes[first], count, outer, key)


def _by_unit(spread: object, finest: Finest, linear: Linear) -> bool:
    from hdsl.model.functions import dims_of

    scope = linear.model.dims_of()
    levels = {dim for effect in finest.grouping.effects for dim in effect.dims[:1]}
    return bool(set(dims_of(spread, scope)) & levels)  # pyright: ignore[reportArgumentType]


def _same(finest: Finest) -> tuple[Codes, Codes]:
    """Return for each group the number of its pattern, and for each pattern a first group."""
    groups = len(finest.own)
    table = np.concatenate([finest.own.reshape(groups, -1), finest.classes.astype(np.float64)], axis=1)
    digits = np.ascontiguousarray(np.round(table, 12)).view(np.dtype((np.void, table.itemsize * table.shape[1])))
    _, first, key = np.unique(digits.reshape(-1), return_index=True, return_inverse=True)
    return key.reshape(-1).astype(np.int64), first


def _outer_products(finest: Finest, key: Codes, patterns: int) -> Array:
    """Return sums over the groups of a pattern of products of pseudo-rows, shape (patterns * pairs, wide)."""
    groups, rank, columns = finest.others.shape
    left, right = np.tril_indices(columns)
    found = np.empty((patterns, rank * (rank + 1) // 2, len(left)))
    order = np.argsort(key, kind="stable")
    starts = np.searchsorted(key[order], np.arange(patterns))
    ordered = finest.others[order]
    at = 0
    for i in range(rank):
        for j in range(i + 1):
            product = ordered[:, i, left] * ordered[:, j, right]
            if i != j:
                product = product + ordered[:, j, left] * ordered[:, i, right]
            found[:, at] = np.add.reduceat(product, starts) if patterns < groups else product
            at += 1
    return found.reshape(-1, len(left))


def _ancestors(statistics: Statistics) -> tuple[tuple[Codes, ...], ...]:
    levels: list[Finest | Coarser] = [] if statistics.finest is None else [statistics.finest, *statistics.coarser]
    found: list[tuple[Codes, ...]] = []
    for place in range(len(levels)):
        chain: list[Codes] = []
        units: Codes | None = None
        for level in levels[place:-1]:
            assert level.parent is not None
            units = level.parent if units is None else level.parent[units]
            chain.append(units)
        found.append(tuple(chain))
    return tuple(found)


def log_density(marginal: Marginal, points: Array) -> Array:
    """Return the log density at unconstrained hyperparameters, shape (b, d); -inf where it is no number."""
    return in_pieces(lambda piece: _log_density(marginal, piece), points, per_point(marginal))


def in_pieces(function: Callable[[Array], Array], points: Array, cost: int) -> Array:
    """Return a function's values at points, some at a time."""
    step = max(1, AT_ONCE // max(cost, 1))
    return np.concatenate([function(points[at : at + step]) for at in range(0, len(points), step)])


def per_point(marginal: Marginal) -> int:
    """Return how many numbers are at work for one point."""
    statistics = marginal.statistics
    cost = statistics.columns**2
    if marginal.patterns is not None:
        return cost + 2 * marginal.patterns.own.shape[0] * marginal.patterns.own.shape[1] ** 2
    finest = statistics.finest
    return cost if finest is None else cost + finest.others.size


def _log_density(marginal: Marginal, points: Array) -> Array:
    hyper = hyper_at(marginal.linear, points)
    with np.errstate(all="ignore"):
        reduced = reduce_chain(marginal, hyper)
        together = solve_together(marginal, hyper, reduced)
        weight = marginal.statistics.weight
        normaliser = 0.5 * np.sum(weight * np.log(hyper.precision / (2 * np.pi)), axis=1)
        total = hyper.log_prior + normaliser + marginal.linear.log_jacobian
        total = total - 0.5 * (reduced.log_determinant + together.log_determinant + together.rest)
    return np.where(np.isfinite(total), total, -np.inf)


@dataclass(frozen=True)
class Together:
    """The columns integrated out together at b points.

    `factor` (b, k, k): Cholesky factor of the precision of their standard normal draws; `pull` (b, k): factor^-1 times
    the linear part; `rest` (b,): the sum of squares left.
    """

    factor: Array
    pull: Array
    rest: Array
    log_determinant: Array
    loads: tuple[Array, ...]


def solve_together(marginal: Marginal, hyper: Hyper, reduced: Reduced) -> Together:
    """Integrate out the columns that are taken together."""
    statistics = marginal.statistics
    loads = tuple(loading(block.grouping, block.scales, hyper, marginal.linear) for block in statistics.blocks)
    count, columns = len(reduced.gram), statistics.columns
    signs = np.concatenate([np.ones((count, 1)), -hyper.offsets], axis=1)
    left = reduced.gram[:, :columns]
    linear = np.einsum("bij,bj->bi", left[:, :, columns:], signs)
    square = np.einsum("bi,bij,bj->b", signs, reduced.gram[:, columns:, columns:], signs)
    half = loaded(np.concatenate([left[:, :, :columns], linear[:, :, None]], axis=2), statistics, loads)
    matrix = loaded(half[:, :, :columns].transpose(0, 2, 1), statistics, loads)
    vector = half[:, :, columns].copy()
    fixed = len(statistics.fixed)
    vector[:, :fixed] -= statistics.middle
    size = matrix.shape[1]
    matrix = matrix + np.eye(size)
    bad = ~(np.all(np.isfinite(matrix), axis=(1, 2)) & np.all(np.isfinite(vector), axis=1))
    matrix[bad] = np.eye(size)
    factor = _factors(matrix)
    factor[bad] = np.nan
    pull = solve_lower(factor, vector) if size else vector
    rest = square + np.sum(statistics.middle**2) - np.sum(pull**2, axis=1)
    log_determinant = 2 * np.sum(np.log(np.diagonal(factor, axis1=1, axis2=2)), axis=1)
    return Together(factor, pull, rest, log_determinant, loads)


def _factors(matrix: Array) -> Array:
    """Return Cholesky factors; NaN where a matrix is not positive definite."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        if len(matrix) == 1:
            return np.full(matrix.shape, np.nan)
        return np.concatenate([_factors(each[None]) for each in matrix])


def solve_lower(factor: Array, vector: Array) -> Array:
    """Return factor^-1 vector for (b, k, k) and (b, k)."""
    return np.linalg.solve(np.where(np.isfinite(factor), factor, np.eye(factor.shape[1])), vector[..., None])[..., 0]


def loaded(columns: Array, statistics: Statistics, loads: tuple[Array, ...]) -> Array:
    """Return load' times columns, (b, raw columns, n) to (b, standard normal draws, n)."""
    parts = [columns[:, : len(statistics.fixed)]]
    count, _, wide = columns.shape
    for block, load in zip(statistics.blocks, loads, strict=True):
        units, entries = block.grouping.size, len(block.scales)
        piece = columns[:, block.start : block.start + units * entries].reshape(count, units, entries, wide)
        parts.append((load.transpose(0, 1, 3, 2) @ piece).reshape(count, -1, wide))
    return np.concatenate(parts, axis=1)


def reduce_chain(marginal: Marginal, hyper: Hyper) -> Reduced:
    """Integrate out the groupings of the chain."""
    statistics = marginal.statistics
    within = np.tensordot(hyper.precision, statistics.together, axes=1)
    if statistics.finest is None:
        return Reduced(within, np.zeros(len(within)), (), None)
    finest = statistics.finest
    load = loading(finest.grouping, finest.scales, hyper, marginal.linear)
    if marginal.patterns is not None:
        gram, log_determinant = _by_patterns(marginal.patterns, load, hyper, within)
        return Reduced(gram, log_determinant, (), load)
    return _by_levels(marginal, load, hyper, within)


def covariance(own: Array, load: Array, root: list[Array]) -> small.Rows:
    """Return 1 + root R G G' R' root by entry: pseudo-rows (units, r, K), loadings (b, units or 1, K, k)."""
    rank = own.shape[1]
    spread = [
        [sum(own[:, a, j] * load[:, :, j, m] for j in range(own.shape[2])) for m in range(load.shape[3])]
        for a in range(rank)
    ]
    found: small.Rows = []
    for a in range(rank):
        row: list[Array] = []
        for c in range(a + 1):
            total = np.asarray(sum(x * y for x, y in zip(spread[a], spread[c], strict=True))) * (root[a] * root[c])
            row.append(total + 1.0 if a == c else total)
        found.append(row)
    return found


def roots(classes: Codes, hyper: Hyper) -> list[Array]:
    """Return the square roots of the precisions of each pseudo-row, (b, units) or (b, 1) where there is one class."""
    if hyper.precision.shape[1] == 1:
        return [np.sqrt(hyper.precision)] * classes.shape[1]
    root = np.sqrt(hyper.precision)
    return [root[:, classes[:, a]] for a in range(classes.shape[1])]


def _by_patterns(patterns: Patterns, load: Array, hyper: Hyper, within: Array) -> tuple[Array, Array]:
    root = roots(patterns.classes, hyper)
    factor, log_determinant = small.cholesky(covariance(patterns.own, load, root))
    inverse = small.from_inverse_factor(small.inverse_factor(factor))
    rank = len(root)
    weights = np.stack([inverse[i][j] * (root[i] * root[j]) for i in range(rank) for j in range(i + 1)], axis=2)
    packed = weights.reshape(len(within), -1) @ patterns.outer
    gram = within.copy()
    left, right = np.tril_indices(within.shape[1])
    gram[:, left, right] += packed
    off = left != right
    gram[:, right[off], left[off]] += packed[:, off]
    return gram, log_determinant @ patterns.count


def _by_levels(marginal: Marginal, load: Array, hyper: Hyper, within: Array) -> Reduced:
    statistics = marginal.statistics
    assert statistics.finest is not None
    weighted, log_determinant = weighted_rows(statistics.finest, load, hyper)
    count = len(within)
    widths = [len(level.scales) for level in statistics.coarser]
    starts = np.concatenate([[0], np.cumsum(widths)]).astype(int)
    gram = within + _crossed(weighted[..., starts[-1] :], weighted[..., starts[-1] :])
    total = np.sum(log_determinant, axis=1)
    contributions = [(1.0, weighted, marginal.ancestors[0], 0)]
    levels: list[Level] = []
    for place, level in enumerate(statistics.coarser):
        own, others = _static(level, hyper)
        for sign, rows, ancestors, first in contributions:
            at = starts[place] - starts[first]
            units = ancestors[place - first]
            here, rest = rows[..., at : at + widths[place]], rows[..., at + widths[place] :]
            own = own + sign * _summed(_each(here, here), units, level.grouping.size)
            others = others + sign * _summed(_each(here, rest), units, level.grouping.size)
        made, rows, more = _eliminated(level, own, others, hyper, marginal.linear)
        levels.append(made)
        total = total + more
        tail = starts[-1] - starts[place + 1]
        gram = gram - _crossed(rows[..., tail:], rows[..., tail:])
        contributions.append((-1.0, rows, marginal.ancestors[place + 1], place + 1))
    return Reduced(gram.reshape(count, *gram.shape[1:]), total, tuple(levels), load)


def weighted_rows(finest: Finest, load: Array, hyper: Hyper) -> tuple[Array, Array]:
    """Return the finest grouping's other columns times the root of their precision, (b, groups, r, q)."""
    root = roots(finest.classes, hyper)
    factor, log_determinant = small.cholesky(covariance(finest.own, load, root))
    inverse = small.inverse_factor(factor)
    rank = len(root)
    shape = (len(load), *finest.others.shape)
    found = np.zeros(shape)
    for i in range(rank):
        for j in range(i + 1):
            found[:, :, i] += (inverse[i][j] * root[j])[..., None] * finest.others[:, j]
    return found, np.broadcast_to(log_determinant, shape[:2])


def _crossed(left: Array, right: Array) -> Array:
    """Return sums over units and rows of products of columns, (b, units, r, q) twice to (b, q, q)."""
    flat = left.reshape(len(left), -1, left.shape[3])
    return flat.transpose(0, 2, 1) @ right.reshape(len(right), -1, right.shape[3])


def _each(left: Array, right: Array) -> Array:
    return np.einsum("buri,burj->buij", left, right)


def _summed(values: Array, units: Codes, size: int) -> Array:
    """Return values (b, fine units, ...) summed over the fine units of each of `size` coarse ones."""
    found = np.zeros((len(values), size, *values.shape[2:]))
    order = np.argsort(units, kind="stable")
    ordered = units[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    found[:, ordered[starts]] = np.add.reduceat(values[:, order], starts, axis=1)
    return found


def _static(level: Coarser, hyper: Hyper) -> tuple[Array, Array]:
    """Return what the rows within the finest groups say about a coarser grouping."""
    units = level.grouping.size
    if not len(level.own):
        own, others = level.own.shape[1:], level.others.shape[1:]
        return np.zeros((1, units, *own)), np.zeros((1, units, *others))
    weight = hyper.precision[:, level.of_class][:, :, None, None]
    return _summed(weight * level.own, level.of_unit, units), _summed(weight * level.others, level.of_unit, units)


def _eliminated(level: Coarser, own: Array, others: Array, hyper: Hyper, linear: Linear) -> tuple[Level, Array, Array]:
    """Integrate out a coarser grouping; return it, its whitened columns and its log determinants (b,)."""
    load = loading(level.grouping, level.scales, hyper, linear)
    turned = load.transpose(0, 1, 3, 2)
    matrix = turned @ own @ load + np.eye(load.shape[3])
    entries = [[matrix[..., i, j] for j in range(i + 1)] for i in range(load.shape[3])]
    factor, log_determinant = small.cholesky(entries)
    inverse = small.stacked(small.inverse_factor(factor))
    rows = inverse @ (turned @ others)
    return Level(own, others, load, small.stacked(factor)), rows, np.sum(log_determinant, axis=1)
