"""Successes of trials that are more spread out than binomial ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from hdsl import Result, Settings, run
from hdsl.driver import derive

STUDY = """study germination
data "trays.csv"
unit tray {{ covariate x : real  outcome y : count of n }}
treatment z {{ off = 0, on = 1 }}
assign z to tray by bernoulli(0.5)
analysis {{ adjust for x  family y {family} }}
"""
TRUE = {"intercept": -0.8, "effect(z)": 0.6, "slope(x)": 0.3, "precision": 6.0}


def written(folder: Path, family: str, seed: int = 1, rows: int = 300) -> Path:
    rng = np.random.default_rng(seed)
    z, x, n = rng.integers(0, 2, rows), rng.normal(size=rows), rng.integers(5, 40, rows)
    p = 1 / (1 + np.exp(-(TRUE["intercept"] + TRUE["effect(z)"] * z + TRUE["slope(x)"] * x)))
    y = rng.binomial(n, rng.beta(p * TRUE["precision"], (1 - p) * TRUE["precision"]))
    table = np.column_stack([z, x, n, y])
    np.savetxt(folder / "trays.csv", table, delimiter=",", header="z,x,n,y", comments="")
    (folder / f"{family}.hdm").write_text(STUDY.format(family=family))
    return folder / f"{family}.hdm"


def effect_draws(result: Result, role: str) -> np.ndarray:
    return np.asarray(result.posterior["posterior"][role]).reshape(-1)


def test_the_law_and_its_reason(tmp_path: Path) -> None:
    derived = derive(written(tmp_path, "betabinomial"))
    assert derived.model is not None
    (observation,) = derived.model.observations
    assert observation.law.distribution == "betabinomial_logit"
    precision = next(v for v in derived.model.variables if v.role == "precision")
    assert precision.law.distribution == "gamma"
    assert "predicted" in precision.reason


def test_it_needs_trials(tmp_path: Path) -> None:
    path = written(tmp_path, "betabinomial")
    path.write_text(path.read_text().replace("count of n", "count"))
    found = [d for d in derive(path).diagnostics if d.code == "HDM259"]
    assert len(found) == 1
    assert "negbinomial" in (found[0].help or "")


def hessian(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-3) -> np.ndarray:
    moves = step * np.eye(len(point))
    return np.array(
        [
            [
                (function(point + a + b) - function(point + a - b) - function(point - a + b) + function(point - a - b))
                / (4 * step**2)
                for b in moves
            ]
            for a in moves
        ]
    )


@pytest.mark.slow
def test_it_agrees_with_maximum_likelihood(tmp_path: Path) -> None:
    """With 300 rows means lie within a third of a standard error of SciPy's maximum likelihood estimates."""
    path = written(tmp_path, "betabinomial")
    z, x, n, y = np.loadtxt(tmp_path / "trays.csv", delimiter=",", skiprows=1).T

    def negative(theta: np.ndarray) -> float:
        p, k = 1 / (1 + np.exp(-(theta[0] + theta[1] * z + theta[2] * x))), np.exp(theta[3])
        return -float(np.sum(stats.betabinom.logpmf(y, n, p * k, (1 - p) * k)))

    best = minimize(negative, [0.0, 0.0, 0.0, 1.0])
    errors = np.sqrt(np.diag(np.linalg.inv(hessian(negative, best.x))))
    result = run(path, settings=Settings(seed=2))
    for place, role in enumerate(("effect(z)", "slope(x)"), start=1):
        draws = effect_draws(result, role)
        assert abs(draws.mean() - best.x[place]) < 0.33 * errors[place]
        assert draws.std() == pytest.approx(errors[place], rel=0.15)
    logs = np.log(effect_draws(result, "precision"))
    assert abs(logs.mean() - best.x[3]) < 0.33 * errors[3]
    assert logs.std() == pytest.approx(errors[3], rel=0.2)


@pytest.mark.slow
def test_the_binomial_model_is_blamed_and_this_one_is_not(tmp_path: Path) -> None:
    """The check of dispersion fails for the wrong model alone, three times, and its intervals are too narrow."""
    wide: list[float] = []
    for seed in (1, 2, 3):
        found = {family: run(written(tmp_path, family, seed)) for family in ("binomial", "betabinomial")}
        verdicts = {
            family: next(c for c in each.check_fit().checks if "binomial" in c.name).passed
            for family, each in found.items()
        }
        assert verdicts == {"binomial": False, "betabinomial": True}
        wide.append(
            float(
                effect_draws(found["betabinomial"], "effect(z)").std()
                / effect_draws(found["binomial"], "effect(z)").std()
            )
        )
    assert min(wide) > 1.4
