"""Check a fit: statistics of the data against replicates, what rows and groups say that others do not, the priors.

Sources: Gelman, Meng & Stern (1996); Gelman et al. (2013), chapter 6; Marshall & Spiegelhalter (2003) for replicates in
new groups.
"""

from __future__ import annotations

import numpy as np

from hdsl.data.bound import Reals
from hdsl.estimands.replicate import replicated
from hdsl.estimands.rows import EstimandError
from hdsl.report.effects import parameters
from hdsl.report.predictive.before import check_prior
from hdsl.report.predictive.compared import compared, misfit, waived
from hdsl.report.predictive.left_out import leave_out, unforeseen
from hdsl.report.predictive.residuals import outcomes_at_rows, residuals_of, why_not
from hdsl.report.predictive.statistics import Statistic
from hdsl.report.predictive.suggested import statistics_of
from hdsl.report.predictive.values import Check, FitCheck
from hdsl.report.result import Result

CELLS = 20_000_000
MOST, FEWEST = 2_000, 200


def check_fit(result: Result, seed: int = 1, *, prior: bool = True) -> FitCheck:
    """Check whether the fitted model could have made the data.

    Statistics of groups (their intraclass correlation, the spread of site effects, residuals of strata) are compared
    with replicates in new groups, so that the law of the groups is tested and not only its fit to these; all others
    with replicates in the same groups.

    Parameters
    ----------
    prior : bool
        Whether the data are held against the priors too.
    """
    draws = _thinned(result)
    checks, unchecked = _checks(result, draws, seed)
    findings = [misfit(check) for check in checks if not check.passed]
    left_out, not_left_out = leave_out(result)
    findings += [found for each in left_out if (found := unforeseen(each)) is not None]
    before = check_prior(result.model, result.data, result.bound, seed) if prior else FitCheck((), (), (), (), 0)
    return FitCheck(
        (*checks, *before.checks),
        tuple(left_out),
        waived(result.bound, (*findings, *before.findings)),
        (*unchecked, *not_left_out, *before.unchecked),
        next(iter(draws.values())).shape[0],
    )


def _checks(result: Result, draws: dict[str, Reals], seed: int) -> tuple[list[Check], list[str]]:
    bound = result.bound
    reason = why_not(bound)
    if reason:
        return [], [f"statistics of the outcome: {reason}"]
    observed = outcomes_at_rows(bound)
    statistics = statistics_of(bound, residuals_of(bound))
    checks: list[Check] = []
    unchecked: list[str] = []
    for groups in ("same", "new"):
        chosen: list[Statistic] = [each for each in statistics if each.groups == groups]
        if not chosen:
            continue
        try:
            made = replicated(result.model, result.data, bound, draws, groups, seed)
        except EstimandError as error:
            unchecked.append(f"replicates in {groups} groups: {error.message.rstrip('.')}")
            continue
        found = (compared(each, observed, made, f"{groups} groups") for each in chosen)
        checks += [check for check in found if check is not None]
    order = {statistic.name: place for place, statistic in enumerate(statistics)}
    return sorted(checks, key=lambda check: order[check.name]), unchecked


def _thinned(result: Result) -> dict[str, Reals]:
    """Return draws of the parameters, (draws, *dims), as many as replicates are wanted."""
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in parameters(result).items()}
    total = next(iter(flat.values())).shape[0]
    wanted = int(np.clip(CELLS // max(result.bound.rows, 1), FEWEST, MOST))
    chosen = np.unique(np.linspace(0, total - 1, min(wanted, total)).round().astype(np.int64))
    return {name: value[chosen] for name, value in flat.items()}
