"""Smooth terms: bases against SciPy's splines and exact covariances, curves against potential outcomes, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, make_smoothing_spline

from hdsl.design.expr import Number, Ref, Setting
from hdsl.driver import derive, explain
from hdsl.estimands.worlds import expected, world
from hdsl.inference.limits import beyond_limits
from hdsl.model.derive.bases import gp_basis, grid, spline_basis
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import definitions, reported
from hdsl.reference.free import random_point
from hdsl.reference.values import evaluate
from tests.model.preserved import differences

Array = NDArray[np.float64]
HEAD = """study s data "d.csv"
group school id school { covariate size : real }
unit pupil id pid in school { covariate x : real  covariate few : real  covariate sex : binary  outcome y : real }
treatment z { off = 0, low = 1, high = 2 }
assign z to pupil by complete
"""
DOSED = """study s data "d.csv"
unit plot id pid { outcome y : real }
treatment x : real
assign x to plot by complete
estimand more = average over plot of y(x = x + 1) - y(x = x)
"""


def made(folder: Path, analysis: str, head: str = HEAD, more: str = "") -> Path:
    """Write a study of 60 pupils in 6 schools; x has 12 different values."""
    rng = np.random.default_rng(3)
    rows = np.arange(60)
    x = np.round(rng.gamma(3, 2, 12), 2)[rows % 12]
    columns = {
        "pid": rows,
        "school": rows % 6,
        "size": np.array([3.0, 9.0, 4.0, 7.0, 12.0, 5.0])[rows % 6],
        "x": x,
        "few": rows % 3,
        "sex": rows % 2,
        "z": rng.permutation(rows % 3),
        "y": np.round(np.sin(x) + rng.normal(0, 1, 60), 3),
    }
    if head == DOSED:
        columns = {name: columns[name] for name in ("pid", "x", "y")}
    lines = [",".join(f"{value:.10g}" for value in row) for row in zip(*columns.values(), strict=True)]
    (folder / "d.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    path = folder / "s.hdm"
    path.write_text(f"{head}analysis {{ {analysis} }}\n{more}")
    return path


def model_of(path: Path) -> tuple[Model, ModelData]:
    """Return the derived model; fails where there is none."""
    found = derive(path)
    assert found.model is not None, found.diagnostics
    assert found.data is not None
    return found.model, found.data


def codes(path: Path) -> set[str]:
    """Return the codes of the errors."""
    return {d.code for d in derive(path).diagnostics if d.severity == "error"}


def roles(model: Model) -> list[str]:
    """Return the reported roles."""
    return [each.role for each in model.reported]


def point(case: tuple[Model, ModelData], seed: int = 0) -> dict[str, Array]:
    """Return values of the parameters of a model."""
    return random_point(*case, np.random.default_rng(seed), 0.6)


# Bases


def test_spline_basis_is_a_natural_cubic_spline_around_the_straight_line() -> None:
    rows = np.random.default_rng(1).gamma(3, 2, 200)
    basis = spline_basis(rows)
    found = basis.at(rows)
    assert_allclose(found.mean(axis=0), 0, atol=1e-10)
    assert_allclose(rows @ found, 0, atol=1e-8)
    assert_allclose(np.mean(np.sum(found**2, axis=1)), 1)
    knots = basis.low + basis.width * basis.knots
    natural = CubicSpline(knots, basis.at(knots), bc_type="natural")
    assert_allclose(natural(rows), found, atol=1e-10)
    outside = np.array([knots[0] - 3, knots[-1] + 3])
    slopes = natural(knots[[0, -1]], 1)
    assert_allclose(basis.at(outside), basis.at(knots[[0, -1]]) + slopes * np.array([[-3], [3]]), atol=1e-9)


def penalty(basis_at: CubicSpline, knots: Array) -> Array:
    """Return the integrals of products of second derivatives, exact for cubic splines (Simpson's rule)."""
    total = np.zeros((basis_at.c.shape[2],) * 2)
    for low, high in itertools.pairwise(knots):
        for x, weight in ((low, 1), ((low + high) / 2, 4), (high, 1)):
            second = basis_at(x, 2)
            total += (high - low) / 6 * weight * np.outer(second, second)
    return total


def test_the_log_prior_of_spline_coefficients_is_the_roughness_penalty() -> None:
    rows = np.random.default_rng(2).normal(50, 9, 80)
    basis = spline_basis(rows, 15)
    knots = basis.low + basis.width * basis.knots
    found = penalty(CubicSpline(knots, basis.at(knots), bc_type="natural"), knots)
    assert_allclose(found / found[0, 0], np.eye(len(found)), atol=1e-8)


def test_the_posterior_mean_of_a_spline_is_the_smoothing_spline() -> None:
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0, 10, 40))
    y = np.sin(x) + 0.3 * x + rng.normal(0, 0.4, 40)
    basis = spline_basis(x, len(x))
    knots = basis.low + basis.width * basis.knots
    curvature = penalty(CubicSpline(knots, basis.at(knots), bc_type="natural"), knots)[0, 0]
    sd, residual = 1.3, 0.5
    design = np.column_stack([np.ones(40), x, basis.at(x)])
    ridge = np.diag([0, 0, *np.full(len(basis.level), (residual / sd) ** 2)])
    ours = design @ np.linalg.solve(design.T @ design + ridge, design.T @ y)
    theirs = make_smoothing_spline(x, y, lam=(residual / sd) ** 2 / curvature)
    assert_allclose(ours, theirs(x), atol=1e-6)


