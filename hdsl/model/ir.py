"""The Model IR: a small typed probabilistic program over named index sets.

Every value has *dims*: an ordered tuple of index-set names. Arithmetic aligns its operands by name, as in
xarray, so an expression never says how arrays are laid out. A `Model` together with its `ModelData` is a
complete statistical model: random variables with laws, definitions, and observations.

Names (`name`) are ASCII identifiers that are safe in every target language; *roles*
(`effect(tutor)`, `sd(intercept, school)`) are what users see, on every backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Dims = tuple[str, ...]


class Node(BaseModel):
    """A frozen value of the Model IR."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Const(Node):
    """A number."""

    node: Literal["const"] = "const"
    value: float


class Var(Node):
    """A slot, random variable or definition, by name."""

    node: Literal["var"] = "var"
    name: str


class Apply(Node):
    """A function of the table `hdsl.model.functions` applied to expressions.

    `static` holds what is known before any data: the dim a gather indexes, a column's number.
    """

    node: Literal["apply"] = "apply"
    function: str
    args: tuple[Expr, ...]
    static: tuple[str | int, ...] = ()


Expr = Annotated[Const | Var | Apply, Field(discriminator="node")]
Apply.model_rebuild()


class Law(Node):
    """A distribution of the table `hdsl.model.distributions`, its parameters in that table's order."""

    distribution: str
    args: tuple[Expr, ...]


class IndexSet(Node):
    """A finite set that dims range over.

    `kind`: `level` (units of the design: new ones can be drawn), `effects` (the jointly varying effects of a
    level), `arms`, `categories`, `terms` (columns of a design matrix), `cells`, `grid` (values at which a curve is
    shown). `label`: what users call it, where that is no plain name.
    """

    name: str
    size: int
    kind: Literal["level", "effects", "arms", "categories", "terms", "cells", "grid"]
    label: str | None = None


class Slot(Node):
    """A data array with a value for each element of `dims`.

    `indexes`: for an integer slot, the index set into which it points. `treatment`: the treatment whose arm
    codes (0 = reference, integers in the order of arms) or doses it holds; setting it and evaluating again
    gives potential outcomes. `lag`: how many occasions back, where it holds those of earlier occasions.
    `variable`: the study variable it holds. `source`: in words, for reports.
    """

    name: str
    dims: Dims
    dtype: Literal["real", "int"] = "real"
    indexes: str | None = None
    treatment: str | None = None
    lag: int = 0
    variable: str | None = None
    source: str = ""


class RandomVariable(Node):
    """A parameter with a law.

    `dims` ends with the law's event dims (one for a multivariate normal, two for a Cholesky factor).
    `role` is what users call it; `reason` says why the design asks for it.
    """

    name: str
    dims: Dims = ()
    law: Law
    role: str
    reason: str = ""


class Definition(Node):
    """A named expression. Definitions may refer to slots, random variables and earlier definitions.

    `written`: what stands on the right in equations, and stands for the coefficients too, where the expression itself
    says little to a reader.
    """

    name: str
    dims: Dims = ()
    value: Expr
    role: str | None = None
    reason: str = ""
    written: str = ""


class Mixture(Node):
    """Rows that are each of one of several kinds (principal strata), along `dim`; the others name definitions over it.

    `share`: log probability of each kind. `possible`: the same among the kinds that the row's data on the
    intermediate allow. `joint`: `possible` plus the log density of the observed outcome.
    """

    dim: str
    share: str
    possible: str
    joint: str


class Observation(Node):
    """An observed variable: `slot` holds its values, `law` its distribution given parameters.

    `outcome`: the outcome of the study; empty where the values are sums over rows, which nothing predicts.

    `weight`: slot of weights that multiply the log likelihood (counts of identical rows, survey weights).
    `event`: slot that is 1 where a duration ended and 0 where it was censored (survival function then).
    `sequence`: slot that ranks the rows where the law of a row depends on the outcomes of other rows: on those of
    lower rank only. `rows`: integer slot with the row of each element, where `dims` are not those of the rows.
    `together`: how the rows go together, as an equation, where `law` says only what each does by itself, and
    `together_reason` why.
    `mixture`: of a margin whose rows are of several kinds; `law` is that of each kind.
    """

    name: str
    outcome: str
    slot: str
    dims: Dims
    law: Law
    weight: str | None = None
    event: str | None = None
    sequence: str | None = None
    rows: str | None = None
    together: str = ""
    together_reason: str = ""
    mixture: Mixture | None = None
    reason: str = ""


class Factor(Node):
    """A term added to the log density that is no law of a variable; summed over its dims.

    `outcome`: the outcome whose log likelihood it is, by element of `dims`.
    """

    name: str
    value: Expr
    outcome: str | None = None
    dims: Dims = ()
    reason: str = ""


class Reported(Node):
    """A quantity that users see under its role, one value per element of `dims`."""

    role: str
    value: Expr
    dims: Dims = ()


class Limit(Node):
    """Bounds of a random variable within which an approximation in the model holds; draws beyond them are told.

    `role` is what users call the variable, `of` what is approximated.
    """

    variable: str
    role: str
    low: float
    high: float
    of: str


