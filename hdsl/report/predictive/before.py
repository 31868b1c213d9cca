"""Prior predictive checks: whether the priors expect data of this size at all.

Source: Gabry et al. (2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hdsl.data.bound import Bound, Reals
from hdsl.diagnostics import Diagnostic
from hdsl.estimands.replicate import prior_replicated
from hdsl.estimands.rows import EstimandError
from hdsl.model.ir import Model, ModelData
from hdsl.report.predictive.compared import FINE_PRIOR, compared, waived
from hdsl.report.predictive.residuals import Residuals, outcome_variable, outcomes_at_rows, residuals_of, why_not
from hdsl.report.predictive.statistics import FEW_ROWS, Mask, Statistic
from hdsl.report.predictive.values import Check, FitCheck

CELLS, MOST, FEWEST = 20_000_000, 1_000, 200
VAGUE = 10.0
HELP = "Look at the priors: `hdsl explain`."


def check_prior(model: Model, data: ModelData, bound: Bound, seed: int = 1) -> FitCheck:
    """Check whether data drawn from the priors are of the size of those observed.

    The mean of the outcome and the differences between arms must lie within what the priors expect. Priors may expect
    more spread than there is, and are said to be vague where they expect far more, but not less.
    """
    reason = why_not(bound)
    if reason:
        return FitCheck((), (), (), (f"the priors: {reason}",), 0)
    number = int(np.clip(CELLS // max(bound.rows, 1), FEWEST, MOST))
    try:
        made = prior_replicated(model, data, bound, number, seed)
    except (EstimandError, ValueError) as error:
        return FitCheck((), (), (), (f"the priors: {_said(error)}",), 0)
    observed = outcomes_at_rows(bound)
    found = [compared(each, observed, made, "prior") for each in _statistics(bound, residuals_of(bound))]
    checks = tuple(_judged(check) for check in found if check is not None)
    findings = tuple(_unexpected(check) for check in checks if not check.passed)
    return FitCheck(checks, (), waived(bound, findings), (), number)


def _said(error: Exception) -> str:
    return error.message.rstrip(".") if isinstance(error, EstimandError) else str(error)


def _statistics(bound: Bound, residuals: Residuals) -> Iterator[Statistic]:
    name = outcome_variable(bound).name
    of = f"log {name}" if residuals.logged else name

    def mean(y: Reals) -> Reals:
        return residuals.outcome(y).mean(axis=1)

    def spread(y: Reals) -> Reals:
        return residuals.outcome(y).std(axis=1)

    high, low = f"{of} is higher than the priors expect.", f"{of} is lower than the priors expect."
    yield Statistic(f"mean of {of}", mean, "same", HELP, high, low)
    much = f"{of} is more spread out than the priors expect."
    yield Statistic(f"sd of {of}", spread, "same", HELP, much, "")
    for treatment in bound.treatments.values():
        codes = bound.at_rows(treatment.level, treatment.values)
        for place, arm in enumerate(treatment.arms[1:], start=1):
            chosen, reference = codes == place, codes == 0
            if min(chosen.sum(), reference.sum()) < FEW_ROWS:
                continue

            def apart(y: Reals, chosen: Mask = chosen, reference: Mask = reference) -> Reals:
                values = residuals.outcome(y)
                return values[:, chosen].mean(axis=1) - values[:, reference].mean(axis=1)

            said = f"{arm} and {treatment.arms[0]} are further apart than the priors expect."
            yield Statistic(f"difference of {arm} from {treatment.arms[0]} in {of}", apart, "same", HELP, said, said)


def _judged(check: Check) -> Check:
    """Return a check with its verdict: too much spread under the prior is no failure."""
    if check.name.startswith("sd of "):
        times = check.median / check.observed if check.observed > 0 else np.inf
        if times > VAGUE:
            size = f"{times:,.0f}" if times < 1e6 else f"{times:.0e}"
            words = f"The priors expect {size} times the spread there is: they say little."
            return replace(check, words=words)
    return replace(check, words=FINE_PRIOR) if check.passed else check


def _unexpected(check: Check) -> Diagnostic:
    reach = f"The {check.name} is {check.observed:.3g}; the priors expect {check.low:.3g} to {check.high:.3g}."
    return Diagnostic("HDM723", f"{check.words} {reach}", severity="warning", help=check.help_)