def covariance(x: Array, length: Array) -> Array:
    """Return the squared exponential covariance of points (points, inputs)."""
    return np.exp(-0.5 * np.sum(((x[:, None] - x[None]) / length) ** 2, axis=2))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("inputs", [1, 2])
def test_gp_basis_reproduces_the_covariance_within_its_limits(inputs: int, share: float) -> None:
    x = np.random.default_rng(4).uniform(-3, 17, (60, inputs))
    likely = [(3.0, 8.0)] if inputs == 1 else [(6.0, 9.0), (7.0, 9.0)]
    basis = gp_basis(list(x.T), likely)
    low, high = np.array(basis.shortest), np.array(basis.longest)
    assert np.all(low <= [short for short, _ in likely])
    assert_allclose(high, [long for _, long in likely])
    length = low ** (1 - share) * high**share
    waves = np.sum((basis.frequencies * length) ** 2, axis=1)
    density = np.prod(np.sqrt(2 * np.pi) * length) * np.exp(-0.5 * waves)
    functions = basis.at(x)
    assert_allclose((functions * density) @ functions.T, covariance(x, length), atol=0.02)


def test_too_few_functions_miss_the_covariance() -> None:
    x = np.linspace(0, 20, 60)[:, None]
    basis = gp_basis([x[:, 0]], [(3.0, 8.0)])
    length = 0.5 * basis.shortest[0]
    density = np.sqrt(2 * np.pi) * length * np.exp(-0.5 * (basis.frequencies[:, 0] * length) ** 2)
    error = (basis.at(x) * density) @ basis.at(x).T - covariance(x, np.array([length]))
    assert np.max(np.abs(error)) > 0.05


def test_a_curve_is_shown_at_few_values_or_at_round_ones() -> None:
    assert_allclose(grid(np.array([3.0, 1.0, 3.0, 2.0])), [1, 2, 3])
    shown = grid(np.linspace(2.4, 57.6, 133))
    assert shown[0] == 2.4
    assert shown[-1] == 57.6
    assert_allclose(shown[1:-1], np.arange(3, 58))
    assert 20 < len(grid(np.random.default_rng(0).normal(0, 1e-4, 500))) <= 60


# Derivations


