"""Normal vectors of groups that lie in larger units, with the effects of all levels integrated out.

Whatever multiplies the larger units' effects is whitened with the outcome, group by group; of what is left only sums
of products by unit matter. The innermost level is eliminated from them first. Sums by unit are products with a sparse
matrix of ones, whose rows are the units: a loop would cost a node of the gradient for each group.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, pi

from hdsl.model.ir import Expr, Observation, Var
from hdsl_stan.context import Context
from hdsl_stan.expressions import assignment, loop, lower
from hdsl_stan.lowrank import by_row, corner, entry_below, extra
from hdsl_stan.syntax import (
    All,
    Argument,
    Between,
    Declare,
    Expression,
    For,
    Function,
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

PRODUCTS, OUT, FIRST = "products_of_rows", "integrated_out", "first_of_units"


def likelihood(context: Context, observation: Observation) -> None:
    """Write the statements of such a law of data."""
    groups, row = observation.dims
    law = observation.law
    context.functions.update((PRODUCTS, OUT, FIRST))
    columns, units = law.args[3::2], law.args[4::2]
    first = [by_row(context, law.args[k], name, groups, row) for k, name in enumerate(("mean", "sd", "factor"))]
    together = _columns(context, columns, groups, row)
    arguments = (*(Name(each.name) for each in first), together)
    node: Expression = call(PRODUCTS, Name(context.stored[observation.slot].name), *arguments)
    for own, unit in zip(columns, units, strict=True):
        assert isinstance(unit, Var)
        order, start = _places(context, unit.name)
        node = call(OUT, node, context.sizes[extra(context, own, groups, row)], order, start)
    context.body.append(Target(binary("*", Number(-0.5), call("sum", at(node, Number(1), Number(1))))))


def _columns(context: Context, columns: Sequence[Expr], groups: str, row: str) -> Expression:
    """Declare the columns of all levels side by side, as an array over the rows."""
    sizes = context.sizes
    if len(columns) == 1:
        return Name(by_row(context, columns[0], "columns", groups, row).name)
    inner = [extra(context, each, groups, row) for each in columns]
    total = sizes[inner[0]]
    for dim in inner[1:]:
        total = binary("+", total, sizes[dim])
    held = Stored(context.fresh("columns_of_rows"), (row, groups, "columns"), "matrix")
    context.body.append(Declare(Type("matrix", (sizes[groups], total), (sizes[row],)), held.name))

    def write(env: Env) -> None:
        parts = [
            fit(lower(context, each, env), (groups, dim), sizes).node for each, dim in zip(columns, inner, strict=True)
        ]
        whole = parts[-1]
        for part in reversed(parts[:-1]):
            whole = call("append_col", part, whole)
        context.body.append(assignment(at(Name(held.name), env[row]), whole))

    loop(context, row, {}, write)
    return Name(held.name)


def _places(context: Context, slot: str) -> tuple[Name, Name]:
    """Declare in transformed data the order of the groups by unit, and where each unit's begin."""
    held = context.model.slot(slot)
    unit, (below,) = str(held.indexes), held.dims
    codes = Name(context.stored[slot].name)
    order, first = context.fresh(f"{below}_by_{unit}"), context.fresh(f"first_{below}_of_{unit}")
    size = context.sizes[unit]
    context.transformed_data += [
        Declare(Type("int", arrays=(context.sizes[below],)), order, call("sort_indices_asc", codes)),
        Declare(Type("int", arrays=(binary("+", size, Number(1)),)), first, call(FIRST, codes, size)),
    ]
    return Name(order), Name(first)


_I, _J, _K, _A, _B = (Name(each) for each in "ijkab")
_Z, _S, _L, _N, _ONE = Name("z"), Name("S"), Name("L"), Name("n"), Number(1)


def products_of_rows() -> Function:
    """Return the sums over each group's rows of products of whitened columns, the outcome last."""
    groups, rows = Name("groups"), Name("rows")
    body = (
        Declare(Type("int"), "groups", call("rows", Name("y"))),
        Declare(Type("int"), "rows", call("cols", Name("y"))),
        Declare(Type("int"), "n", binary("+", call("cols", at(Name("columns"), _ONE)), _ONE)),
        Declare(Type("vector", (groups,), (rows, rows)), "L"),
        Declare(Type("vector", (groups,), (rows, _N)), "z"),
        Declare(Type("vector", (groups,), (_N, _N)), "S"),
        assignment(_S, call("rep_array", call("rep_vector", Number(0), groups), _N, _N)),
        For("i", rows, _row()),
        Return(_S),
    )
    arguments = (
        Argument("data matrix", "y"),
        Argument("array[] vector", "mean"),
        Argument("array[] vector", "sd"),
        Argument("array[] matrix", "factor"),
        Argument("array[] matrix", "columns"),
    )
    text = (
        "Of each group, the sums over its rows of products of the columns and of y - mean, which is last, all divided "
        "by the Cholesky factor L of diag(sd^2) + factor * factor'. To the last its log determinant is added: it is "
        "then -2 times the log density of the rows of groups that share no larger unit."
    )
    return Function("array[,] vector", PRODUCTS, arguments, body, text)


