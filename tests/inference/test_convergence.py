"""R-hat and effective sample sizes against ArviZ and known processes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hdsl.inference.convergence import convergence

Array = NDArray[np.float64]


def _autoregressive(shape: tuple[int, int, int], rho: float, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=shape)
    for at in range(1, shape[1]):
        draws[:, at] = rho * draws[:, at - 1] + np.sqrt(1 - rho**2) * draws[:, at]
    return draws


def _mixed(chains: int, draws: int) -> Array:
    """Quantities of many kinds: independent, slow, antithetic, shifted in a chain, with ties, heavy tailed."""
    rng = np.random.default_rng(3)
    parts = [_autoregressive((chains, draws, 4), rho) for rho in (0.0, 0.6, 0.98, -0.7)]
    parts.append(np.round(_autoregressive((chains, draws, 4), 0.3), 1))
    shifted = _autoregressive((chains, draws, 4), 0.2)
    shifted[0] += np.array([0.1, 0.5, 2, 50])
    parts += [shifted, rng.standard_cauchy((chains, draws, 4))]
    return np.concatenate(parts, axis=2)


@pytest.mark.parametrize(("chains", "draws"), [(4, 1000), (4, 251), (2, 60), (1, 200), (3, 12)])
def test_same_as_arviz(chains: int, draws: int) -> None:
    """The numbers are those that ArviZ computes one by one."""
    from arviz_stats.base import array_stats

    columns = _mixed(chains, draws)
    found = convergence(columns)
    bulk = array_stats.ess(columns, chain_axis=0, draw_axis=1, method="bulk")
    tail = array_stats.ess(columns, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95))
    np.testing.assert_allclose(found.bulk, bulk, rtol=1e-8)
    np.testing.assert_allclose(found.tail, tail, rtol=1e-8)
    if chains > 1:
        np.testing.assert_allclose(found.rhat, array_stats.rhat(columns, chain_axis=0, draw_axis=1), rtol=1e-8)
    else:
        assert np.all(np.isnan(found.rhat))


def test_effective_sample_size_of_a_known_process() -> None:
    """An autoregressive process of coefficient rho has n (1 - rho) / (1 + rho) effective draws."""
    found = convergence(_autoregressive((4, 4000, 30), 0.8, seed=1))
    assert np.mean(found.bulk) == pytest.approx(16000 * 0.2 / 1.8, rel=0.06)
    assert np.max(found.rhat) < 1.01


def test_many_quantities_are_independent() -> None:
    """A quantity's numbers do not depend on those it is computed with."""
    columns = _autoregressive((2, 100, 300), 0.4)
    whole = convergence(columns)
    for place in (0, 127, 128, 299):
        alone = convergence(columns[:, :, place : place + 1])
        assert [each[0] for each in alone] == pytest.approx([each[place] for each in whole], rel=1e-12)


def test_what_cannot_be_told_is_nan() -> None:
    """Constants, numbers that are not finite and very short chains give NaN, their neighbours do not."""
    columns = _autoregressive((4, 100, 4), 0.0)
    columns[:, :, 1] = 3.0
    columns[2, 7, 2] = np.nan
    columns[0, 0, 3] = np.inf
    for values in convergence(columns):
        assert np.isnan(values).tolist() == [False, True, True, True]
    for values in convergence(columns[:, :3]):
        assert np.all(np.isnan(values))
    assert convergence(columns[:, :, :0]).rhat.shape == (0,)