def test_a_spline_is_a_straight_part_and_its_bends(tmp_path: Path) -> None:
    case = model_of(made(tmp_path, "adjust for spline(x)"))
    model, data = case
    assert [r for r in roles(model) if "(x)" in r] == ["slope(x)", "sd(spline(x))", "spline(x)"]
    values = point(case)
    env = definitions(model, data, values)
    by_role = {s.role: env[s.name].real for s in model.statements if s.role is not None}
    x = np.asarray(data.values["x"])
    size, coefficients = by_role["sd(spline(x))"], by_role["coefficient(spline(x))"]
    assert_allclose(by_role["spline(x)"], size * spline_basis(x).at(x) @ coefficients, atol=1e-12)
    shown = reported(model, data, {k: v[None, None] for k, v in values.items()})["spline(x)"][0, 0]
    distinct = np.unique(x)
    straight = by_role["slope(x)"] * (distinct - x.mean())
    assert_allclose(shown, straight + size * spline_basis(x).at(distinct) @ coefficients, atol=1e-12)


def test_the_straight_part_is_there_once(tmp_path: Path) -> None:
    path = made(tmp_path, "adjust for x, spline(x), spline(x, knots = 8) vary z with x as spline")
    model, _ = model_of(path)
    assert len(set(roles(model))) == len(roles(model))
    assert roles(model).count("slope(x)") == 1
    assert [r for r in roles(model) if r.startswith("spline(")] == ["spline(x)"]


def test_a_moderator_along_a_curve_brings_its_own_curve_unless_one_is_stated(tmp_path: Path) -> None:
    model, _ = model_of(made(tmp_path, "vary z with x as gp"))
    assert "sd(gp(x))" in roles(model)
    assert "slope(x)" not in roles(model)
    model, _ = model_of(made(tmp_path, "adjust for spline(x) vary z with x as gp"))
    assert "sd(gp(x))" not in roles(model)
    assert "slope(x)" in roles(model)


def test_a_process_of_two_covariates_has_two_lengths(tmp_path: Path) -> None:
    model, data = model_of(made(tmp_path, "adjust for gp(x, size, functions = 6)"))
    lengths = [role for role in roles(model) if role.startswith("lengthscale")]
    assert lengths == ["lengthscale(gp(x, size))[x]", "lengthscale(gp(x, size))[size]"]
    assert data.values["gp_x_size_frequency_1"].shape == (36,)
    assert differences(prepare(model, data), (model, data), np.random.default_rng(0), 2).std() < 1e-6


@pytest.mark.parametrize("shape", ["spline", "gp"])
def test_the_effect_that_is_shown_is_that_of_potential_outcomes(tmp_path: Path, shape: str) -> None:
    path = made(tmp_path, f"adjust for sex vary z with x as {shape} vary z with sex vary z across school")
    found = derive(path)
    case = model_of(path)
    model, data = case
    values = {name: value[None] for name, value in point(case).items()}
    values |= {n: np.zeros_like(v) for n, v in values.items() if n.startswith("deviation")}
    bound, (outcome,) = found.checked.bound, model.observations
    assert bound is not None
    rows = {
        arm: expected(world(model, data, bound, "y", (Setting(treatment="z", value=Ref(name=arm)),)), values, 60)[0]
        for arm in ("off", "low", "high")
    }
    assert outcome.outcome == "y"
    shown = reported(model, data, {k: v[None] for k, v in values.items()})
    x, sex = np.asarray(data.values["x"]), np.asarray(data.values["sex"])
    place = np.searchsorted(np.unique(x), x)
    for arm in ("low", "high"):
        curve = shown[f"effect(z)[{arm}][x]"][0, 0]
        by_sex = shown[f"interaction(z * sex)[{arm}]"][0, 0]
        assert_allclose(rows[arm] - rows["off"], curve[place] + by_sex * (sex - sex.mean()), atol=1e-9)


@pytest.mark.parametrize("term", ["spline(x)", "gp(x)"])
def test_a_dose_that_is_set_goes_through_the_curve(tmp_path: Path, term: str) -> None:
    path = made(tmp_path, f"adjust for {term}", head=DOSED)
    found = derive(path)
    model, data = case = model_of(path)
    bound = found.checked.bound
    assert bound is not None
    values = {name: value[None] for name, value in point(case).items()}
    shown = reported(model, data, {k: v[None] for k, v in values.items()})
    distinct = np.unique(data.values["x"])
    ends = [
        expected(world(model, data, bound, "y", (Setting(treatment="x", value=Number(value=dose)),)), values, 60)[0]
        for dose in distinct[[2, -3]]
    ]
    assert_allclose(np.ptp(ends, axis=1), 0, atol=1e-9)
    curve = shown[term][0, 0]
    straight = 0 if term == "spline(x)" else shown["effect(x)"][0, 0] * (distinct[2] - distinct[-3])
    assert_allclose(ends[0][0] - ends[1][0], curve[2] - curve[-3] + straight, atol=1e-9)


