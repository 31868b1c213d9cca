"""The chain of nested groupings integrated out, from the finest up.

Of the finest grouping's pseudo-rows with own columns R, loading G and precisions w, the covariance is
1/w + R G G' R': its inverse weighs what the groups say about everything else, so that only positive terms are added
up. The coarser groupings follow by Schur complements.
Source: Harville (1977), JASA 72; the recursion is that of Bates et al. (2015), read from the groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.exact.hyper import Hyper, loading
from hdsl.inference.exact.marginal import Marginal, Patterns
from hdsl.passes.marginal.recognise import Linear
from hdsl.passes.suffice import Coarser, Finest
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
MANY_CELLS = 8


@dataclass(frozen=True)
class Level:
    """A coarser grouping at b points: cross-products given all that is finer.

    `inverse` is that of the Cholesky factor of its whitened precision.
    """

    own: Array
    others: Array
    load: Array
    inverse: Array


@dataclass(frozen=True)
class Reduced:
    """What is left at b points when the chain is integrated out.

    `gram` (b, q, q) of the columns integrated out together, the outcome and the offsets, the former's upper triangle
    without meaning; `log_determinant` (b,); `load` of the finest grouping.
    """

    gram: Array
    log_determinant: Array
    levels: tuple[Level, ...]
    load: Array | None


@dataclass(frozen=True)
class _Said:
    """What finer groupings say about coarser ones: by coarser grouping, (b, units, K, K) and (b, units, K, rest)."""

    own: list[Array]
    others: list[Array]


def reduce_chain(marginal: Marginal, hyper: Hyper, load: Array | None = None) -> Reduced:
    """Integrate out the groupings of the chain; the finest's `load` is that of the hyperparameters by default."""
    statistics = marginal.statistics
    gram = _weighted(hyper.precision, statistics.together)
    log_determinant = np.zeros(len(gram))
    said = _static(marginal, hyper)
    if statistics.finest is not None:
        if load is None:
            load = loading(statistics.finest.grouping, statistics.finest.scales, hyper, marginal.linear)
        if marginal.patterns is not None:
            log_determinant = _add_patterns(marginal, marginal.patterns, load, hyper, gram, said)
        else:
            rows, determinants = weighted_rows(statistics.finest, load, hyper, statistics.finest.others[None])
            log_determinant = np.sum(determinants, axis=1)
            _add(rows, 1.0, marginal, 0, gram, said)
    levels: list[Level] = []
    first = 0 if statistics.finest is None else 1
    for place, level in enumerate(statistics.coarser):
        made, rows, more = _eliminated(level, said.own[place], said.others[place], hyper, marginal.linear)
        levels.append(made)
        log_determinant = log_determinant + more
        _add(rows, -1.0, marginal, place + first, gram, said)
    return Reduced(gram, log_determinant, tuple(levels), load)


def _weighted(precision: Array, together: Array) -> Array:
    """Return sums over the classes of cross-products (classes, q, q) times precisions (b, classes)."""
    if len(together) == 1:
        return np.multiply(precision[:, :, None], together, order="C")
    return np.tensordot(precision, together, axes=1)


def _static(marginal: Marginal, hyper: Hyper) -> _Said:
    """Return what the rows within the finest groups say about the coarser groupings."""
    own, others = (
        zip(*(_level(level, hyper) for level in marginal.statistics.coarser), strict=True)
        if (marginal.statistics.coarser)
        else ((), ())
    )
    return _Said(list(own), list(others))


def _level(level: Coarser, hyper: Hyper) -> tuple[Array, Array]:
    units, count = level.grouping.size, len(hyper.precision)
    if not len(level.own):
        return np.zeros((count, units, *level.own.shape[1:])), np.zeros((count, units, *level.others.shape[1:]))
    if len(level.own) > MANY_CELLS * units:
        return _weighed(level, hyper)
    weight = hyper.precision[:, level.of_class][:, :, None, None]
    return _summed(weight * level.own, level.of_unit, units), _summed(weight * level.others, level.of_unit, units)


def _weighed(level: Coarser, hyper: Hyper) -> tuple[Array, Array]:
    """Return the same unit by unit, which is faster where units have many cells; cells stand in order of units."""
    units, count = level.grouping.size, len(hyper.precision)
    entries = level.own.shape[1]
    table = np.concatenate([level.own, level.others], axis=2).reshape(len(level.own), -1)
    ends = np.searchsorted(level.of_unit, np.arange(units + 1))
    found = np.empty((count, units, table.shape[1]))
    for unit in range(units):
        own = slice(ends[unit], ends[unit + 1])
        found[:, unit] = hyper.precision[:, level.of_class[own]] @ table[own]
    whole = found.reshape(count, units, entries, -1)
    return whole[..., :entries], whole[..., entries:]


