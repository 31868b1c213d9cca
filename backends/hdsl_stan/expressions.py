"""Model expressions as Stan expressions.

`lower` gives the vectorised form; where Stan has none, the value is computed into a local variable by a loop
over one dim, and within the loop the rest is vectorised again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hdsl.model.functions import aligned
from hdsl.model.ir import Apply, Const, Dims, Expr, Var, references
from hdsl_stan.context import Context, label
from hdsl_stan.syntax import (
    All,
    Assign,
    Declare,
    Expression,
    For,
    Index,
    Name,
    Statement,
    at,
    binary,
    call,
    number,
)
from hdsl_stan.values import (
    Env,
    Many,
    NeedsLoop,
    Spec,
    Stored,
    Value,
    access,
    element,
    fit,
    index_value,
    literal,
    sized,
    stored,
    transpose,
)


def free_dims(context: Context, expr: Expr) -> Dims:
    """Return the dims of an expression; an index over a dim that is already there picks pointwise."""
    if isinstance(expr, Const):
        return ()
    if isinstance(expr, Var):
        return context.dims[expr.name]
    args = [free_dims(context, arg) for arg in expr.args]
    if expr.function == "gather":
        place = args[0].index(str(expr.static[0]))
        return tuple(dict.fromkeys((*args[0][:place], *args[1], *args[0][place + 1 :])))
    if expr.function in ("column", "sum", "mean", "log_sum_exp", "dot"):
        return tuple(dim for dim in aligned(args) if dim != expr.static[0])
    if expr.function == "stack":
        return (*aligned(args), str(expr.static[0]))
    return aligned(args)


def lower(context: Context, expr: Expr, env: Env) -> Value:
    """Return the value of `expr` with the dims of `env` fixed, in canonical layout."""
    if isinstance(expr, Const):
        return literal(expr.value)
    mark = len(context.body)
    try:
        return vectorised(context, expr, env)
    except NeedsLoop as failure:
        del context.body[mark:]
        dims = tuple(dim for dim in free_dims(context, expr) if dim not in env)
        if len(dims) not in (1, 2):
            raise NeedsLoop(dims[0] if dims else failure.dim) from failure
        return _materialised(context, expr, env, dims)


def vectorised(context: Context, expr: Expr, env: Env) -> Value:
    """Return the value of `expr` without a loop at its root. Raises NeedsLoop."""
    from hdsl_stan.functions import FUNCTIONS

    if isinstance(expr, Const):
        return literal(expr.value)
    if isinstance(expr, Var):
        return _located(context, expr, env)
    if _worth_precomputing(context, expr) and expr is not context.precomputing:
        return _located(context, expr, env, precompute(context, expr))
    if expr.function in ("gather", "column"):
        return indexed(context, expr, env, {})
    return FUNCTIONS[expr.function](context, expr, env)


def precompute(context: Context, expr: Expr) -> Stored:
    """Return the variable of transformed data that holds a data-only expression."""
    if expr not in context.precomputed:
        dims = free_dims(context, expr)
        picked = isinstance(expr, Apply) and expr.function == "gather" and dims
        wanted = f"{label(expr)}_{dims[-1]}" if picked else label(expr)
        variable = stored(context.fresh(wanted), dims)
        outer = context.body, context.precomputing
        context.body, context.precomputing = [], expr
        declare(context, variable, expr)
        context.transformed_data += context.body
        context.body, context.precomputing = outer
        context.precomputed[expr] = variable
    return context.precomputed[expr]


def declare(context: Context, variable: Stored, expr: Expr, comment: str = "") -> None:
    """Write the declaration of a variable that holds `expr`, and what computes it."""
    outer, context.body = context.body, []
    type_ = sized(variable, context.sizes)
    try:
        value = _shaped(context, expr, {}, variable.dims)
        before, context.body = context.body, outer
        context.body += [*before, Declare(type_, variable.name, value.node, comment)]
    except NeedsLoop:
        context.body = outer
        context.body.append(Declare(type_, variable.name, None, comment))
        assign(context, variable, expr, {})


def assign(context: Context, variable: Stored, expr: Expr, env: Env) -> None:
    """Write the assignment of `expr` to `variable`, whose dims in `env` are fixed."""
    free = tuple(dim for dim in variable.dims if dim not in env)
    if isinstance(expr, Apply) and expr.function == "stack" and expr.static[0] in free:
        dim = str(expr.static[0])
        for position, part in enumerate(expr.args):
            assign(context, variable, part, {**env, dim: number(position + 1)})
        return
    mark = len(context.body)
    try:
        value = _shaped(context, expr, env, free)
        target = element(variable, env)
        row = variable.base == "matrix" and len(free) == 1 and variable.dims[-1] == free[0]
        context.body.append(assignment(target, transpose(value.node) if row else value.node))
    except NeedsLoop as failure:
        del context.body[mark:]
        dim = failure.dim if failure.dim in free else free[0]
        loop(context, dim, env, lambda inner: assign(context, variable, expr, inner))


def loop(context: Context, dim: str, env: Env, write: Callable[[Env], None]) -> None:
    """Write a loop over `dim` around what `write` writes for the element it fixes."""
    index = context.fresh(index_name(dim))
    outer, context.body = context.body, []
    write({**env, dim: Name(index)})
    inner, context.body = context.body, outer
    context.taken.discard(index)
    context.body.append(For(index, context.sizes[dim], tuple(inner)))


def local(context: Context, expr: Expr, wanted: str) -> Stored:
    """Return a variable that holds `expr`: the one it names, or a new local one."""
    if isinstance(expr, Var):
        variable = context.stored[expr.name]
        return as_real(context, variable, expr.name) if variable.base == "int" else variable
    if isinstance(expr, Apply) and _worth_precomputing(context, expr):
        return precompute(context, expr)
    variable = stored(context.fresh(wanted), free_dims(context, expr))
    declare(context, variable, expr)
    return variable


def index_name(dim: str) -> str:
    """Return the name of a loop variable over `dim`."""
    return f"i_{dim}" if len(dim) < 2 else dim[0].lower() if dim[0].isascii() and dim[0].isalpha() else "i"


def without(env: Env, dim: str) -> Env:
    """Return `env` without a dim that an expression binds itself."""
    return {each: node for each, node in env.items() if each != dim}


def as_real(context: Context, variable: Stored, slot: str) -> Stored:
    """Return an integer slot as real numbers, counted as in hdsl."""
    key = Apply(function="as_real", args=(Var(name=slot),))
    if key not in context.precomputed:
        new = stored(context.fresh(f"{variable.name}_value"), variable.dims)
        whole: Expression = Name(variable.name)
        if variable.dims:
            whole = call("to_vector" if len(variable.dims) == 1 else "to_matrix", whole)
        shifted = binary("-", whole, number(1)) if slot in context.shifted else whole
        context.transformed_data.append(Declare(sized(new, context.sizes), new.name, shifted))
        context.precomputed[key] = new
    return context.precomputed[key]


def indexed(context: Context, expr: Expr, env: Env, specs: Mapping[str, Spec]) -> Value:
    """Return `expr` with dims indexed: nested gathers and columns of a variable become one index."""
    ready = isinstance(expr, Apply) and expr is not context.precomputing and _worth_precomputing(context, expr)
    if isinstance(expr, Var) or ready:
        variable = None if isinstance(expr, Var) else precompute(context, expr)
        return _located(context, expr, {**env, **_single(specs)}, variable, specs)
    if isinstance(expr, Const):
        return literal(expr.value)
    dim = str(expr.static[0]) if expr.static else ""
    if expr.function == "column":
        spec: Spec = number(int(expr.static[1]) + 1)
        return indexed(context, expr.args[0], without(env, dim), {**specs, dim: spec})
    if expr.function == "gather":
        spec = index_spec(context, expr.args[1], env, specs)
        inner = {each: given for each, given in specs.items() if each != dim}
        return indexed(context, expr.args[0], without(env, dim), {**inner, dim: spec})
    return index_value(lower(context, expr, {**env, **_single(specs)}), specs)


def index_spec(context: Context, index: Expr, env: Env, specs: Mapping[str, Spec]) -> Spec:
    """Return the index that an integer expression gives: one position, or many over a dim."""
    if isinstance(index, Const):
        return number(index.value + 1)
    if isinstance(index, Apply) and index.function == "gather":
        over = str(index.static[0])
        inner = index_spec(context, index.args[1], env, specs)
        kept = {dim: spec for dim, spec in specs.items() if dim != over}
        return index_spec(context, index.args[0], without(env, over), {**kept, over: inner})
    if not isinstance(index, Var):
        raise TypeError(f"an index must be an integer slot, not {index}")
    variable = context.stored[index.name]
    given = {**env, **specs}
    chosen = [given.get(dim, All()) for dim in variable.dims]
    node = at(Name(variable.name), *(each.node if isinstance(each, Many) else each for each in chosen))
    kept_dims = [
        spec.dim if isinstance(spec, Many) else dim
        for dim, spec in zip(variable.dims, chosen, strict=True)
        if isinstance(spec, Many | All)
    ]
    if len(kept_dims) > 1:
        raise NeedsLoop(kept_dims[0])
    return Many(node, kept_dims[0]) if kept_dims else node


def _single(specs: Mapping[str, Spec]) -> Env:
    return {dim: spec for dim, spec in specs.items() if not isinstance(spec, Many | All)}


def _located(
    context: Context,
    expr: Expr,
    env: Env,
    variable: Stored | None = None,
    specs: Mapping[str, Spec] | None = None,
) -> Value:
    if variable is None:
        assert isinstance(expr, Var)
        variable = context.stored[expr.name]
        if variable.base == "int":
            variable = as_real(context, variable, expr.name)
    given: Mapping[str, Spec] = {**env, **(specs or {})}
    return access(variable, [given.get(dim, All()) for dim in variable.dims])


def _materialised(context: Context, expr: Expr, env: Env, dims: Dims) -> Value:
    variable = stored(context.fresh(label(expr)), dims)
    context.body.append(Declare(sized(variable, context.sizes), variable.name))
    assign(context, variable, expr, env)
    return access(variable, [All() for _ in dims])


def _shaped(context: Context, expr: Expr, env: Env, dims: Dims) -> Value:
    value = vectorised(context, expr, env)
    if len(dims) > 2:
        raise NeedsLoop(dims[0])
    return fit(value, dims, context.sizes)


def assignment(target: Expression, value: Expression) -> Statement:
    """Return target = value."""
    if not isinstance(target, Name | Index):
        raise TypeError("an assignment needs a variable")
    return Assign(target, value)


def _worth_precomputing(context: Context, expr: Apply) -> bool:
    names = references(expr)
    if not names or not names <= context.fixed or expr.function == "column":
        return False
    return not (expr.function == "gather" and _is_index(context, expr))


def _is_index(context: Context, expr: Expr) -> bool:
    if isinstance(expr, Var):
        return context.stored[expr.name].base == "int"
    return isinstance(expr, Apply) and expr.function == "gather" and _is_index(context, expr.args[0])
