"""A small syntax tree of the Stan language: what hdsl writes, no more.

Trees are built here and by `hdsl_stan.lower`, and turned into text by `hdsl_stan.print`. Binary operators are
nodes, so parentheses are the printer's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BaseType = Literal["real", "int", "vector", "row_vector", "matrix", "ordered", "simplex", "cholesky_factor_corr"]
Operator = Literal["+", "-", "*", "/", ".*", "./", "^", ".^", "==", "!=", "<", "<=", ">", ">=", "||", "&&"]


@dataclass(frozen=True)
class Number:
    """A literal; an int prints without a point."""

    value: float | int


@dataclass(frozen=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function call; `given` are the arguments after the bar of a density."""

    function: str
    args: tuple[Expression, ...]
    given: tuple[Expression, ...] | None = None


@dataclass(frozen=True)
class Binary:
    """Two operands joined by an operator."""

    operator: Operator
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Negative:
    """Minus an operand."""

    operand: Expression


@dataclass(frozen=True)
class Transpose:
    """A transposed vector or matrix."""

    operand: Expression


@dataclass(frozen=True)
class All:
    """The index that takes a whole dimension."""


@dataclass(frozen=True)
class Between:
    """The index that takes low:high."""

    low: Expression
    high: Expression


@dataclass(frozen=True)
class Index:
    """An indexed value."""

    operand: Expression
    indices: tuple[Expression | All | Between, ...]


@dataclass(frozen=True)
class Row:
    """A row vector written out."""

    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Conditional:
    """condition ? yes : no."""

    condition: Expression
    yes: Expression
    no: Expression


Expression = Number | Name | Call | Binary | Negative | Transpose | Index | Row | Conditional


@dataclass(frozen=True)
class Type:
    """A sized type: array sizes, the base type with its own sizes, and bounds."""

    base: BaseType
    sizes: tuple[Expression, ...] = ()
    arrays: tuple[Expression, ...] = ()
    lower: Expression | None = None
    upper: Expression | None = None


@dataclass(frozen=True)
class Argument:
    """An argument of a user function, with an unsized type such as `array[] int`."""

    type: str
    name: str


@dataclass(frozen=True)
class Declare:
    """A declaration, with its value where it has one."""

    type: Type
    name: str
    value: Expression | None = None
    comment: str = ""


@dataclass(frozen=True)
class Assign:
    """target = value."""

    target: Name | Index
    value: Expression


@dataclass(frozen=True)
class Tilde:
    """left ~ distribution(args)."""

    left: Expression
    distribution: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Target:
    """target += value."""

    value: Expression


@dataclass(frozen=True)
class For:
    """for (variable in 1:last) body."""

    variable: str
    last: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class If:
    """if (condition) yes else no."""

    condition: Expression
    yes: tuple[Statement, ...]
    no: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class While:
    """while (condition) body."""

    condition: Expression
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Braces:
    """A block with local variables."""

    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Return:
    """return value."""

    value: Expression


@dataclass(frozen=True)
class Comment:
    """A line of comment."""

    text: str


Statement = Declare | Assign | Tilde | Target | For | If | While | Braces | Return | Comment


@dataclass(frozen=True)
class Function:
    """A user function; `comment` stands above it."""

    returns: str
    name: str
    arguments: tuple[Argument, ...]
    body: tuple[Statement, ...]
    comment: str = ""


@dataclass(frozen=True)
class StanProgram:
    """A program, block by block; empty blocks are left out when printed."""

    header: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    data: tuple[Statement, ...] = ()
    transformed_data: tuple[Statement, ...] = ()
    parameters: tuple[Statement, ...] = ()
    transformed_parameters: tuple[Statement, ...] = ()
    model: tuple[Statement, ...] = ()
    generated_quantities: tuple[Statement, ...] = ()


def number(value: float | int) -> Expression:
    """Return a literal, negative ones as a negated literal; whole numbers print as integers."""
    whole = int(value) if float(value).is_integer() and abs(value) < 1e9 else value
    return Negative(Number(-whole)) if whole < 0 else Number(whole)


def call(function: str, *args: Expression, given: tuple[Expression, ...] | None = None) -> Call:
    """Return a call."""
    return Call(function, args, given)


def binary(operator: Operator, left: Expression, right: Expression) -> Binary:
    """Return two operands joined by an operator."""
    return Binary(operator, left, right)


def added(left: Expression, right: Expression) -> Binary:
    """Return left + right, the terms of a sum on the right one after the other."""
    if isinstance(right, Binary) and right.operator in ("+", "-"):
        return binary(right.operator, added(left, right.left), right.right)
    return binary("+", left, right)


def at(operand: Expression, *indices: Expression | All | Between) -> Expression:
    """Return an indexed value, with trailing whole dimensions left out."""
    kept = list(indices)
    while kept and isinstance(kept[-1], All):
        kept.pop()
    return Index(operand, tuple(kept)) if kept else operand
