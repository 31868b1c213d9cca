"""What is added up when rows become cells: outcomes with their trials or exposures, else the number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Apply,
    Const,
    Definition,
    Expr,
    Factor,
    Law,
    Model,
    ModelData,
    Observation,
    Slot,
    Var,
    add,
    mul,
    var,
)
from hdsl.model.names import fresh
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
ADDED_UP: Mapping[str, str] = {
    "bernoulli": "binomial",
    "bernoulli_logit": "binomial_logit",
    "binomial": "binomial",
    "binomial_logit": "binomial_logit",
    "poisson_log": "poisson_log",
}


@dataclass(frozen=True)
class Plan:
    """Whether outcomes are added up; `trials` and `offset` are slots that are added up with them."""

    added: bool
    trials: str | None = None
    offset: str | None = None

    def key_of(self, model: Model) -> frozenset[str]:
        """Return the slots whose values rows of one cell share."""
        own = {slot.name for slot in model.slots if model.unit in slot.dims}
        summed = {o.slot for o in model.observations} if self.added else _weights(model)
        return frozenset(own - summed - {self.trials, self.offset})


def expressions_of(model: Model, wanted: frozenset[str]) -> Iterator[Expr]:
    """Yield the expressions of the density, of definitions those that are wanted."""
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


def factors_of_rows(model: Model) -> tuple[Factor, ...]:
    """Return the terms of the log density that have a value for each row."""
    scope = model.dims_of()
    return tuple(factor for factor in model.factors if model.unit in dims_of(factor.value, scope))


def plan_of(model: Model) -> Plan:
    """Return whether the outcomes of rows can be added up, and which slots with them."""
    if len(model.observations) != 1 or factors_of_rows(model):
        return Plan(False)
    (observation,) = model.observations
    law = observation.law
    plain = observation.weight is None and observation.event is None
    uses = _uses(model)
    if not plain or law.distribution not in ADDED_UP or uses.get(observation.slot):
        return Plan(False)
    if law.distribution == "poisson_log":
        return Plan(True, offset=_offset(law.args[0], model, uses))
    if not law.distribution.startswith("binomial"):
        return Plan(True)
    trials = law.args[0]
    if isinstance(trials, Const):
        return Plan(True)
    alone = isinstance(trials, Var) and uses[trials.name] == 1 and _is_slot(model, trials.name)
    return Plan(True, trials=trials.name) if isinstance(trials, Var) and alone else Plan(False)


def _weights(model: Model) -> set[str]:
    """Return the slots of weights that are nothing else."""
    uses = _uses(model)
    return {o.weight for o in model.observations if o.weight is not None and not uses.get(o.weight)}


def _uses(model: Model) -> dict[str, int]:
    """Return in how many places each name stands."""
    found: dict[str, int] = {}
    for expr in expressions_of(model, frozenset(d.name for d in model.definitions)):
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


Made = tuple[Model, list[tuple[Slot, Array | Codes]], float]


def weighted(model: Model, data: ModelData, plan: Plan, of_row: Codes, size: int, dim: str) -> Made:
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
    changes: dict[str, object] = {"observations": tuple(observations)}
    if by_row := factors_of_rows(model):
        name, counted = fresh(f"rows_of_{dim}", taken), np.bincount(of_row, minlength=size).astype(np.float64)
        more.append((Slot(name=name, dims=(dim,), source="rows of each cell"), counted))
        changes["factors"] = tuple(
            each.model_copy(update={"value": mul(var(name), each.value), "dims": (dim,)}) if each in by_row else each
            for each in model.factors
        )
    return model.model_copy(update=changes), more, 0.0


def added_up(model: Model, data: ModelData, plan: Plan, of_row: Codes, size: int, dim: str) -> Made:
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


def _binomial(model: Model, data: ModelData, plan: Plan, of_row: Codes, total: Codes, y: Codes, dim: str) -> Arranged:
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


def _poisson(model: Model, data: ModelData, plan: Plan, of_row: Codes, total: Codes, y: Codes, dim: str) -> Arranged:
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
