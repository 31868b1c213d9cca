"""The spread of groups' effects that depends on covariates: densities, roles, recovery, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from hdsl import Settings, run
from hdsl.driver import derive, explain
from hdsl.inference.exact.density import log_density as exact_log_density
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import definitions
from hdsl.reference.free import random_point
from tests.model.preserved import differences
from tests.passes.test_marginal import by_reference, points_of

Array = NDArray[np.float64]
HEAD = """study s data "d.csv"
group school id school { covariate size : real  covariate kind : category  covariate odd : binary }
unit pupil id pid in school { covariate x : real  outcome y : KIND }
treatment z { off = 0, on = 1 }
assign z to pupil within school by complete(0.5)
"""
BOTH = "vary z across school variance of z across school with size"


def made(
    folder: Path,
    analysis: str,
    kind: str = "real",
    groups: int = 9,
    per: int = 8,
    slope: float = 0.8,
    seed: int = 4,
    more: str = "",
) -> Path:
    """Write a study whose log spread of the effect of z has `slope` on size."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(groups), per)
    size = rng.permutation(np.linspace(-1.7, 1.7, groups))
    z = np.tile(np.arange(per) % 2, groups)
    effect = 1 + np.exp(slope * size) * rng.normal(size=groups)
    x = rng.normal(size=groups * per)
    y = 3 + rng.normal(size=groups)[school] + effect[school] * z + rng.normal(0, 1, groups * per)
    if kind == "binary":
        y = (y > 3).astype(float)
    columns = {
        "pid": np.arange(groups * per),
        "school": school,
        "size": size[school] + 5,
        "kind": np.array(["a", "b", "c"])[school % 3],
        "odd": school % 2,
        "x": x,
        "z": z,
        "y": np.round(y, 6),
    }
    lines = [",".join(f"{v}" for v in row) for row in zip(*columns.values(), strict=True)]
    (folder / "d.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    path = folder / "s.hdm"
    path.write_text(f"{HEAD.replace('KIND', kind)}analysis {{ {analysis} }}\n{more}")
    return path


def model_of(path: Path) -> tuple[Model, ModelData]:
    found = derive(path)
    assert found.model is not None, found.diagnostics
    assert found.data is not None
    return found.model, found.data


def errors(path: Path) -> set[str]:
    return {d.code for d in derive(path).diagnostics if d.severity == "error"}


def test_roles_and_reasons(tmp_path: Path) -> None:
    path = made(tmp_path, BOTH)
    roles = {reported.role for reported in model_of(path)[0].reported}
    assert {"sd(effect(z), school)", "log_sd(effect(z), school, size)", "sd(effect(z), school)[school]"} <= roles
    assert "sd(intercept, school)[school]" not in roles
    assert "the log spread of effect(z) across school per unit of size" in str(explain(path))


def test_the_law_of_an_effect_by_itself(tmp_path: Path) -> None:
    analysis = "vary z across school uncorrelated variance of z across school with size"
    model, data = model_of(made(tmp_path, analysis))
    point = random_point(model, data, np.random.default_rng(1))
    (deviation,) = (v for v in model.variables if v.role == "deviation(effect(z), school)")
    (slope,) = (v for v in model.variables if v.role == "log_sd(effect(z), school, size)")
    (sd,) = (v for v in model.variables if v.role == "sd(effect(z), school)")
    (each,) = (d for d in model.definitions if d.role == "sd(effect(z), school)[school]")
    size = data.values["size"]
    wanted = point[sd.name] * np.exp(point[slope.name] * (size - 5))
    found = definitions(model, data, point, [each.name])[each.name].real
    assert_allclose(found, wanted, rtol=1e-10)
    assert deviation.dims == ("school",)


def test_correlated_effects_have_a_covariance_for_each_group(tmp_path: Path) -> None:
    from hdsl.reference.values import evaluate

    model, data = model_of(made(tmp_path, BOTH))
    point = random_point(model, data, np.random.default_rng(2))
    (joint,) = (v for v in model.variables if v.law.distribution == "multinormal_cholesky")
    env = definitions(model, data, point)
    factor = evaluate(joint.law.args[1], env)
    values = factor.real.transpose([factor.dims.index(d) for d in ("school", *factor.dims[1:])])
    covariance = values @ values.transpose(0, 2, 1)
    by_role = {v.role: point[v.name] for v in model.variables}
    spread = by_role["sd(effect(z), school)"] * np.exp(
        by_role["log_sd(effect(z), school, size)"] * (data.values["size"] - 5)
    )
    assert_allclose(np.sqrt(covariance[:, 1, 1]), spread, rtol=1e-8)
    assert_allclose(np.sqrt(covariance[:, 0, 0]), by_role["sd(intercept, school)"], rtol=1e-8)


@pytest.mark.parametrize(
    "analysis",
    [
        BOTH,
        "variance of intercept across school with size",
        "vary z across school variance of intercept across school with kind variance of z across school with odd",
        "vary x across school uncorrelated as student variance of x across school with size * odd",
    ],
)
@pytest.mark.parametrize("kind", ["real", "binary"])
def test_passes_keep_the_density(tmp_path: Path, analysis: str, kind: str) -> None:
    plain = model_of(made(tmp_path, analysis, kind, groups=5, per=4))
    rewritten = prepare(*plain)
    found = differences(rewritten, plain, np.random.default_rng(3))
    assert_allclose(found - found[0], 0, atol=2e-5)


@pytest.mark.parametrize("analysis", [BOTH, "vary z across school uncorrelated variance of z across school with size"])
def test_exact_inference_has_the_density_integrated(tmp_path: Path, analysis: str) -> None:
    model, data = model_of(made(tmp_path, analysis, groups=4, per=4))
    found = marginal_of(model, data)
    assert isinstance(found, Marginal), found
    points = points_of(found)
    expected: list[float] = []
    for point in points:
        reference, jacobian = by_reference(found, model, data, point)
        expected.append(reference.log_density + jacobian)
    assert_allclose(exact_log_density(found, points), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("analysis", "code"),
    [
        ("variance of z across school with size", "HDM420"),
        ("vary z across school variance of z across school with x", "HDM426"),
        ("vary z across school variance of z across school with z", "HDM426"),
        ("vary z across school variance of z across school with spline(size)", "HDM426"),
        ("pool school completely variance of intercept across school with size", "HDM629"),
        (f"{BOTH} variance of z across school with size", "HDM260"),
    ],
)
def test_misuse_is_named(tmp_path: Path, analysis: str, code: str) -> None:
    assert code in errors(made(tmp_path, analysis))


def test_a_prior_is_taken_up(tmp_path: Path) -> None:
    path = made(tmp_path, BOTH, more="priors { log_sd(effect(z), school, size) ~ normal(0, 0.25) }")
    (slope,) = (v for v in model_of(path)[0].variables if v.role.startswith("log_sd("))
    assert slope.law.args[1].value == 0.25  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_intervals_cover_the_truth(tmp_path: Path) -> None:
    """Simulated studies of 40 schools: 90% intervals of the coefficient and of the spread, and no bias."""
    truth = {"log_sd(effect(z), school, size)": 0.7, "sd(effect(z), school)": 1.0}
    found: dict[str, list[tuple[float, float, float]]] = {role: [] for role in truth}
    for seed in range(24):
        path = made(tmp_path, BOTH, groups=40, per=20, slope=0.7, seed=seed)
        result = run(path, settings=Settings(draws=400, warmup=400, seed=seed))
        assert result.diagnosis.verdict != "fail"
        for summary in result.parameter_summaries:
            if summary.name in truth and not summary.index:
                found[summary.name].append((summary.mean, summary.q5, summary.q95))
    for role, value in truth.items():
        mean, low, high = np.array(found[role]).T
        assert np.sum((low < value) & (value < high)) >= 18, role
        assert abs(mean.mean() - value) < 3 * mean.std(ddof=1) / np.sqrt(len(mean)) + 0.05, role
