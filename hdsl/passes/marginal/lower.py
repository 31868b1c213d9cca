"""A linear Gaussian model with the effects of its nested groupings integrated out, as a Model of its own.

The rows become what suffices (`hdsl.passes.suffice`): a few pseudo-rows for each group, a few of what is left within
the groups, and a sum of squares. Of a group's rows y = X b + Z u + e, with u normal with the Cholesky factor L, the
law is normal with the mean X b and the covariance diag(sd^2) + Z L L' Z'; groupings in which the largest one nests
add W M M' W' within their own units; what is left within the groups is normal
about its own X b; the sum of squares is gamma with half as many degrees of freedom as its shape. Coefficients and
the effects of other groupings stay random variables. The joint log density is that of the plain model with the
effects integrated out, up to a constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hdsl.model.distributions import NESTED
from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Definition,
    Dims,
    Expr,
    IndexSet,
    Law,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    Slot,
    add,
    apply,
    column,
    const,
    div,
    dot,
    gather,
    mul,
    references,
    stack,
    sub,
    substitute,
    var,
)
from hdsl.model.names import fresh
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.recognise import Linear
from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.spread import loading_of
from hdsl.passes.marginal.structure import Entry, Structure
from hdsl.passes.marginal.within import Codes, Within, within
from hdsl.passes.rewrite import in_order, reads
from hdsl.passes.suffice import Block, Coarser, Finest, Statistics, suffice
from hdsl.reference.values import AnyArray, Array

ROWS_AT_MOST = 8
COLUMNS_AT_MOST = 400
STATISTIC = ""


@dataclass
class Draft:
    """What the new model is put together from: names, index sets, slots with their arrays, statements, laws."""

    linear: Linear
    taken: set[str]
    sets: list[IndexSet] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    values: dict[str, NDArray[np.float64] | NDArray[np.int64]] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """Return a new name and mark it as taken."""
        found = fresh(wanted, self.taken)
        self.taken.add(found)
        return found

    def index_set(self, wanted: str, size: int) -> str:
        """Add an index set."""
        name = self.name(wanted)
        self.sets.append(IndexSet(name=name, size=size, kind="cells"))
        return name

    def slot(
        self, wanted: str, dims: Dims, array: NDArray[np.generic], source: str, indexes: str | None = None
    ) -> Expr:
        """Add data and return a reference to them."""
        name = self.name(wanted)
        whole = array.dtype.kind == "i"
        self.slots.append(Slot(name=name, dims=dims, dtype="int" if whole else "real", indexes=indexes, source=source))
        self.values[name] = array.astype(np.int64) if whole else array.astype(np.float64)
        return var(name)

    def define(self, wanted: str, dims: Dims, value: Expr, reason: str) -> Expr:
        """Add a definition and return a reference to it."""
        name = self.name(wanted)
        self.definitions.append(Definition(name=name, dims=dims, value=value, reason=reason))
        return var(name)

    def observe(self, slot: Expr, dims: Dims, law: Law, reason: str) -> None:
        """Add a law of data that are no outcomes of rows but sums over them."""
        (name,) = references(slot)
        own = self.name(f"{name}_law")
        self.observations.append(Observation(name=own, outcome=STATISTIC, slot=name, dims=dims, law=law, reason=reason))


@dataclass(frozen=True)
class Part:
    """A summand of the mean: columns `places` of the statistics, divided by `scales`, times `value` over `dim`."""

    places: Codes
    scales: Array
    value: Expr
    dim: str
    wanted: str


@dataclass(frozen=True)
class Above:
    """A summand of the mean from a grouping in which the largest one nests: column `place` of the pseudo-rows, times
    `scale`, times `value` over `dim` at the unit to which each group belongs (`units`).
    """

    place: int
    scale: float
    value: Expr
    dim: str
    units: Codes


def suffices(linear: Linear, structure: Structure, scales: dict[str, Array | None]) -> Statistics:
    """Return the statistics of which `marginalised` makes a model; raises NotLinear.

    The groupings in which the largest one nests enter its pseudo-rows by their own columns alone. Where their columns
    vary within its groups, or its groups have too many rows, all but the largest are columns side by side.
    """
    if len(structure.chain) > 1:
        try:
            found = suffice(linear, structure, scales)
        except NotLinear:
            found = None
        if found is not None and found.finest is not None and not any(len(level.own) for level in found.coarser):
            return found
    return suffice(linear, Structure(structure.chain[:1], (*structure.chain[1:], *structure.together)), scales)


def marginalised(linear: Linear, statistics: Statistics) -> tuple[Model, ModelData]:
    """Return a recognised model with the effects of its largest grouping and those above it integrated out.

    Parameters
    ----------
    linear : Linear
    statistics : Statistics
        Of `suffices`.

    Raises
    ------
    NotLinear
        The statistics have a form that this does not write; carries why, in words.
    """
    _check(statistics)
    draft = Draft(linear, {*linear.model.dims_of(), *linear.model.sizes})
    sds = _class_sds(draft)
    parts = _parts(draft, statistics)
    rows_of_class = np.zeros(linear.classes.size)
    levels = nested_in(linear, statistics)
    if statistics.finest is not None:
        above = _above(draft, statistics, levels)
        _groups(draft, statistics.finest, parts, levels, above, sds, _outcome_at(statistics))
        present = np.any(statistics.finest.own != 0, axis=2)
        rows_of_class += np.bincount(statistics.finest.classes[present], minlength=linear.classes.size)
    squares = np.sum(np.diagonal(statistics.together, axis1=1, axis2=2), axis=0)
    if statistics.finest is not None:
        first = statistics.finest.others.shape[2] - len(squares)
        squares = squares + np.sum(statistics.finest.others[:, :, first:] ** 2, axis=(0, 1))
    left = within(statistics.together, _outcome_at(statistics), statistics.weight - rows_of_class, squares)
    _within(draft, left, parts, sds)
    return _model(draft, statistics, levels)


def _check(statistics: Statistics) -> None:
    if statistics.coarser and statistics.finest is None:
        raise NotLinear("the groups have too many variance classes")
    if statistics.finest is not None:
        if statistics.finest.sparse:
            raise NotLinear("the groupings that cross the largest one have too many units")
        rows = statistics.finest.own.shape[1]
        if rows > ROWS_AT_MOST:
            raise NotLinear(f"{rows} rows would stand for each group (at most {ROWS_AT_MOST})")
    if statistics.columns > COLUMNS_AT_MOST:
        raise NotLinear(f"{statistics.columns} columns beside the largest grouping (at most {COLUMNS_AT_MOST})")


def _outcome_at(statistics: Statistics) -> int:
    return statistics.columns


def _class_sds(draft: Draft) -> tuple[str, Expr] | Expr:
    """Return the residual standard deviation, or where there are classes their index set and it by class."""
    classes = draft.linear.classes
    if classes.size == 1 and not classes.values:
        return classes.sd
    dim = draft.index_set("variance_class", classes.size)
    names: dict[str, Expr] = {}
    for name, value in classes.values.items():
        array = np.asarray(value.array)
        whole = array.dtype.kind in "iub"
        names[name] = draft.slot(
            "class_value", (dim,), array.astype(np.int64 if whole else np.float64), "by variance class"
        )
    sd = substitute(classes.sd, names)
    return dim, draft.define("sd_by_class", (dim,), sd, "rows of the same residual spread are a class")


def _parts(draft: Draft, statistics: Statistics) -> list[Part]:
    """Return the summands of the mean: coefficients and offsets as one vector, then the smaller groupings."""
    model = draft.linear.model
    effects = {effect.name: effect for effect in draft.linear.effects}
    starts: list[int] = []
    scales: list[float] = []
    values: list[Expr] = []
    for place, fixed in enumerate(statistics.fixed):
        starts.append(place)
        scales.append(fixed.sd)
        guess = float(statistics.middle[place]) * fixed.sd
        values.append(_less(_deviation(effects[fixed.effect], fixed.place, fixed.unit, model), guess))
    parts: list[Part] = []
    for block in statistics.blocks:
        if block.grouping.size == 1:
            for k, entry in enumerate(block.grouping.entries):
                starts.append(block.start + k)
                scales.append(1 / float(block.scales[k]))
                value = _less(_deviation(effects[entry.effect], entry.place, 0, model), block.centre)
                values.append(mul(entry.unknown, value))
        else:
            parts += _block_parts(draft, block)
    for place, (expr, _) in enumerate(draft.linear.offsets):
        starts.append(_outcome_at(statistics) + 1 + place)
        scales.append(1.0)
        values.append(expr)
    if not values:
        return parts
    dim = draft.index_set("coefficient", len(values))
    vector = draft.define("coefficients", (dim,), stack(values, dim), "as deviations from a first fit to the rows")
    return [Part(np.array(starts), np.array(scales), vector, dim, "X"), *parts]


def _less(value: Expr, guess: float) -> Expr:
    """Return a coefficient's deviation from the first fit."""
    return value if guess == 0 else sub(value, const(guess))


