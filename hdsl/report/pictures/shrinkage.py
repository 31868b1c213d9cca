"""Group effects with no, partial and complete pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hdsl.estimands.defaults import quantiles_only
from hdsl.report.effects import compute_or_raise, effect_summaries, predicted, replace_index
from hdsl.report.pictures.style import BLUE, FAINT, GREY, ORANGE, axes, bare, figure, plain, refused, short, styled
from hdsl.report.summary import summarise

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hdsl.report.result import Result

Reals = NDArray[np.float64]
MOST_LISTED = 36
NORMAL_90 = 1.645


@dataclass(frozen=True)
class Pooling:
    """Estimates for each unit of a level, on the scale of the outcome.

    Attributes
    ----------
    title, level : str
        What is estimated, and for the units of which level.
    labels : tuple of str
    alone, alone_error : float array, shape (units,)
        No pooling: from the unit's rows alone, all other terms of the model held at their posterior means; NaN where
        the rows do not tell.
    partial, low, high : float array, shape (units,)
        Partial pooling: posterior median and central 90% interval.
    complete : float
        Complete pooling: the posterior mean for all rows together.
    sizes : int array, shape (units,)
    """

    title: str
    level: str
    labels: tuple[str, ...]
    alone: Reals
    alone_error: Reals
    partial: Reals
    low: Reals
    high: Reals
    complete: float
    sizes: NDArray[np.int64]


def pooling(result: Result, level: str | None = None, treatment: str | None = None) -> Pooling:
    """Return estimates with no, partial and complete pooling.

    Parameters
    ----------
    level : str, optional
        By default the first level above the rows whose effects vary.
    treatment : str, optional
        The effect of its first arm against the reference; by default the treatment whose effect varies across the
        level, else the mean outcome of each unit.

    Raises
    ------
    StudyError
        HDM118: nothing varies across that level.
    """
    level = level or _level(result)
    bound = result.bound
    if level not in bound.levels or level == bound.row:
        raise refused(f"There is no level {level!r} above the rows.", f"Levels: {', '.join(bound.levels)}.")
    treatment = treatment or _treatment(result, level)
    if quantiles_only(result.study):
        raise refused("A group's own means are not on the scale of its quantiles, with which they would be compared.")
    return _means(result, level) if treatment is None else _effects(result, level, treatment)


def levels_of(result: Result) -> list[str]:
    """Return the levels across which something varies."""
    names = [row.name for row in result.parameter_summaries if row.name.startswith("sd(") and not row.index]
    return [
        level
        for level in result.bound.levels
        if level != result.bound.row and any(name.endswith(f", {level})") for name in names)
    ]


def _level(result: Result) -> str:
    found = levels_of(result)
    varied = [level for level in found if _treatment(result, level) is not None]
    if not found:
        raise refused("Nothing varies across the levels of this study.", "A shrinkage picture needs varying effects.")
    return (varied or found)[0]


def _treatment(result: Result, level: str) -> str | None:
    """Return the treatment whose effect varies across a level."""
    names = {row.name for row in result.parameter_summaries}
    for treatment in result.study.treatments:
        arm = f"[{treatment.arms[1].name}]" if len(treatment.arms) > 2 else ""
        if treatment.arms and f"sd(effect({treatment.name}){arm}, {level})" in names:
            return treatment.name
    return None


def _residuals(result: Result) -> Reals:
    """Return what the model leaves of each row: the outcome less its expectation."""
    outcome = result.bound.variables[result.model.response.outcome]
    if outcome.labels or outcome.event is not None:
        raise refused(f"Raw estimates of {outcome.name} by group are not on a scale to compare.")
    values = outcome.values
    return values - predicted(result, None, {}, "expected", 1).values.mean(axis=(0, 1))


def _means(result: Result, level: str) -> Pooling:
    found = predicted(result, None, {}, "expected", 1).values
    units = result.bound.levels[level]
    by_unit = np.stack([found[:, :, units.rows == unit].mean(axis=2) for unit in range(units.size)], axis=2)
    residuals = _residuals(result)
    raw = np.bincount(units.rows, residuals, minlength=units.size) / units.counts
    error = np.array([_error(residuals[units.rows == unit]) for unit in range(units.size)])
    return _made(result, f"mean of {result.model.response.outcome}", level, by_unit, raw, error, found.mean())


def _effects(result: Result, level: str, treatment: str) -> Pooling:
    declared = next(each for each in result.study.treatments if each.name == treatment)
    arm = declared.arms[1].name
    bound, units = result.bound, result.bound.levels[level]
    bare_study = result.study.model_copy(update={"estimands": (), "treatments": (declared,)})
    from hdsl.estimands import with_defaults

    estimand = with_defaults(bare_study)[0]
    (computed,) = compute_or_raise(result, [replace_index(estimand, (level,))])
    arms = bound.at_rows(bound.treatments[treatment].level, bound.treatments[treatment].values)
    residuals = _residuals(result)
    raw, error = np.full(units.size, np.nan), np.full(units.size, np.nan)
    for unit in range(units.size):
        treated = residuals[(units.rows == unit) & (arms == 1)]
        control = residuals[(units.rows == unit) & (arms == 0)]
        if len(treated) and len(control):
            raw[unit] = treated.mean() - control.mean()
            error[unit] = np.hypot(_error(treated), _error(control))
    whole = effect_summaries(result, treatment)[0].mean
    title = f"effect of {treatment} ({arm} against {declared.arms[0].name})"
    return _made(result, title, level, computed.draws, raw, error, whole)


def _error(values: Reals) -> float:
    """Return the standard error of a mean, NaN of fewer than two values."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _made(result: Result, title: str, level: str, draws: Reals, raw: Reals, error: Reals, complete: float) -> Pooling:
    units = result.bound.levels[level]
    rows = summarise("", draws, {level: units.labels})
    numbers = {name: np.array([getattr(row, name) for row in rows]) for name in ("mean", "q5", "q50", "q95")}
    return Pooling(
        title=title,
        level=level,
        labels=units.labels,
        alone=numbers["mean"] + raw,
        alone_error=error,
        partial=numbers["q50"],
        low=numbers["q5"],
        high=numbers["q95"],
        complete=float(complete),
        sizes=units.counts,
    )


