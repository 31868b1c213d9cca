"""Replicated outcomes: what the fitted model, or its prior, would have the rows' outcomes be.

Source: Gelman, Meng & Stern (1996); Marshall & Spiegelhalter (2003) for replicates in new groups, which test the law of
the groups too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from hdsl.data.bound import Bound
from hdsl.estimands.strata import counted
from hdsl.estimands.worlds import kinds_of, new_groups, simulated, world
from hdsl.model.ir import Model, ModelData
from hdsl.reference.simulate import prior_draw
from hdsl.reference.values import Array

Draws = Mapping[str, Array]
CELLS = 4_000_000


def outcome_of(bound: Bound) -> str:
    """Return the name of a study's outcome; a model may observe gapped covariates beside it."""
    return next(variable.name for variable in bound.variables.values() if variable.role == "outcome")


def replicated(
    model: Model, data: ModelData, bound: Bound, draws: Draws, groups: Literal["same", "new"], seed: int
) -> Array:
    """Return one replicate of each row's outcome for each draw, shape (draws, rows).

    Parameters
    ----------
    draws : mapping
        Random variable to draws of shape (draw, *dims).
    groups : {"same", "new"}
        Whether the rows stay in their groups, or lie in new ones drawn from their laws. Groups that are not pooled have
        no law to draw from, and stay.
    """
    rng = np.random.default_rng(seed)
    here = world(model, data, bound, outcome_of(bound), ())
    total = next(iter(draws.values())).shape[0]
    step = max(1, CELLS // max(bound.rows, 1))
    counts = counted(bound)
    unpooled = {variable.name for variable in model.variables if variable.role.startswith("unpooled(")}
    parts: list[Array] = []
    for start in range(0, total, step):
        chunk = {name: value[start : start + step] for name, value in draws.items()}
        if groups == "new":
            fresh = new_groups(here.model, here.data, chunk, rng)
            chunk = {name: chunk[name] if name in unpooled else value for name, value in fresh.items()}
        kinds = kinds_of(here.model, here.data, chunk, rng, counts, new=groups == "new")
        parts.append(simulated(here, chunk, bound.rows, rng, kinds))
    return np.concatenate(parts)


def prior_replicated(model: Model, data: ModelData, bound: Bound, number: int, seed: int) -> Array:
    """Return replicates under parameters drawn from the prior, shape (number, rows)."""
    drawn = prior_draw(model, data, np.random.default_rng(seed), draws=number)
    return replicated(model, data, bound, drawn, "same", seed + 1)
