"""Model expressions as source of an array library: dims aligned by name become explicit broadcasting where needed.

What NumPy-like libraries share is written here once; what differs stands in a backend's `Dialect`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Apply, Const, Dims, Expr, Law, Model, Var

SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 6)


class Row(NamedTuple):
    """A code template and how tightly it binds.

    `needs` gives the least binding that each argument must have to stand without parentheses.
    """

    template: str
    level: int = ATOM
    needs: tuple[int, ...] = (0, 0, 0)


OPERATORS: Mapping[str, Row] = {
    "add": Row("{} + {}", SUM, (SUM, PRODUCT)),
    "sub": Row("{} - {}", SUM, (SUM, PRODUCT)),
    "mul": Row("{} * {}", PRODUCT, (PRODUCT, SIGN)),
    "div": Row("{} / {}", PRODUCT, (PRODUCT, SIGN)),
    "pow": Row("{} ** {}", POWER, (ATOM, POWER)),
    "neg": Row("-{}", SIGN, (SIGN,)),
}


@dataclass(frozen=True)
class Code:
    """Source of a value: its text, how tightly its outermost operator binds, and the dims of the value.

    `terms` are the signed terms of a sum, from which a long line is broken.
    """

    text: str
    level: int = ATOM
    dims: Dims = ()
    terms: tuple[tuple[str, str], ...] = ()

    def binding(self, least: int) -> str:
        """Return the text, in parentheses unless it binds at least as tightly as `least`."""
        return self.text if self.level >= least else f"({self.text})"

    def __format__(self, spec: str) -> str:
        """Return the text; with the spec `*`, so that it can be a factor of a product."""
        return self.binding(SIGN if spec == "*" else 0)


@dataclass(frozen=True)
class Dialect:
    """What a library calls things.

    Attributes
    ----------
    module, constants : str
        The names under which the library, and the module of nan, inf and arange, are imported.
    functions : mapping
        Elementwise function to its row; `OPERATORS` go without saying.
    reductions, scans : mapping
        Function along a dim to the library's.
    summed_product : callable
        The sum along a dim of a product that is no product of matrices.
    columns_first : bool
        Whether elements are taken before index arrays are applied, and not together with them.
    """

    module: str
    constants: str
    functions: Mapping[str, Row]
    reductions: Mapping[str, str]
    scans: Mapping[str, str]
    summed_product: Callable[[Code, Code, str], Code]
    columns_first: bool = False

    @property
    def covered(self) -> frozenset[str]:
        """The functions of Model expressions that can be written."""
        return frozenset((*OPERATORS, *self.functions, *self.reductions, *self.scans, *_VISIT))


@dataclass(frozen=True)
class Scope:
    """The names in scope: source name and dims of each value, and the source name of each index set's size.

    `indexes`: of integer slots the index set into which they point.
    """

    names: Mapping[str, str]
    dims: Mapping[str, Dims]
    sizes: Mapping[str, str]
    dialect: Dialect
    indexes: Mapping[str, str] = field(default_factory=dict[str, str])


def index_slots(model: Model) -> dict[str, str]:
    """Return of the integer slots that are indices the index set into which they point."""
    return {slot.name: slot.indexes for slot in model.slots if slot.indexes is not None}


def law_arguments(law: Law, dims: Dims, scope: Scope) -> dict[str, Code]:
    """Return a law's arguments by parameter name, aligned with the dims of the variable; indices as they are."""
    parameters = DISTRIBUTIONS[law.distribution].parameters
    codes = [
        lower(arg, scope) if isinstance(arg, Var) and arg.name in scope.indexes else ordered(lower(arg, scope), dims)
        for arg in law.args
    ]
    return dict(zip(parameters, codes, strict=True))


def larger_units(name: str) -> str:
    """Return the template of the list of levels of a law of `NESTED`: columns, their number, units, their number."""
    parameters = DISTRIBUTIONS[name].parameters[3:]
    pairs = zip(parameters[::2], parameters[1::2], strict=True)
    levels = (f"({{{own}}}, {{n_{own}}}, {{{unit}}}, {{n_{unit}}})" for own, unit in pairs)
    return f"[{', '.join(levels)}]"


def law_sizes(law: Law, args: Mapping[str, Code], scope: Scope) -> dict[str, str]:
    """Return by parameter the size of the index set into which it points, or that of its last dim."""
    found: dict[str, str] = {}
    for arg, (name, code) in zip(law.args, args.items(), strict=True):
        over = scope.indexes.get(arg.name) if isinstance(arg, Var) else None
        over = over or (code.dims[-1] if code.dims else None)
        if over is not None:
            found[f"n_{name}"] = scope.sizes[over]
    return found


def _number(value: float, dialect: Dialect) -> Code:
    if math.isnan(value):
        return Code(f"{dialect.constants}.nan")
    if math.isinf(value):
        sign = "" if value > 0 else "-"
        return Code(f"{sign}{dialect.constants}.inf", SIGN if sign else ATOM)
    return Code(repr(value), SIGN if value < 0 else ATOM)


