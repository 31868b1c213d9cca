"""What the hyperparameters say: log prior, residual precisions, spreads of effects, unknown coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from hdsl.model.ir import Dims, Expr, Model, RandomVariable, references
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.recognise import Linear
from hdsl.passes.marginal.structure import Grouping
from hdsl.reference.density import definitions, log_densities
from hdsl.reference.free import constrain, free_shapes, unconstrain
from hdsl.reference.values import Array, Value, broadcast, evaluate

DRAW: Dims = ("draw",)


@dataclass(frozen=True)
class Hyper:
    """Hyperparameters of b points and what follows from them.

    Attributes
    ----------
    log_prior : array, shape (b,)
        Log density of the unconstrained coordinates.
    precision : array, shape (b, classes)
        One over the residual variance.
    offsets : array, shape (b, offsets)
    env : mapping
        All values by name, with the dim `draw`.
    """

    log_prior: Array
    precision: Array
    offsets: Array
    parameters: Mapping[str, Array]
    env: Mapping[str, Value]


def size_of(model: Model) -> int:
    """Return the number of unconstrained hyperparameters."""
    return sum(prod(shape) for shape in free_shapes(model).values())


def unpacked(model: Model, points: Array) -> dict[str, Array]:
    """Return the unconstrained coordinates (b, d) by random variable."""
    found: dict[str, Array] = {}
    at = 0
    for name, shape in free_shapes(model).items():
        found[name] = points[:, at : at + prod(shape)].reshape(len(points), *shape)
        at += prod(shape)
    return found


def packed(linear: Linear, parameters: Mapping[str, Array]) -> Array:
    """Return parameters (b, *dims) as unconstrained coordinates (b, d)."""
    free = unconstrain(linear.hyper, linear.data, parameters, DRAW)
    count = len(next(iter(free.values())))
    return np.concatenate([free[name].reshape(count, -1) for name in free], axis=1)


def hyper_at(linear: Linear, points: Array) -> Hyper:
    """Return the hyperparameters at unconstrained points, shape (b, d)."""
    with np.errstate(all="ignore"):
        parameters, log_prior = _prior(linear, points)
        env = definitions(linear.hyper, linear.data, parameters, batch=DRAW)
        sd = value_over(linear.classes.sd, {**env, **linear.classes.values}, ("_variance_class",), linear, len(points))
        offsets = [_scalar(expr, env, len(points)) for expr, _ in linear.offsets]
        precision = sd**-2.0
    filled = np.stack(offsets, axis=1) if offsets else np.zeros((len(points), 0))
    return Hyper(log_prior, precision, filled, parameters, env)


def _prior(linear: Linear, points: Array) -> tuple[dict[str, Array], Array]:
    model, data = linear.hyper, linear.data
    if not model.variables:
        return {}, np.zeros(len(points))
    parameters, log_jacobian = constrain(model, data, unpacked(model, points), DRAW)
    return parameters, log_densities(model, data, parameters, DRAW) + log_jacobian


def value_over(expr: Expr, env: Mapping[str, Value], dims: Dims, linear: Linear, count: int) -> Array:
    """Return an expression's value of shape (count, *sizes of dims)."""
    sizes = {**linear.model.sizes, "_variance_class": linear.classes.size, "draw": count}
    array = broadcast(evaluate(expr, env), dims, sizes)
    return np.broadcast_to(array, (count, *(sizes[dim] for dim in dims)))


def _scalar(expr: Expr, env: Mapping[str, Value], count: int) -> Array:
    return np.broadcast_to(evaluate(expr, env).real, (count,))


def spread_of(effect: RandomVariable, hyper: Hyper, linear: Linear) -> Array:
    """Return the factor by which standard normal draws become deviations.

    Shape (b, units or 1, places, places): b points, one for all units or one each.
    """
    count = len(hyper.log_prior)
    if effect.law.distribution == "multinormal_cholesky":
        return np.tril(_cholesky(effect, hyper, linear, count))
    dims, across = unit_dims(effect, linear.model)
    value = evaluate(effect.law.args[1], hyper.env)
    own = dims if set(dims) & set(value.dims) else ()
    if across is None:
        return value_over(effect.law.args[1], hyper.env, own, linear, count).reshape(count, -1, 1, 1)
    places = linear.model.sizes[across]
    each = value_over(effect.law.args[1], hyper.env, (*own, across), linear, count).reshape(count, -1, places, 1)
    return each * np.eye(places)


def _cholesky(effect: RandomVariable, hyper: Hyper, linear: Linear, count: int) -> Array:
    value = evaluate(effect.law.args[1], hyper.env)
    units, event = effect.dims[:-1], effect.dims[-1]
    own = units if set(units) & set(value.dims) else ()
    (other,) = (dim for dim in value.dims if dim not in ("draw", event, *units))
    sizes = {**linear.model.sizes, other: value.sizes[other]}
    full = broadcast(value, (*own, event, other), sizes)
    places = full.shape[-2:]
    return np.broadcast_to(full, (count, *full.shape[-2 - len(own) :])).reshape(count, -1, *places)


def loading(grouping: Grouping, scales: Array, hyper: Hyper, linear: Linear) -> Array:
    """Return by what standard normal draws enter a grouping's columns, shape (b, units or 1, columns, draws)."""
    count = len(hyper.log_prior)
    spreads = {effect.name: spread_of(effect, hyper, linear) for effect in grouping.effects}
    starts, total = innovations(grouping, linear)
    units = max(spread.shape[1] for spread in spreads.values())
    found = np.zeros((count, units, len(grouping.entries), total))
    for row, entry in enumerate(grouping.entries):
        spread = spreads[entry.effect]
        start = starts[entry.effect]
        unknown = _scalar(entry.unknown, hyper.env, count)[:, None, None] * scales[row]
        found[:, :, row, start : start + spread.shape[3]] = unknown * spread[:, :, entry.place, :]
    return found


def innovations(grouping: Grouping, linear: Linear) -> tuple[dict[str, int], int]:
    """Return where each effect's standard normal draws stand among a unit's, and their number."""
    starts: dict[str, int] = {}
    at = 0
    for effect in grouping.effects:
        starts[effect.name] = at
        at += places_of(effect, linear.model)
    return starts, at


def places_of(effect: RandomVariable, model: Model) -> int:
    """Return the number of effects that vary together in a random variable."""
    across = unit_dims(effect, model)[1]
    return 1 if across is None else model.sizes[across]


def units_of(effect: RandomVariable, model: Model) -> int:
    """Return the number of units over which an effect varies."""
    return int(np.prod([model.sizes[dim] for dim in unit_dims(effect, model)[0]]))


def known_scales(linear: Linear) -> dict[str, Array | None]:
    """Return the standard deviations by unit of effects with a single place, where they are known."""
    found: dict[str, Array | None] = {}
    hyper_names = {s.name for s in linear.hyper.statements}
    known = {slot.name: Value(slot.dims, linear.data.values[slot.name]) for slot in linear.model.slots}
    for effect in linear.effects:
        units, across = unit_dims(effect, linear.model)
        rests = references(effect.law.args[1]) & hyper_names
        if rests or across is not None:
            found[effect.name] = None
            continue
        found[effect.name] = value_over(effect.law.args[1], known, units, linear, 1).reshape(-1)
    return found
