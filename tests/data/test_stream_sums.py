"""Sums of rows: added up in any order, exact to the last digits, kept in files, refused where they do not suffice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdsl.data.stream import bind_or_sum, summed
from hdsl.data.stream_bind import weighted_rows
from hdsl.data.stream_cells import Cells, load, merged, save
from hdsl.data.stream_plan import Plan, degree, plan_of
from hdsl.data.stream_scan import origin_of, scan
from hdsl.design.snippets import term
from hdsl.driver import check, open_study
from tests.data.streamed import columns, sums_of

STUDY = """study s data "rows.parquet"
group school id school { covariate m : real covariate type : category }
unit pupil id row in school { covariate x : real covariate girl : binary outcome y : real }
treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for x, girl, m, type vary z across school }
"""


def _write(folder: Path, parts: int = 1, text: str = STUDY, **changed: object) -> Path:
    found = columns(5, 200)
    found["row"] = np.arange(200)
    found |= changed  # type: ignore[arg-type]
    table = pa.table(found)
    pq.write_table(table, folder / "rows.parquet")
    for i in range(parts):
        pq.write_table(table.take(pa.array(np.arange(i, 200, parts))), folder / f"part-{i}.parquet")
    (folder / "s.hdm").write_text(text)
    return folder / "s.hdm"


def _same(one: Cells, other: Cells, rtol: float = 1e-12) -> None:
    assert one.keys.to_pylist() == other.keys.to_pylist()
    assert one.lows.to_pylist() == other.lows.to_pylist()
    assert one.rows == other.rows
    np.testing.assert_array_equal(one.count, other.count)
    np.testing.assert_allclose(one.mean + one.shift, other.mean + other.shift, rtol=rtol)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=1e-10, atol=rtol)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)])
def test_sums_of_parts_add_up_in_any_order(tmp_path: Path, order: Sequence[int]) -> None:
    path = _write(tmp_path, parts=4)
    whole = sums_of(path, "rows.parquet")
    parts = [sums_of(path, f"part-{i}.parquet") for i in range(4)]
    _same(merged([parts[i] for i in order]), whole)
    first = merged([parts[i] for i in order[:2]])
    second = merged([parts[i] for i in order[2:]])
    _same(merged([first, second]), whole)
    _same(merged([first, *(parts[i] for i in order[2:])]), whole)
    _same(sums_of(path, "part-*.parquet"), whole)


def test_sums_are_kept_in_files(tmp_path: Path) -> None:
    found = sums_of(_write(tmp_path), "rows.parquet")
    save(found, tmp_path / "stats.parquet")
    back = load(tmp_path / "stats.parquet")
    assert isinstance(back, Cells)
    _same(back, found, rtol=0)
    assert (back.digest, back.sha256, back.missing) == (found.digest, found.sha256, found.missing)
    other = load(tmp_path / "rows.parquet")
    assert not isinstance(other, Cells)
    assert other.code == "HDM371"


def _exact(values: np.ndarray, others: np.ndarray) -> float:
    """Return the sum of products of deviations from the means, in rational numbers."""
    a, b = [Fraction(float(v)) for v in values], [Fraction(float(v)) for v in others]
    n = len(a)
    return float(sum(p * q for p, q in zip(a, b, strict=True)) - sum(a) * sum(b) / n)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
@pytest.mark.parametrize("between", [1.0, 1e6])
def test_products_keep_their_digits(tmp_path: Path, offset: float, between: float) -> None:
    """Groups that differ a million times as much as their rows do, far from zero."""
    rng = np.random.default_rng(7)
    school = np.repeat(np.arange(5), 400)
    y = offset + between * rng.normal(size=5)[school] + rng.normal(size=2000)
    x = offset - between * rng.normal(size=5)[school] + rng.normal(size=2000)
    pq.write_table(pa.table({"school": school, "x": x, "y": y}), tmp_path / "rows.parquet")
    text = """study s data "rows.parquet" group school id school
    unit pupil in school { covariate x : real outcome y : real } analysis { adjust for x }"""
    (tmp_path / "s.hdm").write_text(text)
    whole = sums_of(tmp_path / "s.hdm", "rows.parquet")
    order = rng.permutation(2000)
    for i, part in enumerate(np.array_split(order, 7)):
        pq.write_table(pa.table({"school": school[part], "x": x[part], "y": y[part]}), tmp_path / f"part-{i}.parquet")
    added = merged([sums_of(tmp_path / "s.hdm", f"part-{i}.parquet") for i in range(7)])
    for found in (whole, added):
        for group in range(5):
            mine = school == group
            np.testing.assert_allclose(found.scatter[group, 1, 1], _exact(y[mine], y[mine]), rtol=1e-8)
            scale = np.sqrt(_exact(x[mine], x[mine]) * _exact(y[mine], y[mine]))
            np.testing.assert_allclose(found.scatter[group, 0, 1], _exact(x[mine], y[mine]), atol=1e-8 * scale)


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 8), st.floats(-6, 6))
def test_weighted_rows_have_the_means_and_products(seed: int, size: int, most: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    count = rng.integers(1, most + 1, 6).astype(float)
    data = [rng.normal(size=(int(n), size)) @ rng.normal(size=(size, size)) * 10**power for n in count]
    mean = np.stack([rows.mean(axis=0) for rows in data])
    scatter = np.stack([(rows - m).T @ (rows - m) for rows, m in zip(data, mean, strict=True)])
    points, of_row, weight = weighted_rows(count, mean, scatter)
    for cell in range(6):
        mine = of_row == cell
        assert weight[mine].sum() == pytest.approx(count[cell], rel=1e-14)
        assert mine.sum() <= count[cell]
        middle = weight[mine] @ points[mine] / count[cell]
        np.testing.assert_allclose(middle, mean[cell], rtol=1e-9, atol=1e-12 * 10**power)
        away = points[mine] - middle
        np.testing.assert_allclose(
            away.T @ (weight[mine][:, None] * away), scatter[cell], atol=1e-11 * 10 ** (2 * power)
        )


def test_what_is_wrong_with_rows_is_said(tmp_path: Path) -> None:
    x = columns(5, 200)["x"].copy()
    x[3], x[7], x[9] = np.nan, np.nan, np.inf
    path = _write(tmp_path, x=x)
    codes = {d.code: d.message for d in check(path, stream=True).diagnostics}
    assert "1 values of column 'x'" in codes["HDM351"]
    x[9] = 0.0
    found = check(_write(tmp_path, x=x), stream=True)
    codes = {d.code: d.message for d in found.diagnostics}
    assert "2 of 200 rows are dropped: missing x in 2." in codes["HDM363"]
    assert found.bound is not None
    assert found.bound.audit.rows_used == 198
    assert found.bound.audit.dropped == {"x": 2}
    assert "whether row repeats" in next(d for d in found.diagnostics if d.code == "HDM372").help


def test_gaps_of_categories_are_counted_in_rows(tmp_path: Path) -> None:
    girl = [None if i < 4 else int(i % 2) for i in range(200)]
    found = check(_write(tmp_path, girl=girl), stream=True)
    whole = check(tmp_path / "s.hdm", stream=False)
    assert found.bound is not None
    assert whole.bound is not None
    assert found.bound.audit.rows_used == whole.bound.audit.rows_used == 196
    assert found.bound.total == pytest.approx(196)


def test_what_varies_within_its_unit_is_found(tmp_path: Path) -> None:
    m = columns(5, 200)["m"].copy()
    m[50] += 1
    path = _write(tmp_path, m=m)
    for stream in (False, True):
        messages = [d.message for d in check(path, stream=stream).diagnostics if d.code == "HDM301"]
        assert messages
        assert "varies within 1 of 8 units of school" in messages[0]


REFUSED = {
    "family y student": "the family student",
    "correlate y within school as exchangeable": "correlated rows",
    "adjust for spline(x)": "lags and curves",
    "surface of y given x as gp": "response surfaces",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_needs_each_row_is_refused_by_name(tmp_path: Path, statement: str) -> None:
    path = _write(tmp_path, text=STUDY.replace("adjust for x, girl, m, type vary z across school", statement))
    study = open_study(path).study
    assert study is not None
    bound, problems = bind_or_sum(study, tmp_path, stream=True)
    assert bound is None
    assert any(d.code == "HDM370" and REFUSED[statement] in d.message for d in problems), problems


def test_rows_are_summed_up_by_default_where_they_are_many_and_the_study_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def how(text: str, **more: bool) -> bool:
        found = check(_write(tmp_path, text=text), **more)
        assert found.bound is not None, found.diagnostics
        return found.bound.frequency is not None

    terms = "adjust for x, girl, m, type vary z across school"
    assert not how(STUDY)
    monkeypatch.setattr("hdsl.data.stream.LARGE", 100)
    assert how(STUDY)
    assert not how(STUDY, stream=False)
    assert not how(STUDY.replace(terms, "family y student"))
    lognormal = STUDY.replace("y : real", "y : positive column p")
    assert not how(lognormal)
    assert how(lognormal.replace(terms, "adjust for girl"))
    assert how(lognormal, stream=True)
    monkeypatch.setattr("hdsl.data.stream_scan.MOST_CELLS", 50)
    assert not how(STUDY.replace(terms, "adjust for log(x + 9)"))
    monkeypatch.setattr("hdsl.data.stream._fits", lambda design, origin: False)
    refused = check(_write(tmp_path, text=STUDY.replace(terms, "family y student")))
    assert [d.code for d in refused.diagnostics if d.severity == "error"] == ["HDM370"]


def test_constants_may_be_true_or_false(tmp_path: Path) -> None:
    school = columns(5, 200)["school"]
    large = np.isin(school, ["s1", "s4"])
    path = _write(tmp_path, text=STUDY.replace("type : category", "type : binary"), type=large)
    found, whole = check(path, stream=True).bound, check(path, stream=False).bound
    assert found is not None
    assert whole is not None
    np.testing.assert_array_equal(found.variables["type"].values, whole.variables["type"].values)


def test_files_of_other_formats_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, text=STUDY.replace("rows.parquet", "rows.csv"))
    (tmp_path / "rows.csv").write_text("school,x\n1,2\n")
    assert [d.code for d in check(path, stream=True).diagnostics if d.severity == "error"] == ["HDM370"]


def test_shards_of_another_study_or_twice_the_same_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, parts=2)
    save(sums_of(path, "part-0.parquet"), tmp_path / "one.parquet")
    save(sums_of(path, "part-0.parquet"), tmp_path / "two.parquet")
    shards = [str(tmp_path / name) for name in ("one.parquet", "two.parquet")]
    assert [d.code for d in check(path, shards=shards).diagnostics] == ["HDM371"]
    other = _write(tmp_path, parts=2, text=STUDY.replace("adjust for x, ", "adjust for "))
    found = check(other, shards=shards[:1]).diagnostics
    assert [d.code for d in found] == ["HDM371"]
    assert "another study" in found[0].message


def test_a_table_of_duckdb_gives_the_same_sums(tmp_path: Path) -> None:
    import duckdb

    path = _write(tmp_path)
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute(f"CREATE TABLE pupils AS SELECT * FROM '{tmp_path / 'rows.parquet'}'")
    _same(sums_of(path, "duckdb:///d.duckdb#pupils"), sums_of(path, "rows.parquet"))


def test_degrees() -> None:
    measured = {"x", "w"}
    known = {"x": 1, "x * m": 1, "x * w": 2, "x / m": 1, "m / x": 99, "log(x)": 99, "log(m)": 0, "x + w * m": 1}
    known |= {"mean(x, school)": 0, "centre(x, school)": 1, "mean(x * w, school)": 99, "m * m": 0, "x ^ 2": 99}
    assert {text: degree(term(text), measured) for text in known} == known


def test_covariates_that_do_not_enter_linearly_are_keys(tmp_path: Path) -> None:
    path = _write(tmp_path, text=STUDY.replace("adjust for x, girl, m, type", "adjust for log(x + 9), girl"))
    study = open_study(path).study
    assert study is not None
    plan = plan_of(study, tuple(columns(5, 20)))
    assert isinstance(plan, Plan)
    assert "x" in plan.keys
    assert [measure.name for measure in plan.measures] == ["y"]
    origin = origin_of("rows.parquet", tmp_path)
    assert origin is not None
    cells = scan(plan, origin)
    assert isinstance(cells, Cells)
    assert cells.size == 200
    assert replace(cells, rows=0).rows == 0


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -1.0, 2.5])
@pytest.mark.parametrize("kind", ["real", "positive", "proportion", "count"])
def test_one_query_or_two(kind: str, value: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing, infinite or of another kind is found whether or not rows are first taken to be whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hdsl.data import stream_scan
    from hdsl.data.stream_cells import Cells
    from hdsl.driver import open_study

    (tmp_path / "s.hdm").write_text(
        f'study s data "rows.parquet" group school id school '
        f"unit pupil in school {{ covariate x : {kind} outcome y : real }} analysis {{ adjust for x }}"
    )
    x = [1.0, 0.5 if kind == "proportion" else 2.0, 1.0, 1.0] * 25
    pq.write_table(
        pa.table({"school": [1, 2] * 50, "x": pa.array([*x[:-1], value], pa.float64()), "y": np.arange(100.0) / 7}),
        tmp_path / "rows.parquet",
    )
    study = open_study(tmp_path / "s.hdm").study
    assert study is not None
    one = summed(study, tmp_path, ["rows.parquet"])
    monkeypatch.setattr(stream_scan, "_without_gaps", lambda *_, **__: None)
    two = summed(study, tmp_path, ["rows.parquet"])
    assert isinstance(one, Cells)
    assert isinstance(two, Cells)
    assert (one.rows, dict(one.missing), dict(one.bad)) == (two.rows, dict(two.missing), dict(two.bad))
    np.testing.assert_array_equal(one.count, two.count)
    np.testing.assert_allclose(one.scatter, two.scatter, rtol=1e-12)


def test_whole_rows_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gaps the rows are asked for their sums alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hdsl.data import stream_scan
    from hdsl.data.stream_cells import Cells
    from hdsl.driver import open_study

    (tmp_path / "s.hdm").write_text(
        'study s data "rows.parquet" group school id school '
        "unit pupil in school { covariate x : count outcome y : real } analysis { adjust for x }"
    )
    pq.write_table(
        pa.table({"school": [1, 2] * 50, "x": [3.0] * 99 + [5.0], "y": np.arange(100.0)}), tmp_path / "rows.parquet"
    )

    def never(*_: object) -> str:
        raise AssertionError("the rows were read twice")

    monkeypatch.setattr(stream_scan, "counts", never)
    study = open_study(tmp_path / "s.hdm").study
    assert study is not None
    assert isinstance(summed(study, tmp_path, ["rows.parquet"]), Cells)


@pytest.mark.parametrize(("apart", "asked"), [(3.0, ["plain"]), (1e4, ["plain", "all"])])
def test_sums_about_one_number_are_taken_where_they_keep_their_digits(
    apart: float, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups `apart` standard deviations from each other, a covariate that is constant in one, one row in another."""
    from hdsl.data import stream_scan

    rng = np.random.default_rng(3)
    school = np.array([*np.repeat(np.arange(6), 300), 6])
    y = 1e3 + apart * school + rng.normal(size=len(school))
    x = np.where(school == 2, 0.3, rng.normal(size=len(school)))
    pq.write_table(pa.table({"school": school, "x": x, "y": y}), tmp_path / "rows.parquet")
    (tmp_path / "s.hdm").write_text("""study s data "rows.parquet" group school id school
    unit pupil in school { covariate x : real outcome y : real } analysis { adjust for x }""")
    forms: list[str] = []
    query = stream_scan.sums

    def noted(plan: Plan, table: Any, shift: np.ndarray, form: Any, *, whole: bool = False) -> str:
        assert whole or form == "complete"
        forms.append(form)
        return query(plan, table, shift, form, whole=whole)

    monkeypatch.setattr(stream_scan, "sums", noted)
    found = sums_of(tmp_path / "s.hdm", "rows.parquet")
    assert forms == asked
    for group in range(6):
        mine = school == group
        np.testing.assert_allclose(found.scatter[group, 1, 1], _exact(y[mine], y[mine]), rtol=1e-11)
        scale = np.sqrt(_exact(x[mine], x[mine]) * _exact(y[mine], y[mine]))
        np.testing.assert_allclose(found.scatter[group, 0, 1], _exact(x[mine], y[mine]), atol=1e-11 * scale)
    assert np.all(found.scatter[2, 0] == 0)
    assert np.all(found.scatter[6] == 0)


def test_values_are_counted_where_files_do_not_say_whether_any_is_missing(tmp_path: Path) -> None:
    table = pa.table({"school": [1, 2] * 50, "x": pa.array([1.0, 2.0, None, 4.0] * 25), "y": np.arange(100.0)})
    (tmp_path / "s.hdm").write_text("""study s data "rows.parquet" group school id school
    unit pupil in school { covariate x : real outcome y : real } analysis { adjust for x }""")
    for statistics in (True, False):
        pq.write_table(table, tmp_path / "rows.parquet", write_statistics=statistics)
        found = sums_of(tmp_path / "s.hdm", "rows.parquet")
        assert found.missing == {"x": 25}
        assert found.count.sum() == 75
