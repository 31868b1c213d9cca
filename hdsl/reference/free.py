"""Models on unconstrained coordinates, random points, and gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Definition, Dims, Model, ModelData, RandomVariable
from hdsl.reference.density import (
    Parameters,
    arguments,
    environment,
    law_references,
    log_densities,
    needed,
)
from hdsl.reference.transforms import TRANSFORMS, Transform, interval
from hdsl.reference.values import Value, evaluate, expand

Array = NDArray[np.float64]
Points = Mapping[str, Array]
_STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
_STENCIL = ((-3, -1 / 60), (-2, 9 / 60), (-1, -45 / 60), (1, 45 / 60), (2, -9 / 60), (3, 1 / 60))
_AT_ONCE = 4096


def _support(variable: RandomVariable) -> str:
    return DISTRIBUTIONS[variable.law.distribution].support


def _transform(variable: RandomVariable, env: Mapping[str, Value], batch: Dims) -> Transform:
    support = DISTRIBUTIONS[variable.law.distribution].support
    if support == "interval":
        low, high = (expand(arg, (*batch, *variable.dims)) for arg in arguments(variable.law, env))
        return interval(low, high)
    if support not in TRANSFORMS:
        raise ValueError(f"{variable.name} is discrete: it has no unconstrained coordinates")
    return TRANSFORMS[support]


def _for_bounds(model: Model) -> frozenset[str]:
    bounded = [each for each in model.variables if _support(each) == "interval"]
    return needed(model, [name for each in bounded for name in law_references(each.law)])


def free_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Return the shape of each random variable's unconstrained coordinates."""
    shapes: dict[str, tuple[int, ...]] = {}
    for variable in model.variables:
        support = DISTRIBUTIONS[variable.law.distribution].support
        shape = tuple(model.sizes[dim] for dim in variable.dims)
        shapes[variable.name] = shape if support == "interval" else TRANSFORMS[support].free_shape(shape)
    return shapes


def constrain(model: Model, data: ModelData, free: Parameters, batch: Dims = ()) -> tuple[dict[str, Array], Array]:
    """Map unconstrained coordinates to parameters.

    Parameters
    ----------
    model, data
        The model and its arrays.
    free : mapping
        Random variable to unconstrained array, batch axes in front (the other axes: `free_shapes`).
    batch : dims
        The batch axes.

    Returns
    -------
    tuple
        Random variable to constrained array; the log absolute Jacobian determinant over `batch`.
    """
    env, wanted = environment(model, data, {}), _for_bounds(model)
    parameters: dict[str, Array] = {}
    log_jacobian = np.zeros(())
    for statement in model.statements:
        if isinstance(statement, Definition):
            if statement.name in wanted:
                env[statement.name] = evaluate(statement.value, env)
            continue
        array = np.asarray(free[statement.name], dtype=np.float64)
        x, slope = _transform(statement, env, batch).constrain(array)
        parameters[statement.name] = x
        env[statement.name] = Value((*batch, *statement.dims), x)
        log_jacobian = log_jacobian + np.sum(slope, axis=tuple(range(len(batch), slope.ndim)))
    return parameters, np.asarray(log_jacobian)


def unconstrain(model: Model, data: ModelData, parameters: Parameters, batch: Dims = ()) -> dict[str, Array]:
    """Return the unconstrained coordinates of parameters; the inverse of `constrain`."""
    env, wanted = environment(model, data, parameters, batch), _for_bounds(model)
    free: dict[str, Array] = {}
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            free[statement.name] = _transform(statement, env, batch).unconstrain(env[statement.name].real)
        elif statement.name in wanted:
            env[statement.name] = evaluate(statement.value, env)
    return free


def random_point(model: Model, data: ModelData, rng: Generator, spread: float = 1.0) -> dict[str, Array]:
    """Return parameters whose unconstrained coordinates are uniform between -spread and spread."""
    free = {name: rng.uniform(-spread, spread, shape) for name, shape in free_shapes(model).items()}
    return constrain(model, data, free)[0]


def unconstrained_log_densities(model: Model, data: ModelData, free: Parameters, batch: Dims = ("draw",)) -> Array:
    """Return the log density of the unconstrained coordinates (Jacobian included) over `batch`."""
    parameters, log_jacobian = constrain(model, data, free, batch)
    return log_densities(model, data, parameters, batch) + log_jacobian


