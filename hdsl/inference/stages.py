"""Two-stage fits: the outcome model at estimated propensity scores, with intervals of both stages together.

The outcome model is fitted with the scores at the mean of their coefficients' draws. Its draws would leave out that the
scores were estimated, and a weighted likelihood does not vary as its curvature says. They are therefore moved to the
covariance that estimates have when the estimating equations of both stages are solved together: a sandwich whose meat
is the score of the outcome's model plus what each unit does to it through the propensity scores (Newey & McFadden 1994,
section 6, on estimation in steps; Lunceford & Davidian 2004 on weights). Estimated scores balance the covariates of the
units at hand better than true ones would, so that this is less than scores taken as known would have (Rosenbaum 1987;
Hirano, Imbens & Ridder 2003). Moving draws to a sandwich is the way of Williams & Savitsky (2021) with survey weights.

Where the outcome's model is none of which the sandwich is known, the posterior is the mixture over draws of the scores
(`hdsl.inference.propensity`), which the result says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hdsl.backend import Backend, Progress, Settings
from hdsl.data.bound import Bound
from hdsl.diagnostics import Diagnostic
from hdsl.inference.calibrated import tilting, unpulled
from hdsl.inference.fit import Fit, fit
from hdsl.inference.linearised import flat_draws, location, precision, row_weights, unflat_draws
from hdsl.inference.propensity import Staged, drawn_chances, first_stages, mixture
from hdsl.inference.working import principal_root
from hdsl.model.derive.propensity import EDGE, calibration_of, scores_of, weights_of, with_values
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Model, ModelData, RandomVariable
from hdsl.model.working import Working, linear_of, working_of
from hdsl.reference.density import definitions, law_references, reported
from hdsl.reference.distributions import log_density
from hdsl.reference.special import inv_logit
from hdsl.reference.values import Array, Value, broadcast, evaluate, scalar

MOST_SCORE_COEFFICIENTS = 200
STEP = 1e-4
CORRECTED = (
    "The intervals take into account that the propensity scores were estimated from the same units as the effects "
    "(stacked estimating equations: Lunceford & Davidian 2004)."
)
UNCORRECTED = (
    "The outcome's model was fitted for each of several draws of the propensity scores, whose uncertainty is added; "
    "such intervals tend to be too wide"
)
HOW = "the outcome model fitted with the propensity scores at the mean of their model's draws"
COUNTED = "weights count rows, and the scores were estimated from rows that do not count"


@dataclass(frozen=True)
class Assigned:
    """The first stage at the mean of its draws.

    Attributes
    ----------
    design : float array, shape (units, coefficients)
    log_odds : float array, shape (units,)
    covariance, precision : float array, shape (coefficients, coefficients)
        Of the coefficients, and of their laws.
    free : int
        The number of coefficients that are not pooled.
    """

    design: Array
    log_odds: Array
    covariance: Array
    precision: Array
    free: int

    @property
    def chances(self) -> Array:
        """The probability of each unit to be treated."""
        return inv_logit(self.log_odds)

    @property
    def axes(self) -> Array:
        """The principal axes of the coefficients' covariance, each one standard deviation long, in columns."""
        values, vectors = np.linalg.eigh(self.covariance)
        return vectors * np.sqrt(np.maximum(values, 0.0))


@dataclass(frozen=True)
class Rows:
    """What the rows say of the coefficients, at their means.

    Attributes
    ----------
    design : float array, shape (rows, coefficients)
    slope, curvature : float array, shape (rows,)
        Derivatives of each row's log likelihood by its location, times its weight: the first, minus the second.
    """

    design: Array
    slope: Array
    curvature: Array

    @property
    def score(self) -> Array:
        """The derivative of the log likelihood by the coefficients, shape (rows, coefficients)."""
        return self.design * self.slope[:, None]


