"""Tables as read: the columns asked for, what the source is called, and what its rows are called."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.diagnostics import Diagnostic, did_you_mean

type ArrowTable = Any
type ArrowArray = Any
type Mask = NDArray[np.bool_]

SHOWN_ROWS = 5
SHOWN_NAMES = 12
LISTED_ROWS = 100


@dataclass(frozen=True, eq=False)
class RowNames:
    """What the rows of a source are called.

    `lines` holds the line number of each row; where it is None and `first_line` is given, row i stands on
    line `first_line` + i. Sources without lines (Parquet, databases) have neither.
    """

    first_line: int | None = None
    lines: NDArray[np.int64] | None = None

    def line(self, row: int) -> int | None:
        """The line of a 0-based row, counted from 1, or None where the source has no lines."""
        if self.lines is not None:
            return int(self.lines[row])
        return None if self.first_line is None else self.first_line + row

    def name(self, row: int) -> str:
        """`row 17 (line 18)` for the 0-based row 16."""
        line = self.line(row)
        return f"row {row + 1}" if line is None else f"row {row + 1} (line {line})"


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table.

    `values` is a pyarrow ChunkedArray. With `decimal_comma` a text such as 1,5 may be read as a number.
    """

    name: str
    values: ArrowArray
    source: str = "the data"
    rows: RowNames = RowNames()
    decimal_comma: bool = False

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Table:
    """A table as read.

    Attributes
    ----------
    arrow
        A pyarrow Table of the columns asked for.
    column_names
        The names of all columns of the source, read or not.
    source
        What to call the source in messages; a password in an address is blanked out.
    num_rows
        The number of rows.
    sha256
        Hash of the file's bytes, or of the values read from a database.
    notes
        Warnings met while reading.
    """

    arrow: ArrowTable
    column_names: tuple[str, ...]
    source: str
    num_rows: int
    sha256: str
    rows: RowNames = RowNames()
    decimal_comma: bool = False
    notes: tuple[Diagnostic, ...] = ()

    @cached_property
    def _read(self) -> frozenset[str]:
        return frozenset(self.arrow.column_names)

    def column(self, name: str) -> Column:
        """A column that was read; KeyError where `name` was not asked for."""
        if name not in self._read:
            raise KeyError(name)
        return Column(name, self.arrow.column(name), self.source, self.rows, self.decimal_comma)


def compute() -> Any:
    """The module pyarrow.compute, whose functions are made at run time and so unknown to type checkers."""
    import pyarrow.compute

    return pyarrow.compute


def numbers(values: Any) -> NDArray[Any]:
    """Return a pyarrow array as numpy's; one without gaps by a way that does not load pandas, as pyarrow's own does."""
    values = getattr(values, "combine_chunks", lambda: values)()
    return np.asarray(values) if values.null_count or not len(values) else np.from_dlpack(values)


def suggest(name: str, options: Sequence[str], what: str) -> str:
    """A help line: the nearest option, else a list of the first ones."""
    near = did_you_mean(name, options[:10_000])
    if near is not None:
        return f"Did you mean {near!r}?"
    if not options:
        return f"There are no {what}."
    more = ", ..." if len(options) > SHOWN_NAMES else ""
    return f"The {what} are: " + ", ".join(options[:SHOWN_NAMES]) + more + "."


def find_columns(
    wanted: Sequence[str] | None, names: Sequence[str], source: str
) -> tuple[tuple[str, ...], list[Diagnostic]]:
    """Which columns to read, each once and in the order asked for (all of them for None).

    Names are compared in Unicode form NFC, for an accent may be a letter of its own in the source.

    Returns
    -------
    The names found as the source spells them, and HDM217 for each that is not among `names`, HDM218 for each
    that stands there twice.
    """
    spelt: dict[str, list[str]] = {}
    for name in names:
        spelt.setdefault(composed(name), []).append(name)
    found: list[str] = []
    problems: list[Diagnostic] = []
    for name in spelt if wanted is None else dict.fromkeys(map(composed, wanted)):
        if name not in spelt:
            problems.append(missing_column(name, list(spelt), source))
        elif len(spelt[name]) > 1:
            problems.append(repeated_column(name, source))
        else:
            found += spelt[name]
    return tuple(found), problems


def composed(name: str) -> str:
    """A name in Unicode form NFC, as names of studies are."""
    return unicodedata.normalize("NFC", name)


