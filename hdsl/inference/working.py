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
International Statistical Review 84, equation 2.4: p (1 - p) / s^2 V X'X V). f_i is the density that the posterior of
the fitted quantile has at the outcome (Brown & Wang 2005, Biometrika 92, induced smoothing), so that nothing needs a
bandwidth. See docs/decisions/0014-quantiles-by-a-working-likelihood.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hdsl.backend import Backend, Draws, Progress, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.inference.fit import Fit, fit
from hdsl.model.ir import Expr, Model, ModelData, RandomVariable, Slot, Var
from hdsl.model.working import Working, quantile_dims, working_of
from hdsl.reference.density import definitions, reported
from hdsl.reference.values import Array, Value, broadcast, evaluate

BATCH = ("draw",)
CHUNK = 4_000_000
FIRST_DRAWS = 500
FEW = 10
CORRECTED = "The intervals are corrected for the working likelihood (Yang, Wang & He 2016)"
CALIBRATED = "; its scale is set so that group effects are pooled as far as the data say"


@dataclass(frozen=True)
class Linearised:
    """The quantiles as linear functions of their coefficients, which are flat: (quantile, coefficient).

    Attributes
    ----------
    probabilities, scale : float array, shape (quantiles,)
    design : float array, shape (quantiles, rows, coefficients)
    offset : float array, shape (quantiles, rows)
    outcome, weight, score_weight : float array, shape (rows,)
        `score_weight`: what multiplies the variance of a row's score, w^2, or w where w counts identical rows.
    precision : float array, shape (quantiles, coefficients, coefficients)
        Of the coefficients' laws, at the medians of what these rest on.
    mean, covariance : float array, shapes (quantiles, coefficients), (quantiles, coefficients, coefficients)
        Of the draws, at one quantile each.
    """

    probabilities: Array
    scale: Array
    design: Array
    offset: Array
    outcome: Array
    weight: Array
    score_weight: Array
    precision: Array
    mean: Array
    covariance: Array

    @property
    def density(self) -> Array:
        """The density of each outcome at its quantiles, shape (quantiles, rows)."""
        fitted = self.offset + np.einsum("kij,kj->ki", self.design, self.mean)
        spread = np.sqrt(np.einsum("kij,kjl,kil->ki", self.design, self.covariance, self.design, optimize=True))
        spread = np.maximum(spread, 1e-12 * np.ptp(self.outcome))
        return np.exp(-0.5 * ((self.outcome - fitted) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))


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
    probabilities = _over_quantiles(found, working, working.observation.law.args[2])
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
    flat = _flat(found.parameters, working)
    chains, draws = flat.shape[:2]
    rows = flat.reshape(chains * draws, -1)
    middle = rows.mean(axis=0)
    moved = (middle + (rows - middle) @ moving(parts).T).reshape(flat.shape)
    parameters = {**found.parameters, **_unflat(moved, found.parameters, working)}
    note = CORRECTED + (CALIBRATED if working.pooled else "") + "."
    roles = reported(found.model, found.data, parameters)
    return replace(found, parameters=parameters, roles=roles, intervals=note, likelihood=found.parameters)


def moving(parts: Linearised) -> Array:
    """Return A = (H^-1 K)^(1/2), shape (n, n) with n the number of quantiles times that of coefficients."""
    quantiles, _, size = parts.design.shape
    n = quantiles * size
    root, meat = np.zeros((n, n)), variance_of_score(parts)
    for k in range(quantiles):
        weighted = parts.design[k] * (parts.weight * parts.density[k] / parts.scale[k])[:, None]
        own = slice(k * size, (k + 1) * size)
        root[own, own] = np.linalg.cholesky(weighted.T @ parts.design[k] + parts.precision[k])
        meat[own, own] += parts.precision[k]
    inner = np.linalg.solve(root, np.linalg.solve(root, meat).T)
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


def linearised(found: Fit, working: Working, *, counted: bool = False) -> Linearised:
    """Return the linear structure of a fit's quantiles."""
    model, data, observation = found.model, found.data, working.observation
    flat = _flat(found.parameters if found.likelihood is None else found.likelihood, working)
    quantiles, size = flat.shape[2:]
    draws = flat.reshape(-1, quantiles, size)
    middle = draws.mean(axis=0)
    from_middle = draws - middle
    points = _Points(found, working, size)
    location = points.values(observation.law.args[0], observation.dims)
    location = location.reshape(size + 1, model.sizes[model.unit], quantiles)
    args = [_over_quantiles(found, working, argument) for argument in observation.law.args[1:]]
    weight = np.ones(location.shape[1])
    if observation.weight is not None:
        weight = np.asarray(data.values[observation.weight], np.float64).reshape(len(weight), -1)[:, 0]
    return Linearised(
        probabilities=args[1],
        scale=args[0],
        design=(location[1:] - location[0]).transpose(2, 1, 0),
        offset=location[0].T,
        outcome=np.asarray(data.values[observation.slot], np.float64).reshape(len(weight), -1)[:, 0],
        weight=weight,
        score_weight=weight if counted else weight**2,
        precision=_precision(points, working, quantiles, size),
        mean=middle,
        covariance=np.einsum("skj,skl->kjl", from_middle, from_middle) / (len(draws) - 1),
    )