def _row() -> tuple[Statement, ...]:
    """Return the statements that fill row i of L and of z, and add its products."""
    outcome, last = at(_Z, _I, _N), at(_S, _N, _N)
    less = binary("-", at(_Z, _I, _A), binary(".*", at(_L, _I, _J), at(_Z, _J, _A)))
    products = binary("+", at(_S, _A, _B), binary(".*", at(_Z, _I, _A), at(_Z, _I, _B)))
    more = binary("+", binary("*", Number(2), call("log", at(_L, _I, _I))), Number(log(2 * pi)))
    return (
        For("a", binary("-", _N, _ONE), (assignment(at(_Z, _I, _A), at(Name("columns"), _I, All(), _A)),)),
        assignment(outcome, binary("-", at(Name("y"), All(), _I), at(Name("mean"), _I))),
        For("j", binary("-", _I, _ONE), (*entry_below(), For("a", _N, (assignment(at(_Z, _I, _A), less),)))),
        *corner(),
        For(
            "a",
            _N,
            (
                assignment(at(_Z, _I, _A), binary("./", at(_Z, _I, _A), at(_L, _I, _I))),
                For("b", _A, (assignment(at(_S, _A, _B), products),)),
            ),
        ),
        assignment(last, binary("+", last, more)),
    )


def integrated_out() -> Function:
    """Return the sums of products by unit with the effects of the units eliminated."""
    units, size, effects = Name("units"), call("size", Name("order")), Name("effects")
    pivot, end = at(_S, _K, _K), at(_S, _N, _N)
    row, other = binary("+", _K, _I), binary("+", _K, _J)
    summed = call(
        "csr_matrix_times_vector",
        units,
        size,
        call("rep_vector", _ONE, size),
        Name("order"),
        Name("first"),
        at(Name("products"), _I, _J),
    )
    less = binary("-", at(_S, row, other), binary(".*", at(_S, row, _K), at(_S, other, _K)))
    eliminated = (
        assignment(pivot, call("sqrt", binary("+", _ONE, pivot))),
        For(
            "i",
            binary("-", _N, _K),
            (
                assignment(at(_S, row, _K), binary("./", at(_S, row, _K), pivot)),
                For("j", _I, (assignment(at(_S, row, other), less),)),
            ),
        ),
        assignment(end, binary("+", end, binary("*", Number(2), call("log", pivot)))),
    )
    left = Between(binary("+", effects, _ONE), _N)
    body = (
        Declare(Type("int"), "n", call("size", Name("products"))),
        Declare(Type("int"), "units", binary("-", call("size", Name("first")), _ONE)),
        Declare(Type("vector", (units,), (_N, _N)), "S"),
        For("i", _N, (For("j", _I, (assignment(at(_S, _I, _J), summed),)),)),
        For("k", effects, eliminated),
        Return(at(_S, left, left)),
    )
    arguments = (
        Argument("array[,] vector", "products"),
        Argument("int", "effects"),
        Argument("array[] int", "order"),
        Argument("array[] int", "first"),
    )
    text = (
        "Sums of products by larger unit, whose effects, standard normal, multiply the first columns: these are "
        "eliminated, the log determinant of the effects' precision added to the last. The groups of unit u are "
        "order[first[u]], ..., order[first[u + 1] - 1]."
    )
    return Function("array[,] vector", OUT, arguments, body, text)


def first_of_units() -> Function:
    """Return where the groups of each unit begin among those in order of units, and the end."""
    unit, units, first, group = Name("unit"), Name("units"), Name("first"), Name("g")
    after = at(first, binary("+", at(unit, group), _ONE))
    body = (
        Declare(Type("int", arrays=(binary("+", units, _ONE),)), "first"),
        assignment(first, call("rep_array", Number(0), binary("+", units, _ONE))),
        assignment(at(first, _ONE), _ONE),
        For("g", call("size", unit), (assignment(after, binary("+", after, _ONE)),)),
        Return(call("cumulative_sum", first)),
    )
    arguments = (Argument("array[] int", "unit"), Argument("int", "units"))
    text = "Where the groups of each unit begin, once they are in the order of their units; and one past the end."
    return Function("array[] int", FIRST, arguments, body, text)
