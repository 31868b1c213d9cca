"""The quantiles of a fit as linear functions of their coefficients, with the precision of the coefficients' laws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.inference.fit import Fit
from hdsl.model.functions import dims_of
from hdsl.model.ir import Expr, Model, ModelData, RandomVariable, references
from hdsl.model.working import Working, quantile_dims
from hdsl.reference.density import definitions
from hdsl.reference.values import Array, Value, broadcast, evaluate

BATCH = ("draw",)
CHUNK = 4_000_000


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


def linearised(found: Fit, working: Working, *, counted: bool = False) -> Linearised:
    """Return the linear structure of a fit's quantiles."""
    data, observation = found.data, working.observation
    flat = flat_draws(found.parameters if found.likelihood is None else found.likelihood, working)
    quantiles, size = flat.shape[2:]
    draws = flat.reshape(-1, quantiles, size)
    middle = draws.mean(axis=0)
    from_middle = draws - middle
    design, offset = location(found, working)
    args = [over_quantiles(found, working, argument) for argument in observation.law.args[1:]]
    weight = row_weights(found, working)
    return Linearised(
        probabilities=args[1],
        scale=args[0],
        design=design,
        offset=offset,
        outcome=np.asarray(data.values[observation.slot], np.float64).reshape(len(weight), -1)[:, 0],
        weight=weight,
        score_weight=weight if counted else weight**2,
        precision=precision(found, working),
        mean=middle,
        covariance=np.einsum("skj,skl->kjl", from_middle, from_middle) / (len(draws) - 1),
    )


def row_weights(found: Fit, working: Working) -> Array:
    """Return the weight of each row, ones where rows have none, shape (rows,)."""
    rows, name = found.model.sizes[found.model.unit], working.observation.weight
    return np.ones(rows) if name is None else np.asarray(found.data.values[name], np.float64).reshape(rows, -1)[:, 0]


def location(found: Fit, working: Working) -> tuple[Array, Array]:
    """Return the location as a linear function of its coefficients: design (quantiles, rows, coefficients), offset.

    The offset has the shape (quantiles, rows).
    """
    points = _Points(found, working)
    at = points.values(working.location, working.observation.dims)
    at = at.reshape(points.size + 1, found.model.sizes[found.model.unit], -1)
    return (at[1:] - at[0]).transpose(2, 1, 0), at[0].T


def precision(found: Fit, working: Working) -> Array:
    """Return the precision of the coefficients' laws given what these rest on, by quantile."""
    points = _Points(found, working)
    total = np.zeros((points.quantiles, points.size, points.size))
    for variable in working.coefficients:
        scores = _standardised(points, working, variable)
        jacobian = (scores[1:] - scores[0]).transpose(1, 2, 0)
        total += jacobian.transpose(0, 2, 1) @ jacobian
    return total


class _Points:
    """The model at coefficients of zero and at each coefficient of one, all else at the medians of its draws."""

    def __init__(self, found: Fit, working: Working) -> None:
        self.model, self.data = found.model, found.data
        self.medians = {name: np.median(value, axis=(0, 1)) for name, value in found.parameters.items()}
        self.quantiles = 1 if working.quantile is None else found.model.sizes[working.quantile]
        self.size = sum(int(np.prod(value.shape[2:])) for value in _of(working, found)) // self.quantiles
        units = np.vstack([np.zeros(self.size), np.eye(self.size)])
        flat = np.repeat(units[:, None, :], self.quantiles, axis=1)[None]
        self.units = {name: value[0] for name, value in unflat_draws(flat, found.parameters, working).items()}

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


def _of(working: Working, found: Fit) -> list[Array]:
    return [found.parameters[variable.name] for variable in working.coefficients]


def _environment(
    model: Model, data: ModelData, medians: Mapping[str, Array], units: Mapping[str, Array], number: int, expr: Expr
) -> Mapping[str, Value]:
    others = {name: np.broadcast_to(value, (number, *value.shape)) for name, value in medians.items()}
    return definitions(model, data, {**others, **units}, references(expr), BATCH)


def over_quantiles(found: Fit, working: Working, expr: Expr) -> Array:
    """Return a scale (mean of its draws) or the probabilities, shape (quantiles,)."""
    dims = quantile_dims(working)
    means = {name: value.mean(axis=(0, 1))[None] for name, value in found.parameters.items()}
    env = _environment(found.model, found.data, {}, means, 1, expr)
    sizes = {**found.model.sizes, "draw": 1}
    full = np.broadcast_to(broadcast(evaluate(expr, env), dims, sizes), (1, *(sizes[dim] for dim in dims)))
    return np.asarray(full, np.float64).reshape(-1)


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
    return dims_of(expr, points.model.dims_of())


def _by_quantile(values: Array, variable: RandomVariable, working: Working) -> Array:
    """Return values of one variable's dims, after one axis in front, as (points, quantiles, elements)."""
    if working.quantile is None:
        return values.reshape(values.shape[0], 1, -1)
    moved = np.moveaxis(values, 1 + variable.dims.index(working.quantile), 1)
    return moved.reshape(*moved.shape[:2], -1)


def flat_draws(parameters: Mapping[str, Array], working: Working) -> Array:
    """Return draws of the coefficients, shape (chain, draw, quantile, coefficient)."""
    found: list[Array] = []
    for variable in working.coefficients:
        value = parameters[variable.name]
        chains, draws = value.shape[:2]
        rows = _by_quantile(value.reshape(chains * draws, *value.shape[2:]), variable, working)
        found.append(rows.reshape(chains, draws, *rows.shape[1:]))
    return np.concatenate(found, axis=3)


def unflat_draws(flat: Array, like: Mapping[str, Array], working: Working) -> dict[str, Array]:
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