class _Points:
    """The model at coefficients of zero and at each coefficient of one, all else at the medians of its draws."""

    def __init__(self, found: Fit, working: Working, size: int) -> None:
        self.model, self.data, self.size = found.model, found.data, size
        self.medians = {name: np.median(value, axis=(0, 1)) for name, value in found.parameters.items()}
        quantiles = 1 if working.quantile is None else found.model.sizes[working.quantile]
        units = np.vstack([np.zeros(size), np.eye(size)])
        flat = np.repeat(units[:, None, :], quantiles, axis=1)[None]
        self.units = {name: value[0] for name, value in _unflat(flat, found.parameters, working).items()}

    def values(self, expr: Expr, dims: tuple[str, ...]) -> Array:
        """Return an expression at the points, shape (1 + size, *dims)."""
        cells = int(np.prod([self.model.sizes[dim] for dim in dims]))
        step = max(1, CHUNK // max(cells, 1))
        parts: list[Array] = []
        for start in range(0, self.size + 1, step):
            units = {name: value[start : start + step] for name, value in self.units.items()}
            number = len(next(iter(units.values())))
            env = _environment(self.model, self.data, self.medians, units, number, expr)
            sizes = {**self.model.sizes, "draw": number}
            found = broadcast(evaluate(expr, env), dims, sizes)
            parts.append(np.broadcast_to(found, (number, *(sizes[dim] for dim in dims))))
        return np.concatenate(parts)


def _environment(
    model: Model, data: ModelData, medians: Mapping[str, Array], units: Mapping[str, Array], number: int, expr: Expr
) -> Mapping[str, Value]:
    from hdsl.model.ir import references

    others = {name: np.broadcast_to(value, (number, *value.shape)) for name, value in medians.items()}
    return definitions(model, data, {**others, **units}, references(expr), BATCH)


def _over_quantiles(found: Fit, working: Working, expr: Expr) -> Array:
    """Return a scale (mean of its draws) or the probabilities, shape (quantiles,)."""
    dims = quantile_dims(working)
    means = {name: value.mean(axis=(0, 1))[None] for name, value in found.parameters.items()}
    env = _environment(found.model, found.data, {}, means, 1, expr)
    sizes = {**found.model.sizes, "draw": 1}
    full = np.broadcast_to(broadcast(evaluate(expr, env), dims, sizes), (1, *(sizes[dim] for dim in dims)))
    return np.asarray(full, np.float64).reshape(-1)


def _precision(points: _Points, working: Working, quantiles: int, size: int) -> Array:
    """Return the precision of the coefficients' laws given what these rest on, by quantile."""
    total = np.zeros((quantiles, size, size))
    for variable in working.coefficients:
        scores = _standardised(points, working, variable)
        jacobian = (scores[1:] - scores[0]).transpose(1, 2, 0)
        total += jacobian.transpose(0, 2, 1) @ jacobian
    return total


def _standardised(points: _Points, working: Working, variable: RandomVariable) -> Array:
    """Return (coefficient - mean) / sd at the points, shape (1 + size, quantiles, elements)."""
    mean, spread = (variable.law.args[0], variable.law.args[1])
    away = points.units[variable.name] - points.values(mean, variable.dims)
    if variable.law.distribution == "normal":
        return _by_quantile(away / points.values(spread, variable.dims), variable, working)
    other = next(dim for dim in _dims(points, spread) if dim not in variable.dims)
    factor = points.values(spread, (*variable.dims, other))
    return _by_quantile(np.linalg.solve(factor, away[..., None])[..., 0], variable, working)


def _dims(points: _Points, expr: Expr) -> tuple[str, ...]:
    from hdsl.model.functions import dims_of

    return dims_of(expr, points.model.dims_of())


def _by_quantile(values: Array, variable: RandomVariable, working: Working) -> Array:
    """Return values of one variable's dims, after one axis in front, as (points, quantiles, elements)."""
    if working.quantile is None:
        return values.reshape(values.shape[0], 1, -1)
    moved = np.moveaxis(values, 1 + variable.dims.index(working.quantile), 1)
    return moved.reshape(*moved.shape[:2], -1)


def _flat(parameters: Mapping[str, Array], working: Working) -> Array:
    """Return draws of the coefficients, shape (chain, draw, quantile, coefficient)."""
    found: list[Array] = []
    for variable in working.coefficients:
        value = parameters[variable.name]
        chains, draws = value.shape[:2]
        rows = _by_quantile(value.reshape(chains * draws, *value.shape[2:]), variable, working)
        found.append(rows.reshape(chains, draws, *rows.shape[1:]))
    return np.concatenate(found, axis=3)


def _unflat(flat: Array, like: Mapping[str, Array], working: Working) -> dict[str, Array]:
    """Return each coefficient's draws (chain, draw, *dims) from all of them, (chain, draw, quantile, coefficient)."""
    found: dict[str, Array] = {}
    start = 0
    for variable in working.coefficients:
        shape = like[variable.name].shape[2:]
        axis = None if working.quantile is None else variable.dims.index(working.quantile)
        rest = shape if axis is None else (*shape[:axis], *shape[axis + 1 :])
        size = int(np.prod(rest))
        part = flat[..., start : start + size].reshape(*flat.shape[:3], *rest)
        found[variable.name] = part[:, :, 0] if axis is None else np.moveaxis(part, 2, 2 + axis)
        start += size
    return found
