"""Intervals of two-stage fits: against sandwiches written out by hand, and where they are left as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hdsl.driver import run
from hdsl.inference.fit import Fit
from hdsl.inference.propensity import SCORE_DRAWS, Staged
from hdsl.inference.stages import CORRECTED, fit_in_stages
from tests.inference.test_propensity import SETTINGS, opened, simulated, write

TERMS = ("x", "w")
Equations = Callable[[np.ndarray], np.ndarray]


def expit(eta: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-eta))


def equations(data: dict[str, np.ndarray], use: str, adjusted: bool, binary: bool) -> tuple[Equations, int]:
    """Return what each unit adds to the equations of both stages, and how many of these are of the first."""
    z, y = data["z"], data["y"]
    terms = [data[term] for term in TERMS]
    first = np.column_stack([np.ones(len(z)), *terms])

    def each(theta: np.ndarray) -> np.ndarray:
        log_odds = first @ theta[:3]
        chance = expit(log_odds)
        weight = np.where(z == 1, 1 / chance, 1 / (1 - chance)) if use == "weight" else np.ones(len(z))
        second = np.column_stack(
            [np.ones(len(z)), z, *(terms if adjusted else ()), *((log_odds,) if use == "covariate" else ())]
        )
        eta = second @ theta[3:]
        rest = y - (expit(eta) if binary else eta)
        return np.column_stack([first * (z - chance)[:, None], second * (weight * rest)[:, None]])

    return each, 3


def sandwich(each: Equations, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the root of estimating equations and its covariance A^-1 B A^-T (Stefanski & Boos 2002)."""
    from scipy.optimize import root

    def total(theta: np.ndarray) -> np.ndarray:
        return each(theta).sum(axis=0)

    found = root(total, np.zeros(size))
    assert found.success
    theta, step = found.x, 1e-5
    slopes = [(total(theta + step * e) - total(theta - step * e)) / (2 * step) for e in np.eye(size)]
    inverse = np.linalg.inv(np.column_stack(slopes))
    here = each(theta)
    return theta, inverse @ here.T @ here @ inverse.T


def by_hand(data: dict[str, np.ndarray], use: str, adjusted: bool = False, binary: bool = False) -> tuple[float, float]:
    """Return the estimate of effect(z) and its standard error, both stages solved together."""
    each, first = equations(data, use, adjusted, binary)
    theta, covariance = sandwich(each, first + 2 + 2 * adjusted + (use == "covariate"))
    return float(theta[first + 1]), float(np.sqrt(covariance[first + 1, first + 1]))


def fitted(path: Path) -> Fit:
    """Fit both stages."""
    found = fit_in_stages(*opened(path), SETTINGS)
    assert isinstance(found, Staged)
    assert len(found.chances["z"]) == SCORE_DRAWS
    return found.fit


@pytest.mark.parametrize(
    ("use", "adjusted"), [("weight", False), ("weight", True), ("covariate", False)], ids=lambda value: str(value)
)
def test_effects_have_the_standard_error_of_both_stages(tmp_path: Path, use: str, adjusted: bool) -> None:
    found = fitted(write(tmp_path, use, simulated(), more="adjust for x, w" if adjusted else ""))
    estimate, error = by_hand(simulated(), use, adjusted)
    assert found.roles["effect(z)"].mean() == pytest.approx(estimate, abs=0.25 * error)
    assert found.roles["effect(z)"].std() == pytest.approx(error, rel=0.08)
    assert found.intervals == CORRECTED


@pytest.mark.parametrize("use", ["weight", "covariate"])
def test_so_have_log_odds_of_binary_outcomes(tmp_path: Path, use: str) -> None:
    data = simulated()
    data["y"] = (data["y"] > 0.5).astype(float)
    path = write(tmp_path, use, data)
    path.write_text(path.read_text().replace("outcome y : real", "outcome y : binary"))
    found = fitted(path)
    estimate, error = by_hand(data, use, binary=True)
    assert found.roles["effect(z)"].mean() == pytest.approx(estimate, abs=0.25 * error)
    assert found.roles["effect(z)"].std() == pytest.approx(error, rel=0.08)


def test_draws_keep_the_likelihood_and_what_is_no_coefficient(tmp_path: Path) -> None:
    found = fitted(write(tmp_path, "weight", simulated()))
    assert found.likelihood is not None
    plain = found.likelihood["effect_z"]
    assert plain.mean() == pytest.approx(found.parameters["effect_z"].mean())
    assert plain.std() > 1.4 * found.parameters["effect_z"].std()
    (residual,) = (v.name for v in found.model.variables if v.role == "residual")
    assert np.array_equal(found.likelihood[residual], found.parameters[residual])


def test_groups_may_have_intercepts_and_scores_of_their_own(tmp_path: Path) -> None:
    found = fitted(write(tmp_path, "weight", simulated(seed=4, clinics=0.5), across="across clinic"))
    assert found.intervals == CORRECTED
    assert found.likelihood is not None
    assert 0.3 < found.roles["effect(z)"].std() / found.likelihood["effect_z"].std() < 1.0
    assert abs(found.roles["effect(z)"].mean() - 0.8) < 3 * found.roles["effect(z)"].std()


def test_a_treatment_of_groups_is_a_mixture_and_this_is_said(tmp_path: Path) -> None:
    data = simulated()
    path = write(tmp_path, "covariate", data, across="across clinic")
    own = np.random.default_rng(1).normal(size=15)
    lines = [f"{c},{own[c]},0,{c % 2},{y}" for c, y in zip(data["clinic"], data["y"], strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["clinic,x,w,z,y", *lines]))
    text = path.read_text().replace("group clinic id clinic", "group clinic id clinic { covariate x : real }")
    text = text.replace("covariate x : real  covariate w : real", "").replace("across clinic", "")
    path.write_text(text.replace("to patient", "to clinic").replace("ignorable(x, w)", "ignorable(x)"))
    result = run(path, settings=SETTINGS)
    assert "`z` is a treatment of groups of rows" in result.intervals
    assert f"{SCORE_DRAWS} draws of the propensity scores" in result.how
