"""Draws from the prior and of new data, in the order in which a Model states its parts."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.model.ir import Definition, Dims, Model, ModelData, Observation
from hdsl.reference import distributions
from hdsl.reference.density import Parameters, arguments, definitions, environment, law_references
from hdsl.reference.sequence import in_sequence
from hdsl.reference.values import BATCH, AnyArray, Value, evaluate, expand

Array = NDArray[np.float64]


def prior_draw(model: Model, data: ModelData, rng: Generator, draws: int | None = None) -> dict[str, Array]:
    """Draw parameters from their laws, each given those before it.

    Parameters
    ----------
    model, data
        The model and its arrays.
    rng : numpy Generator
        The source of randomness.
    draws : int, optional
        How many; None gives one, without a leading axis.

    Returns
    -------
    dict
        Random variable to array of its dims, after an axis of `draws` if given.

    Raises
    ------
    ValueError
        If the model has factors that are no outcome's likelihood: its prior is then not the product of its laws.
    """
    if any(factor.outcome is None for factor in model.factors):
        raise ValueError("a model with factors cannot be drawn from: its prior is no product of laws")
    batch: Dims = () if draws is None else ("draw",)
    sizes = model.sizes if draws is None else {**model.sizes, "draw": draws}
    env = environment(model, data, {})
    for statement in model.statements:
        if isinstance(statement, Definition):
            env[statement.name] = evaluate(statement.value, env)
            continue
        law = statement.law
        args = arguments(law, env)
        env[statement.name] = distributions.draw(law.distribution, rng, args, (*batch, *statement.dims), sizes)
    return {each.name: env[each.name].real for each in model.variables}


def draw_outcome(
    model: Model,
    data: ModelData,
    parameters: Parameters,
    observation: Observation,
    rng: Generator,
    batch: Dims = (),
) -> AnyArray:
    """Draw an observation's outcome given parameters, over `batch` and its dims; weights are ignored."""
    law = observation.law
    if observation.sequence is not None:

        def step(args: list[Value]) -> Array:
            known = {**model.sizes, **_batch_sizes({str(i): arg for i, arg in enumerate(args)})}
            return distributions.draw(law.distribution, rng, args, (*batch, *observation.dims), known).real

        return in_sequence(model, data, parameters, observation, batch, step)
    env = definitions(model, data, parameters, law_references(law), batch)
    sizes = {**model.sizes, **_batch_sizes(env)}
    drawn = distributions.draw(law.distribution, rng, arguments(law, env), (*batch, *observation.dims), sizes)
    return drawn.array


def _batch_sizes(env: dict[str, Value]) -> dict[str, int]:
    return {dim: size for value in env.values() for dim, size in value.sizes.items() if dim in BATCH}


def _like(old: AnyArray, new: NDArray[np.generic]) -> NDArray[np.float64] | NDArray[np.int64]:
    return new.astype(np.int64) if old.dtype.kind == "i" else new.astype(np.float64)


def simulate(model: Model, data: ModelData, parameters: Parameters, rng: Generator) -> ModelData:
    """Replace the outcomes by draws given parameters.

    A row that was censored keeps its censoring time: the new duration is cut there, and counts as ended if it
    is shorter. A row that was not censored has no known censoring time and is observed in full. Weights are
    kept and do not bear on the draws. Slots that are computed from an outcome beforehand are not renewed.

    Parameters
    ----------
    model, data
        The model and its arrays.
    parameters : mapping
        Random variable to array of its dims.
    rng : numpy Generator
        The source of randomness.

    Returns
    -------
    ModelData
        With new arrays in the slots of outcomes and of censoring.
    """
    values = dict(data.values)
    for observation in model.observations:
        old = values[observation.slot]
        drawn = draw_outcome(model, data, parameters, observation, rng)
        new = expand(Value(observation.dims, drawn), model.slot(observation.slot).dims)
        if observation.event is not None:
            ended = np.asarray(values[observation.event])
            limit = np.where(ended != 0, np.inf, old)
            values[observation.event] = _like(ended, new <= limit)
            new = np.minimum(new, limit)
        values[observation.slot] = _like(old, new)
        for margin in model.margins:
            if observation.rows is not None and margin.outcome == observation.outcome:
                whole = np.asarray(values[margin.slot], dtype=np.float64).copy()
                whole[values[observation.rows].astype(np.int64)] = new
                values[margin.slot] = _like(values[margin.slot], whole)
    return ModelData(values=values, coords=data.coords)
