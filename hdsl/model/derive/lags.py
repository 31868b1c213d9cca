"""Lagged terms: outcomes, treatments and covariates of an earlier occasion of the same unit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hdsl.data.bound import Bound, BoundLag, BoundVariable
from hdsl.design import expr as study
from hdsl.design.levels import row_level
from hdsl.design.roles import role_text
from hdsl.model.derive.coefficients import Coefficient
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.likelihood import observed_slot
from hdsl.model.derive.terms import (
    Column,
    NotDerivable,
    at_rows,
    frozen_column,
    indicators,
    spread,
)
from hdsl.model.ir import Expr, apply, gather, var


def lag_columns(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    """Return the columns of `lag(x)`; of an outcome in terms of its slot, so that it moves with the outcome."""
    bound = draft.bound
    name = expr.args[0].name if isinstance(expr.args[0], study.Ref) else ""
    back = int(expr.args[1].value) if len(expr.args) > 1 and isinstance(expr.args[1], study.Number) else 1
    lag = bound.lags.get((name, back))
    if lag is None:
        raise NotDerivable("HDM623", f"`{role_text(expr)}`: a lag is of one variable, by a whole number of occasions.")
    text = role_text(expr)
    if name in bound.treatments:
        return _of_treatment(draft, lag, text)
    variable = bound.variables[name]
    if variable.role == "outcome":
        return _labelled(draft, _of_outcome(draft, variable, lag, text), lag, variable.labels, text)
    if variable.labels:
        return _labelled(draft, frozen_column(draft, text, bound.row, lag.values).expr, lag, variable.labels, text)
    return (frozen_column(draft, text, bound.row, lag.values),)


def _labelled(draft: Draft, value: Expr, lag: BoundLag, labels: tuple[str, ...], text: str) -> tuple[Column, ...]:
    if not labels:
        return (Column(value, draft.bound.row, lag.values),)
    return indicators(draft, value, draft.bound.row, lag.values, labels, text)


def _of_treatment(draft: Draft, lag: BoundLag, text: str) -> tuple[Column, ...]:
    treatment = draft.bound.treatments[lag.name]
    key = ("lag", lag.name, str(lag.back))
    if key not in draft.cache:
        slot = draft.slot(
            text,
            (draft.level(draft.bound.row),),
            lag.values,
            treatment=lag.name,
            lag=lag.back,
            integer=not treatment.continuous,
            source=f"treatment {lag.name}, {_back(lag)}",
        )
        draft.cache[key] = slot
    columns = _labelled(draft, draft.cache[key], lag, treatment.arms, text)
    return columns if len(columns) > 1 else tuple(Column(c.expr, c.level, c.values) for c in columns)


def _of_outcome(draft: Draft, outcome: BoundVariable, lag: BoundLag, text: str) -> Expr:
    key = ("lag", lag.name, str(lag.back))
    if key not in draft.cache:
        row = draft.level(draft.bound.row)
        known = lag.previous >= 0
        place = np.where(known, lag.previous, np.arange(len(known)))
        start = np.where(known, 0.0, lag.values)
        previous = draft.slot(f"row of {text}", (row,), place, indexes=row, source=f"the row {_back(lag)}")
        here = draft.slot(f"{text} known", (row,), known.astype(np.float64), source="1 where that row is among these")
        first = draft.slot(f"{text} start", (row,), start, source=f"{lag.name} to start from where not")
        before = gather(var(observed_slot(draft, outcome)), previous, row)
        value = apply("where", here, before, first)
        draft.cache[key] = draft.define(text, value, reason=f"{lag.name} {_back(lag)}")
    return draft.cache[key]


def _back(lag: BoundLag) -> str:
    return "one occasion before" if lag.back == 1 else f"{lag.back} occasions before"


def moves(bound: Bound, outcome: str) -> bool:
    """Return whether an outcome stands among its own predictors, lagged."""
    return any(name == outcome for name, _ in bound.lags)


def occasion_ranks(draft: Draft) -> str:
    """Return the slot with the occasion of each row, counted from 0: the order in which outcomes come about."""
    bound = draft.bound
    wave = next(name for name in row_level(bound.study).crosses if bound.levels[name].positions is not None)
    row = (draft.level(bound.row),)
    found = draft.slot("occasion", row, bound.levels[wave].rows, integer=True, source=f"number of the {wave}")
    return found.name


def first_values(draft: Draft, outcome: str, coefficients: list[Coefficient], pooled: str | None) -> list[Coefficient]:
    """Return each unit's first value of lagged outcomes as predictors of its varying intercept.

    A unit's first outcome is not explained by the model, and it goes together with the unit's intercept; given it
    the intercepts are independent of the history. `pooled` is the level with those intercepts.

    Source: Wooldridge (2005), the initial conditions problem in dynamic panel data models.
    """
    if pooled is None:
        return []
    return list(_first_values(draft, outcome, coefficients, pooled))


def _first_values(draft: Draft, outcome: str, coefficients: list[Coefficient], unit: str) -> Iterator[Coefficient]:
    bound = draft.bound
    wave = next(name for name in row_level(bound.study).crosses if bound.levels[name].positions is not None)
    order = np.lexsort((bound.levels[wave].rows, bound.levels[unit].rows))
    firsts = order[np.searchsorted(bound.levels[unit].rows[order], np.arange(bound.levels[unit].size))]
    for coefficient in coefficients:
        inner = coefficient.family.removeprefix("slope(").removesuffix(")")
        if f"lag({outcome}" not in inner or coefficient.column.level != bound.row or "*" in inner:
            continue
        column = coefficient.column
        text = f"first({outcome})" if inner == f"lag({outcome})" else f"first({inner})"
        made = frozen_column(draft, text, unit, column.values[firsts], column.label)
        role = f"slope({text})" + (f"[{column.label}]" if column.label else "")
        reason = f"each {unit}'s intercept goes together with the {outcome} it started from (Wooldridge 2005)"
        yield Coefficient(role, f"slope({text})", made, reason, spread(at_rows(draft, made)))


def dynamic_unit(bound: Bound, outcome: str) -> str | None:
    """Return the level whose units have histories: the one the rows cross with the wave; None without a lag."""
    if not moves(bound, outcome):
        return None
    units = [name for name in row_level(bound.study).crosses if bound.levels[name].positions is None]
    return units[0] if len(units) == 1 else None
