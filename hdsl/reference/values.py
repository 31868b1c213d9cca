"""Values aligned by the names of their dims, and the evaluation of Model expressions in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.model.ir import Apply, Const, Dims, Expr, Var
from hdsl.reference import special

Array = NDArray[np.float64]
AnyArray = NDArray[np.float64 | np.int64]
Static = tuple[str | int, ...]

BATCH: Dims = ("chain", "draw")


@dataclass(frozen=True)
class Value:
    """An array whose axes are named by `dims`; the dims of `BATCH` stand for posterior draws.

    Raises
    ------
    ValueError
        If the number of axes is not the number of dims, or a dim occurs twice.
    """

    dims: Dims
    array: AnyArray

    def __post_init__(self) -> None:
        if self.array.ndim != len(self.dims) or len(set(self.dims)) != len(self.dims):
            raise ValueError(f"an array of shape {self.array.shape} cannot have the dims {self.dims}")

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each dim."""
        return dict(zip(self.dims, self.array.shape, strict=True))

    @property
    def real(self) -> Array:
        """The array as float64."""
        return np.asarray(self.array, dtype=np.float64)


def scalar(number: float) -> Value:
    """Return a number as a value without dims."""
    return Value((), np.asarray(number, dtype=np.float64))


def union(*dims: Dims) -> Dims:
    """Return the dims in order of first appearance, batch dims first."""
    seen = dict.fromkeys(dim for each in dims for dim in each)
    return (*(dim for dim in BATCH if dim in seen), *(dim for dim in seen if dim not in BATCH))


def without_batch(dims: Dims) -> Dims:
    """Return the dims that are not batch dims."""
    return tuple(dim for dim in dims if dim not in BATCH)


def expand(value: Value, dims: Dims) -> Array:
    """Return the value's array with axes in the order of `dims`, of length one where it has no such dim.

    Raises
    ------
    ValueError
        If the value has a dim that is not in `dims`.
    """
    if value.dims == dims:
        return value.real
    foreign = [dim for dim in value.dims if dim not in dims]
    if foreign:
        raise ValueError(f"dims {tuple(foreign)} do not belong to {dims}")
    order = sorted(range(len(value.dims)), key=lambda axis: dims.index(value.dims[axis]))
    sizes = value.sizes
    return value.real.transpose(order).reshape([sizes.get(dim, 1) for dim in dims])


def broadcast(value: Value, dims: Dims, sizes: Mapping[str, int]) -> Array:
    """Return the value's array as a view of full shape: batch dims that it has, then `dims`."""
    full = union(value.dims, dims)
    known = {**sizes, **value.sizes}
    order = (*(dim for dim in BATCH if dim in full), *without_batch(dims))
    array, shape = expand(value, order), tuple(known[dim] for dim in order)
    return array if array.shape == shape else np.broadcast_to(array, shape)


def common_sizes(values: Sequence[Value]) -> dict[str, int]:
    """Return the length of each dim of the values."""
    return {dim: size for value in values for dim, size in value.sizes.items()}


def evaluate(expr: Expr, env: Mapping[str, Value]) -> Value:
    """Evaluate an expression.

    Parameters
    ----------
    expr : Expr
        An expression over names of `env`.
    env : mapping
        The values of slots, random variables and definitions. Any of them may carry batch dims.

    Returns
    -------
    Value
        With the union of the batch dims first, then the dims of the expression.

    Raises
    ------
    KeyError
        For a name that is not in `env` or a function that does not exist.
    ValueError
        For dims that do not fit.
    """
    waiting: list[tuple[Expr, bool]] = [(expr, False)]
    done: list[Value] = []
    with np.errstate(all="ignore"):
        while waiting:
            node, ready = waiting.pop()
            if isinstance(node, Const):
                done.append(scalar(node.value))
            elif isinstance(node, Var):
                done.append(env[node.name])
            elif ready:
                args = [done.pop() for _ in node.args]
                done.append(_call(node, args[::-1]))
            else:
                waiting.append((node, True))
                waiting.extend((arg, False) for arg in reversed(node.args))
    return done.pop()


def _call(node: Apply, args: list[Value]) -> Value:
    if node.function in _ELEMENTWISE:
        dims = union(*(arg.dims for arg in args))
        arrays = [expand(arg, dims) for arg in args]
        return Value(dims, np.asarray(_ELEMENTWISE[node.function](*arrays), dtype=np.float64))
    return _STRUCTURAL[node.function](args, node.static)


def _axis(value: Value, dim: str | int) -> int:
    if dim not in value.dims:
        raise ValueError(f"a value over {value.dims} has no dim {dim!r}")
    return value.dims.index(str(dim))


