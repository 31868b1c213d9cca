"""A statistic of the data against the same statistic of replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hdsl.data.bound import Bound, Reals
from hdsl.diagnostics import Diagnostic
from hdsl.report.predictive.statistics import Statistic
from hdsl.report.predictive.values import Check

EXTREME = 0.0025
CELLS = 4_000_000
FINE = "As the model makes it."
FINE_PRIOR = "As the priors expect."


def compared(statistic: Statistic, observed: Reals, made: Reals, replicates: str) -> Check | None:
    """Return a check; None where the statistic is no number of the data or of most replicates.

    Parameters
    ----------
    observed : float array, shape (rows,)
    made : float array, shape (replicates, rows)
    """
    with np.errstate(all="ignore"):
        here = float(statistic.of(observed[None])[0])
        there = np.concatenate([statistic.of(part) for part in np.array_split(made, max(1, made.size // CELLS))])
    there = there[np.isfinite(there)]
    if not np.isfinite(here) or len(there) < 0.5 * len(made):
        return None
    p = float(np.mean(there > here) + 0.5 * np.mean(there == here))
    low, median, high = np.quantile(there, (0.05, 0.5, 0.95)).tolist()
    passed = p > EXTREME and (p < 1 - EXTREME or not statistic.below)
    words = FINE if passed else statistic.above if p <= EXTREME else statistic.below
    return Check(statistic.name, here, low, median, high, p, replicates, passed, words, statistic.help_)


def misfit(check: Check) -> Diagnostic:
    """Return the warning of a check that fails."""
    reach = f"The {check.name} is {check.observed:.3g}; the fitted model makes {check.low:.3g} to {check.high:.3g}."
    help_ = f"Try {check.help_}" if check.help_.startswith("`") else check.help_
    return Diagnostic("HDM721", f"{check.words} {reach}", severity="warning", help=help_)


def waived(bound: Bound, findings: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return findings with the reasons of the study's `waive` statements."""
    reasons = {waiver.code.upper(): waiver.because for waiver in bound.study.waivers}
    return tuple(replace(each, waived=reasons[each.code]) if each.code in reasons else each for each in findings)
