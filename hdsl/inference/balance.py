"""Overlap and balance: whether the arms have comparable units, before and after the use of propensity scores.

Sources: Austin (2009) for standardised mean differences; Crump, Hotz, Imbens & Mitnik (2009) for limited overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Bound, Reals
from hdsl.diagnostics import Diagnostic
from hdsl.inference.groups import Group, Named
from hdsl.model.derive.calibration import Calibration
from hdsl.model.derive.propensity import (
    EDGE,
    Score,
    calibration_of,
    covariate_columns,
    scores_of,
    strata_of,
    weights_of,
)
from hdsl.reference.values import Array

OUTSIDE = 0.05
EFFECTIVE = 0.2
BALANCED = 0.1
CHANCE = "chance"


@dataclass(frozen=True)
class Balance:
    """What a treatment's propensity score does to its covariates.

    Attributes
    ----------
    names : tuple of str
        The covariates, and the log odds of the score last.
    before, after : float array, shape (names,)
        Standardised mean differences between the arms; `after` is the mean over draws of the scores.
    treated : float array, shape (units,)
    chances : float array, shape (score draws, units)
    outside : float
        The share of units with a score that no unit of the other arm reaches, at the mean scores.
    empty : tuple of int
        Strata, from 1, that lack an arm in most draws of the scores.
    effective : tuple of float
        The effective share of the units of each arm when they are weighted.
    """

    treatment: str
    use: str
    names: tuple[str, ...]
    before: Reals
    after: Reals
    treated: Reals
    chances: Array
    outside: float
    empty: tuple[int, ...]
    effective: tuple[float, float]


def balances(bound: Bound, chances: Mapping[str, Array]) -> tuple[Balance, ...]:
    """Return the balance of each treatment with a propensity score.

    Parameters
    ----------
    chances : mapping
        Treatment to draws of its units' probabilities, shape (score draws, units).
    """
    return tuple(_balance(bound, score, chances[score.treatment.name]) for score in scores_of(bound))


def _balance(bound: Bound, score: Score, chances: Array) -> Balance:
    treated, inner = score.treated, np.clip(chances, EDGE, 1 - EDGE)
    columns, to = covariate_columns(bound, score), calibration_of(bound, score)
    used = [weights_of(treated, chance, to) for chance in inner] if score.statement.use == "weight" else list(inner)
    before, after = list[float](), list[float]()
    for _, values in columns:
        before.append(difference(values, treated))
        after.append(float(np.mean([adjusted(values, treated, each, score) for each in used])))
    odds = np.log(inner / (1 - inner))
    before.append(float(np.mean([difference(each, treated) for each in odds])))
    after.append(float(np.mean([adjusted(o, treated, each, score) for o, each in zip(odds, used, strict=True)])))
    mean = inner.mean(axis=0)
    return Balance(
        score.treatment.name,
        score.statement.use,
        (*(name for name, _ in columns), score.name),
        np.array(before),
        np.array(after),
        treated,
        chances,
        outside_of(mean, treated),
        _empty(inner, treated, score.strata) if score.statement.use == "strata" else (),
        _effective(mean, treated, to),
    )


def difference(values: Reals, treated: Reals, weights: Reals | None = None) -> float:
    """Return the (weighted) difference of means in units of the arms' average standard deviation before weighting."""
    w = np.ones(len(values)) if weights is None else weights
    on, off = treated == 1, treated == 0
    gap = np.average(values[on], weights=w[on]) - np.average(values[off], weights=w[off])
    return float(gap / _scale(values, treated))


def _scale(values: Reals, treated: Reals) -> float:
    spread = [values[treated == arm].var(ddof=1) if (treated == arm).sum() > 1 else 0.0 for arm in (0, 1)]
    return float(np.sqrt(np.mean(spread))) or 1.0


def adjusted(values: Reals, treated: Reals, used: Reals, score: Score) -> float:
    """Return the standardised mean difference that is left once the score is used as the study says.

    `used` are the units' weights where the score is used as such, else their chances.
    """
    match score.statement.use:
        case "weight":
            return difference(values, treated, used)
        case "covariate":
            design = np.column_stack([np.ones(len(values)), treated, np.log(used / (1 - used))])
            return float(np.linalg.lstsq(design, values, rcond=None)[0][1] / _scale(values, treated))
        case "strata":
            return _within_strata(values, treated, strata_of(used, score.strata)) / _scale(values, treated)