def _gather(args: list[Value], static: Static) -> Value:
    values, index = args
    axis = _axis(values, static[0])
    positions = index.array.astype(np.intp)
    kept = (values.dims[:axis], index.dims, values.dims[axis + 1 :])
    flat = tuple(dim for part in kept for dim in part)
    if len(set(flat)) == len(flat):
        return _batch_first(Value(flat, np.take(values.array, positions, axis=axis)))
    dims = union(flat)
    pointers = [_pointer(dim, values.sizes[dim], dims) for dim in values.dims]
    pointers[axis] = expand(index, dims).astype(np.intp)
    return Value(dims, values.array[tuple(pointers)])


def _pointer(dim: str, size: int, dims: Dims) -> NDArray[np.intp]:
    if dim not in dims:
        return np.zeros([1] * len(dims), dtype=np.intp)
    return np.arange(size, dtype=np.intp).reshape([size if each == dim else 1 for each in dims])


def _batch_first(value: Value) -> Value:
    dims = union(value.dims)
    order = [value.dims.index(dim) for dim in dims]
    return Value(dims, value.array.transpose(order))


def _column(args: list[Value], static: Static) -> Value:
    dim, position = static
    axis = _axis(args[0], dim)
    dims = args[0].dims[:axis] + args[0].dims[axis + 1 :]
    return Value(dims, args[0].array[(slice(None),) * axis + (int(position),)])


def _stack(args: list[Value], static: Static) -> Value:
    if not args:
        raise ValueError("stack needs an argument")
    dims = union(*(arg.dims for arg in args))
    arrays = np.broadcast_arrays(*(expand(arg, dims) for arg in args))
    return Value((*dims, str(static[0])), np.stack(arrays, axis=-1))


def _reduce(function: Callable[[Array, int], Array]) -> Callable[[list[Value], Static], Value]:
    def reduced(args: list[Value], static: Static) -> Value:
        axis = _axis(args[0], static[0])
        dims = args[0].dims[:axis] + args[0].dims[axis + 1 :]
        return Value(dims, np.asarray(function(args[0].real, axis), dtype=np.float64))

    return reduced


def _along(function: Callable[[Array, int], Array]) -> Callable[[list[Value], Static], Value]:
    def moved(args: list[Value], static: Static) -> Value:
        axis = _axis(args[0], static[0])
        return Value(args[0].dims, np.asarray(function(args[0].real, axis), dtype=np.float64))

    return moved


def _dot(args: list[Value], static: Static) -> Value:
    left, right = args
    shared = union(left.dims, right.dims)
    if static[0] not in shared:
        raise ValueError(f"neither {left.dims} nor {right.dims} has the dim {static[0]!r}")
    kept = tuple(dim for dim in shared if dim != static[0])
    number = {dim: place for place, dim in enumerate(shared)}
    axes = [[number[dim] for dim in dims] for dims in (left.dims, right.dims, kept)]
    product = np.einsum(left.real, axes[0], right.real, axes[1], axes[2], optimize=True)
    return Value(kept, np.asarray(product, dtype=np.float64))


def _cholesky(args: list[Value], static: Static) -> Value:
    rows, columns = (str(dim) for dim in static)
    value = args[0]
    dims = (*(dim for dim in value.dims if dim not in static), rows, columns)
    return Value(dims, np.linalg.cholesky(expand(value, dims)))


def _sum(x: Array, axis: int) -> Array:
    return np.sum(x, axis=axis)


def _mean(x: Array, axis: int) -> Array:
    return np.mean(x, axis=axis)


def _cumulative_sum(x: Array, axis: int) -> Array:
    return np.cumsum(x, axis=axis)


def _inv_cloglog(x: Array) -> Array:
    return -np.expm1(-np.exp(x))


def _where(test: Array, yes: Array, no: Array) -> Array:
    return np.where(test != 0, yes, no)


_ELEMENTWISE: Mapping[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "neg": np.negative,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "square": np.square,
    "abs": np.abs,
    "min": np.minimum,
    "max": np.maximum,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "inv_logit": special.inv_logit,
    "logit": special.logit,
    "probit": special.normal_quantile,
    "inv_probit": special.normal_cdf,
    "inv_cloglog": _inv_cloglog,
    "log_inv_logit": special.log_inv_logit,
    "equal": np.equal,
    "less": np.less,
    "where": _where,
}

_STRUCTURAL: Mapping[str, Callable[[list[Value], Static], Value]] = {
    "gather": _gather,
    "column": _column,
    "stack": _stack,
    "sum": _reduce(_sum),
    "mean": _reduce(_mean),
    "log_sum_exp": _reduce(special.log_sum_exp),
    "log_softmax": _along(special.log_softmax),
    "cumulative_sum": _along(_cumulative_sum),
    "dot": _dot,
    "cholesky": _cholesky,
}

IMPLEMENTED = frozenset(_ELEMENTWISE) | frozenset(_STRUCTURAL)
