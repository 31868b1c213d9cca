"""Draws of the varying effects given hyperparameters, from their exact conditional laws.

Groups are independent given the hyperparameters. Each group's effects are drawn by independence Metropolis sampling
around their mode (Tierney 1994), from logistic distributions along the axes of the curvature there: these have heavier
tails than the effects' law, so that weights are bounded, and the distance to the exact law falls by the factor
1 - 1/W or more with each step, W the largest weight in units of their mean. So many steps are taken that this distance
is below `NEAR` for the largest W that is met in a trial.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil, log

import numpy as np
from numpy.random import Generator, SeedSequence

from hdsl.inference.exact import small
from hdsl.inference.exact.density import processors
from hdsl.inference.exact.hyper import Hyper, hyper_at, innovations, spread_of, units_of
from hdsl.inference.quadrature.density import Warm, modes_of, piece_of, spread
from hdsl.inference.quadrature.groups import Grouped, Here, Points, at_points, here_of
from hdsl.reference.values import Array

LOGISTIC_SCALE = 0.6
LEAST = 2.0**-54
NEAR = 1e-3
MOST_STEPS = 60
TRIAL_POINTS = 8
TRIAL_DRAWS = 64
POINTS_AT_ONCE = 64


def draw_effects(model: Grouped, points: Array, seed: int, warm: Warm | None) -> dict[str, Array]:
    """Return draws of all random variables of the plain model.

    Parameters
    ----------
    points : array, shape (n, d)
        Unconstrained hyperparameters.
    seed : int
        The draws depend on it and on the points alone.

    Returns
    -------
    dict
        Random variable to array (n, *dims).
    """
    plain = model.predicted.linear.model
    shapes = {v.name: tuple(plain.sizes[dim] for dim in v.dims) for v in plain.variables}
    found = {name: np.empty((len(points), *shape)) for name, shape in shapes.items()}
    steps = steps_needed(model, points, seed, warm) if model.size else 0
    pieces = [slice(at, at + POINTS_AT_ONCE) for at in range(0, len(points), POINTS_AT_ONCE)]
    seeds = SeedSequence([seed, 0xE]).spawn(len(pieces))

    def one(piece: slice, own: SeedSequence) -> None:
        with np.errstate(all="ignore"):
            values = _piece(model, points[piece], np.random.default_rng(own), steps, warm)
        for name, array in found.items():
            array[piece] = values[name]

    with ThreadPoolExecutor(processors()) as pool:
        for done in [pool.submit(one, piece, own) for piece, own in zip(pieces, seeds, strict=True)]:
            done.result()
    return found


def _piece(model: Grouped, points: Array, rng: Generator, steps: int, warm: Warm | None) -> dict[str, Array]:
    linear = model.predicted.linear
    hyper = hyper_at(linear, points)
    found = {name: np.asarray(array) for name, array in hyper.parameters.items()}
    grouping = model.predicted.grouping
    if grouping is None:
        return found
    standard = rng.standard_normal((len(points), grouping.size, model.size))
    said = at_points(model, hyper)
    for groups in model.table.blocks():
        step = piece_of(model.table, groups)
        for at in range(0, len(points), step):
            piece = slice(at, at + step)
            start = None if warm is None else warm.at(points[piece], slice(None))[:, model.kind_of_group[groups]]
            drawn = _metropolis(model, groups, said.of(piece), start, steps, rng)
            standard[piece, model.table.units[groups]] = drawn
    return found | effect_values(model, hyper, standard)


def _metropolis(model: Grouped, groups: slice, said: Points, start: Array | None, steps: int, rng: Generator) -> Array:
    """Return standard normal effects drawn given all else, (b, groups, q)."""
    here = here_of(model, model.table, groups, said)
    modes = modes_of(here, model.size, start)
    u, height = _proposed(here, modes.u, modes.inverse, rng)
    for _ in range(steps):
        other, other_height = _proposed(here, modes.u, modes.inverse, rng)
        taken = np.log(rng.uniform(size=height.shape)) < other_height - height
        u = np.where(taken[..., None], other, u)
        height = np.where(taken, other_height, height)
    return u


def _proposed(here: Here, centre: Array, inverse: small.Rows, rng: Generator) -> tuple[Array, Array]:
    """Return proposals around modes, (b, groups, q), and their log weights up to a constant by group."""
    share = rng.random(centre.shape)
    share += LEAST
    below, above = np.log(share), np.log1p(-share)
    u = centre + spread(inverse, LOGISTIC_SCALE * (below - above))
    log_proposal = np.sum(below, axis=2) + np.sum(above, axis=2)
    return u, here.log_likelihood(u) - 0.5 * np.sum(u**2, axis=2) - log_proposal


def steps_needed(model: Grouped, points: Array, seed: int, warm: Warm | None) -> int:
    """Return how many steps bring every group's effects within `NEAR` of their exact law, in total variation.

    The mean weight is known: it is the group's marginal likelihood, in units of the proposal's constant.
    """
    rng = np.random.default_rng(SeedSequence([seed, 0xF]))
    chosen = points[rng.integers(0, len(points), TRIAL_POINTS)]
    said = at_points(model, hyper_at(model.predicted.linear, chosen))
    largest = 1.0
    with np.errstate(all="ignore"):
        for groups in model.kinds.blocks():
            here = here_of(model, model.kinds, groups, said)
            start = None if warm is None else warm.at(chosen, groups)
            modes = modes_of(here, model.size, start)
            heights = np.stack([_proposed(here, modes.u, modes.inverse, rng)[1] for _ in range(TRIAL_DRAWS)])
            top = np.max(heights, axis=0)
            ratio = 1.0 / np.mean(np.exp(heights - top), axis=0)
            largest = max(largest, float(np.nanmax(ratio)))
    if largest <= 1.0:
        return 1
    return min(MOST_STEPS, max(1, ceil(log(NEAR) / log(1.0 - 1.0 / largest))))


def effect_values(model: Grouped, hyper: Hyper, standard: Array) -> dict[str, Array]:
    """Return the varying effects from standard normal draws (b, units, q)."""
    linear, grouping = model.predicted.linear, model.predicted.grouping
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
