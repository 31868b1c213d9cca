"""Expressions of equations: names, arithmetic and functions become Model expressions at a level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hdsl.data.bound import BoundTreatment, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.diagnostics import did_you_mean
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.terms import NotDerivable, columns, treatment_slot, variable_slot
from hdsl.model.equations import placed as ranges
from hdsl.model.equations.placed import FUNCTIONS, INF, Placed, Range, number, range_of
from hdsl.model.equations.program import Target, level_of_index
from hdsl.model.ir import Expr, Law, add, apply, const, div, mul, sub

Part = Literal["trials", "known_sd"]
OF_DATA = ("mean", "centre", "factor", "lag", "spline", "gp")


class Unknown(Exception):
    """A name whose own equation has an error already: nothing more is said about it."""


@dataclass
class Scope:
    """What the names of equations stand for while a model is written.

    Attributes
    ----------
    targets : mapping
        The names that have an equation, outcomes included.
    made : dict
        The values of those that were read already.
    shapes : dict
        Laws of correlation matrices and cutpoints, which get their size where they are used, with their reason.
    sized : dict
        What is reported of those that have a size, by role.
    companions : mapping
        Expressions that stand for arrays of an outcome, its trials and its known sd: outcome and which it is.
    named : set
        The names that the right sides have.
    failed : set
        The names on left sides that cannot stand.
    """

    draft: Draft
    targets: Mapping[str, Target]
    companions: Mapping[study.Expr, tuple[str, Part]]
    named: frozenset[str]
    failed: frozenset[str] = frozenset()
    made: dict[str, Placed] = field(default_factory=dict[str, Placed])
    shapes: dict[str, Law] = field(default_factory=dict[str, Law])
    sized: dict[str, Mapping[str, Expr]] = field(default_factory=dict[str, Mapping[str, Expr]])


def translate(scope: Scope, expr: study.Expr, goal: str | None) -> Placed:
    """Return the value of an expression in an equation of level `goal`.

    Raises
    ------
    NotDerivable
        HDM640 for unknown names, HDM644 and HDM645 for levels, HDM652 and HDM653 for what is no number.
    Unknown
        Where a name's own equation failed.
    """
    if expr in scope.companions:
        name, part = scope.companions[expr]
        return companion(scope.draft, scope.draft.bound.variables[name], part)
    match expr:
        case study.Number(value=value):
            return number(value)
        case study.Ref(name=name):
            return _name(scope, name, ())
        case study.Indexed(name=name, index=index):
            return _name(scope, name, index)
        case study.Negative(of=inner):
            return negated(translate(scope, inner, goal))
        case study.Operation(left=left, right=right):
            return _operation(scope, expr, translate(scope, left, goal), translate(scope, right, goal), goal)
        case study.Call():
            return _call(scope, expr, goal)
        case _:
            raise NotDerivable(
                "HDM653", f"`{role_text(expr)}` cannot stand in an equation.", "Arithmetic and functions can."
            )


def at(scope: Scope, value: Placed, goal: str | None, what: str) -> Expr:
    """Return a value for each unit of `goal`; HDM645 where it belongs to a lower or another level."""
    if value.level is None or value.level == goal:
        return value.expr
    if goal is None:
        raise NotDerivable(
            "HDM645",
            f"{what} has one value, but its right side has one per {value.level}.",
            f"Write it with an index, `[{value.level}]`.",
        )
    if not scope.draft.bound.nests(goal, value.level):
        raise NotDerivable(
            "HDM645",
            f"{what} has one value per {goal}, but its right side has one per {value.level}.",
            f"A {goal} has more than one {value.level}: use a mean such as `mean(x, {goal})`, or another index.",
        )
    return scope.draft.at(value.expr, value.level, goal)


def companion(draft: Draft, outcome: BoundVariable, part: Part) -> Placed:
    """Return the slot of an outcome's trials or known sd, adding it at first use."""
    values = outcome.trials if part == "trials" else outcome.known_sd
    assert values is not None
    key = ("companion", outcome.name, part)
    if key not in draft.cache:
        text, source = (f"{outcome.name} trials", "number of trials")
        if part == "known_sd":
            text, source = (f"sd {outcome.name}", f"known sd of {outcome.name}")
        dims = (draft.level(outcome.level),)
        draft.cache[key] = draft.slot(text, dims, values, integer=part == "trials", source=source)
    return Placed(draft.cache[key], outcome.level, range_of(values), values)


