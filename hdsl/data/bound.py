"""A study bound to its data: every level, variable and treatment as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hdsl.design.ir import StudyFields

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class BoundLevel:
    """A level's units.

    Attributes
    ----------
    labels : tuple of str
        The ids, one per element; nested ids are written `parent/own` where the own id repeats across parents.
    rows : int array, shape (rows,)
        The element to which each row of the data belongs.
    positions : float array, shape (size,), or None
        For a wave, the occasion's value as a number (dates: days since the first).
    """

    name: str
    labels: tuple[str, ...]
    rows: Integers
    positions: Reals | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return len(self.labels)

    @cached_property
    def first_rows(self) -> Integers:
        """The first row of each element, shape (size,)."""
        first = np.full(self.size, -1, dtype=np.int64)
        first[self.rows[::-1]] = np.arange(len(self.rows) - 1, -1, -1)
        return first

    @cached_property
    def counts(self) -> Integers:
        """The number of rows of each element, shape (size,)."""
        return np.bincount(self.rows, minlength=self.size).astype(np.int64)


@dataclass(frozen=True)
class BoundVariable:
    """A variable's values at its own level.

    `values` are real numbers; for the kinds category and ordered integer codes into `labels`. NaN (or code
    -1) is missing, which happens only to variables declared `missing`. `trials`, `event` and `known_sd` are
    the companions of the kinds `count of N`, `duration` and `real known sd`, of the same shape.
    """

    name: str
    level: str
    role: str
    kind: str
    values: Reals
    labels: tuple[str, ...] = ()
    trials: Reals | None = None
    event: Reals | None = None
    known_sd: Reals | None = None


@dataclass(frozen=True)
class BoundTreatment:
    """A treatment's arm numbers (0 = reference) or doses, at the level to which it was assigned."""

    name: str
    level: str
    values: Reals
    arms: tuple[str, ...]

    @property
    def continuous(self) -> bool:
        """Whether the treatment is a dose."""
        return not self.arms


@dataclass(frozen=True)
class BoundLag:
    """The values of a variable or treatment some occasions back, for each row.

    Attributes
    ----------
    values : float array, shape (rows,)
        Numbers, or codes as the variable has them.
    previous : int array, shape (rows,)
        The row that has the value; -1 where that row is not among those used.
    positions : float array, shape (rows,)
        The occasion's value as a number, as in the wave's `positions`.
    """

    name: str
    back: int
    values: Reals
    previous: Integers
    positions: Reals


@dataclass(frozen=True)
class Audit:
    """What binding did to the data: rows read, dropped and why, and how the data can be recognised again."""

    source: str
    sha256: str
    rows_read: int
    rows_used: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Population:
    """Cells of a population, bound as rows of the study, with the number of units in each, shape (cells,)."""

    file: str
    cells: Bound
    weights: Reals


@dataclass(frozen=True)
class Bound:
    """A study with its data. `row` is the level of the rows; levels without ids have one element per row.

    `frequency`, shape (rows,): for how many rows of the data each row stands, where these were summed up; None: each
    for itself. `measures` are then the variables and doses of the rows whose means and products alone are those of the
    data.
    """

    study: StudyFields
    row: str
    levels: Mapping[str, BoundLevel]
    variables: Mapping[str, BoundVariable]
    treatments: Mapping[str, BoundTreatment]
    audit: Audit
    lags: Mapping[tuple[str, int], BoundLag] = field(default_factory=dict)
    populations: Mapping[str, Population] = field(default_factory=dict)
    frequency: Reals | None = None
    measures: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """The number of rows used."""
        return len(self.levels[self.row].rows)

    @property
    def total(self) -> float:
        """The number of rows of the data."""
        return float(self.rows) if self.frequency is None else float(self.frequency.sum())

    def units(self, level: str) -> Reals:
        """Return for how many units each element of a level stands, shape (size,): 1 but for rows summed up."""
        own = level == self.row and self.frequency is not None
        return self.frequency if own and self.frequency is not None else np.ones(self.levels[level].size)

    def mean(self, values: Reals) -> float:
        """Return the mean over the rows of the data of values by row."""
        return float(np.mean(values) if self.frequency is None else np.average(values, weights=self.frequency))

    def sd(self, values: Reals) -> float:
        """Return the standard deviation over the rows of the data of values by row."""
        if self.frequency is None:
            return float(np.std(values))
        away = values - self.mean(values)
        return float(np.sqrt(np.average(away**2, weights=self.frequency)))

    def element_of(self, lower: str, upper: str) -> Integers:
        """Return the element of `upper` to which each element of `lower` belongs, shape (size of lower,)."""
        return self.levels[upper].rows[self.levels[lower].first_rows]

    def nests(self, lower: str, upper: str) -> bool:
        """Return whether every element of `lower` lies within one element of `upper`."""
        if lower == upper:
            return True
        return bool(np.array_equal(self.element_of(lower, upper)[self.levels[lower].rows], self.levels[upper].rows))

    def at_rows(self, level: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return values of `level` (first axis) repeated for each row."""
        return values[self.levels[level].rows]
