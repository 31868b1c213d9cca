"""Outcomes of few values: rows are counted by all that they have, and a cell counts as often as it has rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdsl.backend import Settings
from hdsl.data.stream import bind_or_sum
from hdsl.data.stream_cells import Cells, load, merged, save
from hdsl.driver import check, derive, open_study, run
from hdsl.estimands import compute
from hdsl.reference.simulate import prior_draw
from tests.data.streamed import sums_of

STUDY = """study s data "rows.parquet"
group school id school { covariate m : real }
unit pupil id row in school { covariate few : real covariate girl : binary outcome b : binary }
treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for few }
estimand ate = average over pupil of b(z = on) - b(z = off)
"""


def _columns(rows: int = 1200) -> dict[str, Any]:
    rng = np.random.default_rng(11)
    school, z, few = rng.integers(0, 8, rows), rng.integers(0, 2, rows), rng.integers(0, 3, rows)
    eta = rng.normal(size=8)[school] - 0.5 + 0.8 * z + 0.3 * few
    return {
        "school": school,
        "m": rng.normal(size=8)[school],
        "few": few.astype(float),
        "girl": rng.integers(0, 2, rows),
        "z": z,
        "b": (rng.random(rows) < 1 / (1 + np.exp(-eta))).astype(int),
        "row": np.arange(rows),
    }


def _write(folder: Path, text: str = STUDY, parts: int = 3, **changed: Any) -> Path:
    table = pa.table({**_columns(), **changed})
    pq.write_table(table, folder / "rows.parquet")
    for i in range(parts):
        pq.write_table(table.take(pa.array(np.arange(i, table.num_rows, parts))), folder / f"part-{i}.parquet")
    (folder / "s.hdm").write_text(text)
    return folder / "s.hdm"


def _same(one: Cells, other: Cells) -> None:
    assert one.keys.to_pylist() == other.keys.to_pylist()
    assert one.lows.to_pylist() == other.lows.to_pylist()
    np.testing.assert_array_equal(one.count, other.count)
    assert one.rows == other.rows


def test_cells_are_the_counts_of_combinations(tmp_path: Path) -> None:
    found = sums_of(_write(tmp_path), "rows.parquet")
    data = _columns()
    names = ("school", "few", "z", "b")
    values, counts = np.unique(np.column_stack([data[name] for name in names]), axis=0, return_counts=True)
    wanted = {tuple(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)}
    assert set(found.keys.column_names) == set(names)
    columns = [found.keys.column(name).to_pylist() for name in names]
    assert dict(zip(zip(*columns, strict=True), found.count.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parts_add_up_in_any_order_and_are_kept_in_files(tmp_path: Path, order: Sequence[int]) -> None:
    path = _write(tmp_path)
    for i in range(3):
        save(sums_of(path, f"part-{i}.parquet"), tmp_path / f"stats-{i}.parquet")
    parts = [load(tmp_path / f"stats-{i}.parquet") for i in order]
    _same(merged([part for part in parts if isinstance(part, Cells)]), sums_of(path, "rows.parquet"))
    shards = [str(tmp_path / f"stats-{i}.parquet") for i in order]
    one, other = check(path, shards=shards).bound, check(path, stream=True).bound
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.frequency, other.frequency)  # type: ignore[arg-type]
    np.testing.assert_array_equal(one.variables["b"].values, other.variables["b"].values)


def test_a_table_of_a_database_is_counted(tmp_path: Path) -> None:
    path = _write(tmp_path)
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT * FROM read_parquet('{tmp_path / 'rows.parquet'}')")
    _same(sums_of(path, f"duckdb:///{tmp_path / 'd.duckdb'}#t"), sums_of(path, "rows.parquet"))


def test_rows_with_gaps_are_dropped_and_counted(tmp_path: Path) -> None:
    data = _columns()
    few, b = data["few"].tolist(), data["b"].tolist()
    few[3], b[5], b[6], few[6] = None, None, None, None
    path = _write(tmp_path, few=pa.array(few, pa.float64()), b=pa.array(b, pa.int64()))
    one, other = check(path, stream=False), check(path, stream=True)
    assert one.bound is not None
    assert other.bound is not None
    assert one.bound.audit.rows_used == other.bound.audit.rows_used == 1197
    assert other.bound.total == 1197
    (told,) = (d.message for d in other.diagnostics if d.code == "HDM363")
    assert told.startswith("3 of 1,200 rows are dropped: missing few in 2, b in 2")
    assert other.bound.audit.dropped == one.bound.audit.dropped


def test_values_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    b = _columns()["b"].copy()
    b[7] = 3
    path = _write(tmp_path, b=b)
    whole, counted = (check(path, stream=stream).diagnostics for stream in (False, True))
    codes = {d.code for d in whole if d.severity == "error"}
    assert codes
    assert codes == {d.code for d in counted if d.severity == "error"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("average over pupil of b(z = on) - b(z = off)", "sd over pupil of b(z = on)"),
        ("adjust for few", "adjust for few vary intercept across pupil"),
        ("adjust for few", "adjust for spline(few)"),
    ],
)
def test_what_needs_each_row_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = _write(tmp_path, STUDY.replace(old, new))
    (found,) = (d for d in check(path, stream=True).diagnostics if d.severity == "error")
    assert found.code == "HDM370"
    assert "--no-stream" in str(found.help)


def test_several_files_are_read_into_memory(tmp_path: Path) -> None:
    path = _write(tmp_path)
    study = open_study(path).study
    assert study is not None
    several = str(tmp_path / "part-*.parquet")
    bound, found = bind_or_sum(study, tmp_path, several, stream=False)
    assert bound is not None, found
    assert bound.rows == 1200
    assert bound.frequency is None
    order = np.argsort([int(label.split("/")[-1]) for label in bound.levels["pupil"].labels])
    np.testing.assert_array_equal(bound.variables["b"].values[order], _columns()["b"])
    missing, found = bind_or_sum(study, tmp_path, str(tmp_path / "none-*.parquet"), stream=False)
    assert missing is None
    assert [d.code for d in found] == ["HDM210"]


@pytest.mark.parametrize("inference", ["exact", "nuts"])
def test_the_posterior_is_that_of_all_rows(tmp_path: Path, inference: str) -> None:
    path = _write(tmp_path)
    settings = Settings(chains=2, draws=400, warmup=300, seed=3, inference=inference)  # type: ignore[arg-type]
    one, other = (run(path, backend="stan", settings=settings, stream=stream) for stream in (False, True))
    assert other.bound.frequency is not None
    a, b = (np.asarray(found.posterior["estimands"]["ate"]).ravel() for found in (one, other))
    sd = float(a.std())
    assert abs(a.mean() - b.mean()) < 0.3 * sd
    assert b.std() == pytest.approx(sd, rel=0.25)


@pytest.mark.parametrize(("kind", "test"), [("ordered", '>= "2"'), ("category", '= "3"')])
def test_shares_of_categories_are_those_of_outcomes_simulated_for_each_row(
    tmp_path: Path, kind: str, test: str
) -> None:
    text = STUDY.replace("b : binary", f"o : {kind}").split("estimand")[0]
    text += f"""estimand some = share over pupil where girl = 1 of o(z = on) {test}