def test_the_curve_of_a_group_is_computed_by_group(tmp_path: Path) -> None:
    model, data = model_of(made(tmp_path, "adjust for spline(size)"))
    curve = next(d for d in model.definitions if d.role == "spline(size)")
    assert curve.dims == ("school",)
    assert differences(prepare(model, data), (model, data), np.random.default_rng(0), 2).std() < 1e-6


@pytest.mark.parametrize("term", ["spline(x)", "gp(x)"])
def test_the_log_spread_along_a_curve(tmp_path: Path, term: str) -> None:
    case = model_of(made(tmp_path, f"variance of y with {term}"))
    model, data = case
    values = point(case)
    env = definitions(model, data, values)
    spread = evaluate(model.observations[0].law.args[1], env).real
    shown = reported(model, data, {k: v[None, None] for k, v in values.items()})["residual[x]"][0, 0]
    x = np.asarray(data.values["x"])
    assert_allclose(spread, shown[np.searchsorted(np.unique(x), x)], rtol=1e-10)


def test_priors_of_curves(tmp_path: Path) -> None:
    priors = """priors {
      sd(spline(x)) ~ halfnormal(0.3)    sd(z * gp(x)) ~ exponential(1)    sd(z * gp(x))[high] ~ exponential(2)
      lengthscale(z * gp(x)) ~ inverse_gamma(3, 20)    sd(residual(spline(x))) ~ halfnormal(0.4)
    }"""
    path = made(tmp_path, "adjust for spline(x) vary z with x as gp variance of y with spline(x)", more=priors)
    text, derived = explain(path)
    assert derived.model is not None, derived.diagnostics
    assert "sd(spline(x)) ~ halfnormal(0.3)   (yours)" in text
    laws = {v.role: v.law for v in derived.model.variables}
    assert [arg.model_dump()["value"] for arg in laws["sd(z * gp(x))[low]"].args] == [1]
    assert [arg.model_dump()["value"] for arg in laws["sd(z * gp(x))[high]"].args] == [2]
    assert laws["lengthscale(z * gp(x))[low]"].distribution == "inverse_gamma"
    assert "coefficient(" not in text
    assert "spline(x)[pupil] ~ cubic_spline(x, sd = sd(spline(x)))" in text


@pytest.mark.parametrize(
    ("analysis", "code"),
    [
        ("adjust for spline(few)", "HDM660"),
        ("adjust for spline(sex)", "HDM660"),
        ("adjust for spline(x) * sex", "HDM621"),
        ("adjust for spline(x, functions = 9)", "HDM623"),
        ("adjust for spline(x, knots = 2)", "HDM623"),
        ("adjust for gp(x, size, few)", "HDM660"),
        ("adjust for gp(x, size, x + size)", "HDM623"),
        ("vary spline(x) across school", "HDM629"),
    ],
)
def test_what_cannot_be_a_curve(tmp_path: Path, analysis: str, code: str) -> None:
    assert codes(made(tmp_path, analysis)) == {code}


def test_draws_beyond_the_limits_of_an_approximation_are_told(tmp_path: Path) -> None:
    model, _ = model_of(made(tmp_path, "adjust for gp(x)"))
    (limit,) = model.limits
    middle = np.full((4, 100), np.sqrt(limit.low * limit.high))
    assert beyond_limits(model, {limit.variable: middle}) == []
    fast, slow = middle.copy(), middle.copy()
    fast[:, :10], slow[:, :10] = limit.low / 2, limit.high * 2
    (below,) = beyond_limits(model, {limit.variable: fast})
    (above,) = beyond_limits(model, {limit.variable: slow})
    assert below.code == above.code == "HDM720"
    assert "10% of the draws of lengthscale(gp(x)) are below" in below.message
    assert "above" in above.message
