"""Binding of mutated tables gives diagnostics, never exceptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdsl.data.bind import bind
from hdsl.diagnostics import Diagnostic
from hdsl.driver import check, derive

STUDY = """study fuzz data "d.csv"
group district id district
group school id school in district from "schools.csv" { covariate size : count }
wave term id term
unit pupil id pupil in school { covariate sex : category }
unit test in pupil * term {
  covariate x : real
  outcome   y : real
  weight    w : positive
}
treatment z { off = 0, on = 1 }
assign z to school within district by complete(0.5)
analysis { adjust for x, log(size), sex  vary x across school }
"""
HEADER = "district,school,term,pupil,sex,x,y,w,z"
ROWS = [f"{k // 8},{k // 4},{k % 2},{k // 2},{'fm'[k // 2 % 2]},{k % 3}.5,{k}.25,1,{k // 4 % 2}" for k in range(32)]
SCHOOLS = ["district,school,size", *(f"{s // 2},{s},{100 + s}" for s in range(8))]
CELLS = st.sampled_from(["", "NA", "0", "1", "-1", "x", "1e400", "2020-01-01", "é", '"', ",", "\x00", "9" * 40])
EDITS = st.lists(st.tuples(st.booleans(), st.integers(0, 32), st.integers(0, 8), CELLS), max_size=6)


def mutated(lines: list[str], edits: list[tuple[int, int, str]]) -> str:
    """Return the table with some cells replaced."""
    table = [line.split(",") for line in lines]
    for row, place, cell in edits:
        cells = table[row % len(table)]
        cells[place % len(cells)] = cell
    return "\n".join(",".join(cells) for cells in table) + "\n"


def write(folder: Path, edits: list[tuple[bool, int, int, str]]) -> Path:
    """Write the study with its two tables."""
    main = [(row, place, cell) for first, row, place, cell in edits if first]
    second = [(row, place, cell) for first, row, place, cell in edits if not first]
    (folder / "d.csv").write_text(mutated([HEADER, *ROWS], main), encoding="utf-8")
    (folder / "schools.csv").write_text(mutated(SCHOOLS, second), encoding="utf-8")
    (folder / "s.hdm").write_text(STUDY, encoding="utf-8")
    return folder / "s.hdm"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(edits=EDITS)
def test_mutated_tables_give_diagnostics(edits: list[tuple[bool, int, int, str]], tmp_path: Path) -> None:
    derived = derive(write(tmp_path, edits))
    assert all(isinstance(found, Diagnostic) for found in derived.diagnostics)
    assert derived.model is not None or any(found.severity == "error" for found in derived.diagnostics)


def test_the_unmutated_study_is_sound(tmp_path: Path) -> None:
    checked = check(write(tmp_path, []))
    assert not [found for found in checked.diagnostics if found.severity == "error"]


@pytest.mark.slow
def test_a_million_rows_bind(tmp_path: Path) -> None:
    """A million rows in 20,000 nested groups bind, with every value in its place."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    n = 1_000_000
    district, school = rng.integers(0, 200, n), rng.integers(0, 100, n)
    y = rng.normal(size=n)
    z = rng.integers(0, 2, n)
    columns = {"id": np.arange(n)[::-1].copy(), "district": district, "school": school, "z": z, "y": y}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    text = """study big data "d.parquet"
group district id district  group school id school in district
unit pupil id id in school { outcome y : real }
treatment z { off = 0, on = 1 }  assign z to pupil within school by bernoulli(0.5)
"""
    (tmp_path / "s.hdm").write_text(text)
    opened = check(tmp_path / "s.hdm", with_data=False).opened
    assert opened.study is not None
    bound, found = bind(opened.study, tmp_path)
    assert bound is not None, found
    assert bound.levels["school"].size == len(np.unique(district * 100 + school))
    np.testing.assert_array_equal(bound.variables["y"].values, y)
    means = np.bincount(bound.levels["school"].rows, y) / bound.levels["school"].counts
    wanted = y[(district == 7) & (school == 3)].mean()
    labels = list(bound.levels["school"].labels)
    assert means[labels.index("7/3")] == pytest.approx(wanted)