def negated(value: Placed) -> Placed:
    """Return minus a value."""
    values = None if value.values is None else -value.values
    expr = const(-float(value.values)) if value.level is None and value.values is not None else None
    return Placed(expr or apply("neg", value.expr), value.level, ranges.negated(value.range), values)


def _name(scope: Scope, name: str, index: tuple[str, ...]) -> Placed:
    bound = scope.draft.bound
    if name in bound.variables:
        return _variable(scope, bound.variables[name], index)
    if name in scope.targets:
        return _parameter(scope, scope.targets[name], index)
    if name in bound.treatments:
        return _treatment(scope.draft, bound.treatments[name], index)
    if name in bound.levels:
        return _wave(scope.draft, name, index)
    if name in scope.failed:
        raise Unknown(name)
    candidates = (*scope.targets, *bound.variables, *bound.treatments)
    near = did_you_mean(name, candidates)
    help_ = f"Did you mean `{near}`?" if near else f"Give it a law, `{name} ~ normal(0, 1)`, or declare it."
    raise NotDerivable("HDM640", f"`{name}` has no law and is not declared.", help_)


def _parameter(scope: Scope, target: Target, index: tuple[str, ...]) -> Placed:
    if index:
        level_of_index(scope.draft.bound, target.name, index)
    if set(index) != set(target.index) and index != (target.level,):
        values = f"one value per {target.level}" if target.level else "one value and no index"
        raise NotDerivable("HDM644", f"`{target.name}` has {values}.", f"Write `{target.role}`.")
    if target.name in scope.shapes:
        use = "as `corr = ...` of a multinormal law" if _is_corr(scope, target.name) else "as cutpoints"
        help_ = f"It can stand {use}; for a number give it another law, such as `uniform(-1, 1)`."
        raise NotDerivable("HDM653", f"`{target.name}` is no number.", help_)
    if target.name not in scope.made:
        raise Unknown(target.name)
    return scope.made[target.name]


def _is_corr(scope: Scope, name: str) -> bool:
    return scope.shapes[name].distribution == "lkj_cholesky"


def _variable(scope: Scope, variable: BoundVariable, index: tuple[str, ...]) -> Placed:
    name = variable.name
    if variable.role == "outcome":
        raise NotDerivable(
            "HDM653",
            f"`{name}` is an outcome: it cannot stand on the right of an equation.",
            "Earlier outcomes are covariates: declare a column that holds them.",
        )
    if variable.kind in ("category", "ordered"):
        slot = variable_slot(scope.draft, variable)
        return _indicator(scope.draft, name, slot, variable.level, variable.values, variable.labels, index)
    _check_index(scope.draft, name, variable.level, index)
    return Placed(variable_slot(scope.draft, variable), variable.level, range_of(variable.values), variable.values)


def _treatment(draft: Draft, treatment: BoundTreatment, index: tuple[str, ...]) -> Placed:
    name, level = treatment.name, treatment.level
    slot = treatment_slot(draft, treatment)
    if treatment.continuous:
        _check_index(draft, name, level, index)
        return Placed(slot, level, range_of(treatment.values), treatment.values)
    if len(treatment.arms) == 2 and (not index or index[0] not in treatment.arms):
        _check_index(draft, name, level, index)
        index = (treatment.arms[1],)
    return _indicator(draft, name, slot, level, treatment.values, treatment.arms, index)


