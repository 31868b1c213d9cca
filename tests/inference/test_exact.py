"""Exact inference: modes, importance weights, chains, and agreement with NUTS on the plain model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hdsl_numpyro import backend

from hdsl.backend import Settings
from hdsl.diagnostics import Diagnostic
from hdsl.inference.convergence import convergence
from hdsl.inference.exact.importance import Weighted, adapted, chains_of, weighted
from hdsl.inference.exact.mode import modes_of
from hdsl.inference.exact.pareto import khat
from hdsl.inference.exact.together import solve_factor
from hdsl.inference.fit import Fit, fit
from tests import models
from tests.passes import shapes

Array = np.ndarray


@pytest.mark.parametrize("tail", [0.1, 0.5, 0.9])
def test_khat_is_that_of_arviz(tail: float) -> None:
    from arviz_stats.base import array_stats

    rng = np.random.default_rng(7)
    log_weights = -tail * np.log(rng.uniform(size=3000)) + 5.0
    expected = array_stats.psislw(-log_weights)[1]
    assert khat(log_weights) == pytest.approx(float(expected), abs=1e-6)


def test_khat_of_equal_and_of_few_weights() -> None:
    assert khat(np.zeros(1000)) == float("-inf")
    assert khat(np.zeros(10)) == float("inf")


def skewed(points: Array) -> Array:
    """Return a skewed density: a log-gamma variable and a normal one around it."""
    first, second = points.T
    return 3 * first - np.exp(first) - 0.5 * (second - first) ** 2 / 0.25


def two_humps(points: Array) -> Array:
    """Return the density of two normal distributions five apart, one with twice the mass of the other."""
    return np.log(2 / 3 * np.exp(-0.5 * points[:, 0] ** 2) + 1 / 3 * np.exp(-0.5 * (points[:, 0] - 8) ** 2))


def test_mode_and_curvature() -> None:
    (mode,) = modes_of(lambda x: -0.5 * ((x - 2) ** 2 @ np.array([1.0, 1e8])), np.array([[0.0, 1.0], [5.0, 2.5]]))
    np.testing.assert_allclose(mode.point, 2, atol=1e-5)
    np.testing.assert_allclose(mode.covariance, np.diag([1.0, 1e-8]), rtol=1e-4, atol=1e-12)


def test_two_modes_are_found_and_weighted() -> None:
    modes = modes_of(two_humps, np.array([[-1.0], [1.0], [7.0]]))
    assert len(modes) == 2
    rng = np.random.default_rng(1)
    found = weighted(two_humps, adapted(two_humps, modes, rng), 4000, rng)
    drawn = found.points[chains_of(found, 4, rng)][..., 0]
    assert np.mean(drawn > 4) == pytest.approx(1 / 3, abs=0.04)


def test_chains_have_the_right_law() -> None:
    """Chains of weighted proposals agree with the known moments of a skewed law, and say how much they know."""
    rng = np.random.default_rng(2)
    modes = modes_of(skewed, np.array([[0.0, 0.0]]))
    found = weighted(skewed, adapted(skewed, modes, rng), 16_000, rng)
    assert found.khat < 0.5
    drawn = found.points[chains_of(found, 4, rng)]
    rhat, bulk, _ = convergence(drawn)
    assert np.all(rhat < 1.01)
    assert np.all(bulk < 16_000)
    from scipy.special import digamma, polygamma

    error = np.sqrt(polygamma(1, 3) / bulk[0])
    assert drawn[..., 0].mean() == pytest.approx(float(digamma(3)), abs=4 * error)
    assert drawn[..., 1].var() == pytest.approx(float(polygamma(1, 3)) + 0.25, rel=0.1)


def test_a_chain_stays_where_the_weight_is() -> None:
    """Of two proposals of which one has all the weight, the chain shows that one."""
    weights = np.where(np.arange(40) == 21, 0.0, -800.0)
    found = Weighted(np.arange(40.0)[:, None], weights, weights)
    visited = chains_of(found, 2, np.random.default_rng(3))
    assert np.all(visited[1, 10:] == 21)


def agree(one: Fit, other: Fit) -> None:
    """Means and quantiles of all roles agree within Monte Carlo error."""
    for role, values in one.roles.items():
        a = values.reshape(*values.shape[:2], -1)
        b = other.roles[role].reshape(*other.roles[role].shape[:2], -1)
        error = np.sqrt(a.var((0, 1)) / convergence(a).bulk + b.var((0, 1)) / convergence(b).bulk)
        away = np.abs(a.mean((0, 1)) - b.mean((0, 1))) / error
        assert np.max(away) < 4.5, role
        spread = np.log(a.std((0, 1)) / b.std((0, 1)))
        assert np.max(np.abs(spread)) < 0.2, role


@pytest.mark.parametrize("name", ["joint effects", "crossed", "nested", "serial, beside intercepts", "spread by arm"])
def test_exact_and_nuts_agree(name: str, tmp_path: Path) -> None:
    model, data = shapes.made(name, tmp_path)
    settings = Settings(draws=1500, warmup=500, seed=3)
    exact = fit(model, data, backend, settings)
    nuts = fit(model, data, backend, replace(settings, inference="nuts"))
    assert isinstance(exact, Fit)
    assert isinstance(nuts, Fit)
    assert exact.sampled.engine.startswith("exact")
    assert "NUTS" in nuts.sampled.engine
    assert exact.sampled.quality["khat"] < 0.5
    agree(exact, nuts)


def test_the_seed_decides() -> None:
    model, data = models.varying_slopes()
    settings = Settings(chains=2, draws=100, seed=4)
    first, second = (fit(model, data, backend, settings) for _ in range(2))
    other = fit(model, data, backend, replace(settings, seed=5))
    assert isinstance(first, Fit)
    assert isinstance(second, Fit)
    assert isinstance(other, Fit)
    for name, values in first.parameters.items():
        np.testing.assert_array_equal(values, second.parameters[name])
        assert np.any(values != other.parameters[name])


def test_what_cannot_be_exact_is_refused() -> None:
    """Asked for, it is an error with the reason; by default it falls back to NUTS and says why."""
    model, data = models.student_by_arm()
    found = fit(model, data, backend, Settings(inference="exact"))
    assert isinstance(found, Diagnostic)
    assert found.code == "HDM716"
    assert "student" in found.message
    default = fit(model, data, backend, Settings(chains=1, draws=20, warmup=50))
    assert isinstance(default, Fit)
    assert "student" in default.how


def test_an_unknown_inference_is_refused() -> None:
    found = fit(*models.varying_slopes(), backend, Settings(inference="magic"))
    assert isinstance(found, Diagnostic)
    assert found.code == "HDM713"
    assert "auto, nuts, marginal, exact" in (found.help or "")


def test_an_engine_or_another_backend_is_obeyed() -> None:
    """Who names a sampler gets it."""
    from hdsl.inference.choose import choose

    model, data = models.varying_slopes()
    assert choose(model, data, "numpyro", Settings()).exact
    assert not choose(model, data, "numpyro", Settings(engine="nuts")).exact
    assert not choose(model, data, "stan", Settings()).exact
    assert choose(model, data, "stan", Settings(inference="exact")).exact


def test_points_where_numbers_overflow_have_no_density() -> None:
    """One point cannot be solved: it drops out, the others keep their solutions."""
    factor = np.stack([np.eye(3), np.zeros((3, 3)), 2 * np.eye(3)])
    found = solve_factor(factor, np.ones((3, 3)))
    np.testing.assert_allclose(found[[0, 2]], [[1.0] * 3, [0.5] * 3])
    assert not np.all(np.isfinite(found[1]))
