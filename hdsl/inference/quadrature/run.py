"""Exact inference by quadrature: mode, curvature, importance sampling of the hyperparameters, draws of the effects.

The integrals over effects are quadratures with so many nodes that their error does not move the posterior: the log
densities differ from those with many more nodes by a constant, give or take `NODE_ERROR`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hdsl.backend import Draws, Settings
from hdsl.inference.exact.accept import Accepted, NotAccepted, accepted_of
from hdsl.inference.exact.coordinates import coordinates_of
from hdsl.inference.exact.emulator import MOST_HYPERPARAMETERS as MOST_EMULATED
from hdsl.inference.exact.emulator import Emulated, emulated
from hdsl.inference.exact.hyper import size_of
from hdsl.inference.exact.importance import REFITS, adapted, refined, weighted
from hdsl.inference.exact.mode import Mode, modes_of
from hdsl.inference.exact.run import INTERPOLATED, MOST_THINNED
from hdsl.inference.quadrature.density import Warm, log_density, warm_start
from hdsl.inference.quadrature.effects import draw_effects
from hdsl.inference.quadrature.groups import Grouped
from hdsl.reference.free import free_shapes, unconstrain
from hdsl.reference.simulate import prior_draw
from hdsl.reference.values import Array

ENGINE = "exact: effects integrated out by quadrature ({nodes} nodes), importance sampling of {count}"
WITHOUT_EFFECTS = "exact: importance sampling of {count}"
MOST_HYPERPARAMETERS = 20
PRIOR_POINTS = 16
COUNTS = {0: (1,), 1: (3, 5, 7, 9, 13, 21), 2: (3, 5, 7, 9, 13), 3: (3, 5, 7)}
FINEST = {0: 1, 1: 35, 2: 19, 3: 9}
MODE_COUNT = {0: 1, 1: 5, 2: 3, 3: 3}
NESTED_COUNTS, NESTED_FINEST = {1: (3, 5, 7, 9), 2: (3, 5), 3: (3,)}, {1: 13, 2: 9, 3: 5}
NODE_ERROR, LARGEST_ERROR = 0.01, 0.05
CHECKED = 40
OF_NO_WEIGHT = 15.0
CHEAP, COSTLY = 5_000, 100_000
HOPELESS = 0.7
WORK = 200_000_000
TRIAL, SHORT_TRIAL = 1_000, 400
LEAST_PROPOSALS, COSTLY_PROPOSALS = 1_200, 2_000


@dataclass(frozen=True)
class Sampled:
    """Draws of the hyperparameters, with the number of nodes and the error of the log density that they leave."""

    found: Accepted
    nodes: int
    error: float
    warm: Warm
    emulated: Emulated | None


def quadrature_draws(model: Grouped, settings: Settings) -> Draws | NotAccepted:
    """Draw from the posterior of a model with one grouping's effects in its linear predictor.

    Parameters
    ----------
    model : Grouped
    settings : Settings
        `chains`, `draws` and `seed` are used.

    Returns
    -------
    Draws or NotAccepted
        Draws of all random variables of the plain model, unless the weights, or the quadratures, show that they cannot
        be trusted.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        rng = np.random.default_rng(np.random.SeedSequence([settings.seed, 0xD]))
        began = time.perf_counter()
        sampled = _sampled(model, settings, rng)
        if isinstance(sampled, NotAccepted):
            return sampled
        between = time.perf_counter()
        return _finished(model, sampled, settings, (between - began, between))


