"""Large draws lie in files: the same numbers as in memory, little memory, and a clear word where there is no room."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xarray import DataArray

from hdsl import Result, Settings, StudyError, run, storage
from hdsl.cli import main
from hdsl.inference.groups import in_process
from hdsl.report.effects import parameters
from tests.report.made import STUDY, write

SMALL = Settings(chains=2, draws=40, warmup=40, seed=3)
BY_SCHOOL = """
estimand by_school[school] = average over student of score(tutor = tutored) - score(tutor = none)
estimand spread = sd over student of score(tutor = tutored)
"""
BINARY = STUDY.replace("score   : real \"points\"", "passed : binary").replace("score(", "passed(")
LARGE = """study tutoring
data "tutoring.parquet"
group school id school
unit student in school { outcome score : real }
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by bernoulli(0.5)
analysis { vary tutor across school }
estimand ate = average over student of score(tutor = tutored) - score(tutor = none)
"""
CHILD = """
import json, resource, sys
import numpy, scipy.stats, xarray, netCDF4, pyarrow.parquet, duckdb
import hdsl, hdsl.driver, hdsl.report.finish
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
result = hdsl.run("tutoring.hdm", settings=hdsl.Settings(draws=int(sys.argv[1])), runs=True)
ate = result.estimand_summaries[0]
print(json.dumps([before, peak(), str(result.saved), ate.mean, len(result.parameter_summaries)]))
"""


def in_files(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put all draws into files, and read and write these in many small blocks."""
    monkeypatch.setenv("HDSL_DRAWS_IN_MEMORY", "0")
    monkeypatch.setenv("HDSL_DRAWS_FOLDER", str(folder))
    monkeypatch.setattr(storage, "BLOCK", 64)
    monkeypatch.setattr(storage, "ROWS", 7)


def study_in(folder: Path, kind: str) -> Path:
    path = write(folder)
    if kind == "binary":
        table = [line.split(",") for line in (folder / "tutoring.csv").read_text().split()]
        rows = [[*row[:4], "1" if float(row[4]) > 52 else "0"] for row in table[1:]]
        (folder / "tutoring.csv").write_text("\n".join(",".join(row) for row in [[*table[0][:4], "passed"], *rows]))
    path.write_text((STUDY if kind == "real" else BINARY) + (BY_SCHOOL if kind == "real" else ""))
    return path


def arrays(result: Result) -> list[DataArray]:
    groups = [result.posterior[name] for name in ("parameters", "posterior", "estimands")]
    return [values for group in groups for values in group.data_vars.values()]


def same(first: Result, second: Result) -> None:
    assert first.posterior.identical(second.posterior)
    assert first.parameter_summaries == second.parameter_summaries
    assert first.estimand_summaries == second.estimand_summaries
    assert first.diagnostics == second.diagnostics
    assert first.warnings == second.warnings


