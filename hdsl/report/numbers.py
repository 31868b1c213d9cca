"""Numbers with the digits that their uncertainty warrants."""

from __future__ import annotations

import math


def format_number(value: float, sd: float) -> str:
    """Return a number with the digits that its standard deviation warrants: two of the sd's own."""
    if not math.isfinite(value):
        return "-"
    if not (sd > 0 and math.isfinite(sd)):
        return significant(value)
    digits = min(max(1 - math.floor(math.log10(sd)), 0), 8)
    return unsigned_zero(f"{value:.{digits}f}")


def significant(value: float, digits: int = 4) -> str:
    """Return a number with so many significant digits."""
    return unsigned_zero(f"{value:.{digits}g}")


def unsigned_zero(text: str) -> str:
    """Return a formatted number, zero without a sign: what rounds to -0.0 is 0.0."""
    return text.removeprefix("-") if text.startswith("-") and not text.strip("-0.") else text
