"""Rows that the density cannot tell apart become one cell that counts as often as there are such rows.

Rows whose likelihood rests on the same data have the same likelihood, whatever the parameters. Successes of binary
outcomes and of binomial ones add up to one binomial outcome of the cell, counts of a Poisson outcome to one Poisson
outcome whose mean is the sum of the rows' (exposures add up too); rows of all other outcomes must have the same
outcome as well, and the cell's log likelihood is weighted by their number, or by the sum of their weights.

Preserves the log density exactly, up to a constant where outcomes are added up: that of a binomial or multinomial
coefficient, which no parameter bears on (`log_constant`). The plain model remains for what is said of single rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Apply,
    Const,
    Definition,
    Dims,
    Expr,
    IndexSet,
    Law,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    Reported,
    Slot,
    Var,
    add,
    references,
    var,
)
from hdsl.model.names import fresh
from hdsl.model.walk import applications, needed
from hdsl.reference.values import AnyArray, Array

Codes = NDArray[np.int64]
LEAST_ROWS = 500
SHARE = 0.5
ADDED_UP: Mapping[str, str] = {
    "bernoulli": "binomial",
    "bernoulli_logit": "binomial_logit",
    "binomial": "binomial",
    "binomial_logit": "binomial_logit",
    "poisson_log": "poisson_log",
}
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
    plan = _plan(lean)
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


@dataclass(frozen=True)
class _Plan:
    """Whether outcomes are added up; `trials` and `offset` are slots that are added up with them."""

    added: bool
    trials: str | None = None
    offset: str | None = None

    def key_of(self, model: Model) -> frozenset[str]:
        """Return the slots whose values rows of one cell share."""
        own = {slot.name for slot in model.slots if model.unit in slot.dims}
        summed = {o.slot for o in model.observations} if self.added else _weights(model)
        return frozenset(own - summed - {self.trials, self.offset})


def _each_by_itself(model: Model) -> bool:
    """Return whether rows go into the density one by one, and with data only."""
    unit = model.unit
    if any(unit in variable.dims for variable in model.variables) or not model.observations:
        return False
    for each in model.observations:
        odd = each.mixture is not None or each.sequence is not None or each.rows is not None
        if odd or each.dims != (unit,) or each.law.distribution in LEFT_ALONE:
            return False
    wanted = needed(model)
    if any(slot.indexes == unit for slot in model.slots if slot.name in wanted):
        return False
    scope = model.dims_of()
    if any(unit in dims_of(factor.value, scope) for factor in model.factors):
        return False
    return not any(_along(expr, unit) for expr in _expressions(model, wanted))


def _along(expr: Expr, unit: str) -> bool:
    return any(node.function in ALONG and unit in node.static for node in applications(expr))


def _expressions(model: Model, wanted: frozenset[str]) -> Iterator[Expr]:
    for statement in model.statements:
        if isinstance(statement, Definition):
            if statement.name in wanted:
                yield statement.value
        else:
            yield from statement.law.args
    for observation in model.observations:
        yield from observation.law.args
    for factor in model.factors:
        yield factor.value


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


def _plan(model: Model) -> _Plan:
    """Return whether the outcomes of rows can be added up, and which slots with them."""
    observation = model.observations[0]
    law = observation.law
    plain = len(model.observations) == 1 and observation.weight is None and observation.event is None
    uses = _uses(model)
    if not plain or law.distribution not in ADDED_UP or uses.get(observation.slot):
        return _Plan(False)
    if law.distribution == "poisson_log":
        return _Plan(True, offset=_offset(law.args[0], model, uses))
    if not law.distribution.startswith("binomial"):
        return _Plan(True)
    trials = law.args[0]
    if isinstance(trials, Const):
        return _Plan(True)
    alone = isinstance(trials, Var) and uses[trials.name] == 1 and _is_slot(model, trials.name)
    return _Plan(True, trials=trials.name) if isinstance(trials, Var) and alone else _Plan(False)


def _weights(model: Model) -> set[str]:
    """Return the slots of weights that are nothing else."""
    uses = _uses(model)
    return {o.weight for o in model.observations if o.weight is not None and not uses.get(o.weight)}


def _uses(model: Model) -> dict[str, int]:
    """Return in how many places each name stands."""
    found: dict[str, int] = {}
    for expr in _expressions(model, frozenset(d.name for d in model.definitions)):
        waiting = [expr]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Var):
                found[node.name] = found.get(node.name, 0) + 1
            elif isinstance(node, Apply):
                waiting.extend(node.args)
    return found


def _is_slot(model: Model, name: str) -> bool:
    return any(slot.name == name and slot.dims == (model.unit,) for slot in model.slots)


def _offset(expr: Expr, model: Model, uses: Mapping[str, int]) -> str | None:
    """Return a slot over the rows that is a summand of an expression, and stands nowhere else."""
    if isinstance(expr, Var):
        if uses[expr.name] != 1:
            return None
        if _is_slot(model, expr.name):
            return expr.name
        definition = next((d for d in model.definitions if d.name == expr.name), None)
        return None if definition is None else _offset(definition.value, model, uses)
    if isinstance(expr, Apply) and expr.function in ("add", "sub"):
        args = expr.args if expr.function == "add" else expr.args[:1]
        return next((found for arg in args if (found := _offset(arg, model, uses)) is not None), None)
    return None


def _by_row(slot: Slot, unit: str, data: ModelData) -> AnyArray:
    """Return a slot's values with the rows first; adding zero makes -0 and 0 the same."""
    values: AnyArray = np.moveaxis(data.values[slot.name], slot.dims.index(unit), 0)
    return values + 0


