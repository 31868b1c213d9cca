"""Covariates with gaps: the joint density, what they are told from, what is refused, and the bias that is removed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hdsl import driver
from hdsl.backend import Settings
from hdsl.data.bind import bind
from hdsl.design.parts import bernoulli, covariate, ignorable, outcome
from hdsl.design.snippets import StudyError
from hdsl.design.study import Study
from hdsl.diagnostics import has_errors
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import log_density
from hdsl.reference.free import random_point
from tests.model.preserved import differences

Array = np.ndarray


def drawn(rows: int, seed: int, schools: int = 5) -> dict[str, Array]:
    """Return a covariate x that is missing more often where the outcome is large, and a positive one, c."""
    g = np.random.default_rng(seed)
    school = np.arange(rows) % schools
    w, z = g.normal(size=rows), g.integers(0, 2, rows)
    x = 2 + w + 0.5 * g.normal(size=schools)[school] + g.normal(size=rows)
    c = np.exp(0.3 * x + 0.4 * g.normal(size=rows))
    y = 1 + 2 * z + 1.5 * x + 0.5 * w + g.normal(size=rows)
    x_gone = g.random(rows) < 1 / (1 + np.exp(-(y - np.mean(y)) / 1.5 + 0.7))
    return {
        "school": school,
        "z": z,
        "w": w,
        "x": np.where(x_gone, np.nan, x),
        "c": np.where(g.random(rows) < 0.2, np.nan, c),
        "y": y,
    }


def write_rows(folder: Path, data: Mapping[str, Array]) -> None:
    rows = zip(*(column.tolist() for column in data.values()), strict=True)
    lines = [",".join(data), *(",".join("" if v != v else repr(v) for v in row) for row in rows)]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")


def study_of(*terms: str, missing: bool = True, randomised: bool = True, kind: str = "real") -> Study:
    variables = [
        covariate("w", "real"),
        covariate("x", kind, missing=missing),
        covariate("c", "positive", missing=missing),
        outcome("y", "real"),
    ]
    mechanism = bernoulli(0.5) if randomised else ignorable("w")
    return (
        Study("gaps")
        .data("d.csv")
        .group("school", id="school")
        .unit("pupil", within="school", variables=variables)
        .treatment("z", off=0, on=1)
        .assign("z", to="pupil", within="school", by=mechanism)
        .adjust(*terms)
    )


def _made(study: Study, folder: Path, data: Mapping[str, Array]) -> tuple[Model, ModelData]:
    write_rows(folder, data)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    return made


@pytest.mark.parametrize("randomised", [True, False])
def test_the_joint_density_is_that_of_outcome_and_covariates(randomised: bool, tmp_path: Path) -> None:
    """Up to priors: y given all, x given w (and a treatment that was chosen), log c given w and x."""
    data = drawn(50, 1)
    study = study_of("w", "x", "log(c)", randomised=randomised).prior("intercept", "normal(0, 10)")
    model, values = _made(study, tmp_path, data)
    point = random_point(model, values, np.random.default_rng(2))
    at = {v.role: point[v.name] for v in model.variables}
    prior_only = sum(
        _log_prior(v.law, point, v.name) for v in model.variables if not v.role.startswith(("missing(", "deviation("))
    )
    school, w, z, y = (np.asarray(data[name], dtype=float) for name in ("school", "w", "z", "y"))
    group = school.astype(int)
    x, log_c = data["x"].copy(), np.log(data["c"])
    x[np.isnan(x)], log_c[np.isnan(log_c)] = at["missing(x)"], at["missing(c)"]
    chosen = 0.0 if randomised else z - z.mean()
    filled = np.where(np.isnan(data["x"]), np.nanmean(data["x"]), data["x"])
    of_x = at["mean(x)"] + at["slope(x, w)"] * (w - w.mean()) + at["deviation(x, school)"][group]
    of_c = at["mean(c)"] + at["slope(c, w)"] * (w - w.mean()) + at["slope(c, x)"] * (x - filled.mean())
    of_c = of_c + at["deviation(c, school)"][group]
    if not randomised:
        of_x, of_c = of_x + at["slope(x, z)"] * chosen, of_c + at["slope(c, z)"] * chosen
    mean = at["intercept"] + at["effect(z)"] * z + at["slope(w)"] * w + at["slope(x)"] * x
    mean = mean + at["slope(log(c))"] * log_c + at["deviation(intercept, school)"][group]
    if not randomised:
        share = np.bincount(group, z) / np.bincount(group) - z.mean()
        mean = mean + at["slope(mean(z, school))"] * share[group]
    expected = stats.norm.logpdf(y, mean, at["residual"]).sum()
    expected += stats.norm.logpdf(x, of_x, at["sd(x)"]).sum() + stats.norm.logpdf(log_c, of_c, at["sd(c)"]).sum()
    for role, spread in (("x", "sd(x, school)"), ("c", "sd(c, school)"), ("intercept", "sd(intercept, school)")):
        expected += stats.norm.logpdf(at[f"deviation({role}, school)"], 0, at[spread]).sum()
    known = np.sum(~np.isnan(data["x"])) + np.sum(~np.isnan(data["c"]))
    constant = known * 0.5 * np.log(2 * np.pi)
    assert float(log_density(model, values, point)) - prior_only == pytest.approx(expected + constant, rel=1e-6)


def _log_prior(law: Any, point: Mapping[str, Any], name: str) -> float:
    """Return the log density of a parameter under a law with fixed arguments."""
    value = np.asarray(point[name])
    numbers = [getattr(arg, "value", None) for arg in law.args]
    if law.distribution == "halfnormal":
        return float(np.log(2) + stats.norm.logpdf(value, 0, numbers[0]))
    assert law.distribution == "normal"
    return float(np.sum(stats.norm.logpdf(value, numbers[0], numbers[1])))


def test_passes_keep_the_density(tmp_path: Path) -> None:
    made = _made(study_of("w", "x", "log(c)"), tmp_path, drawn(50, 1))
    assert np.ptp(differences(prepare(*made), made, np.random.default_rng(5))) < 1e-5


def test_without_gaps_nothing_is_added(tmp_path: Path) -> None:
    data = drawn(50, 1)
    data["x"], data["c"] = np.nan_to_num(data["x"], nan=1.0), np.nan_to_num(data["c"], nan=1.0)
    model, _ = _made(study_of("w", "x", "c"), tmp_path, data)
    plain, _ = _made(study_of("w", "x", "c", missing=False), tmp_path, data)
    assert model.variables == plain.variables
    assert not model.factors


REFUSED = {
    "spline": study_of("spline(x)"),
    "group mean": study_of("mean(x, school)"),
    "count": study_of("x", kind="count"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_modelled_is_refused(name: str, tmp_path: Path) -> None:
    data = drawn(50, 1)
    if name == "count":
        data["x"] = np.floor(np.exp(data["x"] / 3))
    write_rows(tmp_path, data)
    derived = driver.derive(REFUSED[name], data=str(tmp_path / "d.csv"))
    assert "HDM636" in [d.code for d in derived.diagnostics], derived.diagnostics
    assert has_errors(derived.diagnostics)


def test_units_cannot_be_chosen_by_what_is_not_known(tmp_path: Path) -> None:
    write_rows(tmp_path, drawn(50, 1))
    study = study_of("x").estimand("old", "average over pupil where x > 2 of y(z = on) - y(z = off)")
    with pytest.raises(StudyError, match="HDM520"):
        driver.run(study, data=str(tmp_path / "d.csv"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_bias_of_dropping_rows_is_removed(tmp_path: Path) -> None:
    """Rows are lost where the outcome is large: dropping them flattens the slope, modelling the gaps does not."""
    kept, dropped = [], []
    for seed in range(20):
        write_rows(tmp_path, drawn(300, seed + 10))
        for study, found in ((study_of("w", "x"), kept), (study_of("w", "x", missing=False), dropped)):
            settings = Settings(chains=2, draws=400, warmup=400, seed=seed)
            result = driver.run(study, data=str(tmp_path / "d.csv"), settings=settings)
            values = {s.name: s for s in result.parameter_summaries if not s.index}
            found.append([(values[r].mean - t) / values[r].sd for r, t in (("effect(z)", 2.0), ("slope(x)", 1.5))])
    away, lost = np.array(kept), np.array(dropped)
    assert np.all(np.abs(away.mean(axis=0)) < 3 / np.sqrt(20))
    assert np.all(np.mean(np.abs(away) < 1.645, axis=0) >= 0.7)
    assert np.mean(lost[:, 1]) < -1


def _grouped(schools: int, seed: int, each: int = 8) -> dict[str, Array]:
    """Return a covariate z of schools with gaps, to which x of the pupils is related; z is lost where x is large."""
    g = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), each)
    z, u = g.normal(size=schools), 0.5 * g.normal(size=schools)
    x, t = 0.8 * z[school] + g.normal(size=len(school)), g.integers(0, 2, len(school))
    y = 1 + 2 * t + z[school] + x + u[school] + g.normal(size=len(school))
    gone = g.random(schools) < 1 / (1 + np.exp(0.7 - 1.5 * np.bincount(school, x) / each))
    return {"school": school, "t": t, "x": x, "z": np.where(gone, np.nan, z)[school], "y": y}


def _of_groups(*, x_missing: bool = False) -> Study:
    return (
        Study("grouped")
        .data("d.csv")
        .unit("pupil", within="school", variables=[covariate("x", "real", missing=x_missing), outcome("y", "real")])
        .group("school", id="school", variables=[covariate("z", "real", missing=True)])
        .treatment("t", off=0, on=1)
        .assign("t", to="pupil", by=bernoulli(0.5))
        .adjust("z", "x")
    )


def test_what_units_have_tells_of_their_groups(tmp_path: Path) -> None:
    model, values = _made(_of_groups(), tmp_path, _grouped(12, 3))
    slope = next(v for v in model.variables if v.role == "slope(z, mean(x, school))")
    data = _grouped(12, 3)
    means = next(slot.name for slot in model.slots if slot.source == "mean(x, school)")
    assert values.values[means] == pytest.approx(np.bincount(data["school"], data["x"]) / 8)
    assert slope.dims == ()


def test_gaps_of_groups_come_before_those_of_their_units(tmp_path: Path) -> None:
    data = _grouped(12, 3)
    data["x"][::7] = np.nan
    model, _ = _made(_of_groups(x_missing=True), tmp_path, data)
    roles = [v.role for v in model.variables]
    assert "slope(x, z)" in roles
    assert not any(role.startswith("slope(z,") for role in roles)


@pytest.mark.slow
def test_gaps_of_groups_leave_the_slopes_of_units_right(tmp_path: Path) -> None:
    """200 data sets: without the group's means of x among what tells of z, the slope of x was 0.64 sd too large."""
    away = []
    for seed in range(200):
        write_rows(tmp_path, _grouped(40, seed))
        settings = Settings(chains=2, draws=300, seed=seed)
        result = driver.run(_of_groups(), data=str(tmp_path / "d.csv"), settings=settings)
        values = {s.name: s for s in result.parameter_summaries if not s.index}
        truth = {"effect(t)": 2.0, "slope(z)": 1.0, "slope(x)": 1.0}
        away.append([(values[role].mean - true) / values[role].sd for role, true in truth.items()])
    found = np.array(away)
    assert np.all(np.abs(found.mean(axis=0)) < 3.3 / np.sqrt(200))
    assert np.all(np.abs(np.mean(np.abs(found) < 1.645, axis=0) - 0.9) < 3.3 * np.sqrt(0.09 / 200))
