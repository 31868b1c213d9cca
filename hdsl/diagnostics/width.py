"""Text on a terminal: what may be printed, and the room it takes."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Replace tabs and line ends by blanks, and other characters that steer a terminal by a visible sign."""
    return text if text.isprintable() else "".join(_visible(character) for character in text)


def display_width(text: str) -> int:
    """Return the columns that a text without control characters takes: wide characters take two, marks none."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character) in ("Cc", "Cs") else character


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
