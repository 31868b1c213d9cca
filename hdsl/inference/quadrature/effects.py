"""Draws of the varying effects given hyperparameters, from their exact conditional laws.

Groups are independent given the hyperparameters. Each group's effects are drawn by independence Metropolis sampling
around their mode (Tierney 1994), from logistic distributions along the axes of the curvature there: these have heavier
tails than the effects' law, so that weights are bounded, and the distance to the exact law falls by the factor
1 - 1/W or more with each step, W the largest weight in units of their mean. So many steps are taken that this distance
is below `NEAR` for the largest W that is met in a trial.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.random import Generator, SeedSequence

from hdsl.inference.exact import small
from hdsl.inference.exact.density import processors
from hdsl.inference.exact.hyper import Hyper, hyper_at, innovations, spread_of, units_of
from hdsl.inference.quadrature.density import Warm, parents_of, piece_of
from hdsl.inference.quadrature.groups import Grouped, Here, Points, at_points, here_of
from hdsl.inference.quadrature.integrals import modes_of, spread
from hdsl.inference.quadrature.nested import JointModes, given_coarse, joint_modes
from hdsl.passes.marginal.structure import Grouping
from hdsl.reference.values import Array
from hdsl.storage import Pages, room

LOGISTIC_SCALE = 0.65
LEAST = 2.0**-54
NEAR = 1e-3
MOST_STEPS = 60
TRIAL_POINTS = 8
TRIAL_DRAWS = 64
POINTS_AT_ONCE = 64


@dataclass(frozen=True)
class Steps:
    """How many Metropolis steps bring groups, and coarser units, near their exact laws; `count`: nodes of integrals."""

    groups: int
    above: int
    count: int


def draw_effects(model: Grouped, points: Array, seed: int, warm: Warm | None, count: int = 9) -> dict[str, Array]:
    """Return draws of all random variables of the plain model.

    Parameters
    ----------
    points : array, shape (n, d)
        Unconstrained hyperparameters.
    seed : int
        The draws depend on it and on the points alone.
    count : int
        The nodes of the groups' integrals given the effects of coarser units.

    Returns
    -------
    dict
        Random variable to array (n, *dims), in a file where it is large (`hdsl.storage`).
    """
    plain = model.predicted.linear.model
    shapes = {v.name: tuple(plain.sizes[dim] for dim in v.dims) for v in plain.variables}
    found = {name: room((len(points), *shape)) for name, shape in shapes.items()}
    pages = Pages(*found.values())
    steps = steps_needed(model, points, seed, warm, count)
    pieces = [slice(at, at + POINTS_AT_ONCE) for at in range(0, len(points), POINTS_AT_ONCE)]
    seeds = SeedSequence([seed, 0xE]).spawn(len(pieces))

    def one(piece: slice, own: SeedSequence) -> None:
        with np.errstate(all="ignore"):
            values = _piece(model, points[piece], np.random.default_rng(own), steps, warm)
        for name, array in found.items():
            array[piece] = values[name]
        pages.after(len(points[piece]) / len(points))

    with ThreadPoolExecutor(processors()) as pool:
        for done in [pool.submit(one, piece, own) for piece, own in zip(pieces, seeds, strict=True)]:
            done.result()
    return found


def _piece(model: Grouped, points: Array, rng: Generator, steps: Steps, warm: Warm | None) -> dict[str, Array]:
    linear = model.predicted.linear
    hyper = hyper_at(linear, points)
    found = {name: np.asarray(array) for name, array in hyper.parameters.items()}
    grouping = model.predicted.grouping
    if grouping is None:
        return found
    said = at_points(model, hyper)
    above = _above(model, said, points, rng, steps, warm)
    if model.predicted.coarse is not None:
        whole = rng.standard_normal((len(points), model.predicted.coarse.size, 1))
        whole[:, model.above, 0] = above
        found |= effect_values(model, hyper, whole, model.predicted.coarse)
    standard = rng.standard_normal((len(points), grouping.size, model.size))
    for groups in model.table.blocks():
        step = piece_of(model.table, groups)
        for at in range(0, len(points), step):
            piece = slice(at, at + step)
            start = None if warm is None else warm.at(points[piece], model.kind_of_group[groups])
            here = here_of(model, model.table, groups, said.of(piece))
            if model.nested:
                here = here.shifted(above[piece, parents_of(model.table, groups)])
            standard[piece, model.table.units[groups]] = _metropolis(here, model.size, start, steps.groups, rng)
    return found | effect_values(model, hyper, standard)


def _metropolis(here: Here, size: int, start: Array | None, steps: int, rng: Generator) -> Array:
    """Return standard normal effects drawn given all else, (b, groups, q)."""
    modes = modes_of(here, size, start)
    u, height = _proposed(here, modes.u, modes.inverse, rng)
    for _ in range(steps):
        other, other_height = _proposed(here, modes.u, modes.inverse, rng)
        taken = np.log(rng.uniform(size=height.shape)) < other_height - height
        u = np.where(taken[..., None], other, u)
        height = np.where(taken, other_height, height)
    return u


def _above(model: Grouped, said: Points, points: Array, rng: Generator, steps: Steps, warm: Warm | None) -> Array:
    """Return the standard normal effects of coarser units, the groups' effects integrated out, (b, coarser units)."""
    found = np.zeros((len(points), len(model.above) if model.nested else 0))
    for groups in model.kinds.blocks() if model.nested else ():
        step, units = piece_of(model.kinds, groups), parents_of(model.kinds, groups)
        for at in range(0, len(points), step):
            piece = slice(at, at + step)
            here, modes = _joint(model, groups, said.of(piece), points[piece], warm)
            v, height = _proposed_above(model, groups, here, modes, steps.count, rng)
            for _ in range(steps.above):
                other, other_height = _proposed_above(model, groups, here, modes, steps.count, rng)
                taken = np.log(rng.uniform(size=height.shape)) < other_height - height
                v, height = np.where(taken, other, v), np.where(taken, other_height, height)
            found[piece, units] = v
    return found


