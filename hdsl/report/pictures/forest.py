"""Intervals side by side: estimands, effects of units, variance components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hdsl.report.effects import draws_of
from hdsl.report.pictures.style import BLUE, FAINT, GREY, axes, bare, figure, plain, refused, short, styled
from hdsl.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hdsl.report.result import Result

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST = 60
ALIKE = 8.0


@dataclass(frozen=True)
class Interval:
    """A quantity's 5, 25, 50, 75 and 95% quantiles."""

    label: str
    group: str
    quantiles: tuple[float, ...]

    @property
    def width(self) -> float:
        """The width of the 90% interval."""
        return self.quantiles[-1] - self.quantiles[0]


def forest(result: Result, name: str | None = None) -> Figure:
    """Draw the estimands, or one estimand or parameter by role, with 50% and 90% intervals.

    Quantities on other scales get panels of their own; of more than sixty units, evenly spaced ones are shown.

    Raises
    ------
    StudyError
        HDM118: there is nothing of that name.
    """
    known = (*result.estimand_summaries, *result.parameter_summaries)
    rows = result.estimand_summaries if name is None else [row for row in known if row.name == name]
    if not rows:
        raise refused(f"The result has no estimand or parameter {name!r}.", "See result.estimands, result.parameters.")
    return drawn(panels(intervals(result, rows)))


def variance(result: Result) -> Figure:
    """Draw the variance components: standard deviations of varying effects and of the residual."""
    wanted = ("sd(", "residual")
    rows = [row for row in result.parameter_summaries if row.name.startswith(wanted) and not row.index]
    if not rows:
        raise refused("The model has no variance components.")
    return drawn(panels(intervals(result, rows)), zero=False)


def intervals(result: Result, rows: Sequence[Summary]) -> list[Interval]:
    """Return the intervals of summarised quantities from their draws."""
    found: list[Interval] = []
    for name in dict.fromkeys(row.name for row in rows):
        draws = draws_of(result, name).values
        quantiles = np.quantile(draws.reshape(draws.shape[0] * draws.shape[1], -1), QUANTILES, axis=0).T
        own = [row for row in rows if row.name == name]
        for row, values in zip(own, quantiles, strict=True):
            label = ", ".join(row.index.values()) if row.index else row.name
            found.append(Interval(label, row.name if row.index else "", tuple(values.tolist())))
    return found


def panels(found: Sequence[Interval]) -> list[tuple[str, list[Interval]]]:
    """Return intervals in panels: each indexed quantity by itself, the others with those on a like scale."""
    made: list[tuple[str, list[Interval]]] = []
    for each in found:
        for title, members in made:
            if title == each.group and (each.group or _alike(members, each)):
                members.append(each)
                break
        else:
            made.append((each.group, [each]))
    return [(title, _thinned(members)) for title, members in made]


def _alike(members: Sequence[Interval], other: Interval) -> bool:
    widths = [member.width for member in members]
    low, high = min(member.quantiles[0] for member in members), max(member.quantiles[-1] for member in members)
    reach = ALIKE * max(high - low, other.width)
    near = min(low, high, key=lambda end: abs(end - other.quantiles[2]))
    return (
        max(widths) <= ALIKE * other.width
        and other.width <= ALIKE * min(widths)
        and (abs(near - other.quantiles[2]) <= reach)
    )


def _thinned(members: list[Interval]) -> list[Interval]:
    if len(members) <= MOST:
        return members
    places = np.unique(np.linspace(0, len(members) - 1, MOST).round().astype(int))
    return [members[place] for place in places]


def drawn(found: Sequence[tuple[str, list[Interval]]], *, zero: bool = True) -> Figure:
    """Draw panels of intervals below each other."""
    with styled():
        heights = [0.62 + 0.23 * len(members) for _, members in found]
        made = figure(6.6, sum(heights) + 0.15)
        for ax, (title, members) in zip(axes(made, 1, len(found), height_ratios=heights), found, strict=True):
            _panel(ax, members, zero)
            if title:
                ax.set_title(plain(title))
        made.align_ylabels()
        return made


def _panel(ax: Axes, members: Sequence[Interval], zero: bool) -> None:
    places: Any = np.arange(len(members))[::-1]
    table = np.array([member.quantiles for member in members])
    low, high = float(table.min()), float(table.max())
    if zero and low - (high - low) <= 0 <= high + (high - low):
        ax.axvline(0, color=FAINT, lw=1, zorder=0)
    ax.hlines(places, table[:, 0], table[:, 4], color=BLUE, lw=1.2)
    ax.hlines(places, table[:, 1], table[:, 3], color=BLUE, lw=3.6)
    ax.plot(table[:, 2], places, "o", color="white", mec=BLUE, mew=1.4, ms=5)
    ax.set_yticks(places, [plain(short(member.label)) for member in members])
    ax.set_ylim(-0.7, len(members) - 0.3)
    ax.margins(x=0.04)
    if not zero:
        ax.set_xlim(left=0)
    ax.grid(axis="x", color=FAINT, lw=0.5, alpha=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", colors=GREY)
    bare(ax)
