"""Every distribution of one number against SciPy, quadrature and simulation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate as quad
import scipy.stats as st

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.reference import distributions as ref
from hdsl.reference.distributions import RULES
from hdsl.reference.values import Value, scalar

# Name, arguments, and the same distribution in SciPy.
FROZEN = [
    ("normal", (1.0, 2.0), st.norm(1, 2)),
    ("student", (3.5, 1.0, 2.0), st.t(3.5, 1, 2)),
    ("cauchy", (1.0, 2.0), st.cauchy(1, 2)),
    ("laplace", (1.0, 2.0), st.laplace(1, 2)),
    ("logistic", (1.0, 2.0), st.logistic(1, 2)),
    ("skewnormal", (1.0, 2.0, -3.0), st.skewnorm(-3, 1, 2)),
    ("halfnormal", (2.0,), st.halfnorm(0, 2)),
    ("halfcauchy", (2.0,), st.halfcauchy(0, 2)),
    ("exponential", (2.5,), st.expon(0, 1 / 2.5)),
    ("lognormal", (0.5, 0.7), st.lognorm(0.7, 0, np.exp(0.5))),
    ("gamma", (2.5, 3.0), st.gamma(2.5, 0, 1 / 3)),
    ("gamma_mean", (3.0, 0.8), st.gamma(0.8, 0, 3 / 0.8)),
    ("inverse_gamma", (3.5, 2.0), st.invgamma(3.5, 0, 2)),
    ("weibull", (1.7, 3.0), st.weibull_min(1.7, 0, 3)),
    ("uniform", (-1.0, 3.0), st.uniform(-1, 4)),
    ("beta", (0.8, 2.5), st.beta(0.8, 2.5)),
    ("beta_mean", (0.3, 6.0), st.beta(1.8, 4.2)),
    ("bernoulli", (0.3,), st.bernoulli(0.3)),
    ("bernoulli_logit", (-0.7,), st.bernoulli(1 / (1 + np.exp(0.7)))),
    ("binomial", (9, 0.3), st.binom(9, 0.3)),
    ("binomial_logit", (9, -0.7), st.binom(9, 1 / (1 + np.exp(0.7)))),
    ("betabinomial_logit", (9, -0.7, 3.0), st.betabinom(9, 3 / (1 + np.exp(0.7)), 3 / (1 + np.exp(-0.7)))),
    ("poisson_log", (1.2,), st.poisson(np.exp(1.2))),
    ("negbinomial_log", (1.2, 0.8), st.nbinom(0.8, 0.8 / (0.8 + np.exp(1.2)))),
]
# Arguments for those that SciPy lacks, and where to integrate or sum.
OTHERS = [
    ("asymmetric_laplace", (1.0, 2.0, 0.25)),
    ("halfstudent", (4.5, 2.0)),
    ("zipoisson_log", (1.2, 0.3)),
    ("hurdle_poisson_log", (-0.4, 0.3)),
    ("hurdle_negbinomial_log", (1.2, 0.8, 0.3)),
    ("hurdle_lognormal", (0.5, 0.7, 0.3)),
    ("hurdle_gamma", (3.0, 0.8, 0.3)),
]
ALL = [(name, args) for name, args, _ in FROZEN] + OTHERS
IDS = [name for name, _ in ALL]
MIXED = ("hurdle_lognormal", "hurdle_gamma")
GRID = np.linspace(0.0213, 0.9787, 25)


def _values(args: tuple[float, ...]) -> list[Value]:
    return [scalar(arg) for arg in args]


def _rows(array: np.ndarray) -> Value:
    return Value(("row",), np.asarray(array, dtype=np.float64))


def _support(name: str, args: tuple[float, ...], frozen: object = None) -> np.ndarray:
    if DISTRIBUTIONS[name].discrete:
        return np.arange(0, 30.0)
    return ref.quantile(name, _rows(GRID), _values(args)).real


def test_every_distribution_has_rules_and_a_case() -> None:
    assert set(RULES) == set(DISTRIBUTIONS)
    joint = {name for name, each in DISTRIBUTIONS.items() if each.event}
    categories = {"ordinal_logit", "ordinal_probit", "categorical_logit", "normal_mixture"}
    assert set(IDS) == set(DISTRIBUTIONS) - joint - categories


@pytest.mark.parametrize(("name", "args", "frozen"), FROZEN, ids=[name for name, _, _ in FROZEN])
def test_agrees_with_scipy(name: str, args: tuple[float, ...], frozen: st.rv_continuous) -> None:
    x, values = _support(name, args), _values(args)
    density = frozen.logpmf(x) if DISTRIBUTIONS[name].discrete else frozen.logpdf(x)
    np.testing.assert_allclose(ref.log_density(name, _rows(x), values).array, density, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ref.cdf(name, _rows(x), values).array, frozen.cdf(x), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(ref.survival(name, _rows(x), values).array, frozen.sf(x), rtol=1e-9, atol=1e-14)
    quantile = ref.quantile(name, _rows(GRID), values).array
    np.testing.assert_allclose(quantile, frozen.ppf(GRID), rtol=1e-7, atol=1e-9)
    mean, variance = ref.mean(name, values, ()).array, ref.variance(name, values, ()).array
    if name not in ("cauchy", "halfcauchy"):
        np.testing.assert_allclose([mean, variance], [frozen.mean(), frozen.var()], rtol=1e-9)


@pytest.mark.parametrize(("name", "args"), ALL, ids=IDS)
def test_normalised_with_the_stated_moments(name: str, args: tuple[float, ...]) -> None:
    values = _values(args)

    def weighted(x: float, power: int) -> float:
        return float(np.exp(ref.log_density(name, scalar(x), values).array)) * x**power

    if DISTRIBUTIONS[name].discrete:
        grid = np.arange(0, 2000.0)
        mass = np.exp(ref.log_density(name, _rows(grid), values).real)
        moments = [float(np.sum(mass * grid**power)) for power in range(3)]
    else:
        ends = {"positive": (0, np.inf), "unit": (0, 1), "interval": args[:2]}
        low, high = ends.get(DISTRIBUTIONS[name].support, (-np.inf, np.inf))
        inner = ref.quantile(name, _rows(np.array([0.01, 0.1, 0.5, 0.9, 0.99])), values).real
        pieces = list(pairwise(np.unique([low, *inner, high])))
        moments = [
            sum(quad.quad(weighted, low, high, (power,), limit=300)[0] for low, high in pieces)
            for power in range(3 if name not in ("cauchy", "halfcauchy") else 1)
        ]
        if name in MIXED:
            moments[0] += weighted(0.0, 0)
    assert moments[0] == pytest.approx(1, abs=2e-7)
    if len(moments) == 3:
        mean, variance = float(ref.mean(name, values, ()).array), float(ref.variance(name, values, ()).array)
        heavy = name in ("student", "inverse_gamma", "halfstudent")
        assert moments[1] == pytest.approx(mean, rel=1e-6)
        assert moments[2] - moments[1] ** 2 == pytest.approx(variance, rel=1e-4 if heavy else 1e-6)


@pytest.mark.parametrize(("name", "args"), ALL, ids=IDS)
def test_cdf_is_the_integral_of_the_density(name: str, args: tuple[float, ...]) -> None:
    values = _values(args)
    if DISTRIBUTIONS[name].discrete:
        grid = np.arange(0, 25.0)
        mass = np.exp(ref.log_density(name, _rows(grid), values).real)
        np.testing.assert_allclose(ref.cdf(name, _rows(grid + 0.5), values).array, np.cumsum(mass), atol=1e-12)
    else:
        grid = _support(name, args)
        grid = grid[grid > 0.01] if DISTRIBUTIONS[name].support == "positive" else grid
        step = 1e-5 * np.maximum(np.abs(grid), 0.1)
        high, low = ref.cdf(name, _rows(grid + step), values), ref.cdf(name, _rows(grid - step), values)
        density = np.exp(ref.log_density(name, _rows(grid), values).real)
        smooth = np.abs(grid - 1) > 1e-3 if "laplace" in name else np.ones(grid.shape, dtype=bool)
        slope = (high.real - low.real) / (2 * step)
        np.testing.assert_allclose(slope[smooth], density[smooth], rtol=1e-5)
    both = ref.cdf(name, _rows(grid), values).real + ref.survival(name, _rows(grid), values).real
    np.testing.assert_allclose(both, 1, atol=1e-12)
    logged = ref.log_survival(name, _rows(grid), values).real
    np.testing.assert_allclose(np.exp(logged), ref.survival(name, _rows(grid), values).real, atol=1e-14)


@pytest.mark.parametrize(("name", "args"), ALL, ids=IDS)
def test_quantile_inverts_the_cdf(name: str, args: tuple[float, ...]) -> None:
    values = _values(args)
    x = ref.quantile(name, _rows(GRID), values)
    reached = ref.cdf(name, x, values).real
    if DISTRIBUTIONS[name].discrete or name in MIXED:
        before = ref.cdf(name, Value(x.dims, x.real - (1 if DISTRIBUTIONS[name].discrete else 1e-6)), values)
        assert np.all(reached >= GRID - 1e-12)
        assert np.all(before.real < GRID)
    else:
        np.testing.assert_allclose(reached, GRID, atol=1e-9)


@pytest.mark.parametrize(("name", "args"), ALL, ids=IDS)
def test_draws_follow_the_cdf(name: str, args: tuple[float, ...]) -> None:
    rng = np.random.default_rng(sum(map(ord, name)))
    count = 20_000
    drawn = ref.draw(name, rng, _values(args), ("row",), {"row": count})
    assert drawn.array.dtype == (np.int64 if DISTRIBUTIONS[name].discrete else np.float64)
    points = ref.quantile(name, _rows(GRID), _values(args))
    expected = ref.cdf(name, points, _values(args)).real
    found = np.mean(drawn.real[:, None] <= points.real, axis=0)
    spread = np.sqrt(expected * (1 - expected) / count)
    assert np.all(np.abs(found - expected) <= 4.5 * spread + 1e-12)


def test_outside_the_support_the_density_is_zero() -> None:
    for name, args in ALL:
        support = DISTRIBUTIONS[name].support
        outside = {"positive": -0.5, "unit": 1.5, "interval": 9.0, "binary": 2.0, "count": 1.5}
        if support in outside:
            got = ref.log_density(name, scalar(outside[support]), _values(args))
            assert got.array == -np.inf, name
            below = ref.log_density(name, scalar(-1.01), _values(args))
            assert below.array == -np.inf, name


@pytest.mark.parametrize(
    ("name", "x", "args", "expected"),
    [
        ("bernoulli_logit", 0.0, (800.0,), -800.0),
        ("bernoulli", 0.0, (0.0,), 0.0),
        ("binomial_logit", 0.0, (3, 700.0), -2100.0),
        ("poisson_log", 0.0, (-800.0,), 0.0),
        ("negbinomial_log", 0.0, (2.0, 1e12), st.poisson(np.exp(2)).logpmf(0)),
        ("negbinomial_log", 4.0, (2.0, 1e12), st.poisson(np.exp(2)).logpmf(4)),
        ("hurdle_poisson_log", 1.0, (-30.0, 0.0), 0.0),
        ("skewnormal", -40.0, (0.0, 1.0, 2.0), st.skewnorm(2).logpdf(-40)),
        ("zipoisson_log", 0.0, (900.0, 0.25), np.log(0.25)),
    ],
)
def test_extreme_arguments(name: str, x: float, args: tuple[float, ...], expected: float) -> None:
    got = float(ref.log_density(name, scalar(x), _values(args)).array)
    assert got == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_log_survival_far_in_the_tail() -> None:
    weibull = ref.log_survival("weibull", scalar(1e4), _values((2.0, 10.0)))
    assert float(weibull.array) == pytest.approx(-1e6)
    normal = ref.log_survival("normal", scalar(50.0), _values((0.0, 1.0)))
    assert float(normal.array) == pytest.approx(st.norm.logsf(50), rel=1e-12)


def test_asymmetric_laplace_has_its_quantile() -> None:
    for p in (0.1, 0.5, 0.9):
        args = _values((3.0, 2.0, p))
        assert float(ref.cdf("asymmetric_laplace", scalar(3.0), args).array) == pytest.approx(p)
    symmetric = ref.log_density("asymmetric_laplace", scalar(0.3), _values((1.0, 2.0, 0.5)))
    assert float(symmetric.array) == pytest.approx(st.laplace(1, 4).logpdf(0.3))


def test_moments_that_do_not_exist() -> None:
    assert np.isnan(ref.mean("student", _values((1.0, 0.0, 1.0)), ()).array)
    assert np.isinf(ref.variance("student", _values((1.5, 0.0, 1.0)), ()).array)
    assert np.isnan(ref.mean("cauchy", _values((0.0, 1.0)), ()).array)
    assert np.isinf(ref.mean("inverse_gamma", _values((0.9, 1.0)), ()).array)
    with pytest.raises(ValueError, match="no mean"):
        ref.mean("categorical_logit", [Value(("k",), np.zeros(3))], ())


def test_batch_dims_carry_through() -> None:
    mean = Value(("draw", "row"), np.arange(6.0).reshape(2, 3))
    sd = Value(("draw",), np.array([1.0, 2.0]))
    y = Value(("row",), np.array([0.5, 1.0, 7.0]))
    got = ref.log_density("normal", y, [mean, sd])
    assert got.dims == ("draw", "row")
    np.testing.assert_allclose(got.array, st.norm(mean.array, sd.array[:, None]).logpdf(y.array))
    drawn = ref.draw("normal", np.random.default_rng(1), [mean, sd], ("row",), {"row": 3})
    assert drawn.dims == ("draw", "row")
    assert drawn.array.shape == (2, 3)


def test_arguments_with_foreign_dims_are_refused() -> None:
    with pytest.raises(ValueError, match="school"):
        ref.log_density("normal", scalar(1.0), [Value(("school",), np.zeros(2)), scalar(1.0)], ())
