"""A Model in the making: statements, slots and arrays are added in order, names are given once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, Reals
from hdsl.diagnostics import Diagnostic
from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Definition,
    Dims,
    Expr,
    Factor,
    IndexSet,
    Law,
    Limit,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    Reported,
    Slot,
    Var,
    gather,
    var,
)
from hdsl.model.names import fresh


@dataclass(frozen=True)
class Column:
    """One predictor: an expression, the level at which it has values (None: a constant), and those values.

    `label` tells apart the columns of a category or of a treatment's arms.
    """

    expr: Expr
    level: str | None
    values: Reals
    label: str = ""


@dataclass
class Draft:
    """Collects the parts of a Model for one bound study."""

    bound: Bound
    index_sets: dict[str, IndexSet] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    values: dict[str, NDArray[np.float64] | NDArray[np.int64]] = field(default_factory=dict)
    coords: dict[str, tuple[str, ...]] = field(default_factory=dict)
    statements: list[RandomVariable | Definition] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    reported: list[Reported] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    margins: list[Observation] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    level_dims: dict[str, str] = field(default_factory=dict)
    cache: dict[tuple[str, ...], Var] = field(default_factory=dict)
    completed: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    scope: dict[str, Dims] = field(default_factory=dict)

    def name(self, text: str) -> str:
        """Return a name like `text` that nothing else in the model has."""
        return fresh(text, (*self.scope, *self.index_sets))

    def index_set(self, text: str, labels: Sequence[str], kind: str, label: str | None = None) -> str:
        """Add an index set and return its name."""
        name = self.name(text)
        made = {"name": name, "size": len(labels), "kind": kind, "label": label}
        self.index_sets[name] = IndexSet.model_validate(made)
        self.coords[name] = tuple(labels)
        return name

    def level(self, level: str) -> str:
        """Return the index set of a level, adding it at first use."""
        if level not in self.level_dims:
            self.level_dims[level] = self.index_set(level, self.bound.levels[level].labels, "level")
        return self.level_dims[level]

    def slot(
        self,
        text: str,
        dims: Dims,
        values: NDArray[np.generic],
        *,
        indexes: str | None = None,
        treatment: str | None = None,
        lag: int = 0,
        variable: str | None = None,
        source: str = "",
        integer: bool = False,
    ) -> Var:
        """Add a data array and return a reference to it."""
        name = self.name(text)
        whole = integer or indexes is not None
        self.slots[name] = Slot(
            name=name,
            dims=dims,
            dtype="int" if whole else "real",
            indexes=indexes,
            treatment=treatment,
            lag=lag,
            variable=variable,
            source=source,
        )
        self.values[name] = values.astype(np.int64) if whole else values.astype(np.float64)
        self.scope[name] = dims
        return var(name)

    def define(self, text: str, value: Expr, role: str | None = None, reason: str = "", written: str = "") -> Var:
        """Add a definition and return a reference to it."""
        name = self.name(text)
        dims = dims_of(value, self.scope)
        self.statements.append(Definition(name=name, dims=dims, value=value, role=role, reason=reason, written=written))
        self.scope[name] = dims
        return var(name)

    def random(self, role: str, law: Law, dims: Dims = (), reason: str = "", text: str | None = None) -> Var:
        """Add a random variable and return a reference to it."""
        name = self.name(text or role)
        self.statements.append(RandomVariable(name=name, dims=dims, law=law, role=role, reason=reason))
        self.scope[name] = dims
        return var(name)

    def report(self, role: str, value: Expr) -> None:
        """Make `value` visible to users under `role`."""
        self.reported.append(Reported(role=role, value=value, dims=dims_of(value, self.scope)))

    def membership(self, lower: str, upper: str) -> Var:
        """Return the slot that says in which element of `upper` each element of `lower` lies."""
        key = ("membership", lower, upper)
        if key not in self.cache:
            self.cache[key] = self.slot(
                f"{upper}_of_{lower}",
                (self.level(lower),),
                self.bound.element_of(lower, upper),
                indexes=self.level(upper),
                source=f"the {upper} of each {lower}",
            )
        return self.cache[key]

    def at(self, value: Expr, level: str | None, target: str) -> Expr:
        """Return `value`, which has one entry per element of `level`, for each element of `target` instead.

        `level` None means that the value is the same for all.
        """
        if level is None or level == target:
            return value
        return gather(value, self.membership(target, level), self.level(level))

    def zeros(self) -> Var:
        """Return a slot with zero for each row, adding it at first use: a sum with it has a value for each row."""
        if ("zeros",) not in self.cache:
            dims = (self.level(self.bound.row),)
            self.cache["zeros",] = self.slot("zeros", dims, np.zeros(self.bound.rows), source="zero for each row")
        return self.cache["zeros",]

    def join(self, *levels: str | None) -> str | None:
        """Return the lowest of the levels if it lies below all others, else the row level; None if all None."""
        present = [level for level in dict.fromkeys(levels) if level is not None]
        if not present:
            return None
        for candidate in present:
            if all(self.bound.nests(candidate, other) for other in present):
                return candidate
        return self.bound.row

    def finish(self, name: str) -> tuple[Model, ModelData]:
        """Return the model and its data."""
        model = Model(
            name=name,
            unit=self.level(self.bound.row),
            index_sets=tuple(self.index_sets.values()),
            slots=tuple(self.slots.values()),
            statements=tuple(self.statements),
            observations=tuple(self.observations),
            factors=tuple(self.factors),
            reported=tuple(self.reported),
            limits=tuple(self.limits),
            margins=tuple(self.margins),
        )
        return model, ModelData(values=self.values, coords=self.coords)