@pytest.mark.parametrize(
    ("kind", "backend", "inference"),
    [
        ("real", "numpyro", "exact"),
        ("binary", "numpyro", "exact"),
        ("real", "stan", "marginal"),
        ("real", "stan", "nuts"),
    ],
)
def test_draws_in_files_are_those_in_memory(
    kind: str, backend: str, inference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exact draws, by quadrature, effects drawn back for NUTS, and NUTS on the whole model; saved and read as well."""
    study = study_in(tmp_path, kind)
    settings = replace(SMALL, inference=inference)
    plain = run(study, backend=backend, settings=settings)
    plain.save(tmp_path / "plain.nc")
    assert not any(storage.on_disk(each.values) for each in arrays(plain))
    in_files(monkeypatch, tmp_path / "draws")
    large = run(study, backend=backend, settings=settings)
    assert all(storage.on_disk(each.values) for each in arrays(large))
    same(plain, large)
    large.save(tmp_path / "large.nc")
    for name in ("plain.nc", "large.nc"):
        found = Result.load(tmp_path / name)
        assert not any(in_process(each) for each in arrays(found))
        assert all(storage.on_disk(each) for each in parameters(found).values())
        same(plain, found)
        assert found.effects("tutor", by="school").equals(plain.effects("tutor", by="school"))
    monkeypatch.delenv("HDSL_DRAWS_IN_MEMORY")
    whole = Result.load(tmp_path / "large.nc")
    assert all(in_process(each) for each in arrays(whole))
    same(plain, whole)


def test_a_result_that_was_read_is_saved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_files(monkeypatch, tmp_path / "draws")
    first = run(study_in(tmp_path, "real"), settings=SMALL)
    first.save(tmp_path / "first.nc")
    Result.load(tmp_path / "first.nc").save(tmp_path / "second.nc")
    same(first, Result.load(tmp_path / "second.nc"))


def test_files_of_draws_have_no_name_and_go_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mapped() -> int:
        return sum(str(tmp_path) in line for line in Path("/proc/self/maps").read_text().splitlines())

    if not Path("/proc/self/maps").exists():
        pytest.skip("the maps of a process cannot be read here")
    in_files(monkeypatch, tmp_path / "draws")
    result = run(study_in(tmp_path, "real"), settings=SMALL)
    assert list((tmp_path / "draws").iterdir()) == []
    apart = {np.asarray(each).__array_interface__["data"][0] for each in arrays(result)}
    assert mapped() >= len(apart) > 5
    del result
    gc.collect()
    assert mapped() == 0


@contextmanager
def at_most(size: int) -> Generator[None]:
    """Let no file grow beyond a size: writing then fails as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space is looked for in another way here")
def test_a_full_disk_is_told_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = study_in(tmp_path, "real")
    monkeypatch.setenv("HDSL_RUNS", "off")
    in_files(monkeypatch, tmp_path / "draws")
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert main(["run", str(study), "--json", "--draws", "40"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert found["code"] == "HDM728"
    assert "No space left on device" in found["message"]
    assert list((tmp_path / "draws").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_in(tmp_path, "real")
    in_files(monkeypatch, tmp_path / "draws")
    result = run(study, settings=SMALL)
    result.save(tmp_path / "kept.nc")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HDSL_DRAWS_FOLDER", str(tmp_path / "file"))
    with pytest.raises(StudyError) as found:
        run(study, settings=SMALL)
    assert found.value.diagnostics[-1].code == "HDM728"
    loaded = Result.load(tmp_path / "kept.nc")
    assert loaded.parameter_summaries == result.parameter_summaries
    with pytest.raises(StudyError) as found:
        loaded.effects("tutor")
    assert [each.code for each in found.value.diagnostics] == ["HDM728"]


def test_a_size_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HDSL_DRAWS_IN_MEMORY", "much")
    with pytest.raises(StudyError) as found:
        run(study_in(tmp_path, "real"), settings=SMALL)
    assert found.value.diagnostics[-1].code == "HDM713"


def test_a_disk_that_fills_while_large_draws_are_saved_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_in(tmp_path, "real")
    run(study, settings=SMALL).save(tmp_path / "whole.nc")
    size = (tmp_path / "whole.nc").stat().st_size
    (tmp_path / "whole.nc").unlink()
    in_files(monkeypatch, tmp_path / "draws")
    result = run(study, settings=SMALL)
    with at_most(size - 20_000), pytest.raises(OSError, match="HDF error"):
        result.save(tmp_path / "kept.nc")
    assert not list(tmp_path.glob("*.nc"))
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is in other units elsewhere")
def test_memory_does_not_grow_with_the_draws(tmp_path: Path) -> None:
    """400 million draws of 100,000 effects and as many of their sums, 6.4 GB, drawn, summarised and saved."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    groups, rows, draws, mib = 50_000, 400_000, 1000, 1 << 20
    rng = np.random.default_rng(1)
    school, tutor = rng.integers(0, groups, rows), rng.integers(0, 2, rows)
    score = rng.normal(0, 0.5, groups)[school] + (0.3 + rng.normal(0, 0.2, groups)[school]) * tutor
    table = {"school": school, "tutor": tutor, "score": score + rng.normal(0, 1, rows)}
    pq.write_table(pa.table(table), tmp_path / "tutoring.parquet")
    (tmp_path / "tutoring.hdm").write_text(LARGE)
    environment = {**os.environ, "HDSL_DRAWS_IN_MEMORY": "64", "HDSL_DRAWS_FOLDER": str(tmp_path / "draws")}
    environment.pop("HDSL_RUNS", None)
    command = [sys.executable, "-c", CHILD, str(draws)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    before, peak, saved, ate, summaries = json.loads(done.stdout.strip().splitlines()[-1])
    held = 4 * draws * 2 * len(np.unique(school)) * 8 * 2
    limit = before + 6 * 64 * mib + 400 * rows + 3_000 * summaries
    assert limit < held / 4
    assert peak < limit
    assert (tmp_path / saved).stat().st_size > held
    assert abs(ate - 0.3) < 0.02
