"""Names, numbers and strings as the language writes them."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

_MARKS = (
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0981-\u0d63\u0e31-\u0e4e"
    r"\u0f71-\u0f84\u102b-\u103e\u1dc0-\u1dff\u200c\u200d\u3099\u309a"
)
NAME = re.compile(rf"[^\W\d](?:\w|[{_MARKS}])*")


def is_name(text: str) -> bool:
    """Tell whether a text can stand where the language wants a name."""
    return NAME.fullmatch(text) is not None


def check_name(text: str) -> str:
    """Return a name in Unicode form NFC; raises ValueError for what is no name."""
    name = unicodedata.normalize("NFC", text)
    if not is_name(name):
        raise ValueError(f"{text!r} is not a name: a letter or underscore, then letters, digits, underscores")
    return name


Name = Annotated[str, AfterValidator(check_name)]
"""A name of the language, in Unicode form NFC."""


def check_line(text: str) -> str:
    """Return a text in Unicode form NFC; raises ValueError for a text of several lines."""
    if "\n" in text or "\r" in text:
        raise ValueError(f"{text!r} has a line end, which no text of the language can have")
    return unicodedata.normalize("NFC", text)


Line = Annotated[str, AfterValidator(check_line)]
"""A text that can be quoted in the language: a title, a file, a column; in Unicode form NFC."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number of the language: neither infinite nor undefined."""


def number_text(value: float) -> str:
    """Return the shortest decimal text that reads back as the same number."""
    text = repr(float(value)).removesuffix(".0")
    return re.sub(r"e([+-]?)0*", lambda sign: "e" + sign[1].replace("+", ""), text)


def string_text(text: str) -> str:
    """Return a text in double quotes, escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def column_text(text: str) -> str:
    """Return a column name or a code as a bare name where it is one, else in double quotes."""
    return text if is_name(text) else string_text(text)
