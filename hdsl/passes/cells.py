"""Rows that the density cannot tell apart become one cell that counts as often as there are such rows.

Rows whose likelihood rests on the same data have the same likelihood, whatever the parameters. Successes of binary
outcomes and of binomial ones add up to one binomial outcome of the cell, counts of a Poisson outcome to one Poisson
outcome whose mean is the sum of the rows' (exposures add up too); rows of all other outcomes must have the same
outcome as well, and the cell's log likelihood is weighted by their number, or by the sum of their weights. So are
terms of the log density that stand for a row each, such as sums over the kinds (strata, values in gaps) it may be of.

Preserves the log density exactly, up to a constant where outcomes are added up: that of a binomial or multinomial
coefficient, which no parameter bears on (`log_constant`). The plain model remains for what is said of single rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Definition,
    Dims,
    Expr,
    IndexSet,
    Model,
    ModelData,
    RandomVariable,
    Reported,
    Slot,
    references,
)
from hdsl.model.names import fresh
from hdsl.model.walk import applications, needed
from hdsl.passes.cell_sums import Plan, added_up, expressions_of, factors_of_rows, plan_of, weighted
from hdsl.reference.values import AnyArray, Array

Codes = NDArray[np.int64]
LEAST_ROWS = 500
SHARE = 0.5
LEFT_ALONE = frozenset({"normal", "lognormal"})
ALONG = frozenset(
    {"sum", "mean", "log_sum_exp", "log_softmax", "cumulative_sum", "dot", "column", "cholesky", "gather"}
)
MOST_CODES = 2**60


@dataclass(frozen=True)
class Celled:
    """A model over cells.

    Attributes
    ----------
    model, data
        The model and its arrays, in which cells stand in place of rows.
    of_row : int array, shape (rows,)
        The cell of each row of the model before.
    cells : int
    log_constant : float
        By how much its log density exceeds that of the model before.
    """

    model: Model
    data: ModelData
    of_row: Codes
    cells: int
    log_constant: float


def cells(model: Model, data: ModelData) -> tuple[Model, ModelData]:
    """Return a model from which data-only definitions were taken out over cells, where that makes it much smaller.

    The same model where it has fewer than `LEAST_ROWS` rows or more than `SHARE` of them are distinct.
    """
    found = celled(model, data)
    return (model, data) if found is None else (found.model, found.data)


def celled(model: Model, data: ModelData, least: int = LEAST_ROWS, share: float = SHARE) -> Celled | None:
    """Return a model over cells; None where rows are told apart by more than data, or too few are the same."""
    rows = model.sizes.get(model.unit, 0)
    if rows < least or not _each_by_itself(model):
        return None
    lean = _lean(model)
    plan = plan_of(lean)
    key = [lean.slot(name) for name in sorted(_read(lean)) if name in plan.key_of(lean)]
    codes = distinct((_by_row(slot, lean.unit, data) for slot in key), rows, int(share * rows))
    return None if codes is None else _over_cells(lean, data, plan, *codes)


def distinct(columns: Iterable[AnyArray], rows: int, most: int) -> tuple[Codes, Codes] | None:
    """Return which distinct row each row is, and the first of each; None where there are more than `most`.

    Parameters
    ----------
    columns : iterable of array, shape (rows, ...)
    """
    code, size = np.zeros(rows, np.int64), 1
    for column in columns:
        for each in column.reshape(rows, -1).T:
            own, count = _codes(each)
            if size * count > MOST_CODES:
                code, size = _ranked(code)
            code, size = code * count + own, size * count
        if size > rows:
            code, size = _ranked(code)
            if size > most:
                return None
    _, first, code = np.unique(code, return_index=True, return_inverse=True)
    return None if len(first) > most else (code.reshape(-1).astype(np.int64), first)


def _ranked(values: AnyArray) -> tuple[Codes, int]:
    """Return the values as numbers from 0, and how many there are."""
    found, codes = np.unique(values, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), len(found)


def _codes(values: AnyArray) -> tuple[Codes, int]:
    """Return the values as numbers from 0, and how many there are at most."""
    if values.dtype.kind in "iub":
        low, high = int(values.min()), int(values.max())
        if high - low < 2 * len(values):
            return values.astype(np.int64) - low, high - low + 1
    return _ranked(values)


def _each_by_itself(model: Model) -> bool:
    """Return whether rows go into the density one by one, and with data only."""
    unit = model.unit
    if any(unit in variable.dims for variable in model.variables):
        return False
    if not model.observations and not factors_of_rows(model):
        return False
    for each in model.observations:
        odd = each.mixture is not None or each.sequence is not None or each.rows is not None
        if odd or each.dims != (unit,) or each.law.distribution in LEFT_ALONE:
            return False
    wanted = needed(model)
    if any(slot.indexes == unit for slot in model.slots if slot.name in wanted):
        return False
    scope = model.dims_of()
    if any(unit in dims for factor in model.factors if (dims := dims_of(factor.value, scope)) != (unit,)):
        return False
    return not any(_along(expr, unit) for expr in expressions_of(model, wanted))


def _along(expr: Expr, unit: str) -> bool:
    return any(node.function in ALONG and unit in node.static for node in applications(expr))


def _lean(model: Model) -> Model:
    """Return the model without what rests on rows but bears on nothing in the density."""
    wanted = needed(model)
    gone = {slot.name for slot in model.slots if model.unit in slot.dims and slot.name not in wanted}
    kept: list[RandomVariable | Definition] = []
    for statement in model.statements:
        unread = isinstance(statement, Definition) and statement.name not in wanted
        if (
            isinstance(statement, Definition)
            and unread
            and (model.unit in statement.dims or references(statement.value) & gone)
        ):
            gone.add(statement.name)
        else:
            kept.append(statement)
    scope = model.dims_of()

    def stays(each: Reported) -> bool:
        names = references(each.value)
        return names <= scope.keys() and not names & gone and not any(model.unit in scope[name] for name in names)

    return model.model_copy(
        update={
            "statements": tuple(kept),
            "slots": tuple(slot for slot in model.slots if slot.name not in gone),
            "reported": tuple(each for each in model.reported if stays(each)),
            "margins": (),
        }
    )


def _read(model: Model) -> frozenset[str]:
    """Return the slots over the rows that the density reads."""
    wanted = needed(model)
    return frozenset(slot.name for slot in model.slots if model.unit in slot.dims and slot.name in wanted)


def _by_row(slot: Slot, unit: str, data: ModelData) -> AnyArray:
    """Return a slot's values with the rows first; adding zero makes -0 and 0 the same."""
    values: AnyArray = np.moveaxis(data.values[slot.name], slot.dims.index(unit), 0)
    return values + 0


