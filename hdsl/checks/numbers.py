"""Numbers that stand in a study: constants, and whether they can be."""

from __future__ import annotations

from hdsl.design.expr import Expr, Negative, Number, Operation


def constant(expr: Expr) -> float | None:
    """Return the value of arithmetic without names; None where it has none."""
    match expr:
        case Number(value=value):
            return value
        case Negative(of=of):
            inner = constant(of)
            return None if inner is None else -inner
        case Operation(operator=operator, left=left, right=right):
            a, b = constant(left), constant(right)
            return None if a is None or b is None else _operation(operator, a, b)
        case _:
            return None


def _operation(operator: str, a: float, b: float) -> float | None:
    try:
        match operator:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                return a / b
            case _:
                power = a**b
                return float(power) if isinstance(power, float | int) else None
    except ArithmeticError:
        return None
