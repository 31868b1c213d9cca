"""The columns that are integrated out together: coefficients, and groupings that cross the chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.exact.chain import Reduced
from hdsl.inference.exact.hyper import Hyper, loading
from hdsl.inference.exact.marginal import Marginal
from hdsl.passes.suffice import Statistics
from hdsl.reference.values import Array

LARGE = 200


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
    loads = loads_of(marginal, hyper)
    count, columns = len(reduced.gram), statistics.columns
    signs = np.concatenate([np.ones((count, 1)), -hyper.offsets], axis=1)
    left = reduced.gram[:, :columns]
    linear = np.einsum("bij,bj->bi", left[:, :, columns:], signs)
    square = np.einsum("bi,bij,bj->b", signs, reduced.gram[:, columns:, columns:], signs)
    matrix, vector = _whitened(left[:, :, :columns], linear, statistics, loads)
    vector -= statistics.middle
    size = matrix.shape[1]
    matrix[:, np.arange(size), np.arange(size)] += 1.0
    factor = large_factors(matrix) if size >= LARGE else _finite_factors(matrix, vector)
    pull = solve_factor(factor, vector) if size else vector
    rest = square + np.sum(statistics.middle**2) - np.sum(pull**2, axis=1)
    log_determinant = 2 * np.sum(np.log(np.diagonal(factor, axis1=1, axis2=2)), axis=1)
    return Together(factor, pull, rest, log_determinant, loads)


def loads_of(marginal: Marginal, hyper: Hyper) -> tuple[Array, ...]:
    """Return by what standard normal draws enter the columns of each block, (b, units or 1, columns, draws)."""
    blocks = marginal.statistics.blocks
    return tuple(loading(block.grouping, block.scales, hyper, marginal.linear) for block in blocks)


def _whitened(square: Array, linear: Array, statistics: Statistics, loads: tuple[Array, ...]) -> tuple[Array, Array]:
    """Return load' square load, of which the lower triangle is right, and load' linear: (b, k, k) and (b, k)."""
    if all(load.shape[2:] == (1, 1) for load in loads):
        parts = [np.ones((len(linear), len(statistics.fixed)))]
        for block, load in zip(statistics.blocks, loads, strict=True):
            parts.append(np.broadcast_to(load[:, :, 0, 0], (len(linear), block.grouping.size)))
        scale = np.concatenate(parts, axis=1)
        matrix = square * scale[:, :, None]
        matrix *= scale[:, None, :]
        return matrix, linear * scale
    lower = np.tril(square)
    square = lower + np.tril(lower, -1).transpose(0, 2, 1)
    half = loaded(np.concatenate([square, linear[:, :, None]], axis=2), statistics, loads)
    turned = loaded(half[:, :, :-1].transpose(0, 2, 1), statistics, loads)
    return np.ascontiguousarray(turned), half[:, :, -1].copy()


def large_factors(matrix: Array) -> Array:
    """Replace symmetric matrices (b, k, k), of which the lower triangles count, by their Cholesky factors.

    LAPACK is called as it is: NumPy copies to and fro, which takes as long again.
    """
    from scipy.linalg.lapack import get_lapack_funcs

    (potrf,) = get_lapack_funcs(("potrf",), (matrix,))
    for each in matrix:
        made, problem = potrf(each.T, lower=0, clean=1, overwrite_a=1)
        if problem:
            each[:] = np.nan
        elif not np.may_share_memory(made, each):
            each[:] = made.T
    return matrix


def _finite_factors(matrix: Array, vector: Array) -> Array:
    """Return Cholesky factors; NaN where a matrix or its vector is no number, or it is not positive definite."""
    bad = ~(np.all(np.isfinite(matrix), axis=(1, 2)) & np.all(np.isfinite(vector), axis=1))
    matrix[bad] = np.eye(matrix.shape[1])
    factor = _factors(matrix)
    factor[bad] = np.nan
    return factor


def _factors(matrix: Array) -> Array:
    """Return Cholesky factors; NaN where a matrix is not positive definite."""
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        if len(matrix) == 1:
            return np.full(matrix.shape, np.nan)
        return np.concatenate([_factors(each[None]) for each in matrix])


def solve_factor[T: np.floating](factor: NDArray[T], vector: NDArray[T], transposed: bool = False) -> NDArray[T]:
    """Return factor^-1 vector, or that of the transposed factor, for lower triangles (b or 1, k, k) and (b, k)."""
    if not np.all(np.isfinite(factor)):
        factor = np.where(np.isfinite(factor), factor, np.eye(factor.shape[1]))
    if factor.shape[1] < LARGE:
        turned = factor.transpose(0, 2, 1) if transposed else factor
        return _solved(turned, vector)
    from scipy.linalg import solve_triangular

    trans = int(transposed)

    def solved(own: NDArray[T], right: NDArray[T]) -> NDArray[T]:
        return np.asarray(solve_triangular(own, right, lower=True, trans=trans, check_finite=False))

    if len(factor) == 1:
        return np.ascontiguousarray(solved(factor[0], vector.T).T)
    return np.stack([solved(each, own) for each, own in zip(factor, vector, strict=True)])


def _solved[T: np.floating](matrix: NDArray[T], vector: NDArray[T]) -> NDArray[T]:
    """Return matrix^-1 vector for (b or 1, k, k) and (b, k); NaN where the numbers of a matrix overflow."""
    try:
        return np.asarray(np.linalg.solve(matrix, vector[..., None])[..., 0], vector.dtype)
    except np.linalg.LinAlgError:
        if len(vector) == 1:
            return np.full(vector.shape, np.nan)
        matrix = np.broadcast_to(matrix, (len(vector), *matrix.shape[1:]))
        return np.concatenate([_solved(m[None], v[None]) for m, v in zip(matrix, vector, strict=True)])


def loaded(columns: Array, statistics: Statistics, loads: tuple[Array, ...]) -> Array:
    """Return load' times columns, (b, raw columns, n) to (b, standard normal draws, n)."""
    parts = [columns[:, : len(statistics.fixed)]]
    count, _, wide = columns.shape
    for block, load in zip(statistics.blocks, loads, strict=True):
        units, entries = block.grouping.size, len(block.scales)
        piece = columns[:, block.start : block.start + units * entries].reshape(count, units, entries, wide)
        parts.append((load.transpose(0, 1, 3, 2) @ piece).reshape(count, -1, wide))
    return np.concatenate(parts, axis=1)


