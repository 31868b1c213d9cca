"""Effects on some occasions that are averaged over others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.diagnostics import Diagnostic
from tests.checks.studies import edited
from tests.checks.test_data import findings

PANEL = """
study s
data "d.csv"
unit person id person
wave month id month
unit visit in person * month { covariate x : real  outcome y : real }
treatment z { off = 0, on = 1 }
assign z to visit by ignorable(x)
"""
NUMBER = 80
RANDOM = np.random.default_rng(8)
COLUMNS = {
    "person": np.arange(NUMBER) // 4,
    "month": np.array([1, 2, 4, 8])[np.arange(NUMBER) % 4],
    "x": RANDOM.normal(size=NUMBER).round(3),
    "z": RANDOM.integers(0, 2, NUMBER),
    "y": RANDOM.normal(size=NUMBER).round(3),
}


def told(folder: Path, *edits: str) -> list[Diagnostic]:
    return [d for d in findings(folder, edited(PANEL, *edits), COLUMNS) if d.code == "HDM509"]


@pytest.mark.parametrize(
    ("value", "how"),
    [
        ("average over visit of y(z = on at month 4) - y(z = off at month 4)", "where month = 4`"),
        ("average over person of y(z = on at month 4) - y(z = off at month 4)", "over person where month = 4`"),
        ("average over visit of y(z = on at month 2..4) - y(z = off at month 2..4)", "month >= 2 and month <= 4`"),
        ("average over visit of y(z = on at month 2..8) - y(z = off at month 2..8)", "where month >= 2`"),
        ("average over visit of y(z = on at month 1, z = on at month 2)", "month >= 1 and month <= 2`"),
        ("(share over visit of y(z = on at month 8) > 1) - (share over visit of y(z = off) > 1)", "month = 8`"),
    ],
)
def test_an_average_over_occasions_that_nothing_changes(value: str, how: str, tmp_path: Path) -> None:
    (found,) = told(tmp_path, f"estimand e = {value}")
    assert found.severity == "warning"
    assert how in found.help


@pytest.mark.parametrize(
    "estimand",
    [
        "e = average over visit where month = 4 of y(z = on at month 4) - y(z = off at month 4)",
        "e = average over visit where x > 0 and month >= 4 of y(z = on at month 4) - y(z = off at month 4)",
        "e[month] = average over visit of y(z = on at month 4) - y(z = off at month 4)",
        "e = average over visit of y(z = on at month 1..8) - y(z = off at month 1..8)",
        "e = average over visit of y(z = on at month 1..2, z = on at month 4..8)",
        "e = average over visit of y(z = on) - y(z = off)",
    ],
)
def test_what_is_restricted_or_changes_everywhere_is_no_finding(estimand: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"estimand {estimand}") == []


def test_lagged_effects_go_on_after_the_occasion(tmp_path: Path) -> None:
    lagged = "analysis { adjust for lag(z) }"
    first = "estimand e = average over visit of y(z = on at month 1) - y(z = off at month 1)"
    later = "estimand e = average over visit of y(z = on at month 4) - y(z = off at month 4)"
    assert told(tmp_path, lagged, first) == []
    (found,) = told(tmp_path, lagged, later)
    assert "only 2 of them" in found.message
    assert "month >= 4`" in found.help
