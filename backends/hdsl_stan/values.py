"""Stored Stan variables and values, and access to their elements by named dims.

A *stored* variable keeps its leading dims in an array and the rest in a vector or matrix. A *value* is an
expression in canonical layout: a scalar, a vector for one dim, a matrix for two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hdsl.model.ir import Dims
from hdsl_stan.syntax import All, Expression, Name, Transpose, Type, at, call, number

Base = Literal["int", "real", "vector", "matrix"]
RANK: Mapping[str, int] = {"int": 0, "real": 0, "vector": 1, "matrix": 2}
Env = Mapping[str, Expression]


class NeedsLoop(Exception):
    """The expression has no vectorised form; it must be computed for each element of `dim`."""

    def __init__(self, dim: str) -> None:
        super().__init__(dim)
        self.dim = dim


@dataclass(frozen=True)
class Stored:
    """A declared variable: its dims, of which all but the base type's are array dims."""

    name: str
    dims: Dims
    base: Base

    @property
    def arrays(self) -> int:
        """How many of the dims are array dims."""
        return len(self.dims) - RANK[self.base]


@dataclass(frozen=True)
class Value:
    """An expression in canonical layout; `integer` where Stan would type it int."""

    node: Expression
    dims: Dims = ()
    integer: bool = False


@dataclass(frozen=True)
class Many:
    """An index by an integer array over `dim`."""

    node: Expression
    dim: str


Spec = Expression | All | Many


def stored(name: str, dims: Dims) -> Stored:
    """Return a variable of real values in the canonical layout for `dims`."""
    base: Base = "real" if not dims else "vector" if len(dims) == 1 else "matrix"
    return Stored(name, dims, base)


def sized(variable: Stored, sizes: Mapping[str, Expression]) -> Type:
    """Return the type that declares `variable`, without bounds."""
    extent = tuple(sizes[dim] for dim in variable.dims)
    return Type(base=variable.base, sizes=extent[variable.arrays :], arrays=extent[: variable.arrays])


def element(variable: Stored, env: Env) -> Expression:
    """Return the variable with the dims of `env` fixed, as the target of an assignment."""
    return at(Name(variable.name), *(env.get(dim, All()) for dim in variable.dims))


def access(variable: Stored, specs: Sequence[Spec]) -> Value:
    """Return the variable indexed dim by dim, in canonical layout. Raises NeedsLoop where Stan has none."""
    kept = [_result_dim(dim, spec) for dim, spec in zip(variable.dims, specs, strict=True)]
    dims = tuple(dim for dim in kept if dim is not None)
    _refuse_repeats(dims)
    node = at(Name(variable.name), *(spec.node if isinstance(spec, Many) else spec for spec in specs))
    arrays = sum(dim is not None for dim in kept[: variable.arrays])
    rank = len(dims) - arrays
    if arrays == 0:
        row = variable.base == "matrix" and rank == 1 and kept[-1] is not None
        return Value(Transpose(node) if row else node, dims, variable.base == "int")
    if rank > 0 or arrays > 2:
        raise NeedsLoop(dims[0])
    return Value(call("to_vector" if arrays == 1 else "to_matrix", node), dims)


def index_value(value: Value, specs: Mapping[str, Spec]) -> Value:
    """Return a canonical value with some of its dims indexed."""
    chosen = [specs.get(dim, All()) for dim in value.dims]
    if all(isinstance(spec, All) for spec in chosen):
        return value
    kept = [_result_dim(dim, spec) for dim, spec in zip(value.dims, chosen, strict=True)]
    dims = tuple(dim for dim in kept if dim is not None)
    _refuse_repeats(dims)
    node = at(value.node, *(spec.node if isinstance(spec, Many) else spec for spec in chosen))
    row = len(value.dims) == 2 and len(dims) == 1 and kept[1] is not None
    return Value(Transpose(node) if row else node, dims, value.integer)


def fit(value: Value, dims: Dims, sizes: Mapping[str, Expression]) -> Value:
    """Return `value` spread out over `dims` (at most two)."""
    if value.dims == dims:
        return value
    extent = [sizes[dim] for dim in dims]
    if not value.dims:
        return Value(call("rep_vector" if len(dims) == 1 else "rep_matrix", value.node, *extent), dims)
    if len(value.dims) == 2:
        return Value(Transpose(value.node), dims)
    if value.dims[0] == dims[0]:
        return Value(call("rep_matrix", value.node, extent[1]), dims)
    return Value(call("rep_matrix", transpose(value.node), extent[0]), dims)


def transpose(node: Expression) -> Expression:
    """Return the transpose, undoing one that is there."""
    return node.operand if isinstance(node, Transpose) else Transpose(node)


def literal(value: float) -> Value:
    """Return a number as a value."""
    return Value(number(value), (), float(value).is_integer())


def _result_dim(dim: str, spec: Spec) -> str | None:
    if isinstance(spec, All):
        return dim
    return spec.dim if isinstance(spec, Many) else None


def _refuse_repeats(dims: Dims) -> None:
    for dim in dims:
        if dims.count(dim) > 1:
            raise NeedsLoop(dim)