def _over_cells(model: Model, data: ModelData, plan: _Plan, of_row: Codes, first: Codes) -> Celled:
    unit, size = model.unit, len(first)
    dim = fresh(f"{unit}_cells", {*model.sizes, *model.dims_of()})
    slots: list[Slot] = []
    values: dict[str, Array | Codes] = {}
    for slot in model.slots:
        array = data.values[slot.name]
        slots.append(slot.model_copy(update={"dims": _renamed(slot.dims, unit, dim)}))
        values[slot.name] = array[(slice(None),) * slot.dims.index(unit) + (first,)] if unit in slot.dims else array
    summed = _added_up if plan.added else _weighted
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


Made = tuple[Model, list[tuple[Slot, Array | Codes]], float]


def _weighted(model: Model, data: ModelData, plan: _Plan, of_row: Codes, size: int, dim: str) -> Made:
    """Return the model whose cells are weighted by their rows."""
    more: list[tuple[Slot, Array | Codes]] = []
    taken = {*model.dims_of(), *model.sizes, dim}
    observations: list[Observation] = []
    kept = _weights(model)
    for each in model.observations:
        own = None if each.weight is None else np.asarray(data.values[each.weight], dtype=np.float64)
        total = np.bincount(of_row, own, minlength=size).astype(np.float64)
        name = each.weight if each.weight in kept else fresh(f"rows_of_{dim}", taken)
        source = "rows of each cell" if own is None else "sum of the weights of the rows of each cell"
        more.append((Slot(name=name, dims=(dim,), source=source), total))
        taken.add(name)
        observations.append(each.model_copy(update={"dims": (dim,), "weight": name}))
    return model.model_copy(update={"observations": tuple(observations)}), more, 0.0


def _added_up(model: Model, data: ModelData, plan: _Plan, of_row: Codes, size: int, dim: str) -> Made:
    """Return the model whose cells have the sums of their rows' outcomes."""
    (observation,) = model.observations
    y = np.asarray(data.values[observation.slot], dtype=np.int64)
    total = np.bincount(of_row, y, minlength=size).round().astype(np.int64)
    outcome = model.slot(observation.slot).model_copy(
        update={"dims": (dim,), "source": f"sum of {observation.outcome} in each cell"}
    )
    arrange = _poisson if observation.law.distribution == "poisson_log" else _binomial
    law, own, constant = arrange(model, data, plan, of_row, total, y, dim)
    made = observation.model_copy(update={"dims": (dim,), "law": law})
    return model.model_copy(update={"observations": (made,)}), [(outcome, total), own], constant


Arranged = tuple[Law, tuple[Slot, Array | Codes], float]


def _binomial(model: Model, data: ModelData, plan: _Plan, of_row: Codes, total: Codes, y: Codes, dim: str) -> Arranged:
    law = model.observations[0].law
    trials = np.ones(len(y), np.int64)
    if law.distribution.startswith("binomial"):
        given = law.args[0]
        trials = (
            trials * int(given.value)
            if isinstance(given, Const)
            else np.asarray(data.values[str(plan.trials)], np.int64)
        )
    whole = np.bincount(of_row, trials, minlength=len(total)).round().astype(np.int64)
    name = plan.trials or fresh(f"{model.observations[0].slot}_trials", {*model.dims_of(), *model.sizes, dim})
    slot = Slot(name=name, dims=(dim,), dtype="int", source="trials in each cell")
    args = (var(name), law.args[-1])
    constant = float(np.sum(_log_choose(whole, total)) - np.sum(_log_choose(trials, y)))
    return Law(distribution=ADDED_UP[law.distribution], args=args), (slot, whole), constant


def _poisson(model: Model, data: ModelData, plan: _Plan, of_row: Codes, total: Codes, y: Codes, dim: str) -> Arranged:
    """Return the law of sums of counts: means add up, and so do exposures."""
    law = model.observations[0].law
    offset = np.zeros(len(y)) if plan.offset is None else np.asarray(data.values[plan.offset], dtype=np.float64)
    top = np.full(len(total), -np.inf)
    np.maximum.at(top, of_row, offset)
    whole = top + np.log(np.bincount(of_row, np.exp(offset - top[of_row]), minlength=len(total)))
    constant = float(np.sum(total * whole) - y @ offset - np.sum(_log_factorial(total)) + np.sum(_log_factorial(y)))
    name = plan.offset or fresh(f"log_rows_of_{dim}", {*model.dims_of(), *model.sizes, dim})
    words = "log of the rows of each cell" if plan.offset is None else "log of the exposure of each cell"
    args = law.args if plan.offset is not None else (add(law.args[0], var(name)),)
    return Law(distribution="poisson_log", args=args), (Slot(name=name, dims=(dim,), source=words), whole), constant


def _log_factorial(counts: NDArray[Any]) -> Array:
    from scipy.special import gammaln

    return np.asarray(gammaln(counts + 1.0))


def _log_choose(trials: NDArray[Any], successes: Codes) -> Array:
    return _log_factorial(trials) - _log_factorial(successes) - _log_factorial(trials - successes)
