"""Propensity scores and balance of a result, as it keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hdsl.design.levels import treatment as treatment_named
from hdsl.design.snippets import StudyError
from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.report.result import Result

Reals = NDArray[np.float64]
GROUP = "propensity"


@dataclass(frozen=True)
class Scores:
    """The scores of one treatment.

    Attributes
    ----------
    arms : tuple of str
    chances : float array, shape (units,)
        Mean over draws of the probability of the second arm.
    treated : float array, shape (units,)
    names : tuple of str
        Covariates, and the score itself last.
    before, after : float array, shape (names,)
        Standardised mean differences.
    """

    treatment: str
    arms: tuple[str, ...]
    chances: Reals
    treated: Reals
    names: tuple[str, ...]
    before: Reals
    after: Reals


def treatments_in(result: Result) -> tuple[str, ...]:
    """Return the treatments that have propensity scores."""
    group = result.kept.groups.get(GROUP)
    return () if group is None else tuple(str(group.notes["treatments"]).split(", "))


def scores_in(result: Result, treatment: str | None = None) -> Scores:
    """Return the scores of a treatment, by default of the first that has some.

    Raises
    ------
    StudyError
        HDM118: there are none.
    """
    known = treatments_in(result)
    name = treatment or (known[0] if known else "")
    if name not in known:
        what = f"`{name}`" if name else "any treatment"
        help_ = "It is asked for by `analysis { propensity for z with x, ... as weight }`."
        raise StudyError([Diagnostic("HDM118", f"The study has no propensity score of {what}.", help=help_)])
    group = result.kept.groups[GROUP]
    arrays = {each: named.values for each, named in (*group.arrays.items(), *group.labels.items())}
    declared = treatment_named(result.study, name)
    arms = () if declared is None else tuple(arm.name for arm in declared.arms)
    return Scores(
        name,
        arms,
        arrays[f"{name}_chance"].mean(axis=0),
        arrays[f"{name}_treated"],
        tuple(str(each) for each in arrays[f"{name}_covariate"]),
        arrays[f"{name}_before"],
        arrays[f"{name}_after"],
    )


def balance_rows(result: Result) -> tuple[tuple[str, str, float, float], ...]:
    """Return treatment, covariate, and standardised mean difference before and after, for all scores of a result."""
    found: list[tuple[str, str, float, float]] = []
    for name in treatments_in(result):
        scores = scores_in(result, name)
        rows = zip(scores.names, scores.before.tolist(), scores.after.tolist(), strict=True)
        found += [(name, covariate, before, after) for covariate, before, after in rows]
    return tuple(found)
