"""Distributions of vectors and matrices: against SciPy, by integration and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate as quad
import scipy.special as sp
import scipy.stats as st

from hdsl.reference import distributions as ref
from hdsl.reference.joint import cholesky_from_partial, forward_substitute, lkj_log_normaliser
from hdsl.reference.values import Value, scalar

L = np.array([[1.2, 0.0, 0.0], [0.4, 0.7, 0.0], [-0.5, 0.3, 1.1]])
MEAN = np.array([0.5, -1.0, 2.0])


def test_multinormal_by_group_and_draw() -> None:
    rng = np.random.default_rng(1)
    x, means = rng.normal(0, 1, (2, 4, 3)), rng.normal(0, 1, (4, 3))
    args = [Value(("group", "k"), means), Value(("k", "k2"), L)]
    got = ref.log_density("multinormal_cholesky", Value(("draw", "group", "k"), x), args)
    assert got.dims == ("draw", "group")
    laws = [st.multivariate_normal(m, L @ L.T) for m in means]
    expected = [[law.logpdf(row) for law, row in zip(laws, each, strict=True)] for each in x]
    np.testing.assert_allclose(got.array, expected)


def test_multinormal_with_factors_by_draw_and_a_common_mean() -> None:
    factors = np.stack([L, 2 * L])
    x = np.random.default_rng(2).normal(0, 1, (4, 3))
    args = [scalar(0.3), Value(("draw", "k", "k2"), factors)]
    got = ref.log_density("multinormal_cholesky", Value(("group", "k"), x), args)
    assert got.dims == ("draw", "group")
    for draw in range(2):
        normal = st.multivariate_normal(np.full(3, 0.3), factors[draw] @ factors[draw].T)
        np.testing.assert_allclose(got.array[draw], normal.logpdf(x))


def test_multinormal_moments_and_draws() -> None:
    args = [Value(("k",), MEAN), Value(("k", "k2"), L)]
    np.testing.assert_allclose(ref.mean("multinormal_cholesky", args, ("k",)).array, MEAN)
    covariance = L @ L.T
    np.testing.assert_allclose(ref.variance("multinormal_cholesky", args, ("k",)).array, np.diag(covariance))
    drawn = ref.draw("multinormal_cholesky", np.random.default_rng(3), args, ("row", "k"), {"row": 50_000, "k": 3})
    assert drawn.dims == ("row", "k")
    np.testing.assert_allclose(np.mean(drawn.real, 0), MEAN, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.real.T), covariance, atol=0.05)


def test_forward_substitution_ignores_what_is_above_the_diagonal() -> None:
    x = np.random.default_rng(4).normal(0, 1, (5, 3))
    full = L + np.triu(np.ones((3, 3)), 1)
    np.testing.assert_allclose(forward_substitute(full, x), np.linalg.solve(L, x.T).T)


def _factor(*partial: float, size: int) -> np.ndarray:
    return cholesky_from_partial(np.array(partial), size)


@pytest.mark.parametrize("eta", [0.5, 1.0, 2.5])
def test_lkj_cholesky_integrates_to_one_for_two(eta: float) -> None:
    def density(below: float) -> float:
        x = Value(("k", "k2"), np.array([[1, 0], [below, np.sqrt(1 - below**2)]]))
        return float(np.exp(ref.log_density("lkj_cholesky", x, [scalar(eta)]).array))

    total = quad.quad(density, -1, 0)[0] + quad.quad(density, 0, 1)[0]
    assert total == pytest.approx(1, abs=1e-6)
    assert density(0.3) == pytest.approx(st.beta(eta, eta).pdf(0.65) / 2)


@pytest.mark.parametrize("eta", [1.0, 2.5])
def test_lkj_cholesky_integrates_to_one_for_three(eta: float) -> None:
    """Integrate over the entries below the diagonal: an interval times a disc, by Gauss-Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    angle = np.pi * (nodes + 1)
    radius = np.sin(0.25 * np.pi * (nodes + 1))
    slope = 0.25 * np.pi * np.cos(0.25 * np.pi * (nodes + 1))
    a, r, t = np.meshgrid(np.sin(0.5 * np.pi * nodes), radius, angle, indexing="ij")
    x = np.zeros((*a.shape, 3, 3))
    x[..., 0, 0] = 1
    x[..., 1, 0], x[..., 1, 1] = a, np.sqrt(1 - a**2)
    x[..., 2, 0], x[..., 2, 1], x[..., 2, 2] = r * np.cos(t), r * np.sin(t), np.sqrt(1 - r**2)
    value = Value(("i", "j", "l", "k", "k2"), x)
    density = np.exp(ref.log_density("lkj_cholesky", value, [scalar(eta)]).real)
    cosine = 0.5 * np.pi * np.cos(0.5 * np.pi * nodes)
    measure = np.einsum("i,j,l->ijl", weights * cosine, weights * slope * radius, weights * np.pi)
    assert float(np.sum(density * measure)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("size", [3, 4, 6])
def test_lkj_normaliser_is_a_product_of_betas(size: int) -> None:
    """The vine gives the same constant: independent partial correlations, each 2 beta(b, b) - 1."""
    eta, total = 1.7, 0.0
    for column in range(size - 1):
        b = eta + 0.5 * (size - 2 - column)
        total += (size - 1 - column) * (sp.betaln(b, b) + (2 * b - 1) * np.log(2))
    assert float(lkj_log_normaliser(np.asarray(eta), size)) == pytest.approx(total)


def test_lkj_draws_have_beta_marginals() -> None:
    eta, size = 1.5, 4
    drawn = ref.draw(
        "lkj_cholesky", np.random.default_rng(5), [scalar(eta)], ("n", "k", "k2"), {"n": 5000, "k": 4, "k2": 4}
    )
    correlation = drawn.real @ np.swapaxes(drawn.real, -1, -2)
    np.testing.assert_allclose(np.diagonal(correlation, axis1=-2, axis2=-1), 1)
    b = eta - 1 + 0.5 * size
    for i, j in ((1, 0), (3, 1), (3, 2)):
        assert st.kstest(correlation[:, i, j], st.beta(b, b, -1, 2).cdf).pvalue > 1e-3


def test_lkj_at_each_draw() -> None:
    eta = Value(("draw",), np.array([0.8, 3.0]))
    x = Value(("k", "k2"), _factor(0.3, -0.2, 0.5, size=3))
    got = ref.log_density("lkj_cholesky", x, [eta])
    assert got.dims == ("draw",)
    for draw, each in enumerate(eta.real):
        alone = ref.log_density("lkj_cholesky", x, [scalar(float(each))])
        assert got.real[draw] == pytest.approx(float(alone.array))


def test_ordered_normal_integrates_to_one() -> None:
    args = [scalar(0.5), scalar(1.3)]

    def density(high: float, low: float) -> float:
        x = Value(("k",), np.array([low, high]))
        return float(np.exp(ref.log_density("ordered_normal", x, args).array))

    total = quad.dblquad(density, -9, 10, lambda low: low, lambda low: 10)[0]
    assert total == pytest.approx(1, abs=1e-6)
    assert density(0.0, 1.0) == 0
    drawn = ref.draw("ordered_normal", np.random.default_rng(6), args, ("n", "k"), {"n": 4000, "k": 3})
    middle = st.beta(2, 2)
    assert st.kstest(middle.cdf(st.norm(0.5, 1.3).cdf(drawn.real[:, 1])), "uniform").pvalue > 1e-3


def test_dirichlet() -> None:
    a = np.array([0.4, 2.0, 3.5])
    x = np.array([0.2, 0.3, 0.5])
    args = [Value(("k",), a)]
    got = ref.log_density("dirichlet", Value(("k",), x), args)
    assert float(got.array) == pytest.approx(st.dirichlet(a).logpdf(x))
    symmetric = ref.log_density("dirichlet", Value(("k",), x), [scalar(0.7)])
    assert float(symmetric.array) == pytest.approx(st.dirichlet(np.full(3, 0.7)).logpdf(x))
    drawn = ref.draw("dirichlet", np.random.default_rng(7), args, ("n", "k"), {"n": 5000, "k": 3})
    np.testing.assert_allclose(np.sum(drawn.real, -1), 1)
    for k in range(3):
        assert st.kstest(drawn.real[:, k], st.beta(a[k], a.sum() - a[k]).cdf).pvalue > 1e-3
    tiny = ref.draw("dirichlet", np.random.default_rng(8), [scalar(1e-3)], ("n", "k"), {"n": 50, "k": 3})
    assert np.all(np.isfinite(tiny.real))