def shrinkage(result: Result, level: str | None = None, treatment: str | None = None) -> Figure:
    """Draw group effects with no, partial and complete pooling; arguments as in `pooling`."""
    found = pooling(result, level, treatment)
    with styled():
        return _listed(found) if len(found.labels) <= MOST_LISTED else _scattered(found)


def _listed(found: Pooling) -> Figure:
    order = np.argsort(found.partial)
    places: Any = np.arange(len(order))
    made = figure(6.6, 1.35 + 0.24 * len(order))
    (ax,) = axes(made)
    ax.axvline(found.complete, color=ORANGE, lw=1.3, ls="--", label="complete pooling", zorder=1)
    alone, error = found.alone[order], found.alone_error[order]
    ax.hlines(places - 0.17, alone - NORMAL_90 * error, alone + NORMAL_90 * error, color=GREY, lw=1)
    ax.plot(alone, places - 0.17, "o", color="white", mec=GREY, ms=5, label="no pooling")
    ax.hlines(places + 0.17, found.low[order], found.high[order], color=BLUE, lw=1.8)
    ax.plot(found.partial[order], places + 0.17, "o", color=BLUE, ms=5, label="partial pooling")
    ax.set_yticks(places, _labels(found, order))
    ax.set_ylim(-0.8, len(order) - 0.2)
    _finish(ax, found)
    bare(ax)
    return made


def _labels(found: Pooling, order: NDArray[np.intp]) -> Sequence[str]:
    return [plain(f"{short(found.labels[place], 24)}  (n = {found.sizes[place]})") for place in order]


def _scattered(found: Pooling) -> Figure:
    made = figure(6.2, 5.2)
    (ax,) = axes(made)
    ends = np.nanmin(found.alone), np.nanmax(found.alone)
    ax.plot(ends, ends, color=FAINT, lw=1, zorder=0)
    ax.axhline(found.complete, color=ORANGE, lw=1.3, ls="--", label="complete pooling", zorder=1)
    area = 8 + 60 * found.sizes / found.sizes.max()
    ax.vlines(found.alone, found.low, found.high, color=BLUE, lw=0.6, alpha=0.35)
    ax.scatter(found.alone, found.partial, s=area, color=BLUE, alpha=0.7, lw=0, label="one unit; area: its rows")
    _finish(ax, found)
    ax.set_xlabel("no pooling")
    ax.set_ylabel("partial pooling")
    return made


def _finish(ax: Any, found: Pooling) -> None:
    ax.set_title(plain(f"{found.title} by {found.level}"))
    ax.figure.legend(loc="outside lower center", ncols=3)
    ax.set_axisbelow(True)
    ax.grid(axis="x", color=FAINT, lw=0.5, alpha=0.6)
