"""Sums made by worker processes, by a Dask cluster and by Spark are those that are made here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdsl.data.stream import summed
from hdsl.data.stream_cells import Cells, load
from hdsl.driver import open_study

SCRIPTS = Path(__file__).parents[2] / "scripts"
STUDY = """study s data "part-0.parquet"
group school id "school id"
unit pupil in school { covariate x : real outcome pay : positive }
treatment z { off = "off", on = "on" }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for x  vary z across school }
"""
PARTS = ("part-0.parquet", "part-1.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study and its rows in two files: a covariate far from zero, gaps and NaN, values that have no logarithm."""
    where = tmp_path_factory.mktemp("parts")
    (where / "s.hdm").write_text(STUDY)
    rng = np.random.default_rng(1)
    rows = 4_000
    pay = np.exp(rng.normal(size=rows))
    pay[:3], pay[3] = np.nan, 0.0
    table = pa.table(
        {
            "school id": rng.integers(0, 30, rows),
            "z": np.where(rng.integers(0, 2, rows) == 1, "on", "off"),
            "x": pa.array(1e6 + rng.normal(size=rows), mask=np.arange(rows) == 7),
            "pay": pay,
        }
    )
    pq.write_table(table.slice(0, 2_500), where / PARTS[0])
    pq.write_table(table.slice(2_500), where / PARTS[1])
    return where


def sums(cells: Cells) -> dict[tuple[str, ...], tuple[float, ...]]:
    keys = [tuple(str(value) for value in row.values()) for row in cells.keys.to_pylist()]
    numbers = np.column_stack([cells.count, cells.mean + cells.shift, cells.scatter.reshape(cells.size, -1)])
    return dict(zip(keys, map(tuple, numbers.tolist()), strict=True))


def same_as_here(folder: Path, script: str, *options: str) -> None:
    """Run a script on the parts and compare its sums with those of `hdsl summarise`."""
    out = folder / f"{script}.parquet"
    command = [sys.executable, SCRIPTS / script, "s.hdm", out, *options, *PARTS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "4,000 rows" in done.stdout
    found = load(out)
    assert isinstance(found, Cells)
    study = open_study(folder / "s.hdm").study
    assert study is not None
    here = summed(study, folder, PARTS)
    assert isinstance(here, Cells)
    assert (found.digest, found.rows, dict(found.missing), dict(found.bad)) == (
        here.digest,
        here.rows,
        dict(here.missing),
        dict(here.bad),
    )
    one, other = sums(found), sums(here)
    assert one.keys() == other.keys()
    for key, numbers in one.items():
        np.testing.assert_allclose(numbers, other[key], rtol=1e-9, atol=1e-9)


def test_processes(folder: Path) -> None:
    same_as_here(folder, "sum_on_cluster.py", "--workers", "2")


@pytest.mark.skipif(find_spec("distributed") is None, reason='no Dask here: pip install "hdsl[cluster]"')
def test_dask(folder: Path) -> None:
    same_as_here(folder, "sum_on_cluster.py", "--scheduler", "local")


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("pyspark") is None or find_spec("ibis") is None or shutil.which("java") is None,
    reason='no Spark here: pip install "hdsl[spark]", and Java',
)
def test_spark(folder: Path) -> None:
    same_as_here(folder, "sum_on_spark.py")


def test_a_study_with_errors_is_not_summed_up(folder: Path) -> None:
    (folder / "wrong.hdm").write_text(STUDY.replace('id "school id"', 'id column "school id"'))
    command = [sys.executable, SCRIPTS / "sum_on_cluster.py", "wrong.hdm", "none.parquet", *PARTS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode != 0
    assert "HDM104" in done.stderr
    assert not (folder / "none.parquet").exists()