def _add(rows: Array, sign: float, marginal: Marginal, place: int, gram: Array, said: _Said) -> None:
    """Add products of whitened rows (b, units, r, q) of grouping `place` of the chain to all that is coarser."""
    coarser = marginal.statistics.coarser
    first = len(coarser) - len(marginal.statistics.ancestors[place])
    at = 0
    for number, units in enumerate(marginal.statistics.ancestors[place], start=first):
        level = coarser[number]
        here, rest = rows[..., at : at + len(level.scales)], rows[..., at + len(level.scales) :]
        at += len(level.scales)
        said.own[number] += sign * _summed(_each(here, here), units, level.grouping.size)
        said.others[number] += sign * _summed(_each(here, rest), units, level.grouping.size)
    gram += sign * _crossed(rows[..., at:])


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


def _add_patterns(marginal: Marginal, patterns: Patterns, load: Array, hyper: Hyper, gram: Array, said: _Said) -> Array:
    """Add what the finest grouping says by kinds of groups; return its log determinants (b,)."""
    root = roots(patterns.classes, hyper)
    factor, log_determinant = small.cholesky(covariance(patterns.own, load, root))
    inverse = small.from_inverse_factor(small.inverse_factor(factor))
    rank, count = len(root), len(gram)
    weights = np.stack([inverse[i][j] * (root[i] * root[j]) for i in range(rank) for j in range(i + 1)], axis=2)
    if patterns.sparse is not None:
        patterns.sparse.add_to(gram, weights.reshape(count, -1), marginal.statistics.columns)
        return log_determinant @ patterns.count
    packed = weights.reshape(count, -1) @ patterns.products
    left, right = np.tril_indices(gram.shape[1])
    gram[:, left, right] += packed[:, : len(left)]
    off = left != right
    gram[:, right[off], left[off]] += packed[:, : len(left)][:, off]
    at = len(left)
    for number, level in enumerate(marginal.statistics.coarser):
        own, units = len(level.scales), level.grouping.size
        wide = own + level.others.shape[2]
        piece = packed[:, at : at + units * own * wide].reshape(count, units, own, wide)
        at += units * own * wide
        said.own[number] += piece[..., :own]
        said.others[number] += piece[..., own:]
    return log_determinant @ patterns.count


def weighted_rows(finest: Finest, load: Array, hyper: Hyper, others: Array) -> tuple[Array, Array]:
    """Return the finest grouping's other columns times the root of their precision, (b, groups, r, q).

    `others`, (b or 1, groups, r, q), are all of its other columns or some. Also return log determinants (b, groups).
    """
    root = roots(finest.classes, hyper)
    factor, log_determinant = small.cholesky(covariance(finest.own, load, root))
    inverse = small.inverse_factor(factor)
    shape = (len(load), *others.shape[1:])
    found = np.zeros(shape)
    for i in range(len(root)):
        for j in range(i + 1):
            found[:, :, i] += (inverse[i][j] * root[j])[..., None] * others[:, :, j]
    return found, np.broadcast_to(log_determinant, shape[:2])


def levels_given(marginal: Marginal, hyper: Hyper, load: Array, rows: Array, count: int) -> tuple[Level, ...]:
    """Return the first `count` coarser groupings of the chain, given pseudo-rows of the finest.

    `rows`, (b, groups, r, q): the columns of these groupings, then what is left of the outcome given all else.
    """
    statistics = marginal.statistics
    assert statistics.finest is not None
    white = weighted_rows(statistics.finest, load, hyper, rows)[0]
    gram, parent = _each(white, white), statistics.finest.parent
    levels: list[Level] = []
    for level in statistics.coarser[:count]:
        assert parent is not None
        own = len(level.scales)
        gram = _summed(gram, parent, level.grouping.size)
        made, half, _ = _eliminated(level, gram[..., :own, :own], gram[..., :own, own:], hyper, marginal.linear)
        gram, parent = gram[..., own:, own:] - _each(half, half), level.parent
        levels.append(made)
    return tuple(levels)


def _crossed(rows: Array) -> Array:
    """Return sums over units and rows of products of columns, (b, units, r, q) to (b, q, q)."""
    flat = rows.reshape(len(rows), -1, rows.shape[3])
    return flat.transpose(0, 2, 1) @ flat


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


def _eliminated(level: Coarser, own: Array, others: Array, hyper: Hyper, linear: Linear) -> tuple[Level, Array, Array]:
    """Integrate out a coarser grouping; return it, its whitened columns and its log determinants (b,)."""
    load = loading(level.grouping, level.scales, hyper, linear)
    turned = load.transpose(0, 1, 3, 2)
    matrix = small.times(small.times(turned, own), load) + np.eye(load.shape[3])
    factor, log_determinant = small.cholesky(small.entries(matrix))
    inverse = small.stacked(small.inverse_factor(factor))
    rows = small.times(small.times(inverse, turned), others)
    return Level(own, others, load, inverse), rows, np.sum(log_determinant, axis=1)
