"""Rows that go together: densities against the multivariate normal, draws against its moments, and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats

from hdsl.driver import derive, explain
from hdsl.estimands import compute, with_defaults
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import definitions, terms
from hdsl.reference.free import random_point
from hdsl.reference.simulate import simulate
from tests.model.preserved import differences

Array = NDArray[np.float64]
HEAD = """study s data "d.csv"
unit person id pid { covariate x : real }
wave month id month
unit visit in person * month { outcome y : KIND }
treatment z { off = 0, on = 1 }
assign z to person by complete(0.5)
"""
MONTHS = np.array([1.0, 2.0, 4.0, 7.0])


def rows_seen(seed: int = 0, people: int = 12) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return person and occasion of each visit: some people miss one, some drop out, rows in no order."""
    rng = np.random.default_rng(seed)
    person, occasion = np.repeat(np.arange(people), 4), np.tile(np.arange(4), people)
    missed = ((person % 4 == 1) & (occasion == 1)) | ((person % 4 == 2) & (occasion > 1))
    missed |= (person % 6 == 3) & (occasion > 0)
    kept = rng.permutation(np.flatnonzero(~missed))
    return person[kept], occasion[kept]


def study(folder: Path, structure: str, *, kind: str = "real", months: Array = MONTHS, more: str = "") -> Path:
    """Write a study and its data; every visit has an outcome that is positive and a count."""
    person, occasion = rows_seen()
    rng = np.random.default_rng(1)
    x, z = rng.normal(0, 1, 12), np.arange(12) % 2
    y = np.round(np.exp(rng.normal(1, 0.5, len(person)))) + 1
    if kind == "binary":
        y = (y > 3).astype(float)
    lines = [f"{p},{x[p]},{z[p]},{months[t]},{v:g}" for p, t, v in zip(person, occasion, y, strict=True)]
    (folder / "d.csv").write_text("\n".join(["pid,x,z,month,y", *lines]) + "\n")
    analysis = f"analysis {{ adjust for x pool month completely {more} correlate y within person as {structure} }}\n"
    path = folder / "s.hdm"
    path.write_text(HEAD.replace("KIND", kind) + analysis + 'waive HDM401 because "months are alike here"\n')
    return path


def made(path: Path) -> tuple[Model, ModelData]:
    """Return the derived model and its data."""
    derived = derive(path)
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    return derived.model, derived.data


