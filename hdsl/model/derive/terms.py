"""Terms of a linear predictor: a study expression becomes columns, each with its level and its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, BoundTreatment, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.model.derive.draft import Column as Column
from hdsl.model.derive.draft import Draft
from hdsl.model.ir import Expr, add, apply, const, div, mul, sub

MATHS: dict[str, Callable[[Reals], Reals]] = {
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
}


class NotDerivable(Exception):
    """A statement that has no derivation; `code`, message and help become a diagnostic."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


def columns(draft: Draft, expr: study.Expr) -> tuple[Column, ...]:
    """Return the columns of a term; raises NotDerivable with the reason where there are none."""
    match expr:
        case study.Number(value=value):
            return (Column(const(value), None, np.array(value)),)
        case study.Ref(name=name):
            return _named(draft, name)
        case study.Negative(of=inner):
            column = _single(draft, inner, expr)
            return (Column(apply("neg", column.expr), column.level, -column.values),)
        case study.Operation(operator="*", left=left, right=right):
            return _products(draft, columns(draft, left), columns(draft, right))
        case study.Operation():
            return (_arithmetic(draft, expr),)
        case study.Call():
            return _call(draft, expr)
        case _:
            raise NotDerivable("HDM621", f"`{role_text(expr)}` cannot be a term of the outcome model.")


def term_text(expr: study.Expr) -> str:
    """Return the text by which a term is called in roles."""
    return role_text(expr)


def at_rows(draft: Draft, column: Column) -> Reals:
    """Return a column's values for each row, shape (rows,)."""
    if column.level is None:
        return np.full(draft.bound.rows, float(column.values))
    return cast(Reals, draft.bound.at_rows(column.level, column.values))


def variable_slot(draft: Draft, variable: BoundVariable) -> Expr:
    """Return the slot of a variable, adding it at first use."""
    key = ("variable", variable.name)
    if key not in draft.cache:
        coded = variable.kind in ("category", "ordered")
        draft.cache[key] = draft.slot(
            variable.name,
            (draft.level(variable.level),),
            variable.values,
            variable=variable.name,
            integer=coded,
            source=f"{variable.role} {variable.name}",
        )
    return draft.cache[key]


def treatment_slot(draft: Draft, treatment: BoundTreatment) -> Expr:
    """Return the slot of a treatment's arm numbers or doses, adding it at first use."""
    key = ("treatment", treatment.name)
    if key not in draft.cache:
        draft.cache[key] = draft.slot(
            treatment.name,
            (draft.level(treatment.level),),
            treatment.values,
            treatment=treatment.name,
            integer=not treatment.continuous,
            source=f"treatment {treatment.name}",
        )
    return draft.cache[key]


def _named(draft: Draft, name: str) -> tuple[Column, ...]:
    bound = draft.bound
    if name in bound.variables:
        return _variable(draft, bound.variables[name])
    if name in bound.treatments:
        return treatment_columns(draft, bound.treatments[name])
    if name in bound.levels and bound.levels[name].positions is not None:
        return (_wave(draft, name),)
    raise NotDerivable(
        "HDM621",
        f"`{name}` is a level, not a variable: it cannot be adjusted for.",
        f"Each level has a varying intercept already; for fixed effects write `pool {name} none`.",
    )


def _variable(draft: Draft, variable: BoundVariable) -> tuple[Column, ...]:
    if variable.name in draft.completed:
        return draft.completed[variable.name]
    slot = variable_slot(draft, variable)
    if variable.kind in ("category", "ordered"):
        return indicators(draft, slot, variable.level, variable.values, variable.labels, variable.name)
    return (Column(slot, variable.level, variable.values),)


def treatment_columns(draft: Draft, treatment: BoundTreatment) -> tuple[Column, ...]:
    """Return one indicator per arm but the reference, or the dose; a single indicator needs no label."""
    slot = treatment_slot(draft, treatment)
    if treatment.continuous:
        return (Column(slot, treatment.level, treatment.values),)
    found = indicators(draft, slot, treatment.level, treatment.values, treatment.arms, treatment.name)
    return found if len(found) > 1 else tuple(replace(column, label="") for column in found)


