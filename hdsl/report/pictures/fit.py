"""The checks of a fit: each statistic of the data against those of replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hdsl.report.pictures.style import BLUE, GREY, INK, RED, axes, bare, figure, plain, refused, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hdsl.report.predictive import Check
    from hdsl.report.result import Result

Reals = NDArray[np.float64]
HALF_WIDTH, MOST, REACH = 1.645, 40, 5.0


def fit(result: Result, seed: int = 1) -> Figure:
    """Draw each check: the data's value as a dot, 90% of replicates as a bar, each in the bar's own units.

    Values further than five standard deviations out are drawn at the edge as arrows.
    """
    from hdsl.report.predictive import check_fit

    found = check_fit(result, seed, prior=False)
    if not found.checks:
        raise refused("There is no check to draw.", f"Not checked: {'; '.join(found.unchecked)}.")
    checks = [*(check for check in found.checks if not check.passed), *(c for c in found.checks if c.passed)][:MOST]
    with styled():
        made = figure(7.4, 0.9 + 0.27 * len(checks))
        (ax,) = axes(made)
        places = np.arange(len(checks))[::-1]
        ax.hlines(places, -HALF_WIDTH, HALF_WIDTH, color=BLUE, lw=5, alpha=0.35, label="fitted model (90%)")
        ax.axvline(0, color=GREY, lw=0.6)
        for name, colour, passed in (("data", INK, True), ("data, where the check fails", RED, False)):
            pairs = zip(checks, places.tolist(), strict=True)
            chosen = [(scaled(check), place) for check, place in pairs if check.passed == passed]
            if chosen:
                _dots(ax, np.asarray(chosen), colour, name)
        ax.set_yticks(places, [plain(short(check.name, 62)) for check in checks])
        ax.set_xticks([])
        ax.set_xlim(-REACH - 0.4, REACH + 0.4)
        ax.set_ylim(-0.7, len(checks) - 0.3)
        bare(ax)
        made.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return made


def _dots(ax: Axes, values: Reals, colour: str, name: str) -> None:
    inside = np.abs(values[:, 0]) <= REACH
    ax.plot(values[inside, 0], values[inside, 1], "o", color=colour, ms=4.5, label=name)
    for sign, marker in ((-1, "<"), (1, ">")):
        far = values[values[:, 0] * sign > REACH]
        label = None if inside.any() else name
        if len(far):
            ax.plot(np.full(len(far), sign * REACH), far[:, 1], marker, color=colour, ms=6, label=label)


def scaled(check: Check) -> float:
    """Return the observed value in units in which the bar of replicates reaches from -1.645 to 1.645.

    Each side has its own scale, so that the bar's median is at 0 for skewed replicates too.
    """
    apart = check.observed - check.median
    side = check.high - check.median if apart > 0 else check.median - check.low
    if side > 0:
        return HALF_WIDTH * apart / side
    return 0.0 if apart == 0 else float(np.copysign(np.inf, apart))