def _deviation(effect: RandomVariable, place: int, unit: int, model: Model) -> Expr:
    """Return one element of an effect less the mean of its law."""
    dims, across = unit_dims(effect, model)
    sizes = [model.sizes[dim] for dim in dims]
    where = dict(zip(dims, map(int, np.unravel_index(unit, sizes)), strict=True)) if dims else {}
    if across is not None:
        where[across] = place
    value, mean = (_at(each, where, model) for each in (var(effect.name), effect.law.args[0]))
    return value if mean == const(0) else sub(value, mean)


def _at(expr: Expr, where: dict[str, int], model: Model) -> Expr:
    for dim in dims_of(expr, model.dims_of()):
        if dim in where:
            expr = column(expr, dim, where[dim])
    return expr


def _block_parts(draft: Draft, block: Block) -> list[Part]:
    """Return the summands of a grouping whose effects stay random variables: a column for each unit."""
    model = draft.linear.model
    found: list[Part] = []
    count = len(block.scales)
    for k, entry in enumerate(block.grouping.entries):
        effect = next(each for each in block.grouping.effects if each.name == entry.effect)
        dim, value = _varying(effect, entry, model)
        starts = block.start + k + count * np.arange(block.grouping.size)
        scales = np.full(block.grouping.size, 1 / block.scales[k])
        found.append(Part(starts, scales, value, dim, f"X_{dim}"))
    return found


