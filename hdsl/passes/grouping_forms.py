"""How far the intercepts of a grouping are centred where neither the centred nor the non-centred form suits them.

z ~ normal(0, (sd / u)^w), deviation = u (sd / u)^(1 - w) z, u a typical value of sd: non-centred for w = 0, and the
more centred the nearer w is to 1. Deviation and spread are least entangled for w = r / (1 + r), r the data's
information on a deviation times the variance of its law (Papaspiliopoulos, Roberts & Skold 2007). The variance is
by moments (DerSimonian & Laird 1986), of units from the finest grouping upwards: what varies between rooms is not
taken for what varies between schools. r is at its lower bound, for where a spread may be near zero any part that is
centred brings back the funnel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdsl.model.functions import dims_of
from hdsl.model.ir import Model, ModelData, RandomVariable
from hdsl.passes.informed import GAUSSIAN, membership, moments
from hdsl.passes.whereabouts import by_row, fitted, linear_place
from hdsl.reference.density import definitions
from hdsl.reference.values import Array

LEAST = 0.25
FEWEST = 5
Codes = NDArray[np.int64]


class Form(NamedTuple):
    """How far a grouping is centred, and the typical spread between its units."""

    share: float
    typical: float


class _Rows(NamedTuple):
    """What each row says of its linear predictor: an estimate, and its information; and its unit of each level."""

    estimate: Array
    information: Array
    units: Mapping[str, Codes]


def grouping_forms(model: Model, data: ModelData, varying: Sequence[RandomVariable]) -> dict[str, Form]:
    """Return the forms of the intercepts that are partly centred, by name.

    Of a model with one outcome in rows, in which intercepts are all that varies, by normal laws. A grouping of fewer
    than `FEWEST` units stays as it is, and so do all that are finer than one that stays.
    """
    levels = {variable.dims[0]: variable for variable in varying}
    if len(levels) < len(varying) or not all(_intercept(variable) for variable in varying):
        return {}
    with np.errstate(all="ignore"):
        rows = _rows(model, data, list(levels))
        forms = {} if rows is None else _forms(rows, model.sizes)
    return {levels[level].name: form for level, form in forms.items()}


def _intercept(variable: RandomVariable) -> bool:
    alone = variable.law.distribution == "normal" and len(variable.dims) == 1
    return alone and variable.role.startswith("deviation(intercept, ")


def _rows(model: Model, data: ModelData, levels: Sequence[str]) -> _Rows | None:
    """Return one Newton step from the coefficients' mode for each row; None where rows have no linear predictor."""
    if len(model.observations) != 1 or model.factors:
        return None
    (observation,) = model.observations
    place, gaussian = linear_place(observation.law), observation.law.distribution in GAUSSIAN
    if place is None or len(observation.dims) != 1 or (gaussian and dims_of(observation.law.args[-1], model.dims_of())):
        return None
    units = {level: membership(model, data, observation.dims, level) for level in levels}
    known = {level: codes for level, codes in units.items() if codes is not None}
    slope, information = by_row(model, observation, place, definitions(model, data, fitted(model, data)))
    if len(known) < len(units) or not np.any(information > 0):
        return None
    told = information > 0
    rows = _Rows(slope[told] / information[told], information[told], {k: v[told] for k, v in known.items()})
    return _of_the_rest(rows, max(rows.units.values(), key=np.max)) if gaussian else rows


def _of_the_rest(rows: _Rows, finest: Codes) -> _Rows:
    """Return the rows with the variance of a Gaussian outcome within the finest units, not that of all rows."""
    freedom = len(finest) - len(np.unique(finest))
    left = rows.estimate - _average(finest, *rows[:2])[0][finest]
    variance = float(np.sum(rows.information * left**2)) / freedom if freedom else 1.0
    return rows._replace(information=rows.information / (variance or 1.0))


def _forms(rows: _Rows, sizes: Mapping[str, int]) -> dict[str, Form]:
    """Return the forms of the levels from the coarsest up to the first that stays."""
    found: dict[str, Form] = {}
    known: dict[str, Array] = {}
    for level in sorted(rows.units, key=lambda each: -sizes[each]):
        coarser = [other for other in rows.units if sizes[other] < sizes[level]]
        left = rows.estimate
        for other in coarser:
            left = left - _average(rows.units[other], left, rows.information)[0][rows.units[other]]
        estimate, information = _pooled(rows._replace(estimate=left), level, known)
        variance, low = moments(estimate, information, max(sum(sizes[other] for other in coarser), 1))
        known[level] = 1 / (1 / information + variance)
        ratio = low * float(np.median(information))
        share = round(ratio / (1 + ratio), 2)
        if share >= LEAST and np.sum(information > 0) >= FEWEST:
            found[level] = Form(share, float(f"{variance**0.5:.2g}"))
    first = min((sizes[level] for level in rows.units if level not in found), default=np.inf)
    return {level: form for level, form in found.items() if sizes[level] <= first}


def _within(finer: Codes, coarser: Codes) -> bool:
    """Return whether each unit of one level lies in one unit of the other."""
    return np.array_equal(_parents(finer, coarser)[finer], coarser)


def _pooled(rows: _Rows, level: str, known: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return the estimate of each unit of a level and its information, through the units of levels within it.

    `known` is the information of the finer levels' units on what they lie in, their own spread taken into account.
    """
    codes = rows.units[level]
    for inner in reversed(list(known)):
        if _within(rows.units[inner], codes):
            finer = {name: known[name] for name in known if name != inner}
            return _average(_parents(rows.units[inner], codes), _pooled(rows, inner, finer)[0], known[inner])
    return _average(codes, rows.estimate, rows.information)


def _parents(finer: Codes, coarser: Codes) -> Codes:
    found = np.zeros(int(finer.max()) + 1, dtype=np.int64)
    found[finer] = coarser
    return found


def _average(codes: Codes, estimate: Array, information: Array) -> tuple[Array, Array]:
    """Return the weighted mean in each unit, and its information; nought where a unit has none."""
    whole = np.bincount(codes, information)
    return np.bincount(codes, information * estimate) / np.where(whole > 0, whole, 1.0), whole