def fit_in_stages(
    bound: Bound,
    model: Model,
    data: ModelData,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Staged | Diagnostic:
    """Estimate propensity scores, then draw from the outcome model with intervals that take both into account.

    Quantiles are a mixture, as their likelihood is a working one beside (HDM425).

    Raises
    ------
    SamplingFailed
        The backend gave no usable draws.
    """
    assignment = first_stages(bound, backend, settings, progress)
    if isinstance(assignment, Diagnostic):
        return assignment
    reason = why_not(bound, model, assignment)
    if reason is None:
        own = replace(settings, seed=settings.seed + 1000)
        found = fit(model, with_values(bound, model, data, typical(assignment)), backend, own, progress)
        if isinstance(found, Diagnostic):
            return found
        moved = with_both_stages(bound, found, assignment)
        if moved is not None:
            return Staged(moved, (), drawn_chances(assignment), assignment)
        reason = "the curvature of its likelihood is not definite"
    mixed = mixture(bound, model, data, assignment, backend, settings, progress)
    if isinstance(mixed, Diagnostic) or working_of(model) is not None:
        return mixed
    return replace(mixed, fit=replace(mixed.fit, intervals=f"{UNCORRECTED}: {reason}."))


def why_not(bound: Bound, model: Model, assignment: Mapping[str, Fit]) -> str | None:
    """Return why the covariance of estimates is not known, in words; None where it is."""
    if any(v.role == "weight" and v.kind == "count" for v in bound.variables.values()):
        return COUNTED
    for score in scores_of(bound):
        name = score.treatment.name
        if score.treatment.level != bound.row:
            return f"`{name}` is a treatment of groups of rows"
        found = linear_of(assignment[name].model)
        if isinstance(found, str):
            return f"in the model of `{name}`, {found}"
        if _size(found.coefficients, assignment[name].model) > MOST_SCORE_COEFFICIENTS:
            return f"the score of `{name}` has more than {MOST_SCORE_COEFFICIENTS} coefficients"
    found = linear_of(model)
    return f"of the outcome, {found}" if isinstance(found, str) else None


def typical(assignment: Mapping[str, Fit]) -> dict[str, Array]:
    """Return each unit's probability to be treated at the mean of the coefficients' draws, by treatment, (units,)."""
    return {name: _assigned(found).chances for name, found in assignment.items()}


def with_both_stages(bound: Bound, found: Fit, assignment: Mapping[str, Fit]) -> Fit | None:
    """Return a fit at typical scores with its draws moved about their mean; None where its curvature is not definite.

    `why_not` must have no reason against it.
    """
    working = linear_of(found.model)
    assert isinstance(working, Working)
    try:
        matrix = moving(bound, found, working, assignment)
    except np.linalg.LinAlgError:
        return None
    flat = flat_draws(found.parameters, working)[:, :, 0]
    middle = flat.mean(axis=(0, 1))
    new = (middle + (flat - middle) @ matrix.T)[:, :, None]
    parameters = {**found.parameters, **unflat_draws(new, found.parameters, working)}
    roles = reported(found.model, found.data, parameters)
    return replace(
        found,
        parameters=parameters,
        roles=roles,
        likelihood=found.parameters,
        intervals=CORRECTED,
        how=f"{HOW}; {found.how}" if found.how else HOW,
    )


def moving(bound: Bound, found: Fit, working: Working, assignment: Mapping[str, Fit]) -> Array:
    """Return the matrix that takes the draws' covariance to that of estimates, shape (coefficients, coefficients).

    With V the inverse curvature of the outcome's model, U the sum of its rows' scores u_i, s_i their scores in the
    first stage, V1 the inverse curvature of that and C = (dU / d gamma) V1, estimates have the covariance V K V, K =
    var(u_i + C s_i) + P + C P1 C', where P and P1 are the precisions of the coefficients' laws. Draws have V. What
    calibrated weights add is in `hdsl.inference.calibrated`.
    """
    scores = scores_of(bound)
    stages = {name: _assigned(each) for name, each in assignment.items()}
    here_chances = {name: stage.chances for name, stage in stages.items()}
    middle = flat_draws(found.parameters, working)[:, :, 0].mean(axis=(0, 1))

    medians = {name: np.median(value, axis=(0, 1), keepdims=True) for name, value in found.parameters.items()}
    means = {name: value.mean(axis=(0, 1)) for name, value in found.parameters.items()}
    typical_draw = replace(found, parameters=medians)

    def at(chances: Mapping[str, Array]) -> Rows:
        data = with_values(bound, found.model, found.data, chances)
        return _rows(replace(typical_draw, data=data), working, middle, means)

    here, own = at(here_chances), precision(typical_draw, working)[0]
    curvature = (here.design * here.curvature[:, None]).T @ here.design + own
    total, laws, free = here.score, own.copy(), _size(working.free, found.model)
    for score in scores:
        stage = stages[score.treatment.name]
        balanced = calibration_of(bound, score)
        if balanced is not None:
            weight = weights_of(score.treated, np.clip(stage.chances, EDGE, 1 - EDGE), balanced) * balanced.base
            total = unpulled(total, here.design, here.curvature, np.linalg.inv(curvature))
            total = total + tilting(here.score, weight, score.treated, balanced)
            free += 2 * balanced.columns.shape[1] - _size(working.free, found.model)
        carried = _changes(score.treatment.name, stage, here_chances, at) @ stage.axes.T
        total = total + (score.treated - stage.chances)[:, None] * stage.design @ carried.T
        laws += carried @ stage.precision @ carried.T
        free += stage.free
    variance = total.T @ total * (len(total) / max(len(total) - free, 1)) + laws
    return principal_root(curvature, variance)


def _changes(
    name: str, stage: Assigned, chances: Mapping[str, Array], at: Callable[[Mapping[str, Array]], Rows]
) -> Array:
    """Return how the sum of scores changes by one standard deviation along each axis, (coefficients, axes)."""
    found: list[Array] = []
    for axis in stage.axes.T:
        shift = stage.design @ axis
        up, down = (at({**chances, name: inv_logit(stage.log_odds + sign * shift)}) for sign in (1, -1))
        found.append((up.score.sum(axis=0) - down.score.sum(axis=0)) / 2)
    return np.column_stack(found)


def _assigned(found: Fit) -> Assigned:
    working = linear_of(found.model)
    assert isinstance(working, Working)
    (design,), (offset,) = location(found, working)
    (own,) = precision(found, working)
    log_odds = offset + design @ flat_draws(found.parameters, working)[:, :, 0].mean(axis=(0, 1))
    chances = inv_logit(log_odds)
    covariance = np.linalg.inv((design * (chances * (1 - chances))[:, None]).T @ design + own)
    return Assigned(design, log_odds, covariance, own, _size(working.free, found.model))


def _rows(found: Fit, working: Working, middle: Array, means: Mapping[str, Array]) -> Rows:
    """Return what the rows say at coefficients `middle`, all else at the means of its draws."""
    observation, law = working.observation, working.observation.law
    (design,), (offset,) = location(found, working)
    env = definitions(found.model, found.data, means, law_references(law))
    args = [evaluate(arg, env) for arg in law.args]
    known = DISTRIBUTIONS[law.distribution]
    scale = args[known.parameters.index(known.scale)] if known.scale else scalar(1.0)
    step = STEP * broadcast(scale, observation.dims, found.model.sizes)
    weight = row_weights(found, working)

    def at(where: Array) -> Array:
        moved = [*args[: working.place], Value(observation.dims, where), *args[working.place + 1 :]]
        density = log_density(law.distribution, env[observation.slot], moved, observation.dims)
        return broadcast(density, observation.dims, found.model.sizes)

    fitted = offset + design @ middle
    below, here, above = at(fitted - step), at(fitted), at(fitted + step)
    slope, curvature = (above - below) / (2 * step), (2 * here - above - below) / step**2
    return Rows(design, weight * slope, weight * curvature)


def _size(variables: Iterable[RandomVariable], model: Model) -> int:
    return sum(int(np.prod([model.sizes[dim] for dim in each.dims])) for each in variables)