def indicators(
    draft: Draft, slot: Expr, level: str, codes: Reals, labels: tuple[str, ...], name: str
) -> tuple[Column, ...]:
    """Return one indicator for each label but the first, from codes of the labels."""
    found: list[Column] = []
    for code, label in enumerate(labels[1:], start=1):
        key = ("indicator", name, label)
        if key not in draft.cache:
            draft.cache[key] = draft.define(
                f"{name}_{label}", apply("equal", slot, const(code)), reason=f"1 where {name} is {label}"
            )
        found.append(Column(draft.cache[key], level, (codes == code).astype(np.float64), label))
    return tuple(found)


def _wave(draft: Draft, name: str) -> Column:
    positions = draft.bound.levels[name].positions
    assert positions is not None
    key = ("positions", name)
    if key not in draft.cache:
        draft.cache[key] = draft.slot(
            f"{name}_value", (draft.level(name),), positions, source=f"the value of each {name}"
        )
    return Column(draft.cache[key], name, positions)


def _single(draft: Draft, expr: study.Expr, within: study.Expr) -> Column:
    found = columns(draft, expr)
    if len(found) != 1:
        raise NotDerivable(
            "HDM621",
            f"`{role_text(expr)}` has {len(found)} contrasts, so `{role_text(within)}` is not a number.",
            "Only products (`*`) can be formed with a category.",
        )
    return found[0]


def _aligned(draft: Draft, left: Column, right: Column) -> tuple[str | None, Expr, Expr, Reals, Reals]:
    level = draft.join(left.level, right.level)
    if level is None:
        return None, left.expr, right.expr, left.values, right.values
    return (
        level,
        draft.at(left.expr, left.level, level),
        draft.at(right.expr, right.level, level),
        _values_at(draft, left, level),
        _values_at(draft, right, level),
    )


def _values_at(draft: Draft, column: Column, level: str) -> Reals:
    if column.level is None or column.level == level:
        return column.values
    return column.values[draft.bound.element_of(level, column.level)]