def lower(expr: Expr, scope: Scope) -> Code:
    """Return the source of an expression; KeyError for a name or function that is not known."""
    if isinstance(expr, Const):
        return _number(expr.value, scope.dialect)
    if isinstance(expr, Var):
        return Code(scope.names[expr.name], ATOM, scope.dims[expr.name])
    if expr.function in ("add", "sub"):
        return _sum(expr, scope)
    if expr.function in _VISIT:
        return _VISIT[expr.function](expr, scope)
    if expr.function in scope.dialect.reductions:
        return _reduce(expr, scope)
    if expr.function in scope.dialect.scans:
        return _scan(expr, scope)
    return _elementwise(expr, scope)


def common_dims(codes: Sequence[Code]) -> Dims:
    """Return the union of the dims, in the order of the first code that has all of them if there is one."""
    union = tuple(dict.fromkeys(dim for code in codes for dim in code.dims))
    for code in codes:
        if len(code.dims) == len(union):
            return code.dims
    return union


def aligned(code: Code, dims: Dims) -> Code:
    """Return code whose array broadcasts against one of the given dims (which include its own)."""
    code = _transposed(code, tuple(dim for dim in dims if dim in code.dims))
    if not code.dims:
        return code
    places = [":" if dim in code.dims else "None" for dim in dims[dims.index(code.dims[0]) :]]
    if "None" not in places:
        return code
    return Code(f"{code.binding(ATOM)}[{', '.join(places)}]", ATOM, dims)


def ordered(code: Code, first: Dims) -> Code:
    """Return code with the dims of `first` that it has in front, in that order, aligned; its others behind."""
    own = tuple(dim for dim in code.dims if dim not in first)
    return aligned(code, (*first, *own)) if any(dim in first for dim in code.dims) else code


def _transposed(code: Code, dims: Dims) -> Code:
    if code.dims == dims:
        return code
    if len(dims) == 2:
        return Code(f"{code.binding(ATOM)}.T", ATOM, dims)
    order = tuple(code.dims.index(dim) for dim in dims)
    return Code(f"{code.binding(ATOM)}.transpose({', '.join(map(str, order))})", ATOM, dims)


def _elementwise(expr: Apply, scope: Scope) -> Code:
    row = OPERATORS[expr.function] if expr.function in OPERATORS else scope.dialect.functions[expr.function]
    args = [lower(arg, scope) for arg in expr.args]
    dims = common_dims(args)
    texts = [aligned(arg, dims).binding(least) for arg, least in zip(args, row.needs, strict=False)]
    return Code(row.template.format(*texts), row.level, dims)


def _signed_terms(expr: Expr) -> list[tuple[str, Expr]]:
    terms: list[tuple[str, Expr]] = []
    while isinstance(expr, Apply) and expr.function in ("add", "sub"):
        terms.append(("+" if expr.function == "add" else "-", expr.args[1]))
        expr = expr.args[0]
    return [("+", expr), *reversed(terms)]


def _flipped(sign: str, expr: Expr) -> tuple[str, Expr]:
    opposite = "-" if sign == "+" else "+"
    if isinstance(expr, Const) and expr.value < 0:
        return opposite, Const(value=-expr.value)
    if isinstance(expr, Apply) and expr.function == "neg":
        return opposite, expr.args[0]
    return sign, expr


def _sum(expr: Apply, scope: Scope) -> Code:
    first, *rest = _signed_terms(expr)
    signed = [first, *(_flipped(sign, term) for sign, term in rest)]
    codes = [lower(term, scope) for _, term in signed]
    dims = common_dims(codes)
    texts = [aligned(codes[0], dims).binding(SUM)]
    texts += [aligned(code, dims).binding(PRODUCT) for code in codes[1:]]
    terms = _joined(list(zip((sign for sign, _ in signed), texts, strict=True)), codes, dims)
    return Code(terms[0][1] + "".join(f" {sign} {text}" for sign, text in terms[1:]), SUM, dims, terms)


def _joined(terms: list[tuple[str, str]], codes: Sequence[Code], dims: Dims) -> tuple[tuple[str, str], ...]:
    """Return the terms of a sum, those of sums of all its dims that are added put in their place."""
    found: list[tuple[str, str]] = []
    for (sign, text), code in zip(terms, codes, strict=True):
        inner = code.terms if sign == "+" and code.dims == dims else ()
        found += [("+", inner[0][1]), *inner[1:]] if inner else [(sign, text)]
    return tuple(found)


Subscript = Code | int


def _subscripts(expr: Expr, scope: Scope) -> tuple[Code, dict[str, Subscript]]:
    """Return what a chain of gathers and columns is taken from, and the subscript of each dim it reduces."""
    if not (isinstance(expr, Apply) and expr.function in ("gather", "column")):
        return lower(expr, scope), {}
    base, found = _subscripts(expr.args[0], scope)
    over = str(expr.static[0])
    if over not in base.dims or over in found:
        base, found = _taken(base, found, scope), {}
    if expr.function == "column":
        return base, {**found, over: int(expr.static[1])}
    return base, {**found, over: lower(expr.args[1], scope)}


