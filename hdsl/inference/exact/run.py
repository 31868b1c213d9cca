"""The exact inference of one model: density, modes, importance sampling, draws of everything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np

from hdsl.backend import Draws, Settings
from hdsl.inference.exact.accept import LEAST_SHARE, Accepted, NotAccepted, accepted_of
from hdsl.inference.exact.coordinates import Coordinates, coordinates_of
from hdsl.inference.exact.density import log_density, per_point
from hdsl.inference.exact.effects import draw_effects
from hdsl.inference.exact.emulator import MOST_HYPERPARAMETERS as MOST_EMULATED
from hdsl.inference.exact.emulator import Emulated, Remembered, emulated, stand_in
from hdsl.inference.exact.hyper import packed
from hdsl.inference.exact.importance import REFITS, TRIAL, adapted, refined
from hdsl.inference.exact.marginal import Marginal
from hdsl.inference.exact.mode import mode_at, modes_of, rough_mode
from hdsl.inference.exact.ratios import Grid, grids_of, log_density_by, share_near_edge
from hdsl.reference.simulate import prior_draw
from hdsl.reference.values import Array

ENGINE = "exact: effects integrated out, importance sampling of {count}"
INTERPOLATED = ", their density interpolated from {count} values"
EMULATED = 20_000
STARTS = 2
PRIOR_POINTS = 50
FEWER_PRIOR_POINTS = 20
MOST_HYPERPARAMETERS = 15
COSTLY = 200_000
LEAST_PROPOSALS = 1_200
COSTLY_PROPOSALS = 2_000
CHEAP = 40_000_000
MOST_THINNED = 4
THINNED_OF_EMULATED = 2
MOST_NEAR_EDGE = 1e-3


@dataclass(frozen=True)
class Found:
    """Accepted draws of the unconstrained hyperparameters, and what an interpolated density says of itself."""

    accepted: Accepted
    emulated: Emulated | None


def exact_draws(marginal: Marginal, settings: Settings) -> Draws | NotAccepted:
    """Draw from the posterior of a model with its effects integrated out.

    Parameters
    ----------
    marginal : Marginal
    settings : Settings
        `chains`, `draws` and `seed` are used.

    Returns
    -------
    Draws or NotAccepted
        Draws of all random variables of the plain model, unless the weights show that they cannot be trusted.

    Notes
    -----
    Many small products run at once, one on each processor; threads within them would wait for each other.
    """
    from threadpoolctl import threadpool_limits

    import_module("scipy.linalg")  # threads are limited in the libraries that are loaded

    if marginal.size > MOST_HYPERPARAMETERS:
        return NotAccepted(f"{marginal.size} parameters are left (at most {MOST_HYPERPARAMETERS})")
    with threadpool_limits(limits=1, user_api="blas"):
        return _drawn(marginal, settings)


def _drawn(marginal: Marginal, settings: Settings) -> Draws | NotAccepted:
    rng = np.random.default_rng(np.random.SeedSequence([settings.seed, 0xD]))
    began = time.perf_counter()
    if marginal.size == 0:
        points = np.zeros((settings.chains * settings.draws, 0))
        return _finished(marginal, points, settings, None, began, began)
    found = _sampled(marginal, settings, rng)
    if isinstance(found, NotAccepted):
        return found
    sampled = time.perf_counter()
    points = found.accepted.draws.points[found.accepted.visited.reshape(-1)]
    return _finished(marginal, points, settings, found, began, sampled)


def _sampled(marginal: Marginal, settings: Settings, rng: np.random.Generator) -> Found | NotAccepted:
    costly = per_point(marginal) > EMULATED and marginal.size <= MOST_EMULATED
    found = _by_grids(marginal, settings, rng) if costly else None
    if found is not None:
        return found
    starts = _starts(marginal, rng)
    if costly and len(starts):
        found = _by_emulator(marginal, settings, starts[0], rng)
        if found is not None:
            return found
    trial, final = _amounts(marginal, settings)
    plain = modes_of(lambda free: log_density(marginal, free), starts)
    if not plain:
        return NotAccepted("no mode of the marginal density was found")
    coordinates = coordinates_of(marginal.linear.hyper, plain[0].point)
    density = _density_in(marginal, coordinates)
    modes = modes_of(density, coordinates.of(np.stack([mode.point for mode in plain])))
    proposal = adapted(density, modes, rng, trial)
    refits = 1 if per_point(marginal) > COSTLY else REFITS
    found = accepted_of(refined(density, proposal, final, rng, refits), settings, rng)
    return found if isinstance(found, NotAccepted) else Found(_freed(found, coordinates), None)


def _freed(found: Accepted, coordinates: Coordinates) -> Accepted:
    return replace(found, draws=replace(found.draws, points=coordinates.free(found.draws.points)))


def _density_in(marginal: Marginal, coordinates: Coordinates) -> Callable[[Array], Array]:
    return lambda points: log_density(marginal, coordinates.free(points)) + coordinates.log_slope(points)


def _by_grids(marginal: Marginal, settings: Settings, rng: np.random.Generator) -> Found | None:
    """Return draws from a density by polynomials, None for models of another kind, or where it is not near enough."""
    for grid in grids_of(marginal):
        points = _from_prior(marginal, rng, PRIOR_POINTS)
        begin = points[np.argmax(log_density_by(marginal, grid, points, led_back=True))]
        centre = rough_mode(lambda free, grid=grid: log_density_by(marginal, grid, free, led_back=True), begin)
        coordinates = coordinates_of(marginal.linear.hyper, centre)
        found = _stand_in(marginal, grid, coordinates, coordinates.of(centre[None]), settings, rng)
        if found is not None:
            near = share_near_edge(marginal, grid, coordinates.free(found.draws.points), found.draws.log_weights)
            return None if near > MOST_NEAR_EDGE else _judged(found, coordinates, settings, rng)
    return None


def _stand_in(
    marginal: Marginal,
    grid: Grid,
    coordinates: Coordinates,
    starts: Array,
    settings: Settings,
    rng: np.random.Generator,
) -> Emulated | None:
    """Return draws from a grid's density, None where the exact one differs at some of them."""

    def density(points: Array) -> Array:
        return log_density_by(marginal, grid, coordinates.free(points)) + coordinates.log_slope(points)

    modes = modes_of(density, starts) if np.all(np.isfinite(density(starts))) else []
    if not modes:
        return None
    wanted, exact = THINNED_OF_EMULATED * settings.chains * settings.draws, _density_in(marginal, coordinates)
    found = stand_in(density, exact, modes, wanted, settings.chains, rng)
    return None if found is None else replace(found, evaluations=found.evaluations + grid.evaluations)