def nested_in(linear: Linear, statistics: Statistics) -> tuple[Coarser, ...]:
    """Return the groupings in which the largest one nests that are integrated out with it: those next above it.

    Not those whose units differ in the law of their effects, nor any beyond.
    """
    scope = linear.model.dims_of()
    found: list[Coarser] = []
    for level in statistics.coarser[: max(NESTED)]:
        effects = level.grouping.effects
        if any(set(unit_dims(e, linear.model)[0]) & set(dims_of(e.law.args[1], scope)) for e in effects):
            break
        found.append(level)
    return tuple(found)


def _above(draft: Draft, statistics: Statistics, levels: Sequence[Coarser]) -> list[Above]:
    """Return the summands of the groupings in which the largest one nests and that stay parameters."""
    found: list[Above] = []
    if statistics.finest is None:
        return found
    first, last = sum(len(level.scales) for level in levels), len(levels)
    for level, units in zip(statistics.coarser[last:], statistics.ancestors[0][last:], strict=True):
        effects = {effect.name: effect for effect in level.grouping.effects}
        for entry, scale in zip(level.grouping.entries, level.scales, strict=True):
            dim, value = _varying(effects[entry.effect], entry, draft.linear.model)
            found.append(Above(first + len(found), float(scale), value, dim, units))
    return found


def _varying(effect: RandomVariable, entry: Entry, model: Model) -> tuple[str, Expr]:
    """Return the dim of an effect, and over it what multiplies a column: the deviations from the law's mean."""
    dims, across = unit_dims(effect, model)
    if len(dims) != 1:
        raise NotLinear(f"{effect.role} varies across cells")
    where = {} if across is None else {across: entry.place}
    value, mean = (_at(each, where, model) for each in (var(effect.name), effect.law.args[0]))
    return dims[0], mul(entry.unknown, value if mean == const(0) else sub(value, mean))


