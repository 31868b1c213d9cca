"""False findings and errors of exploratory interactions, against wide priors, by the simulation of the gallery page."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gallery" / "many_moderators.py"


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.timeout(1800)
def test_shrinking_has_fewer_false_findings_and_smaller_errors() -> None:
    found = runpy.run_path(str(PAGE))["simulate"]("one of twelve", ("wide", "horseshoe"), 8, seed=2)
    assert found["horseshoe"]["false"] < found["wide"]["false"]
    assert found["horseshoe"]["rmse"] < 0.9 * found["wide"]["rmse"]


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.timeout(1800)
def test_heredity_beats_the_horseshoe_where_it_holds() -> None:
    found = runpy.run_path(str(PAGE))["simulate"]("large from large", ("horseshoe", "heredity"), 8, seed=2)
    assert found["heredity"]["rmse"] < found["horseshoe"]["rmse"]
