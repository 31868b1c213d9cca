"""Equivalences of the paper (Feller & Gelman 2015), as equal log densities at equal parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hdsl.design.parts import complete, covariate, outcome
from hdsl.design.study import Study
from hdsl.model.ir import Model, ModelData
from hdsl.reference.density import log_density, terms
from hdsl.reference.free import random_point
from tests.model.designs import Design, blocked, clustered, multisite, pooled

Array = NDArray[np.float64]
Case = tuple[Model, ModelData]


def explicit(case: Design, equations: str) -> Case:
    """Return the model of explicit equations for the data of a derived study."""
    fields = {**dict(case.study), "analysis": (), "priors": ()}
    return case.with_study(Study(**fields).model(equations)).made


def translated(point: Mapping[str, Array], model: Model, other: Model, names: Mapping[str, str]) -> dict[str, Array]:
    """Return the point of `model` as one of `other`; `names` maps roles of `model` to those of `other`."""
    there = {variable.role: variable.name for variable in other.variables}
    assert {names.get(v.role, v.role) for v in model.variables} == set(there)
    return {there[names.get(v.role, v.role)]: point[v.name] for v in model.variables}


def assert_equal(one: Case, other: Case, names: Mapping[str, str], constant: bool = False) -> None:
    """Assert equal log densities at random points (with `constant`, up to one constant)."""
    rng = np.random.default_rng(8)
    gaps: list[float] = []
    for _ in range(4):
        point = random_point(*one, rng)
        there = translated(point, one[0], other[0], names)
        gaps.append(log_density(*one, point) - log_density(*other, there))
    np.testing.assert_allclose(gaps, gaps[0] if constant else 0.0, atol=1e-8)


def test_cluster_randomised_is_stratified_with_a_group_effect(tmp_path: Path) -> None:
    """Footnote 4: the treatment as predictor of the cluster's intercept, or of the unit beside a group effect."""
    case = clustered(tmp_path)
    columns = {**case.columns, "reform": case.columns["reform"][case.columns["school"]]}
    from tests.model.designs import write

    write(tmp_path / "rows.csv", columns | {"size": case.columns["size"][case.columns["school"]]})

    def study(level: str) -> Study:
        return (
            Study("curriculum")
            .data("rows.csv")
            .group("district", id="district")
            .group("school", id="school", within="district", variables=[covariate("size", "count")])
            .unit("pupil", within="school", variables=[covariate("pretest", "real"), outcome("score", "real")])
            .treatment("reform", old=0, new=1)
            .assign("reform", to=level, within="district", by=complete(0.5))
            .adjust("pretest", "log(size)")
        )

    by_cluster, by_unit = (case.with_study(study(level)).made for level in ("school", "pupil"))
    dims = [{s.treatment: s.dims for s in model.slots}["reform"] for model, _ in (by_cluster, by_unit)]
    assert dims == [("school",), ("pupil",)]
    assert_equal(by_cluster, by_unit, {})


BIVARIATE = """
    score[pupil] ~ normal(alpha[school] + beta * pretest + tau[school] * tutor, sigma)
    alpha[school], tau[school] ~ multinormal((mu_alpha, mu_tau), sd = (sd_alpha, sd_tau), corr = rho)
"""
COMPONENTS = """
    score[pupil] ~ normal(mu_alpha + beta * pretest + mu_tau * tutor + alpha[school] + tau[school] * tutor, sigma)
    alpha[school], tau[school] ~ multinormal((0, 0), sd = (sd_alpha, sd_tau), corr = rho)
"""
CONDITIONAL = """
    score[pupil] ~ normal(alpha[school] + beta * pretest + tau[school] * tutor, sigma)
    alpha[school] ~ normal(mu_alpha, sd_alpha)
    tau[school] ~ normal(mu_tau + rho * sd_tau / sd_alpha * (alpha[school] - mu_alpha), sd_tau * sqrt(1 - rho^2))
"""
PRIORS = """
    mu_alpha ~ normal(50, 20)   mu_tau ~ normal(0, 5)     beta ~ normal(0, 3)
    sigma ~ halfnormal(10)      sd_alpha ~ halfnormal(9)  sd_tau ~ halfnormal(5)
"""


