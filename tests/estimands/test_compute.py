"""Estimands from known parameters against closed forms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hdsl.driver import derive
from hdsl.estimands import Computed, EstimandError, compute, with_defaults

HEAD = """study s data "d.csv"
group school id school
unit pupil in school { covariate x : real  outcome y : real }
treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for x  vary z across school }
"""
ALPHA, TAU, BETA, SIGMA = np.array([1.0, -2.0, 0.5]), np.array([0.3, 1.0, 2.0]), 0.7, 1.5
SCHOOL = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
X = np.array([0.1, -1.0, 0.4, 2.0, 0.3, -0.7, 0.9, 1.1, -0.2, 0.0])
Z = np.array([0, 1, 0, 1, 0, 1, 1, 0, 0, 1])


def fitted(folder: Path, estimands: str, draws: int = 400) -> list[Computed]:
    """Compute estimands with every draw at the same known parameters."""
    lines = [f"{s},{x},{z},{y}" for s, x, z, y in zip(SCHOOL, X, Z, np.arange(10.0), strict=True)]
    (folder / "d.csv").write_text("\n".join(["school,x,z,y", *lines]) + "\n")
    (folder / "s.hdm").write_text(HEAD + estimands)
    derived = derive(folder / "s.hdm")
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    known = known_values(draws)
    values = {v.name: known[v.role] for v in derived.model.variables}
    return compute(with_defaults(bound.study), derived.model, derived.data, bound, values, seed=3)


def known_values(draws: int) -> Mapping[str, np.ndarray]:
    """Return the parameters by role, repeated over 2 chains."""
    effects = np.stack([ALPHA - 0.2, TAU - 1.1], axis=-1)
    single: dict[str, object] = {
        "intercept": 0.2,
        "effect(z)": 1.1,
        "slope(x)": BETA,
        "residual": SIGMA,
        "sd(intercept, school)": 0.8,
        "sd(effect(z), school)": 0.4,
        "corr_cholesky(school)": np.array([[1.0, 0.0], [0.6, 0.8]]),
        "deviation(school)": effects,
    }
    return {role: np.broadcast_to(np.asarray(v), (2, draws, *np.shape(v))) for role, v in single.items()}


def mean_of(z: int) -> np.ndarray:
    """Return each pupil's expected outcome in an arm."""
    return ALPHA[SCHOOL] + BETA * X + TAU[SCHOOL] * z


DIFFERENCE = "y(z = on) - y(z = off)"


def test_default_is_the_average_effect_over_the_rows(tmp_path: Path) -> None:
    (found,) = fitted(tmp_path, "")
    assert found.name == "average_effect_z"
    np.testing.assert_allclose(found.draws, TAU[SCHOOL].mean())


def test_average_by_site_and_where(tmp_path: Path) -> None:
    site, treated, schools = fitted(
        tmp_path,
        f"estimand site[school] = average over pupil of {DIFFERENCE}\n"
        f"estimand att = average over pupil where z = on and x > -0.8 of {DIFFERENCE}\n"
        f"estimand schools = average over school of {DIFFERENCE}\n",
    )
    assert list(site.index["school"]) == ["0", "1", "2"]
    np.testing.assert_allclose(site.draws[0, 0], TAU)
    np.testing.assert_allclose(treated.draws, TAU[SCHOOL][(Z == 1) & (X > -0.8)].mean())
    np.testing.assert_allclose(schools.draws, TAU.mean())


def test_population_average_has_no_part_of_the_schools_seen(tmp_path: Path) -> None:
    (found,) = fitted(tmp_path, f"estimand e = average over population school of {DIFFERENCE}\n")
    np.testing.assert_allclose(found.draws, 1.1)


def test_ratio_of_averages(tmp_path: Path) -> None:
    (found,) = fitted(
        tmp_path, "estimand r = (average over pupil of y(z = on)) / (average over pupil of y(z = off))\n"
    )
    np.testing.assert_allclose(found.draws, mean_of(1).mean() / mean_of(0).mean())


def test_share_and_quantile_of_one_arm_are_those_of_the_mixture(tmp_path: Path) -> None:
    share, median = fitted(
        tmp_path,
        "estimand p = share over pupil of y(z = on) > 2\nestimand m = median over pupil of y(z = on)\n",
        draws=2000,
    )
    expected = np.mean(stats.norm.sf(2, mean_of(1), SIGMA))
    assert share.draws.mean() == pytest.approx(expected, abs=4 * 0.15 / np.sqrt(4000 * 16) + 0.002)
    grid = np.linspace(-5, 8, 20001)
    cdf = stats.norm.cdf(grid[:, None], mean_of(1), SIGMA).mean(axis=1)
    assert median.draws.mean() == pytest.approx(grid[np.searchsorted(cdf, 0.5)], abs=0.1)


def test_individual_effects_need_a_stated_correlation(tmp_path: Path) -> None:
    from hdsl.driver import check

    fitted(tmp_path, "")
    (tmp_path / "s.hdm").write_text(HEAD + f"estimand e = sd over pupil of {DIFFERENCE}\n")
    assert "HDM502" in {found.code for found in check(tmp_path / "s.hdm").diagnostics}
    (stated,) = fitted(
        tmp_path, f"estimand e = variance over pupil of {DIFFERENCE} assuming correlation = 0.5\n", draws=2000
    )
    between = np.var(TAU[SCHOOL])
    within = 2 * SIGMA**2 * (1 - 0.5) * (1 - 1 / len(X))
    assert stated.draws.mean() == pytest.approx(between + within, rel=0.02)


def test_impossible_correlation_is_refused(tmp_path: Path) -> None:
    three = "y(z = on) - 2 * y(z = off) + y()"
    with pytest.raises((EstimandError, AssertionError)):
        fitted(tmp_path, f"estimand e = sd over pupil of {three} assuming correlation = -0.9\n")
