"""Agreement of posteriors: equal laws agree, and each kind of difference is found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hdsl.report.compare import agreement


def result(draws: np.ndarray) -> Any:
    """Return what `agreement` reads of a result: draws by role."""
    effects = xr.DataArray(draws, dims=("chain", "draw", "school"))
    dataset = xr.Dataset({"effect(z)[school]": effects, "effect(z)": effects[:, :, 0]})
    return SimpleNamespace(posterior={"posterior": dataset}, estimand_summaries=())


def normal(seed: int) -> np.ndarray:
    """Return 4 chains of 2,000 independent standard normals for 5 schools."""
    return np.random.default_rng(seed).normal(size=(4, 2000, 5))


@pytest.mark.parametrize("seed", range(5))
def test_draws_of_one_law_agree(seed: int) -> None:
    found = agreement({"a": result(normal(seed)), "b": result(normal(100 + seed)), "c": result(normal(200 + seed))})
    assert found.agrees
    assert len(found.differences) == 3 * 6 * 4


@pytest.mark.parametrize(
    ("change", "statistic"),
    [
        (lambda x: x + 0.2, "mean"),
        (lambda x: 1.2 * x, "sd"),
        (lambda x: np.where(x > 1.3, x + 0.6, x), "q95"),
    ],
)
def test_another_law_is_found(change: Any, statistic: str) -> None:
    found = agreement({"a": result(normal(1)), "b": result(change(normal(2)))})
    assert not found.agrees
    assert statistic in {d.statistic for d in found.differences if abs(d.z) > found.limit}


def test_correlated_draws_have_wider_errors() -> None:
    """A shift that would be found among independent draws is within the error of strongly correlated ones."""
    rng = np.random.default_rng(3)

    def walk() -> np.ndarray:
        values = np.empty((4, 2000, 5))
        values[:, 0] = rng.normal(size=(4, 5))
        for t in range(1, 2000):
            values[:, t] = 0.98 * values[:, t - 1] + np.sqrt(1 - 0.98**2) * rng.normal(size=(4, 5))
        return values

    assert agreement({"a": result(walk()), "b": result(walk())}).agrees


def test_a_constant_differs_from_another_one() -> None:
    """A quantity that does not vary is compared by its value alone."""
    still = np.zeros((4, 2000, 5))
    assert agreement({"a": result(still), "b": result(still)}).agrees
    assert not agreement({"a": result(still), "b": result(still + 1e-3)}).agrees
    varied = agreement({"a": result(still), "b": result(normal(2))})
    assert not varied.agrees
    assert {each.statistic for each in varied.differences if abs(each.z) > varied.limit} == {"sd", "q5", "q95"}


def test_the_weakest_quantity_is_told() -> None:
    """Fewer than a thousand effective draws of any quantity are too few."""
    slow = normal(1)
    slow[:, :, 2] = np.repeat(np.random.default_rng(4).normal(size=(4, 40)), 50, axis=1)
    found = agreement({"a": result(normal(2)), "b": result(slow)})
    assert found.weakest["a"].ess > 5000
    assert found.weakest["b"].quantity == "effect(z)[school] 3"
    assert found.weakest["b"].ess < 400
    assert not found.enough
    assert agreement({"a": result(normal(2)), "b": result(normal(3))}).enough