estimand site[school] = share over pupil of o(z = on) {test}
"""
    label = 1 + (_columns()["few"].astype(int) + _columns()["row"]) % 3
    path = _write(tmp_path, text, o=label)
    whole, counted = derive(path, stream=False), derive(path, stream=True)
    assert whole.model is not None, whole.diagnostics
    assert whole.data is not None
    assert counted.model is not None, counted.diagnostics
    drawn = prior_draw(whole.model, whole.data, np.random.default_rng(2), draws=3)
    many = {name: np.repeat(value, 300, axis=0)[None] for name, value in drawn.items()}
    for place in (0, 1):
        one, other = (
            compute([d.checked.bound.study.estimands[place]], d.model, d.data, d.checked.bound, many, 1)[0].draws  # type: ignore
            for d in (whole, counted)
        )
        one, other = (each.reshape(3, 300, -1) for each in (one, other))
        error = one.std(axis=1) / np.sqrt(300)
        assert np.all(np.abs(one.mean(axis=1) - other.mean(axis=1)) < 5 * error + 1e-9)
        assert np.ptp(other, axis=1).max() < 1e-12


def test_several_files_that_cannot_be_summed_up_are_read_into_memory_unless_streaming_is_asked_for(
    tmp_path: Path,
) -> None:
    path = _write(tmp_path, STUDY.replace("adjust for few", "adjust for spline(few)"))
    several = str(tmp_path / "part-*.parquet")
    free, asked = check(path, several), check(path, several, stream=True)
    assert free.bound is not None
    assert free.bound.rows == 1200
    assert [d.code for d in asked.diagnostics if d.severity == "error"] == ["HDM370"]
