"""CSV and its kin: every cell is read as text, so that no leading zero, long id or date is changed.

Cells are trimmed of blanks. A cell that is empty or holds one of `MISSING` is missing. The first line that is
not blank names the columns. The separator (comma, semicolon, tab, bar, or blank where there is no other) is
the one that cuts the first lines into the same number of fields. Text that is not UTF-8 is taken for UTF-16
where it has that mark, else for Windows-1252 (of which Latin-1 is a part), with a note.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.data.table import ArrowTable, RowNames, Table, compute, find_columns
from hdsl.diagnostics import Diagnostic

MISSING = ("", "NA", "N/A", ".", "NaN", "nan", "null", "NULL")
SEPARATORS = (",", ";", "\t", "|")
SAMPLE = 1 << 18
UTF8_MARK, UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Layout:
    """A text file before its cells are parsed: `body` is UTF-8 and starts at the header, on `first_line`."""

    body: bytes
    first_line: int
    separator: str
    header: tuple[str, ...]
    notes: tuple[Diagnostic, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The header without its empty cells (R's row names, trailing separators)."""
        return tuple(name for name in self.header if name)


def unpack(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a file, or its first `limit` cut at a line's end; .gz, .bz2 and .zst are unpacked."""
    import pyarrow as pa

    with pa.input_stream(str(path), compression="detect") as stream:
        raw: bytes = stream.read() if limit is None else stream.read(limit)
    if limit is not None and len(raw) == limit:
        end = max(raw.rfind(b"\n"), raw.rfind(b"\r"))
        raw = raw[: end + 1] if end >= 0 else raw
    return raw


def names(raw: bytes, source: str) -> tuple[str, ...] | list[Diagnostic]:
    """The columns that the header names."""
    layout = _layout(raw, source)
    return layout.names if isinstance(layout, Layout) else layout


def read(raw: bytes, source: str, columns: Sequence[str] | None, sha256: str) -> Table | list[Diagnostic]:
    """Parse the bytes of a text file; the columns found are pyarrow text columns."""
    layout = _layout(raw, source)
    if not isinstance(layout, Layout):
        return layout
    found, problems = find_columns(columns, layout.names, source)
    if problems:
        return problems
    parsed = _parse(layout, [layout.header.index(name) for name in found], source)
    if isinstance(parsed, list):
        return parsed
    table, rows = parsed.select(range(len(found))), _row_names(layout, parsed.num_rows, source)
    if isinstance(rows, Diagnostic):
        return [rows]
    return Table(
        table.rename_columns(list(found)),
        layout.names,
        source,
        parsed.num_rows,
        sha256,
        rows,
        decimal_comma=layout.separator != ",",
        notes=layout.notes,
    )


def _layout(raw: bytes, source: str) -> Layout | list[Diagnostic]:
    decoded = _to_utf8(raw, source)
    if isinstance(decoded, Diagnostic):
        return [decoded]
    text, notes = decoded
    body = text.lstrip(b"\r\n")
    skipped = text[: len(text) - len(body)]
    if not body.endswith((b"\n", b"\r")):
        body += b"\n" if b"\n" in body else b"\r"
    separator, header = _header(_sample(body))
    if not any(header):
        help = "The first line of a text file names its columns."
        return [Diagnostic("HDM219", f"{source} is empty.", help=help)]
    first_line = 1 + max(skipped.count(b"\n"), skipped.count(b"\r"))
    return Layout(body, first_line, separator, header, notes)


def _to_utf8(raw: bytes, source: str) -> tuple[bytes, tuple[Diagnostic, ...]] | Diagnostic:
    if raw.startswith(UTF16_MARKS):
        try:
            return raw.decode("utf-16").encode(), ()
        except UnicodeError:
            return _not_text(source)
    text = raw.removeprefix(UTF8_MARK)
    if b"\0" in text:
        return _not_text(source)
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return _from_windows(text), (_not_utf8(source, text, error.start),)
    return text, ()


def _from_windows(text: bytes) -> bytes:
    try:
        return text.decode("cp1252").encode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()


def _not_text(source: str) -> Diagnostic:
    message = f"{source} is not a text file: it has zero bytes or broken UTF-16."
    help = "Save it as UTF-8 CSV, or give the file the ending of its real format."
    return Diagnostic("HDM211", message, help=help)


def _not_utf8(source: str, text: bytes, at: int) -> Diagnostic:
    line = text.count(b"\n", 0, at) + 1
    return Diagnostic(
        "HDM221",
        f"{source} is not UTF-8 (line {line}); it was read as Windows-1252.",
        severity="warning",
        help="Look at names with accents. Save the file as UTF-8 to be rid of this note.",
    )


def _sample(body: bytes) -> str:
    head = body[:SAMPLE]
    if len(head) < len(body):
        head = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head
    return head.decode(errors="replace")


def _records(sample: str, separator: str, limit: int = 50) -> list[list[str]]:
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=separator)
    records: list[list[str]] = []
    try:
        for record in reader:
            if record:
                records.append(record)
            if len(records) == limit:
                break
    except csv.Error:
        pass
    return records


def _header(sample: str) -> tuple[str, tuple[str, ...]]:
    best, best_score = _records(sample, ","), (0.0, 0)
    separator = ","
    for candidate in (*SEPARATORS, " "):
        records = _records(sample, candidate)
        score = _evenness(records)
        if candidate == " " and (best_score[1] >= 2 or score[0] < 1):
            continue
        if score > best_score and score[1] >= 2:
            separator, best, best_score = candidate, records, score
    header = best[0] if best else []
    return separator, tuple(name.strip() for name in header)


