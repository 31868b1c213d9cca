"""What is left within the groups, as pseudo-rows and a sum of squares for each variance class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.passes.marginal.scope import NotLinear
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
RANK_TOLERANCE = 1e-13
NOTHING = 1e-20
PERFECT = 1e-20


@dataclass(frozen=True)
class Within:
    """Pseudo-rows and sums of squares.

    Attributes
    ----------
    columns : array, shape (rows, q)
        Of all columns of the statistics, that of the outcome included.
    outcome : array, shape (rows,)
    classes : int array, shape (rows,)
        The variance class of each.
    squares, freedom : array, shape (sums,)
        Sums of squares that are left of the outcome, and their degrees of freedom.
    rest_classes : int array, shape (sums,)
        The variance class of each.
    """

    columns: Array
    outcome: Array
    classes: Codes
    squares: Array
    freedom: Array
    rest_classes: Codes


def within(together: Array, outcome: int, weight: Array, squares_before: Array) -> Within:
    """Return the pseudo-rows of cross-products.

    Parameters
    ----------
    together : array, shape (classes, q, q)
        Cross-products of predictors and outcome by variance class.
    outcome : int
        The outcome's column.
    weight : array, shape (classes,)
        How many rows the cross-products stand for.
    squares_before : array, shape (q,)
        Sums of squares of the columns before anything was taken out: what is left of nearly nothing is rounding error.

    Raises
    ------
    NotLinear
        The outcome is known without error, or weights are so small that degrees of freedom would be negative.
    """
    columns: list[Array] = []
    classes: list[int] = []
    squares: list[tuple[float, float, int]] = []
    for number, gram in enumerate(together):
        rows, left = _rows(gram, outcome, NOTHING * squares_before)
        freedom = float(weight[number]) - len(rows)
        columns.append(rows)
        classes += [number] * len(rows)
        if freedom < -1e-9:
            raise NotLinear("the weights are too small for sums of squares")
        if freedom > 1e-9:
            if left <= PERFECT * max(gram[outcome, outcome], 1e-300):
                raise NotLinear("the outcome is known without error from its predictors")
            squares.append((left, freedom, number))
    found = np.concatenate(columns) if columns else np.zeros((0, together.shape[1]))
    table = np.array(squares, dtype=np.float64).reshape(-1, 3)
    of_row = np.array(classes, dtype=np.int64)
    return Within(found, found[:, outcome], of_row, table[:, 0], table[:, 1], table[:, 2].astype(np.int64))


def _rows(gram: Array, outcome: int, nothing: Array) -> tuple[Array, float]:
    """Return rows with the given cross-products, as many as the predictors have ranks, and the squares left over."""
    others = np.delete(np.arange(len(gram)), outcome)
    used = others[np.diagonal(gram)[others] > nothing[others]]
    scale = np.sqrt(np.diagonal(gram)[used])
    values, vectors = np.linalg.eigh(gram[np.ix_(used, used)] / np.outer(scale, scale))
    kept = values > RANK_TOLERANCE * max(float(values.max(initial=0.0)), 1e-300)
    root = np.sqrt(values[kept])
    rows = np.zeros((int(kept.sum()), len(gram)))
    rows[:, used] = root[:, None] * vectors[:, kept].T * scale
    rows[:, outcome] = vectors[:, kept].T @ (gram[used, outcome] / scale) / root
    return rows, float(gram[outcome, outcome] - np.sum(rows[:, outcome] ** 2))
