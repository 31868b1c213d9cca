"""Potential outcomes of rows that go together: one after another along a sequence, or all rows of a unit at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.random import Generator

from hdsl.model.ir import Model, ModelData, Observation
from hdsl.reference import distributions
from hdsl.reference.density import definitions, law_references
from hdsl.reference.sequence import in_sequence
from hdsl.reference.values import Array, Value, evaluate, expand

Draws = Mapping[str, Array]
Pick = Callable[[Observation, list[Value]], Array]
BATCH = ("draw",)


def jointly(
    model: Model, data: ModelData, observations: Sequence[Observation], draws: Draws, rows: int, pick: Pick
) -> Array:
    """Return one replicate of the outcome for each draw and row, shape (draws, rows).

    Parameters
    ----------
    observations : sequence of Observation
        Those of one outcome: a single one with a sequence, or several that each have some of the rows.
    pick : callable
        Gives values over draws and the observation's dims, from the arguments of its law.
    """
    number = next(iter(draws.values())).shape[0]
    first = observations[0]
    if first.sequence is not None:
        return in_sequence(model, data, draws, first, BATCH, lambda args: pick(first, args))
    whole = np.full((number, rows), np.nan)
    for observation in observations:
        law = observation.law
        env = definitions(model, data, draws, law_references(law), BATCH)
        values = pick(observation, [evaluate(argument, env) for argument in law.args])
        assert observation.rows is not None
        whole[:, np.asarray(data.values[observation.rows], dtype=np.int64)] = values
    return whole


def drawn(model: Model, rng: Generator, number: int) -> Pick:
    """Return what draws values from the laws at random."""

    def pick(observation: Observation, args: list[Value]) -> Array:
        dims = (*BATCH, *observation.dims)
        found = distributions.draw(observation.law.distribution, rng, args, dims, {**model.sizes, "draw": number})
        return expand(found, dims)

    return pick


def scored(data: ModelData, scores: Array) -> Pick:
    """Return what takes values from the laws at given standard normal scores, shape (draws, rows)."""
    from scipy.special import ndtr

    def pick(observation: Observation, args: list[Value]) -> Array:
        dims = (*BATCH, *observation.dims)
        here = (
            scores if observation.rows is None else scores[:, np.asarray(data.values[observation.rows], dtype=np.int64)]
        )
        if observation.law.distribution == "multinormal_cholesky":
            mean, cholesky = args
            factor = expand(cholesky, (*BATCH, *cholesky.dims[-2:]))
            factor = np.broadcast_to(factor, (len(here), *factor.shape[1:]))
            return np.asarray(expand(mean, dims) + np.einsum("dij,duj->dui", factor, here))
        found = distributions.quantile(observation.law.distribution, Value(dims, ndtr(here)), args)
        return expand(found, dims)

    return pick
