"""Expressions of the Study IR: formulas of `adjust for`, estimands, priors and explicit equations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hdsl.design.words import Finite, Line, Name, check_name

Operator = Literal["+", "-", "*", "/", "^"]
Comparator = Literal["=", "!=", "<", "<=", ">", ">="]
AggregateName = Literal["average", "median", "quantile", "sd", "variance", "share"]


class Node(BaseModel):
    """A frozen value of the Study IR: compared by content, without source positions."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Node):
    """A numeric constant, finite and not below zero: `-5` is `Negative(of=Number(value=5))`."""

    node: Literal["number"] = "number"
    value: float = Field(ge=0, allow_inf_nan=False)


class Text(Node):
    """A quoted string: a file name, or a code that is not a name."""

    node: Literal["text"] = "text"
    value: Line


class Ref(Node):
    """A name: a variable, treatment, level, arm or parameter, as the place where it stands decides."""

    node: Literal["ref"] = "ref"
    name: Name


class Negative(Node):
    """Minus an expression."""

    node: Literal["negative"] = "negative"
    of: Expr


class Operation(Node):
    """Arithmetic of two expressions; `*` between two terms of `adjust for` is their product."""

    node: Literal["operation"] = "operation"
    operator: Operator
    left: Expr
    right: Expr


class Option(Node):
    """A named argument, as in `mixture(k = 3)`."""

    name: Name
    value: Expr


class Call(Node):
    """A function of expressions: `log(y)`, `mean(z, school)`, `normal(0, 5)`.

    `index` is only used in roles: the arm of `effect(tutor)[trained]`, the level of `effect(tutor)[school]`.
    """

    node: Literal["call"] = "call"
    function: Name
    args: tuple[Expr, ...] = ()
    options: tuple[Option, ...] = ()
    index: tuple[Line, ...] = ()


class Indexed(Node):
    """A parameter with one value per element of a level: `alpha[school]`."""

    node: Literal["indexed"] = "indexed"
    name: Name
    index: tuple[Line, ...]


class Sequence(Node):
    """A parenthesised list: `(mu_alpha, mu_tau)`."""

    node: Literal["sequence"] = "sequence"
    items: tuple[Expr, ...] = Field(min_length=2)


class Comparison(Node):
    """A test of two expressions; with a treatment or stratum on the left, the right side is an arm or stratum."""

    node: Literal["comparison"] = "comparison"
    operator: Comparator
    left: Expr
    right: Expr


class Logical(Node):
    """`and`, `or`, `not` of tests (`not` has one operand)."""

    node: Literal["logical"] = "logical"
    operator: Literal["and", "or", "not"]
    operands: tuple[Expr, ...]

    @model_validator(mode="after")
    def _count(self) -> Logical:
        if (len(self.operands) != 1) if self.operator == "not" else (len(self.operands) < 2):
            raise ValueError(f"`{self.operator}` cannot have {len(self.operands)} operands")
        return self


class Occasions(Node):
    """Occasions of a wave at which a setting holds: one value (`first` = `last`) or a closed range."""

    wave: Name
    first: Finite | Line
    last: Finite | Line


class Setting(Node):
    """A treatment set to an arm (a name) or, for a continuous treatment, to a dose (an expression)."""

    treatment: Name
    value: Expr
    at: Occasions | None = None


class Potential(Node):
    """The potential outcome `score(tutor = tutored)`: all else as observed."""

    node: Literal["potential"] = "potential"
    outcome: Name
    settings: tuple[Setting, ...] = Field(min_length=1)


class Aggregate(Node):
    """`AGG over [population] UNIT [where TEST] of EXPR`.

    `over` names a level, or with `cells` a file of population cells. `probability` is the q of `quantile(q)`;
    `correlation` the stated correlation of Y(0) and Y(1) (`assuming correlation = r`).
    """

    node: Literal["aggregate"] = "aggregate"
    aggregate: AggregateName
    probability: Finite | None = None
    population: bool = False
    over: Line
    cells: bool = False
    where: Expr | None = None
    of: Expr
    correlation: Finite | None = None

    @model_validator(mode="after")
    def _whole(self) -> Aggregate:
        if self.probability is not None and self.aggregate != "quantile":
            raise ValueError(f"`{self.aggregate}` has no probability")
        if self.cells and self.population:
            raise ValueError("an aggregate over population cells has no `population`")
        if not self.cells:
            check_name(self.over)
        return self


Expr = Annotated[
    Number
    | Text
    | Ref
    | Negative
    | Operation
    | Call
    | Indexed
    | Sequence
    | Comparison
    | Logical
    | Potential
    | Aggregate,
    Field(discriminator="node"),
]

Target = Annotated[Ref | Call | Indexed, Field(discriminator="node")]
"""What a law, a definition, a prior or an assumed value is about: a parameter or a role."""

for _node in (Negative, Operation, Option, Call, Sequence, Comparison, Logical, Setting, Potential, Aggregate):
    _node.model_rebuild()


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the direct sub-expressions of `expr`, left to right."""
    match expr:
        case Negative(of=inner):
            return (inner,)
        case Operation(left=left, right=right) | Comparison(left=left, right=right):
            return (left, right)
        case Call(args=args, options=options):
            return args + tuple(option.value for option in options)
        case Sequence(items=items):
            return items
        case Logical(operands=operands):
            return operands
        case Potential(settings=settings):
            return tuple(setting.value for setting in settings)
        case Aggregate(where=where, of=of):
            return (of,) if where is None else (where, of)
        case _:
            return ()


def walk(expr: Expr) -> tuple[Expr, ...]:
    """Return `expr` and all its sub-expressions, outermost first."""
    found: list[Expr] = []
    stack: list[Expr] = [expr]
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(reversed(children(node)))
    return tuple(found)


def names(expr: Expr) -> tuple[str, ...]:
    """Return the names referred to in `expr`, in order of first appearance."""
    return tuple(dict.fromkeys(node.name for node in walk(expr) if isinstance(node, Ref | Indexed)))
