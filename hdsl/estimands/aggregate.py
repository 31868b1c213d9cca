"""Aggregates over units: the average, spread, quantiles or share of values, for each element of an index."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design.expr import Aggregate
from hdsl.estimands.rows import EstimandError, Values, row_values
from hdsl.estimands.strata import names_strata
from hdsl.reference.values import Array

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """Over which units an aggregate runs, and to which element of the index each belongs.

    Attributes
    ----------
    chosen : bool array, shape (rows,)
    unit_of : int array, shape (rows,), or None where each row is a unit
    cell_of_unit : int array, shape (units,)
        The cell of the index, from 0; all 0 without an index.
    weights : float array, shape (rows,)
    """

    bound: Bound
    rows: int
    chosen: NDArray[np.bool_]
    unit_of: Integers | None
    cell_of_unit: Integers
    cells: int
    weights: Array
    copies: int = 1

    def in_parts(self, parts: int) -> Units:
        """Return the same units with each row in so many parts, of weight 1."""
        if parts == 1:
            return self
        by_row = self.unit_of is None
        return replace(
            self,
            rows=self.rows * parts,
            chosen=np.repeat(self.chosen, parts),
            unit_of=None if self.unit_of is None else np.repeat(self.unit_of, parts),
            cell_of_unit=np.repeat(self.cell_of_unit, parts) if by_row else self.cell_of_unit,
            weights=np.ones(self.rows * parts),
        )

    def repeated(self, number: int) -> Units:
        """Return rows that are units as so many copies of all of them, one after the other."""
        return replace(
            self,
            rows=self.rows * number,
            chosen=np.tile(self.chosen, number),
            cell_of_unit=np.tile(self.cell_of_unit, number),
            weights=np.tile(self.weights, number),
            copies=number,
        )

    def row_value(self, node: study.Ref) -> Values:
        """Return a covariate's value for each row."""
        found = row_values(self.bound, node)
        return found if self.copies == 1 or found.ndim == 0 else np.tile(found, self.copies)


def units_of(bound: Bound, node: Aggregate, index: tuple[str, ...]) -> Units:
    """Return the units of an aggregate within a study's data."""
    rows = bound.rows
    chosen = np.ones(rows, np.bool_)
    if node.where is not None and not names_strata(bound, node.where):
        chosen = np.broadcast_to(row_values(bound, node.where), (rows,)).astype(np.bool_)
    if not chosen.any():
        raise EstimandError("HDM501", f"No {node.over} in the data meets the `where` of the estimand.")
    level = bound.levels[node.over]
    by_row = node.over == bound.row or (level.size == rows and bound.frequency is None)
    cells, cell_of_row = _cells(bound, index)
    cell_of_unit = cell_of_row if by_row else cell_of_row[level.first_rows]
    return Units(bound, rows, chosen, None if by_row else level.rows, cell_of_unit, cells, weights_of(bound))


def _cells(bound: Bound, index: tuple[str, ...]) -> tuple[int, Integers]:
    cells, codes = 1, np.zeros(bound.rows, np.int64)
    for name in index:
        level = bound.levels[name]
        codes = codes * level.size + level.rows
        cells *= level.size
    return cells, codes


def weights_of(bound: Bound) -> Array:
    """Return the weights of the rows, 1 without a weight; where they were summed up, the rows they stand for."""
    if bound.frequency is not None:
        return bound.frequency
    for variable in bound.variables.values():
        if variable.role == "weight":
            return bound.at_rows(variable.level, variable.values).astype(np.float64)
    return np.ones(bound.rows)


def _sums(values: Array, codes: Integers, size: int) -> Array:
    """Return the sums of columns by code: (draws, rows) to (draws, size)."""
    from scipy.sparse import csr_matrix

    rows = len(codes)
    where = csr_matrix((np.ones(rows), (codes, np.arange(rows))), shape=(size, rows))
    return np.asarray((where @ values.T).T)


