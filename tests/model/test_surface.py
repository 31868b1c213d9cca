"""Response surfaces: what is derived, potential outcomes, refusals, and truths that the draws must cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdsl import backend as backends
from hdsl.backend import Settings, refusal
from hdsl.driver import derive, run
from hdsl.inference.choose import choose
from hdsl.model.ir import Model, ModelData
from hdsl.model.walk import distributions_used
from hdsl.reference.density import definitions

HEAD = """study s data "d.csv"
group school id school
unit pupil id pid in school {{ covariate x : real  covariate w : real  covariate few : binary  outcome {outcome} }}
treatment z {{ off = 0, on = 1 }}
assign z to pupil within school by ignorable(x, w, few)
"""
IHDP = Path(__file__).parents[1] / "cases" / "ihdp-response-surface"
ROWS = 160
NEW = "estimand e = average over population pupil of y(z = on) - y(z = off)"


def _study(folder: Path, analysis: str, outcome: str = "y : real", more: str = "") -> Path:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, ROWS))
    few, z = rng.integers(0, 2, ROWS), rng.integers(0, 2, ROWS)
    school = np.arange(ROWS) % 8
    y = 3 + np.sin(2 * x) + 2.0 * z * (x > 0) + np.repeat([0.6, -0.6], 4)[school] + 0.4 * rng.normal(size=ROWS)
    binary = (y > 3.5).astype(int)
    lines = ["pid,school,x,w,few,z,y,b"]
    lines += [f"{i},{school[i]},{x[i]},{w[i]},{few[i]},{z[i]},{y[i]},{binary[i]}" for i in range(ROWS)]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")
    path = folder / "s.hdm"
    path.write_text(HEAD.format(outcome=outcome) + f"analysis {{ {analysis} }}\n" + more)
    return path


def _derived(path: Path) -> tuple[Model, ModelData]:
    found = derive(path)
    assert found.model is not None, found.diagnostics
    assert found.data is not None
    return found.model, found.data


def _codes(path: Path) -> list[str]:
    return [each.code for each in derive(path).diagnostics if each.severity == "error"]


def test_trees_hold_intercept_slopes_and_effect(tmp_path: Path) -> None:
    model, data = _derived(_study(tmp_path, "surface of y given x, few as bart"))
    roles = {each.role for each in model.variables}
    assert {"surface(y)", "slope(w)", "residual"} <= roles
    assert not roles & {"intercept", "slope(x)", "slope(few)", "effect(z)"}
    assert "effect(z)" in {each.role for each in model.reported}
    covariates = data.values["surface_covariates"]
    assert covariates.shape == (2, ROWS, 3)
    assert np.all(covariates[0, :, 0] == 0)
    assert np.all(covariates[1, :, 0] == 1)
    assert np.array_equal(covariates[0, :, 1:], covariates[1, :, 1:])


def test_an_arm_that_is_set_takes_its_column_of_the_surface(tmp_path: Path) -> None:
    model, data = _derived(_study(tmp_path, "surface of y given x, w, few as bart pool school completely"))
    rng = np.random.default_rng(1)
    sizes = model.sizes
    point = {each.name: np.abs(rng.normal(size=[sizes[dim] for dim in each.dims])) for each in model.variables}
    slot = next(each.name for each in model.slots if each.treatment == "z")
    means: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    for arm in (0, 1):
        world = ModelData({**data.values, slot: np.full(ROWS, arm)}, data.coords)
        means.append(definitions(model, world, point)["y_predictor"].real)
    surface = point["surface_y"]
    np.testing.assert_allclose(means[1] - means[0], surface[1] - surface[0])


def test_a_process_is_written_out_as_curves(tmp_path: Path) -> None:
    model, _ = _derived(_study(tmp_path, "surface of y given x, few as gp"))
    roles = {each.role for each in model.variables}
    assert {"sd(gp(x))", "sd(z * gp(x))", "interaction(z * few)", "effect(z)", "intercept"} <= roles
    assert "bart" not in distributions_used(model)


@pytest.mark.parametrize(
    ("analysis", "outcome", "more"),
    [
        ("surface of y given x as bart vary z with w", "y : real", ""),
        ("surface of y given x as gp vary z with w", "y : real", ""),
        ("surface of y given x as bart vary z across school", "y : real", ""),
        ("surface of y given x, z as bart", "y : real", ""),
        ("surface of y given spline(x) as bart", "y : real", ""),
        ("surface of y given x as bart family y student", "y : real", ""),
        ("surface of y given x as bart", "y : real", NEW),
    ],
)
def test_misuse_is_refused_by_name(analysis: str, outcome: str, more: str, tmp_path: Path) -> None:
    assert _codes(_study(tmp_path, analysis, outcome, more)) == ["HDM667"]


def test_backends_that_draw_no_such_trees_name_those_that_do(tmp_path: Path) -> None:
    model, _ = _derived(_study(tmp_path, "surface of y given x as bart"))
    stan = backends.load("stan")
    assert not isinstance(stan, backends.Diagnostic)
    found = refusal(model, stan)
    assert found is not None
    assert found.code == "HDM604"
    assert "its sampler has no steps that draw trees" in found.message
    assert "numpyro or pymc" in (found.help or "")
    binary, _ = _derived(_study(tmp_path, "surface of b given x as bart", "b : binary"))
    found = refusal(binary, stan)
    assert found is not None
    assert "numpyro or pymc" in (found.help or "")
    for name in ("numpyro", "pymc"):
        able = backends.load(name)
        assert not isinstance(able, backends.Diagnostic)
        assert refusal(binary, able) is None


def test_links_that_trees_lack_are_refused(tmp_path: Path) -> None:
    study = _study(tmp_path, "surface of b given x as bart family b bernoulli(link = probit)", "b : binary")
    assert _codes(study) == ["HDM667"]


def test_a_package_that_is_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hdsl_numpyro

    monkeypatch.setattr(hdsl_numpyro, "find_spec", lambda name: None if name == "bartz" else name)
    model, _ = _derived(_study(tmp_path, "surface of y given x as bart"))
    found = refusal(model, hdsl_numpyro.backend)
    assert found is not None
    assert found.code == "HDM602"
    assert "hdsl[bart]" in (found.help or "")


def test_trees_are_never_integrated_out(tmp_path: Path) -> None:
    model, data = _derived(_study(tmp_path, "surface of y given x as bart"))
    assert not choose(model, data, "numpyro", Settings()).exact


@pytest.mark.slow
def test_trees_beside_groups_find_the_effect(tmp_path: Path) -> None:
    more = """estimand low = average over pupil where x < 0 of y(z = on) - y(z = off)
    estimand high = average over pupil where x > 0 of y(z = on) - y(z = off)"""
    path = _study(tmp_path, "surface of y given x, w, few as bart", more=more)
    result = run(path, settings=Settings(chains=2, draws=500, warmup=500, seed=1))
    found = {each.name: each for each in result.estimand_summaries}
    assert abs(found["low"].mean) < 4 * found["low"].sd
    assert abs(found["high"].mean - 2) < 4 * found["high"].sd
    assert found["high"].sd < 0.25
    spread = next(each for each in result.parameter_summaries if each.name == "sd(intercept, school)")
    assert 0.3 < spread.mean < 1.5


@pytest.mark.slow
def test_unit_effects_of_home_visits_are_as_near_the_truth_as_those_of_dbarts() -> None:
    """dbarts: root mean squared error 0.401, 97.6% covered, mean width 1.41 (200 trees, its own residual prior)."""
    result = run(IHDP / "bart.hdm", settings=Settings(chains=2, draws=700, warmup=500, seed=1))
    surface = np.asarray(result.posterior["parameters"]["surface_y"])
    effects = (surface[:, :, 1] - surface[:, :, 0]).reshape(-1, surface.shape[-1])
    table = np.genfromtxt(IHDP / "data.csv", delimiter=",", names=True)
    truth = table["mu1"] - table["mu0"]
    low, high = np.quantile(effects, [0.025, 0.975], axis=0)
    assert np.sqrt(np.mean((effects.mean(axis=0) - truth) ** 2)) < 1.25 * 0.400911
    assert np.mean((low <= truth) & (truth <= high)) > 0.93
    assert np.mean(high - low) < 1.25 * 1.41444
    average = np.quantile(effects.mean(axis=1), [0.025, 0.975])
    assert average[0] < 4.01607 < average[1]


BINARY_STUDY = """study s data "d.csv"
group school id school
unit pupil id pid in school { covariate x : real  covariate w : real  outcome b : binary }
treatment z { off = 0, on = 1 }
assign z to pupil within school by ignorable(x, w)
analysis { surface of b given x, w as bart }
estimand e = average over pupil of b(z = on) - b(z = off)
"""


def _binary(folder: Path, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Write 600 pupils of 20 schools and their study; return the probabilities under each arm, shape (2, pupils)."""
    rng = np.random.default_rng([90, seed])
    x, w = rng.normal(size=(2, 600))
    school, own = np.arange(600) % 20, rng.normal(0, 0.7, 20)
    z = (rng.random(600) < 1 / (1 + np.exp(-0.8 * x))).astype(int)
    off = -0.3 + 1.2 * np.sin(2 * x) + 0.5 * w + own[school]
    chances = 1 / (1 + np.exp(-np.stack([off, off + 0.5 + (x > 0)])))
    y = (rng.random(600) < chances[z, np.arange(600)]).astype(int)
    lines = [f"{i},{school[i]},{x[i]},{w[i]},{z[i]},{y[i]}" for i in range(600)]
    (folder / "d.csv").write_text("\n".join(["pid,school,x,w,z,b", *lines]) + "\n")
    (folder / "s.hdm").write_text(BINARY_STUDY)
    return chances


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trees_of_a_binary_outcome_find_the_chances(tmp_path: Path) -> None:
    """Limits were set before this seed was run, after another one had errors of 0.13 and 0.11."""
    truth = _binary(tmp_path, 2)
    settings = Settings(chains=2, draws=500, warmup=500, seed=1)
    found = {name: run(tmp_path / "s.hdm", backend=name, settings=settings) for name in ("numpyro", "pymc")}
    chances = {name: _chances(tmp_path / "s.hdm", result.posterior["parameters"]) for name, result in found.items()}
    here = chances["numpyro"]
    low, high = np.quantile(here, [0.05, 0.95], axis=0)
    assert np.sqrt(np.mean((here.mean(axis=0) - truth) ** 2)) < 0.15
    assert np.mean((low <= truth) & (truth <= high)) > 0.8
    (effect,) = found["numpyro"].estimand_summaries
    assert abs(effect.mean - np.mean(truth[1] - truth[0])) < 3 * effect.sd
    (other,) = found["pymc"].estimand_summaries
    assert abs(effect.mean - other.mean) < 2 * max(effect.sd, other.sd)
    assert np.corrcoef(here.mean(axis=0).ravel(), chances["pymc"].mean(axis=0).ravel())[0, 1] > 0.9


