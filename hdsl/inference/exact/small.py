"""Many small matrices at once: Cholesky factors and their inverses, written out over the entries.

A matrix of r rows is a list of lists of arrays, entry (i, j) of all matrices in one array; above `WRITTEN_OUT` rows
it is left to LAPACK.
"""

from __future__ import annotations

import numpy as np

from hdsl.reference.values import Array

WRITTEN_OUT = 4
Rows = list[list[Array]]


def cholesky(matrix: Rows) -> tuple[Rows, Array]:
    """Return the lower Cholesky factors and the log determinants of symmetric matrices (lower entries given)."""
    if len(matrix) > WRITTEN_OUT:
        return _by_lapack(matrix)
    factor: Rows = []
    log_determinant: Array | float = 0.0
    for i, row in enumerate(matrix):
        made: list[Array] = []
        for j in range(i + 1):
            rest = row[j]
            for k in range(j):
                rest = rest - made[k] * (made[k] if i == j else factor[j][k])
            made.append(np.sqrt(rest) if i == j else rest / factor[j][j])
        log_determinant = log_determinant + np.log(made[i])
        factor.append(made)
    return factor, 2 * np.asarray(log_determinant)


def _by_lapack(matrix: Rows) -> tuple[Rows, Array]:
    full = stacked(matrix, symmetric=True)
    bad = ~np.all(np.isfinite(full), axis=(-2, -1))
    full[bad] = np.eye(len(matrix))
    factor = np.linalg.cholesky(full)
    factor[bad] = np.nan
    found = [[factor[..., i, j] for j in range(i + 1)] for i in range(len(matrix))]
    return found, 2 * np.sum(np.log(np.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


def entries(matrices: Array) -> Rows:
    """Return the lower entries of matrices (..., r, r)."""
    return [[matrices[..., i, j] for j in range(i + 1)] for i in range(matrices.shape[-1])]


def times(left: Array, right: Array) -> Array:
    """Return the products of matrices (..., r, n) and (..., n, c), as `@` does, which is slow where they are small."""
    inner = left.shape[-1]
    if inner > WRITTEN_OUT:
        return left @ right
    found = left[..., :, 0, None] * right[..., None, 0, :]
    for place in range(1, inner):
        found += left[..., :, place, None] * right[..., None, place, :]
    return found


def inverse_factor(factor: Rows) -> Rows:
    """Return the inverses of lower triangular matrices."""
    count = len(factor)
    found: Rows = []
    for i in range(count):
        row: list[Array] = []
        for j in range(i):
            total = factor[i][j] * found[j][j]
            for k in range(j + 1, i):
                total = total + factor[i][k] * found[k][j]
            row.append(-total / factor[i][i])
        row.append(1 / factor[i][i])
        found.append(row)
    return found


def from_inverse_factor(inverse: Rows) -> Rows:
    """Return the lower entries of (L L')^-1, given L^-1."""
    count = len(inverse)
    found: Rows = []
    for i in range(count):
        row: list[Array] = []
        for j in range(i + 1):
            total = inverse[i][i] * inverse[i][j]
            for k in range(i + 1, count):
                total = total + inverse[k][i] * inverse[k][j]
            row.append(total)
        found.append(row)
    return found


def stacked(matrix: Rows, *, symmetric: bool = False) -> Array:
    """Return lower entries as arrays (..., r, r), zero above the diagonal unless symmetric."""
    count = len(matrix)
    shape = np.broadcast_shapes(*(entry.shape for row in matrix for entry in row))
    full = np.zeros((*shape, count, count))
    for i in range(count):
        for j in range(i + 1):
            full[..., i, j] = matrix[i][j]
            if symmetric:
                full[..., j, i] = matrix[i][j]
    return full
