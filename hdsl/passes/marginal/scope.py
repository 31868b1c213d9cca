"""What linear forms are made of, and what of a model they are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hdsl.model.ir import Const, Definition, Dims, Expr, Model, ModelData, RandomVariable, references
from hdsl.reference.values import Value, evaluate, scalar

ONE = scalar(1.0)


class NotLinear(Exception):
    """An expression is no linear form; carries why, in words."""


class Multiplied(NotLinear):
    """Two effects are multiplied; carries the name of one of them."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is multiplied by another effect")
        self.name = name


@dataclass(frozen=True)
class Term:
    """`known * unknown * effect[place, unit]`, one value for each element of the dims of `known` and `unit`.

    Attributes
    ----------
    known : Value
        The coefficient that follows from data.
    unknown : Expr
        The coefficient that follows from other parameters; without dims.
    effect : str or None
        The random variable; None for a term without one.
    place : int
        Which of jointly distributed effects.
    unit : Value or None
        The element of the effect, as a flat number over its dims but the event dim; None: it has one.
    average : bool
        The mean over all elements stands in place of one of them.
    """

    known: Value = ONE
    unknown: Expr = Const(value=1.0)
    effect: str | None = None
    place: int = 0
    unit: Value | None = None
    average: bool = False


@dataclass(frozen=True)
class Sum:
    """The sum of terms."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Stacked:
    """Sums side by side along the dim `dim`."""

    dim: str
    parts: tuple[Sum, ...]


Form = Sum | Stacked


@dataclass(frozen=True)
class Scope:
    """What linear forms are made from: a model, its data, and which random variables count as effects."""

    model: Model
    data: ModelData
    effects: Mapping[str, RandomVariable]
    known: dict[str, Value]
    definitions: Mapping[str, Definition]
    behind: Mapping[str, frozenset[str]]
    dims: Mapping[str, Dims]
    made: dict[str, Form]


def scope_of(model: Model, data: ModelData, effects: Iterable[str]) -> Scope:
    """Return the scope of a model whose random variables `effects` count as effects."""
    chosen = frozenset(effects)
    behind: dict[str, frozenset[str]] = {slot.name: frozenset() for slot in model.slots}
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            behind[statement.name] = frozenset({statement.name})
        else:
            behind[statement.name] = frozenset().union(*(behind[name] for name in references(statement.value)))
    return Scope(
        model=model,
        data=data,
        effects={v.name: v for v in model.variables if v.name in chosen},
        known={slot.name: Value(slot.dims, data.values[slot.name]) for slot in model.slots},
        definitions={definition.name: definition for definition in model.definitions},
        behind=behind,
        dims=model.dims_of(),
        made={},
    )


def parameters_behind(expr: Expr, scope: Scope) -> frozenset[str]:
    """Return the random variables on which an expression rests."""
    return frozenset().union(*(scope.behind[name] for name in references(expr)))


def known_value(expr: Expr, scope: Scope) -> Value:
    """Return the value of an expression of data alone."""
    for name in references(expr):
        if name not in scope.known:
            scope.known[name] = known_value(scope.definitions[name].value, scope)
    return evaluate(expr, scope.known)
