"""The test statistics that a study's design and the kind of its outcome suggest."""

from __future__ import annotations

from hdsl.data.bound import Bound
from hdsl.report.predictive import along, statistics
from hdsl.report.predictive.residuals import Residuals, outcome_variable
from hdsl.report.predictive.statistics import Statistic

CONTINUOUS = ("real", "positive", "duration")


def statistics_of(bound: Bound, residuals: Residuals) -> list[Statistic]:
    """Return the statistics for a study's design and kind of outcome."""
    outcome = outcome_variable(bound)
    found = [
        *statistics.of_groups(bound, residuals),
        *statistics.of_arms(bound, residuals),
        *statistics.of_sites(bound, residuals),
        *statistics.of_strata(bound, residuals),
        *along.between(bound, residuals),
        *along.along(bound, residuals),
        *along.serial(bound, residuals),
    ]
    if outcome.kind in CONTINUOUS:
        found += along.shape(residuals)
    if outcome.kind == "count" and outcome.trials is None:
        found += along.counts(outcome.name)
    if outcome.trials is not None:
        found += along.successes(outcome.name, bound.at_rows(outcome.level, outcome.trials).astype(float), residuals)
    return found