def _by_emulator(marginal: Marginal, settings: Settings, start: Array, rng: np.random.Generator) -> Found | None:
    """Return draws from an interpolated density, None where it does not come near enough to the exact one."""
    wanted = settings.chains * settings.draws
    centre = rough_mode(lambda free: log_density(marginal, free), start)
    coordinates = coordinates_of(marginal.linear.hyper, centre)
    density = Remembered(_density_in(marginal, coordinates))
    mode = mode_at(density, coordinates.of(centre[None])[0])
    if not np.isfinite(mode.height):
        return None
    found = emulated(density, mode, THINNED_OF_EMULATED * wanted, settings.chains, rng)
    if found is None or found.draws.effective < LEAST_SHARE * wanted:
        return None
    return _judged(found, coordinates, settings, rng)


def _judged(found: Emulated, coordinates: Coordinates, settings: Settings, rng: np.random.Generator) -> Found | None:
    judged = accepted_of([found.draws], settings, rng)
    return None if isinstance(judged, NotAccepted) else Found(_freed(judged, coordinates), found)


def _amounts(marginal: Marginal, settings: Settings) -> tuple[int, int]:
    """Return how many proposals to try and to draw: several for each draw where they cost little."""
    wanted, cost = settings.chains * settings.draws, per_point(marginal)
    if cost > COSTLY:
        trial, final = TRIAL // 3, min(max(wanted, LEAST_PROPOSALS), COSTLY_PROPOSALS)
    else:
        trial, final = TRIAL, max(wanted * max(1, min(MOST_THINNED, CHEAP // (wanted * cost))), LEAST_PROPOSALS)
    return trial, final + -final % settings.chains


def _starts(marginal: Marginal, rng: np.random.Generator) -> Array:
    """Return the best of points drawn from the prior."""
    costly = per_point(marginal) > COSTLY
    points = _from_prior(marginal, rng, FEWER_PRIOR_POINTS if costly else PRIOR_POINTS)
    order = np.argsort(-log_density(marginal, points))
    return points[order[: 1 if costly else STARTS]]


def _from_prior(marginal: Marginal, rng: np.random.Generator, count: int) -> Array:
    """Return points drawn from the prior, those that are finite."""
    linear = marginal.linear
    points = packed(linear, prior_draw(linear.hyper, linear.data, rng, draws=count))
    return points[np.all(np.isfinite(points), axis=1)]


def _finished(
    marginal: Marginal,
    points: Array,
    settings: Settings,
    found: Found | None,
    began: float,
    sampled: float,
) -> Draws:
    flat = draw_effects(marginal, points, settings.seed)
    shape = (settings.chains, settings.draws)
    values = {name: array.reshape(*shape, *array.shape[1:]) for name, array in flat.items()}
    statistics: dict[str, Array] = {}
    quality: dict[str, float] = {}
    count = "1 parameter" if marginal.size == 1 else f"{marginal.size} parameters"
    engine = ENGINE.format(count=count)
    if found is not None:
        weights = found.accepted.draws
        statistics["lp"] = weights.log_density[found.accepted.visited]
        quality = {"khat": weights.khat, "importance_ess": weights.effective}
        if found.emulated is not None:
            engine += INTERPOLATED.format(count=found.emulated.evaluations)
            quality["interpolation_error"] = found.emulated.error
    seconds = {"hyperparameters": sampled - began, "effects": time.perf_counter() - sampled}
    return Draws(values=values, statistics=statistics, engine=engine, seconds=seconds, quality=quality)
