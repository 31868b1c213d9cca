"""Explicit equations: what they mean as a Model, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, gammaln

from hdsl.design.parts import bernoulli, complete, covariate, exposure, intermediate, outcome, weight
from hdsl.design.study import Study
from hdsl.estimands.compute import compute
from hdsl.model.ir import Model, ModelData
from hdsl.model.to_text import equations as equations_of
from hdsl.model.to_text import priors
from hdsl.passes import noncentre, prepare
from hdsl.reference.density import definitions, log_density, reported
from hdsl.reference.free import random_point
from tests.model.designs import Design, design, rng, write
from tests.model.preserved import differences

GROUPS, SIZE = 5, 6
ROWS = GROUPS * SIZE
Columns = Mapping[str, NDArray[Any]]
Point = Mapping[str, Any]

MEAN = "mu ~ normal(0, 5)  tau ~ normal(0, 2)  "
SPREAD = "sigma ~ halfnormal(3)  "


def data(folder: Path) -> Columns:
    """Write the tables that all tests share: pupils in schools, some tutored, schools reformed or not."""
    g = rng()
    school, tutor = np.repeat(np.arange(GROUPS), SIZE), np.tile([0, 1, 1, 0, 1, 0], GROUPS)
    columns: dict[str, NDArray[Any]] = {
        "school": school,
        "pupil": np.arange(ROWS),
        "size": np.array([3.0, 5, 2, 8, 4])[school],
        "reform": (np.arange(GROUPS) % 2)[school],
        "dose": np.tile([0.0, 1, 2, 0.5, 1.5, 3], GROUPS),
        "tutor": tutor,
        "arm": np.tile(["none", "some", "much"], ROWS // 3),
        "track": np.tile(["low", "high", "mid"], ROWS // 3),
        "pretest": g.normal(0, 1, ROWS).round(3),
        "w": g.uniform(0.5, 2, ROWS).round(3),
        "hours": g.uniform(1, 9, ROWS).round(2),
        "n": g.integers(5, 20, ROWS),
        "se": g.uniform(0.5, 2, ROWS).round(2),
        "cut": (g.random(ROWS) < 0.3).astype(int),
        "y": g.normal(1, 2, ROWS).round(3),
        "passed": g.integers(0, 2, ROWS),
        "days": g.poisson(4, ROWS),
        "hits": g.integers(0, 5, ROWS),
        "cost": (g.gamma(2, 3, ROWS) + 0.1).round(3),
        "share": g.uniform(0.05, 0.95, ROWS).round(3),
        "grade": g.integers(1, 5, ROWS),
        "choice": np.tile(["bus", "car", "walk"], ROWS // 3),
    }
    write(folder / "data.csv", columns)
    return columns


OUTCOMES = {
    "y": outcome("y", "real"),
    "passed": outcome("passed", "binary"),
    "days": outcome("days", "count"),
    "hits": outcome("hits", "count of n"),
    "cost": outcome("cost", "positive"),
    "time": outcome("cost", "duration censored by cut"),
    "share": outcome("share", "proportion"),
    "grade": outcome("grade", "ordered"),
    "choice": outcome("choice", "category"),
    "known": outcome("y", "real known sd se"),
}


def study(of: str = "y", *more: Any) -> Study:
    """Return the study of one outcome, without equations."""
    variables = [covariate("pretest", "real"), covariate("track", "category"), *more, OUTCOMES[of]]
    return (
        Study("schools")
        .data("data.csv")
        .group("school", id="school", variables=[covariate("size", "positive")])
        .unit("pupil", id="pupil", within="school", variables=variables)
        .treatment("tutor", alone=0, tutored=1)
        .treatment("reform", old=0, new=1)
        .treatment("dose", dose="real")
        .treatment("arm", none="none", some="some", much="much")
        .assign("tutor", to="pupil", within="school", by=complete(0.5))
        .assign("reform", to="school", by=complete(0.5))
        .assign("dose", to="pupil", by=bernoulli(0.5))
        .assign("arm", to="pupil", within="school", by=complete(1 / 3, 1 / 3, 1 / 3))
    )


def case(folder: Path, equations: str, of: str = "y", *more: Any) -> Design:
    """Return the study of one outcome with equations."""
    columns = data(folder)
    return Design(study(of, *more).model(equations), folder, columns)


def model(folder: Path, equations: str, of: str = "y", *more: Any) -> tuple[Model, ModelData]:
    """Return the model of equations."""
    return case(folder, equations, of, *more).made


def by_role(made: Model, point: Point) -> dict[str, Any]:
    """Return a point by the parameters' roles."""
    return {variable.role: np.asarray(point[variable.name]) for variable in made.variables}


def logp(law: Any, *values: Any) -> float:
    """Return the sum of the log density or mass of SciPy's frozen `law`."""
    function = law.logpmf if hasattr(law.dist, "logpmf") else law.logpdf
    return float(sum(np.sum(function(value)) for value in values))


def mean_prior(p: Point) -> float:
    """Return the log density of MEAN."""
    return logp(stats.norm(0, 5), p["mu"]) + logp(stats.norm(0, 2), p["tau"])


