"""The one printer of expressions: the text that parses to the same expression."""

from __future__ import annotations

from collections.abc import Iterable

from hdsl.design.expr import (
    Aggregate,
    Call,
    Comparison,
    Expr,
    Indexed,
    Logical,
    Negative,
    Number,
    Operation,
    Potential,
    Ref,
    Sequence,
    Setting,
    Text,
)
from hdsl.design.words import column_text, number_text, string_text

ATOM, POWER, PRODUCT, SUM, COMPARISON, NOT, AND, OR, WHOLE = range(9)
PRECEDENCE = {"^": POWER, "*": PRODUCT, "/": PRODUCT, "+": SUM, "-": SUM}


def expr_text(expr: Expr) -> str:
    """Return the canonical text of an expression, with no more parentheses than reading needs."""
    match expr:
        case Number(value=value):
            return number_text(value)
        case Text(value=value):
            return string_text(value)
        case Ref(name=name):
            return name
        case Indexed(name=name, index=index):
            return name + index_text(index)
        case Negative(of=inner):
            return "-" + _within(inner, POWER)
        case Operation():
            return _operation(expr)
        case Call():
            return _call(expr)
        case Sequence(items=items):
            return f"({list_text(items)})"
        case Comparison(operator=operator, left=left, right=right):
            return f"{_within(left, SUM)} {operator} {_within(right, SUM)}"
        case Logical():
            return _logical(expr)
        case Potential(outcome=outcome, settings=settings):
            return f"{outcome}({', '.join(setting_text(setting) for setting in settings)})"
        case Aggregate():
            return _aggregate(expr)


def sum_text(expr: Expr) -> str:
    """Return the text of an expression where only arithmetic may stand without parentheses."""
    return _within(expr, SUM)


def list_text(exprs: Iterable[Expr]) -> str:
    """Return expressions separated by commas."""
    return ", ".join(expr_text(expr) for expr in exprs)


def index_text(index: tuple[str, ...]) -> str:
    """Return `[a, b]`, or nothing for no index."""
    return f"[{', '.join(column_text(element) for element in index)}]" if index else ""


def setting_text(setting: Setting) -> str:
    """Return `treatment = arm`, with the occasions at which it holds."""
    text = f"{setting.treatment} = {_within(setting.value, SUM)}"
    if setting.at is None:
        return text
    first, last = (bound_text(bound) for bound in (setting.at.first, setting.at.last))
    return f"{text} at {setting.at.wave} {first}" + ("" if first == last else f"..{last}")


def bound_text(bound: float | str) -> str:
    """Return a number, or a text as a name or string."""
    return column_text(bound) if isinstance(bound, str) else number_text(bound)


def _within(expr: Expr, limit: int) -> str:
    text = expr_text(expr)
    return f"({text})" if _precedence(expr) > limit else text


def _precedence(expr: Expr) -> int:
    match expr:
        case Operation(operator=operator):
            return PRECEDENCE[operator]
        case Negative():
            return SUM
        case Comparison():
            return COMPARISON
        case Logical(operator=operator):
            return {"not": NOT, "and": AND, "or": OR}[operator]
        case Aggregate():
            return WHOLE
        case _:
            return ATOM


def _operation(expr: Operation) -> str:
    own = PRECEDENCE[expr.operator]
    left = _within(expr.left, ATOM if expr.operator == "^" else own)
    if isinstance(expr.left, Negative):
        left = f"({expr_text(expr.left)})"
    return f"{left} {expr.operator} {_within(expr.right, own - 1)}"


def _call(expr: Call) -> str:
    options = (f"{option.name} = {_within(option.value, SUM)}" for option in expr.options)
    arguments = ", ".join((*(_within(argument, SUM) for argument in expr.args), *options))
    return f"{expr.function}({arguments}){index_text(expr.index)}"


def _logical(expr: Logical) -> str:
    if expr.operator == "not":
        return "not " + _within(expr.operands[0], COMPARISON)
    own = AND if expr.operator == "and" else OR
    return f" {expr.operator} ".join(_within(operand, own - 1) for operand in expr.operands)


def _aggregate(expr: Aggregate) -> str:
    head = expr.aggregate
    if expr.probability is not None:
        head += f"({number_text(expr.probability)})"
    over = string_text(expr.over) if expr.cells else expr.over
    population = "population " if expr.population else ""
    where = "" if expr.where is None else f" where {_within(expr.where, OR)}"
    text = f"{head} over {population}{over}{where} of {_within(expr.of, OR)}"
    if expr.correlation is not None:
        text += f" assuming correlation = {number_text(expr.correlation)}"
    return text
