"""The log density of whole models against densities written out with SciPy alone."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st

from hdsl.model.ir import Factor, Model, ModelData, apply, const, mul, var
from hdsl.reference.density import (
    definitions,
    log_densities,
    log_density,
    log_likelihood,
    needed,
    reported,
    terms,
)
from hdsl.reference.free import (
    constrain,
    differentiate,
    free_entries,
    free_shapes,
    gradient,
    random_point,
    unconstrain,
    unconstrained_gradient,
    unconstrained_log_densities,
)
from tests import models

Point = dict[str, np.ndarray]
EVERY = {
    **models.MODELS,
    **{f"observed {name}": (lambda name=name: models.observed(name, weight=True)) for name in models.OBSERVABLE},
    **{f"prior {name}": (lambda name=name: models.prior(name)) for name in models.PRIORS},
    **{f"computed {name}": (lambda name=name: models.computed(name)) for name in models.COMPUTABLE},
}


def _school_prior(p: Point) -> float:
    lkj = (2 * 2 - 2) * np.log(p["corr_school"][1, 1]) - np.log(sp.beta(2, 2) * 2 ** (2 * 2 - 1))
    return float(
        st.norm(0, 5).logpdf(p["intercept"])
        + st.norm(0, 2).logpdf(p["effect_tutor"])
        + st.norm(0, 2).logpdf(p["slope_pretest"])
        + st.halfnorm(0, 1.5).logpdf(p["sd_school"]).sum()
        + np.log(2)
        + st.t(4, 0, 2).logpdf(p["residual"])
        + lkj
    )


def _school_likelihood(p: Point, u: np.ndarray, data: ModelData) -> float:
    v = data.values
    alpha, tau = u[v["school_of_student"]].T
    mean = alpha + p["slope_pretest"] * v["pretest"] + tau * v["tutor"]
    return float(st.norm(mean, p["residual"]).logpdf(v["y"]).sum())


def test_varying_slopes_against_scipy() -> None:
    model, data = models.varying_slopes()
    for seed in range(5):
        p = random_point(model, data, np.random.default_rng(seed))
        scaled = np.diag(p["sd_school"]) @ p["corr_school"]
        centre = np.array([p["intercept"], p["effect_tutor"]])
        effects = st.multivariate_normal(centre, scaled @ scaled.T).logpdf(p["u"]).sum()
        expected = _school_prior(p) + effects + _school_likelihood(p, p["u"], data)
        assert log_density(model, data, p) == pytest.approx(expected, rel=1e-10)


def test_noncentred_slopes_against_scipy() -> None:
    model, data = models.varying_slopes_noncentred()
    p = random_point(model, data, np.random.default_rng(3))
    centre = np.array([p["intercept"], p["effect_tutor"]])
    u = centre + p["z"] @ (np.diag(p["sd_school"]) @ p["corr_school"]).T
    expected = _school_prior(p) + st.norm.logpdf(p["z"]).sum() + _school_likelihood(p, u, data)
    assert log_density(model, data, p) == pytest.approx(expected, rel=1e-10)


def test_centred_and_noncentred_differ_by_the_jacobian() -> None:
    centred, data = models.varying_slopes()
    noncentred, _ = models.varying_slopes_noncentred()
    p = random_point(noncentred, data, np.random.default_rng(4))
    u = definitions(noncentred, data, p, only=["u"])["u"].array
    scaled = np.diag(p["sd_school"]) @ p["corr_school"]
    log_jacobian = 6 * np.linalg.slogdet(scaled)[1]
    moved = {name: array for name, array in p.items() if name != "z"} | {"u": u}
    expected = log_density(noncentred, data, p) - log_jacobian
    assert log_density(centred, data, moved) == pytest.approx(expected, rel=1e-10)


def test_crossed_against_scipy() -> None:
    model, data = models.crossed()
    p, v = random_point(model, data, np.random.default_rng(5)), data.values
    mean = p["intercept"] + p["a"][v["person_of_answer"]] + p["b"][v["item_of_answer"]]
    expected = (
        st.norm(0, 10).logpdf(p["intercept"])
        + st.halfnorm(0, 2).logpdf(p["sd_person"])
        + st.expon().logpdf(p["sd_item"])
        + st.lognorm(1).logpdf(p["residual"])
        + st.norm(0, p["sd_person"]).logpdf(p["a"]).sum()
        + st.norm(0, p["sd_item"]).logpdf(p["b"]).sum()
        + st.norm(mean, p["residual"]).logpdf(v["y"]).sum()
    )
    assert log_density(model, data, p) == pytest.approx(float(expected), rel=1e-10)


def _group_prior(p: Point) -> float:
    return float(
        st.norm(0, 2).logpdf(p["intercept"])
        + st.norm(0, 1).logpdf(p["effect_z"]).sum()
        + st.t(3).logpdf(p["slope_x"])
        + st.halfcauchy().logpdf(p["sd_site"])
        + st.norm(0, p["sd_site"]).logpdf(p["a"]).sum()
    )


def _eta(p: Point, data: ModelData) -> np.ndarray:
    v = data.values
    return p["intercept"] + p["a"][v["site_of_person"]] + p["effect_z"][v["z"]] + p["slope_x"] * v["x"]


def _likelihoods(name: str, p: Point, data: ModelData) -> np.ndarray:
    eta, v = _eta(p, data), data.values
    if name == "bernoulli":
        return st.bernoulli(sp.expit(eta)).logpmf(v["y"])
    if name == "negbinomial":
        mu = np.exp(eta + v["log_exposure"])
        return st.nbinom(p["shape"], p["shape"] / (p["shape"] + mu)).logpmf(v["y"])
    if name == "ordinal":
        edges = np.concatenate([[-np.inf], p["cutpoints"], [np.inf]])
        return np.log(sp.expit(edges[v["y"] + 1] - eta) - sp.expit(edges[v["y"]] - eta))
    if name == "student_by_arm":
        return st.t(p["df"], eta, p["residual"][v["z"]]).logpdf(v["y"])
    if name == "weighted":
        return v["weight"] * st.norm(eta, p["residual"]).logpdf(v["y"])
    if name == "censored_weibull":
        law = st.weibull_min(p["shape"], 0, np.exp(eta))
        return v["weight"] * np.where(v["ended"] == 1, law.logpdf(v["y"]), law.logsf(v["y"]))
    first, second = p["base"]
    logits = np.stack([np.zeros(30), first + eta, second - eta], axis=1)
    return logits[np.arange(30), v["y"]] - sp.logsumexp(logits, axis=1)


def _own_prior(name: str, p: Point) -> float:
    priors = {
        "negbinomial": lambda: st.gamma(2, 0, 1 / 0.5).logpdf(p["shape"]),
        "ordinal": lambda: st.norm(0, 2.5).logpdf(p["cutpoints"]).sum() + np.log(6),
        "student_by_arm": lambda: st.halfnorm(0, 2).logpdf(p["residual"]).sum() + st.gamma(2, 0, 10).logpdf(p["df"]),
        "weighted": lambda: st.invgamma(3, 0, 2).logpdf(p["residual"]),
        "censored_weibull": lambda: st.halfnorm(0, 2).logpdf(p["shape"]),
        "categorical": lambda: st.norm.logpdf(p["base"]).sum(),
    }
    return float(priors[name]()) if name in priors else 0.0


GROUPED = [
    "bernoulli",
    "negbinomial",
    "ordinal",
    "student_by_arm",
    "weighted",
    "censored_weibull",
    "categorical",
]


@pytest.mark.parametrize("name", GROUPED)
def test_grouped_models_against_scipy(name: str) -> None:
    model, data = models.MODELS[name]()
    p = random_point(model, data, np.random.default_rng(6))
    rows = _likelihoods(name, p, data)
    expected = _group_prior(p) + _own_prior(name, p) + float(rows.sum())
    assert log_density(model, data, p) == pytest.approx(expected, rel=1e-10)
    pointwise = log_likelihood(model, data, {key: array[None] for key, array in p.items()})
    np.testing.assert_allclose(pointwise["y_observed"][0], rows, rtol=1e-9)


def test_a_weight_of_two_is_the_row_twice() -> None:
    model, data = models.weighted()
    p = random_point(model, data, np.random.default_rng(7))
    values = dict(data.values)
    values["weight"] = np.ones(30)
    ones = log_likelihood(model, ModelData(values, data.coords), {k: v[None] for k, v in p.items()})
    values["weight"] = np.full(30, 2.0)
    base = terms(model, ModelData(values, data.coords), p)["y_observed"]
    assert float(base.array) == pytest.approx(2 * float(ones["y_observed"].sum()))


def test_terms_sum_to_the_density_and_factors_count() -> None:
    model, data = models.crossed()
    p = random_point(model, data, np.random.default_rng(8))
    value = mul(const(-0.5), apply("square", apply("sum", var("a"), static=("person",))))
    with_factor = model.model_copy(update={"factors": (Factor(name="centred", value=value),)})
    parts = terms(with_factor, data, p)
    assert set(parts) == {each.name for each in model.variables} | {"y_observed", "centred"}
    assert float(parts["centred"].array) == pytest.approx(-0.5 * p["a"].sum() ** 2)
    total = log_density(with_factor, data, p)
    assert total == pytest.approx(sum(float(part.array) for part in parts.values()))
    assert total == pytest.approx(log_density(model, data, p) - 0.5 * p["a"].sum() ** 2)


@pytest.mark.parametrize("name", list(EVERY))
def test_many_points_at_once_agree_with_one_at_a_time(name: str) -> None:
    model, data = EVERY[name]()
    rng = np.random.default_rng(9)
    points = [random_point(model, data, rng) for _ in range(3)]
    many = {key: np.stack([point[key] for point in points]) for key in points[0]}
    one_by_one = [log_density(model, data, point) for point in points]
    assert np.all(np.isfinite(one_by_one))
    np.testing.assert_allclose(log_densities(model, data, many), one_by_one, rtol=1e-9)
    rows = log_likelihood(model, data, many)
    for draw, point in enumerate(points):
        alone = log_likelihood(model, data, {key: array[None] for key, array in point.items()})
        for observation, array in alone.items():
            np.testing.assert_allclose(rows[observation][draw], array[0], rtol=1e-9)


@pytest.mark.parametrize("name", list(EVERY))
def test_coordinates_and_gradients(name: str) -> None:
    model, data = EVERY[name]()
    rng = np.random.default_rng(10)
    p = random_point(model, data, rng)
    free = unconstrain(model, data, p)
    assert {key: array.shape for key, array in free.items()} == free_shapes(model)
    back, log_jacobian = constrain(model, data, free)
    for key, array in p.items():
        np.testing.assert_allclose(back[key], array, rtol=1e-9, atol=1e-12)
    density = unconstrained_log_densities(model, data, free, batch=())
    assert float(density) == pytest.approx(log_density(model, data, p) + float(log_jacobian))
    _check_directions(model, data, free, rng)


def _check_directions(model: Model, data: ModelData, free: Point, rng: np.random.Generator) -> None:
    direction = {key: rng.normal(0, 1, array.shape) for key, array in free.items()}

    def along(step: float) -> float:
        moved = {key: array + step * direction[key] for key, array in free.items()}
        return float(unconstrained_log_densities(model, data, moved, batch=()))

    slopes = unconstrained_gradient(model, data, free)
    slope = sum(float(np.sum(slopes[key] * direction[key])) for key in free)
    assert slope == pytest.approx((along(1e-5) - along(-1e-5)) / 2e-5, rel=2e-5, abs=1e-5)


def test_gradient_on_the_natural_scale_by_hand() -> None:
    model, data = models.crossed()
    p, v = random_point(model, data, np.random.default_rng(11)), data.values
    got = gradient(model, data, p)
    error = v["y"] - p["intercept"] - p["a"][v["person_of_answer"]] - p["b"][v["item_of_answer"]]
    pull = error / p["residual"] ** 2
    by_person = np.bincount(v["person_of_answer"], pull, 8) - p["a"] / p["sd_person"] ** 2
    np.testing.assert_allclose(got["a"], by_person, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got["intercept"], pull.sum() - p["intercept"] / 100, rtol=1e-8)
    sd = p["sd_person"]
    expected = -8 / sd + np.sum(p["a"] ** 2) / sd**3 - sd / 4
    np.testing.assert_allclose(got["sd_person"], expected, rtol=1e-8)


def test_gradient_of_a_cholesky_factor_by_hand() -> None:
    model, data = models.prior("lkj_cholesky")
    p = random_point(model, data, np.random.default_rng(12))
    got = gradient(model, data, p)["theta"]
    assert not free_entries(model)["theta"][0, 0]
    assert np.all(got[np.triu_indices(3, 1)] == 0)
    assert got[0, 0] == 0
    np.testing.assert_allclose(got[2, 2], (2 * p["s"] - 2) / p["theta"][2, 2], rtol=1e-8)
    np.testing.assert_allclose(got[2, 0], (0.3 - p["theta"][2, 0]) / 1.5**2, rtol=1e-8)


def test_differentiation_is_exact_on_functions_of_unequal_scale() -> None:
    point = {"x": np.array([2.0, 1e-3]), "y": np.array(50.0)}

    def function(p: Point) -> np.ndarray:
        return np.exp(p["x"][:, 0]) + np.log(p["x"][:, 1]) + np.sin(1e3 * p["y"])

    scales = {"x": np.array([2.0, 1e-3]), "y": np.array(1e-2)}
    got = differentiate(function, point, scales)
    np.testing.assert_allclose(got["x"], [np.exp(2), 1e3], rtol=1e-9)
    np.testing.assert_allclose(got["y"], 1e3 * np.cos(5e4), rtol=1e-6)


def test_definitions_are_lazy() -> None:
    model, data = models.varying_slopes_noncentred()
    assert needed(model, ["u"]) == {"u"}
    assert needed(model, ["mu"]) == {"u", "mu"}
    p = random_point(model, data, np.random.default_rng(13))
    without = {name: array for name, array in p.items() if name != "residual"}
    env = definitions(model, data, without, only=["u"])
    assert "u" in env
    assert "mu" not in env


def test_log_likelihood_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = models.varying_slopes()
    rng = np.random.default_rng(14)
    points = [random_point(model, data, rng) for _ in range(7)]
    many = {key: np.stack([point[key] for point in points]) for key in points[0]}
    whole = log_likelihood(model, data, many)
    monkeypatch.setattr("hdsl.reference.density.CHUNK", 100)
    np.testing.assert_allclose(log_likelihood(model, data, many)["y_observed"], whole["y_observed"])
    assert whole["y_observed"].shape == (7, 48)


def test_reported_quantities() -> None:
    model, data = models.varying_slopes_noncentred()
    rng = np.random.default_rng(15)
    points = [[random_point(model, data, rng) for _ in range(3)] for _ in range(2)]
    draws = {key: np.stack([[point[key] for point in chain] for chain in points]) for key in points[0][0]}
    got = reported(model, data, draws)
    assert got["effect(tutor)"].shape == (2, 3)
    assert got["effect(tutor)[school]"].shape == (2, 3, 6)
    p = points[1][2]
    u = np.array([p["intercept"], p["effect_tutor"]]) + p["z"] @ (np.diag(p["sd_school"]) @ p["corr_school"]).T
    np.testing.assert_allclose(got["effect(tutor)[school]"][1, 2], u[:, 1])
    np.testing.assert_allclose(got["sd(intercept, school)"][1, 2], p["sd_school"][0])
    np.testing.assert_allclose(got["corr(intercept, effect(tutor), school)"][1, 2], p["corr_school"][1, 0])
