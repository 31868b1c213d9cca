"""Studies in colour wherever Pygments is used: Sphinx, MkDocs, notebooks, LaTeX (`minted`), terminals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pygments.lexer import Lexer
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Punctuation, String, Text

from hdsl.source import Source
from hdsl.syntax.highlight import Sort, highlighted

TOKENS: Mapping[Sort, Any] = {
    "keyword": Keyword,
    "word": Keyword.Type,
    "name": Name,
    "function": Name.Function,
    "number": Number,
    "string": String.Double,
    "operator": Operator,
    "punctuation": Punctuation,
    "comment": Comment.Single,
    "error": Error,
}


class HdmLexer(Lexer):
    """Pygments' lexer of .hdm studies."""

    name = "hdsl study"
    aliases: ClassVar[Sequence[str]] = ["hdm", "hdsl"]
    filenames: ClassVar[Sequence[str]] = ["*.hdm"]
    mimetypes: ClassVar[Sequence[str]] = ["text/x-hdm"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, Any, str]]:
        """Yield offset, kind and text of every piece of a study, all of the text in its order."""
        end = 0
        for span, sort in highlighted(Source("", text)):
            if span.start > end:
                yield end, Text, text[end : span.start]
            yield span.start, TOKENS[sort], text[span.start : span.end]
            end = span.end
        if end < len(text):
            yield end, Text, text[end:]
