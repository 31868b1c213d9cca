"""Treated shares of blocks against a probability that was declared to be the same for all."""

from __future__ import annotations

import numpy as np

from hdsl.checks.data import DataRule, assigned, reached
from hdsl.checks.finding import Findings, finding
from hdsl.checks.numbers import constant
from hdsl.checks.scope import Scope
from hdsl.data.bound import Bound, Reals

FAR = 4.0


def shares_beyond_chance(scope: Scope, bound: Bound) -> Findings:
    """HDM322: under `bernoulli(p)` with a number, treated shares of blocks differ by chance only."""
    for assignment, path in assigned(scope, bound):
        treatment, stated = bound.treatments[assignment.treatment], assignment.mechanism.probability
        p = None if stated is None else constant(stated)
        if assignment.mechanism.name != "bernoulli" or p is None or not 0 < p < 1 or len(treatment.arms) != 2:
            continue
        mask = reached(bound, assignment)
        for place, block in enumerate(assignment.within):
            if block not in bound.levels:
                continue
            units = bound.element_of(assignment.to, block)[mask]
            each = bound.units(assignment.to)[mask]
            counts = np.bincount(units, each)
            treated = np.bincount(units, treatment.values[mask] * each, minlength=len(counts))
            z = excess(treated[counts > 0], counts[counts > 0], p)
            if z > FAR:
                message = (
                    f"The treated shares of {block} differ by more than tosses with probability {p:g} would have them "
                    f"({z:.1f} standard errors)."
                )
                help = "Where odds differed by design, write `complete`, or `bernoulli(COLUMN)` with each one's odds."
                yield finding("HDM322", message, (*path, "within", place), help)


def excess(treated: Reals, counts: Reals, p: float) -> float:
    """Return by how many standard errors Pearson's statistic of the shares exceeds its mean under tosses with p.

    Parameters
    ----------
    treated, counts : float array, shape (blocks,)
        Treated units and all units of each block.
    """
    spread = counts * p * (1 - p)
    statistic = float(np.sum((treated - counts * p) ** 2 / spread))
    variance = float(np.sum(2 + (1 - 6 * p * (1 - p)) / spread))
    return (statistic - len(counts)) / np.sqrt(variance) if variance > 0 else 0.0


RULES: tuple[DataRule, ...] = (shares_beyond_chance,)