def eta(p: Point, c: Columns) -> NDArray[Any]:
    """Return mu + tau tutor."""
    return p["mu"] + p["tau"] * c["tutor"]


def spread_prior(p: Point) -> float:
    """Return the log density of SPREAD."""
    return logp(stats.halfnorm(0, 3), p["sigma"])


def _ordered(p: Point, c: Columns, inverse: Callable[[Any], Any]) -> float:
    at = inverse((p["tau"] * c["tutor"])[:, None] - p["cut"])
    above = np.concatenate([np.ones((ROWS, 1)), at, np.zeros((ROWS, 1))], axis=1)
    chance = (above[:, :-1] - above[:, 1:])[np.arange(ROWS), c["grade"] - 1]
    prior = logp(stats.norm(0, 5), p["cut"]) + float(gammaln(4)) + logp(stats.norm(0, 2), p["tau"])
    return float(np.sum(np.log(chance))) + prior


def _choice(p: Point, c: Columns) -> float:
    logits = np.stack([np.zeros(ROWS), eta(p, c), np.full(ROWS, p["b"])], axis=1)
    code = np.searchsorted(np.array(["bus", "car", "walk"]), c["choice"])
    chosen = logits[np.arange(ROWS), code] - np.log(np.sum(np.exp(logits), axis=1))
    return float(np.sum(chosen)) + mean_prior(p) + logp(stats.norm(0, 1), p["b"])


def _zero_inflated(p: Point, c: Columns) -> float:
    mean, zero, y = np.exp(eta(p, c)), p["zero"], c["days"]
    mass = (1 - zero) * stats.poisson.pmf(y, mean) + zero * (y == 0)
    return float(np.sum(np.log(mass))) + mean_prior(p)


def _weibull(p: Point, c: Columns) -> float:
    law, y = stats.weibull_min(p["k"], scale=np.exp(eta(p, c))), c["cost"]
    rows = np.where(c["cut"] == 0, law.logpdf(y), law.logsf(y))
    return float(np.sum(rows)) + mean_prior(p) + logp(stats.gamma(2, scale=2), p["k"])


