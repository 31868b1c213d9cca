"""How the effects of a linear Gaussian model lie to each other: nested groupings, and all others side by side.

The largest grouping is integrated out group by group, then the groupings into which it nests, one after another;
what remains, with the coefficients, is integrated out together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.model.ir import Const, Expr, RandomVariable
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.recognise import Column, Linear
from hdsl.passes.marginal.scope import NotLinear
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
TOGETHER_AT_MOST = 1_500
CELLS_AT_MOST = 60_000_000


@dataclass(frozen=True)
class Entry:
    """A column of a grouping: the rows' values, and the unknown coefficient of effect[place]."""

    known: Array
    effect: str
    place: int
    unknown: Expr


@dataclass(frozen=True)
class Grouping:
    """Effects that vary across the same units.

    `unit_of_row` None: there is one unit. `effects` lists them in order; a joint effect has several places.
    """

    effects: tuple[RandomVariable, ...]
    size: int
    unit_of_row: Codes | None
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Expanded:
    """Effects with a column for each of their units: those that enter rows through several units at once."""

    effect: RandomVariable
    columns: Array


@dataclass(frozen=True)
class Structure:
    """The order of integration.

    Attributes
    ----------
    chain : tuple of Grouping
        Each nests in the next.
    together : tuple of Grouping or Expanded
        Integrated out at the end, with each other.
    """

    chain: tuple[Grouping, ...]
    together: tuple[Grouping | Expanded, ...]


def structure_of(linear: Linear) -> Structure:
    """Return the order of integration of a model's effects; raises NotLinear where there are too many at once."""
    whole, apart = groupings(linear)
    chain: list[Grouping] = []
    together: list[Grouping | Expanded] = []
    for grouping in sorted(whole, key=lambda each: -each.size):
        if grouping.size == 1:
            together.append(grouping)
        elif not chain or nests(chain[-1], grouping):
            chain.append(grouping)
        else:
            together.append(grouping)
    together += apart
    columns = sum(width(each) for each in together)
    if columns > TOGETHER_AT_MOST:
        raise NotLinear(f"crossed groupings with {columns} effects beside the largest (at most {TOGETHER_AT_MOST})")
    return Structure(tuple(chain), tuple(together))


def width(part: Grouping | Expanded) -> int:
    """Return the number of columns of a part that is integrated out with others."""
    return part.columns.shape[1] if isinstance(part, Expanded) else part.size * len(part.entries)


def groupings(linear: Linear) -> tuple[list[Grouping], list[Expanded]]:
    """Return the effects by the units across which they vary, and those that enter rows through several units."""
    whole: list[Grouping] = []
    apart: list[Expanded] = []
    for effect in linear.effects:
        columns = [column for column in linear.columns if column.effect == effect.name]
        size = int(np.prod([linear.model.sizes[dim] for dim in unit_dims(effect, linear.model)[0]]))
        if not columns:
            continue
        unit = columns[0].unit
        if size > 1 and not all(_same_unit(column, unit) for column in columns):
            apart.append(_expanded(linear, effect, columns, size))
            continue
        made = Grouping((effect,), size, unit, tuple(_entry(column) for column in columns))
        _join(whole, made)
    return whole, apart


def _same_unit(column: Column, unit: Codes | None) -> bool:
    if column.average or column.unit is None or unit is None:
        return False
    return column.unit is unit or np.array_equal(column.unit, unit)


def _entry(column: Column) -> Entry:
    return Entry(np.asarray(column.known, dtype=np.float64), column.effect, column.place, column.unknown)


def _join(whole: list[Grouping], made: Grouping) -> None:
    """Put effects over the same units of the same rows into one grouping."""
    for place, other in enumerate(whole):
        if other.size == made.size > 1 and np.array_equal(other.unit_of_row, made.unit_of_row):  # pyright: ignore[reportArgumentType]
            whole[place] = Grouping(
                (*other.effects, *made.effects), made.size, made.unit_of_row, (*other.entries, *made.entries)
            )
            return
    whole.append(made)


def _expanded(linear: Linear, effect: RandomVariable, columns: Sequence[Column], size: int) -> Expanded:
    rows = len(linear.outcome)
    if any(column.place for column in columns) or not all(isinstance(c.unknown, Const) for c in columns):
        raise NotLinear(f"{effect.role} enters through several units at once")
    if rows * size > CELLS_AT_MOST:
        raise NotLinear(f"{effect.role} enters through all of its {size} units at once")
    found = np.zeros((rows, size))
    for column in columns:
        if column.average or column.unit is None:
            found += column.known[:, None] / size
        else:
            found[np.arange(rows), column.unit] += column.known
    return Expanded(effect, found)


def nests(fine: Grouping, coarse: Grouping) -> bool:
    """Return whether each unit of `fine` lies in one unit of `coarse`."""
    assert fine.unit_of_row is not None
    assert coarse.unit_of_row is not None
    parent = parents(fine.unit_of_row, coarse.unit_of_row, fine.size)
    return np.array_equal(parent[fine.unit_of_row], coarse.unit_of_row)


def parents(fine: Codes, coarse: Codes, size: int) -> Codes:
    """Return the coarse unit of each fine one; 0 for units without rows."""
    found = np.zeros(size, dtype=np.int64)
    found[fine] = coarse
    return found
