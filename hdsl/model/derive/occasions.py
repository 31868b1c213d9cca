"""The rows of each unit in the order of its occasions: which come before which, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Bound, Integers, Reals
from hdsl.model.derive.terms import NotDerivable

CLOSE = 1e-6


@dataclass(frozen=True)
class Occasions:
    """The rows of the units of a level in the order of a wave.

    Attributes
    ----------
    unit, wave : str
        The levels.
    order : int array, shape (rows,)
        The rows, unit after unit, each unit's by occasion.
    rank : int array, shape (rows,)
        How many rows of its unit come before each row.
    previous : int array, shape (rows,)
        The row before each row; the row itself where none is.
    step : float
        The smallest distance between two occasions of the wave.
    apart : float array, shape (rows,)
        The distance from the row before, in steps; 1 where none is.
    """

    unit: str
    wave: str
    order: Integers
    rank: Integers
    previous: Integers
    step: float
    apart: Reals

    @property
    def tell_signs(self) -> bool:
        """Whether the sign of r shows in r ^ distance: distances are whole numbers of steps, half or more of them odd.

        Where nearly all are even, r and -r are nearly the same correlation.
        """
        whole = np.abs(self.apart - np.round(self.apart)) < CLOSE * np.maximum(1.0, self.apart)
        steps = np.round(self.apart[self.previous != np.arange(self.previous.size)])
        return bool(np.all(whole) and np.sum(steps % 2 == 1) * 2 >= steps.size)


def the_wave(bound: Bound, statement: str) -> str | None:
    """Return the wave of a study, None without one; NotDerivable where it has several."""
    waves = [level.name for level in bound.study.levels if level.word == "wave" and level.name in bound.levels]
    if len(waves) > 1:
        raise NotDerivable("HDM634", f"`{statement}`: the study has the waves {', '.join(waves)}.", "Declare only one.")
    return waves[0] if waves else None


def occasions(bound: Bound, unit: str, wave: str, statement: str) -> Occasions:
    """Return the rows of each unit in the order of a wave.

    Raises
    ------
    NotDerivable
        HDM634 where a unit has several rows at one occasion.
    """
    positions = bound.levels[wave].positions
    assert positions is not None
    at = positions[bound.levels[wave].rows]
    units = bound.levels[unit].rows
    order = np.lexsort((np.arange(bound.rows), at, units)).astype(np.int64)
    same = np.diff(units[order]) == 0
    gaps = np.diff(at[order])
    twice = np.flatnonzero(same & (gaps == 0))
    if twice.size:
        first = bound.levels[unit].labels[int(units[order][twice[0]])]
        raise NotDerivable(
            "HDM634",
            f"`{statement}`: {unit} {first} has several rows of one {wave}; their order is not known.",
            f"Keep one row for each {unit} and {wave}, or name a smaller unit.",
        )
    follows = np.concatenate([[False], same])
    before = np.concatenate([[0], order[:-1]])
    step = float(np.min(np.diff(np.sort(positions)))) if len(positions) > 1 else 1.0
    previous, apart, rank = np.arange(bound.rows), np.ones(bound.rows), np.zeros(bound.rows, np.int64)
    previous[order] = np.where(follows, before, order)
    apart[order] = np.where(follows, np.concatenate([[1.0], gaps]) / step, 1.0)
    starts = np.maximum.accumulate(np.where(follows, 0, np.arange(bound.rows)))
    rank[order] = np.arange(bound.rows) - starts
    return Occasions(unit, wave, order, rank, previous.astype(np.int64), step, apart)