def by_role(model: Model, point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point by role."""
    return {variable.role: point[variable.name] for variable in model.variables}


def residual_density(model: Model, data: ModelData, p: Mapping[str, Any], spread: Array, corr: Array) -> float:
    """Return the log density of the outcomes as multivariate normal within each person, by SciPy.

    `spread` is over months, `corr` over pairs of months.
    """
    person, occasion = rows_seen()
    values = {slot.variable or slot.treatment: data.values[slot.name] for slot in model.slots}
    names = {slot.name: data.values[slot.name] for slot in model.slots}
    of_visit = names["person_of_visit"]
    y, x, z = (np.asarray(values[name]) for name in ("y", "x", "z"))
    deviation = p.get("deviation(intercept, person)", np.zeros(12))
    mean = (p["intercept"] + p["effect(z)"] * z + p["slope(x)"] * x + deviation)[of_visit]
    total = 0.0
    for one in range(12):
        rows = np.flatnonzero(person == one)
        t = occasion[rows]
        covariance: Any = np.outer(spread[t], spread[t]) * corr[np.ix_(t, t)]
        law: Any = stats.multivariate_normal(mean[rows], covariance)
        total += float(law.logpdf(y[rows]))
    return total


def observed_density(model: Model, data: ModelData, point: Mapping[str, Any]) -> float:
    """Return the log density of the observations at a point."""
    found = terms(model, data, point)
    return float(sum(float(found[o.name].array) for o in model.observations))


def powers(rho: float, months: Array) -> Array:
    """Return first-order autoregressive correlations of the months."""
    distance = np.abs(months[:, None] - months[None, :])
    return np.asarray(np.sign(rho) ** np.round(distance) * np.abs(rho) ** distance)


@pytest.mark.parametrize(
    ("months", "signed"),
    [
        (MONTHS, True),
        (np.array([0.0, 1.0, 2.5, 6.0]), False),
        (np.array([10.0, 12.0, 14.0, 16.0]), True),
        (np.array([0.0, 4.0, 8.0, 9.0]), False),
    ],
)
def test_ar1_is_multivariate_normal_with_powers_of_the_distance(tmp_path: Path, months: Array, signed: bool) -> None:
    model, data = made(study(tmp_path, "ar1", months=months))
    rng = np.random.default_rng(2)
    step = np.diff(months).min()
    for _ in range(3):
        point = random_point(model, data, rng)
        p = by_role(model, point)
        share = next(v for role, v in p.items() if "corr(residual, person)" in role)
        rho = float(2 * share - 1) if signed else float(share)
        expected = residual_density(model, data, p, np.full(4, p["residual"]), powers(rho, months / step))
        assert_allclose(observed_density(model, data, point), expected, rtol=1e-9)


def test_exchangeable_is_compound_symmetry_negative_too_and_takes_the_intercept(tmp_path: Path) -> None:
    model, data = made(study(tmp_path, "exchangeable"))
    assert not any("intercept, person" in variable.role for variable in model.variables)
    point = random_point(model, data, np.random.default_rng(3))
    share = next(v for v in model.variables if "corr(residual, person)" in v.role)
    for value in (0.02, 0.2, 0.6, 0.97):
        here = {**point, share.name: np.asarray(value)}
        rho = -1 / 3 + value * 4 / 3
        corr = np.full((4, 4), rho) + (1 - rho) * np.eye(4)
        p = by_role(model, here)
        expected = residual_density(model, data, p, np.full(4, p["residual"]), corr)
        assert_allclose(observed_density(model, data, here), expected, rtol=1e-9)


def test_unstructured_is_the_marginal_law_of_the_months_that_were_seen(tmp_path: Path) -> None:
    model, data = made(study(tmp_path, "unstructured"))
    assert len(model.observations) == 4
    assert sum(data.values[o.slot].size for o in model.observations) == len(rows_seen()[0])
    for seed in range(3):
        point = random_point(model, data, np.random.default_rng(seed))
        p = by_role(model, point)
        factor = p["corr_cholesky(residual, person)"]
        spread = np.array([float(p[f"residual[{month:g}]"]) for month in MONTHS])
        expected = residual_density(model, data, p, spread, factor @ factor.T)
        assert_allclose(observed_density(model, data, point), expected, rtol=1e-9)


def test_latent_ar1_effects_have_the_covariance_of_the_autoregression(tmp_path: Path) -> None:
    model, data = made(study(tmp_path, "ar1", kind="binary"))
    effects = next(d for d in model.definitions if d.role == "deviation(intercept, visit)")
    z = next(v for v in model.variables if v.role == "standard(intercept, visit)")
    point = random_point(model, data, np.random.default_rng(4))
    p = by_role(model, point)
    share = next(v for role, v in p.items() if "corr(residual, person)" in role)
    factor = np.stack(
        [
            definitions(model, data, {**point, z.name: np.tile(unit, (12, 1))})[effects.name].real[0]
            for unit in np.eye(4)
        ],
        axis=-1,
    )
    assert_allclose(factor, np.tril(factor), atol=1e-12)
    expected = p["sd(intercept, visit)"] ** 2 * powers(float(2 * share - 1), MONTHS)
    assert_allclose(factor @ factor.T, expected, rtol=1e-9)


@pytest.mark.parametrize("structure", ["ar1", "exchangeable", "unstructured"])
def test_the_passes_keep_the_density(tmp_path: Path, structure: str) -> None:
    plain = made(study(tmp_path, structure))
    found = differences(prepare(*plain), plain, np.random.default_rng(8))
    assert_allclose(found, found[0], atol=1e-5)


@pytest.mark.parametrize("structure", ["ar1", "exchangeable", "unstructured"])
def test_simulated_data_and_simulated_potential_outcomes_have_the_correlations(tmp_path: Path, structure: str) -> None:
    """The sd between people of their mean outcomes is that of the structure, far from that of independent rows."""
    path = study(tmp_path, structure)
    path.write_text(path.read_text() + "estimand between = (variance over person of y(z = off))\n")
    derived = derive(path)
    assert derived.model is not None
    assert derived.data is not None
    model, data, bound = derived.model, derived.data, derived.checked.bound
    assert bound is not None
    draws = 3000
    values: dict[str, Array] = {}
    for variable in model.variables:
        size = tuple(model.sizes[dim] for dim in variable.dims)
        value: Any = {"intercept": 1.0, "effect(z)": 3.0}.get(variable.role, 0.0)
        if variable.role.startswith("residual"):
            value = 2.0
        elif "corr_cholesky" in variable.role:
            value = np.linalg.cholesky(np.full((4, 4), 0.8) + 0.2 * np.eye(4))
        elif "corr(residual" in variable.role:
            value = (0.8 + 1 / 3) / (4 / 3) if structure == "exchangeable" else 0.9
        values[variable.name] = np.broadcast_to(value, (1, draws, *size)).astype(float)
    (found,) = compute(with_defaults(bound.study), model, data, bound, values, seed=5)
    person, occasion = rows_seen()
    corr = powers(0.8, MONTHS) if structure == "ar1" else np.full((4, 4), 0.8) + 0.2 * np.eye(4)
    means = [4 * corr[np.ix_(occasion[person == i], occasion[person == i])].mean() for i in range(12)]
    expected = np.mean(means) * 11 / 12
    assert_allclose(found.draws.mean(), expected, rtol=0.03)

    rng = np.random.default_rng(6)
    one = {name: value[0, 0] for name, value in values.items()}
    made_ = [simulate(model, data, one, rng) for _ in range(1500)]
    margin = model.margins[0].slot
    y = np.stack([np.asarray(each.values[margin]) for each in made_])
    first = [int(np.flatnonzero((person == 0) & (occasion == t))[0]) for t in range(4)]
    assert_allclose(np.corrcoef(y[:, first].T), corr, atol=0.05)
    assert_allclose(y[:, first].std(axis=0), 2.0, rtol=0.06)


def test_lognormal_residuals_are_correlated_on_the_log_scale(tmp_path: Path) -> None:
    model, data = made(study(tmp_path, "ar1", kind="positive"))
    assert model.observations[0].law.distribution == "lognormal"
    point = random_point(model, data, np.random.default_rng(7))
    p = by_role(model, point)
    rho = float(2 * next(v for role, v in p.items() if "corr(residual, person)" in role) - 1)
    y = np.asarray(data.values[model.margins[0].slot])
    logs = ModelData(values={**data.values, model.margins[0].slot: np.log(y)}, coords=data.coords)
    expected = residual_density(model, logs, p, np.full(4, p["residual"]), powers(rho, MONTHS)) - np.log(y).sum()
    assert_allclose(observed_density(model, data, point), expected, rtol=1e-9)


def test_explain_says_how_rows_go_together(tmp_path: Path) -> None:
    text, _ = explain(study(tmp_path, "ar1"))
    assert "corr(y, y') within person = corr(residual, person) ^ |month - month'|" in text
    assert "y[visit] ~ normal(" in text
    text, _ = explain(study(tmp_path, "unstructured"))
    assert "corr(y, y') within person = corr(residual, person)[month, month']" in text


@pytest.mark.parametrize(
    ("structure", "kind", "more", "code"),
    [
        ("exchangeable", "count", "", "HDM634"),
        ("unstructured", "positive", "", "HDM634"),
        ("unstructured", "real", "vary month across person", "HDM634"),
        ("unstructured", "real", "variance of y by z", "HDM628"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, structure: str, kind: str, more: str, code: str) -> None:
    derived = derive(study(tmp_path, structure, kind=kind, more=more))
    assert derived.model is None
    assert [d.code for d in derived.diagnostics if d.severity == "error"] == [code]


def test_two_rows_of_one_occasion_are_refused(tmp_path: Path) -> None:
    path = study(tmp_path, "ar1")
    lines = (tmp_path / "d.csv").read_text().splitlines()
    (tmp_path / "d.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    errors = [d.code for d in derive(path).diagnostics if d.severity == "error"]
    assert errors == ["HDM634"]