class Model(Node):
    """A complete model; statements stand in an order in which every name is declared before its use.

    `statements` interleave random variables and definitions. `unit` is the index set of the rows. `margins` are
    no part of the density: where the observations of an outcome say how its rows go together, its margin is the
    law of each row by itself given the parameters. `notes` are sentences for readers of a program, put at its head.
    """

    schema_version: Literal[1] = 1
    name: str
    unit: str
    index_sets: tuple[IndexSet, ...]
    slots: tuple[Slot, ...]
    statements: tuple[RandomVariable | Definition, ...]
    observations: tuple[Observation, ...]
    factors: tuple[Factor, ...] = ()
    reported: tuple[Reported, ...] = ()
    limits: tuple[Limit, ...] = ()
    margins: tuple[Observation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[RandomVariable, ...]:
        """The random variables, in order."""
        return tuple(s for s in self.statements if isinstance(s, RandomVariable))

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The definitions, in order."""
        return tuple(s for s in self.statements if isinstance(s, Definition))

    @property
    def response(self) -> Observation:
        """The outcome and its law: observed, or of each kind where the kinds of rows are summed out."""
        return (*self.observations, *self.margins)[0]

    @property
    def sizes(self) -> dict[str, int]:
        """Index-set sizes by name."""
        return {index_set.name: index_set.size for index_set in self.index_sets}

    def slot(self, name: str) -> Slot:
        """Return the slot called `name`; KeyError if there is none."""
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise KeyError(name)

    def _repr_html_(self) -> str:
        from hdsl.model.to_math import model_html

        return model_html(self)

    def dims_of(self) -> dict[str, Dims]:
        """Return the dims of every named value: slots, random variables and definitions."""
        named: Sequence[Slot | RandomVariable | Definition] = (*self.slots, *self.statements)
        return {value.name: value.dims for value in named}


@dataclass(frozen=True)
class ModelData:
    """The arrays of a model.

    Attributes
    ----------
    values : mapping
        Slot name to array, of the slot's dims in order (float64 or int64).
    coords : mapping
        Index-set name to the labels of its elements, as text (a level's ids, arms, effect roles).
    """

    values: Mapping[str, NDArray[np.float64] | NDArray[np.int64]]
    coords: Mapping[str, Sequence[str]]


Scalar = float | int


def const(value: Scalar) -> Const:
    """Return the number as an expression."""
    return Const(value=float(value))


def var(name: str) -> Var:
    """Return a reference to a named value."""
    return Var(name=name)


def apply(function: str, *args: Expr, static: tuple[str | int, ...] = ()) -> Apply:
    """Return `function` applied to `args`."""
    return Apply(function=function, args=args, static=static)


def add(*terms: Expr) -> Expr:
    """Return the sum of the terms, leaving out zeros; the empty sum is 0."""
    kept = [term for term in terms if term != Const(value=0.0)]
    if not kept:
        return const(0)
    total: Expr = kept[0]
    for term in kept[1:]:
        total = apply("add", total, term)
    return total


def mul(*factors: Expr) -> Expr:
    """Return the product of the factors, leaving out ones; the empty product is 1."""
    kept = [factor for factor in factors if factor != Const(value=1.0)]
    if not kept:
        return const(1)
    product: Expr = kept[0]
    for factor in kept[1:]:
        product = apply("mul", product, factor)
    return product


def sub(left: Expr, right: Expr) -> Expr:
    """Return left - right."""
    return apply("sub", left, right)


def div(left: Expr, right: Expr) -> Expr:
    """Return left / right."""
    return apply("div", left, right)


def gather(values: Expr, index: Expr, over: str) -> Apply:
    """Return `values` with its dim `over` replaced by the dims of the integer slot `index`."""
    return apply("gather", values, index, static=(over,))


def column(values: Expr, dim: str, position: int) -> Apply:
    """Return element `position` of `values` along `dim`."""
    return apply("column", values, static=(dim, position))


def stack(parts: Sequence[Expr], dim: str) -> Apply:
    """Return the parts side by side along a new last dim."""
    return apply("stack", *parts, static=(dim,))


def dot(left: Expr, right: Expr, dim: str) -> Apply:
    """Return the sum over `dim` of left * right."""
    return apply("dot", left, right, static=(dim,))


def references(expr: Expr) -> frozenset[str]:
    """Return the names that `expr` refers to."""
    found: set[str] = set()
    stack_: list[Expr] = [expr]
    while stack_:
        node = stack_.pop()
        if isinstance(node, Var):
            found.add(node.name)
        elif isinstance(node, Apply):
            stack_.extend(node.args)
    return frozenset(found)


def substitute(expr: Expr, replacement: Mapping[str, Expr]) -> Expr:
    """Return `expr` with references replaced."""
    if isinstance(expr, Var):
        return replacement.get(expr.name, expr)
    if isinstance(expr, Apply):
        args = tuple(substitute(arg, replacement) for arg in expr.args)
        return expr.model_copy(update={"args": args})
    return expr
