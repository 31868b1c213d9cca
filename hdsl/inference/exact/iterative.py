"""Draws of many columns integrated out together, at many points, with the Cholesky factor of one of them.

A draw of N(S^-1 v, S^-1) is S^-1 (v + e), where e has the covariance S. Such an e is made from the pseudo-rows of
which S consists, and the equation is solved by conjugate gradients: preconditioned by the factor at a point in the
middle of some that are near each other, a few steps do. A step for all draws is a few
products of matrices, where a factor each would be a thousand of a thousand rows.
Source: Papandreou & Yuille (2010), Advances in Neural Information Processing Systems 23. SciPy solves one equation at
a time, which would read the same matrices anew for each draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.exact.chain import covariance, reduce_chain, roots
from hdsl.inference.exact.hyper import Hyper, hyper_at
from hdsl.inference.exact.marginal import Marginal
from hdsl.inference.exact.together import loads_of, raw_of, solve_factor, solve_together
from hdsl.passes import wide
from hdsl.passes.suffice import Statistics
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
AT_ONCE = 200
NEAR_ENOUGH = 1e-6
MOST_STEPS = 60


@dataclass(frozen=True)
class Parts:
    """Of what every precision consists, whatever the hyperparameters.

    Attributes
    ----------
    rows : tuple of sparse arrays, each (groups, q)
        The other columns of the finest grouping, by pseudo-row.
    roots : tuple of arrays, each (columns, columns)
        By variance class, a square root of the cross-products of what is left within the groups.
    """

    rows: tuple[wide.Sparse, ...]
    roots: tuple[Array, ...]


def parts_of(marginal: Marginal) -> Parts | None:
    """Return the parts of the precisions; None where the columns do not rest on one finest grouping alone."""
    from scipy.sparse import csr_array

    statistics = marginal.statistics
    finest = statistics.finest
    if finest is None or statistics.coarser:
        return None
    rows = finest.sparse or tuple(csr_array(finest.others[:, a]) for a in range(finest.own.shape[1]))
    return Parts(rows, tuple(_root(square[: statistics.columns]) for square in statistics.together))


def near_each_other(points: Array) -> list[Codes]:
    """Return the numbers of points (n, d) in pieces: those that differ least in what differs most."""
    order = np.argsort(points[:, int(np.argmax(points.std(axis=0)))], kind="stable")
    return [order[at : at + AT_ONCE] for at in range(0, len(order), AT_ONCE)]


def _root(square: Array) -> Array:
    """Return R with R R' = the leading square of a matrix (k, q), which may be singular."""
    from scipy.linalg.lapack import get_lapack_funcs

    size = len(square)
    (pivoted,) = get_lapack_funcs(("pstrf",), (square,))
    packed, pivot, rank, _ = pivoted(square[:, :size], lower=1)
    lower = np.tril(packed)
    lower[:, rank:] = 0.0
    found = np.empty_like(lower)
    found[pivot - 1] = lower
    return found


@dataclass(frozen=True)
class Precision:
    """The precision S of n draws, as sums of products that are never multiplied out.

    `weights` and `halves`, r by r lists of arrays (n, kinds): the weights of the pseudo-rows' products, and their
    square root. `of_group` tells the kind of each group.
    """

    statistics: Statistics
    parts: Parts
    loads: tuple[Array, ...]
    precision: Array
    weights: small.Rows
    halves: small.Rows
    of_group: Codes

    def at_groups(self, values: Array) -> Array:
        return values if values.shape[1] == 1 else values[:, self.of_group]

    def gram(self, raw: Array) -> Array:
        """Return the cross-products of all columns times raw coefficients, (n, q) to (n, columns)."""
        columns = self.statistics.columns
        found = np.zeros((len(raw), columns))
        some = np.flatnonzero(np.any(raw != 0, axis=0))
        whole = len(some) > columns // 2
        for weight, square in zip(self.precision.T, self.statistics.together, strict=True):
            product = raw @ square[:, :columns] if whole else raw[:, some] @ square[some, :columns]
            found += weight[:, None] * product
        said = [_times(table, raw) for table in self.parts.rows]
        for i, table in enumerate(self.parts.rows):
            pull = sum(self.at_groups(self.weights[max(i, j)][min(i, j)]) * row for j, row in enumerate(said))
            found += _transposed(table, np.asarray(pull))[:, :columns]
        return found

    def noise(self, rng: Generator) -> Array:
        """Return draws with the covariance S, (n, k)."""
        statistics, count = self.statistics, len(self.precision)
        columns = statistics.columns
        total = np.zeros((count, columns))
        for weight, root in zip(self.precision.T, self.parts.roots, strict=True):
            total += np.sqrt(weight)[:, None] * (rng.standard_normal((count, columns)) @ root.T)
        normal = [rng.standard_normal((count, len(self.of_group))) for _ in self.parts.rows]
        for j, table in enumerate(self.parts.rows):
            drawn = sum(self.at_groups(self.halves[i][j]) * normal[i] for i in range(j, len(normal)))
            total += _transposed(table, np.asarray(drawn))[:, :columns]
        own = self.turned(total)
        return own + rng.standard_normal(own.shape)

    def turned(self, raw: Array) -> Array:
        """Return load' times raw columns, (n, columns) to (n, k)."""
        parts = [raw[:, : len(self.statistics.fixed)]]
        for block, load in zip(self.statistics.blocks, self.loads, strict=True):
            units, entries = block.grouping.size, len(block.scales)
            piece = raw[:, block.start : block.start + units * entries].reshape(len(raw), units, entries)
            parts.append(small.times(load.transpose(0, 1, 3, 2), piece[..., None])[..., 0].reshape(len(raw), -1))
        return np.concatenate(parts, axis=1)

    def times(self, drawn: Array) -> Array:
        """Return S times vectors, (n, k)."""
        raw = raw_of(drawn, self.statistics, self.loads)
        none = np.zeros((len(drawn), 1 + self.statistics.offsets))
        return drawn + self.turned(self.gram(np.concatenate([raw, none], axis=1)))


