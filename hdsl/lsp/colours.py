"""Colours from the parser: soft keywords that stand as names are coloured as names."""

from __future__ import annotations

from collections.abc import Mapping

from lsprotocol import types as lsp

from hdsl.lsp.places import position_of
from hdsl.source import Source
from hdsl.syntax.highlight import Sort, highlighted

SHOWN: Mapping[Sort, str] = {
    "keyword": lsp.SemanticTokenTypes.Keyword,
    "word": lsp.SemanticTokenTypes.Type,
    "name": lsp.SemanticTokenTypes.Variable,
    "function": lsp.SemanticTokenTypes.Function,
    "number": lsp.SemanticTokenTypes.Number,
    "string": lsp.SemanticTokenTypes.String,
    "operator": lsp.SemanticTokenTypes.Operator,
    "comment": lsp.SemanticTokenTypes.Comment,
}
LEGEND = lsp.SemanticTokensLegend(list(SHOWN.values()), [])


def colours(source: Source) -> list[int]:
    """Return the tokens of a text as the protocol wants them: five numbers each, places relative to the one before."""
    found: list[int] = []
    line, column = 0, 0
    kinds = list(SHOWN)
    for span, sort in highlighted(source):
        if sort not in SHOWN:
            continue
        start, end = position_of(source, span.start), position_of(source, span.end)
        before = column if start.line == line else 0
        found += [start.line - line, start.character - before, end.character - start.character, kinds.index(sort), 0]
        line, column = start.line, start.character
    return found
