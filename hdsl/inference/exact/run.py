"""The exact inference of one model: density, modes, importance sampling, draws of everything."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from hdsl.backend import Draws, Settings
from hdsl.inference.exact.coordinates import coordinates_of
from hdsl.inference.exact.density import log_density, per_point
from hdsl.inference.exact.effects import draw_effects
from hdsl.inference.exact.hyper import packed
from hdsl.inference.exact.importance import KHAT_LIMIT, REFITS, TRIAL, Numbers, Weighted, accepted, adapted, chains_of
from hdsl.inference.exact.marginal import Marginal
from hdsl.inference.exact.mode import modes_of
from hdsl.reference.simulate import prior_draw
from hdsl.reference.values import Array

ENGINE = "exact: effects integrated out, importance sampling of {count}"
STARTS = 2
PRIOR_POINTS = 50
MOST_HYPERPARAMETERS = 15
EFFECTIVE_PER_CHAIN = 100
COSTLY = 200_000
LEAST_PROPOSALS = 1_200
COSTLY_PROPOSALS = 2_000
CHEAP = 40_000_000
MOST_THINNED = 4


@dataclass(frozen=True)
class NotAccepted:
    """Why importance sampling was not accepted, in words."""

    reason: str


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
    visited = chains_of(found, settings.chains, rng)
    visited = _spaced(visited, settings.draws)
    return _finished(marginal, found.points[visited.reshape(-1)], settings, (found, visited), began, sampled)


def _spaced(visited: Numbers, draws: int) -> Numbers:
    """Return chains of the wanted length: evenly spaced steps of longer ones, steps of shorter ones repeated."""
    steps = visited.shape[1]
    return visited[:, (np.arange(draws) + 1) * steps // draws - 1]


def _sampled(marginal: Marginal, settings: Settings, rng: np.random.Generator) -> Weighted | NotAccepted:
    trial, final = _amounts(marginal, settings)
    plain = modes_of(lambda free: log_density(marginal, free), _starts(marginal, rng))
    if not plain:
        return NotAccepted("no mode of the marginal density was found")
    coordinates = coordinates_of(marginal.linear.hyper, plain[0].point)

    def density(points: Array) -> Array:
        return log_density(marginal, coordinates.free(points)) + coordinates.log_slope(points)

    modes = modes_of(density, coordinates.of(np.stack([mode.point for mode in plain])))
    proposal = adapted(density, modes, rng, trial)
    found = accepted(density, proposal, final, rng, 1 if per_point(marginal) > COSTLY else REFITS)
    found = replace(found, points=coordinates.free(found.points))
    least = EFFECTIVE_PER_CHAIN * settings.chains if final >= EFFECTIVE_PER_CHAIN * settings.chains else 0.25 * final
    if not found.khat < KHAT_LIMIT:
        return NotAccepted(f"the importance weights have too heavy a tail (Pareto k-hat {found.khat:.2f})")
    if found.effective < least:
        return NotAccepted(f"{found.effective:.0f} effective draws of {final} weighted ones")
    return found


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
    linear = marginal.linear
    drawn = prior_draw(linear.hyper, linear.data, rng, draws=PRIOR_POINTS)
    points = packed(linear, drawn)
    points = points[np.all(np.isfinite(points), axis=1)]
    order = np.argsort(-log_density(marginal, points))
    return points[order[: 1 if per_point(marginal) > COSTLY else STARTS]]


def _finished(
    marginal: Marginal,
    points: Array,
    settings: Settings,
    found: tuple[Weighted, Numbers] | None,
    began: float,
    sampled: float,
) -> Draws:
    flat = draw_effects(marginal, points, settings.seed)
    shape = (settings.chains, settings.draws)
    values = {name: array.reshape(*shape, *array.shape[1:]) for name, array in flat.items()}
    statistics: dict[str, Array] = {}
    quality: dict[str, float] = {}
    if found is not None:
        weights, visited = found
        statistics["lp"] = weights.log_density[visited]
        quality = {"khat": weights.khat, "importance_ess": weights.effective}
    seconds = {"hyperparameters": sampled - began, "effects": time.perf_counter() - sampled}
    count = "1 parameter" if marginal.size == 1 else f"{marginal.size} parameters"
    return Draws(
        values=values, statistics=statistics, engine=ENGINE.format(count=count), seconds=seconds, quality=quality
    )
