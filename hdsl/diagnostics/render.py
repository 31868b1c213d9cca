"""Diagnostics as plain text, as rich text for a terminal, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.diagnostics.width import display_width, printable
from hdsl.source import Source, Span

if TYPE_CHECKING:
    from rich.text import Text

WINDOW = 100
ROWS_SHOWN = 10
STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "bold": "bold",
    "margin": "blue",
    "caret": "bold red",
    "help": "green",
    "": "",
}

type Piece = tuple[str, str]


def to_text(diagnostics: Iterable[Diagnostic], source: Source | None) -> str:
    """Return the diagnostics as plain text, one blank line between two.

    Parameters
    ----------
    diagnostics
        The findings, shown in the order given.
    source
        The text their spans point into; None where there is none, as for a study built in Python.
    """
    shown = ("".join(text for text, _ in _pieces(diagnostic, source)) for diagnostic in diagnostics)
    return "\n".join(shown)


def to_rich(diagnostics: Iterable[Diagnostic], source: Source | None) -> Text:
    """Return the diagnostics as rich text, the same words as `to_text` with colours."""
    from rich.text import Text

    result = Text()
    for number, diagnostic in enumerate(diagnostics):
        if number:
            result.append("\n")
        for text, style in _pieces(diagnostic, source):
            result.append(text, style=STYLES[style])
    return result


def to_json(diagnostics: Iterable[Diagnostic], source: Source | None) -> list[dict[str, object]]:
    """Return the diagnostics as JSON values; lines and columns are counted from 1, offsets from 0."""
    return [
        {
            "code": d.code,
            "severity": d.severity,
            "message": d.message,
            "help": d.help,
            "file": source.name if source else None,
            "span": _place(d.span, source),
            "related": [{"message": note, "span": _place(span, source)} for span, note in d.related],
            "rows": list(d.rows),
            "waived": d.waived,
        }
        for d in diagnostics
    ]


def _place(span: Span | None, source: Source | None) -> dict[str, int] | None:
    if span is None or source is None:
        return None
    line, column = source.position(span.start)
    end_line, end_column = source.position(span.end)
    return {
        "start": span.start,
        "end": span.end,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _pieces(diagnostic: Diagnostic, source: Source | None) -> Iterator[Piece]:
    yield f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity
    yield f": {printable(diagnostic.message)}\n", "bold"
    if source is not None:
        yield from _location(diagnostic.span, source, "-->", "")
        for span, note in diagnostic.related:
            yield from _location(span, source, ":::", note)
    if diagnostic.rows:
        yield f"  = rows: {_rows(diagnostic.rows)}\n", "margin"
    if diagnostic.help:
        yield f"  = help: {printable(diagnostic.help)}\n", "help"
    if diagnostic.waived is not None:
        yield f"  = waived: {printable(diagnostic.waived)}\n", "note"


def _rows(rows: tuple[int, ...]) -> str:
    shown = ", ".join(str(row) for row in rows[:ROWS_SHOWN])
    return f"{shown}, and {len(rows) - ROWS_SHOWN} more" if len(rows) > ROWS_SHOWN else shown


def _location(span: Span | None, source: Source, arrow: str, note: str) -> Iterator[Piece]:
    if span is None:
        yield f"  {arrow} {printable(source.name)}\n", "margin"
        return
    line, column = source.position(span.start)
    yield f"  {arrow} {printable(source.name)}:{line}:{column}\n", "margin"
    before, shown, marked = _excerpt(source, line, column, span)
    margin = " " * len(str(line))
    yield f" {line} | ", "margin"
    yield shown.rstrip() + "\n", ""
    yield f" {margin} | ", "margin"
    yield " " * before + "^" * marked + (f" {printable(note)}" if note else "") + "\n", "caret"


def _excerpt(source: Source, line: int, column: int, span: Span) -> tuple[int, str, int]:
    """Return the display width before the span, the text shown and the number of carets."""
    text = source.line(line)
    start = column - 1
    end = min(start + max(span.end - span.start, 1), max(len(text), start + 1))
    left = max(0, start - WINDOW // 2) if len(text) > WINDOW else 0
    right = left + WINDOW
    lead = "..." if left else ""
    before = len(lead) + display_width(printable(text[left:start]))
    marked = max(1, display_width(printable(text[start : min(end, right)])))
    tail = "..." if len(text) > right else ""
    return before, lead + printable(text[left:right]) + tail, marked
