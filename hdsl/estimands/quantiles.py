"""Quantiles of potential outcomes that do not cross.

Each quantile has coefficients of its own, so that a lower one can lie above a higher one. In each draw the quantiles of
each row are therefore put in order: they are then those of a distribution, and never further from the truth.
Source: Chernozhukov, Fernandez-Val & Galichon (2010), Econometrica 78.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hdsl.design.ir import StudyFields
from hdsl.estimands.defaults import quantiles_only
from hdsl.estimands.worlds import World, count
from hdsl.model.ir import Model, Observation
from hdsl.model.working import LAW
from hdsl.reference.density import definitions, law_references
from hdsl.reference.values import Array, evaluate, expand

BATCH = ("draw",)
CELLS = 4_000_000
Draws = Mapping[str, Array]


def of_quantiles(study: StudyFields, model: Model) -> Observation | None:
    """Return the observation of an outcome with a family of quantiles, None where it has another family."""
    if not quantiles_only(study):
        return None
    return next((each for each in model.observations if each.law.distribution == LAW), None)


def of_several(model: Model) -> bool:
    """Return whether several quantiles were fitted together."""
    return any(each.law.distribution == LAW and len(each.dims) > 1 for each in model.observations)


def fitted(place: World, draws: Draws) -> Array:
    """Return the quantiles of a potential outcome as they are fitted, shape (draws, rows, quantiles)."""
    law, dims = place.observation.law, place.observation.dims
    env = definitions(place.model, place.data, draws, law_references(law), BATCH)
    location = expand(evaluate(law.args[0], env), (*BATCH, *dims))
    found = location if len(dims) > 1 else location[..., None]
    sizes = [place.model.sizes[dim] for dim in dims]
    return np.broadcast_to(found, (count(draws), *(sizes if len(sizes) > 1 else (*sizes, 1))))


def ordered(place: World, draws: Draws) -> Array:
    """Return the quantiles of a potential outcome in order, shape (draws, rows, quantiles)."""
    return np.sort(fitted(place, draws), axis=2)


def chunks(draws: Draws, cells: int) -> Iterator[Draws]:
    """Yield draws, (draw, *dims), in pieces of bounded size; `cells`: how many numbers each takes."""
    step = max(1, CELLS // max(cells, 1))
    for start in range(0, count(draws), step):
        yield {name: value[start : start + step] for name, value in draws.items()}
