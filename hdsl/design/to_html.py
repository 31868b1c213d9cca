"""A study as HTML: its text with keywords marked, what notebooks and reports show."""

from __future__ import annotations

import re
from html import escape

from hdsl.syntax.grammar import tables

_PIECE = re.compile(r'(?P<comment>#[^\n]*)|(?P<string>"[^"\n]*")|(?P<word>[^\W\d]\w*)|(?P<rest>.)', re.DOTALL)
_STYLES = {"comment": "color:#57606a", "string": "color:#0a3069", "keyword": "color:#8b1a4b;font-weight:600"}


def text_html(text: str) -> str:
    """Return the text of a study as a `pre` element, with keywords, strings and comments marked; all is escaped."""
    words = frozenset(tables().keywords.values())
    parts: list[str] = []
    for match in _PIECE.finditer(text):
        kind = "keyword" if match.lastgroup == "word" and match[0] in words else match.lastgroup or ""
        shown = escape(match[0])
        parts.append(f"<span style='{_STYLES[kind]}'>{shown}</span>" if kind in _STYLES else shown)
    return f"<pre class='hdsl-study'><code>{''.join(parts)}</code></pre>"