def _evenness(records: list[list[str]]) -> tuple[float, int]:
    """The share of rows as wide as the header (or all one wider, as R writes row names), and its width."""
    if not records:
        return 0.0, 0
    width = len(records[0])
    rest = [len(record) for record in records[1:]]
    if rest and set(rest) == {width + 1}:
        return 1.0, width
    return round((1 + rest.count(width)) / len(records), 1), width


def _parse(layout: Layout, wanted: list[int], source: str) -> ArrowTable | list[Diagnostic]:
    import pyarrow as pa

    try:
        table = _read_csv(layout, wanted or [0])
    except pa.ArrowInvalid as error:
        return [_why_not(layout, source, error)]
    return pa.table([_cells(column) for column in table.columns], names=table.column_names)


def _cells(column: Any) -> Any:
    import pyarrow as pa

    pc = compute()
    text = pc.utf8_trim_whitespace(column)
    marks = pc.is_in(text, value_set=pa.array(MISSING))
    return pc.if_else(marks, pa.scalar(None, pa.string()), text)


def _read_csv(layout: Layout, wanted: list[int], bad: list[Any] | None = None) -> ArrowTable:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    def keep(row: Any) -> str:
        if bad is not None:
            bad.append(row)
        return "skip" if bad is not None else "error"

    fields = [str(i) for i in range(len(layout.header))]
    return arrow_csv.read_csv(
        pa.BufferReader(layout.body),
        read_options=arrow_csv.ReadOptions(
            column_names=fields, skip_rows_after_names=1, use_threads=bad is None, block_size=1 << 22
        ),
        parse_options=arrow_csv.ParseOptions(
            delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=keep
        ),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=[fields[i] for i in wanted],
            column_types={field: pa.string() for field in fields},
            strings_can_be_null=False,
        ),
    )


def _why_not(layout: Layout, source: str, error: Exception) -> Diagnostic:
    import pyarrow as pa

    if "straddling" in str(error):
        return _unclosed(layout, source)
    bad: list[Any] = []
    try:
        good = _read_csv(layout, [0], bad).num_rows
    except pa.ArrowInvalid:
        good = 0
    if not bad:
        message = f"{source} cannot be read: {str(error).splitlines()[0][:200]}."
        return Diagnostic("HDM211", message, help="Is it a text table with a header?")
    return _ragged(layout, source, bad, good)


def _ragged(layout: Layout, source: str, bad: list[Any], good: int) -> Diagnostic:
    first, width = bad[0], len(layout.header)
    record = int(first.number or 1)
    starts = _record_lines(layout)
    line = int(starts[record - 1]) if record <= len(starts) else layout.first_line + record - 1
    more = "" if len(bad) == 1 else f" ({len(bad)} such rows)"
    fields = "1 field" if first.actual_columns == 1 else f"{first.actual_columns} fields"
    columns = "1 column" if width == 1 else f"{width} columns"
    message = f"Line {line} of {source} has {fields} where the header names {columns}{more}."
    return Diagnostic("HDM222", message, help=_ragged_help(layout, bad, good), rows=(record - 1,))


def _ragged_help(layout: Layout, bad: list[Any], good: int) -> str:
    width = len(layout.header)
    if good == 0 and all(row.actual_columns == width + 1 for row in bad):
        return "The header is one name short, as R writes it with row names: write with row.names = FALSE."
    mark = {"\t": "tab", " ": "blank"}.get(layout.separator, layout.separator)
    return f"Give each row every field, and quotation marks around a cell that holds a separator ({mark})."


def _unclosed(layout: Layout, source: str) -> Diagnostic:
    line = layout.first_line + _first_odd_line(layout.body)
    return Diagnostic(
        "HDM222",
        f"A quotation mark in {source} is opened and not closed, probably on line {line}.",
        help='Close it, or double it ("") where it belongs to the text.',
    )


def _first_odd_line(body: bytes) -> int:
    data = np.frombuffer(body, np.uint8)
    line = np.searchsorted(np.flatnonzero(data == 10), np.flatnonzero(data == 34))
    odd = np.flatnonzero(np.bincount(line) % 2) if line.size else np.zeros(0, np.int64)
    return int(odd[0]) if odd.size else 0


def _row_names(layout: Layout, num_rows: int, source: str) -> RowNames | Diagnostic:
    body = layout.body
    newline = b"\n" if b"\n" in body else b"\r"
    if body.count(newline) + (not body.endswith(newline)) == num_rows + 1:
        return RowNames(first_line=layout.first_line + 1)
    if body.count(b'"') % 2 and len(_record_lines(layout, quoted=False)) != num_rows + 1:
        return _unclosed(layout, source)
    starts = _record_lines(layout)
    return RowNames(lines=starts[1:]) if len(starts) == num_rows + 1 else RowNames()


def _record_lines(layout: Layout, quoted: bool = True) -> NDArray[np.int64]:
    """The line on which each record starts, header first; blank lines are none, quoted breaks end none."""
    data = np.frombuffer(layout.body, np.uint8)
    breaks = np.flatnonzero(data == 10)
    if breaks.size == 0:
        breaks = np.flatnonzero(data == 13)
    quotes = np.flatnonzero(data == 34) if quoted else breaks[:0]
    ends = breaks[np.searchsorted(quotes, breaks) % 2 == 0]
    starts = np.concatenate([[0], ends + 1])
    stops = np.concatenate([ends, [len(data)]])
    filled = starts < stops
    crs = filled & (stops - starts == 1)
    filled[crs] = data[starts[crs]] != 13
    return np.searchsorted(breaks, starts[filled]) + layout.first_line
