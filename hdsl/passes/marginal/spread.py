"""How the effects of a grouping load on their columns, as expressions of a Model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hdsl.model.functions import dims_of
from hdsl.model.ir import Const, Expr, Model, RandomVariable, column, const, dot, mul, stack
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.structure import Entry, Grouping

ONE = Const(value=1.0)
NewSet = Callable[[str, int], str]


@dataclass(frozen=True)
class Loading:
    """A grouping's effects.

    Attributes
    ----------
    group : str or None
        The index set of the units, where all effects have the same.
    columns : str or None
        The index set of the columns, where it is that of jointly normal effects.
    """

    model: Model
    grouping: Grouping
    group: str | None
    columns: str | None

    def of(self, z: Expr, dim: str, new: NewSet) -> Expr:
        """Return Z L: the columns `z` over `dim` times the factor of the effects' covariance."""
        if self.columns is not None:
            return dot(z, self.grouping.effects[0].law.args[1], dim)
        if all(effect.law.distribution == "normal" for effect in self.grouping.effects) and self._apart():
            each = [mul(entry.unknown, self._sd(entry)) for entry in self.grouping.entries]
            return mul(z, stack(each, dim))
        return dot(z, self._matrix(dim, new), dim)

    def _apart(self) -> bool:
        """Return whether each column has an effect of its own."""
        used = [(entry.effect, entry.place) for entry in self.grouping.entries]
        return len(set(used)) == len(used)

    def _sd(self, entry: Entry) -> Expr:
        effect = self._effect(entry)
        across = unit_dims(effect, self.model)[1]
        sd = effect.law.args[1]
        if across is not None and across in dims_of(sd, self.model.dims_of()):
            return column(sd, across, entry.place)
        return sd

    def _effect(self, entry: Entry) -> RandomVariable:
        return next(each for each in self.grouping.effects if each.name == entry.effect)

    def _matrix(self, dim: str, new: NewSet) -> Expr:
        """Return by what independent standard normals enter each column, element by element."""
        places: list[tuple[str, int]] = []
        for effect in self.grouping.effects:
            across = unit_dims(effect, self.model)[1]
            places += [(effect.name, k) for k in range(1 if across is None else self.model.sizes[across])]
        draws = new("standard_effect", len(places))
        rows: list[Expr] = []
        for entry in self.grouping.entries:
            each = [self._element(entry, *place) for place in places]
            rows.append(stack(each, draws))
        return stack(rows, dim)

    def _element(self, entry: Entry, effect: str, place: int) -> Expr:
        if entry.effect != effect:
            return const(0)
        own = self._effect(entry)
        if own.law.distribution != "multinormal_cholesky":
            return mul(entry.unknown, self._sd(entry)) if place == entry.place else const(0)
        if place > entry.place:
            return const(0)
        cholesky, event = own.law.args[1], own.dims[-1]
        (other,) = (d for d in dims_of(cholesky, self.model.dims_of()) if d not in own.dims)
        return mul(entry.unknown, column(column(cholesky, event, entry.place), other, place))


def loading_of(model: Model, grouping: Grouping) -> Loading:
    """Return how the effects of a grouping load on its columns; raises NotLinear."""
    units = {unit_dims(effect, model)[0] for effect in grouping.effects}
    (first, *rest) = units
    group = first[0] if not rest and len(first) == 1 else None
    if group is None:
        scope = model.dims_of()
        levels = {dim for dims in units for dim in dims}
        if any(set(dims_of(effect.law.args[1], scope)) & levels for effect in grouping.effects):
            raise NotLinear("the spread of effects that vary across cells differs between cells")
    return Loading(model, grouping, group, _joint(model, grouping))


def _joint(model: Model, grouping: Grouping) -> str | None:
    """Return the dim of the effects where the columns are those of one joint law, in order."""
    effect, *others = grouping.effects
    if others or effect.law.distribution != "multinormal_cholesky":
        return None
    places = [entry.place for entry in grouping.entries]
    plain = places == list(range(model.sizes[effect.dims[-1]])) and all(e.unknown == ONE for e in grouping.entries)
    return effect.dims[-1] if plain else None