def _chances(path: Path, parameters: Any) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return draws of the probability of each row under each arm, shape (draws, 2, rows)."""
    model, data = _derived(path)
    draws = {v.name: np.asarray(parameters[v.name]) for v in model.variables}
    draws = {name: value.reshape(-1, *value.shape[2:]) for name, value in draws.items()}
    slot = next(each.name for each in model.slots if each.treatment == "z")
    found: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    for arm in (0, 1):
        world = ModelData({**data.values, slot: np.full(len(data.values[slot]), arm)}, data.coords)
        value = definitions(model, world, draws, ["b_predictor"], ("draw",))["b_predictor"].real
        found.append(1 / (1 + np.exp(-value)))
    return np.stack(found, axis=1)


def test_trees_stay_in_new_groups(tmp_path: Path) -> None:
    """A new group's effects are drawn; trees, a function of what rows are like, are kept."""
    from hdsl.estimands.worlds import new_groups

    model, data = _derived(_study(tmp_path, "surface of y given x, w, few as bart"))
    draws = {v.name: np.ones((3, *(model.sizes[dim] for dim in v.dims))) for v in model.variables}
    trees = next(v.name for v in model.variables if v.law.distribution == "bart")
    found = new_groups(model, data, draws, np.random.default_rng(1))
    assert np.array_equal(found[trees], draws[trees])
