"""The room that text takes on a terminal."""

from __future__ import annotations

import unicodedata


def display_width(text: str) -> int:
    """Return the columns that a text without control characters takes: wide characters take two, marks none."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
