"""Calibrated weights: what they balance, how near they stay to inverse probabilities, and what no weights can."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hdsl.inference.calibrated import tilting
from hdsl.model.derive.calibration import Calibration, calibrated, calibration

Reals = NDArray[np.float64]
GROUPS, EACH = 8, 10


def _units(seed: int = 1) -> tuple[Reals, NDArray[np.int64], Reals, Reals]:
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(GROUPS), EACH)
    x = rng.normal(size=(GROUPS * EACH, 2)) + rng.normal(size=GROUPS)[groups, None]
    treated = (rng.random(len(groups)) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    treated[:EACH] = 0.0
    treated[EACH : 2 * EACH] = np.arange(EACH) == 0
    return treated, groups, x, rng.uniform(0.5, 2.0, len(groups))


def _calibration(base: Reals | None = None) -> tuple[Reals, Reals, Calibration, Reals]:
    treated, groups, x, weight = _units()
    base = np.ones(len(groups)) if base is None else weight
    to = calibration(treated, groups, [x[:, 0], x[:, 1]], base)
    chance = np.clip(1 / (1 + np.exp(-x[:, 0])), 0.1, 0.9)
    return np.where(treated == 1, 1 / chance, 1 / (1 - chance)), treated, to, x


@pytest.mark.parametrize("weighted", [False, True])
def test_arms_have_the_sizes_of_groups_and_the_totals_of_terms(weighted: bool) -> None:
    raw, treated, to, x = _calibration(np.ones(1) if weighted else None)
    found = calibrated(raw, treated, to) * to.base
    assert np.all(found[to.groups == 0] == 0)
    for arm in (0, 1):
        own = to.compared & (treated == arm)
        assert np.all(found[own] > 0)
        sizes = to.sums(to.base, to.compared)
        np.testing.assert_allclose(to.sums(found, own), sizes, rtol=1e-8)
        totals = to.base[to.compared] @ x[to.compared]
        np.testing.assert_allclose(found[own] @ x[own], totals, atol=1e-3)


def test_weights_are_tilted_and_not_more() -> None:
    """The log of the change is linear in groups and terms: that of least entropy (Hainmueller 2012, equation 8)."""
    raw, treated, to, x = _calibration()
    own = to.compared & (treated == 0)
    changed = np.log(calibrated(raw, treated, to)[own] / raw[own])
    design = np.column_stack([np.eye(GROUPS)[to.groups[own]], x[own]])
    fitted = design @ np.linalg.lstsq(design, changed, rcond=None)[0]
    np.testing.assert_allclose(fitted, changed, atol=1e-6)


def test_terms_that_no_weights_balance_leave_the_groups_balanced() -> None:
    raw, treated, to, _ = _calibration()
    apart = calibration(treated, to.groups, [np.asarray(treated * 5 + to.groups, np.float64)], to.base)
    found = calibrated(raw, treated, apart)
    np.testing.assert_allclose(apart.sums(found, treated == 1)[1:], EACH, rtol=1e-8)


def test_terms_of_groups_and_repeated_terms_are_left_to_the_groups() -> None:
    _, treated, to, x = _calibration()
    found = calibration(treated, to.groups, [x[:, 0], 2 * x[:, 0], to.groups.astype(np.float64)], to.base)
    assert found.columns.shape[1] == 1


def test_a_score_that_terms_explain_is_no_noise() -> None:
    """Weights balance the terms, so that an outcome of these alone has an effect of zero without error."""
    raw, treated, to, x = _calibration()
    weights = calibrated(raw, treated, to)
    within = to.columns @ np.linalg.lstsq(to.columns, np.where(to.compared, x[:, 0], 0.0), rcond=None)[0]
    score = (weights * within)[:, None] * np.column_stack([treated, 1 - treated])
    total = score + tilting(score, weights, treated, to)
    contrast = total[:, 0] - total[:, 1]
    before = score[:, 0] - score[:, 1]
    assert np.sum(contrast**2) < 0.02 * np.sum(before**2)