def test_variance_components_are_the_bivariate_normal_model(tmp_path: Path) -> None:
    case = multisite(tmp_path)
    bivariate = explicit(case, BIVARIATE + PRIORS + "rho ~ lkj(2)")
    components = explicit(case, COMPONENTS + PRIORS + "rho ~ lkj(2)")
    assert_equal(bivariate, components, {})


def test_bivariate_normal_is_marginal_times_conditional(tmp_path: Path) -> None:
    case = multisite(tmp_path)
    joint = explicit(case, BIVARIATE + PRIORS + "rho ~ uniform(-1, 1)")
    conditional = explicit(case, CONDITIONAL + PRIORS + "rho ~ uniform(-1, 1)")
    rng = np.random.default_rng(4)
    for _ in range(4):
        point = random_point(*joint, rng)
        names = {variable.role: variable.name for variable in joint[0].variables}
        there = {name: value for name, value in point.items() if name != names["deviation(alpha, tau, school)"]}
        d = point[names["deviation(alpha, tau, school)"]]
        rho, sd_a, sd_t = (float(point[names[name]]) for name in ("rho", "sd_alpha", "sd_tau"))
        own = {variable.role: variable.name for variable in conditional[0].variables}
        there[own["deviation(alpha, school)"]] = d[:, 0]
        there[own["deviation(tau, school)"]] = d[:, 1] - rho * sd_t / sd_a * d[:, 0]
        assert log_density(*joint, point) == pytest.approx(log_density(*conditional, there), abs=1e-8)


def test_lkj_of_two_effects_is_a_beta_law(tmp_path: Path) -> None:
    """LKJ(2) in two dimensions: (rho + 1) / 2 ~ beta(2, 2)."""
    case = multisite(tmp_path)
    lkj = explicit(case, BIVARIATE + PRIORS + "rho ~ lkj(2)")
    beta = explicit(case, BIVARIATE + PRIORS + "half ~ beta(2, 2)  rho = 2 * half - 1")
    rng = np.random.default_rng(6)
    for _ in range(3):
        point = random_point(*lkj, rng)
        half = (point["rho"][1, 0] + 1) / 2
        there = {name: value for name, value in point.items() if name != "rho"} | {"half": half}
        assert log_density(*lkj, point) == pytest.approx(log_density(*beta, there) - np.log(2), abs=1e-8)


def four(value: float) -> float:
    return float(f"{value:.4g}")


def test_explicit_equations_are_the_derived_blocked_model(tmp_path: Path) -> None:
    case = blocked(tmp_path)
    y, z, g = case.columns["score"], case.columns["tutor"], case.columns["school"]
    s = y.std(ddof=1)
    share = np.array([z[g == k].mean() for k in range(6)]) - 0.5
    equations = f"""
        alpha[school] ~ normal(mu + delta * (mean(tutor, school) - 0.5), sd_alpha)
        score[pupil] ~ normal(alpha[school] + tau * tutor, sigma)
        mu ~ normal({four(y.mean())} - 0.5 * tau, {four(2.5 * s)})
        tau ~ normal(0, {four(2.5 * s)})
        delta ~ normal(0, {four(2.5 * s / share[g].std())})
        sd_alpha ~ halfnormal({four(s)})
        sigma ~ halfnormal({four(2 * s)})
    """
    names = {
        "intercept": "mu",
        "effect(tutor)": "tau",
        "slope(mean(tutor, school))": "delta",
        "sd(intercept, school)": "sd_alpha",
        "residual": "sigma",
        "deviation(intercept, school)": "deviation(alpha, school)",
    }
    assert_equal(case.made, explicit(case, equations), names)


