"""The functions of Model expressions in Stan, one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

from hdsl.model.functions import aligned
from hdsl.model.ir import Apply, Const, Dims
from hdsl_stan.context import Context
from hdsl_stan.expressions import free_dims, indexed, lower, without
from hdsl_stan.linear import lower_sum
from hdsl_stan.syntax import (
    Binary,
    Conditional,
    Expression,
    Index,
    Negative,
    Number,
    Operator,
    Row,
    Transpose,
    added,
    binary,
    call,
    number,
)
from hdsl_stan.values import Env, NeedsLoop, Value, fit, index_value, transpose

Lowering = Callable[[Context, Apply, Env], Value]
_MOST_COLUMNS = 4


def _arguments(context: Context, expr: Apply, env: Env) -> tuple[list[Value], Dims]:
    values = [lower(context, arg, env) for arg in expr.args]
    dims = aligned([value.dims for value in values])
    if len(dims) > 2:
        raise NeedsLoop(dims[0])
    return values, dims


def _spread(context: Context, values: list[Value], dims: Dims) -> list[Value]:
    """Spread the values that are neither scalars nor of all the dims."""
    return [fit(value, dims, context.sizes) if value.dims else value for value in values]


def _unary(name: str) -> Lowering:
    def lowering(context: Context, expr: Apply, env: Env) -> Value:
        (value,), dims = _arguments(context, expr, env)
        return Value(call(name, value.node), dims)

    return lowering


def _negative(context: Context, expr: Apply, env: Env) -> Value:
    (value,), dims = _arguments(context, expr, env)
    return Value(Negative(value.node), dims, value.integer)


def _paired(name: str) -> Lowering:
    def lowering(context: Context, expr: Apply, env: Env) -> Value:
        values, dims = _arguments(context, expr, env)
        left, right = _spread(context, values, dims)
        return Value(call(name, left.node, right.node), dims)

    return lowering


def _sum_of_two(operator: Operator) -> Lowering:
    def lowering(context: Context, expr: Apply, env: Env) -> Value:
        linear = None if env else lower_sum(context, expr)
        if linear is not None:
            return linear
        values, dims = _arguments(context, expr, env)
        left, right = _spread(context, values, dims)
        whole = left.integer and right.integer
        if isinstance(right.node, Negative):
            flipped: Operator = "-" if operator == "+" else "+"
            return Value(binary(flipped, left.node, right.node.operand), dims, whole)
        if operator == "+" and right.dims == dims:
            return Value(added(left.node, right.node), dims, whole)
        return Value(binary(operator, left.node, right.node), dims, whole)

    return lowering


def _product(context: Context, expr: Apply, env: Env) -> Value:
    (left, right), dims = _arguments(context, expr, env)
    whole = left.integer and right.integer
    if not left.dims or not right.dims:
        return Value(binary("*", left.node, right.node), dims, whole)
    if len(dims) < 2:
        return Value(binary(".*", left.node, right.node), dims)
    return Value(_matrix_product(context, left, right, dims), dims)


def _matrix_product(context: Context, left: Value, right: Value, dims: Dims) -> Expression:
    if len(left.dims) == 1 and len(right.dims) == 1:
        return binary("*", left.node, transpose(right.node))
    if len(left.dims) == 2 and len(right.dims) == 2:
        return binary(".*", left.node, fit(right, dims, context.sizes).node)
    vector, matrix = (left, right) if len(left.dims) == 1 else (right, left)
    matrix = fit(matrix, dims, context.sizes)
    if vector.dims[0] == dims[0]:
        return call("diag_pre_multiply", vector.node, matrix.node)
    return call("diag_post_multiply", matrix.node, vector.node)


def _quotient(context: Context, expr: Apply, env: Env) -> Value:
    values, dims = _arguments(context, expr, env)
    left, right = _spread(context, values, dims)
    if left.integer and right.integer:
        left = Value(_real(left.node), left.dims)
    return Value(binary("./" if right.dims else "/", left.node, right.node), dims)


def _real(node: Expression) -> Expression:
    if isinstance(node, Number):
        return Number(float(node.value))
    if isinstance(node, Negative) and isinstance(node.operand, Number):
        return Negative(Number(float(node.operand.value)))
    return binary("*", Number(1.0), node)


def _power(context: Context, expr: Apply, env: Env) -> Value:
    if expr.args[1] == Const(value=2.0):
        value = lower(context, expr.args[0], env)
        return Value(call("square", value.node), value.dims)
    values, dims = _arguments(context, expr, env)
    left, right = _spread(context, values, dims)
    return Value(binary(".^" if dims else "^", left.node, right.node), dims)


def _comparison(operator: Operator) -> Lowering:
    def lowering(context: Context, expr: Apply, env: Env) -> Value:
        (left, right), dims = _arguments(context, expr, env)
        if dims:
            raise NeedsLoop(dims[0])
        return Value(binary(operator, left.node, right.node), (), True)

    return lowering


def _where(context: Context, expr: Apply, env: Env) -> Value:
    dims = tuple(dim for dim in free_dims(context, expr) if dim not in env)
    if dims:
        raise NeedsLoop(dims[0])
    condition, yes, no = (lower(context, arg, env) for arg in expr.args)
    is_test = isinstance(condition.node, Binary) and condition.node.operator in ("==", "<")
    test = condition.node if is_test else binary("!=", condition.node, number(0))
    return Value(Conditional(test, yes.node, _real(no.node) if no.integer else no.node))


def _indexed(context: Context, expr: Apply, env: Env) -> Value:
    return indexed(context, expr, env, {})


def _stack(context: Context, expr: Apply, env: Env) -> Value:
    dim = str(expr.static[0])
    chosen = env.get(dim)
    if isinstance(chosen, Number):
        return lower(context, expr.args[int(chosen.value) - 1], without(env, dim))
    parts = [lower(context, part, without(env, dim)) for part in expr.args]
    outer = aligned([part.dims for part in parts])
    wide = len(outer) > 1 or chosen is not None or len(parts) > _MOST_COLUMNS
    if outer and wide:
        raise NeedsLoop(next(iter(outer)))
    if outer:
        columns = [fit(part, outer, context.sizes).node for part in parts]
        return Value(reduce(lambda left, right: call("append_col", left, right), columns), (*outer, dim))
    column = Transpose(Row(tuple(part.node for part in parts)))
    return Value(column, (dim,)) if chosen is None else Value(Index(column, (chosen,)), ())


def _reduced(context: Context, expr: Apply, env: Env) -> tuple[Value, str]:
    dim = str(expr.static[0])
    return lower(context, expr.args[0], without(env, dim)), dim


def _summed(name: str) -> Lowering:
    def lowering(context: Context, expr: Apply, env: Env) -> Value:
        value, dim = _reduced(context, expr, env)
        size = context.sizes[dim]
        if dim not in value.dims:
            node = value.node if name == "mean" else binary("*", size, value.node)
            return Value(node, value.dims)
        if len(value.dims) == 1:
            return Value(call(name, value.node), ())
        (other,) = (each for each in value.dims if each != dim)
        matrix = value.node if value.dims[1] == dim else transpose(value.node)
        each = number(1) if name == "sum" else binary("/", Number(1.0), size)
        return Value(binary("*", matrix, call("rep_vector", each, size)), (other,))

    return lowering


def _log_sum_exp(context: Context, expr: Apply, env: Env) -> Value:
    (arg,), dim = expr.args, str(expr.static[0])
    if isinstance(arg, Apply) and arg.function == "stack" and arg.static[0] == dim and len(arg.args) == 2:
        pair = Apply(function="log_sum_exp", args=arg.args)
        return _paired("log_sum_exp")(context, pair, without(env, dim))
    return _along("log_sum_exp", keep=False)(context, expr, env)


def _along(name: str, keep: bool) -> Lowering:
    """Lower a function of a whole vector."""

    def lowering(context: Context, expr: Apply, env: Env) -> Value:
        dim = str(expr.static[0])
        dims = [each for each in free_dims(context, expr.args[0]) if each not in env and each != dim]
        if dims:
            raise NeedsLoop(dims[0])
        value = lower(context, expr.args[0], without(env, dim))
        node = call(name, value.node)
        if not keep:
            return Value(node, ())
        return Value(node, value.dims) if dim not in env else Value(Index(node, (env[dim],)), ())

    return lowering


def _dot(context: Context, expr: Apply, env: Env) -> Value:
    dim = str(expr.static[0])
    left, right = (lower(context, arg, without(env, dim)) for arg in expr.args)
    if dim not in left.dims or dim not in right.dims:
        product = Apply(function="mul", args=expr.args)
        return _summed("sum")(context, Apply(function="sum", args=(product,), static=(dim,)), env)
    rest = tuple(each for each in aligned([left.dims, right.dims]) if each != dim)
    if len(rest) > 2:
        raise NeedsLoop(rest[0])
    if len(left.dims) == 1 and len(right.dims) == 1:
        return Value(call("dot_product", left.node, right.node), ())
    if len(left.dims) == 2 and len(right.dims) == 2 and len(rest) == 1:
        rows = [_rows(value, dim) for value in (left, right)]
        return Value(call("rows_dot_product", *rows), rest)
    if len(left.dims) == 1:
        return Value(binary("*", _rows(right, dim), left.node), rest)
    if len(right.dims) == 1:
        return Value(binary("*", _rows(left, dim), right.node), rest)
    return Value(binary("*", _rows(left, dim), transpose(_rows(right, dim))), rest)


def _cholesky(context: Context, expr: Apply, env: Env) -> Value:
    rows, columns = (str(dim) for dim in expr.static)
    value = lower(context, expr.args[0], without(without(env, rows), columns))
    outer = [dim for dim in value.dims if dim not in (rows, columns)]
    if outer:
        raise NeedsLoop(outer[0])
    node = call("cholesky_decompose", value.node if value.dims == (rows, columns) else transpose(value.node))
    chosen = [env.get(dim) for dim in (rows, columns)]
    if all(each is None for each in chosen):
        return Value(node, (rows, columns))
    return index_value(Value(node, (rows, columns)), {d: c for d, c in zip((rows, columns), chosen, strict=True) if c})


def _rows(value: Value, dim: str) -> Expression:
    """Return the matrix with `dim` as its columns."""
    return value.node if value.dims[1] == dim else transpose(value.node)


FUNCTIONS: Mapping[str, Lowering] = {
    "add": _sum_of_two("+"),
    "sub": _sum_of_two("-"),
    "mul": _product,
    "div": _quotient,
    "pow": _power,
    "neg": _negative,
    "exp": _unary("exp"),
    "expm1": _unary("expm1"),
    "log": _unary("log"),
    "log1p": _unary("log1p"),
    "sqrt": _unary("sqrt"),
    "square": _unary("square"),
    "abs": _unary("abs"),
    "min": _paired("fmin"),
    "max": _paired("fmax"),
    "sin": _unary("sin"),
    "cos": _unary("cos"),
    "tanh": _unary("tanh"),
    "inv_logit": _unary("inv_logit"),
    "logit": _unary("logit"),
    "probit": _unary("inv_Phi"),
    "inv_probit": _unary("Phi"),
    "inv_cloglog": _unary("inv_cloglog"),
    "log_inv_logit": _unary("log_inv_logit"),
    "equal": _comparison("=="),
    "less": _comparison("<"),
    "where": _where,
    "gather": _indexed,
    "column": _indexed,
    "stack": _stack,
    "sum": _summed("sum"),
    "mean": _summed("mean"),
    "log_sum_exp": _log_sum_exp,
    "log_softmax": _along("log_softmax", keep=True),
    "cumulative_sum": _along("cumulative_sum", keep=True),
    "dot": _dot,
    "cholesky": _cholesky,
}
