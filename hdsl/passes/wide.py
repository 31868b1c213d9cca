"""Sufficient statistics of crossed groupings with many units: columns that are zero in most rows stay sparse.

What `suffice` does with dense columns, done with sparse ones: a rating knows one student and one lecturer, whatever
the number of lecturers. Everything beside the finest grouping is integrated out together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.structure import Grouping
from hdsl.reference.values import Array

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

Codes = NDArray[np.int64]
type Sparse = csr_array[Any, tuple[int, int]]
type ByColumn = csc_array[Any, tuple[int, int]]
ENTRIES_AT_MOST = 60_000_000


def spread_out(columns: Array, grouping: Grouping) -> Sparse:
    """Return the columns of a grouping with one copy for each unit, zero in the rows of other units."""
    from scipy.sparse import csr_array

    rows, count = columns.shape
    unit = np.zeros(rows, np.int64) if grouping.unit_of_row is None else grouping.unit_of_row
    places = unit[:, None] * count + np.arange(count)
    ends = np.arange(rows + 1) * count
    return csr_array((columns.reshape(-1), places.reshape(-1), ends), shape=(rows, grouping.size * count))


def side_by_side(parts: list[Array | Sparse], factor: Array) -> Sparse:
    """Return dense and sparse columns in one sparse table, its rows multiplied by a factor."""
    from scipy.sparse import csr_array, diags_array, hstack

    return csr_array(diags_array(factor) @ hstack([csr_array(part) for part in parts]))


def pseudo_rows(own: Array, others: Sparse, of_row: Codes, inverse: Array, vectors: Array) -> tuple[Sparse, Sparse]:
    """Return the other columns of the pseudo-rows, (cells * K, q), and what is left of them in the rows.

    Parameters
    ----------
    own : array, shape (rows, K)
        The own columns of the finest grouping, rows in order of cells.
    others : sparse array, shape (rows, q)
    of_row : int array, shape (rows,)
        The cell of each row.
    inverse, vectors : array, shapes (cells, K) and (cells, K, K)
        D^(-1/2), zero where a direction is left out, and Q, of the own columns' cross-products Q D Q' by cell.
    """
    from scipy.sparse import bsr_array, csr_array

    rows, count = own.shape
    cells = len(inverse)
    places = of_row[:, None] * count + np.arange(count)
    table = csr_array((own.reshape(-1), places.reshape(-1), np.arange(rows + 1) * count), shape=(rows, cells * count))
    blocks = inverse[:, :, None] * vectors.transpose(0, 2, 1)
    turn = csr_array(bsr_array((blocks, np.arange(cells), np.arange(cells + 1)), shape=(cells * count, cells * count)))
    columns = csr_array(turn @ (table.T @ others))
    left = csr_array(others - table @ (turn.T @ columns))
    return columns, left


def chosen(columns: Sparse, at: Codes, owner: Codes, groups: int) -> Sparse:
    """Return the rows `at` of a table as those of their owners, (groups, q); an owner has at most one."""
    from scipy.sparse import csr_array

    pick = csr_array((np.ones(len(at)), (owner, at)), shape=(groups, _height(columns)))
    return csr_array(pick @ columns)


def by_class(columns: Sparse, of_class: Codes | None, classes: int) -> Array:
    """Return the cross-products of columns over the rows of each class, (classes, q, q)."""
    from scipy.sparse import csr_array

    if of_class is None:
        return np.ascontiguousarray((columns.T @ columns).toarray())[None]
    parts = [csr_array(columns[np.flatnonzero(of_class == k)]) for k in range(classes)]
    return np.stack([np.asarray((part.T @ part).toarray()) for part in parts])


def products(rows: tuple[Sparse, ...], kind: Codes, kinds: int) -> ByColumn:
    """Return sums over the groups of a kind of products of their pseudo-rows' q columns.

    Returns
    -------
    sparse array, shape (q * q, kinds * pairs)
        By row and column, those above the diagonal zero; pairs of pseudo-rows (0, 0), (1, 0), (1, 1), ... Kept column
        by column: to weigh and add these takes a fifth of the time that it takes row by row.
    """
    from scipy.sparse import coo_array, csc_array

    pairs = [(i, j) for i in range(len(rows)) for j in range(i + 1)]
    wide = _width(rows[0])
    entries, columns, values = zip(
        *(_pair(rows[i], rows[j], kind * len(pairs) + at, i != j) for at, (i, j) in enumerate(pairs)), strict=True
    )
    index = (np.concatenate(entries), np.concatenate(columns))
    return csc_array(coo_array((np.concatenate(values), index), shape=(wide**2, kinds * len(pairs))))


def _pair(left: Sparse, right: Sparse, column: Codes, both_ways: bool) -> tuple[Codes, Codes, Array]:
    """Return the entries of the lower triangle, group by group, of the products of two pseudo-rows."""
    wide = _width(left)
    a, b, group, value = _crossed(left, right)
    if both_ways:
        a, b = np.concatenate([a, b]), np.concatenate([b, a])
        group, value = np.tile(group, 2), np.tile(value, 2)
    lower = a >= b
    return (a * wide + b)[lower], column[group[lower]], value[lower]


def _crossed(left: Sparse, right: Sparse) -> tuple[Codes, Codes, Codes, Array]:
    """Return every product of an entry of a row of `left` with one of the same row of `right`."""
    first, second = np.diff(left.indptr).astype(np.int64), np.diff(right.indptr).astype(np.int64)
    total = int(first @ second)
    if total > ENTRIES_AT_MOST:
        raise NotLinear(f"{total} products of effects that meet in a group")
    owner = np.repeat(np.arange(len(first)), first)
    times = second[owner]
    i = np.repeat(np.arange(len(left.indices)), times)
    within = np.arange(total) - np.repeat(np.cumsum(times) - times, times)
    j = right.indptr[:-1].astype(np.int64)[owner[i]] + within
    a, b = left.indices.astype(np.int64)[i], right.indices.astype(np.int64)[j]
    return a, b, owner[i], np.asarray(left.data[i] * right.data[j], dtype=np.float64)


def _height(table: Sparse) -> int:
    return cast("tuple[int, int]", table.shape)[0]


def _width(table: Sparse) -> int:
    return cast("tuple[int, int]", table.shape)[1]
