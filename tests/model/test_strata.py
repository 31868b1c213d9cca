"""Principal strata: the likelihood against a sum over strata by hand, what is refused, and recovered truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, log_softmax, logsumexp

from hdsl import driver
from hdsl.backend import Settings
from hdsl.checks import check_data, check_study
from hdsl.data.bind import bind
from hdsl.design.parts import bernoulli, covariate, intermediate, outcome, weight
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.estimands.compute import compute
from hdsl.estimands.instrument import against_instrument, instrumental
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import log_likelihood, terms
from hdsl.reference.free import random_point
from tests.model.designs import Column, write
from tests.model.preserved import differences

STRATA: Mapping[str, tuple[float, float]] = {"never": (0, 0), "complier": (0, 1), "always": (1, 1)}
SPARED = ("never", "always")


def drawn(rows: int, seed: int, kind: str = "real", sites: int = 5) -> dict[str, Column]:
    g = np.random.default_rng(seed)
    site, z = np.arange(rows) % sites, g.integers(0, 2, rows)
    stratum = g.choice(3, rows, p=[0.3, 0.5, 0.2])
    d = np.choose(stratum, [np.zeros(rows, int), z, np.ones(rows, int)])
    x = g.normal(size=rows).round(3)
    mean = np.array([-2.0, 0.0, 2.0])[stratum] + 0.5 * x + np.where(stratum == 1, 1.5 * z, 0.0)
    y = {
        "real": mean + g.normal(size=rows),
        "positive": np.exp(0.3 * (mean + g.normal(size=rows))),
        "binary": g.binomial(1, expit(mean)),
        "count": g.poisson(np.exp(0.4 * mean)),
    }[kind]
    return {"site": site, "z": z, "d": d, "x": x, "y": np.round(y, 4)}


def study_of(kind: str = "real", strata: Mapping[str, tuple[float, float]] = STRATA, spared: Any = SPARED) -> Study:
    variables = [covariate("x", "real"), intermediate("d", "binary"), outcome("y", kind)]
    return (
        Study("voucher")
        .data("d.csv")
        .group("site", id="site")
        .unit("person", within="site", variables=variables)
        .treatment("z", no=0, yes=1)
        .assign("z", to="person", within="site", by=bernoulli(0.5))
        .principal("stratum", "d", under="z", strata=strata, unaffected=spared)
        .adjust("x")
    )


def _made(study: Study, folder: Path, data: Mapping[str, Column]) -> tuple[Model, ModelData]:
    write(folder / "d.csv", data)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    return made


FAMILIES = {"real": "normal", "positive": "lognormal", "binary": "bernoulli", "count": "poisson"}


def _log_density(kind: str, y: Any, eta: Any, point: Mapping[str, Any]) -> Any:
    if kind == "real":
        return stats.norm.logpdf(y, eta, point["residual"])
    if kind == "positive":
        return stats.lognorm.logpdf(y, point["residual"], scale=np.exp(eta))
    if kind == "binary":
        return stats.bernoulli.logpmf(y.astype(int), expit(eta))
    return stats.poisson.logpmf(y.astype(int), np.exp(eta))


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_likelihood_is_the_sum_over_the_strata(kind: str, tmp_path: Path) -> None:
    data = drawn(40, 3, kind)
    study = study_of(kind).family("y", "poisson") if kind == "count" else study_of(kind)
    model, values = _made(study, tmp_path, data)
    by_role = {variable.role: variable.name for variable in model.variables}
    raw = random_point(model, values, np.random.default_rng(4))
    point = {role: raw[name] for role, name in by_role.items()}
    x, z, d, site = (np.asarray(data[name], dtype=float) for name in ("x", "z", "d", "site"))
    at = site.astype(int)
    log_odds = np.zeros((len(x), 3))
    centre = values_mean(x)
    for place, name in enumerate(STRATA):
        if place:
            log_odds[:, place] = (
                point[f"log_odds({name})"]
                + point[f"log_odds({name}, x)"] * (x - centre)
                + point[f"deviation(log_odds({name}), site)"][at]
            )
    shares = log_softmax(log_odds, axis=1)
    base = point["slope(x)"] * x + point["deviation(intercept, site)"][at]
    parts = np.full((len(x), 3), -np.inf)
    for place, (name, under) in enumerate(STRATA.items()):
        effect = point["effect(z)[complier]"] if name == "complier" else 0.0
        eta = base + point[f"intercept[{name}]"] + effect * z
        possible = np.where(z == 1, under[1], under[0]) == d
        density = _log_density(kind, np.asarray(data["y"], dtype=float), eta, point)
        parts[:, place] = np.where(possible, shares[:, place] + density, -np.inf)
    expected = logsumexp(parts, axis=1)
    draws = {name: value[None] for name, value in raw.items()}
    (found,) = log_likelihood(model, values, draws).values()
    np.testing.assert_allclose(found[0], expected, rtol=1e-7)
    total = terms(model, values, raw)[model.factors[0].name].real
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-7)


def values_mean(x: Any) -> float:
    """The mean as the derivation rounds it."""
    from hdsl.model.derive.priors import rounded

    return rounded(float(np.mean(x)))


@pytest.mark.parametrize("kind", FAMILIES)
def test_passes_keep_the_density(kind: str, tmp_path: Path) -> None:
    study = study_of(kind).family("y", "poisson") if kind == "count" else study_of(kind)
    made = _made(study, tmp_path, drawn(40, 3, kind))
    assert np.ptp(differences(prepare(*made), made, np.random.default_rng(5))) < 1e-5


def _findings(study: Study, folder: Path, data: Mapping[str, Column]) -> list[Diagnostic]:
    write(folder / "d.csv", data)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    found = [*check_study(study), *check_data(study, bound)]
    told = [d for d in found if d.severity != "note"]
    return told if has_errors(told) else [*told, *model_of(bound)[1]]


def test_rows_that_no_stratum_allows_are_refused(tmp_path: Path) -> None:
    strata = {"never": (0.0, 0.0), "complier": (0.0, 1.0)}
    (found,) = _findings(study_of(strata=strata, spared=("never",)), tmp_path, drawn(60, 3))
    assert found.code == "HDM321"
    assert "z = no and d = 1" in found.message


def test_families_without_a_density_by_stratum_are_refused(tmp_path: Path) -> None:
    (found,) = _findings(study_of().family("y", "student"), tmp_path, drawn(60, 3))
    assert (found.code, "student" in found.message) == ("HDM635", True)


def test_strata_told_apart_by_shape_alone_are_warned_of(tmp_path: Path) -> None:
    assert [d.code for d in _findings(study_of(), tmp_path, drawn(60, 3))] == []
    found = _findings(study_of(spared=("always",)), tmp_path, drawn(60, 3))
    assert [d.code for d in found] == ["HDM424"]
    assert "`never`" in found[0].message


def _run(study: Study, folder: Path, data: Mapping[str, Column]) -> Any:
    write(folder / "d.csv", data)
    given = study.data(folder / "d.csv")
    for name, text in {
        "cace": "average over person where stratum = complier of y(z = yes) - y(z = no)",
        "itt": "average over person of y(z = yes) - y(z = no)",
        "compliers": "share over person of stratum = complier",
    }.items():
        given = given.estimand(name, text)
    return driver.run(given, settings=Settings(draws=500, warmup=500, chains=2))


@pytest.mark.slow
def test_truth_is_recovered(tmp_path: Path) -> None:
    result = _run(study_of(), tmp_path, drawn(3000, 8))
    found = {summary.name: summary for summary in result.estimand_summaries}
    assert abs(found["cace"].mean - 1.5) < 3.5 * found["cace"].sd < 0.6
    assert abs(found["itt"].mean - 0.75) < 0.2
    assert abs(found["compliers"].mean - 0.5) < 0.05
    assert not [d for d in result.warnings if d.code == "HDM717"]


ESTIMANDS = {
    "everybody": "average over person of y(z = yes) - y(z = no)",
    "compliers": "average over person where stratum = complier of y(z = yes) - y(z = no)",
    "new compliers": "average over population person where stratum = complier of y(z = yes)",
    "others, low x": "average over person where stratum != complier and x < 0.5 of y(z = no)",
    "how many": "share over person of stratum = always",
}


@pytest.mark.parametrize("name", ESTIMANDS)
def test_counted_cells_say_what_their_persons_say(name: str, tmp_path: Path) -> None:
    """At fixed parameters, the estimand has the same mean and spread from cells with counts as from persons."""
    g = np.random.default_rng(11)
    every = {**drawn(800, 12, "binary"), "x": g.integers(0, 2, 800), "site": np.arange(800) % 4}
    table = np.column_stack([np.asarray(column, dtype=float) for column in every.values()])
    cells, counts = np.unique(table, axis=0, return_counts=True)
    counted = {**dict(zip(every, cells.T.astype(int), strict=True)), "persons": counts}
    single = study_of("binary").estimand("wanted", ESTIMANDS[name])
    person = replace_level(single, weight("persons", "count"))
    found = [_wanted(study, tmp_path, data) for study, data in ((single, every), (person, counted))]
    one, other = found
    error = np.hypot(one.std(), other.std()) / np.sqrt(len(one))
    assert abs(one.mean() - other.mean()) < 5 * error + 1e-9
    assert other.std() == pytest.approx(one.std(), rel=0.3, abs=1e-9)


def replace_level(study: Study, extra: Any) -> Study:
    """Return the study with one more variable at the level of its rows."""
    level = study.levels[-1]
    changed = level.model_copy(update={"variables": (*level.variables, extra)})
    return study.model_copy(update={"levels": (*study.levels[:-1], changed)})


def _wanted(study: Study, folder: Path, data: Mapping[str, Column]) -> Any:
    model, values = _made(study, folder, data)
    bound, _ = bind(study, folder)
    assert bound is not None
    truth = {"intercept[never]": -1.0, "intercept[always]": 1.0, "slope(x)": 0.5, "effect(z)[complier]": 1.5}
    ones = {"sd(intercept, site)", "sd(log_odds(complier), site)", "sd(log_odds(always), site)"}
    draws = {
        v.name: np.full((1, 250, *(model.sizes[dim] for dim in v.dims)), truth.get(v.role, 0.3 * float(v.role in ones)))
        for v in model.variables
    }
    (found,) = compute(study.estimands, model, values, bound, draws, seed=5)
    return found.draws.reshape(-1)


@pytest.mark.parametrize(("effect", "codes"), [(1.5, []), (-2.0, ["HDM717"])])
def test_an_effect_far_from_the_instrument_is_warned_of(effect: float, codes: list[str], tmp_path: Path) -> None:
    """At posteriors made by hand, one round the truth and one of the wrong sign."""
    data = drawn(3000, 8)
    model, values = _made(study_of(), tmp_path, data)
    bound, _ = bind(study_of(), tmp_path)
    assert bound is not None
    truth = {"intercept[never]": -2.0, "intercept[always]": 2.0, "slope(x)": 0.5, "effect(z)[complier]": effect}
    ones = {"residual", "sd(intercept, site)", "sd(log_odds(complier), site)", "sd(log_odds(always), site)"}
    shares = {"log_odds(complier)": np.log(5 / 3), "log_odds(always)": np.log(2 / 3)}
    sizes = model.sizes
    draws = {
        v.name: np.full(
            (1, 40, *(sizes[dim] for dim in v.dims)), {**truth, **shares}.get(v.role, float(v.role in ones))
        )
        for v in model.variables
    }
    found = against_instrument(bound, model, values, draws)
    assert [d.code for d in found] == codes
    assert all(d.severity == "warning" and f"{effect:.3g}" in d.message for d in found)


def test_the_instrumental_variable_estimate_is_that_of_two_stage_least_squares(tmp_path: Path) -> None:
    data = drawn(500, 9, sites=1)
    study = study_of().model_copy(update={"assignments": ()}).assign("z", to="person", by=bernoulli(0.5))
    write(tmp_path / "d.csv", data)
    bound, problems = bind(study, tmp_path)
    assert bound is not None, problems
    z, d, y = (np.asarray(data[name], dtype=float) for name in ("z", "d", "y"))
    estimate, error = instrumental(bound, study.principals[0], "y")
    design, instruments = np.column_stack([np.ones(500), d]), np.column_stack([np.ones(500), z])
    bread = np.linalg.inv(instruments.T @ design)
    expected = bread @ instruments.T @ y
    residual = y - design @ expected
    meat = (instruments * residual[:, None] ** 2).T @ instruments
    assert estimate == pytest.approx(expected[1])
    assert error == pytest.approx(np.sqrt((bread @ meat @ bread.T)[1, 1]))
