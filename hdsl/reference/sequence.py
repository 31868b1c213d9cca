"""Outcomes whose law depends on earlier outcomes of the same unit: row after row, in the order of their ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    law = Given.of(model, data, parameters, observation, batch)
    made = np.broadcast_to(np.asarray(data.values[observation.slot], dtype=np.float64), law.shape).copy()
    ranks = np.asarray(data.values[observation.sequence])
    for rank in range(int(ranks.max(initial=0)) + 1):
        here = ranks == rank
        made[..., here] = step(law.arguments(made))[..., here]
    return made


@dataclass(frozen=True)
class Given:
    """The law of an outcome given outcomes of other rows, with all that does not depend on them computed."""

    model: Model
    observation: Observation
    batch: Dims
    env: Mapping[str, Value]
    moving: frozenset[str]
    shape: tuple[int, ...]

    @staticmethod
    def of(model: Model, data: ModelData, parameters: Parameters, observation: Observation, batch: Dims) -> Given:
        """Return the law at parameters with the axes of `batch` in front."""
        wanted = needed(model, law_references(observation.law))
        moving = resting_on(model, observation.slot) & wanted
        env = definitions(model, data, parameters, wanted - moving, batch)
        known = {dim: size for value in env.values() for dim, size in value.sizes.items() if dim in batch}
        shape = tuple({**model.sizes, **known}[dim] for dim in (*batch, *observation.dims))
        return Given(model, observation, batch, env, moving, shape)

    def arguments(self, made: Array) -> list[Value]:
        """Return the arguments of the law given outcomes over the batch dims and the rows."""
        env = {**self.env, self.observation.slot: Value((*self.batch, *self.observation.dims), made)}
        for definition in self.model.definitions:
            if definition.name in self.moving:
                env[definition.name] = evaluate(definition.value, env)
        return [evaluate(argument, env) for argument in self.observation.law.args]
