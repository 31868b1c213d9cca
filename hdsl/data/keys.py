"""Ids as keys: one or more columns made into integer codes, and tables joined on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hdsl.data.columns import Coded, times, to_category
from hdsl.data.plain import compute
from hdsl.data.table import ArrowArray, Column, Mask, listed_rows
from hdsl.diagnostics import Diagnostic

SHOWN_KEYS = 5
BETWEEN = "\x1f"


@dataclass(frozen=True, eq=False)
class Key:
    """Rows as codes of their (compound) id.

    Attributes
    ----------
    columns
        The id columns, outermost first.
    codes
        The id of each row, shape (rows,); -1 where a part of it is missing.
    parts
        For each column a pyarrow array of text: that part of each distinct id. Ids are sorted by their parts,
        as numbers where all of a part are numbers.
    problems
        HDM359 for missing ids.
    """

    columns: tuple[Column, ...]
    codes: NDArray[np.int64]
    parts: tuple[ArrowArray, ...]
    problems: list[Diagnostic]

    @property
    def size(self) -> int:
        """The number of distinct ids."""
        return len(self.parts[0])

    @cached_property
    def joined(self) -> ArrowArray:
        """Each distinct id as one text, all its parts joined: what two tables are matched by."""
        return _join(self.parts, BETWEEN)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Each distinct id as it is shown: the innermost part, or parent/own where that part repeats."""
        own = self.parts[-1]
        unique = len(self.parts) == 1 or len(own.unique()) == len(own)
        return tuple((own if unique else _join(self.parts, "/")).to_pylist())

    @property
    def missing(self) -> Mask | None:
        """Rows whose id is missing, None where there are none."""
        mask = self.codes < 0
        return mask if mask.any() else None

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each distinct id, shape (size,)."""
        first = np.full(self.size + 1, -1, np.int64)
        first[self.codes[::-1]] = np.arange(len(self.codes) - 1, -1, -1)
        return first[:-1]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of rows of each distinct id, shape (size,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=self.size).astype(np.int64)

    @property
    def name(self) -> str:
        """The id columns as they are named in messages."""
        return " and ".join(repr(column.name) for column in self.columns)


def to_key(columns: Sequence[Column]) -> Key:
    """Make one or more id columns of a table into a key.

    Parameters
    ----------
    columns
        At least one column, of equal lengths, outermost first: school before pupil.
    """
    coded = [to_category(column) for column in columns]
    codes, first = _combine(coded)
    parts = tuple(part.names.take(part.codes[first]) for part in coded)
    problems = [problem for part in coded for problem in part.problems]
    problems += [p for column, part in zip(columns, coded, strict=True) for p in _missing_ids(column, part)]
    return Key(tuple(columns), codes, parts, problems)


def _combine(coded: Sequence[Coded]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes of the combinations met, sorted, and the first row of each."""
    codes = coded[0].codes.copy()
    for part in coded[1:]:
        lost = (codes < 0) | (part.codes < 0)
        wide = codes * max(len(part.names), 1) + part.codes
        codes = np.full(len(wide), -1, np.int64)
        _, codes[~lost] = np.unique(wide[~lost], return_inverse=True)
    first = np.full(int(codes.max(initial=-1)) + 2, -1, np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return codes, first[:-1]


def _missing_ids(column: Column, part: Coded) -> list[Diagnostic]:
    if part.problems:
        return []
    rows = np.flatnonzero(part.codes < 0)
    if rows.size == 0:
        return []
    first = column.rows.name(int(rows[0]))
    message = f"The id {column.name!r} in {column.source} is missing in {times(rows.size)}, first in {first}."
    help = "Each row needs its id: complete the data or remove these rows."
    return [Diagnostic("HDM359", message, help=help, rows=listed_rows(rows))]


def _join(parts: Sequence[ArrowArray], between: str) -> ArrowArray:
    import pyarrow as pa

    pc = compute()
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, pa.scalar(between, pa.large_string()))


@dataclass(frozen=True, eq=False)
class Lookup:
    """The row of the other table that belongs to each distinct id, shape (ids,); -1 where there is none."""

    rows: NDArray[np.int64]
    problems: list[Diagnostic]


def lookup(left: Key, right: Key) -> Lookup:
    """Find each id of `left` in another table (a left join); ids of `right` that `left` lacks are left out.

    Returns
    -------
    The row of `right` for each distinct id of `left`, with the problems of `right`, HDM360 for ids it lacks
    and HDM361 for ids it has more than once (the first row is then taken).
    """
    pc = compute()
    place = np.asarray(pc.index_in(left.joined, value_set=right.joined).fill_null(-1)).astype(np.int64)
    rows = np.append(right.first_rows, -1)[place]
    problems = right.problems + repeated(right) + _absent(left, right, np.flatnonzero(place < 0))
    return Lookup(rows, problems)


def repeated(key: Key) -> list[Diagnostic]:
    """HDM361 where an id stands on several rows of a table that should have one row for each id."""
    twice = np.flatnonzero(key.counts > 1)
    if twice.size == 0:
        return []
    shown = _shown(key, twice)
    rows = np.flatnonzero(np.isin(key.codes, twice))
    message = f"{key.columns[0].source} should have one row for each {key.name}, but has {shown}."
    help = "Remove the doubled rows, or name a further id column that tells them apart."
    return [Diagnostic("HDM361", message, help=help, rows=listed_rows(rows))]


def _absent(left: Key, right: Key, lost: NDArray[np.int64]) -> list[Diagnostic]:
    if lost.size == 0:
        return []
    there, here = right.columns[0].source, left.columns[0].source
    rows = np.flatnonzero(np.isin(left.codes, lost))
    message = (
        f"{_ids(lost.size)} of {left.name} in {here} {'is' if lost.size == 1 else 'are'} not in {there}:"
        f" {_shown(left, lost)}; first in {left.columns[0].rows.name(int(rows[0]))}."
    )
    return [Diagnostic("HDM360", message, help=_absent_help(left, right, lost), rows=listed_rows(rows))]


def _absent_help(left: Key, right: Key, lost: NDArray[np.int64]) -> str:
    if lost.size == left.size and _match_without_zeros(left, right):
        return "The ids agree but for leading zeros, which one of the tables has lost."
    return f"Add the missing ids to {right.columns[0].source}, or remove their rows."


def _match_without_zeros(left: Key, right: Key) -> bool:
    pc = compute()
    bare = [pc.replace_substring_regex(key.joined, r"(^|\x1f)0+(\d)", r"\1\2") for key in (left, right)]
    return bool(pc.any(pc.is_in(bare[0], value_set=bare[1])).as_py())


def _shown(key: Key, which: NDArray[np.int64]) -> str:
    first = which[:SHOWN_KEYS]
    names = _join(tuple(part.take(first) for part in key.parts), "/").to_pylist()
    counts = key.counts[first]
    listed = [f"{name} ({times(int(n))})" for name, n in zip(names, counts, strict=True)]
    more = f" and {which.size - first.size} more" if which.size > first.size else ""
    return ", ".join(listed) + more


def _ids(count: int) -> str:
    return "1 id" if count == 1 else f"{count} ids"
