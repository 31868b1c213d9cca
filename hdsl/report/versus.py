"""Results side by side: estimands, parameters, and expected predictive accuracy where the data are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hdsl.report.frames import Frames, frame
from hdsl.report.result import Result
from hdsl.report.summary import Summary


@dataclass(frozen=True)
class Comparison:
    """Two or more results side by side.

    Attributes
    ----------
    estimands, parameters
        Data frames: what is common to the results by name and index, with mean and sd of each.
    fit
        Data frame: expected log predictive density by PSIS-LOO (Vehtari, Gelman & Gabry 2017), best first, with the
        difference from the best and its standard error; None where `fit_reason` says why there is none.
    """

    names: tuple[str, ...]
    estimands: Any
    parameters: Any
    fit: Any
    fit_reason: str

    def _repr_html_(self) -> str:
        from hdsl.report.notebook import comparison_html

        return comparison_html(self)


def versus(results: Sequence[Result], names: Sequence[str] = ()) -> Comparison:
    """Compare results; `names` are by default the names of their studies."""
    called = _names(results, names)
    frames = results[0].frames
    fit, reason = _fit(results, called, frames)
    return Comparison(
        called,
        _side_by_side("name", [r.estimand_summaries for r in results], called, frames),
        _side_by_side("role", [r.parameter_summaries for r in results], called, frames),
        fit,
        reason,
    )


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


def called(summary: Summary) -> str:
    """Return what a summarised number is called: its name with the labels of its index."""
    return f"{summary.name}[{', '.join(summary.index.values())}]" if summary.index else summary.name


def _fit(results: Sequence[Result], names: Sequence[str], frames: Frames) -> tuple[Any, str]:
    if len({(r.bound.audit.sha256, r.bound.rows) for r in results}) > 1:
        return None, "the data differ"
    if any("log_likelihood" not in r.posterior for r in results):
        return None, "a result has no log likelihood by row (rows times draws exceed 20 million)"
    if any(len(r.posterior["log_likelihood"].data_vars) != 1 for r in results):
        return None, "a model has several parts of a likelihood, which is not compared"
    if len({next(iter(r.posterior["log_likelihood"].data_vars.values())).shape[2:] for r in results}) > 1:
        return None, "the log likelihoods are of different rows"
    import warnings

    import arviz_stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trees: dict[str, Any] = {name: r.posterior for name, r in zip(names, results, strict=True)}
        found: Any = arviz_stats.compare(trees, method="stacking", round_to="none")
    columns = {"name": [str(name) for name in found.index]}
    columns |= {name: found[name].tolist() for name in ("elpd", "se", "elpd_diff", "dse", "p", "weight", "diag_elpd")}
    return frame(columns, frames), ""
