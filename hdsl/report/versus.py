"""Results side by side: estimands, parameters, and expected predictive accuracy where the data are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hdsl.report import elpd
from hdsl.report.frames import Frames, frame, rows_of
from hdsl.report.result import Result
from hdsl.report.summary import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison:
    """Two or more results side by side.

    Attributes
    ----------
    estimands, parameters
        Data frames: what is common to the results by name and index, with mean and sd of each.
    fit
        Data frame: expected log predictive density by PSIS-LOO (Vehtari, Gelman & Gabry 2017), best first, with the
        difference from the best, its standard error, and stacking weights. None where there are not two to compare;
        `fit_reason` says why results are not among them.
    by
        The level whose units are left out whole for `group_fit`; empty where the studies have none in common.
    group_fit
        The same as `fit` with whole groups left out.
    results : tuple of Result
    """

    names: tuple[str, ...]
    estimands: Any
    parameters: Any
    fit: Any
    fit_reason: str
    by: str = ""
    group_fit: Any = None
    group_reason: str = ""
    results: tuple[Result, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "names": list(self.names),
            "estimands": _lines(self.estimands),
            "parameters": _lines(self.parameters),
            "rows_left_out": None if self.fit is None else _lines(self.fit),
            "rows_reason": self.fit_reason,
            "by": self.by,
            "groups_left_out": None if self.group_fit is None else _lines(self.group_fit),
            "groups_reason": self.group_reason,
            "results": {name: result.to_json() for name, result in zip(self.names, self.results, strict=True)},
        }

    def plot(self) -> Figure:
        """Draw the estimands side by side, with 50% and 90% intervals."""
        from hdsl.report.pictures.versus import versus

        return versus(self)

    def _repr_html_(self) -> str:
        from hdsl.report.notebook import comparison_html

        return comparison_html(self)


def versus(results: Sequence[Result], names: Sequence[str] = (), by: str | None = None) -> Comparison:
    """Compare results.

    Parameters
    ----------
    names : sequence of str
        By default the names of their studies.
    by : str or None
        The level whose units are left out whole; by default the one just above the rows.
    """
    called = _names(results, names)
    frames = results[0].frames
    level = by or elpd.nearest_level(results[0]) or ""
    fit, reason = _fit(results, called, elpd.of_rows)
    group_fit, group_reason = None, "there are no groups above the rows"
    if level:
        group_fit, group_reason = _fit(results, called, lambda result: elpd.of_groups(result, level))
    return Comparison(
        called,
        _side_by_side("name", [r.estimand_summaries for r in results], called, frames),
        _side_by_side("role", [r.parameter_summaries for r in results], called, frames),
        fit,
        reason,
        level,
        group_fit,
        group_reason,
        tuple(results),
    )


def _fit(results: Sequence[Result], names: Sequence[str], tree: Callable[[Result], Any]) -> tuple[Any, str]:
    """Return models by predictive accuracy, or None; and why a model, or all, are not among them."""
    if not elpd.same_outcomes(results):
        return None, "the data differ"
    trees: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, result in zip(names, results, strict=True):
        try:
            trees[name] = tree(result)
        except elpd.NotComparable as reason:
            reasons[name] = str(reason)
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if len(set(reasons.values())) == 1 and len(reasons) == len(results):
        told = next(iter(reasons.values()))
    if len(trees) < 2:
        return None, told
    try:
        return elpd.ranked(trees, results[0].frames), told
    except elpd.NotComparable as reason:
        return None, str(reason)


def _names(results: Sequence[Result], names: Sequence[str]) -> tuple[str, ...]:
    given = list(names) or [result.study.name for result in results]
    if len(given) != len(results):
        raise ValueError(f"{len(results)} results but {len(given)} names")
    found: list[str] = []
    for name in given:
        number, called = 2, name
        while called in found:
            called, number = f"{name} ({number})", number + 1
        found.append(called)
    return tuple(found)


def _side_by_side(key: str, parts: Sequence[Sequence[Summary]], names: Sequence[str], frames: Frames) -> Any:
    rows: dict[str, dict[str, Summary]] = {}
    for name, summaries in zip(names, parts, strict=True):
        for summary in summaries:
            rows.setdefault(called(summary), {})[name] = summary
    columns: dict[str, list[object]] = {key: list(rows)}
    numbers: dict[str, Callable[[Summary], float]] = {"mean": lambda s: s.mean, "sd": lambda s: s.sd}
    for name in names:
        for what, number in numbers.items():
            columns[f"{name} {what}"] = [number(row[name]) if name in row else None for row in rows.values()]
    return frame(columns, frames)


def _lines(found: Any) -> list[dict[str, Any]]:
    columns = rows_of(found)
    return [dict(zip(columns, line, strict=True)) for line in zip(*columns.values(), strict=True)]


def called(summary: Summary) -> str:
    """Return what a summarised number is called: its name with the labels of its index."""
    return f"{summary.name}[{', '.join(summary.index.values())}]" if summary.index else summary.name
