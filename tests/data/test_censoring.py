"""What a 1 in the column of a censored duration stands for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.data.bind import bind
from hdsl.design.censoring import is_plain, one_means
from hdsl.design.parts import outcome
from hdsl.design.study import Study

EVENTS = ["event", "Event", "died", "dead_at_end", "relapse.event", "uncensored", "not_censored", "event seen"]
CENSORED = ["cens", "Censored", "is_censored", "right-censored", "delta", "x", "eventual", "deadline"]


@pytest.mark.parametrize("column", EVENTS)
def test_named_after_the_event(column: str) -> None:
    assert one_means(column) == "event"
    assert is_plain(column)


@pytest.mark.parametrize("column", CENSORED)
def test_otherwise_as_the_words_say(column: str) -> None:
    assert one_means(column) == "censored"
    assert is_plain(column) == ("cens" in column.lower())


def test_a_status_is_an_event_in_doubt() -> None:
    assert one_means("vital_status") == "event"
    assert not is_plain("vital_status")


@pytest.mark.parametrize(("column", "seen"), [("died", [1, 0, 1]), ("censored", [0, 1, 0])])
def test_what_is_bound(column: str, seen: list[int], tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(f"weeks,{column}\n3,1\n5,0\n2,1\n")
    study = Study("s").data("d.csv").unit("patient", variables=[outcome("weeks", f"duration censored by {column}")])
    bound, problems = bind(study, tmp_path)
    assert bound is not None, problems
    np.testing.assert_array_equal(bound.variables["weeks"].event, seen)
