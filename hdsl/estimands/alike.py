"""Rows that are alike in a potential outcome have the same expectation: it is computed once for all of them.

Exact for averages of what is linear in the outcomes: an average over rows is the average over kinds of rows, each
weighted by its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.design.expr import Potential
from hdsl.estimands.aggregate import Units
from hdsl.estimands.worlds import World, mixture_of
from hdsl.model.ir import Definition, IndexSet, ModelData, Slot, references
from hdsl.model.walk import applications
from hdsl.passes.cells import ALONG, distinct
from hdsl.reference.density import law_references, needed
from hdsl.reference.values import AnyArray

LEAST_ROWS = 500
SHARE = 0.5
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Read:
    """What a world's expectation rests on: its definitions and its slots over the rows."""

    definitions: frozenset[str]
    slots: tuple[Slot, ...]


def kinds_of_rows(worlds: Mapping[Potential, World], units: Units) -> tuple[dict[Potential, World], Units] | None:
    """Return worlds and units over kinds of rows; None where few rows are alike, or they are more than data."""
    if units.rows < LEAST_ROWS or units.copies > 1:
        return None
    columns: list[AnyArray] = [units.chosen.astype(np.int64)]
    if units.unit_of is not None:
        columns.append(units.unit_of)
    elif units.cells > 1:
        columns.append(units.cell_of_unit)
    read: dict[Potential, _Read] = {}
    for potential, world in worlds.items():
        found = _read(world, units.rows)
        if found is None:
            return None
        read[potential] = found
        columns += [world.data.values[slot.name] for slot in found.slots]
    made = distinct(_once(columns), units.rows, int(SHARE * units.rows))
    if made is None:
        return None
    kind, first = made
    over = {potential: _over_kinds(world, read[potential], first) for potential, world in worlds.items()}
    by_row = units.unit_of is None
    return over, replace(
        units,
        rows=len(first),
        chosen=units.chosen[first],
        unit_of=None if units.unit_of is None else units.unit_of[first],
        cell_of_unit=units.cell_of_unit[first] if by_row else units.cell_of_unit,
        weights=np.bincount(kind, units.weights, minlength=len(first)),
    )


def _once(columns: list[AnyArray]) -> list[AnyArray]:
    """Return the arrays without those that are another one: worlds share what no treatment changes."""
    kept: list[AnyArray] = []
    for column in columns:
        if not any(
            other is column or (other.shape == column.shape and np.array_equal(other, column)) for other in kept
        ):
            kept.append(column)
    return kept


def _read(world: World, rows: int) -> _Read | None:
    """Return what the expectation of each row rests on; None where that is not the row's data alone."""
    model = world.model
    unit = model.unit
    law, dims = world.observation.law, world.observation.dims
    odd = world.joint or world.observation.sequence is not None or mixture_of(model) is not None
    if odd or dims != (unit,) or model.sizes[unit] != rows or any(unit in v.dims for v in model.variables):
        return None
    names = law_references(law).union(*(law_references(variable.law) for variable in model.variables))
    wanted = needed(model, names)
    used = set(names)
    for definition in model.definitions:
        if definition.name in wanted:
            used |= references(definition.value)
            if any(node.function in ALONG and unit in node.static for node in applications(definition.value)):
                return None
    if any(node.function in ALONG and unit in node.static for arg in law.args for node in applications(arg)):
        return None
    slots = tuple(slot for slot in model.slots if slot.name in used)
    if any(slot.indexes == unit or (unit in slot.dims and slot.dims[0] != unit) for slot in slots):
        return None
    return _Read(wanted, tuple(slot for slot in slots if unit in slot.dims))


def _over_kinds(world: World, read: _Read, first: Integers) -> World:
    model, unit = world.model, world.model.unit
    gone = {slot.name for slot in model.slots if unit in slot.dims} - {slot.name for slot in read.slots}
    sets: tuple[IndexSet, ...] = tuple(
        s.model_copy(update={"size": len(first)}) if s.name == unit else s for s in model.index_sets
    )
    statements = tuple(s for s in model.statements if not isinstance(s, Definition) or s.name in read.definitions)
    slots = tuple(slot for slot in model.slots if slot.name not in gone)
    own = {slot.name for slot in read.slots}
    values = {
        slot.name: world.data.values[slot.name][first] if slot.name in own else world.data.values[slot.name]
        for slot in slots
    }
    coords = {name: labels for name, labels in world.data.coords.items() if name != unit}
    small = model.model_copy(update={"index_sets": sets, "statements": statements, "slots": slots})
    return replace(world, model=small, data=ModelData(values, coords))