FAMILIES: Mapping[str, tuple[str, str, Callable[[Point, Columns], float]]] = {
    "normal": (
        "y",
        MEAN + SPREAD + "y[pupil] ~ normal(mu + tau * tutor, sigma)",
        lambda p, c: logp(stats.norm(eta(p, c), p["sigma"]), c["y"]) + mean_prior(p) + spread_prior(p),
    ),
    "student": (
        "y",
        MEAN + SPREAD + "nu ~ gamma(2, 0.1)  y ~ student(nu, mean = mu + tau * tutor, scale = sigma)",
        lambda p, c: (
            logp(stats.t(p["nu"], eta(p, c), p["sigma"]), c["y"])
            + mean_prior(p)
            + spread_prior(p)
            + logp(stats.gamma(2, scale=10), p["nu"])
        ),
    ),
    "laplace": (
        "y",
        MEAN + SPREAD + "y ~ laplace(mu + tau * tutor, sigma)",
        lambda p, c: logp(stats.laplace(eta(p, c), p["sigma"]), c["y"]) + mean_prior(p) + spread_prior(p),
    ),
    "known sd": (
        "known",
        MEAN + "y[pupil] ~ normal(mu + tau * tutor, se)",
        lambda p, c: logp(stats.norm(eta(p, c), c["se"]), c["y"]) + mean_prior(p),
    ),
    "lognormal": (
        "cost",
        MEAN + SPREAD + "cost ~ lognormal(mu + tau * tutor, sigma)",
        lambda p, c: (
            logp(stats.lognorm(p["sigma"], scale=np.exp(eta(p, c))), c["cost"]) + mean_prior(p) + spread_prior(p)
        ),
    ),
    "gamma by mean": (
        "cost",
        MEAN + "k ~ exponential(1)  cost ~ gamma(mean = exp(mu + tau * tutor), shape = k)",
        lambda p, c: (
            logp(stats.gamma(p["k"], scale=np.exp(eta(p, c)) / p["k"]), c["cost"])
            + mean_prior(p)
            + logp(stats.expon(), p["k"])
        ),
    ),
    "gamma by rate": (
        "cost",
        MEAN + "k ~ exponential(1)  cost ~ gamma(k, exp(-(mu + tau * tutor)))",
        lambda p, c: (
            logp(stats.gamma(p["k"], scale=np.exp(eta(p, c))), c["cost"]) + mean_prior(p) + logp(stats.expon(), p["k"])
        ),
    ),
    "weibull, censored": (
        "time",
        MEAN + "k ~ gamma(2, 0.5)  cost ~ weibull(k, exp(mu + tau * tutor))",
        _weibull,
    ),
    "bernoulli": (
        "passed",
        MEAN + "passed ~ bernoulli(inv_logit(mu + tau * tutor))",
        lambda p, c: logp(stats.bernoulli(expit(eta(p, c))), c["passed"]) + mean_prior(p),
    ),
    "bernoulli by logit": (
        "passed",
        MEAN + "passed ~ bernoulli(logit = mu + tau * tutor)",
        lambda p, c: logp(stats.bernoulli(expit(eta(p, c))), c["passed"]) + mean_prior(p),
    ),
    "bernoulli by probit": (
        "passed",
        MEAN + "passed ~ bernoulli(inv_probit(mu + tau * tutor))",
        lambda p, c: logp(stats.bernoulli(stats.norm.cdf(eta(p, c))), c["passed"]) + mean_prior(p),
    ),
    "bernoulli by probability": (
        "passed",
        "p ~ beta(2, 2)  passed ~ bernoulli(p)",
        lambda p, c: logp(stats.bernoulli(p["p"]), c["passed"]) + logp(stats.beta(2, 2), p["p"]),
    ),
    "binomial of the kind": (
        "hits",
        MEAN + "hits ~ binomial(logit = mu + tau * tutor)",
        lambda p, c: logp(stats.binom(c["n"], expit(eta(p, c))), c["hits"]) + mean_prior(p),
    ),
    "binomial with trials": (
        "hits",
        MEAN + "hits ~ binomial(n, inv_logit(mu + tau * tutor))",
        lambda p, c: logp(stats.binom(c["n"], expit(eta(p, c))), c["hits"]) + mean_prior(p),
    ),
    "poisson": (
        "days",
        MEAN + "days ~ poisson(exp(mu + tau * tutor))",
        lambda p, c: logp(stats.poisson(np.exp(eta(p, c))), c["days"]) + mean_prior(p),
    ),
    "poisson by its own mean": (
        "days",
        "m ~ gamma(2, 1)  days ~ poisson(m * (1 + tutor))",
        lambda p, c: logp(stats.poisson(p["m"] * (1 + c["tutor"])), c["days"]) + logp(stats.gamma(2), p["m"]),
    ),
    "negbinomial": (
        "days",
        MEAN + "k ~ exponential(1)  days ~ negbinomial(logmean = mu + tau * tutor, shape = k)",
        lambda p, c: (
            logp(stats.nbinom(p["k"], p["k"] / (p["k"] + np.exp(eta(p, c)))), c["days"])
            + mean_prior(p)
            + logp(stats.expon(), p["k"])
        ),
    ),
    "zipoisson": (
        "days",
        MEAN + "zero ~ beta(1, 1)  days ~ zipoisson(exp(mu + tau * tutor), zero)",
        _zero_inflated,
    ),
    "beta by mean": (
        "share",
        MEAN + "k ~ exponential(0.1)  share ~ beta(mean = inv_logit(mu + tau * tutor), precision = k)",
        lambda p, c: (
            logp(stats.beta(expit(eta(p, c)) * p["k"], (1 - expit(eta(p, c))) * p["k"]), c["share"])
            + mean_prior(p)
            + logp(stats.expon(scale=10), p["k"])
        ),
    ),
    "beta": (
        "share",
        "a ~ gamma(2, 1)  b ~ gamma(2, 1)  share ~ beta(a, b)",
        lambda p, c: logp(stats.beta(p["a"], p["b"]), c["share"]) + logp(stats.gamma(2), p["a"], p["b"]),
    ),
    "ordinal": (
        "grade",
        "tau ~ normal(0, 2)  cut ~ ordered_normal(0, 5)  grade ~ ordinal(tau * tutor, cut)",
        lambda p, c: _ordered(p, c, expit),
    ),
    "ordinal probit": (
        "grade",
        "tau ~ normal(0, 2)  cut ~ ordered_normal(0, 5)  grade ~ ordinal_probit(tau * tutor, cutpoints = cut)",
        lambda p, c: _ordered(p, c, stats.norm.cdf),
    ),
    "categorical": (
        "choice",
        MEAN + "b ~ normal(0, 1)  choice ~ categorical((0, mu + tau * tutor, b))",
        _choice,
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str, tmp_path: Path) -> None:
    of, equations, expected = FAMILIES[name]
    made = case(tmp_path, equations, of)
    g = np.random.default_rng(3)
    for _ in range(2):
        point = random_point(*made.made, g, 0.8)
        hand = expected(by_role(made.made[0], point), made.columns)
        assert log_density(*made.made, point) == pytest.approx(hand, rel=1e-9, abs=1e-9)


GROUPED = MEAN + SPREAD + "y ~ normal(alpha[school] + tau * tutor, sigma)  s ~ halfnormal(2)  "


def test_order_does_not_matter(tmp_path: Path) -> None:
    lines = [
        "y ~ normal(m[pupil], sigma)",
        "m[pupil] = alpha[school] + tau * tutor",
        "alpha[school] ~ normal(mu, s)",
        "mu ~ normal(0, 5)",
        "tau ~ normal(0, 2)",
        "sigma ~ halfnormal(s)",
        "s ~ halfnormal(2)",
    ]
    made = [model(tmp_path, "\n".join(order)) for order in (lines, lines[::-1])]
    point = random_point(*made[0], np.random.default_rng(1))
    assert log_density(*made[0], point) == pytest.approx(log_density(*made[1], point))
    assert sorted(r.role for r in made[0][0].reported) == sorted(r.role for r in made[1][0].reported)


def test_values_of_levels_are_gathered(tmp_path: Path) -> None:
    equations = GROUPED + "g ~ normal(0, 1)  alpha[school] ~ normal(mu + g * log(size) * reform, s)"
    made = case(tmp_path, equations)
    point = random_point(*made.made, np.random.default_rng(2))
    p, c = by_role(made.made[0], point), made.columns
    school, first = c["school"], np.arange(GROUPS) * SIZE
    alpha = p["mu"] + p["g"] * np.log(c["size"][first]) * c["reform"][first] + p["deviation(alpha, school)"]
    seen = {r.role: v for r, v in zip(made.made[0].reported, _reported(made.made, point), strict=True)}
    np.testing.assert_allclose(seen["alpha[school]"], alpha)
    expected = (
        logp(stats.norm(alpha[school] + p["tau"] * c["tutor"], p["sigma"]), c["y"])
        + logp(stats.norm(0, p["s"]), p["deviation(alpha, school)"])
        + mean_prior(p)
        + spread_prior(p)
        + logp(stats.halfnorm(0, 2), p["s"])
        + logp(stats.norm(0, 1), p["g"])
    )
    assert log_density(*made.made, point) == pytest.approx(expected)


def _reported(made: tuple[Model, ModelData], point: Point) -> list[NDArray[Any]]:
    draws = {name: np.asarray(value)[None, None] for name, value in point.items()}
    return [value[0, 0] for value in reported(*made, draws).values()]


def test_roles_are_the_own_names(tmp_path: Path) -> None:
    equations = """
        y[pupil] ~ normal(alpha[school] + tau[school] * tutor, sigma)
        alpha[school], tau[school] ~ multinormal((mu, nu), sd = (s, t), corr = rho)
        mu ~ normal(0, 5)  nu ~ normal(0, 5)  rho ~ lkj(2)
        sigma ~ halfnormal(3)  s ~ halfnormal(2)  t = 0.5 * s
    """
    made, _ = model(tmp_path, equations)
    assert [(r.role, r.dims) for r in made.reported] == [
        ("alpha[school]", ("school",)),
        ("tau[school]", ("school",)),
        ("mu", ()),
        ("nu", ()),
        ("rho", ()),
        ("sigma", ()),
        ("s", ()),
        ("t", ()),
    ]


def test_three_effects_have_three_correlations(tmp_path: Path) -> None:
    equations = """
        y ~ normal(a[school] + b[school] * tutor + c[school] * pretest, sigma)
        a[school], b[school], c[school] ~ multinormal((0, mu, 0), sd = (s, s, 2 * s), corr = R)
        R ~ lkj(3)  mu ~ normal(0, 1)  sigma ~ halfnormal(3)  s ~ halfnormal(2)
    """
    made = model(tmp_path, equations)
    point = random_point(*made, np.random.default_rng(1))
    seen = dict(zip((r.role for r in made[0].reported), _reported(made, point), strict=True))
    correlation = point["R"] @ point["R"].T
    assert seen["R(a, b)"] == pytest.approx(correlation[0, 1])
    assert seen["R(a, c)"] == pytest.approx(correlation[0, 2])
    assert seen["R(b, c)"] == pytest.approx(correlation[1, 2])
    p = by_role(made[0], point)
    scale = np.diag(np.array([1, 1, 2]) * p["s"])
    total = log_density(*made, point)
    without = {**point, "deviation_a_b_c_school": np.zeros((GROUPS, 3))}
    law = stats.multivariate_normal(np.zeros(3), scale @ correlation @ scale)
    deviation = p["deviation(a, b, c, school)"]
    c = case(tmp_path, equations).columns
    x = np.stack([np.ones(ROWS), c["tutor"], c["pretest"]], axis=1)
    mean = p["mu"] * c["tutor"]
    rows = [
        logp(stats.norm(mean + np.sum(x * d[c["school"]], axis=1), p["sigma"]), c["y"])
        for d in (deviation, 0 * deviation)
    ]
    gap = float(np.sum(law.logpdf(deviation) - law.logpdf(0 * deviation))) + rows[0] - rows[1]
    assert total - log_density(*made, without) == pytest.approx(gap)


LEVEL_LAWS = {
    "normal": "alpha[school] ~ normal(mu, s)",
    "centred at zero": "alpha[school] ~ normal(0, s)",
    "student": "alpha[school] ~ student(4, mu + size, s)",
    "non-centred by hand": "alpha[school] = mu + s * z[school]  z[school] ~ normal(0, 1)",
    "fixed": "alpha[school] ~ normal(3, 10)",
    "lognormal": "alpha[school] ~ lognormal(mu, s)",
    "gamma": "alpha[school] ~ gamma(mean = exp(mu), shape = s)",
    "two parts": "alpha[school] = u[school] + v[school]  u[school] ~ normal(mu, s)  v[school] ~ laplace(mu * 0.5, s)",
    "spread by treatment": "alpha[school] ~ normal(mu, s * (1 + reform))",
    "rows": "alpha[school] ~ normal(mu + mean(e, school), s)  e = 2",
    "uniform": "alpha[school] ~ uniform(0, s)",
    "joint": "alpha[school], b[school] ~ multinormal((mu, 0), sd = (s, 1), corr = 0.3)",
    "joint, a number for the correlation": """
        alpha[school], b[school] ~ multinormal((mu, size), (s, 1), r)  r = tanh(f)  f ~ normal(0, 1)
    """,
}


@pytest.mark.parametrize("form", [-np.inf, np.inf])
@pytest.mark.parametrize("name", [name for name in LEVEL_LAWS if name != "rows"])
def test_passes_keep_the_density(name: str, form: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", form)
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", form)
    equations = GROUPED + LEVEL_LAWS[name]
    if "b[school] ~" in equations:
        equations = equations.replace("tau * tutor, sigma", "tau * tutor + b[school] * tutor, sigma")
    made = model(tmp_path, equations)
    found = differences(prepare(*made), made, np.random.default_rng(5))
    assert np.ptp(found) < 1e-5


def test_laws_on_levels_are_deviations(tmp_path: Path) -> None:
    expected = {
        "normal": "deviation(alpha, school)",
        "centred at zero": "deviation(alpha, school)",
        "student": "deviation(alpha, school)",
        "non-centred by hand": "z[school]",
        "fixed": "alpha[school]",
        "lognormal": "deviation(log(alpha), school)",
        "gamma": "alpha[school]",
        "spread by treatment": "standard(alpha, school)",
        "uniform": "alpha[school]",
    }
    for name, role in expected.items():
        made, _ = model(tmp_path, GROUPED + LEVEL_LAWS[name])
        assert [variable.role for variable in made.variables if variable.dims] == [role]


def test_equations_read_back_as_they_were_written(tmp_path: Path) -> None:
    made, _ = model(tmp_path, GROUPED + "g ~ normal(0, 1)  alpha[school] ~ normal(mu + g * size, s)")
    lines = [line.text for line in (*equations_of(made), *priors(made))]
    assert "alpha[school] ~ normal(mu + g * size, s)" in lines
    assert "tau ~ normal(0, 2)" in lines
    joint, _ = model(
        tmp_path,
        """y ~ normal(a[school] + b[school] * pretest, 1)
        a[school], b[school] ~ multinormal((mu, 0), sd = (s, t), corr = rho)
        mu ~ normal(0, 5)  s ~ halfnormal(1)  t ~ halfnormal(1)  rho ~ lkj(2)""",
    )
    lines = [line.text for line in equations_of(joint)]
    assert "a[school], b[school] ~ multinormal((mu, 0), sd = (s, t), corr = rho)" in lines


def test_treatments_stand_for_their_arms(tmp_path: Path) -> None:
    equations = """
        m[pupil] = a * tutor + b * arm[some] + c * arm[much] + d * dose + e * track[low] + f * tutor[tutored]
        y ~ normal(m[pupil], 1)
        a ~ normal(0, 1)  b ~ normal(0, 1)  c ~ normal(0, 1)  d ~ normal(0, 1)  e ~ normal(0, 1)  f ~ normal(0, 1)
    """
    made = case(tmp_path, equations)
    point = random_point(*made.made, np.random.default_rng(1))
    c = made.columns
    expected = (
        (point["a"] + point["f"]) * c["tutor"]
        + point["b"] * (c["arm"] == "some")
        + point["c"] * (c["arm"] == "much")
        + point["d"] * c["dose"]
        + point["e_"] * (c["track"] == "low")
    )
    np.testing.assert_allclose(definitions(*made.made, point)["m"].real, expected)
    assert {slot.treatment for slot in made.made[0].slots if slot.treatment} == {"tutor", "arm", "dose"}


def test_waves_and_crossed_levels(tmp_path: Path) -> None:
    g = rng()
    person, month = np.repeat(np.arange(6), 4), np.tile([1, 2, 3, 6], 6)
    crossed = (
        Study("panel")
        .unit("person", id="pid")
        .wave("month", id="wave")
        .unit("visit", within="person * month", variables=[outcome("y", "real")])
        .treatment("drug", no=0, yes=1)
        .assign("drug", to="person", by=complete(0.5))
        .model("""
            y[visit] ~ normal(a[person] + b[month] + c * sqrt(month) + u[person, month], 0.5)
            a[person] ~ normal(tau * drug, s)  b[month] ~ normal(0, s)  u[person, month] ~ normal(0, 1)
            c ~ normal(0, 1)  s ~ halfnormal(1)  tau ~ normal(0, 1)
        """)
    )
    made = design(crossed, tmp_path, pid=person, wave=month, drug=person % 2, y=g.normal(size=24).round(2))
    point = random_point(*made.made, g)
    p = by_role(made.made[0], point)
    k = np.searchsorted([1, 2, 3, 6], month)
    a = p["tau"] * (np.arange(6) % 2) + p["deviation(a, person)"]
    mean = a[person] + p["deviation(b, month)"][k] + p["c"] * np.sqrt(month) + p["u[person, month]"]
    np.testing.assert_allclose(definitions(*made.made, point)["y_predictor"].real, mean)


def test_weights_multiply(tmp_path: Path) -> None:
    made = case(tmp_path, "y ~ normal(mu, 1)  mu ~ normal(0, 1)", "y", weight("w"))
    point = random_point(*made.made, np.random.default_rng(1))
    rows = stats.norm.logpdf(made.columns["y"], point["mu"], 1)
    expected = float(np.sum(made.columns["w"] * rows)) + logp(stats.norm(0, 1), point["mu"])
    assert log_density(*made.made, point) == pytest.approx(expected)


@pytest.mark.parametrize("mean", ["exp(mu)", "hours * exp(mu)"])
def test_exposure_counts_once(mean: str, tmp_path: Path) -> None:
    equations = f"days ~ poisson({mean})  mu ~ normal(0, 1)"
    made = case(tmp_path, equations, "days", exposure("hours"))
    point = random_point(*made.made, np.random.default_rng(1))
    law = stats.poisson(made.columns["hours"] * np.exp(point["mu"]))
    expected = logp(law, made.columns["days"]) + logp(stats.norm(0, 1), point["mu"])
    assert log_density(*made.made, point) == pytest.approx(expected)


def test_setting_a_cluster_treatment_keeps_the_deviation(tmp_path: Path) -> None:
    equations = (
        SPREAD
        + """
        y ~ normal(alpha[school], sigma)  alpha[school] ~ normal(mu + tau * reform, s * (1 + 0.5 * reform))
        mu ~ normal(0, 5)  tau ~ normal(0, 2)  s ~ halfnormal(2)
    """
    )
    made = case(tmp_path, equations)
    asked = made.study.estimand("ate", "average over pupil of y(reform = new) - y(reform = old)")
    g = np.random.default_rng(3)
    draws = {name: value[None, None] for name, value in random_point(*made.made, g).items()}
    (found,) = compute(asked.estimands, *made.made, made.bound, draws, seed=1)
    p = {name: value[0, 0] for name, value in by_role(made.made[0], draws).items()}
    expected = p["tau"] + 0.5 * p["s"] * p["standard(alpha, school)"].mean()
    np.testing.assert_allclose(found.draws.ravel(), [expected])


def test_rows_are_reported_only_where_they_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hdsl.model import from_equations

    equations = "y ~ normal(theta[pupil], 1)  theta[pupil] ~ normal(mu, 1)  mu ~ normal(0, 1)"
    assert {r.role for r in model(tmp_path, equations)[0].reported} == {"theta[pupil]", "mu"}
    monkeypatch.setattr(from_equations, "MOST_REPORTED", 10)
    assert {r.role for r in model(tmp_path, equations)[0].reported} == {"mu"}


SOUND = "y ~ normal(alpha[school] + tau * tutor, sigma)  alpha[school] ~ normal(mu, s)  s ~ halfnormal(1)  "
REST = MEAN + SPREAD

MISTAKES: Mapping[str, tuple[str, str, str]] = {
    "a name without a law": (SOUND + "sigma ~ halfnormal(1)  mu ~ normal(0, 1)  taus ~ normal(0, 1)", "HDM640", "taus"),
    "two laws": (SOUND + REST + "mu ~ normal(0, 1)", "HDM641", "`mu`"),
    "twice in one law": ("a[school], a[school] ~ multinormal((0, 0), sd = (1, 1), corr = 0)", "HDM641", "`a`"),
    "a circle": (SOUND + SPREAD + "mu = tau + 1  tau = mu - 1", "HDM642", "`mu`, `tau`"),
    "itself": (SOUND + SPREAD + "tau ~ normal(0, 1)  mu = mu + 1", "HDM642", "itself"),
    "a law for a covariate": (SOUND + REST + "pretest ~ normal(0, 1)", "HDM643", "covariate"),
    "a law for a treatment": (SOUND + REST + "tutor ~ bernoulli(0.5)", "HDM643", "treatment"),
    "a definition of the outcome": (SOUND + REST + "y = mu", "HDM643", "outcome"),
    "a role on the left": (SOUND + REST + "effect(tutor) ~ normal(0, 1)", "HDM643", "effect(tutor)"),
    "an unknown level": (SOUND.replace("alpha[school] ~", "alpha[scool] ~") + REST, "HDM644", "`school`"),
    "an index left out": (SOUND.replace("alpha[school] +", "alpha +") + REST, "HDM644", "`alpha[school]`"),
    "an index too many": (SOUND.replace("tau *", "tau[school] *") + REST, "HDM644", "`tau`"),
    "a wrong index of the outcome": ("y[school] ~ normal(0, 1)", "HDM644", "`y[pupil]`"),
    "an index of a covariate": ("y ~ normal(pretest[school], 1)", "HDM644", "pretest"),
    "rows in a level": (SOUND.replace("normal(mu, s)", "normal(mu * pretest, s)") + REST, "HDM645", "mean(x, school)"),
    "rows in a number": (SOUND + SPREAD + "tau ~ normal(0, 1)  mu ~ normal(pretest, 1)", "HDM645", "[pupil]"),
    "an unknown law": (SOUND + SPREAD + "tau ~ normal(0, 1)  mu ~ norml(0, 1)", "HDM646", "`normal`"),
    "a discrete parameter": (SOUND + SPREAD + "tau ~ normal(0, 1)  mu ~ poisson(3)", "HDM646", "cannot have"),
    "a half law for an outcome": (SOUND.replace("y ~ normal(", "y ~ uniform(") + REST, "HDM646", "cannot have"),
    "several with one law": ("a[school], b[school] ~ normal(0, 1)  y ~ normal(0, 1)", "HDM646", "multinormal"),
    "a joint law of numbers": (
        "a, b ~ multinormal((0, 0), sd = (1, 1), corr = 0)  y ~ normal(0, 1)",
        "HDM646",
        "`a, b`",
    ),
    "an argument too few": (SOUND + SPREAD + "tau ~ normal(0)  mu ~ normal(0, 1)", "HDM647", "`normal(mean, sd)`"),
    "an argument misnamed": (SOUND + SPREAD + "tau ~ normal(0, var = 1)  mu ~ normal(0, 1)", "HDM647", "sd"),
    "too few means": ("a[school], b[school] ~ multinormal((0, 0, 0), sd = (1, 1), corr = 0)", "HDM647", "2 values"),
    "an lkj law without use": (SOUND + REST + "rho ~ lkj(2)", "HDM647", "`rho`"),
    "a spread that may be negative": (SOUND + MEAN + "sigma ~ normal(0, 1)", "HDM648", "halfnormal"),
    "a spread below zero": (SOUND + MEAN + "sigma = -1", "HDM648", "positive"),
    "a spread of zero": (SOUND + MEAN + "sigma = 0", "HDM648", "positive"),
    "a difference as a spread": ("y ~ normal(0, a - b)  a ~ halfnormal(1)  b ~ halfnormal(1)", "HDM648", "a - b"),
    "a log of what may be negative": ("y ~ normal(log(mu), 1)  mu ~ normal(0, 1)", "HDM648", "log(mu)"),
    "a correlation above 1": (
        "y ~ normal(a[school], 1)  a[school], b[school] ~ multinormal((0, 0), sd = (1, 1), corr = r)  r ~ normal(0, 1)",
        "HDM648",
        "-1 and 1",
    ),
    "no law of the outcome": ("mu ~ normal(0, 1)", "HDM649", "`y`"),
    "a law of other values": ("y ~ poisson(2)", "HDM649", "poisson"),
    "a category as a number": ("y ~ normal(b * track, 1)  b ~ normal(0, 1)", "HDM652", "track[low]"),
    "three arms as a number": ("y ~ normal(b * arm, 1)  b ~ normal(0, 1)", "HDM652", "arm[some]"),
    "an arm that does not exist": ("y ~ normal(b * arm[lots], 1)  b ~ normal(0, 1)", "HDM652", "lots"),
    "an unknown function": ("y ~ normal(lgo(pretest), 1)", "HDM653", "`log`"),
    "a level as a number": ("y ~ normal(school, 1)", "HDM653", "alpha[school]"),
    "the outcome as a predictor": ("y ~ normal(y, 1)", "HDM653", "outcome"),
    "a correlation as a number": ("y ~ normal(rho, 1)  rho ~ lkj(2)", "HDM653", "corr"),
    "a mean of a parameter": (SOUND + REST.replace("mu ~", "m ~") + "mu = mean(m, school)", "HDM653", "`m`"),
    "no deviation to keep": (
        "y ~ normal(a[school], 1)  a[school] ~ gamma(2, exp(b * reform))  b ~ normal(0, 1)",
        "HDM654",
        "treatment",
    ),
    "one correlation twice": (
        """y ~ normal(a[school] + c[school], 1)  rho ~ lkj(2)
        a[school], b[school] ~ multinormal((0, 0), sd = (1, 1), corr = rho)
        c[school], d[school] ~ multinormal((0, 0), sd = (1, 1), corr = rho)""",
        "HDM655",
        "rho",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path) -> None:
    equations, code, word = MISTAKES[name]
    found, problems = case(tmp_path, equations).outcome_of()
    assert found is None
    assert code in [problem.code for problem in problems]
    (first, *_) = [problem for problem in problems if problem.code == code]
    assert word in f"{first.message} {first.help}"
    assert first.help
    assert first.path is None or first.path[0] == "equations"


@pytest.mark.parametrize(
    ("of", "equations", "code"),
    [
        ("hits", "hits ~ poisson(2)", "HDM649"),
        ("known", "y ~ normal(0, s)  s ~ halfnormal(1)", "HDM649"),
        ("time", "cost ~ beta(1, 1)", "HDM649"),
        ("time", "cost ~ inverse_gamma(1, 1)", "HDM649"),
        ("grade", "grade ~ ordinal(0, c)  c ~ normal(0, 1)", "HDM647"),
        ("grade", "grade ~ normal(0, 1)", "HDM649"),
        ("choice", "choice ~ categorical((0, 1))", "HDM647"),
        ("days", "days ~ binomial(0.5)", "HDM647"),
        ("days", "days ~ binomial(2, 0.5)", "HDM366"),
        ("passed", "passed ~ bernoulli(mu)  mu ~ normal(0, 1)", "HDM648"),
    ],
)
def test_mistakes_of_outcomes(of: str, equations: str, code: str, tmp_path: Path) -> None:
    found, problems = case(tmp_path, equations, of).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == [code]


def test_intermediates_have_no_law_yet(tmp_path: Path) -> None:
    equations = "y ~ normal(passed, 1)  passed ~ bernoulli(0.5)"
    found, problems = case(tmp_path, equations, "y", intermediate("passed", "binary")).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM643"]


def test_each_prior_beside_equations_is_an_error(tmp_path: Path) -> None:
    made = case(tmp_path, "y ~ normal(mu, 1)  mu ~ normal(0, 1)")
    priors_ = made.study.prior("effect(tutor)", "normal(0, 1)").prior("residual", "halfnormal(1)")
    found, problems = made.with_study(priors_).outcome_of()
    assert found is None
    assert [(problem.code, problem.path) for problem in problems] == [
        ("HDM650", ("priors", 0)),
        ("HDM650", ("priors", 1)),
    ]


def test_one_mistake_is_told_once_and_several_together(tmp_path: Path) -> None:
    equations = SOUND + "sigma ~ normal(0, oops)  mu ~ normal(0, -1)  tau ~ normal(mu, 1)"
    _, problems = case(tmp_path, equations).outcome_of()
    assert [problem.code for problem in problems] == ["HDM640", "HDM648"]
    assert [problem.path for problem in problems] == [("equations", 3), ("equations", 4)]


CENTRED = """
    y ~ normal(alpha[school] + beta * (2 * pretest) - tau[school] * tutor + exp(gone) * pretest, sigma)
    alpha[school], tau[school] ~ multinormal((mu + g * log(size), nu), sd = (s, s), corr = 0)
    beta ~ normal(0, 1)  nu ~ student(4, 0, 2)  g ~ normal(0, 1)  gone ~ normal(0, 1)  s ~ halfnormal(1)
    mu ~ normal(3, 10)
"""


def test_intercepts_are_sampled_at_average_predictors(tmp_path: Path) -> None:
    made = case(tmp_path, CENTRED + SPREAD)
    (shift,) = [definition for definition in made.made[0].definitions if definition.role == "shift(mu)"]
    point = random_point(*made.made, np.random.default_rng(1))
    c = made.columns
    parts = {"beta_": 2 * c["pretest"], "nu": -c["tutor"], "g": np.log(c["size"])}
    expected = sum(point[name] * four(values.mean()) for name, values in parts.items())
    assert definitions(*made.made, point)[shift.name].real == pytest.approx(expected)
    rewritten = prepare(*made.made)
    assert "standard(centred(mu))" in [variable.role for variable in rewritten[0].variables]
    assert np.ptp(differences(rewritten, made.made, np.random.default_rng(2))) < 1e-5


def four(value: float) -> float:
    """Return a number to four significant digits."""
    return float(f"{value:.4g}")


@pytest.mark.parametrize(
    ("name", "equations", "centred"),
    [
        ("a link", "y ~ lognormal(mu + b * dose, 1)  mu ~ normal(0, 1)  b ~ normal(0, 1)", True),
        (
            "a definition",
            "y ~ normal(m[pupil], 1)  m[pupil] = mu + b * dose  mu ~ normal(0, 1)  b ~ normal(0, 1)",
            True,
        ),
        ("another law that rests on it", "y ~ normal(mu + b * dose, 1)  mu ~ normal(0, 1)  b ~ normal(mu, 1)", False),
        (
            "two intercepts",
            "y ~ normal(mu + b + c * dose, 1)  mu ~ normal(0, 1)  b ~ normal(0, 1)  c ~ normal(0, 1)",
            False,
        ),
        ("no intercept", "y ~ normal(b * dose, 1)  b ~ normal(0, 1)", False),
        ("a bounded intercept", "y ~ normal(mu + b * dose, 1)  mu ~ uniform(0, 9)  b ~ normal(0, 1)", False),
        (
            "a factor that is estimated",
            "y ~ normal(mu + b * c, 1)  mu ~ normal(0, 1)  b ~ normal(0, 1)  c ~ normal(0, 1)",
            False,
        ),
    ],
)
def test_which_intercepts_are_centred(name: str, equations: str, centred: bool, tmp_path: Path) -> None:
    of = "cost" if "lognormal" in equations else "y"
    made = model(tmp_path, equations.replace("y ~", f"{of} ~"), of)
    assert ("shift(mu)" in [definition.role for definition in made[0].definitions]) == centred, name
    assert np.ptp(differences(prepare(*made), made, np.random.default_rng(2))) < 1e-5
