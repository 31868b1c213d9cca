"""The log density of a Model on the natural scale, its parts, and the quantities that follow from parameters.

`parameters` maps each random variable to an array of its dims, with the axes of `batch` in front: none by
default, `("draw",)` or `("chain", "draw")` for posterior draws.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hdsl.model.ir import (
    Definition,
    Dims,
    Expr,
    Factor,
    Law,
    Model,
    ModelData,
    Observation,
    RandomVariable,
    Reported,
    Var,
    references,
)
from hdsl.reference import distributions
from hdsl.reference.values import BATCH, Value, broadcast, evaluate, expand, union, without_batch
from hdsl.storage import Pages, room

Array = NDArray[np.float64]
Parameters = Mapping[str, ArrayLike]
CHUNK = 1_000_000
REPORTED = 400_000


def environment(model: Model, data: ModelData, parameters: Parameters, batch: Dims = ()) -> dict[str, Value]:
    """Return the slots and those random variables that `parameters` has, as values."""
    env = {slot.name: Value(slot.dims, np.asarray(data.values[slot.name])) for slot in model.slots}
    for variable in model.variables:
        if variable.name in parameters:
            array = np.asarray(parameters[variable.name], dtype=np.float64)
            env[variable.name] = Value((*batch, *variable.dims), array)
    return env


def needed(model: Model, names: Iterable[str]) -> frozenset[str]:
    """Return the names of the definitions that `names` rest on, those among `names` included."""
    wanted = set(names)
    for statement in reversed(model.statements):
        if isinstance(statement, Definition) and statement.name in wanted:
            wanted |= references(statement.value)
    return frozenset(each.name for each in model.definitions if each.name in wanted)


def definitions(
    model: Model,
    data: ModelData,
    parameters: Parameters,
    only: Iterable[str] | None = None,
    batch: Dims = (),
) -> dict[str, Value]:
    """Return the environment with definitions evaluated.

    Parameters
    ----------
    model, data, parameters, batch
        See the module. Parameters on which no wanted definition rests may be left out.
    only : iterable of str, optional
        The names that are wanted; the definitions they rest on are evaluated and no others. All by default.

    Returns
    -------
    dict
        Name to Value: slots, parameters and definitions.
    """
    wanted = needed(model, [each.name for each in model.definitions] if only is None else only)
    env = environment(model, data, parameters, batch)
    for definition in model.definitions:
        if definition.name in wanted:
            env[definition.name] = evaluate(definition.value, env)
    return env


def law_references(law: Law) -> frozenset[str]:
    """Return the names that the arguments of a law refer to."""
    return frozenset().union(*(references(arg) for arg in law.args))


def arguments(law: Law, env: Mapping[str, Value]) -> list[Value]:
    """Return the law's arguments as values."""
    return [evaluate(arg, env) for arg in law.args]


def variable_log_density(variable: RandomVariable, env: Mapping[str, Value]) -> Value:
    """Return the log density of a random variable, by element (event dims removed)."""
    law = variable.law
    return distributions.log_density(law.distribution, env[variable.name], arguments(law, env), variable.dims)


def observation_log_likelihood(observation: Observation, env: Mapping[str, Value]) -> Value:
    """Return the log likelihood by row: times the weight, and of survival where `event` is 0."""
    law, y = observation.law, env[observation.slot]
    args = arguments(law, env)
    result = distributions.log_density(law.distribution, y, args, observation.dims)
    if observation.event is not None:
        survived = distributions.log_survival(law.distribution, y, args, observation.dims)
        ended = expand(env[observation.event], result.dims) != 0
        result = Value(result.dims, np.where(ended, result.array, survived.array))
    if observation.weight is not None:
        weight = expand(env[observation.weight], result.dims)
        result = Value(result.dims, np.where(weight == 0, 0.0, weight * result.array))
    return result


def _total(value: Value, sizes: Mapping[str, int], dims: Dims) -> Value:
    full = broadcast(value, dims, sizes)
    kept = tuple(dim for dim in BATCH if dim in value.dims)
    return Value(kept, np.sum(full, axis=tuple(range(len(kept), full.ndim))))


def terms(model: Model, data: ModelData, parameters: Parameters, batch: Dims = ()) -> dict[str, Value]:
    """Return the log density of each random variable, observation and factor, by name, over batch dims."""
    env = definitions(model, data, parameters, batch=batch)
    parts: dict[str, Value] = {}
    for variable in model.variables:
        value = variable_log_density(variable, env)
        parts[variable.name] = _total(value, model.sizes, without_batch(value.dims))
    for observation in model.observations:
        value = observation_log_likelihood(observation, env)
        parts[observation.name] = _total(value, model.sizes, without_batch(value.dims))
    for factor in model.factors:
        value = evaluate(factor.value, env)
        parts[factor.name] = _total(value, model.sizes, without_batch(value.dims))
    return parts


def log_densities(model: Model, data: ModelData, parameters: Parameters, batch: Dims = ("draw",)) -> Array:
    """Return the log density at each of many points, over `batch`; see `log_density`."""
    parts = list(terms(model, data, parameters, batch).values())
    shape = _batch_shape(model, parameters, batch)
    return sum((np.broadcast_to(expand(part, batch), shape) for part in parts), np.zeros(shape))


def _batch_shape(model: Model, parameters: Parameters, batch: Dims) -> tuple[int, ...]:
    if not batch:
        return ()
    first = model.variables[0].name
    return np.shape(parameters[first])[: len(batch)]


