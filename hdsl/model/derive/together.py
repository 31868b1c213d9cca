"""The observations of an outcome whose rows go together, with the margin of each row."""

from __future__ import annotations

import numpy as np

from hdsl.data.bound import BoundVariable
from hdsl.design import ir
from hdsl.model.derive import serial, unstructured
from hdsl.model.derive.amendments import Amendments
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.lags import moves
from hdsl.model.derive.priors import Priors
from hdsl.model.derive.scales import Family, Scale
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Expr, Law, Observation, var


def correlated(draft: Draft, amendments: Amendments, outcome: BoundVariable, family: Family) -> ir.Correlate | None:
    """Return how the rows of an outcome go together, None where each goes by itself; NotDerivable where they cannot."""
    if len(amendments.correlations) > 1:
        raise NotDerivable("HDM634", "Only one `correlate` can be stated.", "Keep one of them.")
    for stated in amendments.correlations:
        serial.check(draft.bound, stated, outcome, family)
        if stated.structure == "unstructured" and moves(draft.bound, outcome.name):
            message = f"`{serial.text_of(stated)}` beside `lag({outcome.name})` is not derived."
            raise NotDerivable("HDM634", message, "Correlate `as ar1`, or leave one of the two out.")
        varied = [vary.across[0] for vary in amendments.varying if vary.across[0] == stated.within]
        if varied and stated.structure == "unstructured":
            raise NotDerivable(
                "HDM634",
                f"`{serial.text_of(stated)}` has every effect that varies across {stated.within} within it.",
                f"Leave out `vary ... across {stated.within}`, or correlate `as ar1`.",
            )
        return stated
    return None


def latent(draft: Draft, statement: ir.Correlate | None, family: Family, scale: Scale, priors: Priors) -> Expr | None:
    """Return the effects on the linear predictor, at the rows, that go together; None for correlated residuals."""
    if statement is None or family.name in serial.RESIDUALS:
        return None
    made = unstructured if statement.structure == "unstructured" else serial
    return made.latent(draft, statement, scale, priors)


def separate_spreads(
    draft: Draft, statement: ir.Correlate, family: Family, amendments: Amendments, scale: Scale, priors: Priors
) -> unstructured.Covariance:
    """Return the unstructured covariance of residuals; HDM628 where another spread is stated beside it."""
    if any((amendments.variance_by, amendments.variance_with, amendments.variance_across)):
        message = f"`{serial.text_of(statement)}` has a spread of its own at each occasion."
        raise NotDerivable("HDM628", message, "Leave `variance of ...` out, or correlate `as ar1`.")
    if family.name != "normal":
        help_ = f"Declare the logarithm of {statement.outcome} as a `real` outcome, or correlate `as ar1`."
        message = f"`{serial.text_of(statement)}` is not derived for the family {family.name}."
        raise NotDerivable("HDM634", message, help_)
    return unstructured.covariance(draft, statement, "residual", 2 * scale.sd, priors)


def observe(
    draft: Draft,
    statement: ir.Correlate,
    outcome: BoundVariable,
    margin: Observation,
    priors: Priors,
    made: unstructured.Covariance | None,
) -> None:
    """Add the observations of an outcome whose rows go together: a sequence, or joint laws of a unit's rows."""
    _check_weight(draft, statement, margin, joint=made is not None)
    if made is not None:
        mean = margin.law.args[0]
        draft.observations.extend(unstructured.observations(draft, statement, outcome, mean, made, margin.reason))
        unit, wave = statement.within, made.wave
        pair = f"corr({outcome.name}, {outcome.name}') within {unit}"
        together = f"{pair} = corr(residual, {unit})[{wave}, {wave}']"
        why = f"each two {wave}s have a correlation of their own: in place of what varies across {unit}"
        update = {"name": draft.name("margin"), "together": together, "together_reason": why}
        draft.margins.append(margin.model_copy(update=update))
        return
    found = serial.sequence(draft, statement, outcome, margin.law, var(margin.slot), priors)
    draft.observations.append(margin.model_copy(update={"law": found.law, "sequence": margin.sequence or found.ranks}))
    update = {"name": draft.name("margin"), "together": found.together, "together_reason": found.reason}
    draft.margins.append(margin.model_copy(update=update))


def margin_law(predictor: Expr, spread: Expr) -> Law:
    """Return the law of a row by itself under an unstructured covariance."""
    return Law(distribution="normal", args=(predictor, spread))


def _check_weight(draft: Draft, statement: ir.Correlate, margin: Observation, *, joint: bool) -> None:
    if margin.weight is None:
        return
    weights = draft.values[margin.weight]
    unit = draft.bound.levels[statement.within]
    if joint or not np.array_equal(weights[unit.first_rows][unit.rows], weights):
        message = f"`{serial.text_of(statement)}`: a weight must be the same for all rows of one {unit.name}."
        help_ = "" if not joint else "Under `as unstructured` there can be no weight."
        raise NotDerivable("HDM633", message, help_)