def _check_index(draft: Draft, name: str, level: str, index: tuple[str, ...]) -> None:
    if index and level_of_index(draft.bound, name, index) != level:
        raise NotDerivable("HDM644", f"`{name}` belongs to {level}.", f"Write `{name}` or `{name}[{level}]`.")


def _indicator(
    draft: Draft,
    name: str,
    slot: Expr,
    level: str,
    codes: Reals,
    labels: tuple[str, ...],
    index: tuple[str, ...],
) -> Placed:
    """Return 1 where a category or treatment has the value that the index names, else 0."""
    if len(index) != 1 or index[0] not in labels:
        shown = ", ".join(f"`{name}[{label}]`" for label in labels[1:4])
        wrong = f"`{name}` has no value `{index[0]}`." if index else f"`{name}` is no number: it has categories."
        raise NotDerivable("HDM652", wrong, f"Write indicators, each 1 or 0: {shown}.")
    label = index[0]
    code = labels.index(label)
    key = ("indicator", name, label)
    if key not in draft.cache:
        draft.cache[key] = draft.define(
            f"{name}_{label}", apply("equal", slot, const(code)), reason=f"1 where {name} is {label}"
        )
    return Placed(draft.cache[key], level, (0.0, 1.0), (codes == code).astype(np.float64))


def _wave(draft: Draft, name: str, index: tuple[str, ...]) -> Placed:
    if draft.bound.levels[name].positions is None:
        raise NotDerivable(
            "HDM653", f"`{name}` is a level: it has no value.", f"Levels stand in brackets: `alpha[{name}]`."
        )
    _check_index(draft, name, name, index)
    return _of_data(draft, study.Ref(name=name))


def _of_data(draft: Draft, expr: study.Expr) -> Placed:
    found = columns(draft, expr)
    if len(found) != 1:
        raise NotDerivable(
            "HDM652", f"`{role_text(expr)}` is no number: it has {len(found)} columns.", "Write its indicators."
        )
    return Placed(found[0].expr, found[0].level, range_of(found[0].values), found[0].values)


def _operation(scope: Scope, expr: study.Operation, left: Placed, right: Placed, goal: str | None) -> Placed:
    level = _join(scope, expr, left, right, goal)
    a, b = scope.draft.at(left.expr, left.level, level or ""), scope.draft.at(right.expr, right.level, level or "")
    values = _combined(scope, expr, left, right, level)
    spread = range_of(values) if values is not None else _range(expr, left, right)
    if level is None and values is not None:
        return number(float(values))
    return Placed(_applied(expr.operator, a, b), level, spread, values)


def _applied(operator: study.Operator, a: Expr, b: Expr) -> Expr:
    match operator:
        case "+":
            return add(a, b)
        case "-":
            return a if b == const(0) else sub(a, b)
        case "*":
            return mul(a, b)
        case "/":
            return div(a, b)
        case "^":
            return apply("square", a) if b == const(2) else apply("pow", a, b)


def _range(expr: study.Operation, left: Placed, right: Placed) -> Range:
    a, b = left.range, right.range
    match expr.operator:
        case "+":
            return ranges.added(a, b)
        case "-":
            return ranges.added(a, ranges.negated(b))
        case "*":
            return ranges.squared(a) if expr.left == expr.right else ranges.multiplied(a, b)
        case "/":
            return ranges.divided(a, b)
        case "^":
            return ranges.raised(a, b)


def _combined(scope: Scope, expr: study.Operation, left: Placed, right: Placed, level: str | None) -> Reals | None:
    if left.values is None or right.values is None:
        return None
    a, b = _values_at(scope, left, level), _values_at(scope, right, level)
    operations = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}
    with np.errstate(all="ignore"):
        return finite(expr, operations[expr.operator](a, b))


def _values_at(scope: Scope, value: Placed, level: str | None) -> Reals:
    assert value.values is not None
    if value.level is None or level is None or value.level == level:
        return value.values
    return value.values[scope.draft.bound.element_of(level, value.level)]