def missing_column(name: str, names: Sequence[str], source: str) -> Diagnostic:
    """HDM217: the source has no such column."""
    return Diagnostic("HDM217", f"{source} has no column {name!r}.", help=suggest(name, names, "columns"))


def repeated_column(name: str, source: str) -> Diagnostic:
    """HDM218: two columns of one name, so it is not clear which is meant."""
    return Diagnostic(
        "HDM218",
        f"{source} has more than one column {name!r}.",
        help="Rename or remove one of them in the data.",
    )


def shown_value(value: object) -> str:
    """A value as it is printed in a message: text in quotes, cut at 40 characters."""
    if not isinstance(value, str):
        return str(value)
    return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'


def bad_rows(column: Column, bad: Mask, code: str, what: tuple[str, str], help: str) -> list[Diagnostic]:
    """One diagnostic for all rows where `bad` holds, with the count and the first few values; none for none.

    `what` finishes the sentence for one and for several values: ("is not a number", "are not numbers").
    """
    rows = np.flatnonzero(bad)
    if rows.size == 0:
        return []
    first, counts = _distinct(column.values.take(rows))
    firsts = rows[first[:SHOWN_ROWS]]
    cases = [
        f"{shown_value(value)} in {column.rows.name(int(row))}" + ("" if n == 1 else f" and {n - 1} more rows")
        for value, row, n in zip(_as_python(column.values.take(firsts)), firsts, counts.tolist(), strict=False)
    ]
    hidden = rows.size - int(counts[:SHOWN_ROWS].sum())
    more = f" and {hidden} more" if hidden else ""
    count, verb = ("1 value", what[0]) if rows.size == 1 else (f"{rows.size} values", what[1])
    message = f"{count} of column {column.name!r} in {column.source} {verb}: {', '.join(cases)}{more}."
    return [Diagnostic(code, message, help=help, rows=listed_rows(rows))]


def _distinct(values: ArrowArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each distinct value stands first, in that order, and how often it is there."""
    import pyarrow as pa

    joined = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    codes = np.asarray(joined.cast(pa.large_string()).dictionary_encode().indices.fill_null(-1))
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    order = np.argsort(first)
    return first[order].astype(np.int64), counts[order].astype(np.int64)


def _as_python(values: ArrowArray) -> list[Any]:
    """Values as Python objects; dates that Python does not have, as text."""
    try:
        return values.to_pylist()
    except (ValueError, OverflowError):
        return [value.cast("string").as_py() for value in values]


def listed_rows(rows: NDArray[np.integer[Any]]) -> tuple[int, ...]:
    """Row numbers counted from 1, as a Diagnostic lists them; the first 100 of 0-based `rows`."""
    return tuple((rows[:LISTED_ROWS] + 1).tolist())


def hash_arrow(table: ArrowTable) -> str:
    """SHA-256 of a table's names, types and values, however they are chunked or lie in memory."""
    digest = hashlib.sha256()
    for name, values in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name}\0{values.type}\0{len(values)}\0".encode())
        for part in _plain_bytes(values):
            digest.update(part)
    return digest.hexdigest()


def _plain_bytes(values: ArrowArray) -> list[bytes]:
    import pyarrow as pa

    pc = compute()
    valid = np.packbits(np.asarray(values.is_valid())).tobytes()
    kind = values.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        filled = values.fill_null(False if pa.types.is_boolean(kind) else 0)
        return [valid, np.ascontiguousarray(filled.to_numpy()).tobytes()]
    try:
        text = values.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, pa.schema([("values", values.type)])) as writer:
            writer.write_table(pa.table({"values": values.combine_chunks()}))
        return [valid, sink.getvalue().to_pybytes()]
    lengths = np.asarray(pc.fill_null(pc.binary_length(text), 0)).tobytes()
    return [valid, lengths, b"".join(_text_bytes(chunk) for chunk in text.chunks)]


def _text_bytes(chunk: ArrowArray) -> bytes:
    filled = chunk.fill_null("")
    _, offsets, data = filled.buffers()
    if data is None or len(filled) == 0:
        return b""
    ends = np.frombuffer(offsets, np.int64)[filled.offset : filled.offset + len(filled) + 1]
    return data[int(ends[0]) : int(ends[-1])].to_pybytes()