def _taken(part: Part, columns: Array) -> Array:
    """Return a summand's columns out of those of the statistics, (..., q) to (..., n)."""
    return columns[..., part.places] / part.scales


def _mean(draft: Draft, parts: Iterable[Part], columns: Array, dims: Dims, suffix: str, source: str) -> Expr:
    """Return the mean of pseudo-rows over `dims`."""
    terms: list[Expr] = []
    for part in parts:
        slot = draft.slot(f"{part.wanted}_{suffix}", (*dims, part.dim), _taken(part, columns), source)
        terms.append(dot(slot, part.value, part.dim))
    return add(*terms)


def _groups(
    draft: Draft,
    finest: Finest,
    parts: list[Part],
    levels: Sequence[Coarser],
    above: list[Above],
    sds: tuple[str, Expr] | Expr,
    outcome: int,
) -> None:
    """Add the law of the groups' pseudo-rows."""
    loading = loading_of(draft.linear.model, finest.grouping)
    group = loading.group or draft.index_set("group", finest.grouping.size)
    row = draft.index_set(f"row_of_{group}", finest.own.shape[1])
    first = sum(len(level.scales) for level in levels)
    label = draft.linear.model.observations[0].slot
    what = f"pseudo-rows: the rows of each {group}, turned so that few hold all they say of its effects"
    rest = finest.others[:, :, first + len(above) :]
    y = draft.slot(f"{label}_by_{group}", (group, row), rest[:, :, outcome], f"{what}; less a first fit")
    by_row = (row, group)
    mean = _mean(draft, parts, rest.swapaxes(0, 1), by_row, group, "the same turn of the predictors")
    mean = add(mean, *_from_above(draft, finest, above, row, group))
    own = (finest.own * finest.scales).swapaxes(0, 1)
    dim = loading.columns or draft.index_set(f"column_of_{group}", own.shape[2])
    z = draft.slot(f"Z_{group}", (*by_row, dim), own, "the same turn of the columns of the effects")
    factor = loading.of(z, dim, draft.index_set)
    sd = _sd_of_rows(draft, finest, sds, by_row)
    larger = _larger(draft, finest, levels, row, group)
    name = NESTED[len(levels)] if levels else "multinormal_lowrank"
    law = Law(distribution=name, args=(mean, sd, factor, *larger))
    gone = (finest.grouping, *(level.grouping for level in levels))
    roles = ", ".join(effect.role for grouping in gone for effect in grouping.effects)
    draft.observe(y, (group, row), law, f"with {roles} integrated out")


def _larger(draft: Draft, finest: Finest, levels: Sequence[Coarser], row: str, group: str) -> list[Expr]:
    """Return of each larger grouping the columns times their factor, and the unit of each smaller one."""
    found: list[Expr] = []
    below, codes, at = group, finest.parent, 0
    for level in levels:
        assert codes is not None
        loading = loading_of(draft.linear.model, level.grouping)
        unit = loading.group or draft.index_set("unit", level.grouping.size)
        columns = (finest.others[:, :, at : at + len(level.scales)] * level.scales).swapaxes(0, 1)
        dim = loading.columns or draft.index_set(f"column_of_{unit}", len(level.scales))
        source = f"the same turn of the columns of the {unit}'s effects"
        z = draft.slot(f"Z_{unit}", (row, group, dim), columns, source)
        found.append(loading.of(z, dim, draft.index_set))
        found.append(draft.slot(f"{unit}_of_{below}", (below,), codes, f"the {unit} of each {below}", unit))
        below, codes, at = unit, level.parent, at + len(level.scales)
    return found


def _from_above(draft: Draft, finest: Finest, above: list[Above], row: str, group: str) -> list[Expr]:
    """Return the summands of the pseudo-rows' means from the groupings in which they nest."""
    indexes: dict[str, Expr] = {}
    terms: list[Expr] = []
    for each in above:
        if each.dim not in indexes:
            source = f"the {each.dim} of each {group}"
            indexes[each.dim] = draft.slot(f"{each.dim}_of_{group}", (group,), each.units, source, each.dim)
        columns = (finest.others[:, :, each.place] * each.scale).T
        slot = draft.slot(f"x_{each.dim}_{group}", (row, group), columns, f"the same turn of the {each.dim}'s column")
        terms.append(mul(slot, gather(each.value, indexes[each.dim], each.dim)))
    return terms