def _sampled(model: Grouped, settings: Settings, rng: np.random.Generator) -> Sampled | NotAccepted:
    hyper = model.predicted.linear.hyper
    start = _start(model, rng)
    if start is None:
        return NotAccepted("no point of finite density was found")
    coarse = 3 if model.nested else MODE_COUNT[model.size]
    plain = modes_of(lambda free: log_density(model, free, coarse), start[None])
    if not plain:
        return NotAccepted("no mode of the marginal density was found")
    mode = plain[0]
    warm = warm_start(model, mode.point, np.sqrt(np.diag(mode.covariance)))
    coordinates = coordinates_of(hyper, mode.point)

    def density(points: Array, count: int) -> Array:
        return log_density(model, coordinates.free(points), count, warm) + coordinates.log_slope(points)

    modes = modes_of(lambda points: density(points, coarse), coordinates.of(mode.point[None]))
    count, error = _enough_nodes(density, modes, model, rng)
    if error > LARGEST_ERROR:
        return NotAccepted(f"quadrature with {count} nodes leaves an error of {error:.2g} in the log density")

    def exact(points: Array) -> Array:
        return density(points, count)

    trial, final = _amounts(model, settings, count)
    cost, guessed = _cost(model, count), None
    if cost > CHEAP and len(mode.point) <= MOST_EMULATED:
        amount = MOST_THINNED * settings.chains * settings.draws
        guessed = emulated(exact, modes[0], amount, settings.chains, rng)
    if guessed is None:
        proposal = adapted(exact, modes, rng, trial)
        tail = 0.0 if cost < CHEAP else weighted(exact, proposal, trial, rng).khat
        if tail > HOPELESS:
            return NotAccepted(f"the importance weights of a trial have too heavy a tail (Pareto k-hat {tail:.2f})")
        candidates = refined(exact, proposal, final, rng, min(REFITS, WORK // (cost * final)))
    else:
        candidates = iter([guessed.draws])
    found = accepted_of(candidates, settings, rng)
    if isinstance(found, NotAccepted):
        return found
    found = replace(found, draws=replace(found.draws, points=coordinates.free(found.draws.points)))
    return Sampled(found, count, error, warm, guessed)


def _enough_nodes(
    density: Callable[[Array, int], Array], modes: list[Mode], model: Grouped, rng: np.random.Generator
) -> tuple[int, float]:
    """Return the fewest nodes whose error varies little around the mode, and that error's standard deviation.

    Points whose density is lower than the highest by more than `OF_NO_WEIGHT` bear on nothing.
    """
    factor = np.linalg.cholesky(modes[0].covariance)
    points = modes[0].point + rng.standard_normal((CHECKED, len(factor))) @ factor.T
    size = model.size
    counts, most = (NESTED_COUNTS[size], NESTED_FINEST[size]) if model.nested else (COUNTS[size], FINEST[size])
    finest = density(points, most)
    usable = finest > np.max(finest) - OF_NO_WEIGHT
    error = float("inf")
    for count in counts:
        error = float(np.std((density(points, count) - finest)[usable])) if size else 0.0
        if error < NODE_ERROR:
            return count, error
    return counts[-1], error


def _cost(model: Grouped, count: int) -> int:
    """Return how many numbers are at work for one density."""
    return model.kinds.x.shape[1] * count ** (max(model.size, 1) + model.nested)


def _amounts(model: Grouped, settings: Settings, count: int) -> tuple[int, int]:
    """Return how many proposals to try and to draw: fewer where each is much work."""
    cost = _cost(model, count)
    wanted = max(settings.chains * settings.draws, LEAST_PROPOSALS)
    final = min(wanted, COSTLY_PROPOSALS) if cost > COSTLY else wanted
    return SHORT_TRIAL if cost > CHEAP else TRIAL, final + -final % settings.chains


def _start(model: Grouped, rng: np.random.Generator) -> Array | None:
    """Return the best of points drawn from the prior, and of one with the coefficients at their priors' middles."""
    linear = model.predicted.linear
    drawn = prior_draw(linear.hyper, linear.data, rng, draws=PRIOR_POINTS)
    free = unconstrain(linear.hyper, linear.data, drawn, ("draw",))
    points = np.concatenate([free[name].reshape(PRIOR_POINTS, -1) for name in free_shapes(linear.hyper)], axis=1)
    points = points[np.all(np.isfinite(points), axis=1)]
    points = np.concatenate([points, np.median(points, axis=0)[None]])
    heights = log_density(model, points, 1)
    best = int(np.argmax(heights))
    return points[best] if np.isfinite(heights[best]) else None


def _finished(model: Grouped, sampled: Sampled, settings: Settings, times: tuple[float, float]) -> Draws:
    found, visited = sampled.found.draws, sampled.found.visited
    flat = draw_effects(model, found.points[visited.reshape(-1)], settings.seed, sampled.warm, sampled.nodes)
    shape = (settings.chains, settings.draws)
    values = {name: array.reshape(*shape, *array.shape[1:]) for name, array in flat.items()}
    number = size_of(model.predicted.linear.hyper)
    quality = {"khat": found.khat, "importance_ess": found.effective, "quadrature_error": sampled.error}
    count = "1 parameter" if number == 1 else f"{number} parameters"
    engine = (ENGINE if model.size else WITHOUT_EFFECTS).format(nodes=sampled.nodes, count=count)
    if sampled.emulated is not None:
        engine += INTERPOLATED.format(count=sampled.emulated.evaluations)
        quality["interpolation_error"] = sampled.emulated.error
    return Draws(
        values=values,
        statistics={"lp": found.log_density[visited]},
        engine=engine,
        seconds={"hyperparameters": times[0], "effects": time.perf_counter() - times[1]},
        quality=quality,
    )
