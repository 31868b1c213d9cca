"""The design as a diagram: levels with their sizes, and where each treatment was assigned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hdsl.design.ir import Assignment, StudyFields
from hdsl.design.levels import ancestors
from hdsl.report.pictures.style import BLUE, GREY, INK, ORANGE, axes, figure, plain, short, styled
from hdsl.report.words import assigned_how

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hdsl.data.bound import Bound
    from hdsl.report.result import Result

BOX_WIDTH, BOX_HEIGHT, STEP = 2.0, 0.56, 1.05


@dataclass(frozen=True)
class Box:
    """A level: its place (column, depth), its words and those of the treatments assigned to it."""

    name: str
    column: float
    depth: int
    title: str
    variables: str
    treatments: tuple[str, ...]


def design(result: Result) -> Figure:
    """Draw the levels from the outermost down to the rows, joined where they nest or cross, with what was assigned."""
    return design_of(result.study, result.bound)


def design_of(study: StudyFields, bound: Bound | None) -> Figure:
    """Draw the design of a study, with sizes where its data are bound."""
    boxes = boxes_of(study, bound)
    depth = max(box.depth for box in boxes.values()) + 1
    columns = max(sum(1 for box in boxes.values() if box.depth == d) for d in range(depth))
    with styled():
        made = figure(0.4 + columns * (BOX_WIDTH + 0.35) + 3.9, 0.3 + STEP * depth)
        (ax,) = axes(made)
        for level in study.levels:
            for upper in level.above:
                _join(ax, boxes[upper], boxes[level.name], crossed=upper in level.crosses)
        for box in boxes.values():
            _box(ax, box)
        right = max(box.column for box in boxes.values()) + BOX_WIDTH / 2 + 0.3
        for box in boxes.values():
            _assigned(ax, box, right)
        left = min(box.column for box in boxes.values()) - BOX_WIDTH / 2 - 0.1
        ax.set_xlim(left, right + 3.7)
        ax.set_ylim(-STEP * (depth - 1) - 0.55, 0.5)
        ax.set_axis_off()
        return made


def boxes_of(study: StudyFields, bound: Bound | None) -> dict[str, Box]:
    """Return a box for each level of a study."""
    depths = {level.name: _depth(study, level.name) for level in study.levels}
    found: dict[str, Box] = {}
    for depth in range(max(depths.values()) + 1):
        row = [level for level in study.levels if depths[level.name] == depth]
        for place, level in enumerate(row):
            size = f" ({bound.levels[level.name].size:,})" if bound is not None and level.name in bound.levels else ""
            variables = ", ".join(variable.name for variable in level.variables)
            own = tuple(_words(study, bound, a) for a in study.assignments if a.to == level.name)
            column = (place - (len(row) - 1) / 2) * (BOX_WIDTH + 0.35)
            found[level.name] = Box(level.name, column, depth, f"{level.name}{size}", variables, own)
    return found


def _depth(study: StudyFields, name: str) -> int:
    """Return the length of the longest way from a level up to one that lies in no other."""
    above = ancestors(study, name)
    direct = next(level.above for level in study.levels if level.name == name)
    return 1 + max(_depth(study, upper) for upper in direct if upper in above) if direct else 0


def _words(study: StudyFields, bound: Bound | None, assignment: Assignment) -> str:
    treatment = next((t for t in study.treatments if t.name == assignment.treatment), None)
    arms = [] if treatment is None else [arm.name for arm in treatment.arms]
    counted = ", ".join(_arm(bound, assignment.treatment, place, arm) for place, arm in enumerate(arms)) or "a dose"
    within = f" within each {' and '.join(assignment.within)}" if assignment.within else ""
    where = f" where {assignment.condition.treatment} is {assignment.condition.arm}" if assignment.condition else ""
    what = f"{assignment.treatment} to each {assignment.to}: {counted}"
    return f"{what}\n{assigned_how(assignment.mechanism)}{within}{where}"


def _arm(bound: Bound | None, treatment: str, place: int, arm: str) -> str:
    if bound is None or treatment not in bound.treatments:
        return arm
    return f"{arm} {int((bound.treatments[treatment].values == place).sum()):,}"


def _join(ax: Any, upper: Box, lower: Box, *, crossed: bool) -> None:
    start, end = -STEP * upper.depth - BOX_HEIGHT / 2, -STEP * lower.depth + BOX_HEIGHT / 2
    ax.plot([upper.column, lower.column], [start, end], color=GREY, lw=1.2, ls="--" if crossed else "-", zorder=0)
    if crossed:
        middle = (upper.column + lower.column) / 2, (start + end) / 2
        ax.text(*middle, "crossed", fontsize=7.5, color=GREY, ha="center", va="center", bbox=_white())


def _white() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": "none", "pad": 1}


def _box(ax: Any, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = box.column - BOX_WIDTH / 2, -STEP * box.depth - BOX_HEIGHT / 2
    edge = ORANGE if box.treatments else BLUE
    style = "round,pad=0.02,rounding_size=0.08"
    ax.add_patch(FancyBboxPatch((x, y), BOX_WIDTH, BOX_HEIGHT, boxstyle=style, fc="white", ec=edge, lw=1.5))
    high = y + BOX_HEIGHT * (0.66 if box.variables else 0.5)
    ax.text(box.column, high, plain(short(box.title, 26)), ha="center", va="center", weight="bold", color=INK)
    if box.variables:
        inner = plain(short(box.variables, 34))
        ax.text(box.column, y + BOX_HEIGHT * 0.27, inner, ha="center", va="center", fontsize=7.5, color=GREY)


def _assigned(ax: Any, box: Box, right: float) -> None:
    if not box.treatments:
        return
    y = -STEP * box.depth
    ax.plot([box.column + BOX_WIDTH / 2 + 0.03, right], [y, y], color=ORANGE, lw=1, ls=":", zorder=0)
    text = "\n".join(_wrapped(words) for words in box.treatments)
    ax.text(right + 0.08, y, plain(text), ha="left", va="center", fontsize=8, color=ORANGE, bbox=_white())


def _wrapped(words: str) -> str:
    from textwrap import wrap

    return "\n".join(line for part in words.split("\n") for line in wrap(part, 50))


def described(study: StudyFields, bound: Bound | None) -> str:
    """Return the diagram in words, for those who cannot see it."""
    parts: list[str] = []
    for box in boxes_of(study, bound).values():
        level = next(each for each in study.levels if each.name == box.name)
        inside = f" in {' and '.join(level.parents)}" if level.parents else ""
        crosses = f" for each {' and '.join(level.crosses)}" if level.crosses else ""
        parts.append(f"{box.title}{inside}{crosses}" + _treated(box.treatments))
    return "; ".join(parts) + "."


def _treated(treatments: Sequence[str]) -> str:
    return "".join(f", assigned {words.replace('\n', ', ')}" for words in treatments)
