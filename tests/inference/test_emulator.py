"""Interpolated densities: draws from them against laws whose moments are known, and the error that is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import digamma, gammaln, polygamma

from hdsl.inference.exact.emulator import LARGEST_ERROR, Remembered, emulated
from hdsl.inference.exact.importance import chains_of
from hdsl.inference.exact.mode import mode_at, modes_of

Array = np.ndarray


def log_gammas(points: Array) -> Array:
    """Return the density of independent log-gamma variables with shapes 4, 5, ..."""
    shapes = np.arange(points.shape[1]) + 4.0
    return np.sum(shapes * points - np.exp(points) - gammaln(shapes), axis=1)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_moments(size: int) -> None:
    """Skewed laws: means and standard deviations are the known ones, and few exact densities are computed."""
    rng = np.random.default_rng(size)
    (mode,) = modes_of(log_gammas, np.zeros((1, size)) + 1.0)
    found = emulated(log_gammas, mode, 16_000, 4, rng)
    assert found is not None
    assert found.error < LARGEST_ERROR
    assert found.evaluations < 800
    drawn = found.draws.points[chains_of(found.draws, 4, rng)].reshape(-1, size)
    shapes = np.arange(size) + 4.0
    sd = np.sqrt(polygamma(1, shapes))
    np.testing.assert_allclose((drawn.mean(0) - digamma(shapes)) / sd, 0, atol=0.06)
    np.testing.assert_allclose(drawn.std(0) / sd, 1, atol=0.06)


def test_the_error_is_that_of_new_draws() -> None:
    """What is told as the error is what other draws show."""
    rng = np.random.default_rng(5)
    (mode,) = modes_of(log_gammas, np.ones((1, 3)))
    found = emulated(log_gammas, mode, 8_000, 4, rng)
    assert found is not None
    visited = np.unique(chains_of(found.draws, 4, rng))
    away = log_gammas(found.draws.points[visited]) - found.draws.log_density[visited]
    assert np.std(away) < 3 * LARGEST_ERROR


def test_what_cannot_be_interpolated_is_given_up() -> None:
    """A density with noise of its own is not near any smooth one."""
    noise = np.random.default_rng(6)

    def rough(points: Array) -> Array:
        return log_gammas(points) + noise.normal(size=len(points))

    (mode,) = modes_of(log_gammas, np.ones((1, 2)))
    assert emulated(rough, mode, 4_000, 4, np.random.default_rng(7)) is None


def test_no_density_is_computed_twice() -> None:
    """A remembered density answers as the density does, and interpolation starts from what it knows."""
    counted: list[int] = []

    def density(points: Array) -> Array:
        counted.append(len(points))
        return log_gammas(points)

    remembered = Remembered(density)
    points = np.random.default_rng(8).normal(size=(5, 2))
    np.testing.assert_array_equal(remembered(points), log_gammas(points))
    again = np.concatenate([points[::-1], points[:1], points + 1.0])
    np.testing.assert_array_equal(remembered(again), log_gammas(again))
    assert counted == [5, 5]
    known, heights = remembered.known
    assert len(known) == 10
    np.testing.assert_array_equal(heights, log_gammas(known))
    mode = mode_at(remembered, np.log([4.0, 5.0]))
    before = sum(counted)
    found = emulated(remembered, mode, 4_000, 4, np.random.default_rng(9))
    assert found is not None
    assert sum(counted) - before < found.evaluations <= sum(counted)
