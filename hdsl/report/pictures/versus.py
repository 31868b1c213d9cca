"""Estimands and effects of several models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hdsl.report.effects import draws_of
from hdsl.report.pictures.style import ARMS, FAINT, GREY, axes, bare, figure, plain, refused, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hdsl.report.versus import Comparison

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST = 6


def versus(comparison: Comparison) -> Figure:
    """Draw a panel for each estimand without index that the results have in common, a line for each result.

    Points are medians, thick bars 50% and thin ones 90% intervals.

    Raises
    ------
    StudyError
        HDM118: no result has an estimand without index.
    """
    names = [s.name for s in comparison.results[0].estimand_summaries if not s.index][:MOST]
    if not names:
        raise refused("There is no estimand without an index to draw.")
    with styled():
        height = 0.9 + 0.3 * len(comparison.names)
        made = figure(6.4, height * len(names))
        for ax, name in zip(axes(made, rows=len(names)), names, strict=True):
            _panel(ax, comparison, name)
    return made


def _panel(ax: Axes, comparison: Comparison, name: str) -> None:
    shown: list[str] = []
    for called, result in zip(comparison.names, comparison.results, strict=True):
        place = len(shown)
        shown.append(plain(short(called)))
        if not any(s.name == name and not s.index for s in result.estimand_summaries):
            continue
        low, lower, middle, upper, high = np.quantile(draws_of(result, name).values, QUANTILES)
        colour = ARMS[(place + 1) % len(ARMS)]
        ax.plot([low, high], [place, place], color=colour, lw=1.2)
        ax.plot([lower, upper], [place, place], color=colour, lw=4, solid_capstyle="butt")
        ax.plot(middle, place, "o", color=colour, ms=5)
    left, right = ax.get_xlim()
    if left < 0 < right:
        ax.axvline(0, color=GREY, lw=0.8)
    ax.set_yticks(range(len(shown)), shown)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.grid(axis="x", color=FAINT, lw=0.5)
    ax.set_title(plain(short(name)))
    bare(ax)