def raw_of(drawn: Array, statistics: Statistics, loads: tuple[Array, ...]) -> Array:
    """Return the raw coefficients of standard normal draws, (b, k) to (b, raw columns)."""
    at, count = len(statistics.fixed), len(drawn)
    parts = [drawn[:, :at]]
    for block, load in zip(statistics.blocks, loads, strict=True):
        units, each = block.grouping.size, load.shape[3]
        piece = drawn[:, at : at + units * each].reshape(count, units, each)
        at += units * each
        parts.append(small.times(load, piece[..., None])[..., 0].reshape(count, -1))
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Diagonal:
    """The columns integrated out together in the basis in which they are independent, at b points.

    `mean` and `precision` (b, k); `rest` and `log_determinant` (b,).
    """

    mean: Array
    precision: Array
    rest: Array
    log_determinant: Array


def solve_diagonal(marginal: Marginal, hyper: Hyper) -> Diagonal:
    """Integrate out coefficients of known scale where one residual variance is all that is unknown."""
    statistics = marginal.statistics
    assert marginal.diagonal is not None
    values, vectors = marginal.diagonal
    gram, size, weight = statistics.together[0], len(values), hyper.precision
    pull = weight * (vectors.T @ gram[:size, size]) - vectors.T @ statistics.middle
    precision = 1 + weight * values
    mean = pull / precision
    rest = weight[:, 0] * gram[size, size] + np.sum(statistics.middle**2) - np.sum(pull * mean, axis=1)
    return Diagonal(mean, precision, rest, np.sum(np.log(precision), axis=1))
