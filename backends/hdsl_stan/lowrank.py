"""Normal vectors with the covariance diag(sd^2) + factor factor': the rows of groups that share effects.

Of data, one for each group, the log densities of all groups are computed at once: the Cholesky factors are written
out over their entries, each a vector over the groups.
"""

from __future__ import annotations

from math import log, pi

from hdsl.model.ir import Expr, Observation
from hdsl_stan.context import Context
from hdsl_stan.expressions import assignment, loop, lower
from hdsl_stan.syntax import (
    All,
    Argument,
    Assign,
    Declare,
    Expression,
    For,
    Function,
    Index,
    Name,
    Number,
    Return,
    Statement,
    Target,
    Type,
    at,
    binary,
    call,
)
from hdsl_stan.values import Env, Stored, fit

ONE, GROUPS = "multi_normal_lowrank_lpdf", "multi_normal_groups_lpdf"


def likelihood(context: Context, observation: Observation) -> None:
    """Write the statements of such a law of data, one for each element of one dim."""
    groups, row = observation.dims
    context.functions.add(GROUPS)
    names = ("mean", "sd", "factor")
    arguments = tuple(
        by_row(context, arg, name, groups, row) for arg, name in zip(observation.law.args, names, strict=True)
    )
    outcome = Name(context.stored[observation.slot].name)
    context.body.append(Target(call(GROUPS, outcome, given=tuple(Name(each.name) for each in arguments))))


def by_row(context: Context, arg: Expr, wanted: str, groups: str, row: str) -> Stored:
    """Declare an argument as an array over the rows of vectors over the groups, of columns of matrices."""
    wide = wanted not in ("mean", "sd")
    dims = (row, groups, extra(context, arg, groups, row)) if wide else (row, groups)
    base = "matrix" if wide else "vector"
    held = Stored(context.fresh(f"{wanted}_of_rows"), dims, base)
    sizes = context.sizes
    context.body.append(Declare(Type(base, tuple(sizes[dim] for dim in dims[1:]), (sizes[row],)), held.name))

    def write(env: Env) -> None:
        value = fit(lower(context, arg, env), dims[1:], sizes)
        context.body.append(assignment(at(Name(held.name), env[row]), value.node))

    loop(context, row, {}, write)
    return held


def extra(context: Context, arg: Expr, groups: str, row: str) -> str:
    """Return the dim of the columns of an argument."""
    from hdsl_stan.expressions import free_dims

    (extra,) = (dim for dim in free_dims(context, arg) if dim not in (groups, row))
    return extra


def one_by_one() -> Function:
    """Return the density of one vector."""
    factor, sd = Name("factor"), Name("sd")
    covariance = call("add_diag", call("tcrossprod", factor), call("square", sd))
    density = call(
        "multi_normal_cholesky_lpdf", Name("y"), given=(Name("mean"), call("cholesky_decompose", covariance))
    )
    arguments = (*(Argument("vector", name) for name in ("y", "mean", "sd")), Argument("matrix", "factor"))
    return Function("real", ONE, arguments, (Return(density),), "Covariance diag(sd^2) + factor * factor'.")


_Y, _L, _Z, _SUM = Name("y"), Name("L"), Name("z"), Name("log_density")
_I, _J, _K = Name("i"), Name("j"), Name("k")


def all_groups() -> Function:
    """Return the density of many vectors of the same length, by the entries of their Cholesky factors L."""
    rows, groups = Name("rows"), Name("groups")
    constant = binary("*", Number(-0.5 * log(2 * pi)), call("size", _Y))
    fall = binary("+", binary("*", Number(0.5), call("dot_self", at(_Z, _I))), call("sum", call("log", at(_L, _I, _I))))
    body: tuple[Statement, ...] = (
        Declare(Type("int"), "groups", call("rows", _Y)),
        Declare(Type("int"), "rows", call("cols", _Y)),
        Declare(Type("vector", (groups,), (rows, rows)), "L"),
        Declare(Type("vector", (groups,), (rows,)), "z"),
        Declare(Type("real"), "log_density", constant),
        For("i", rows, (*_row(), Assign(_SUM, binary("-", _SUM, fall)))),
        Return(_SUM),
    )
    arguments = (
        Argument("data matrix", "y"),
        Argument("array[] vector", "mean"),
        Argument("array[] vector", "sd"),
        Argument("array[] matrix", "factor"),
    )
    text = (
        "The rows y[g] of each group g are normal with the covariance diag(sd^2) + factor * factor', which is what "
        "is left when effects that the rows share are integrated out. L is its Cholesky factor: entry L[i, j] holds "
        "those of all groups."
    )
    return Function("real", GROUPS, arguments, body, text)


def _row() -> tuple[Statement, ...]:
    """Return the statements that fill row i of L and of z = L^-1 (y - mean)."""
    below = (*entry_below(), _less(at(_Z, _I), binary(".*", at(_L, _I, _J), at(_Z, _J))))
    return (
        _set(at(_Z, _I), binary("-", at(_Y, All(), _I), at(Name("mean"), _I))),
        For("j", binary("-", _I, Number(1)), below),
        *corner(),
        _set(at(_Z, _I), binary("./", at(_Z, _I), at(_L, _I, _I))),
    )


def entry_below() -> tuple[Statement, ...]:
    """Return the statements that compute entry (i, j) of L, j < i."""
    factor, entry = Name("factor"), at(_L, _I, _J)
    shared = call("rows_dot_product", at(factor, _I), at(factor, _J))
    return (
        _set(entry, shared),
        For("k", binary("-", _J, Number(1)), (_less(entry, binary(".*", at(_L, _I, _K), at(_L, _J, _K))),)),
        _set(entry, binary("./", entry, at(_L, _J, _J))),
    )


def corner() -> tuple[Statement, ...]:
    """Return the statements that compute entry (i, i) of L."""
    own = at(_L, _I, _I)
    variance = binary("+", call("square", at(Name("sd"), _I)), call("rows_dot_self", at(Name("factor"), _I)))
    return (
        _set(own, variance),
        For("k", binary("-", _I, Number(1)), (_less(own, call("square", at(_L, _I, _K))),)),
        _set(own, call("sqrt", own)),
    )


def _set(target: Expression, value: Expression) -> Statement:
    assert isinstance(target, Name | Index)
    return Assign(target, value)


def _less(target: Expression, value: Expression) -> Statement:
    return _set(target, binary("-", target, value))
