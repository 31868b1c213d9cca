"""Quantile regression: each quantile of the outcome has a linear predictor and coefficients of its own.

The likelihood is the asymmetric Laplace law, whose location is the quantile and whose mode minimises the check
loss; several quantiles are independent of each other given the data.
Source: Yu & Moyeed (2001), Statistics & Probability Letters 54.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hdsl.data.bound import BoundVariable
from hdsl.design import expr as study
from hdsl.design.ir import Family, Propensity, StudyFields
from hdsl.diagnostics import Diagnostic
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import Priors, halfnormal
from hdsl.model.derive.scales import Scale
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Dims, Expr, Law, Model, const
from hdsl.model.working import Working, working_of

DIM = "quantile"
INTERVALS = "intervals"
CORRECTED, WORKING = "corrected", "working"
UNCORRECTED = (
    "They may be far too narrow or too wide. Leave out what stands in the way, or model the whole distribution and ask "
    "for `quantile(q) over ... of ...`."
)


def probabilities_of(law: study.Call) -> tuple[float, ...]:
    """Return the probabilities of `quantile(...)`, which the checks have found to be in order."""
    found = tuple(arg.value for arg in law.args if isinstance(arg, study.Number))
    if not found or len(found) < len(law.args) or any(option.name != INTERVALS for option in law.options):
        raise NotDerivable("HDM626", "`quantile` takes probabilities between 0 and 1.", "For instance `quantile(0.5)`.")
    return found


def wants_correction(design: StudyFields) -> bool:
    """Return whether the outcome has a family of quantiles whose intervals are to be corrected."""
    laws = [item.law for item in design.analysis if isinstance(item, Family)]
    return bool(laws) and laws[-1].function == "quantile" and not keeps_working(laws[-1])


def keeps_working(law: study.Call) -> bool:
    """Return whether `quantile(...)` asks for the intervals of its likelihood as they are."""
    return any(option.name == INTERVALS and option.value == study.Ref(name=WORKING) for option in law.options)


def uncorrected(design: StudyFields, model: Model) -> list[Diagnostic]:
    """Return HDM425 where intervals of quantiles should be corrected and cannot be, or rest on explicit equations."""
    found = working_of(model)
    if found is None or not (wants_correction(design) or design.equations):
        return []
    reason = _why_not(design, found)
    if reason is None:
        return []
    outcome = model.response.outcome
    message = f"The intervals of the quantiles of {outcome} are not corrected for the working likelihood: {reason}."
    return [Diagnostic("HDM425", message, severity="warning", help=UNCORRECTED)]


def _why_not(design: StudyFields, found: Working | str) -> str | None:
    if design.equations:
        return "explicit equations are taken at their word"
    if any(isinstance(item, Propensity) for item in design.analysis):
        return "propensity scores are fitted before it"
    return found if isinstance(found, str) else None


def free_dims(draft: Draft, probabilities: Sequence[float]) -> Dims:
    """Return the index set of the quantiles, none where there is one."""
    if len(probabilities) < 2:
        return ()
    return (draft.index_set(DIM, [f"{p:g}" for p in probabilities], "terms"),)


def quantile_law(
    draft: Draft, predictor: Expr, probabilities: Sequence[float], free: Dims, scale: Scale, priors: Priors
) -> Law:
    """Return the law of the outcome at its quantiles, adding the scale of the check loss, `residual`."""
    prior = priors.positive(halfnormal(2 * scale.sd), "residual")
    spread = draft.random("residual", prior, free, "scale of the weighted distances from the quantile")
    draft.report("residual", spread)
    wanted: Expr = const(probabilities[0])
    if free:
        wanted = draft.slot("probability", free, np.array(probabilities), source="which quantiles")
    return Law(distribution="asymmetric_laplace", args=(predictor, spread, wanted))


def repeated(draft: Draft, variable: BoundVariable, free: Dims) -> str:
    """Return the name of a slot with a variable's values once for each quantile, (rows, quantiles)."""
    dims = (draft.level(draft.bound.row), *free)
    count = len(draft.coords[free[0]])
    table = np.repeat(np.asarray(variable.values, dtype=np.float64)[:, None], count, axis=1)
    text = f"{variable.name} at quantiles"
    return draft.slot(text, dims, table, variable=variable.name, source=f"{variable.name}, for each quantile").name


def repeated_weight(draft: Draft, free: Dims) -> str | None:
    """Return the name of the slot of the rows' weights once for each quantile, None without a weight."""
    for variable in draft.bound.variables.values():
        if variable.role == "weight":
            return repeated(draft, variable, free)
    return None
