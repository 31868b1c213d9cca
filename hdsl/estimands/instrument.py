"""The effect on compliers held against the instrumental-variable estimate, which no distribution's shape bears on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design.ir import Estimand, Principal
from hdsl.diagnostics import Diagnostic
from hdsl.estimands.aggregate import Integers, weights_of
from hdsl.estimands.compute import compute
from hdsl.model.ir import Model, ModelData
from hdsl.reference.values import Array

FAR = 2.0
DRAWS = 400


def against_instrument(bound: Bound, model: Model, data: ModelData, draws: Mapping[str, Array]) -> list[Diagnostic]:
    """Return HDM717 where the model's effect on compliers is far from the instrumental-variable estimate.

    Source: Angrist, Imbens & Rubin (1996) for the estimate; Feller, Greif, Ho, Miratrix & Pillai (2019) on how a
    normal mixture misleads.
    """
    for principal in bound.study.principals:
        complier = _complier(bound, principal)
        outcomes = [v for v in bound.variables.values() if v.role == "outcome"]
        if complier is None or len(outcomes) != 1 or outcomes[0].labels:
            continue
        estimate, error = instrumental(bound, principal, outcomes[0].name)
        thinned = {name: value.reshape(1, -1, *value.shape[2:])[:, :: _step(value)] for name, value in draws.items()}
        wanted = _estimand(bound, principal, complier, outcomes[0].name)
        (found,) = compute([wanted], model, data, bound, thinned, 1)
        mean, sd = float(np.nanmean(found.draws)), float(np.nanstd(found.draws))
        if np.isfinite(estimate) and abs(mean - estimate) > FAR * error:
            return [_warning(complier, mean, sd, estimate, error)]
    return []


def _step(value: Array) -> int:
    return max(1, value.shape[0] * value.shape[1] // DRAWS)


def _warning(complier: str, mean: float, sd: float, estimate: float, error: float) -> Diagnostic:
    message = (
        f"The average effect on {complier} is {mean:.3g} (sd {sd:.2g}) by the model, but {estimate:.3g} (standard "
        f"error {error:.2g}) with the assignment as an instrument."
    )
    help_ = "The shape of the outcome's distribution may tell the strata apart, not the design: try another family."
    return Diagnostic("HDM717", message, severity="warning", help=help_)


def _complier(bound: Bound, principal: Principal) -> str | None:
    """Return the stratum that follows a two-armed treatment, None where the instrument has no such reading."""
    values = {stratum.values: stratum.name for stratum in principal.strata}
    constant = [s for s in principal.strata if len(set(s.values)) == 1]
    if len(bound.treatments[principal.treatment].arms) != 2 or (1.0, 0.0) in values:
        return None
    return values.get((0.0, 1.0)) if all(s.unaffected for s in constant) else None


def _estimand(bound: Bound, principal: Principal, complier: str, outcome: str) -> Estimand:
    def under(arm: str) -> study.Potential:
        setting = study.Setting(treatment=principal.treatment, value=study.Ref(name=arm))
        return study.Potential(outcome=outcome, settings=(setting,))

    control, treated = bound.treatments[principal.treatment].arms
    where = study.Comparison(operator="=", left=study.Ref(name=principal.name), right=study.Ref(name=complier))
    difference = study.Operation(operator="-", left=under(treated), right=under(control))
    value = study.Aggregate(aggregate="average", over=bound.row, where=where, of=difference)
    return Estimand(name="complier_effect", index=(), value=value)


def instrumental(bound: Bound, principal: Principal, outcome: str) -> tuple[float, float]:
    """Return the instrumental-variable estimate of the effect of the intermediate, and its robust standard error.

    Everything is taken around the means of the blocks within which the treatment was assigned; the error allows for
    dependence within the units to which it was assigned.
    """
    weights = weights_of(bound)
    treatment, seen = bound.treatments[principal.treatment], bound.variables[principal.intermediate]
    block, unit = _blocks(bound, principal.treatment)

    def centred(level: str, values: Array) -> Array:
        rows = np.asarray(bound.at_rows(level, values), dtype=np.float64)
        total = np.bincount(block, weights)
        return rows - (np.bincount(block, weights * rows) / np.where(total > 0, total, 1.0))[block]

    z, d = centred(treatment.level, treatment.values), centred(seen.level, seen.values)
    y = centred(bound.variables[outcome].level, bound.variables[outcome].values)
    followed = float(np.sum(weights * z * d))
    if followed == 0:
        return np.nan, np.nan
    estimate = float(np.sum(weights * z * y)) / followed
    scores = z * (y - estimate * d)
    each = np.sqrt(weights) * scores if _weights_are_counts(weights) else np.bincount(unit, weights * scores)
    return estimate, float(np.sqrt(np.sum(each**2)) / abs(followed))


def _weights_are_counts(weights: Array) -> bool:
    """Return whether the weights are counts of identical rows, each of a unit of its own."""
    return bool(np.all(weights == np.floor(weights)) and np.any(weights > 1))


def _blocks(bound: Bound, treatment: str) -> tuple[Integers, Integers]:
    within = [name for a in bound.study.assignments if a.treatment == treatment for name in a.within]
    codes = np.zeros(bound.rows, np.int64)
    for name in within:
        _, found = np.unique(codes * bound.levels[name].size + bound.levels[name].rows, return_inverse=True)
        codes = found.astype(np.int64)
    return codes, bound.levels[bound.treatments[treatment].level].rows
