"""Sums seen as lists of summands: finding a varying effect in a total, and taking it out again."""

from __future__ import annotations

from hdsl.model.ir import Apply, Const, Definition, Expr, Model, RandomVariable, column, const, references, var


def holds(expr: Expr, part: Expr) -> bool:
    """Return whether `part` occurs in `expr`."""
    return expr == part or (isinstance(expr, Apply) and any(holds(arg, part) for arg in expr.args))


def is_summand(expr: Expr, part: Expr) -> bool:
    """Return whether `expr` is `part`, or a sum of which `part` is a summand."""
    if expr == part:
        return True
    return isinstance(expr, Apply) and expr.function == "add" and any(is_summand(arg, part) for arg in expr.args)


def summands(expr: Expr) -> tuple[Expr, ...]:
    """Return the summands of a sum, from the left."""
    if isinstance(expr, Apply) and expr.function == "add":
        return tuple(part for arg in expr.args for part in summands(arg))
    return (expr,)


def without(expr: Expr, part: Expr) -> Expr:
    """Return the sum `expr` without its summand `part`."""
    if expr == part:
        return const(0)
    if isinstance(expr, Apply) and expr.function == "add":
        return plus(without(expr.args[0], part), without(expr.args[1], part))
    return expr


def plus(left: Expr, right: Expr) -> Expr:
    """Return left + right, where (x - y) + y gives x and x + 0 gives x."""
    if right == Const(value=0.0):
        return left
    if left == Const(value=0.0):
        return right
    if isinstance(left, Apply) and left.function == "sub" and left.args[1] == right:
        return left.args[0]
    return Apply(function="add", args=(left, right))


def parts_of(model: Model, variable: RandomVariable) -> list[Expr]:
    """Return the expressions by which a varying effect enters: the variable, or each column of a joint one."""
    if variable.law.distribution != "multinormal_cholesky":
        return [var(variable.name)]
    size = model.sizes[variable.dims[-1]]
    return [column(var(variable.name), variable.dims[-1], place) for place in range(size)]


def total_of(model: Model, part: Expr) -> Definition | None:
    """Return the one definition that adds `part` to something per unit, None if it is used otherwise."""
    (name,) = references(part)
    users = [definition for definition in model.definitions if holds(definition.value, part)]
    if len(users) != 1 or not is_summand(users[0].value, part):
        return None
    return users[0] if users[0].dims == model.dims_of()[name][:1] else None
