"""An interpolated log density, where each exact one is much work: a large Cholesky factor.

The log density of a few hyperparameters is smooth. Radial functions over a fitted quadratic interpolate it, draws
are taken from the interpolated density, and at some of them, drawn anew, the exact density is computed: what the two
differ by at points that were not interpolated tells how far the draws are from the posterior. Those points are then
interpolated too, until the difference is small.
Source: Rasmussen (2003), Bayesian Statistics 7, for the idea; the interpolation is SciPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.random import Generator

from hdsl.inference.exact.importance import KHAT_LIMIT, Numbers, Weighted, adapted, chains_of, even, refined
from hdsl.inference.exact.mode import Mode
from hdsl.inference.exact.proposal import around
from hdsl.reference.values import Array

Density = Callable[[Array], Array]
MOST_HYPERPARAMETERS = 6
LARGEST_ERROR = 0.02
ROUNDS = 12
CHECKED = 64
FEWER_CHECKED = 16
HEAVIEST = 8
LEAST_SHARE = 0.2
TOO_HIGH = 0.5
TRIAL = 1_000
LOWEST = 60.0
FARTHEST = 8.0
NARROW, BROAD = 0.05, 1.0
WIDTHS = 6
FOLDS = 5
NUGGET = 1e-10
APART = 0.2


@dataclass(frozen=True)
class Emulated:
    """Weighted draws from an interpolated density.

    `error` is the standard deviation of the difference between the exact and the interpolated log density over draws
    that were not interpolated: by Cauchy and Schwarz no mean differs from the exact one by more than about `error`
    posterior standard deviations. `evaluations` counts the exact densities.
    """

    draws: Weighted
    error: float
    evaluations: int


@dataclass(frozen=True)
class _Known:
    """Points (n, d) in standard coordinates with their exact log densities."""

    points: Array
    heights: Array

    def joined(self, points: Array, heights: Array) -> _Known:
        return _Known(np.concatenate([self.points, points]), np.concatenate([self.heights, heights]))


class Remembered:
    """A log density that computes no point twice, and tells which it has computed."""

    def __init__(self, density: Density) -> None:
        self._density = density
        self._heights: dict[bytes, tuple[Array, float]] = {}

    def __call__(self, points: Array) -> Array:
        """Return the log densities at points (n, d)."""
        keys = [point.tobytes() for point in points]
        new = {key: point for key, point in zip(keys, points, strict=True) if key not in self._heights}
        if new:
            heights = self._density(np.stack(list(new.values())))
            self._heights |= {key: (new[key], float(h)) for key, h in zip(new, heights, strict=True)}
        return np.array([self._heights[key][1] for key in keys])

    @property
    def known(self) -> tuple[Array, Array]:
        """The points (n, d) that were computed, and their log densities."""
        points, heights = zip(*self._heights.values(), strict=True)
        return np.stack(points), np.array(heights)


def emulated(density: Density, mode: Mode, count: int, chains: int, rng: Generator) -> Emulated | None:
    """Return draws from an interpolated density; None where it cannot be brought near enough to the exact one.

    Parameters
    ----------
    density : callable
        Exact log densities at points (n, d). What a `Remembered` one knows already is interpolated, too.
    mode : Mode
        The highest mode, of at most `MOST_HYPERPARAMETERS` dimensions.
    count : int
        How many weighted draws.
    chains : int
        As many chains are made of the draws when points are chosen at which to compare the two densities.
    """
    size = len(mode.point)
    factor = np.linalg.cholesky(mode.covariance)

    def exact(points: Array) -> Array:
        return density(mode.point + points @ factor.T)

    standard = Mode(np.zeros(size), mode.height, np.eye(size))
    known = _at_first(density, mode, factor)
    wanted = 3 * comb(size + 3, 3) + 1 - len(known.heights)
    first = around([standard]).draw(max(wanted, 3 * comb(size + 2, 2)), rng)
    known = known.joined(first, exact(first))
    steady = False
    for _ in range(ROUNDS):
        found = _drawn(_interpolated(known, steady), [standard], count, rng)
        chosen = _chosen(found, chains, rng, CHECKED)
        heights = exact(found.points[chosen])
        known = known.joined(found.points[chosen], heights)
        error, fair = _compared(found, found.log_density[chosen] - heights, CHECKED)
        if fair and error < LARGEST_ERROR:
            draws = Weighted(mode.point + found.points @ factor.T, found.log_density, found.log_weights)
            return Emulated(draws, error, len(known.heights))
        steady = steady or not fair
    return None


def stand_in(
    guess: Density, exact: Density, modes: list[Mode], count: int, chains: int, rng: Generator
) -> Emulated | None:
    """Return draws from a density that stands for the exact one; None where the two differ at some of the draws."""
    found = _drawn(guess, modes, count, rng)
    chosen = _chosen(found, chains, rng, FEWER_CHECKED)
    error, fair = _compared(found, found.log_density[chosen] - exact(found.points[chosen]), FEWER_CHECKED)
    return Emulated(found, error, len(chosen)) if fair and error < LARGEST_ERROR else None


def _compared(found: Weighted, away: Array, checked: int) -> tuple[float, bool]:
    """Return the error at draws, of which the first are typical and the others heavy, and whether nothing is amiss."""
    with np.errstate(invalid="ignore"):
        error, above = float(np.std(away[:checked])), float(np.max(away) - np.median(away))
    return error, found.khat < KHAT_LIMIT and found.effective > LEAST_SHARE * len(found.points) and above < TOO_HIGH


def _at_first(density: Density, mode: Mode, factor: Array) -> _Known:
    """Return the mode, or what a `Remembered` density knows at points not closer than `APART`, the best first."""
    if not isinstance(density, Remembered):
        return _Known(np.zeros((1, len(mode.point))), np.array([mode.height]))
    points, heights = density.known
    order = np.argsort(-heights, kind="stable")
    points, heights = np.linalg.solve(factor, (points[order] - mode.point).T).T, heights[order]
    kept: list[int] = []
    for place, point in enumerate(points):
        if np.isfinite(heights[place]) and np.all(np.linalg.norm(points[kept] - point, axis=1) > APART):
            kept.append(place)
    return _Known(points[kept], heights[kept])


def _drawn(guess: Density, modes: list[Mode], count: int, rng: Generator) -> Weighted:
    return even(refined(guess, adapted(guess, modes, rng, TRIAL), count, rng))


def _chosen(found: Weighted, chains: int, rng: Generator, checked: int) -> Numbers:
    """Return the numbers of `checked` draws from the interpolated density, and of those with the largest weights.

    The latter are where it may be too high, far from all points at which the exact one is known.
    """
    visited = np.unique(chains_of(found, chains, rng))
    some = rng.choice(visited, min(checked, len(visited)), replace=False)
    return np.concatenate([some, np.setdiff1d(np.argsort(-found.log_weights)[:HEAVIEST], some)])


def _interpolated(known: _Known, steady: bool) -> Density:
    """Return the interpolated log density, by the radial functions that predict best; none far from the mode.

    `steady`: by cubic ones, which are less exact and do not swing between distant points.
    """
    near = np.sum(known.points**2, axis=1) < FARTHEST**2
    points, heights = known.points[near], known.heights[near]
    heights = np.maximum(heights, heights.max() - LOWEST)
    weights = np.exp(0.5 * (heights - heights.max())) + 1e-12
    fold = np.arange(len(points)) % FOLDS

    def missed(width: float | None) -> float:
        away = np.empty(len(points))
        for k in range(FOLDS):
            try:
                guess = _radial(points[fold != k], heights[fold != k], width)
            except np.linalg.LinAlgError:
                return np.inf
            away[fold == k] = guess(points[fold == k]) - heights[fold == k]
        return float(np.average(away**2, weights=weights))

    widths: list[float | None] = [None] if steady else [None, *np.geomspace(NARROW, BROAD, WIDTHS).tolist()]
    best = _radial(points, heights, widths[0] if steady else min(widths, key=missed))
    return lambda wanted: np.where(np.sum(wanted**2, axis=1) < FARTHEST**2, best(wanted), -np.inf)


def _radial(points: Array, heights: Array, width: float | None) -> Density:
    """Return radial functions through points: Gaussian ones of a width, cubic ones where it is None."""
    from scipy.interpolate import RBFInterpolator

    if width is None:
        cubic = RBFInterpolator(points, heights, kernel="cubic", degree=2)
        return lambda wanted: np.asarray(cubic(wanted))
    rest = heights + 0.5 * np.sum(points**2, axis=1)
    middle = float(np.median(rest))
    made = RBFInterpolator(points, rest - middle, kernel="gaussian", epsilon=width, degree=-1, smoothing=NUGGET)
    return lambda wanted: middle + np.asarray(made(wanted)) - 0.5 * np.sum(wanted**2, axis=1)