def _taken(base: Code, found: Mapping[str, Subscript], scope: Scope) -> Code:
    """Return base[...] with NumPy's rules for where the dims of index arrays go."""
    if not found:
        return base
    arrays = {dim: each for dim, each in found.items() if isinstance(each, Code)}
    if scope.dialect.columns_first and arrays and len(arrays) < len(found):
        columns = {dim: each for dim, each in found.items() if dim not in arrays}
        return _taken(_taken(base, columns, scope), arrays, scope)
    dims = common_dims(list(arrays.values()))
    full: dict[str, Subscript] = dict(found)
    for dim in base.dims:
        if dim not in full and dim in dims:
            full[dim] = Code(f"{scope.dialect.constants}.arange({scope.sizes[dim]})", ATOM, (dim,))
    places = [_subscript(full.get(dim), dims) for dim in base.dims]
    last = max(at for at, dim in enumerate(base.dims) if dim in full)
    return Code(f"{base.binding(ATOM)}[{', '.join(places[: last + 1])}]", ATOM, _left(base.dims, full, dims))


def _subscript(given: Subscript | None, dims: Dims) -> str:
    if given is None:
        return ":"
    return str(given) if isinstance(given, int) else aligned(given, dims).text


def _left(base: Dims, taken: Mapping[str, Subscript], dims: Dims) -> Dims:
    at = [place for place, dim in enumerate(base) if dim in taken]
    kept = tuple(dim for dim in base if dim not in taken)
    if at[-1] - at[0] + 1 == len(at):
        return (*base[: at[0]], *dims, *base[at[-1] + 1 :])
    return (*dims, *kept)


def _taking(expr: Apply, scope: Scope) -> Code:
    part = _part_of_stack(expr, scope)
    if part is not None:
        return part
    base, found = _subscripts(expr, scope)
    return _taken(base, found, scope)


def _part_of_stack(expr: Apply, scope: Scope) -> Code | None:
    """Return the part that a column of a stack is, where it has all dims of the stack."""
    inner = expr.args[0]
    if expr.function != "column" or not isinstance(inner, Apply):
        return None
    if inner.function != "stack" or inner.static != expr.static[:1]:
        return None
    parts = [lower(arg, scope) for arg in inner.args]
    part = parts[int(expr.static[1])]
    return part if len(part.dims) == len(common_dims(parts)) else None


def _stack(expr: Apply, scope: Scope) -> Code:
    parts = [lower(arg, scope) for arg in expr.args]
    dims = common_dims(parts)
    texts = ", ".join(aligned(part, dims).text for part in parts)
    same = all(len(part.dims) == len(dims) for part in parts)
    module = scope.dialect.module
    together = f"[{texts}]" if same else f"{module}.broadcast_arrays({texts})"
    return Code(f"{module}.stack({together}, axis=-1)", ATOM, (*dims, str(expr.static[0])))


def _reduce(expr: Apply, scope: Scope) -> Code:
    value = lower(expr.args[0], scope)
    axis = value.dims.index(str(expr.static[0]))
    where = "" if len(value.dims) == 1 else f", axis={axis}"
    dims = value.dims[:axis] + value.dims[axis + 1 :]
    return Code(f"{scope.dialect.reductions[expr.function]}({value}{where})", ATOM, dims)


def _scan(expr: Apply, scope: Scope) -> Code:
    value = lower(expr.args[0], scope)
    axis = value.dims.index(str(expr.static[0]))
    return Code(f"{scope.dialect.scans[expr.function]}({value}, axis={axis})", ATOM, value.dims)


def _dot(expr: Apply, scope: Scope) -> Code:
    left, right = (lower(arg, scope) for arg in expr.args)
    dim = str(expr.static[0])
    alone = set(left.dims) & set(right.dims) == {dim}
    if alone and len(left.dims) <= 2 and len(right.dims) <= 2:
        return _product(left, right, dim)
    return scope.dialect.summed_product(left, right, dim)


def _product(left: Code, right: Code, dim: str) -> Code:
    rows = tuple(each for each in left.dims if each != dim)
    columns = tuple(each for each in right.dims if each != dim)
    left, right = _transposed(left, (*rows, dim)), _transposed(right, (dim, *columns))
    return Code(f"{left.binding(PRODUCT)} @ {right.binding(SIGN)}", PRODUCT, (*rows, *columns))


def _cholesky(expr: Apply, scope: Scope) -> Code:
    value = lower(expr.args[0], scope)
    rows, columns = (str(dim) for dim in expr.static)
    dims = (*(dim for dim in value.dims if dim not in (rows, columns)), rows, columns)
    return Code(f"{scope.dialect.module}.linalg.cholesky({_transposed(value, dims)})", ATOM, dims)


_VISIT: Mapping[str, Callable[[Apply, Scope], Code]] = {
    "gather": _taking,
    "column": _taking,
    "stack": _stack,
    "dot": _dot,
    "cholesky": _cholesky,
}
