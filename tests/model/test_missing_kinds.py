"""Gaps of binary covariates and categories: the likelihood by hand, the same on three backends, estimands."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from hdsl import driver
from hdsl.backend import Settings
from hdsl.data.bind import bind
from hdsl.design.parts import bernoulli, covariate, outcome
from hdsl.design.study import Study
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import log_density
from hdsl.reference.free import random_point
from tests.model.preserved import differences

Array = np.ndarray


def drawn(rows: int, seed: int, schools: int = 6) -> dict[str, Array]:
    """Return x, lost where the outcome is large, and a category c that depends on it."""
    g = np.random.default_rng(seed)
    school = np.arange(rows) % schools
    w, t = g.normal(size=rows), g.integers(0, 2, rows)
    x = (g.random(rows) < special.expit(-0.3 + 1.2 * w + 0.5 * g.normal(size=schools)[school])).astype(float)
    c = np.array(["low", "mid", "top"])[np.clip((3 * g.random(rows) * (0.6 + 0.4 * x)).astype(int), 0, 2)]
    y = 1 + 2 * t + 1.5 * x + 0.5 * w + 0.8 * (c == "top") + 0.5 * g.normal(size=schools)[school] + g.normal(size=rows)
    x_gone = g.random(rows) < special.expit(-0.5 + 0.8 * (y - y.mean()))
    return {
        "school": school,
        "t": t,
        "w": w,
        "x": np.where(x_gone, "", np.where(x > 0, "1", "0")),
        "c": np.where(g.random(rows) < 0.3, "", c),
        "y": y,
    }


def write_rows(folder: Path, data: Mapping[str, Array]) -> None:
    rows = zip(*(column.tolist() for column in data.values()), strict=True)
    lines = [",".join(data), *(",".join(str(v) for v in row) for row in rows)]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")


def study_of(*terms: str, kind: str = "real") -> Study:
    variables = [
        covariate("w", "real"),
        covariate("x", "binary", missing=True),
        covariate("c", "category", missing=True),
        outcome("y", kind),
    ]
    return (
        Study("gaps")
        .data("d.csv")
        .group("school", id="school")
        .unit("pupil", within="school", variables=variables)
        .treatment("t", off=0, on=1)
        .assign("t", to="pupil", by=bernoulli(0.5))
        .adjust(*terms)
    )


def _made(study: Study, folder: Path, data: Mapping[str, Array]) -> tuple[Model, ModelData]:
    write_rows(folder, data)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    return made


def test_the_likelihood_is_the_sum_over_the_values_in_gaps(tmp_path: Path) -> None:
    data = drawn(60, 1)
    study = study_of("w", "x", "c").vary("t", moderator="x")
    study = study.prior("intercept", "normal(0, 10)").prior("effect(t)", "normal(0, 5)")
    model, values = _made(study, tmp_path, data)
    point = random_point(model, values, np.random.default_rng(2))
    at = {v.role: point[v.name] for v in model.variables}
    expected = sum(_log_prior(v.law, point, v.name) for v in model.variables if "deviation" not in v.role)
    for role in ("x, school)", "c, school)[mid]", "c, school)[top]", "intercept, school)"):
        expected += stats.norm.logpdf(at[f"deviation({role}"], 0, at[f"sd({role}"]).sum()
    for row in range(60):
        expected += special.logsumexp([_joint(at, data, row, x, c) for x, c in _allowed(data, row)])
    assert float(log_density(model, values, point)) == pytest.approx(expected, rel=1e-7)


def _allowed(data: Mapping[str, Array], row: int) -> list[tuple[int, int]]:
    xs = [0, 1] if data["x"][row] == "" else [int(data["x"][row])]
    names = ["low", "mid", "top"]
    cs = [0, 1, 2] if data["c"][row] == "" else [names.index(data["c"][row])]
    return list(itertools.product(xs, cs))


def _joint(at: Mapping[str, Any], data: Mapping[str, Array], row: int, x: int, c: int) -> float:
    """Return log p(x, c, y) of a row."""
    school, w, t = int(data["school"][row]), data["w"][row] - data["w"].mean(), data["t"][row]
    known = data["x"][data["x"] != ""].astype(float)
    mean_x = np.where(data["x"] == "", known.mean(), np.where(data["x"] == "1", 1.0, 0.0)).mean()
    eta = at["log_odds(x)"] + at["slope(x, w)"] * w + at["deviation(x, school)"][school]
    found = stats.bernoulli.logpmf(x, special.expit(eta))
    logits = np.array(
        [0.0]
        + [
            at[f"log_odds(c)[{k}]"]
            + at[f"slope(c, w)[{k}]"] * w
            + at[f"slope(c, x)[{k}]"] * (x - mean_x)
            + at[f"deviation(c, school)[{k}]"][school]
            for k in ("mid", "top")
        ]
    )
    found += special.log_softmax(logits)[c]
    mean = at["intercept"] + at["deviation(intercept, school)"][school] + at["slope(w)"] * data["w"][row]
    mean += at["effect(t)"] * t + at["interaction(t * x)"] * t * x + at["slope(x)"] * x
    mean += at["slope(c)[mid]"] * (c == 1) + at["slope(c)[top]"] * (c == 2)
    return float(found + stats.norm.logpdf(data["y"][row], mean, at["residual"]))


def _log_prior(law: Any, point: Mapping[str, Any], name: str) -> float:
    """Return the log density of a parameter whose law has numbers, or one parameter, for arguments."""
    numbers = [getattr(arg, "value", None) for arg in law.args]
    if law.distribution == "halfnormal":
        return float(np.log(2) + stats.norm.logpdf(point[name], 0, numbers[0]))
    assert law.distribution == "normal"
    assert None not in numbers, name
    return float(stats.norm.logpdf(point[name], numbers[0], numbers[1]))


def test_passes_keep_the_density(tmp_path: Path) -> None:
    made = _made(study_of("w", "x", "c"), tmp_path, drawn(60, 1))
    assert np.ptp(differences(prepare(*made), made, np.random.default_rng(5))) < 1e-5


def test_known_values_are_kept_in_new_groups(tmp_path: Path) -> None:
    """Where a row's x is known, no draw gives it another value, whatever its outcome might be."""
    from hdsl.reference.density import definitions

    data = drawn(60, 1)
    model, values = _made(study_of("w", "x", "c"), tmp_path, data)
    (margin,) = model.margins
    assert margin.mixture is not None
    point = random_point(model, values, np.random.default_rng(2))
    draws = {name: np.asarray(value)[None] for name, value in point.items()}
    share = definitions(model, values, draws, [margin.mixture.share], ("draw",))[margin.mixture.share].real[0]
    for row in range(60):
        assert int(np.sum(share[row] > -1e20)) == len(_allowed(data, row))


