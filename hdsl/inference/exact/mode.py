"""Modes of a log density of few dimensions and its curvature there, from values alone, many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.reference.values import Array

Density = Callable[[Array], Array]
FIRST_STEP = 1e-3
ROUGH_STEP = 1e-4
ROUGH = 1e-6
POLISHING = 4
NEAR_HALF = 0.15
NEAR = 0.5
FLAT = 1e-2
DISTANT = 25.0


@dataclass(frozen=True)
class Mode:
    """A local maximum: where, its log density, and the inverse of minus the Hessian."""

    point: Array
    height: float
    covariance: Array


def modes_of(density: Density, starts: Array) -> list[Mode]:
    """Return the local maxima that are reached from starting points (n, d), the highest first.

    Maxima lower than the highest by more than `DISTANT` are left out, as are those that coincide with a higher one.
    """
    found: list[Mode] = []
    for start in starts:
        point = _polished(density, _climbed(density, start))
        if not np.all(np.isfinite(point)):
            continue
        height = float(density(point[None])[0])
        if np.isfinite(height) and not any(_same(mode, point) for mode in found):
            found.append(Mode(point, height, _covariance(density, point)))
    found.sort(key=lambda mode: -mode.height)
    return [mode for mode in found if mode.height > found[0].height - DISTANT]


def rough_mode(density: Density, start: Array) -> Array:
    """Return a point near the local maximum that is reached from a start (d,), with few evaluations."""
    return _climbed(density, start, ROUGH_STEP, (1.0,), {"ftol": ROUGH})


def mode_at(density: Density, point: Array) -> Mode:
    """Return a point that is near a maximum as a mode, with the curvature there."""
    return Mode(point, float(density(point[None])[0]), _covariance(density, point))


def _same(mode: Mode, point: Array) -> bool:
    away = point - mode.point
    return float(away @ np.linalg.solve(mode.covariance, away)) < NEAR**2


def _climbed(
    density: Density,
    start: Array,
    step: float = FIRST_STEP,
    sides: tuple[float, ...] = (1.0, -1.0),
    options: Mapping[str, float] | None = None,
) -> Array:
    """Return where a climb ends, its slopes from differences to one side or both."""
    from scipy.optimize import minimize

    size = len(start)
    moves = np.concatenate([np.zeros((1, size)), *(side * step * np.eye(size) for side in sides)])
    base = float(density(start[None])[0])

    def downhill(point: Array) -> tuple[float, Array]:
        values = base - density(point + moves)
        if not np.all(np.isfinite(values)):
            return 1e300, np.zeros(size)
        ahead, back = values[1 : size + 1], values[size + 1 :] if len(sides) == 2 else values[0]
        return float(values[0]), (ahead - back) / (len(sides) * step)

    return np.asarray(minimize(downhill, start, jac=True, method="L-BFGS-B", options=options).x)


def _polished(density: Density, point: Array) -> Array:
    """Return the point after Newton steps, each taken only as far as the density rises."""
    height = float(density(point[None])[0])
    steps = np.full(len(point), FIRST_STEP)
    for _ in range(POLISHING):
        steps = _steps(density, point, steps)
        gradient, hessian = _derivatives(density, point, 0.1 * steps)
        move = _positive(-hessian) @ gradient
        fractions = 0.5 ** np.arange(6)
        values = density(point + fractions[:, None] * move)
        best = int(np.nanargmax(values))
        if not values[best] > height:
            return point
        point, gain, height = point + fractions[best] * move, values[best] - height, float(values[best])
        if gain < 1e-6:
            return point
    return point


def _steps(density: Density, point: Array, steps: Array) -> Array:
    """Return for each coordinate the distance at which the density falls by about a half, at most 1."""
    for _ in range(4):
        moves = np.concatenate([np.zeros((1, len(point))), np.diag(steps), -np.diag(steps)])
        base, *both = np.split(density(point + moves), [1, 1 + len(point)])
        falls = base - 0.5 * np.sum(both, axis=0)
        if np.all(np.abs(falls - 0.5) < NEAR_HALF):
            break
        clear = np.isfinite(falls) & (falls > 1e-4)
        steps = np.where(clear, steps * np.sqrt(0.5 / np.where(clear, falls, 1.0)), steps * 30)
        steps = np.clip(np.where(np.isfinite(falls), steps, 1e-3), 1e-7, 1.0)
    return steps


def _derivatives(density: Density, point: Array, steps: Array) -> tuple[Array, Array]:
    size = len(point)
    left, right = np.triu_indices(size, 1)
    single = np.diag(steps)
    pairs = single[left] + single[right]
    opposite = single[left] - single[right]
    moves = np.concatenate([np.zeros((1, size)), single, -single, pairs, -pairs, opposite, -opposite])
    values = density(point + moves)
    base, ahead, back = values[0], values[1 : size + 1], values[size + 1 : 2 * size + 1]
    plus, minus, up, down = np.split(values[2 * size + 1 :], 4)
    gradient = (ahead - back) / (2 * steps)
    hessian = np.diag((ahead + back - 2 * base) / steps**2)
    crossed = (plus + minus - up - down) / (4 * steps[left] * steps[right])
    hessian[left, right] = hessian[right, left] = crossed
    return gradient, np.nan_to_num(hessian, nan=0.0, posinf=0.0, neginf=0.0)


def _positive(matrix: Array) -> Array:
    """Return the inverse of a symmetric matrix, its eigenvalues in units of the diagonal kept from zero."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
    inverse = vectors @ np.diag(1 / np.maximum(values, FLAT)) @ vectors.T
    return inverse / np.outer(scale, scale)


def _covariance(density: Density, point: Array) -> Array:
    """Return the inverse of minus the Hessian, taken over about one standard deviation."""
    steps = _steps(density, point, np.full(len(point), 1e-3))
    _, hessian = _derivatives(density, point, steps)
    return _positive(-hessian)
