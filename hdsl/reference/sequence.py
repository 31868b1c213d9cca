"""Outcomes whose law depends on earlier outcomes of the same unit: row after row, in the order of their ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hdsl.model.ir import Dims, Model, ModelData, Observation, references
from hdsl.reference.density import Parameters, definitions, law_references, needed
from hdsl.reference.values import Array, Value, evaluate

Step = Callable[[list[Value]], Array]


def resting_on(model: Model, slot: str) -> frozenset[str]:
    """Return the names of the definitions whose values change with those of `slot`."""
    found = {slot}
    for definition in model.definitions:
        if references(definition.value) & found:
            found.add(definition.name)
    return frozenset(found - {slot})


def in_sequence(
    model: Model, data: ModelData, parameters: Parameters, observation: Observation, batch: Dims, step: Step
) -> Array:
    """Return an outcome made rank by rank: the law of each row is given the outcomes that were made before.

    Parameters
    ----------
    model, data, parameters
        A model, its arrays, and the values of its random variables with the axes of `batch` in front.
    observation : Observation
        One that has a `sequence`.
    step : callable
        Gives outcomes of all rows from the arguments of the law, over `batch` and the rows; the rows whose turn
        it is are taken from them.

    Returns
    -------
    float array
        Over `batch` and the observation's dims.
    """
    assert observation.sequence is not None
    wanted = needed(model, law_references(observation.law))
    moving = resting_on(model, observation.slot) & wanted
    env = definitions(model, data, parameters, wanted - moving, batch)
    sizes = _sizes(env, batch, model, observation.dims)
    observed = np.asarray(data.values[observation.slot], dtype=np.float64)
    made = np.broadcast_to(observed, sizes).copy()
    ranks = np.asarray(data.values[observation.sequence])
    for rank in range(int(ranks.max(initial=0)) + 1):
        here = ranks == rank
        args = _arguments(
            model, observation, moving, {**env, observation.slot: Value((*batch, *observation.dims), made)}
        )
        made[..., here] = step(args)[..., here]
    return made


def _sizes(env: Mapping[str, Value], batch: Dims, model: Model, dims: Dims) -> tuple[int, ...]:
    known = {dim: size for value in env.values() for dim, size in value.sizes.items() if dim in batch}
    return tuple({**model.sizes, **known}[dim] for dim in (*batch, *dims))


def _arguments(model: Model, observation: Observation, moving: frozenset[str], env: dict[str, Value]) -> list[Value]:
    for definition in model.definitions:
        if definition.name in moving:
            env[definition.name] = evaluate(definition.value, env)
    return [evaluate(argument, env) for argument in observation.law.args]