def test_gaps_of_a_group_s_category_are_refused(tmp_path: Path) -> None:
    data = drawn(60, 1)
    data["b"] = np.where(data["school"] == 2, "", (data["school"] % 2).astype(str))
    write_rows(tmp_path, data)
    study = (
        Study("gaps")
        .data("d.csv")
        .group("school", id="school", variables=[covariate("b", "binary", missing=True)])
        .unit("pupil", within="school", variables=[outcome("y", "real")])
        .treatment("t", off=0, on=1)
        .assign("t", to="pupil", by=bernoulli(0.5))
        .adjust("b")
    )
    derived = driver.derive(study, data=str(tmp_path / "d.csv"))
    assert [d.message for d in derived.diagnostics if d.code == "HDM636"] == [
        "Gaps of `b`, a binary of each school, are not modelled."
    ]


def test_outcomes_without_a_density_to_sum_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, drawn(60, 1))
    derived = driver.derive(study_of("x").family("y", "student"), data=str(tmp_path / "d.csv"))
    assert "HDM636" in [d.code for d in derived.diagnostics]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_truth_is_recovered(tmp_path: Path) -> None:
    """40 data sets with x lost where the outcome is large: estimates lie around the truth, intervals hold it."""
    away = []
    for seed in range(40):
        write_rows(tmp_path, drawn(400, seed + 500, schools=20))
        settings = Settings(chains=2, draws=400, warmup=400, seed=seed)
        result = driver.run(study_of("w", "x", "c"), data=str(tmp_path / "d.csv"), settings=settings)
        values = {s.name: s for s in result.parameter_summaries if not s.index}
        truth = {"effect(t)": 2.0, "slope(x)": 1.5, "slope(w)": 0.5, "slope(c)[top]": 0.8, "slope(x, w)": 1.2}
        away.append([(values[role].mean - true) / values[role].sd for role, true in truth.items()])
    found = np.array(away)
    assert np.all(np.abs(found.mean(axis=0)) < 3.3 / np.sqrt(40))
    assert np.all(np.mean(np.abs(found) < 1.645, axis=0) > 0.9 - 3.3 * np.sqrt(0.09 / 40))


def test_the_laws_of_gaps_take_priors(tmp_path: Path) -> None:
    study = study_of("w", "x", "c").prior("slope(c, w)", "normal(0, 0.25)").prior("log_odds(x)", "normal(1, 2)")
    model, _ = _made(study.prior("sd(c, school)[top]", "halfnormal(0.5)"), tmp_path, drawn(60, 1))
    laws = {v.role: [getattr(arg, "value", None) for arg in v.law.args] for v in model.variables}
    assert laws["slope(c, w)[mid]"] == laws["slope(c, w)[top]"] == [0, 0.25]
    assert laws["log_odds(x)"] == [1, 2]
    assert (laws["sd(c, school)[mid]"], laws["sd(c, school)[top]"]) == ([1.0], [0.5])
