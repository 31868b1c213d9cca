"""Places: offsets in a text, and the lines and UTF-16 columns of the protocol."""

from __future__ import annotations

from lsprotocol import types as lsp

from hdsl.source import Source, Span


def offset_of(source: Source, position: lsp.Position) -> int:
    """Return the offset of a position; one beyond the end of its line is the end of that line."""
    if position.line >= source.line_count:
        return len(source.text)
    line = source.line(position.line + 1)
    start = sum(len(source.line(number)) + 1 for number in range(1, position.line + 1))
    units = 0
    for place, character in enumerate(line):
        if units >= position.character:
            return start + place
        units += 2 if ord(character) > 0xFFFF else 1
    return start + len(line)


def position_of(source: Source, offset: int) -> lsp.Position:
    """Return the position of an offset."""
    line, column = source.position(offset)
    before = source.line(line)[: column - 1]
    return lsp.Position(line - 1, sum(2 if ord(character) > 0xFFFF else 1 for character in before))


def range_of(source: Source, span: Span | None) -> lsp.Range:
    """Return the range of a span; the first line without one."""
    if span is None:
        return lsp.Range(lsp.Position(0, 0), position_of(source, len(source.line(1))))
    return lsp.Range(position_of(source, span.start), position_of(source, span.end))
