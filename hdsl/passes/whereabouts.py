"""Roughly where the data put each parameter, and how well they know it.

A sampler does best when it starts near the posterior, with all parameters on one scale. Neither estimate changes
what the posterior is, so neither must be good: within a factor of a few will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Expr,
    Law,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    add,
    apply,
    const,
    mul,
    references,
)
from hdsl.passes.informed import typical
from hdsl.passes.rewrite import reads
from hdsl.reference.density import definitions, law_references, log_densities, observation_log_likelihood, terms
from hdsl.reference.values import Array, Value, broadcast, evaluate

ROUNDS = 8
HALVINGS = 5
FACTORS = 2.0 ** np.arange(-4, 4.5, 0.5)
LINKED_STEP, SCALED_STEP = 0.3, 0.5
LINEAR = ("mean", "quantile", "location", "logit", "logmean", "meanlog")
LOGARITHMIC = {"gamma_mean": "mean", "hurdle_gamma": "mean", "weibull": "scale"}
SPREADS = ("sd", "scale", "sdlog")


@dataclass(frozen=True)
class Whereabouts:
    """A parameter's value near the middle of the posterior, and its standard deviation given the others."""

    middle: float
    spread: float


def whereabouts(model: Model, data: ModelData) -> dict[str, Whereabouts]:
    """Return the whereabouts of the parameters of location families, and of the scales of observations.

    Coefficients are found by Fisher scoring with every deviation at its mean, scales by trying powers of two on the
    way. The spread is that of the joint density in the parameter's own direction, of the elements of an array on
    average. Parameters of which nothing is found are left out.
    """
    with np.errstate(all="ignore"):
        point, measured = _fitted(model, data)
        found: dict[str, Whereabouts] = {}
        for variable in (v for v in model.variables if located(v) or v.name in measured):
            middle = float(np.mean(point[variable.name]))
            spread = _spread(model, data, variable, point) if located(variable) else middle
            if np.isfinite([middle, spread]).all() and spread > 0:
                found[variable.name] = Whereabouts(middle, spread)
        measured = set(_measured(model))
        return {
            v.name: found[v.name] for v in model.variables if v.name in found and (located(v) or v.name in measured)
        }


def located(variable: RandomVariable) -> bool:
    """Return whether a parameter is a number with a location, or the totals of a level."""
    family = DISTRIBUTIONS[variable.law.distribution]
    whole = not variable.dims or variable.role.startswith("total(")
    return whole and family.location is not None and family.scale is not None and family.event == 0


def _fitted(model: Model, data: ModelData) -> tuple[dict[str, Array], frozenset[str]]:
    """Return a point of high density at which deviations are zero and totals are at their means.

    Also return which scales were found.
    """
    chosen: dict[str, Array] = {}
    names = [v for v in model.variables if located(v) and not v.dims]
    point = typical(model, data, chosen)
    for _ in range(ROUNDS):
        chosen = _with_scales(model, data, chosen)
        moves = _scoring(model, data, names, typical(model, data, chosen)) if names else {}
        moved = _uphill(model, data, chosen, typical(model, data, chosen), moves)
        before, point = point, typical(model, data, moved)
        chosen = moved
        if all(np.allclose(before[name], point[name], rtol=1e-3) for name in point):
            break
    return point, frozenset(chosen) - {v.name for v in names}


def fitted(model: Model, data: ModelData) -> dict[str, Array]:
    """Return a point of high density at which deviations are zero, coefficients and spreads of outcomes fitted."""
    return _fitted(model, data)[0]


def _uphill(
    model: Model, data: ModelData, chosen: Mapping[str, Array], point: Mapping[str, Array], moves: Mapping[str, float]
) -> dict[str, Array]:
    """Return the choice moved as far as the density rises."""
    now = _density(model, data, point)
    for halving in range(HALVINGS if moves else 0):
        trial = {**chosen, **{name: point[name] + move / 2**halving for name, move in moves.items()}}
        if _density(model, data, typical(model, data, trial)) > now:
            return trial
    return dict(chosen)


def _density(model: Model, data: ModelData, point: Mapping[str, Array]) -> float:
    found = float(log_densities(model, data, point, batch=()))
    return found if np.isfinite(found) else -np.inf


def _scoring(
    model: Model, data: ModelData, variables: list[RandomVariable], point: Mapping[str, Array]
) -> dict[str, float]:
    """Return the step of Fisher scoring of all coefficients, computed in units of their priors' scales."""
    env = definitions(model, data, point)
    laws = [(v, *_numbers(_location_scale(v.law), env)) for v in variables]
    scales = np.array([scale for _, _, scale in laws])
    slope = np.array([-(float(point[v.name]) - middle) / scale for v, middle, scale in laws])
    information = np.eye(len(laws))
    for observation in model.observations:
        location = linear_place(observation.law)
        if location is None:
            continue
        gradient, weight = by_row(model, observation, location, env)
        columns = np.stack(list(_columns(model, data, observation, laws, point, gradient.shape)))
        slope += columns @ gradient.ravel()
        information += (columns * weight.ravel()) @ columns.T
    step = np.linalg.solve(information, slope) * scales
    return {v.name: float(move) for (v, _, _), move in zip(laws, step, strict=True)}


def _numbers(exprs: tuple[Expr, Expr], env: Mapping[str, Value]) -> tuple[float, float]:
    first, second = (float(np.mean(evaluate(expr, env).real)) for expr in exprs)
    return first, second


