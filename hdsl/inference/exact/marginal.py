"""A model with its effects integrated out: statistics, and groups of the same kind taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.exact.hyper import known_scales, size_of
from hdsl.model.functions import dims_of
from hdsl.model.ir import Expr, Model, ModelData
from hdsl.passes import wide
from hdsl.passes.marginal.recognise import Linear, Unrecognised, recognise
from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.structure import structure_of
from hdsl.passes.precompute import precompute
from hdsl.passes.suffice import Finest, Statistics, suffice
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
OUTER_AT_MOST = 30_000_000


@dataclass(frozen=True)
class Kinds:
    """Groups of the finest grouping by their own pseudo-rows: the kind of each, and a first group of each kind.

    Where every group is a kind of its own, kinds stand in the order of groups.
    """

    of_group: Codes
    first: Codes

    def times(self, values: Array, rows: Array, out: Array) -> None:
        """Multiply values by kind, (b, kinds) or (b, 1), with those of the groups, (b, groups)."""
        if values.shape[1] in (1, len(self.of_group)):
            np.multiply(values, rows, out=out)
            return
        np.take(np.broadcast_to(values, (len(rows), values.shape[1])), self.of_group, axis=1, out=out, mode="clip")
        np.multiply(out, rows, out=out)


@dataclass(frozen=True)
class Patterns:
    """The kinds of groups, and the sums of products of their other columns' pseudo-rows.

    Attributes
    ----------
    own, classes
        As in `Finest`, by kind.
    count : array, shape (kinds,)
        Groups of the kind.
    products : array, shape (kinds * pairs, n)
        For each pair of pseudo-rows of a kind: the lower triangle of the products of the columns integrated out
        together; then for each coarser grouping, unit by unit, those of its own columns with themselves and with
        all that come after.
    sparse : SparseProducts, or None
        In place of `products`, where most of them are zero.
    """

    own: Array
    classes: Codes
    count: Array
    products: Array
    sparse: SparseProducts | None = None


@dataclass(frozen=True)
class SparseProducts:
    """Sums of products of q columns: `table` (q * q, kinds * pairs), of the lower triangle; zero above it."""

    table: wide.ByColumn

    def add_to(self, gram: Array, weights: Array, columns: int) -> None:
        """Add the products, weighted by kind and pair (b, kinds * pairs), to cross-products (b, q, q).

        Of the first `columns` columns the lower triangle is added to, of the others both.
        """
        gram += (self.table @ weights.T).T.reshape(gram.shape)
        for last in range(columns, gram.shape[1]):
            gram[:, :last, last] = gram[:, last, :last]


@dataclass(frozen=True)
class Marginal:
    """A model with its effects integrated out: a density of few hyperparameters.

    `diagonal` are the eigenvalues and eigenvectors of the columns integrated out together where they alone decide.
    """

    linear: Linear
    statistics: Statistics
    kinds: Kinds | None
    patterns: Patterns | None
    diagonal: tuple[Array, Array] | None = None

    @property
    def size(self) -> int:
        """The number of unconstrained hyperparameters."""
        return size_of(self.linear.hyper)


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
    kinds = kinds_of(statistics, light)
    try:
        patterns = _patterns(statistics, kinds)
    except NotLinear as reason:
        return Unrecognised(str(reason))
    return Marginal(light, statistics, kinds, patterns, _diagonal(statistics))


def _diagonal(statistics: Statistics) -> tuple[Array, Array] | None:
    """Return the eigenvalues and eigenvectors of the cross-products, where nothing else depends on parameters."""
    alone = statistics.finest is None and not statistics.coarser and not statistics.blocks and statistics.fixed
    if not alone or len(statistics.together) > 1 or statistics.offsets:
        return None
    size = len(statistics.fixed)
    values, vectors = np.linalg.eigh(statistics.together[0, :size, :size])
    return np.maximum(values, 0.0), vectors


def kinds_of(statistics: Statistics, linear: Linear) -> Kinds | None:
    finest = statistics.finest
    if finest is None:
        return None
    if any(_by_unit(effect.law.args[1], finest, linear) for effect in finest.grouping.effects):
        every = np.arange(len(finest.own))
        return Kinds(every, every)
    return _same(finest)


def _patterns(statistics: Statistics, kinds: Kinds | None) -> Patterns | None:
    """Return the kinds of groups with the products of their columns, where these fit into the memory."""
    finest = statistics.finest
    if finest is None or kinds is None:
        return None
    rank, columns = finest.others.shape[1:]
    number, pairs = len(kinds.first), rank * (rank + 1) // 2
    count = np.bincount(kinds.of_group, minlength=number).astype(np.float64)
    if finest.sparse:
        sparse = SparseProducts(wide.products(finest.sparse, kinds.of_group, number))
        none = np.zeros((number * pairs, 0))
        return Patterns(finest.own[kinds.first], finest.classes[kinds.first], count, none, sparse)
    if rank > small.WRITTEN_OUT:
        return None
    last = columns - sum(len(level.scales) for level in statistics.coarser)
    total, after = last * (last + 1) // 2, columns
    for level in statistics.coarser:
        total += level.grouping.size * len(level.scales) * after
        after -= len(level.scales)
    if number * pairs * total > OUTER_AT_MOST:
        return None
    every = [_triangles(finest.others[:, :, columns - last :], kinds, number)]
    at = 0
    for level, units in zip(statistics.coarser, statistics.ancestors[0], strict=True):
        own = len(level.scales)
        every.append(_by_unit_of(finest.others[:, :, at:], own, kinds, number, units, level.grouping.size))
        at += own
    products = np.concatenate(every, axis=1) if len(every) > 1 else every[0]
    return Patterns(finest.own[kinds.first], finest.classes[kinds.first], count, products)


def _triangles(columns: Array, kinds: Kinds, number: int) -> Array:
    """Return sums over the groups of a kind of products of pseudo-rows, shape (kinds * pairs, lower triangle)."""
    groups, rank, wide = columns.shape
    left, right = np.tril_indices(wide)
    found = np.empty((number, rank * (rank + 1) // 2, len(left)))
    order = np.argsort(kinds.of_group, kind="stable")
    starts = np.searchsorted(kinds.of_group[order], np.arange(number))
    ordered = columns[order]
    for at, (i, j) in enumerate(_pairs(rank)):
        product = ordered[:, i, left] * ordered[:, j, right]
        if i != j:
            product = product + ordered[:, j, left] * ordered[:, i, right]
        found[:, at] = np.add.reduceat(product, starts) if number < groups else product
    return found.reshape(-1, len(left))


def _pairs(rank: int) -> Sequence[tuple[int, int]]:
    return [(i, j) for i in range(rank) for j in range(i + 1)]


def _by_unit_of(columns: Array, count: int, kinds: Kinds, number: int, units: Codes, size: int) -> Array:
    """Return products of the first columns with all, summed by kind and coarser unit, (kinds * pairs, size * ...)."""
    rank, wide = columns.shape[1:]
    found = np.zeros((number, size, rank * (rank + 1) // 2, count, wide))
    for at, (i, j) in enumerate(_pairs(rank)):
        product = columns[:, i, :count, None] * columns[:, j, None, :]
        if i != j:
            product = product + columns[:, j, :count, None] * columns[:, i, None, :]
        np.add.at(found[:, :, at], (kinds.of_group, units), product)
    return found.transpose(0, 2, 1, 3, 4).reshape(number * rank * (rank + 1) // 2, -1)


def _by_unit(spread: Expr, finest: Finest, linear: Linear) -> bool:
    scope = linear.model.dims_of()
    levels = {dim for effect in finest.grouping.effects for dim in effect.dims[:1]}
    return bool(set(dims_of(spread, scope)) & levels)


def _same(finest: Finest) -> Kinds:
    """Return the kinds of groups by their pseudo-rows."""
    groups = len(finest.own)
    table = np.concatenate([finest.own.reshape(groups, -1), finest.classes.astype(np.float64)], axis=1)
    digits = np.ascontiguousarray(np.round(table, 12)).view(np.dtype((np.void, table.itemsize * table.shape[1])))
    _, first, key = np.unique(digits.reshape(-1), return_index=True, return_inverse=True)
    if len(first) == groups:
        return Kinds(np.arange(groups), np.arange(groups))
    return Kinds(key.reshape(-1).astype(np.int64), first)
