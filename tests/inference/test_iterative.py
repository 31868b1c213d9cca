"""Draws by conjugate gradients against the dense factor, and the whole inference that rests on both short cuts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hdsl_numpyro import backend
from scipy.linalg import solve_triangular
from scipy.sparse import csc_array

from hdsl.backend import Settings
from hdsl.inference.exact import effects, iterative, run
from hdsl.inference.exact.chain import reduce_chain
from hdsl.inference.exact.effects import draw_effects
from hdsl.inference.exact.hyper import hyper_at, loading
from hdsl.inference.exact.iterative import drawn_together, parts_of, precision_of
from hdsl.inference.exact.marginal import Marginal, SparseProducts, marginal_of
from hdsl.inference.exact.together import large_factors, solve_together
from hdsl.inference.fit import Fit, fit
from tests.inference.test_exact import agree
from tests.passes import shapes

Array = np.ndarray
BESIDE = ("crossed", "crossed, slopes by month", "joint effects", "serial, beside intercepts", "predicted effects")


def marginal(name: str, folder: Path) -> Marginal:
    found = marginal_of(*shapes.made(name, folder))
    assert isinstance(found, Marginal)
    return found


def points_near(made: Marginal, count: int, spread: float) -> Array:
    return 0.1 + spread * np.random.default_rng(1).standard_normal((count, made.size))


@pytest.mark.parametrize("name", BESIDE)
def test_the_precision_is_that_of_the_dense_factor(name: str, tmp_path: Path) -> None:
    """Products with it, and the covariance of its noise, are those of the matrix that is multiplied out."""
    made = marginal(name, tmp_path)
    points = points_near(made, 1, 0.3)
    parts = parts_of(made)
    assert parts is not None
    hyper = hyper_at(made.linear, points)
    factor = solve_together(made, hyper, reduce_chain(made, hyper)).factor[0]
    dense = factor @ factor.T
    size = len(dense)
    many = hyper_at(made.linear, np.repeat(points, size, axis=0))
    system = precision_of(made, parts, many, _load(made, many))
    np.testing.assert_allclose(system.times(np.eye(size)), dense, rtol=1e-8, atol=1e-8 * np.max(np.diag(dense)))
    count = 20_000
    more = hyper_at(made.linear, np.repeat(points, count, axis=0))
    noise = precision_of(made, parts, more, _load(made, more)).noise(np.random.default_rng(2))
    sd = np.sqrt(np.diag(dense))
    found = np.cov(noise.T).reshape(size, size) / np.outer(sd, sd)
    np.testing.assert_allclose(found, dense / np.outer(sd, sd), atol=5 * np.sqrt(2 / count))


def _load(made: Marginal, hyper: object) -> Array:
    finest = made.statistics.finest
    assert finest is not None
    return loading(finest.grouping, finest.scales, hyper, made.linear)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", BESIDE)
def test_draws_have_the_law_of_the_dense_factor(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Means and standard deviations of all effects at one point, drawn in the two ways."""
    made = marginal(name, tmp_path)
    count = 8_000
    points = np.repeat(points_near(made, 1, 0.3), count, axis=0)
    dense = draw_effects(made, points, 1)
    monkeypatch.setattr(effects, "LARGE", 1)
    monkeypatch.setattr(effects, "SEVERAL", 1)
    solved = draw_effects(made, points, 2)
    for effect, values in dense.items():
        one, other = values.reshape(count, -1), solved[effect].reshape(count, -1)
        sd = np.maximum(one.std(0), 1e-12)
        assert np.max(np.abs(one.mean(0) - other.mean(0)) / sd) < 5 * np.sqrt(2 / count), effect
        varies = one.std(0) > 1e-10
        assert np.max(np.abs(np.log(other.std(0)[varies] / sd[varies])), initial=0.0) < 5 / np.sqrt(count), effect


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("spread", [2.0, 3.0, 4.0])
def test_distant_points_are_solved_or_factored(spread: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points whose spreads differ by up to thousands of times: an answer that the dense factors confirm, or none."""
    made = marginal("crossed", tmp_path)
    parts = parts_of(made)
    assert parts is not None
    solve = iterative._solved  # pyright: ignore[reportPrivateUsage]
    asked: list[Array] = []

    def noted(precision: iterative.Precision, wanted: Array, factor: Array) -> Array | None:
        asked.append(wanted)
        return solve(precision, wanted, factor)

    monkeypatch.setattr(iterative, "_solved", noted)
    found = 0
    for seed in range(6):
        points = 0.1 + spread * np.random.default_rng(seed).standard_normal((40, made.size))
        hyper = hyper_at(made.linear, points)
        precision = precision_of(made, parts, hyper, _load(made, hyper))
        drawn = drawn_together(made, precision, hyper, points, np.random.default_rng(1))
        if drawn is None:
            continue
        found += 1
        factors = solve_together(made, hyper, reduce_chain(made, hyper)).factor
        left = asked[-1] - precision.times(drawn)
        away = [np.linalg.norm(solve_triangular(f, each, lower=True)) for f, each in zip(factors, left, strict=True)]
        assert max(away) < 1e-4
    assert found >= 2


@pytest.mark.parametrize("name", ["crossed", "nested"])
def test_short_cuts_give_the_posterior(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpolated density and conjugate gradients agree with what does without them."""
    model, data = shapes.made(name, tmp_path, shapes.table(rows=480))
    settings = Settings(draws=2_000, seed=3, inference="exact")
    plain = fit(model, data, backend, settings)
    monkeypatch.setattr(run, "EMULATED", 0)
    monkeypatch.setattr(effects, "LARGE", 1)
    quick = fit(model, data, backend, settings)
    assert isinstance(plain, Fit)
    assert isinstance(quick, Fit)
    assert "interpolated" in quick.sampled.engine
    assert quick.sampled.quality["interpolation_error"] < 0.02
    agree(plain, quick)


def testlarge_factors_are_those_of_numpy() -> None:
    """Lower triangles count; a matrix that is not positive definite gives no numbers and spares the others."""
    rng = np.random.default_rng(2)
    root = rng.normal(size=(2, 7, 9))
    whole = root @ root.transpose(0, 2, 1)
    bad = whole[:1] - 100 * np.eye(7)
    found = large_factors(np.tril(np.concatenate([whole, bad])) + np.triu(np.ones((7, 7)), 1))
    np.testing.assert_allclose(found[:2], np.linalg.cholesky(whole), atol=1e-12)
    assert np.all(np.isnan(found[2]))


@pytest.mark.parametrize("order", ["C", "F"])
def test_sparse_products_are_added_in_any_layout(order: Literal["C", "F"]) -> None:
    rng = np.random.default_rng(3)
    table = np.where(rng.uniform(size=(16, 3)) < 0.5, rng.normal(size=(16, 3)), 0.0)
    table[[1, 2, 3, 6, 7, 11]] = 0.0
    gram, weights = np.zeros((2, 4, 4), order=order), rng.uniform(size=(2, 3))
    SparseProducts(csc_array(table)).add_to(gram, weights, 3)
    lower = (weights @ table.T).reshape(2, 4, 4)
    np.testing.assert_allclose(np.tril(gram), lower, atol=1e-14)
    np.testing.assert_allclose(gram[:, :3, 3], lower[:, 3, :3], atol=1e-14)