def aggregate(
    values: Array, units: Units, node: Aggregate, drawn: NDArray[np.bool_] | NDArray[np.int64] | None = None
) -> Array:
    """Return the aggregate of values by draw and cell: (draws, rows) to (draws,) or (draws, cells).

    `drawn`, shape (draws, rows): how often each row counts in each draw, where that differs between draws.
    """
    weights = units.weights * units.chosen
    data = np.asarray(values, dtype=np.float64)
    if drawn is not None:
        return _by_draw(data, weights * drawn, units, node)
    if units.unit_of is not None:
        size = len(units.cell_of_unit)
        total = np.bincount(units.unit_of, weights, minlength=size)
        means = _sums(data * weights, units.unit_of, size)
        with np.errstate(all="ignore"):
            data = means / total
        present = total > 0
        data, cells, weights = data[:, present], units.cell_of_unit[present], np.ones(int(present.sum()))
    else:
        data, cells, weights = data[:, units.chosen], units.cell_of_unit[units.chosen], weights[units.chosen]
    found = _statistic(data, cells, weights, units.cells, node)
    return found[:, 0] if units.cells == 1 else found


def _by_draw(data: Array, weights: Array, units: Units, node: Aggregate) -> Array:
    """Return the aggregate where the units that count differ between draws; NaN in draws without any."""
    cells = units.cell_of_unit
    if units.unit_of is not None:
        size = len(cells)
        total = _sums(weights, units.unit_of, size)
        with np.errstate(all="ignore"):
            data = np.where(total > 0, _sums(data * weights, units.unit_of, size) / total, 0.0)
        weights = (total > 0).astype(np.float64)
    if node.aggregate in ("average", "share"):
        with np.errstate(all="ignore"):
            found = _sums(data * weights, cells, units.cells) / _sums(weights, cells, units.cells)
    else:
        rows = [_one_draw(d, w, cells, units.cells, node) for d, w in zip(data, weights, strict=True)]
        found = np.concatenate(rows)
    return found[:, 0] if units.cells == 1 else found


def _one_draw(data: Array, weights: Array, cells: Integers, size: int, node: Aggregate) -> Array:
    present = weights > 0
    return _statistic(data[None, present], cells[present], weights[present], size, node)


def _statistic(data: Array, cells: Integers, weights: Array, size: int, node: Aggregate) -> Array:
    if node.aggregate in ("average", "share"):
        return _mean(data, cells, weights, size)
    if node.aggregate in ("sd", "variance"):
        middle = _mean(data, cells, weights, size)
        spread = _mean((data - middle[:, cells]) ** 2, cells, weights, size)
        return np.sqrt(spread) if node.aggregate == "sd" else spread
    q = 0.5 if node.aggregate == "median" else float(node.probability or 0.0)
    return _quantiles(data, cells, weights, size, q)


def _mean(data: Array, cells: Integers, weights: Array, size: int) -> Array:
    total = np.bincount(cells, weights, minlength=size)
    with np.errstate(all="ignore"):
        if size == 1:
            return (data @ weights / total)[:, None]
        return _sums(data * weights, cells, size) / total


def _quantiles(data: Array, cells: Integers, weights: Array, size: int, q: float) -> Array:
    """Return quantiles by cell: of the distribution that gives each unit its weight."""
    found = np.full((data.shape[0], size), np.nan)
    equal = bool(np.all(weights == weights[0])) if len(weights) else True
    for cell in range(size):
        inside = cells == cell
        if not inside.any():
            continue
        part = data[:, inside]
        found[:, cell] = np.quantile(part, q, axis=1) if equal else _weighted(part, weights[inside], q)
    return found


def _weighted(data: Array, weights: Array, q: float) -> Array:
    order = np.argsort(data, axis=1)
    running = np.cumsum(weights[order], axis=1)
    place = np.argmax(running >= q * running[:, -1:], axis=1)
    return np.take_along_axis(data, np.take_along_axis(order, place[:, None], axis=1), axis=1)[:, 0]
