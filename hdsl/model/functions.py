"""The functions of Model expressions: their names, arities and the dims of their results.

What a function computes is defined by the NumPy reference (`hdsl.reference`); each backend has one row per
function in its lowering table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hdsl.model.ir import Apply, Const, Dims, Expr, Var

Static = tuple[str | int, ...]
DimsRule = Callable[[Sequence[Dims], Static], Dims]


@dataclass(frozen=True)
class Function:
    """A function: `arity` None takes any number of arguments; `meaning` is shown in docs."""

    name: str
    arity: int | None
    dims: DimsRule
    meaning: str


def aligned(args: Sequence[Dims], static: Static = ()) -> Dims:
    """Return the union of the dims, in order of first appearance (elementwise functions)."""
    return tuple(dict.fromkeys(dim for dims in args for dim in dims))


def _gathered(args: Sequence[Dims], static: Static) -> Dims:
    values, index = args
    (over,) = static
    place = values.index(str(over))
    return tuple(dict.fromkeys(values[:place] + index + values[place + 1 :]))


def _without(args: Sequence[Dims], static: Static) -> Dims:
    return tuple(dim for dim in aligned(args) if dim != static[0])


def _with(args: Sequence[Dims], static: Static) -> Dims:
    return (*aligned(args), str(static[0]))


def _same(args: Sequence[Dims], static: Static) -> Dims:
    return args[0]


def _matrix(args: Sequence[Dims], static: Static) -> Dims:
    ends = tuple(str(dim) for dim in static)
    return (*(dim for dim in args[0] if dim not in ends), *ends)


def _elementwise(name: str, arity: int, meaning: str) -> Function:
    return Function(name, arity, aligned, meaning)


_ALL = (
    _elementwise("add", 2, "x + y"),
    _elementwise("sub", 2, "x - y"),
    _elementwise("mul", 2, "x y"),
    _elementwise("div", 2, "x / y"),
    _elementwise("pow", 2, "x to the power y"),
    _elementwise("neg", 1, "-x"),
    _elementwise("exp", 1, "e to the x"),
    _elementwise("expm1", 1, "e to the x, minus 1"),
    _elementwise("log", 1, "natural logarithm"),
    _elementwise("log1p", 1, "log(1 + x)"),
    _elementwise("sqrt", 1, "square root"),
    _elementwise("square", 1, "x squared"),
    _elementwise("abs", 1, "absolute value"),
    _elementwise("min", 2, "the smaller"),
    _elementwise("max", 2, "the larger"),
    _elementwise("sin", 1, "sine"),
    _elementwise("cos", 1, "cosine"),
    _elementwise("tanh", 1, "hyperbolic tangent"),
    _elementwise("inv_logit", 1, "1 / (1 + exp(-x))"),
    _elementwise("logit", 1, "log(x / (1 - x))"),
    _elementwise("probit", 1, "the standard normal quantile of x"),
    _elementwise("inv_probit", 1, "the standard normal distribution function at x"),
    _elementwise("inv_cloglog", 1, "1 - exp(-exp(x))"),
    _elementwise("log_inv_logit", 1, "log(1 / (1 + exp(-x)))"),
    _elementwise("equal", 2, "1 where x = y, else 0; arguments must be data"),
    _elementwise("less", 2, "1 where x < y, else 0; arguments must be data"),
    _elementwise("where", 3, "y where x is not 0, else z; x must be data"),
    Function("gather", 2, _gathered, "values at the elements an integer slot points to; static: the dim"),
    Function("column", 1, _without, "one element along a dim; static: the dim, the position"),
    Function("stack", None, _with, "arguments side by side along a new last dim; static: the dim"),
    Function("sum", 1, _without, "sum along a dim; static: the dim"),
    Function("mean", 1, _without, "mean along a dim; static: the dim"),
    Function("log_sum_exp", 1, _without, "log of the sum of exponentials along a dim; static: the dim"),
    Function("log_softmax", 1, _same, "x - log_sum_exp(x) along a dim; static: the dim"),
    Function("cumulative_sum", 1, _same, "running sum along a dim; static: the dim"),
    Function("dot", 2, _without, "sum along a dim of x y; static: the dim"),
    Function("cholesky", 1, _matrix, "lower-triangular L with L L' = x; static: the dims of the rows and columns of x"),
)

FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _ALL}


def dims_of(expr: Expr, scope: Mapping[str, Dims]) -> Dims:
    """Return the dims of `expr` given the dims of the names it refers to; KeyError for an unknown name."""
    if isinstance(expr, Const):
        return ()
    if isinstance(expr, Var):
        return scope[expr.name]
    return _applied(expr, scope)


def _applied(expr: Apply, scope: Mapping[str, Dims]) -> Dims:
    args = [dims_of(arg, scope) for arg in expr.args]
    return FUNCTIONS[expr.function].dims(args, expr.static)