def _joint(model: Grouped, groups: slice, said: Points, points: Array, warm: Warm | None) -> tuple[Here, JointModes]:
    here = here_of(model, model.kinds, groups, said)
    u = None if warm is None else warm.at(points, groups)
    v = None if warm is None else warm.above_at(points, parents_of(model.kinds, groups))
    return here, joint_modes(here, model.times[groups], model.size, u, v)


def _proposed_above(
    model: Grouped, groups: slice, here: Here, modes: JointModes, count: int, rng: Generator
) -> tuple[Array, Array]:
    """Return proposals of coarser units' effects, (b, units), and their log weights up to a constant by unit."""
    share = rng.random(modes.v.shape) + LEAST
    below, over = np.log(share), np.log1p(-share)
    v = modes.v + modes.sd * LOGISTIC_SCALE * (below - over)
    return v, given_coarse(here, model.times[groups], modes, v, model.size, count) - below - over


def _proposed(here: Here, centre: Array, inverse: small.Rows, rng: Generator) -> tuple[Array, Array]:
    """Return proposals around modes, (b, groups, q), and their log weights up to a constant by group."""
    share = rng.random(centre.shape)
    share += LEAST
    below, above = np.log(share), np.log1p(-share)
    u = centre + spread(inverse, LOGISTIC_SCALE * (below - above))
    log_proposal = np.sum(below, axis=2) + np.sum(above, axis=2)
    return u, here.log_likelihood(u) - 0.5 * np.sum(u**2, axis=2) - log_proposal


def steps_needed(model: Grouped, points: Array, seed: int, warm: Warm | None, count: int) -> Steps:
    """Return how many steps bring all effects within `NEAR` of their exact law, in total variation."""
    if not model.size:
        return Steps(0, 0, count)
    rng = np.random.default_rng(SeedSequence([seed, 0xF]))
    chosen = points[rng.integers(0, len(points), TRIAL_POINTS)]
    said = at_points(model, hyper_at(model.predicted.linear, chosen))
    largest = above = 1.0
    with np.errstate(all="ignore"):
        for groups in model.kinds.blocks():
            here = here_of(model, model.kinds, groups, said)
            start = None if warm is None else warm.at(chosen, groups)
            if model.nested:
                here, joint = _joint(model, groups, said, chosen, warm)
                tried = [_proposed_above(model, groups, here, joint, count, rng)[1] for _ in range(TRIAL_DRAWS)]
                above = max(above, _largest(np.stack(tried)))
                here, start = here.shifted(joint.v), joint.u
            modes = modes_of(here, model.size, start)
            tried = [_proposed(here, modes.u, modes.inverse, rng)[1] for _ in range(TRIAL_DRAWS)]
            largest = max(largest, _largest(np.stack(tried)))
    return Steps(_number(largest), _number(above) if model.nested else 0, count)


def _largest(heights: Array) -> float:
    """Return the largest weight in units of their mean, of log weights (draws, b, groups)."""
    return float(np.nanmax(1.0 / np.mean(np.exp(heights - np.max(heights, axis=0)), axis=0)))


def _number(largest: float) -> int:
    if largest <= 1.0:
        return 1
    return min(MOST_STEPS, max(1, ceil(log(NEAR) / log(1.0 - 1.0 / largest))))


def effect_values(model: Grouped, hyper: Hyper, standard: Array, grouping: Grouping | None = None) -> dict[str, Array]:
    """Return the effects of a grouping (the finest by default) from standard normal draws (b, units, q)."""
    linear = model.predicted.linear
    grouping = grouping or model.predicted.grouping
    assert grouping is not None
    starts, _ = innovations(grouping, linear)
    sizes = linear.model.sizes
    found: dict[str, Array] = {}
    for effect in grouping.effects:
        factor = spread_of(effect, hyper, linear)
        own = standard[:, :, starts[effect.name] : starts[effect.name] + factor.shape[3]]
        value = (factor @ own[..., None])[..., 0]
        assert value.shape[1] == units_of(effect, linear.model)
        found[effect.name] = value.reshape(len(standard), *(sizes[dim] for dim in effect.dims))
    return found