def _times(table: wide.Sparse, raw: Array) -> Array:
    return np.ascontiguousarray((table @ np.ascontiguousarray(raw.T)).T)


def _transposed(table: wide.Sparse, values: Array) -> Array:
    return np.ascontiguousarray((table.T @ np.ascontiguousarray(values.T)).T)


def precision_of(marginal: Marginal, parts: Parts, hyper: Hyper, load: Array) -> Precision:
    """Return the precision of the columns integrated out together at n points; `load` is the finest grouping's."""
    statistics, kinds = marginal.statistics, marginal.kinds
    assert statistics.finest is not None
    assert kinds is not None
    own, classes = statistics.finest.own[kinds.first], statistics.finest.classes[kinds.first]
    root = roots(classes, hyper)
    inverse = small.inverse_factor(small.cholesky(covariance(own, load, root))[0])
    product, rank = small.from_inverse_factor(inverse), len(root)
    weights = [[product[i][j] * (root[i] * root[j]) for j in range(i + 1)] for i in range(rank)]
    halves = [[inverse[i][j] * root[j] for j in range(i + 1)] for i in range(rank)]
    loads = loads_of(marginal, hyper)
    return Precision(statistics, parts, loads, hyper.precision, weights, halves, kinds.of_group)


def drawn_together(
    marginal: Marginal, precision: Precision, hyper: Hyper, points: Array, rng: Generator
) -> Array | None:
    """Draw the columns that are integrated out together at points (n, d), of which `hyper` and `precision` are.

    Returns
    -------
    array, shape (n, k), or None
        In units of their standard normal draws. None where conjugate gradients do not come near enough: every
        direction within about `NEAR_ENOUGH` of its posterior standard deviation.
    """
    statistics = marginal.statistics
    middle = hyper_at(marginal.linear, np.median(points, axis=0, keepdims=True))
    factor = solve_together(marginal, middle, reduce_chain(marginal, middle)).factor
    if not np.all(np.isfinite(factor)):
        return None
    count = len(points)
    known = np.concatenate([np.zeros((count, statistics.columns)), np.ones((count, 1)), -hyper.offsets], axis=1)
    linear = precision.turned(precision.gram(known))
    linear -= statistics.middle
    return _solved(precision, linear + precision.noise(rng), factor)


def _solved(precision: Precision, wanted: Array, factor: Array) -> Array | None:
    """Return S^-1 times vectors (n, k) by preconditioned conjugate gradients, each vector with its own S.

    What is near S^-1 need not be exact: it is applied in single precision, in half the time; S itself is not.
    """
    short = factor.astype(np.float32)

    def near(vectors: Array) -> Array:
        half = solve_factor(short, vectors.astype(np.float32))
        return solve_factor(short, half, transposed=True).astype(np.float64)

    found, rest = np.zeros_like(wanted), wanted
    turned = near(rest)
    direction, size = turned, np.sum(rest * turned, axis=1)
    for _ in range(MOST_STEPS):
        if not np.all(np.isfinite(size)):
            return None
        done = size < NEAR_ENOUGH**2
        if np.all(done):
            return found
        moved = precision.times(direction)
        step = np.where(done, 0.0, size / np.maximum(np.sum(direction * moved, axis=1), 1e-300))[:, None]
        found = found + step * direction
        rest = rest - step * moved
        turned = near(rest)
        before, size = size, np.where(done, size, np.sum(rest * turned, axis=1))
        direction = np.where(done[:, None], 0.0, turned + (size / np.maximum(before, 1e-300))[:, None] * direction)
    return None