def finite(expr: study.Expr, values: Reals) -> Reals:
    """Return the values; HDM365 where some are not finite."""
    if not np.all(np.isfinite(values)):
        count = int(np.sum(~np.isfinite(values)))
        raise NotDerivable(
            "HDM365",
            f"`{role_text(expr)}` is not a finite number for {count} units.",
            "Check for zeros and negative values, or use another transformation (`log1p`, `sqrt`).",
        )
    return values


def _join(scope: Scope, expr: study.Expr, left: Placed, right: Placed, goal: str | None) -> str | None:
    """Return the level of a combination: the lower of two, or where they cross, that of the equation."""
    bound = scope.draft.bound
    present = [level for level in dict.fromkeys((left.level, right.level)) if level is not None]
    if len(present) < 2:
        return present[0] if present else None
    for candidate in (*present, *([goal] if goal is not None else [])):
        if all(bound.nests(candidate, other) for other in present):
            return candidate
    raise NotDerivable(
        "HDM645",
        f"`{role_text(expr)}` combines values of {present[0]} and {present[1]}, which cross.",
        "Give the left side the index of the unit that crosses them.",
    )


def _call(scope: Scope, expr: study.Call, goal: str | None) -> Placed:
    name = expr.function
    if name in FUNCTIONS and len(expr.args) == 1 and not expr.options:
        return _function(expr, translate(scope, expr.args[0], goal))
    if name in ("min", "max") and len(expr.args) == 2 and not expr.options:
        return _extreme(scope, expr, goal)
    if name in OF_DATA:
        _check_data_only(scope, expr)
        return _of_data(scope.draft, expr)
    known = ", ".join((*FUNCTIONS, "min", "max", "mean", "centre", "lag"))
    if name in FUNCTIONS or name in ("min", "max"):
        raise NotDerivable(
            "HDM653",
            f"`{role_text(expr)}`: the number of arguments does not fit.",
            "One argument, two for `min` and `max`.",
        )
    near = did_you_mean(name, (*FUNCTIONS, "min", "max", *OF_DATA))
    raise NotDerivable(
        "HDM653", f"There is no function `{name}`.", f"Did you mean `{near}`?" if near else f"Functions: {known}."
    )


def _check_data_only(scope: Scope, expr: study.Call) -> None:
    for name in study.names(expr):
        if name in scope.targets and name not in scope.draft.bound.variables:
            raise NotDerivable(
                "HDM653",
                f"`{role_text(expr)}`: `{expr.function}` is of data, and `{name}` is a parameter.",
                "It takes covariates and treatments.",
            )


def _function(expr: study.Call, value: Placed) -> Placed:
    rule = FUNCTIONS[expr.function]
    if value.values is not None and rule.values is not None:
        with np.errstate(all="ignore"):
            values = finite(expr, rule.values(value.values))
        if value.level is None:
            return number(float(values))
        return Placed(apply(rule.function, value.expr), value.level, range_of(values), values)
    low, high = value.range
    if low < rule.domain[0] or high > rule.domain[1]:
        wanted = "above 0" if rule.domain == (0, INF) else f"between {rule.domain[0]:g} and {rule.domain[1]:g}"
        raise NotDerivable(
            "HDM648",
            f"`{role_text(expr)}`: the argument is not always {wanted}.",
            "Give its parameters laws on positive numbers, or transform it with `exp` or `inv_logit`.",
        )
    return Placed(apply(rule.function, value.expr), value.level, rule.range(value.range))


def _extreme(scope: Scope, expr: study.Call, goal: str | None) -> Placed:
    left, right = (translate(scope, argument, goal) for argument in expr.args)
    level = _join(scope, expr, left, right, goal)
    a, b = scope.draft.at(left.expr, left.level, level or ""), scope.draft.at(right.expr, right.level, level or "")
    pick = min if expr.function == "min" else max
    spread = (pick(left.range[0], right.range[0]), pick(left.range[1], right.range[1]))
    return Placed(apply(expr.function, a, b), level, spread)