def _sd_of_rows(draft: Draft, finest: Finest, sds: tuple[str, Expr] | Expr, dims: Dims) -> Expr:
    """Return the standard deviation of each pseudo-row; 1 where groups have fewer rows than others."""
    present = np.any(finest.own != 0, axis=2).T
    if isinstance(sds, tuple):
        dim, by_class = sds
        sd: Expr = gather(by_class, draft.slot("class_of_row", dims, finest.classes.T, "variance class", dim), dim)
    else:
        sd = sds
    if np.all(present):
        return sd
    there = draft.slot("is_row", dims, present.astype(np.float64), "0 where a group has fewer rows than others")
    absent = draft.slot("is_no_row", dims, 1.0 - present, "1 where a group has fewer rows than others")
    return add(mul(sd, there), absent)


def _within(draft: Draft, left: Within, parts: list[Part], sds: tuple[str, Expr] | Expr) -> None:
    """Add the laws of what is left within the groups: rows that bear on coefficients, and sums of squares."""
    label = draft.linear.model.observations[0].slot
    if len(left.outcome):
        row = draft.index_set("row_within", len(left.outcome))
        y = draft.slot(f"{label}_within", (row,), left.outcome, "pseudo-rows of what is left within the groups")
        mean = _mean(draft, parts, left.columns, (row,), "within", "the same turn of the predictors")
        law = Law(distribution="normal", args=(mean, _by_class(draft, left.classes, sds, row)))
        draft.observe(y, (row,), law, "all that is left says of the coefficients")
    if len(left.squares):
        rest = draft.index_set("rest", len(left.squares))
        squares = draft.slot(f"squares_{label}", (rest,), left.squares, "sum of squares that is left")
        shape = draft.slot("half_freedom", (rest,), 0.5 * left.freedom, "half its degrees of freedom")
        sd = _by_class(draft, left.rest_classes, sds, rest)
        rate = div(const(0.5), apply("square", sd))
        draft.observe(
            squares, (rest,), Law(distribution="gamma", args=(shape, rate)), "it speaks of the residual alone"
        )


def _by_class(draft: Draft, classes: AnyArray, sds: tuple[str, Expr] | Expr, dim: str) -> Expr:
    if not isinstance(sds, tuple):
        return sds
    of_class, by_class = sds
    return gather(by_class, draft.slot(f"class_of_{dim}", (dim,), classes, "variance class", of_class), of_class)


def _model(draft: Draft, statistics: Statistics, levels: Sequence[Coarser]) -> tuple[Model, ModelData]:
    """Return the new model: the old one's statements that are still needed, with the new laws of data."""
    linear = draft.linear
    gone = {effect.name for level in levels for effect in level.grouping.effects}
    gone |= set() if statistics.finest is None else {effect.name for effect in statistics.finest.grouping.effects}
    effects = {effect.name for effect in linear.effects}
    kept = {v.name for v in linear.model.variables if v.name not in effects}
    statements = [*linear.model.statements, *draft.definitions]
    wanted = set(kept)
    wanted |= {name for each in draft.observations for arg in each.law.args for name in references(arg)}
    wanted |= {name for factor in linear.model.factors for name in references(factor.value)}
    chosen: list[RandomVariable | Definition] = []
    for statement in reversed(in_order(statements)):
        if statement.name in wanted:
            chosen.insert(0, statement)
            wanted |= reads(statement)
    if wanted & gone:
        raise NotLinear("something else rests on the effects that are integrated out")
    model = linear.model.model_copy(
        update={
            "index_sets": (*linear.model.index_sets, *draft.sets),
            "slots": (*linear.model.slots, *draft.slots),
            "statements": tuple(chosen),
            "observations": tuple(draft.observations),
            "reported": (),
            "margins": (),
        }
    )
    data = ModelData(values={**linear.data.values, **draft.values}, coords=linear.data.coords)
    return model, data


__all__ = ["marginalised", "suffices"]
