"""Draws of the Polya-Gamma law against its moments and its Laplace transform in closed form."""

from __future__ import annotations

import numpy as np
import pytest

NUMBER = 100_000
SEED = 3


def _drawn(tilt: float, number: int = NUMBER) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    import jax
    from hdsl_numpyro.polya_gamma import polya_gamma

    with jax.enable_x64(True):
        return np.asarray(polya_gamma(jax.random.key(SEED), np.full(number, tilt)))


@pytest.mark.parametrize("tilt", [0.1, -1.0, 2.0, 3.1, 3.2, 6.0, 15.0])
def test_moments_and_laplace_transform_are_those_of_the_law(tilt: float) -> None:
    """Polson, Scott & Windle (2013), equations 2 to 4; limits of four Monte Carlo standard errors."""
    found, c = _drawn(tilt), abs(tilt)
    mean = np.tanh(c / 2) / (2 * c)
    variance = (np.sinh(c) - c) / (4 * c**3 * np.cosh(c / 2) ** 2)
    assert abs(found.mean() - mean) < 4 * np.sqrt(variance / NUMBER)
    assert found.var() == pytest.approx(variance, rel=0.04)
    transformed = np.exp(-1.3 * found)
    exact = np.cosh(c / 2) / np.cosh(np.sqrt((c * c / 2 + 1.3) / 2))
    assert abs(transformed.mean() - exact) < 4 * transformed.std() / np.sqrt(NUMBER)


def test_extreme_log_odds_end() -> None:
    found = _drawn(3000.0, 10)
    assert np.allclose(found, 1 / 6000, rtol=0.5)
    assert np.all(np.isfinite(_drawn(float("nan"), 3)))