def _columns(
    model: Model,
    data: ModelData,
    observation: Observation,
    laws: list[tuple[RandomVariable, float, float]],
    point: Mapping[str, Array],
    shape: tuple[int, ...],
) -> Iterator[Array]:
    """Yield what each coefficient, moved by its prior's scale, adds to the rows' location; totals follow it."""
    location, sizes = _predictor(observation.law), model.sizes
    own = dims_of(location, model.dims_of())
    dims = tuple(dim for dim in observation.dims if dim in own) if set(own) <= set(observation.dims) else own
    chosen = {v.name: point[v.name] for v in model.variables if not v.dims}

    def at(values: Mapping[str, Array]) -> Array:
        env = definitions(model, data, typical(model, data, values), references(location))
        return np.broadcast_to(broadcast(evaluate(location, env), dims, sizes), shape).ravel()

    base = at(chosen)
    for variable, _, scale in laws:
        yield (at({**chosen, variable.name: chosen[variable.name] + 0.1 * scale}) - base) / 0.1


def by_row(model: Model, observation: Observation, location: int, env: Mapping[str, Value]) -> tuple[Array, Array]:
    """Return slope and curvature of each row's log likelihood in its location."""
    law = observation.law
    spread = next((p for p in DISTRIBUTIONS[law.distribution].parameters if p in SPREADS), None)
    step, logarithmic = LINKED_STEP, law.distribution in LOGARITHMIC
    if spread is not None and not logarithmic:
        place = DISTRIBUTIONS[law.distribution].parameters.index(spread)
        step = SCALED_STEP * float(np.mean(evaluate(law.args[place], env).real))

    def at(shift: float) -> Array:
        shifted = (
            mul(law.args[location], const(np.exp(shift))) if logarithmic else add(law.args[location], const(shift))
        )
        args = tuple(shifted if k == location else arg for k, arg in enumerate(law.args))
        moved = observation.model_copy(update={"law": Law(distribution=law.distribution, args=args)})
        return broadcast(observation_log_likelihood(moved, env), observation.dims, model.sizes)

    low, middle, high = at(-step), at(0.0), at(step)
    weight = np.maximum(-(low - 2 * middle + high) / step**2, 0.0)
    return np.nan_to_num((high - low) / (2 * step)), np.nan_to_num(weight)


def linear_place(law: Law) -> int | None:
    """Return the place of the argument of a law that is, or is the exponential of, a row's location."""
    family = DISTRIBUTIONS[law.distribution]
    names = (LOGARITHMIC[family.name],) if family.name in LOGARITHMIC else LINEAR
    bounded = family.support == "unit" or family.event > 0
    return None if bounded else next((k for k, name in enumerate(family.parameters) if name in names), None)


def _predictor(law: Law) -> Expr:
    place = linear_place(law)
    assert place is not None
    return apply("log", law.args[place]) if law.distribution in LOGARITHMIC else law.args[place]


def _location_scale(law: Law) -> tuple[Expr, Expr]:
    family = DISTRIBUTIONS[law.distribution]
    location, scale = (law.args[family.parameters.index(str(name))] for name in (family.location, family.scale))
    return location, scale


def _measured(model: Model) -> list[str]:
    """Return the positive numbers on which the spread or shape of observations rests, but not their location."""
    shapes: set[str] = set()
    locations: set[str] = set()
    for observation in model.observations:
        location = linear_place(observation.law)
        for place, arg in enumerate(observation.law.args):
            (locations if location in (None, place) else shapes).update(references(arg))
    shapes = _behind(model, shapes) - _behind(model, locations)
    return [
        v.name
        for v in model.variables
        if v.name in shapes and not v.dims and DISTRIBUTIONS[v.law.distribution].support == "positive"
    ]


def _behind(model: Model, names: set[str]) -> set[str]:
    """Return the names, and all those that their definitions and laws rest on."""
    found = set(names)
    for statement in reversed(model.statements):
        if statement.name in found:
            found |= reads(statement)
    return found


def _with_scales(model: Model, data: ModelData, chosen: Mapping[str, Array]) -> dict[str, Array]:
    """Return the choice with each scale that the observations bear on at the multiple of the highest density."""
    found = dict(chosen)
    for name in _measured(model):
        start = typical(model, data, found)[name]
        trials = [typical(model, data, {**found, name: start * factor}) for factor in FACTORS]
        heights = [_density(model, data, trial) for trial in trials]
        if _bears_on(model, data, trials[0], trials[-1]):
            found[name] = trials[int(np.argmax(heights))][name]
    return found


def _bears_on(model: Model, data: ModelData, one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Return whether the likelihood differs between two points; that of deviations does not while they are zero."""
    names = {observation.name for observation in model.observations}
    sums = [sum(v.real for k, v in terms(model, data, point).items() if k in names) for point in (one, other)]
    return bool(np.any(sums[0] != sums[1]))


def _spread(model: Model, data: ModelData, variable: RandomVariable, point: Mapping[str, Array]) -> float:
    """Return the standard deviation of a parameter given the others, by the curvature of the joint density."""
    env = definitions(model, data, point, law_references(variable.law))
    prior = float(np.mean(evaluate(_location_scale(variable.law)[1], env).real))
    spread, here = prior, _density(model, data, point)
    for _ in range(4):
        around = [
            _density(model, data, {**point, variable.name: point[variable.name] + move}) for move in (-spread, spread)
        ]
        curvature = -(around[0] - 2 * here + around[1]) / spread**2 / max(np.size(point[variable.name]), 1)
        if not curvature > 0:
            return spread
        before, spread = spread, min(float(1 / np.sqrt(curvature)), prior)
        if abs(np.log(spread / before)) < 0.2:
            break
    return spread
