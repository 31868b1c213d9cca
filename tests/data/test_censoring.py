"""What the column after `duration censored by` says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.data.censoring import named_after_event
from hdsl.design.parts import outcome
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic

EVENTS = [
    "event", "Event", "died", "dead_at_end", "relapse.event", "uncensored", "not_censored", "event seen", "status",
    "vital_status", "observed", "delta",
]  # fmt: skip
OTHERS = ["cens", "Censored", "is_censored", "right-censored", "censored_event", "x", "eventual", "deadline", "dropout"]


def bound_to(folder: Path, column: str, *values: str) -> tuple[Bound | None, list[Diagnostic]]:
    rows = [f"{number + 1},{value}" for number, value in enumerate(values)]
    (folder / "d.csv").write_text("\n".join([f"weeks,{column}", *rows]), encoding="utf-8")
    kind = f"duration censored by {column}"
    return bind(Study("s").data("d.csv").unit("patient", variables=[outcome("weeks", kind)]), folder)


@pytest.mark.parametrize("column", EVENTS)
def test_named_after_the_event(column: str) -> None:
    assert named_after_event(column)


@pytest.mark.parametrize("column", OTHERS)
def test_not_named_after_the_event(column: str) -> None:
    assert not named_after_event(column)


@pytest.mark.parametrize(
    "values",
    [("1", "0", "1"), ("true", "FALSE", "True"), ("right", "none", "right"), ("censored", "event", "Censored")],
)
def test_one_is_a_duration_cut_off(values: tuple[str, ...], tmp_path: Path) -> None:
    bound, problems = bound_to(tmp_path, "lost", *values)
    assert bound is not None, problems
    assert problems == []
    np.testing.assert_array_equal(bound.variables["weeks"].event, [0, 1, 0])


@pytest.mark.parametrize("column", ["died", "status"])
def test_a_column_named_after_the_event_is_asked_about(column: str, tmp_path: Path) -> None:
    bound, (found,) = bound_to(tmp_path, column, "1", "0", "1")
    assert (found.code, found.severity, found.path) == ("HDM320", "warning", ("levels", 0, "variables", 0))
    assert f"censored = 1 - {column}" in found.help
    assert bound is not None
    np.testing.assert_array_equal(bound.variables["weeks"].event, [0, 1, 0])


def test_words_need_no_question(tmp_path: Path) -> None:
    bound, problems = bound_to(tmp_path, "status", "event", "censored", "event")
    assert bound is not None
    assert problems == []
    np.testing.assert_array_equal(bound.variables["weeks"].event, [1, 0, 1])


@pytest.mark.parametrize("other", ["2", "left", "interval", "maybe"])
def test_other_values_are_refused(other: str, tmp_path: Path) -> None:
    bound, problems = bound_to(tmp_path, "lost", "1", other, "0")
    assert bound is None
    assert [(d.code, d.rows) for d in problems] == [("HDM355", (2,))]
    assert "censored" in problems[0].help


def test_a_gap_drops_the_row(tmp_path: Path) -> None:
    bound, problems = bound_to(tmp_path, "lost", "1", "NA", "0")
    assert bound is not None
    assert [d.code for d in problems] == ["HDM363"]
    np.testing.assert_array_equal(bound.variables["weeks"].event, [0, 1])