def unconstrained_gradient(model: Model, data: ModelData, free: Points) -> dict[str, Array]:
    """Return the gradient of the unconstrained log density, by finite differences."""
    scales = {name: np.maximum(1.0, np.abs(array)) for name, array in free.items()}
    return differentiate(lambda many: unconstrained_log_densities(model, data, many), free, scales)


def free_entries(model: Model) -> dict[str, NDArray[np.bool_]]:
    """Return for each random variable which entries can vary: in a Cholesky factor, those below and on the
    diagonal but the first; elsewhere all.
    """
    entries: dict[str, NDArray[np.bool_]] = {}
    for variable in model.variables:
        free = np.ones([model.sizes[dim] for dim in variable.dims], dtype=bool)
        if _support(variable) == "cholesky_corr":
            free = np.tril(free)
            free[..., 0, 0] = False
        entries[variable.name] = free
    return entries


def gradient(model: Model, data: ModelData, parameters: Parameters) -> dict[str, Array]:
    """Return the derivatives of `log_density` by the entries of each parameter, by finite differences.

    Each entry is moved by itself, on the natural scale: the formula of the density is continued off the
    simplex and off the Cholesky factors of unit rows. The result has the parameters' shapes, and 0 for the
    entries that cannot vary (`free_entries`).
    """
    point = {each.name: np.asarray(parameters[each.name], dtype=np.float64) for each in model.variables}
    scales = {each.name: _scale(_support(each), point[each.name]) for each in model.variables}
    found = differentiate(lambda many: log_densities(model, data, many), point, scales)
    return {name: np.where(free, found[name], 0.0) for name, free in free_entries(model).items()}


def _scale(support: str, x: Array) -> Array:
    if support == "positive":
        return np.abs(x)
    if support in ("unit", "simplex"):
        return np.minimum(np.abs(x), np.abs(1 - x))
    return np.maximum(1.0, np.abs(x)) if support in ("real", "vector") else np.ones(x.shape)


def differentiate(function: Callable[[dict[str, Array]], Array], point: Points, scales: Points) -> dict[str, Array]:
    """Differentiate a function by each entry of a point.

    Central differences of sixth order with several step sizes; for each entry the step is taken at which two
    neighbouring step sizes agree best.

    Parameters
    ----------
    function : callable
        Takes named arrays with one more leading axis (many points), gives the values over that axis.
    point : mapping
        Named arrays.
    scales : mapping
        The natural scale of each entry; steps are a tenth of it and less.
    """
    names = list(point)
    flat = np.concatenate([np.ravel(point[name]) for name in names])
    scale = np.concatenate([np.ravel(scales[name]) for name in names])

    def at(rows: Array) -> Array:
        return function(_unflatten(rows, point))

    slopes = np.stack([_slopes(at, flat, step * scale) for step in _STEPS])
    with np.errstate(invalid="ignore"):
        gaps = np.abs(np.diff(slopes, axis=0))
    best = np.argmin(np.where(np.isnan(gaps), np.inf, gaps), axis=0)
    chosen = slopes[best + 1, np.arange(len(flat))]
    return {name: array[0] for name, array in _unflatten(chosen[None, :], point).items()}


def _slopes(at: Callable[[Array], Array], flat: Array, steps: Array) -> Array:
    slopes = np.zeros(len(flat))
    some = max(1, _AT_ONCE // len(_STENCIL))
    for start in range(0, len(flat), some):
        entries = np.arange(start, min(start + some, len(flat)))
        total = np.zeros(len(entries))
        for multiple, weight in _STENCIL:
            rows = np.tile(flat, (len(entries), 1))
            rows[np.arange(len(entries)), entries] += multiple * steps[entries]
            with np.errstate(invalid="ignore"):
                total = total + weight * at(rows)
        slopes[entries] = total / steps[entries]
    return slopes


def _unflatten(rows: Array, like: Points) -> dict[str, Array]:
    ends = np.cumsum([array.size for array in like.values()])[:-1]
    parts = np.split(rows, ends, axis=1)
    return {
        name: part.reshape(len(rows), *array.shape) for (name, array), part in zip(like.items(), parts, strict=True)
    }
