"""Names, numbers and strings as the language writes them."""

from __future__ import annotations

import re

NAME = re.compile(r"[^\W\d]\w*")
ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def is_name(text: str) -> bool:
    """Tell whether a text can stand where the language wants a name."""
    return NAME.fullmatch(text) is not None


def number_text(value: float) -> str:
    """Return the shortest decimal text that reads back as the same number."""
    text = repr(float(value)).removesuffix(".0")
    return re.sub(r"e([+-]?)0*", lambda sign: "e" + sign[1].replace("+", ""), text)


def string_text(text: str) -> str:
    """Return a text in double quotes, escaped."""
    return '"' + "".join(ESCAPES.get(character, character) for character in text) + '"'


def column_text(text: str) -> str:
    """Return a column name or a code as a bare name where it is one, else in double quotes."""
    return text if is_name(text) else string_text(text)