def test_explicit_equations_are_the_derived_cluster_model(tmp_path: Path) -> None:
    case = clustered(tmp_path)
    y, x, size = case.columns["score"], case.columns["pretest"], np.log(case.columns["size"])[case.columns["school"]]
    s = y.std(ddof=1)
    shift = f"0.5 * tau + beta * {four(x.mean())} + gamma * {four(size.mean())}"
    equations = f"""
        score ~ normal(alpha[school] + beta * pretest, sigma)
        alpha[school] ~ normal(delta[district] + gamma * log(size) + tau * reform, sd_school)
        delta[district] ~ normal(mu, sd_district)
        mu ~ normal({four(y.mean())} - ({shift}), {four(2.5 * s)})
        tau ~ normal(0, {four(2.5 * s)})
        beta ~ normal(0, {four(2.5 * s / x.std())})
        gamma ~ normal(0, {four(2.5 * s / size.std())})
        sd_school ~ halfnormal({four(s)})   sd_district ~ halfnormal({four(s)})   sigma ~ halfnormal({four(2 * s)})
    """
    names = {
        "intercept": "mu",
        "effect(reform)": "tau",
        "slope(pretest)": "beta",
        "slope(log(size))": "gamma",
        "sd(intercept, school)": "sd_school",
        "sd(intercept, district)": "sd_district",
        "residual": "sigma",
        "deviation(intercept, school)": "deviation(alpha, school)",
        "deviation(intercept, district)": "deviation(delta, district)",
    }
    assert_equal(case.made, explicit(case, equations), names)


def test_explicit_equations_are_the_derived_multisite_model(tmp_path: Path) -> None:
    case = multisite(tmp_path)
    columns = case.columns
    y, x, z, w = (columns[name] for name in ("score", "pretest", "tutor", "poverty"))
    s = y.std(ddof=1)
    shift = f"0.5 * tau + {four((z * w).mean())} * psi + {four(x.mean())} * beta + {four(w.mean())} * gamma"
    equations = f"""
        score[pupil] ~ normal(a[school] + beta * pretest + t[school] * tutor, sqrt(sigma^2 + extra^2 * tutor))
        a[school], t[school] ~ multinormal((mu + gamma * poverty, tau + psi * poverty), sd = (sd_a, sd_t), corr = rho)
        mu ~ normal({four(y.mean())} - ({shift}), {four(2.5 * s)})
        tau ~ normal(-{w.mean()} * psi, {four(2.5 * s)})
        psi ~ normal(0, {four(2.5 * s / w.std())})
        beta ~ normal(0, {four(2.5 * s / x.std())})
        gamma ~ normal(0, {four(2.5 * s / w.std())})
        sd_a ~ halfnormal({four(s)})      sd_t ~ halfnormal({four(s)})   rho ~ lkj(2)
        sigma ~ halfnormal({four(2 * s)}) extra ~ halfnormal({four(s)})
    """
    names = {
        "intercept": "mu",
        "effect(tutor)": "tau",
        "interaction(tutor * poverty)": "psi",
        "slope(pretest)": "beta",
        "slope(poverty)": "gamma",
        "sd(intercept, school)": "sd_a",
        "sd(effect(tutor), school)": "sd_t",
        "corr_cholesky(school)": "rho",
        "residual": "sigma",
        "residual(tutor)": "extra",
        "deviation(school)": "deviation(a, t, school)",
    }
    assert_equal(case.made, explicit(case, equations), names)


def test_partial_pooling_without_spread_is_complete_pooling(tmp_path: Path) -> None:
    partial, complete_ = blocked(tmp_path).made, pooled(tmp_path).made
    rng = np.random.default_rng(2)
    point = random_point(*partial, rng)
    group = next(v.name for v in partial[0].variables if v.role == "deviation(intercept, school)")
    point[group] = np.zeros_like(point[group])
    there = {variable.name: point[variable.name] for variable in complete_[0].variables}
    likelihood = [
        float(terms(model, data, at)[model.observations[0].name].real)
        for (model, data), at in ((partial, point), (complete_, there))
    ]
    assert likelihood[0] == pytest.approx(likelihood[1], abs=1e-9)