def _over_cells(model: Model, data: ModelData, plan: Plan, of_row: Codes, first: Codes) -> Celled:
    unit, size = model.unit, len(first)
    dim = fresh(f"{unit}_cells", {*model.sizes, *model.dims_of()})
    slots: list[Slot] = []
    values: dict[str, Array | Codes] = {}
    for slot in model.slots:
        array = data.values[slot.name]
        slots.append(slot.model_copy(update={"dims": _renamed(slot.dims, unit, dim)}))
        values[slot.name] = array[(slice(None),) * slot.dims.index(unit) + (first,)] if unit in slot.dims else array
    summed = added_up if plan.added else weighted
    model, more, constant = summed(model, data, plan, of_row, size, dim)
    made = {slot.name: slot for slot in slots} | {slot.name: slot for slot, _ in more}
    values |= {slot.name: array for slot, array in more}
    label = f"cells of {unit}"
    sets = [s if s.name != unit else IndexSet(name=dim, size=size, kind="cells", label=label) for s in model.index_sets]
    moved = tuple(
        s.model_copy(update={"dims": _renamed(s.dims, unit, dim)}) if isinstance(s, Definition) else s
        for s in model.statements
    )
    changes = {"unit": dim, "index_sets": tuple(sets), "slots": tuple(made.values()), "statements": moved}
    coords = {name: labels for name, labels in data.coords.items() if name != unit}
    coords[dim] = [str(place + 1) for place in range(size)]
    return Celled(model.model_copy(update=changes), ModelData(values, coords), of_row, size, constant)


def _renamed(dims: Dims, old: str, new: str) -> Dims:
    return tuple(new if dim == old else dim for dim in dims)
