"""Classes of rows in which an expression, such as the residual spread, is the same whatever the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.model.functions import FUNCTIONS, aligned, dims_of
from hdsl.model.ir import Apply, Const, Dims, Expr, Var, column, const, gather, references
from hdsl.passes.marginal.scope import NotLinear, Scope, known_value, parameters_behind
from hdsl.reference.values import AnyArray, Value

CLASS = "_variance_class"
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Classes:
    """The classes of the rows and the expression of their standard deviation.

    Attributes
    ----------
    of_row : int array, shape (rows,), or None
        The class of each row; None where there is one.
    size : int
    sd : Expr
        Over the parameters, and the names of `values`, which have the dim `CLASS`.
    values : mapping
    """

    of_row: Codes | None
    size: int
    sd: Expr
    values: Mapping[str, Value]


@dataclass
class _Leaves:
    """The arrays at the rows on which the expression rests, by name."""

    arrays: dict[str, AnyArray]
    scope: Scope
    rows: int

    def of(self, array: AnyArray) -> Expr:
        if array.size and array.min() == array.max():
            return const(float(array.flat[0]))
        for name, known in self.arrays.items():
            if known.dtype == array.dtype and np.array_equal(known, array):
                return Var(name=name)
        name = f"_class_value_{len(self.arrays)}"
        self.arrays[name] = array
        return Var(name=name)


def classes_of(sd: Expr, rows: Dims, scope: Scope) -> Classes:
    """Return the variance classes of a residual standard deviation over `rows`; raises NotLinear."""
    sizes = [scope.model.sizes[dim] for dim in rows]
    places = np.indices(sizes).reshape(len(sizes), -1)
    total = int(np.prod(sizes))
    leaves = _Leaves({}, scope, total)
    expr = _at_rows(sd, dict(zip(rows, places, strict=True)), leaves)
    used = {name: leaves.arrays[name] for name in leaves.arrays if name in references(expr)}
    if not used:
        return Classes(None, 1, expr, {})
    of_row, first = _distinct(list(used.values()))
    values = {name: Value((CLASS,), array[first]) for name, array in used.items()}
    return Classes(of_row, len(first), expr, values)


def at_class(classes: Classes, number: int) -> Expr:
    """Return the expression in one class, without the dim of the classes."""
    return _with_values(classes.sd, {name: value.real[number] for name, value in classes.values.items()})


def _with_values(expr: Expr, values: Mapping[str, float]) -> Expr:
    if isinstance(expr, Var):
        return const(float(values[expr.name])) if expr.name in values else expr
    if isinstance(expr, Const):
        return expr
    if expr.function == "gather" and isinstance(expr.args[1], Var) and expr.args[1].name in values:
        return column(expr.args[0], str(expr.static[0]), int(values[expr.args[1].name]))
    return expr.model_copy(update={"args": tuple(_with_values(arg, values) for arg in expr.args)})


def _at_rows(expr: Expr, where: Mapping[str, Codes], leaves: _Leaves) -> Expr:
    """Return an expression over the rows, given the element of each of its dims at each row."""
    scope = leaves.scope
    if isinstance(expr, Const):
        return expr
    if not parameters_behind(expr, scope):
        return _leaf(known_value(expr, scope), where, leaves)
    own = dims_of(expr, scope.dims)
    if isinstance(expr, Var):
        if expr.name in scope.definitions and own:
            return _at_rows(scope.definitions[expr.name].value, where, leaves)
        return _element(expr, own, where, leaves)
    if not own:
        return expr
    if FUNCTIONS[expr.function].dims is aligned:
        return expr.model_copy(update={"args": tuple(_at_rows(arg, where, leaves) for arg in expr.args)})
    if expr.function == "gather":
        return _gathered(expr, where, leaves)
    raise NotLinear(f"the residual standard deviation uses {expr.function}(...)")


def _leaf(value: Value, where: Mapping[str, Codes], leaves: _Leaves) -> Expr:
    if not value.dims:
        return const(float(value.array))
    return leaves.of(value.array[tuple(where[dim] for dim in value.dims)])


def _element(variable: Var, own: Dims, where: Mapping[str, Codes], leaves: _Leaves) -> Expr:
    if not own:
        return variable
    if len(own) != 1:
        raise NotLinear("the residual standard deviation rests on a parameter of two dims")
    (dim,) = own
    pointer = leaves.of(where[dim])
    if isinstance(pointer, Const):
        return column(variable, dim, int(pointer.value))
    return gather(variable, pointer, dim)


def _gathered(expr: Apply, where: Mapping[str, Codes], leaves: _Leaves) -> Expr:
    values, index = expr.args
    if parameters_behind(index, leaves.scope):
        raise NotLinear("an index rests on parameters")
    pointer = known_value(index, leaves.scope)
    codes = pointer.array[tuple(where[dim] for dim in pointer.dims)]
    size = next(iter(where.values())).shape
    inner = {**where, str(expr.static[0]): np.broadcast_to(codes, size).astype(np.int64)}
    return _at_rows(values, inner, leaves)


def _distinct(arrays: list[AnyArray]) -> tuple[Codes, Codes]:
    """Return the number of each row among the distinct rows, and the first row of each."""
    codes = np.zeros(len(arrays[0]), dtype=np.int64)
    first = np.zeros(1, dtype=np.int64)
    for array in arrays:
        _, each = np.unique(array, return_inverse=True)
        both = codes * (int(each.max()) + 1) + each
        _, first, codes = np.unique(both, return_index=True, return_inverse=True)
    return codes.reshape(-1), first
