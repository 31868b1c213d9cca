"""Propensity scores from their own model, and the mixture of fits of the outcome model over draws of them.

The outcome never informs the scores: they are cut from it. The posterior of the outcome model may be the mixture over
draws of the scores, so that how uncertain these are is part of every interval. Sources: McCandless et al. (2010);
Zigler & Dominici (2014); Plummer (2015) on cutting by one fit for each draw. Which fits are made of which studies is
decided in `hdsl.inference.stages`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hdsl.backend import Backend, Draws, Progress, Settings
from hdsl.data.bound import Bound
from hdsl.diagnostics import Diagnostic
from hdsl.inference.fit import Fit, fit
from hdsl.model.derive.propensity import EDGE, Score, assignment_bound, scores_of, with_values
from hdsl.model.ir import Model, ModelData
from hdsl.reference import distributions
from hdsl.reference.density import definitions, law_references
from hdsl.reference.values import Array, evaluate, expand
from hdsl.storage import let_go, room

SCORE_DRAWS = 40
LEAST = 25
WARMUP = 300
MOST_DRAWS, MOST_UNITS = 1000, 500
BATCH = ("draw",)


@dataclass(frozen=True)
class Staged:
    """A fit of both stages.

    Attributes
    ----------
    fit : Fit
        The draws of the outcome model, of a mixture those of each draw of the scores one after the other in turn; its
        data have typical scores.
    parts : tuple of Fit
        Of a mixture, one for each draw of the scores, with its own data.
    chances : mapping
        Treatment to draws of each unit's probability to be treated, shape (score draws, units).
    assignment : mapping
        Treatment to the fit of its propensity model.
    """

    fit: Fit
    parts: tuple[Fit, ...]
    chances: Mapping[str, Array]
    assignment: Mapping[str, Fit]


def first_stages(
    bound: Bound, backend: Backend, settings: Settings, progress: Callable[[Progress], None] | None = None
) -> dict[str, Fit] | Diagnostic:
    """Return the fit of each treatment's propensity model.

    Raises
    ------
    SamplingFailed
        The backend gave no usable draws.
    """
    found: dict[str, Fit] = {}
    for score in scores_of(bound):
        each = _assignment(bound, score, backend, settings, progress)
        if isinstance(each, Diagnostic):
            return each
        found[score.treatment.name] = each
    return found


def mixture(
    bound: Bound,
    model: Model,
    data: ModelData,
    assignment: Mapping[str, Fit],
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Staged | Diagnostic:
    """Fit the outcome model for each of several draws of the scores.

    Raises
    ------
    SamplingFailed
        The backend gave no usable draws.
    """
    chances = drawn_chances(assignment)
    draws = max(LEAST, -(-settings.draws // SCORE_DRAWS))
    parts: list[Fit] = []
    for number in range(min(len(values) for values in chances.values())):
        here = {name: values[number] for name, values in chances.items()}
        values = with_values(bound, model, data, here)
        warmup = min(settings.warmup, WARMUP)
        own = replace(settings, draws=draws, warmup=warmup, seed=settings.seed + 1000 * (number + 1))
        part = fit(model, values, backend, own, progress)
        if isinstance(part, Diagnostic):
            return part
        parts.append(part)
    return Staged(_pooled(model, data, parts, settings, draws), tuple(parts), chances, assignment)


def drawn_chances(assignment: Mapping[str, Fit]) -> dict[str, Array]:
    """Return draws of the scores that stand for all, by treatment; each of shape (score draws, units)."""
    return {name: _chances(found) for name, found in assignment.items()}


def _assignment(
    bound: Bound,
    score: Score,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None,
) -> Fit | Diagnostic:
    from hdsl.model.from_design import derive

    made, problems = derive(assignment_bound(bound, score))
    if made is None:
        return next(problem for problem in problems if problem.severity == "error")
    return fit(*made, backend, settings, progress)


def _chances(found: Fit) -> Array:
    """Return draws of the probability of each unit to be treated that stand for all, shape (score draws, units)."""
    chains, draws = next(iter(found.parameters.values())).shape[:2]
    some = np.linspace(0, chains * draws - 1, min(MOST_DRAWS, chains * draws)).round().astype(np.int64)
    flat = {n: v.swapaxes(0, 1).reshape(chains * draws, *v.shape[2:])[some] for n, v in found.parameters.items()}
    observation = found.model.observations[0]
    env = definitions(found.model, found.data, flat, law_references(observation.law), BATCH)
    args = [evaluate(argument, env) for argument in observation.law.args]
    mean = distributions.mean(observation.law.distribution, args, observation.dims)
    whole = np.broadcast_to(expand(mean, (*BATCH, *observation.dims)), (len(some), found.model.sizes[found.model.unit]))
    units = np.linspace(0, whole.shape[1] - 1, min(MOST_UNITS, whole.shape[1])).round().astype(np.int64)
    inner = np.clip(whole[:, units], EDGE, 1 - EDGE)
    return whole[representative(np.log(inner / (1 - inner)), SCORE_DRAWS)]


def representative(points: Array, number: int) -> list[int]:
    """Return which of many points stand for all of them: a greedy choice by energy distance.

    Means over these points are much nearer to those over all than means over as many at random. Source: Mak & Joseph
    (2018), support points.

    Parameters
    ----------
    points : float array, shape (points, coordinates)
    """
    from scipy.spatial.distance import cdist

    apart = cdist(points, points)
    away, taken = apart.mean(axis=1), np.zeros(len(points))
    chosen: list[int] = []
    for step in range(min(number, len(points))):
        score = away - taken / (step + 1)
        score[chosen] = np.inf
        chosen.append(int(np.argmin(score)))
        taken += apart[chosen[-1]]
    return chosen


def interleaved(parts: Sequence[Array]) -> Array:
    """Return draws of several fits as one, (chain, draw, ...): the first of each fit, then the second of each."""
    chains, draws, *rest = np.shape(parts[0])
    whole = room((chains, draws, len(parts), *rest), np.result_type(*parts))
    for place, part in enumerate(parts):
        whole[:, :, place] = part
        let_go(whole, part)
    return whole.reshape(chains, draws * len(parts), *rest)


def _pooled(model: Model, data: ModelData, parts: Sequence[Fit], settings: Settings, draws: int) -> Fit:
    first = parts[0]

    def joined(pick: Callable[[Fit], Mapping[str, Any]]) -> dict[str, Any]:
        names = [name for name in pick(first) if all(name in pick(part) for part in parts)]
        return {name: interleaved([pick(part)[name] for part in parts]) for name in names}

    times = {key for part in parts for key in part.sampled.seconds}
    seconds = {key: sum(part.sampled.seconds.get(key, 0.0) for part in parts) for key in sorted(times)}
    quality = {
        key: (min if key == "importance_ess" else max)(part.sampled.quality[key] for part in parts)
        for key in first.sampled.quality
        if all(key in part.sampled.quality for part in parts)
    }
    sampled = Draws(
        values=joined(lambda part: part.sampled.values),
        statistics=joined(lambda part: part.sampled.statistics),
        engine=first.sampled.engine,
        seconds=seconds,
        max_tree_depth=first.sampled.max_tree_depth,
        quality=quality,
    )
    how = f"{len(parts)} draws of the propensity scores, the outcome model fitted for each; {first.how}"
    return Fit(
        model=model,
        data=data,
        backend=first.backend,
        sampled=sampled,
        parameters=joined(lambda part: part.parameters),
        roles=joined(lambda part: part.roles),
        settings=replace(settings, draws=draws * len(parts)),
        how=how,
        parts=tuple(parts),
    )
