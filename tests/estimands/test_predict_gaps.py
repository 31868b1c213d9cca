"""Predictions for new rows of studies whose rows are of several kinds: gaps summed out, principal strata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

from hdsl.data.bind import bind
from hdsl.design.expr import Ref, Setting
from hdsl.design.study import Study
from hdsl.diagnostics import has_errors
from hdsl.estimands.predict import NewRows, to_new_rows
from hdsl.model.derivation import model_of
from hdsl.reference.free import random_point
from tests.model import test_missing, test_missing_kinds, test_strata

ON = (Setting(treatment="t", value=Ref(name="on")),)


def _new(
    study: Study, folder: Path, columns: dict[str, list[Any]], settings: Any = ON
) -> tuple[NewRows, dict[str, Any]]:
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None
    assert not has_errors(found), found
    point = random_point(*made, np.random.default_rng(3))
    draws = {name: np.repeat(np.asarray(value)[None], 4000, axis=0) for name, value in point.items()}
    rows = to_new_rows(*made, bound, draws, columns, settings, seed=4)
    assert isinstance(rows, NewRows), rows
    return rows, {v.role: point[v.name] for v in made[0].variables}


def test_a_value_that_new_rows_do_not_tell_is_averaged_over(tmp_path: Path) -> None:
    data = test_missing_kinds.drawn(60, 1)
    test_missing_kinds.write_rows(tmp_path, data)
    columns = {"school": [3, 3], "w": [0.5, 0.5], "x": ["1", ""]}
    study = test_missing_kinds.study_of("w", "x")
    rows, at = _new(study, tmp_path, columns)
    found = rows.predicted(ON, "expected", 5)
    base = at["intercept"] + at["deviation(intercept, school)"][3] + at["effect(t)"] + at["slope(w)"] * 0.5
    assert found[:, 0] == pytest.approx(base + at["slope(x)"])
    odds = at["log_odds(x)"] + at["slope(x, w)"] * (0.5 - data["w"].mean()) + at["deviation(x, school)"][3]
    share = (
        np.mean(found[:, 1] > base + at["slope(x)"] / 2)
        if at["slope(x)"] > 0
        else np.mean(found[:, 1] < base + at["slope(x)"] / 2)
    )
    assert share == pytest.approx(special.expit(odds), abs=4 * np.sqrt(0.25 / 4000))


def test_known_values_of_new_rows_stand_for_gaps(tmp_path: Path) -> None:
    test_missing.write_rows(tmp_path, test_missing.drawn(50, 1))
    settings = (Setting(treatment="z", value=Ref(name="on")),)
    columns = {"school": [2, 2], "w": [0.0, 1.0], "x": [1.0, -2.0], "c": [2.0, 3.0]}
    rows, at = _new(test_missing.study_of("w", "x", "log(c)"), tmp_path, columns, settings)
    found = rows.predicted(settings, "expected", 5)[0]
    base = at["intercept"] + at["deviation(intercept, school)"][2] + at["effect(z)"]
    logs = at["slope(log(c))"] * np.log([2.0, 3.0])
    expected = base + at["slope(w)"] * np.array([0, 1]) + at["slope(x)"] * np.array([1, -2]) + logs
    assert found == pytest.approx(expected)


def test_new_rows_without_a_number_that_had_gaps_are_refused(tmp_path: Path) -> None:
    from hdsl.estimands.rows import EstimandError

    test_missing.write_rows(tmp_path, test_missing.drawn(50, 1))
    settings = (Setting(treatment="z", value=Ref(name="on")),)
    with pytest.raises(EstimandError, match="no value of: x"):
        _new(test_missing.study_of("w", "x"), tmp_path, {"school": [2], "w": [0.0], "c": [1.0]}, settings)


def test_new_rows_are_of_the_strata_by_their_shares(tmp_path: Path) -> None:
    test_strata.write(tmp_path / "d.csv", test_strata.drawn(40, 3))
    settings = (Setting(treatment="z", value=Ref(name="yes")),)
    rows, at = _new(test_strata.study_of(), tmp_path, {"site": [1], "x": [0.3]}, settings)
    found = rows.predicted(settings, "expected", 5)[:, 0]
    base = at["slope(x)"] * 0.3 + at["deviation(intercept, site)"][1]
    effects = {name: at["effect(z)[complier]"] if name == "complier" else 0.0 for name in test_strata.STRATA}
    means = [base + at[f"intercept[{name}]"] + effects[name] for name in test_strata.STRATA]
    assert set(np.round(found, 8)) <= set(np.round(means, 8))
    assert len(set(np.round(found, 8))) > 1
