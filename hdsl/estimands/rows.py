"""Tests and expressions evaluated for each row of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, Reals
from hdsl.design import expr as study
from hdsl.design.roles import role_text


class EstimandError(Exception):
    """An estimand that cannot be computed; `code`, message and help become a diagnostic."""

    def __init__(self, code: str, message: str, help: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


Values = NDArray[Any]
COMPARE: Mapping[str, Callable[[Values, Values], Values]] = {
    "=": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
ARITHMETIC: Mapping[str, Callable[[Values, Values], Values]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
}
FUNCTIONS: Mapping[str, Callable[[Values], Values]] = {
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "square": np.square,
    "log1p": np.log1p,
}
Lookup = Callable[[study.Expr], Values | None]


def arithmetic(expr: study.Expr, lookup: Lookup) -> Values:
    """Evaluate arithmetic, functions and tests; `lookup` gives the leaves (None: not a leaf)."""
    leaf = lookup(expr)
    if leaf is not None:
        return leaf
    with np.errstate(all="ignore"):
        match expr:
            case study.Number(value=value):
                return np.asarray(value)
            case study.Negative(of=inner):
                return -arithmetic(inner, lookup)
            case study.Operation(operator=operator, left=left, right=right):
                return ARITHMETIC[operator](arithmetic(left, lookup), arithmetic(right, lookup))
            case study.Comparison(operator=operator, left=left, right=right):
                return COMPARE[operator](arithmetic(left, lookup), arithmetic(right, lookup))
            case study.Logical(operator="not", operands=(inner,)):
                return np.logical_not(arithmetic(inner, lookup))
            case study.Logical(operator=operator, operands=operands):
                combine = np.logical_and if operator == "and" else np.logical_or
                return reduce(combine, [arithmetic(operand, lookup) for operand in operands])
            case study.Call(function=function, args=(argument,)) if function in FUNCTIONS:
                return FUNCTIONS[function](arithmetic(argument, lookup))
            case _:
                raise EstimandError("HDM520", f"`{role_text(expr)}` cannot be computed in an estimand.")


def row_values(bound: Bound, expr: study.Expr) -> Values:
    """Return an expression of covariates and treatments for each row, shape (rows,) or ().

    In a comparison, `tutor = tutored` compares arms, and a category is compared with its label.
    """

    def lookup(node: study.Expr) -> Values | None:
        if isinstance(node, study.Comparison):
            return _labelled(bound, node)
        if isinstance(node, study.Ref):
            return _named(bound, node.name)
        return None

    return arithmetic(expr, lookup)


def _named(bound: Bound, name: str) -> Reals:
    if name in bound.variables:
        variable = bound.variables[name]
        if variable.labels:
            raise EstimandError("HDM520", f"`{name}` is a category: compare it with one of its values.")
        if np.any(np.isnan(variable.values)):
            message = f"`{name}` is missing for some units: who they are is not known from the data."
            raise EstimandError("HDM520", message, "Choose units by a covariate without gaps.")
        return bound.at_rows(variable.level, variable.values).astype(np.float64)
    if name in bound.treatments:
        treatment = bound.treatments[name]
        return bound.at_rows(treatment.level, treatment.values).astype(np.float64)
    level = bound.levels.get(name)
    if level is not None and level.positions is not None:
        return level.positions[level.rows]
    raise EstimandError("HDM520", f"`{name}` has no value in the data.")


def _labelled(bound: Bound, test: study.Comparison) -> Values | None:
    """Return a comparison with an arm, category or id by its label; None where it is one of numbers."""
    if not isinstance(test.left, study.Ref):
        return None
    name = test.left.name
    found = _labels(bound, name)
    if found is None:
        return None
    codes, labels = found
    if np.any(codes < 0):
        message = f"`{name}` is missing for some units: who they are is not known from the data."
        raise EstimandError("HDM520", message, "Choose units by a covariate without gaps.")
    return compare_labels(test, codes, labels)


def compare_labels(test: study.Comparison, codes: Values, labels: tuple[str, ...]) -> Values:
    """Return a comparison of codes with the label on the right of a test."""
    wanted = _label(test.right)
    if wanted not in labels:
        shown = ", ".join(labels[:8])
        message = f"`{role_text(test.left)}` has no value {wanted!r}."
        raise EstimandError("HDM520", message, f"Its values are: {shown}.")
    return COMPARE[test.operator](codes, np.asarray(float(labels.index(wanted))))


def _labels(bound: Bound, name: str) -> tuple[Values, tuple[str, ...]] | None:
    if name in bound.treatments and bound.treatments[name].arms:
        treatment = bound.treatments[name]
        return bound.at_rows(treatment.level, treatment.values), treatment.arms
    if name in bound.variables and bound.variables[name].labels:
        variable = bound.variables[name]
        return bound.at_rows(variable.level, variable.values), variable.labels
    if name in bound.levels and bound.levels[name].positions is None:
        level = bound.levels[name]
        return level.rows, level.labels
    return None


def _label(expr: study.Expr) -> str:
    match expr:
        case study.Ref(name=name):
            return name
        case study.Text(value=value):
            return value
        case study.Number(value=value):
            return f"{value:g}"
        case _:
            return role_text(expr)