def _within_strata(values: Reals, treated: Reals, strata: np.ndarray) -> float:
    """Return the difference of means within strata that have both arms, averaged by their numbers of units."""
    gaps, sizes = list[float](), list[int]()
    for stratum in np.unique(strata):
        own = strata == stratum
        on, off = values[own & (treated == 1)], values[own & (treated == 0)]
        if on.size and off.size:
            gaps.append(float(on.mean() - off.mean()))
            sizes.append(int(own.sum()))
    return float(np.average(gaps, weights=sizes)) if gaps else float("nan")


def outside_of(chance: Reals, treated: Reals) -> float:
    """Return the share of units with scores outside the range that both arms have."""
    on, off = chance[treated == 1], chance[treated == 0]
    low, high = max(on.min(), off.min()), min(on.max(), off.max())
    return float(np.mean((chance < low) | (chance > high)))


def _empty(chances: Array, treated: Reals, strata: int) -> tuple[int, ...]:
    lacking = np.zeros(strata)
    for chance in chances:
        own = strata_of(chance, strata)
        for arm in (0, 1):
            lacking += np.bincount(own[treated == arm], minlength=strata) == 0
    return tuple(int(place) + 1 for place in np.flatnonzero(lacking > len(chances) / 2))


def _effective(chance: Reals, treated: Reals, to: Calibration | None) -> tuple[float, float]:
    weights = weights_of(treated, chance, to)
    off, on = (float(weights[treated == arm].sum() / max((treated == arm).sum(), 1)) for arm in (0, 1))
    return off, on


def warnings_of(balance: Balance) -> list[Diagnostic]:
    """Return HDM725 (little overlap), HDM726 (strata with one arm), HDM727 (covariates still out of balance)."""
    name, found = balance.treatment, list[Diagnostic]()
    if balance.outside > OUTSIDE:
        message = f"{balance.outside:.0%} of the units have a propensity of `{name}` that no unit of the other arm has."
        help_ = "Their effects rest on the model alone. Ask for those where both arms are: `where ...` in the estimand."
        found.append(Diagnostic("HDM725", message, severity="warning", help=help_))
    if balance.use == "weight" and min(balance.effective) < EFFECTIVE:
        message = f"Weighted by the propensity of `{name}`, an arm counts as {min(balance.effective):.0%} of its units."
        help_ = "A few units with small chances decide. Use `as strata(5)` or `as covariate`, or fewer terms."
        found.append(Diagnostic("HDM725", message, severity="warning", help=help_))
    if balance.empty:
        listed = ", ".join(map(str, balance.empty))
        message = f"Strata of the propensity of `{name}` that have one arm only: {listed}."
        help_ = "The effect there is known by its prior alone. Use fewer strata, or units where both arms are."
        found.append(Diagnostic("HDM726", message, severity="warning", help=help_))
    left = np.flatnonzero(np.abs(balance.after[:-1]) > BALANCED)
    if left.size:
        listed = ", ".join(f"{balance.names[i]} {balance.after[i]:.2f}" for i in left[:6])
        message = f"Given the propensity of `{name}` the arms still differ, in standard deviations: {listed}."
        help_ = "Add terms (`x^2`, `x * w`, `spline(x)`) or strata, and name these covariates in `adjust for`."
        found.append(Diagnostic("HDM727", message, severity="warning", help=help_))
    return found


def group(found: tuple[Balance, ...]) -> Group:
    """Return scores and balance as a group: for each treatment its chances, arms, names and differences."""
    arrays: dict[str, Named] = {}
    labels: dict[str, Named] = {}
    for each in found:
        name, unit, covariate = each.treatment, f"{each.treatment}_unit", f"{each.treatment}_covariate"
        labels[covariate] = Named((covariate,), np.asarray(each.names, dtype=str))
        arrays[f"{name}_{CHANCE}"] = Named(("score_draw", unit), np.asarray(each.chances))
        arrays[f"{name}_treated"] = Named((unit,), each.treated)
        arrays[f"{name}_before"] = Named((covariate,), each.before)
        arrays[f"{name}_after"] = Named((covariate,), each.after)
    return Group(arrays, labels, {"treatments": ", ".join(each.treatment for each in found)})
