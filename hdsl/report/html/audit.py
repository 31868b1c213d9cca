"""What the data look like: levels, what was dropped, balance of covariates between arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hdsl.data.bound import Bound, BoundTreatment, BoundVariable
from hdsl.report.numbers import significant

if TYPE_CHECKING:
    from hdsl.report.result import Result

MOST_ARMS = 6


@dataclass(frozen=True)
class Table:
    """A table of text for a page."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def audit_words(result: Result) -> list[str]:
    """Return sentences on the rows that were used, and those that were not."""
    audit = result.bound.audit
    words = [f"{audit.rows_used:,} of {audit.rows_read:,} rows of {audit.source} were used."]
    for name, count in audit.dropped.items():
        modelled = ", which is modelled" if _modelled(result, name) else ""
        words.append(f"{name} is missing in {count:,} rows{modelled}.")
    return words


def _modelled(result: Result, name: str) -> bool:
    return any(v.name == name and v.missing for level in result.study.levels for v in level.variables)


def levels_table(result: Result) -> Table:
    """Return the levels with their sizes."""
    rows: list[tuple[str, ...]] = []
    for level in result.study.levels:
        found = result.bound.levels.get(level.name)
        if found is None:
            continue
        counts = found.counts
        spread = "1" if counts.max() == 1 else f"{counts.min():,} / {np.median(counts):,.0f} / {counts.max():,}"
        within = " and ".join(level.parents) or (f"each {' and '.join(level.crosses)}" if level.crosses else "")
        treated = ", ".join(a.treatment for a in result.study.assignments if a.to == level.name)
        rows.append((level.name, f"{found.size:,}", within, spread, treated))
    headings = ("level", "units", "within", "rows per unit: least / median / most", "assigned")
    return Table("Levels", headings, tuple(rows))


def balance_tables(result: Result) -> list[Table]:
    """Return, for each treatment with arms, the means of the covariates by arm."""
    bound = result.bound
    covariates = [v for v in bound.variables.values() if v.role == "covariate" and not v.labels]
    if not covariates:
        return []
    return [
        _balance(bound, treatment, covariates)
        for treatment in bound.treatments.values()
        if 2 <= len(treatment.arms) <= MOST_ARMS
    ]


def _balance(bound: Bound, treatment: BoundTreatment, covariates: list[BoundVariable]) -> Table:
    codes = bound.at_rows(treatment.level, treatment.values)
    times = bound.units(bound.row)
    heads = [f"{arm} (n = {round(float(times[codes == place].sum())):,})" for place, arm in enumerate(treatment.arms)]
    rows = tuple((v.name, *_means(bound, v, codes, len(treatment.arms))) for v in covariates)
    caption = f"Covariates by arm of {treatment.name}: means over rows, and how far apart they are at most"
    return Table(caption, ("covariate", *heads, "difference in sd"), rows)


def _means(bound: Bound, variable: BoundVariable, codes: np.ndarray, arms: int) -> list[str]:
    values = bound.at_rows(variable.level, variable.values).astype(np.float64)
    times = np.where(np.isnan(values), 0.0, bound.units(bound.row))
    values = np.nan_to_num(values)
    each = [times * (codes == place) for place in range(arms)]
    means = [float(w @ values / w.sum()) if w.any() else np.nan for w in each]
    spread = float(np.sqrt(times @ (values - times @ values / times.sum()) ** 2 / times.sum())) if times.any() else 0.0
    apart = (np.nanmax(means) - np.nanmin(means)) / spread if spread > 0 else 0.0
    return [*map(significant, means), f"{apart:.2f}"]