def log_density(model: Model, data: ModelData, parameters: Parameters) -> float:
    """Return the joint log density of parameters and data.

    The sum of the log densities of the random variables on their natural scale (exactly normalised, no
    Jacobians), of the observations (times their weights; the log probability of surviving where censored)
    and of the factors. A Cholesky factor of a correlation matrix has its density with respect to the entries
    below the diagonal, a simplex with respect to all entries but the last.

    Parameters
    ----------
    model : Model
        The model.
    data : ModelData
        Its arrays.
    parameters : mapping
        Random variable to array of its dims.
    """
    return float(log_densities(model, data, parameters, batch=()))


def _chunks(total: int, rows: int, most: int = CHUNK) -> list[slice]:
    step = max(1, most // max(rows, 1))
    return [slice(start, min(start + step, total)) for start in range(0, total, step)]


def _largest(model: Model) -> int:
    sizes = model.sizes
    return max((int(np.prod([sizes[dim] for dim in slot.dims])) for slot in model.slots), default=1)


def log_likelihood(model: Model, data: ModelData, parameters: Parameters) -> dict[str, Array]:
    """Return the pointwise log likelihood, weights included, in chunks of draws.

    Parameters
    ----------
    model, data
        The model and its arrays.
    parameters : mapping
        Random variable to array (draw, *dims).

    Returns
    -------
    dict
        Observation, or factor of an outcome, to array (draw, *its dims without event dims).
    """
    (draws,) = _batch_shape(model, parameters, ("draw",))
    arrays = {name: np.asarray(array) for name, array in parameters.items()}
    factors = [factor for factor in model.factors if factor.outcome is not None]
    parts: dict[str, list[Array]] = {each.name: [] for each in (*model.observations, *factors)}
    for chunk in _chunks(draws, _largest(model)):
        piece = {name: array[chunk] for name, array in arrays.items()}
        for observation in model.observations:
            parts[observation.name].append(_pointwise(model, data, piece, observation))
        for factor in factors:
            parts[factor.name].append(_of_factor(model, data, piece, factor))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}


def _of_factor(model: Model, data: ModelData, parameters: Parameters, factor: Factor) -> Array:
    env = definitions(model, data, parameters, references(factor.value), batch=("draw",))
    (draws,) = _batch_shape(model, parameters, ("draw",))
    shape = [draws, *(model.sizes[dim] for dim in factor.dims)]
    return np.broadcast_to(expand(evaluate(factor.value, env), ("draw", *factor.dims)), shape).copy()


def _pointwise(model: Model, data: ModelData, parameters: Parameters, observation: Observation) -> Array:
    env = definitions(model, data, parameters, law_references(observation.law), batch=("draw",))
    value = observation_log_likelihood(observation, env)
    (draws,) = _batch_shape(model, parameters, ("draw",))
    dims = without_batch(value.dims)
    shape = [draws, *(model.sizes[dim] for dim in dims)]
    return np.broadcast_to(expand(value, ("draw", *dims)), shape).copy()


def reported(model: Model, data: ModelData, draws: Parameters) -> dict[str, Array]:
    """Return the quantities that users see.

    Parameters
    ----------
    model, data
        The model and its arrays.
    draws : mapping
        Random variable to array (chain, draw, *dims).

    Returns
    -------
    dict
        Role to array (chain, draw, *dims of the reported quantity), in a file where it is large (`hdsl.storage`).
    """
    shape = _batch_shape(model, draws, ("chain", "draw"))
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in draws.items()}
    themselves = {each.role: _drawn_itself(model, each) for each in model.reported}
    rest = [each for each in model.reported if themselves[each.role] is None]
    names = frozenset().union(*(references(each.value) for each in rest))
    flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in arrays.items()}
    total = int(np.prod(shape))
    sizes = {each.role: [model.sizes[dim] for dim in each.dims] for each in rest}
    found = {role: room((total, *size)) for role, size in sizes.items()}
    pages = Pages(*flat.values(), *found.values())

    def fill(chunk: slice) -> None:
        env = definitions(model, data, {name: array[chunk] for name, array in flat.items()}, names, ("draw",))
        for each in rest:
            found[each.role][chunk] = expand(evaluate(each.value, env), ("draw", *each.dims))
        pages.after((chunk.stop - chunk.start) / total)

    chunks = _chunks(total, max((int(np.prod(size)) for size in sizes.values()), default=1), REPORTED)
    if len(chunks) == 1:
        fill(chunks[0])
    else:
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(fill, chunks))
    shaped = {role: array.reshape(*shape, *array.shape[1:]) for role, array in found.items()}
    return {role: shaped[role] if name is None else arrays[name] for role, name in themselves.items()}


def _drawn_itself(model: Model, each: Reported) -> str | None:
    """Return the random variable that is what is reported, the same numbers in the same order, if one is."""
    value: Expr = each.value
    of_name = {d.name: d for d in model.definitions}
    while isinstance(value, Var) and value.name in of_name:
        value = of_name[value.name].value
    if not isinstance(value, Var):
        return None
    return next((v.name for v in model.variables if v.name == value.name and v.dims == each.dims), None)


def align(value: Value, dims: Dims, sizes: Mapping[str, int]) -> Value:
    """Return the value over its batch dims, then exactly `dims`."""
    order = union(tuple(dim for dim in value.dims if dim in BATCH), dims)
    return Value(order, broadcast(value, dims, sizes))
