"""Values of an earlier occasion: `lag(x)` and `lag(x, k)`, for each row of a table that crosses units with a wave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from hdsl.data.bound import BoundLag, Integers, Reals
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.levels import row_level
from hdsl.design.roles import role_text
from hdsl.diagnostics import Diagnostic

Mask = NDArray[np.bool_]
NAME = "lag"


@dataclass(frozen=True)
class Lagged:
    """A lag of a study: of which variable or treatment, and how many occasions back."""

    name: str
    back: int
    text: str


def lags_of(design: ir.StudyFields) -> tuple[list[Lagged], list[Diagnostic]]:
    """Return the lags that a study's assignments and analysis name, and HDM368 for those that cannot be."""
    found: dict[Lagged, None] = {}
    problems: list[Diagnostic] = []
    for part in (*design.assignments, *design.analysis):
        for call in _calls(part):
            lagged = _lagged(call)
            if lagged is None:
                message = f"`{role_text(call)}`: a lag is of one variable, by a whole number of occasions."
                problems.append(Diagnostic("HDM368", message, help="Write `lag(y)`, or `lag(y, 2)` for two back."))
            else:
                found[lagged] = None
    return list(found), problems


def _calls(value: object) -> Iterator[study.Call]:
    match value:
        case study.Call(function="lag"):
            yield value
        case BaseModel():
            for field in type(value).model_fields:
                yield from _calls(getattr(value, field))
        case tuple():
            for item in value:
                yield from _calls(item)
        case _:
            return


def _lagged(call: study.Call) -> Lagged | None:
    match call.args:
        case (study.Ref(name=name),):
            return Lagged(name, 1, role_text(call))
        case (study.Ref(name=name), study.Number(value=back)) if back >= 1 and back == int(back):
            return Lagged(name, int(back), role_text(call))
        case _:
            return None


def wave_and_units(design: ir.StudyFields) -> tuple[str, tuple[str, ...]] | Diagnostic:
    """Return the wave that the rows cross and the other levels they cross; HDM368 where they cross no wave."""
    row = row_level(design)
    waves = {level.name for level in design.levels if level.word == "wave"}
    crossed = [name for name in row.crosses if name in waves]
    if len(crossed) != 1:
        message = f"`lag` needs rows that are units on occasions; {row.name} crosses {len(crossed) or 'no'} wave."
        return Diagnostic("HDM368", message, help=f"Declare `wave TIME` and `unit {row.name} in UNIT * TIME`.")
    return crossed[0], tuple(name for name in row.crosses if name != crossed[0])


def sources(units: Sequence[Integers], occasions: Integers, back: int) -> Integers | None:
    """Return the row of the same unit `back` occasions before each row, -1 where there is none.

    None where a unit has two rows of one occasion.
    """
    rows = len(occasions)
    codes = np.zeros(rows, np.int64)
    for unit in units:
        codes = codes * (int(unit.max(initial=0)) + 1) + unit
    _, codes = np.unique(codes, return_inverse=True)
    width = int(occasions.max(initial=0)) + 1
    keys = codes.astype(np.int64) * width + occasions
    known, first = np.unique(keys, return_index=True)
    if len(known) < rows:
        return None
    wanted = keys - back
    place = np.clip(np.searchsorted(known, wanted), 0, len(known) - 1)
    there = (occasions >= back) & (known[place] == wanted)
    return np.where(there, first[place], -1).astype(np.int64)


def bound_lag(lagged: Lagged, source: Integers, values: Reals, positions: Reals, keep: Mask) -> BoundLag:
    """Return a lag for the rows that are kept, each of which has a value.

    Parameters
    ----------
    source : int array, shape (rows of the table,)
        The row from which each takes its lagged value.
    values, positions : float array, shape (rows of the table,)
        The variable's values and the wave's positions.
    """
    place = np.full(len(keep), -1, np.int64)
    place[keep] = np.arange(int(keep.sum()))
    own = source[keep]
    return BoundLag(lagged.name, lagged.back, values[own], place[own], positions[own])


def dropped(counts: Mapping[str, int], lost: int, rows: int, at: NDArray[np.int64]) -> Diagnostic:
    """Return HDM367: the rows that no occasion before gives a lagged value."""
    listed = ", ".join(f"{text} in {count}" for text, count in counts.items())
    message = f"{lost} of {rows} rows have no occasion before them and are dropped: no {listed}."
    help_ = "A unit's first outcome is where its later ones start from; after a missed occasion it starts anew."
    return Diagnostic("HDM367", message, severity="warning", help=help_, rows=tuple(int(r) + 1 for r in at[:100]))
