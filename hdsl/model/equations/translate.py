"""Expressions of equations: names, arithmetic and functions become Model expressions at a level."""

from __future__ import annotations

import numpy as np

from hdsl.data.bound import Reals
from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.diagnostics import did_you_mean
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.equations import placed as ranges
from hdsl.model.equations.names import Scope, companion, named, of_data
from hdsl.model.equations.placed import FUNCTIONS, INF, Placed, Range, number, range_of
from hdsl.model.ir import Expr, add, apply, const, div, mul, sub

OF_DATA = ("mean", "centre", "factor", "lag", "spline", "gp")


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
            return named(scope, name, ())
        case study.Indexed(name=name, index=index):
            return named(scope, name, index)
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


def negated(value: Placed) -> Placed:
    """Return minus a value."""
    values = None if value.values is None else -value.values
    expr = const(-float(value.values)) if value.level is None and value.values is not None else None
    return Placed(expr or apply("neg", value.expr), value.level, ranges.negated(value.range), values)


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
        return of_data(scope.draft, expr)
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
