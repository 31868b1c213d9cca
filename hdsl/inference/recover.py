"""Draws of a rewritten model brought back to the plain model, in chunks of draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hdsl.model.ir import Model, ModelData
from hdsl.reference.density import definitions
from hdsl.reference.values import Array, Value
from hdsl.storage import Pages, room

BATCH = ("chain", "draw")
CELLS = 20_000_000


def recover(rewritten: Model, data: ModelData, plain: Model, draws: Mapping[str, Array]) -> dict[str, Array]:
    """Return draws of the plain model's random variables.

    Parameters
    ----------
    rewritten, data
        The model that was sampled, whose definitions bear the plain model's names, and its arrays.
    plain : Model
        The model before the passes.
    draws : mapping
        Random variable of `rewritten` to draws of shape (chain, draw, *dims).

    Returns
    -------
    dict
        Random variable of `plain` to draws of shape (chain, draw, *dims), in files where they are large.
    """
    names = [variable.name for variable in plain.variables]
    chains, number = next(iter(draws.values())).shape[:2]
    sizes = plain.sizes
    largest = max((int(np.prod([sizes[dim] for dim in v.dims])) for v in plain.variables), default=1)
    step = max(1, CELLS // (chains * largest))
    found = {v.name: room((chains, number, *(sizes[dim] for dim in v.dims))) for v in plain.variables}
    pages = Pages(*found.values(), *draws.values())
    for start in range(0, number, step):
        chunk = {name: value[:, start : start + step] for name, value in draws.items()}
        env = definitions(rewritten, data, chunk, names, BATCH)
        length = min(step, number - start)
        for variable in plain.variables:
            value = _batched(env[variable.name], (*BATCH, *variable.dims), (chains, length), sizes)
            found[variable.name][:, start : start + length] = value
        pages.after(length / number)
    return found


def _batched(value: Value, dims: tuple[str, ...], batch: tuple[int, int], sizes: Mapping[str, int]) -> Array:
    from hdsl.reference.density import align

    return align(value, dims, {**sizes, "chain": batch[0], "draw": batch[1]}).real
