"""Intervals of quantiles corrected for the working likelihood, after sampling and so for every backend.

The asymmetric Laplace likelihood is maximal at the quantiles, but its curvature is not how much the data say of them.
With phi the coefficients of all quantiles, let

- G_k = sum_i w_i f_i x_i x_i', f_i the density of the outcome at its quantile k;
- H = blockdiag(G_k / s_k) + P, the working posterior's curvature: s_k the scales, P the precision of phi's normal laws;
- M_jk = (min(p_j, p_k) - p_j p_k) / (s_j s_k) sum_i w_i^2 x_i x_i', the variance of the likelihood's score, in which
  the scores of all quantiles stand together (w_i in place of its square where it counts identical rows);
- K = M + P: that of the whole score, the laws of the coefficients taken at their word.

The working posterior has the covariance H^-1, estimates have H^-1 K H^-1. The draws are moved by phi -> mean + A (phi -
mean) with A = (H^-1 K)^(1/2), the principal root: A H^-1 A' = H^-1 K H^-1 whatever the parameterisation, and A is the
identity where the likelihood is right (M = sum of G_k / s_k).

Without laws that pool, H^-1 is the covariance of the draws, and this is the correction of Yang, Wang & He (2016,
International Statistical Review 84): p (1 - p) / s^2 V X'X V, as in their R package AdjBQR. f_i is the density that
the posterior of the fitted quantile has at the outcome (Brown & Wang 2005, Biometrika 92, induced smoothing), so that
nothing needs a bandwidth. See docs/decisions/0014-quantiles-by-a-working-likelihood.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hdsl.backend import Backend, Draws, Progress, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.inference.fit import Fit, fit
from hdsl.inference.linearised import Linearised, flat_draws, linearised, over_quantiles, unflat_draws
from hdsl.model.ir import Model, ModelData, Slot, Var
from hdsl.model.working import Working, quantile_dims, working_of
from hdsl.reference.density import reported
from hdsl.reference.values import Array

FIRST_DRAWS = 500
FEW = 10
CORRECTED = "The intervals are corrected for the working likelihood (Yang, Wang & He 2016)"
CALIBRATED = "; its scale is set so that group effects are pooled as far as the data say"


def fit_quantiles(
    model: Model,
    data: ModelData,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
    *,
    counted: bool = False,
) -> Fit | Diagnostic:
    """Draw from the working posterior of a model of quantiles, and correct the draws.

    Where effects are pooled the model is fitted twice: how far they are drawn together, and how large their spread is
    taken to be, rest on how much each group's data say, which the likelihood tells rightly only if its scale is right.
    The second fit has the scale at which the curvature of the likelihood is the variance of its score, on average.

    `counted`: weights are counts of identical rows, each of which tells as much as any other; else the variance of a
    weighted score grows with the square of the weight.

    Raises
    ------
    SamplingFailed
        The backend gave no usable draws.
    """
    working = working_of(model)
    first_settings = settings
    if isinstance(working, Working) and working.pooled:
        first_settings = replace(settings, draws=min(settings.draws, FIRST_DRAWS))
    found = fit(model, data, backend, first_settings, progress)
    if isinstance(found, Diagnostic) or not isinstance(working, Working):
        return found
    if not working.pooled:
        return corrected(found, working, counted=counted)
    scale = calibrated_scale(linearised(found, working, counted=counted))
    again = fit(*with_scale(model, data, working, scale), backend, settings, progress)
    return again if isinstance(again, Diagnostic) else corrected(_timed(again, found.sampled), working, counted=counted)


def _timed(second: Fit, first: Draws) -> Fit:
    seconds = {name: time + first.seconds.get(name, 0.0) for name, time in second.sampled.seconds.items()}
    return replace(second, sampled=replace(second.sampled, seconds=seconds))


def few_beyond(found: Fit, *, counted: bool = False) -> list[Diagnostic]:
    """Return HDM719 where few rows lie beyond a quantile: fewer than ten for each coefficient that is not pooled."""
    working = working_of(found.model)
    if not found.intervals or not isinstance(working, Working):
        return []
    sizes, weight = found.model.sizes, working.observation.weight
    rows = float(sizes[found.model.unit])
    if counted and weight is not None:
        rows = float(np.asarray(found.data.values[weight], np.float64).reshape(int(rows), -1)[:, 0].sum())
    dims = [[sizes[dim] for dim in v.dims if dim != working.quantile] for v in working.free]
    coefficients = sum(int(np.prod(each)) for each in dims)
    probabilities = over_quantiles(found, working, working.observation.law.args[2])
    few = [p for p in probabilities.tolist() if rows * min(p, 1 - p) < FEW * coefficients]
    if not few:
        return []
    least = min(min(p, 1 - p) for p in few)
    named = ", ".join(f"{p:g}" for p in few)
    message = (
        f"Few rows lie beyond the quantile{'s' if len(few) > 1 else ''} {named} of {working.observation.outcome}: "
        f"{rows * least:.0f} for {coefficients} coefficient{'s' if coefficients > 1 else ''}."
    )
    help_ = "Even corrected, its intervals are too narrow: ask for quantiles further inside, or take them as rough."
    return [Diagnostic("HDM719", message, severity="warning", help=help_)]


def calibrated_scale(parts: Linearised) -> Array:
    """Return the scales at which the curvature of the likelihood is the variance of its score, on average.

    p (1 - p) sum w^2 / sum w f, and sum w / sum w f for counts, shape (quantiles,). It is exact where outcomes differ
    by a shift alone.
    """
    variance = parts.probabilities * (1 - parts.probabilities) * np.sum(parts.score_weight)
    return variance / np.sum(parts.weight * parts.density, axis=1)


def with_scale(model: Model, data: ModelData, working: Working, scale: Array) -> tuple[Model, ModelData]:
    """Return the model with the scale of its likelihood given: it is no parameter, and not reported."""
    dims = quantile_dims(working)
    slot = Slot(name=working.scale, dims=dims, source="the scale at which the likelihood says what the data say")
    kept = tuple(statement for statement in model.statements if statement.name != working.scale)
    shown = tuple(each for each in model.reported if each.value != Var(name=working.scale))
    made = model.model_copy(update={"slots": (*model.slots, slot), "statements": kept, "reported": shown})
    values = {**data.values, working.scale: scale.reshape([model.sizes[dim] for dim in dims])}
    return made, ModelData(values=values, coords=data.coords)


def corrected(found: Fit, working: Working, *, counted: bool = False) -> Fit:
    """Return a fit whose coefficients are moved about their mean: they then vary as estimates do.

    `counted` as in `fit_quantiles`.
    """
    parts = linearised(found, working, counted=counted)
    flat = flat_draws(found.parameters, working)
    chains, draws = flat.shape[:2]
    rows = flat.reshape(chains * draws, -1)
    middle = rows.mean(axis=0)
    moved = (middle + (rows - middle) @ moving(parts).T).reshape(flat.shape)
    parameters = {**found.parameters, **unflat_draws(moved, found.parameters, working)}
    note = CORRECTED + (CALIBRATED if working.pooled else "") + "."
    roles = reported(found.model, found.data, parameters)
    return replace(found, parameters=parameters, roles=roles, intervals=note, likelihood=found.parameters)


def moving(parts: Linearised) -> Array:
    """Return A = (H^-1 K)^(1/2), shape (n, n) with n the number of quantiles times that of coefficients."""
    quantiles, _, size = parts.design.shape
    n = quantiles * size
    curvature, meat = np.zeros((n, n)), variance_of_score(parts)
    for k in range(quantiles):
        weighted = parts.design[k] * (parts.weight * parts.density[k] / parts.scale[k])[:, None]
        own = slice(k * size, (k + 1) * size)
        curvature[own, own] = weighted.T @ parts.design[k] + parts.precision[k]
        meat[own, own] += parts.precision[k]
    return principal_root(curvature, meat)


def principal_root(curvature: Array, variance: Array) -> Array:
    """Return A = (H^-1 K)^(1/2), for which A H^-1 A' = H^-1 K H^-1.

    Raises
    ------
    LinAlgError
        The curvature H is not positive definite.
    """
    root = np.linalg.cholesky(curvature)
    inner = np.linalg.solve(root, np.linalg.solve(root, variance).T)
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    square_root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return np.linalg.solve(root.T, square_root @ root.T)


def variance_of_score(parts: Linearised) -> Array:
    """Return M, the variance of the score of the likelihood at all quantiles together."""
    p, scale = parts.probabilities, parts.scale
    together = (np.minimum.outer(p, p) - np.outer(p, p)) / np.outer(scale, scale)
    quantiles, _, size = parts.design.shape
    blocks = np.empty((quantiles, size, quantiles, size))
    for j in range(quantiles):
        weighted = parts.design[j] * parts.score_weight[:, None]
        for k in range(quantiles):
            blocks[j, :, k] = together[j, k] * (weighted.T @ parts.design[k])
    return blocks.reshape(quantiles * size, quantiles * size)
