"""Overlap and balance: propensity scores by arm, and how far apart the arms are before and after their use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hdsl.report.pictures.style import BLUE, FAINT, GREY, INK, axes, bare, figure, plain, short, styled
from hdsl.report.scores import Scores, scores_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hdsl.report.result import Result

BINS = 30


def overlap(result: Result, treatment: str | None = None) -> Figure:
    """Draw the units of each arm by their mean score, and the standardised mean differences of the covariates.

    Raises
    ------
    StudyError
        HDM118: the study has no propensity score of the treatment.
    """
    found = scores_in(result, treatment)
    with styled():
        made = figure(8.2, max(2.8, 1.3 + 0.2 * len(found.names)))
        left, right = axes(made, 2)
        _histograms(left, found)
        _differences(right, found)
        return made


def _histograms(ax: Axes, found: Scores) -> None:
    """Draw one arm upwards and the other downwards, in shares of the arm."""
    edges = np.linspace(0, 1, BINS + 1)
    for arm, label, colour, sign in ((1, found.arms[1], BLUE, 1), (0, found.arms[0], GREY, -1)):
        own = found.chances[found.treated == arm]
        counts = np.histogram(own, edges)[0] / max(len(own), 1)
        ax.bar(edges[:-1], sign * counts, width=1 / BINS, align="edge", color=colour, alpha=0.8, lw=0)
        place = 0.96 if sign > 0 else 0.04
        side = "top" if sign > 0 else "bottom"
        text = f"{label} ({len(own)})"
        ax.text(0.98, place, plain(text), transform=ax.transAxes, ha="right", va=side, color=colour, weight="bold")
    ax.axhline(0, color=INK, lw=0.6)
    ax.set(xlim=(0, 1), yticks=[], xlabel=f"propensity of {plain(found.treatment)} = {plain(found.arms[1])}")
    ax.set_title("Overlap")
    bare(ax)


def _differences(ax: Axes, found: Scores) -> None:
    places = np.arange(len(found.names))[::-1]
    ax.axvspan(-0.1, 0.1, color=FAINT, alpha=0.5, lw=0)
    ax.axvline(0, color=GREY, lw=0.6)
    ax.hlines(places, found.before, found.after, color=FAINT, lw=1)
    ax.plot(found.before, places, "o", mfc="white", color=GREY, ms=5, label="before")
    ax.plot(found.after, places, "o", color=BLUE, ms=5, label="after")
    ax.set_yticks(places, [plain(short(name, 30)) for name in found.names])
    ax.locator_params(axis="x", nbins=6)
    ax.set_xlabel("standardised mean difference")
    ax.set_title("Balance")
    ax.legend(loc="best")
    bare(ax)