def _products(draft: Draft, left: tuple[Column, ...], right: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(product(draft, one, other) for one in left for other in right)


def product(draft: Draft, left: Column, right: Column) -> Column:
    """Return the product of two columns at the lower of their levels."""
    level, one, other, a, b = _aligned(draft, left, right)
    label = ", ".join(part for part in (left.label, right.label) if part)
    return Column(mul(one, other), level, a * b, label)


def _arithmetic(draft: Draft, expr: study.Operation) -> Column:
    left, right = _single(draft, expr.left, expr), _single(draft, expr.right, expr)
    level, one, other, a, b = _aligned(draft, left, right)
    match expr.operator:
        case "+":
            return Column(add(one, other), level, a + b)
        case "-":
            return Column(sub(one, other), level, a - b)
        case "/":
            return Column(div(one, other), level, _finite(expr, a / b))
        case "^":
            return Column(apply("pow", one, other), level, _finite(expr, a**b))
        case "*":
            return Column(mul(one, other), level, a * b)


def _finite(expr: study.Expr, values: Reals) -> Reals:
    if not np.all(np.isfinite(values)):
        count = int(np.sum(~np.isfinite(values)))
        raise NotDerivable(
            "HDM365",
            f"`{role_text(expr)}` is not a finite number for {count} units.",
            "Check for zeros and negative values, or use another transformation (`log1p`, `sqrt`).",
        )
    return values


def _call(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    name = expr.function
    if name in MATHS and len(expr.args) == 1:
        column = _single(draft, expr.args[0], expr)
        with np.errstate(all="ignore"):
            values = _finite(expr, MATHS[name](column.values))
        return (Column(apply(name, column.expr), column.level, values),)
    special = {"mean": _group_mean, "lag": _lag, "centre": _centre, "factor": _factor, "propensity": _propensity}
    if name in special:
        return special[name](draft, expr)
    if name in ("spline", "gp"):
        raise NotDerivable(
            "HDM621",
            f"`{role_text(expr)}` is a curve, not a number that can be part of another term.",
            "For an effect that depends on x along a curve write `vary EFFECT with x as spline`.",
        )
    known = ", ".join(sorted({*MATHS, *special}))
    raise NotDerivable("HDM622", f"There is no function `{name}` for terms.", f"Functions: {known}.")


def _level_argument(draft: Draft, expr: study.Call, position: int) -> str:
    argument = expr.args[position] if len(expr.args) > position else None
    if isinstance(argument, study.Ref) and argument.name in draft.bound.levels:
        return argument.name
    raise NotDerivable("HDM623", f"`{role_text(expr)}` needs the name of a level as argument {position + 1}.")


def group_means(draft: Draft, column: Column, level: str) -> Reals:
    """Return the mean of a column over the rows of each unit of a level, shape (units,)."""
    rows = at_rows(draft, column)
    group, times = draft.bound.levels[level], draft.bound.frequency
    if times is None:
        return np.bincount(group.rows, rows, minlength=group.size) / group.counts
    return np.bincount(group.rows, rows * times, group.size) / np.bincount(group.rows, times, group.size)


def _group_mean(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    if len(expr.args) != 2:
        raise NotDerivable("HDM623", f"`{role_text(expr)}`: a group mean is written `mean(x, school)`.")
    level = _level_argument(draft, expr, 1)
    found: list[Column] = []
    for column in columns(draft, expr.args[0]):
        found.append(frozen_column(draft, role_text(expr), level, group_means(draft, column, level), column.label))
    return tuple(found)


def frozen_column(draft: Draft, text: str, level: str, values: Reals, label: str = "") -> Column:
    """Return a column of observed values that stay as they are when a treatment is set."""
    key = ("frozen", text, label)
    if key not in draft.cache:
        draft.cache[key] = draft.slot(f"{text} {label}", (draft.level(level),), values, source=text)
    return Column(draft.cache[key], level, values, label)


def _centre(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    column = _single(draft, expr.args[0], expr) if expr.args else None
    if column is None or column.level is None:
        raise NotDerivable("HDM623", "`centre` is written `centre(x)` or `centre(x, school)`.")
    if len(expr.args) == 1:
        middle = draft.bound.mean(at_rows(draft, column))
        return (Column(sub(column.expr, const(middle)), column.level, column.values - middle),)
    level = _level_argument(draft, expr, 1)
    text = f"mean({role_text(expr.args[0])}, {level})"
    means = frozen_column(draft, text, level, group_means(draft, column, level))
    joined, one, other, a, b = _aligned(draft, column, means)
    return (Column(sub(one, other), joined, a - b),)


def _factor(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    if len(expr.args) != 1:
        raise NotDerivable("HDM623", "`factor` is written `factor(x)`.")
    column = _single(draft, expr.args[0], expr)
    assert column.level is not None
    found, codes = np.unique(column.values, return_inverse=True)
    if len(found) > 50:
        raise NotDerivable(
            "HDM624",
            f"`{role_text(expr)}` has {len(found)} different values.",
            "Declare a group for it: its intercepts are then partially pooled.",
        )
    labels = tuple(f"{value:g}" for value in found)
    text = role_text(expr)
    slot = frozen_column(draft, text, column.level, codes.astype(np.float64)).expr
    return indicators(draft, slot, column.level, codes.astype(np.float64), labels, text)


def _lag(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    from hdsl.model.derive.lags import lag_columns

    return lag_columns(draft, expr)


def _propensity(draft: Draft, expr: study.Call) -> tuple[Column, ...]:
    found = draft.bound.variables.get(role_text(expr))
    if found is None:
        message = f"`{role_text(expr)}`: the study has no such propensity score."
        raise NotDerivable("HDM621", message, "Write `propensity for TREATMENT ... as covariate`.")
    return _variable(draft, found)


def spread(values: NDArray[np.float64], bound: Bound | None = None) -> float:
    """Return the standard deviation of a predictor, 1 where it is constant; of values by row, that of the data's."""
    scale = float(np.std(values)) if bound is None else bound.sd(values)
    return scale if scale > 0 else 1.0
