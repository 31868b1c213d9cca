"""Numbers with the digits that their uncertainty warrants."""

from __future__ import annotations

import math


def format_number(value: float, sd: float) -> str:
    """Return a number with the digits that its standard deviation warrants: two of the sd's own."""
    if not math.isfinite(value):
        return "-"
    if not (sd > 0 and math.isfinite(sd)):
        return f"{value:.4g}"
    digits = min(max(1 - math.floor(math.log10(sd)), 0), 8)
    return f"{value:.{digits}f}"
