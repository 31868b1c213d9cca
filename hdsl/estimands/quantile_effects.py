"""Effects of treatments on the quantiles of the outcome, from quantiles that do not cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from hdsl.data.bound import Bound
from hdsl.design.expr import Aggregate, Operation, Potential
from hdsl.design.ir import Estimand, Family, StudyFields
from hdsl.estimands.aggregate import aggregate, units_of
from hdsl.estimands.compute import Computed
from hdsl.estimands.defaults import with_defaults
from hdsl.estimands.quantiles import chunks, of_quantiles, ordered
from hdsl.estimands.worlds import world
from hdsl.model.ir import Model, ModelData, Observation
from hdsl.reference.values import Array

INDEX = "quantile"
Draws = Mapping[str, Array]


def quantile_effects(
    study: StudyFields, model: Model, data: ModelData, bound: Bound, draws: Draws, by: Sequence[str] = ()
) -> list[Computed]:
    """Return the effect of each arm against the reference on the quantiles: `quantile_effect_z`, by quantile.

    The difference between the quantiles of a row under the arm and under the reference, averaged over the rows.

    Parameters
    ----------
    study : StudyFields
        The effects of its treatments; empty where its outcome has no family of quantiles.
    draws : mapping
        Random variable to draws of shape (chain, draw, *dims).
    by : sequence of str
        Levels: one effect for each of their units, averaged over its rows.
    """
    observation = of_quantiles(study, model)
    if observation is None:
        return []
    shape = next(iter(draws.values())).shape[:2]
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in draws.items()}
    names = _index(observation, data)
    units = {level: tuple(bound.levels[level].labels) for level in by}
    sizes = [len(labels) for labels in (*names.values(), *units.values())]
    return [
        Computed(contrast.name, _effect(contrast, model, data, bound, flat, by).reshape(*shape, *sizes), names | units)
        for contrast in contrasts(study)
    ]


def contrasts(study: StudyFields) -> list[Estimand]:
    """Return the contrasts that another family has by default, `quantile_effect_z` in place of `average_effect_z`."""
    kept = tuple(item for item in study.analysis if not isinstance(item, Family))
    bare = study.model_copy(update={"analysis": kept, "estimands": ()})
    found = [each for each in with_defaults(bare) if isinstance(each.value, Aggregate) and not each.value.cells]
    return [each.model_copy(update={"name": each.name.replace("average", INDEX, 1)}) for each in found if _is_one(each)]


def _is_one(estimand: Estimand) -> bool:
    value = estimand.value
    return isinstance(value, Aggregate) and isinstance(value.of, Operation)


def _index(observation: Observation, data: ModelData) -> dict[str, Sequence[str]]:
    """Return the probabilities as an index, none where there is one quantile."""
    return {INDEX: data.coords[observation.dims[1]]} if len(observation.dims) > 1 else {}


def _effect(contrast: Estimand, model: Model, data: ModelData, bound: Bound, draws: Draws, by: Sequence[str]) -> Array:
    """Return draws of one contrast, shape (draws, quantiles, cells)."""
    node = cast(Aggregate, contrast.value)
    pair = cast(Operation, node.of)
    treated, control = cast(Potential, pair.left), cast(Potential, pair.right)
    worlds = [world(model, data, bound, each.outcome, each.settings) for each in (treated, control)]
    units = units_of(bound, node, tuple(by))
    parts: list[Array] = []
    for chunk in chunks(draws, np.size(data.values[worlds[0].observation.slot])):
        difference = ordered(worlds[0], chunk) - ordered(worlds[1], chunk)
        each = [aggregate(difference[:, :, k], units, node) for k in range(difference.shape[2])]
        parts.append(np.stack([found.reshape(len(found), -1) for found in each], axis=1))
    return np.concatenate(parts)
