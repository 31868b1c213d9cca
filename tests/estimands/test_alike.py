"""Averages over kinds of rows are those over the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hdsl.driver import check, derive
from hdsl.estimands import alike
from hdsl.estimands.compute import compute
from hdsl.reference.simulate import prior_draw

STUDY = """study s data "rows.csv"
group district id district
group school id school in district
unit pupil in school { covariate x : count weight wt : positive outcome b : binary }
treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for x  vary z across school }
estimand whole = average over pupil of b(z = on) - b(z = off)
estimand treated = average over pupil where z = on of b(z = on) - b(z = off)
estimand site[school] = average over pupil of b(z = on) - b(z = off)
estimand ratio = (average over pupil of b(z = on)) / (average over pupil of b(z = off))
estimand schools = average over school of 2 * b(z = on)
estimand fresh = average over population pupil of b(z = on) - b(z = off)
"""


def _rows(folder: Path, rows: int, seed: int = 5) -> None:
    rng = np.random.default_rng(seed)
    school = rng.integers(0, 12, rows)
    columns = {
        "district": school // 4,
        "school": school,
        "x": rng.integers(0, 3, rows),
        "wt": rng.integers(1, 4, rows) / 2,
        "z": rng.integers(0, 2, rows),
        "b": rng.integers(0, 2, rows),
    }
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "rows.csv").write_text("\n".join(lines))
    (folder / "s.hdm").write_text(STUDY)


def test_averages_are_those_over_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _rows(tmp_path, 700)
    derived = derive(tmp_path / "s.hdm")
    assert derived.model is not None
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    flat = prior_draw(derived.model, derived.data, np.random.default_rng(1), draws=20)
    draws = {name: value.reshape(2, 10, *value.shape[1:]) for name, value in flat.items()}
    sizes: list[int] = []
    real = alike.distinct

    def counted(columns: object, rows: int, most: int) -> object:
        found = real(columns, rows, most)  # pyright: ignore[reportArgumentType]
        sizes.append(0 if found is None else len(found[1]))
        return found

    monkeypatch.setattr(alike, "distinct", counted)
    estimands = bound.study.estimands
    found = compute(estimands, derived.model, derived.data, bound, draws, seed=3)
    assert len(sizes) == 7
    assert all(0 < size <= 12 * 3 * 2 for size in sizes)
    monkeypatch.setattr(alike, "LEAST_ROWS", 10_000)
    expected = compute(estimands, derived.model, derived.data, bound, draws, seed=3)
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one.draws, other.draws, rtol=1e-10, err_msg=one.name)


def test_rows_of_different_covariates_are_apart(tmp_path: Path) -> None:
    """Few rows are alike where a covariate differs between all of them: the estimand is that of the rows."""
    _rows(tmp_path, 700)
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    places = [line.split(",") for line in lines[1:]]
    changed = [",".join([*place[:2], str(number), *place[3:]]) for number, place in enumerate(places)]
    (tmp_path / "rows.csv").write_text("\n".join([lines[0], *changed]))
    checked = check(tmp_path / "s.hdm")
    assert not checked.failed
    derived = derive(tmp_path / "s.hdm")
    assert derived.model is not None
    assert derived.data is not None
    assert checked.bound is not None
    flat = prior_draw(derived.model, derived.data, np.random.default_rng(1), draws=4)
    draws = {name: value.reshape(1, 4, *value.shape[1:]) for name, value in flat.items()}
    (whole,) = (
        c
        for c in compute(checked.bound.study.estimands, derived.model, derived.data, checked.bound, draws, 3)
        if c.name == "whole"
    )
    assert whole.draws.shape == (1, 4)
    assert np.all(np.isfinite(whole.draws))
