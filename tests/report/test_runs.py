"""Kept runs: the same run is recalled, another one is not, and half a run is none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from hdsl import Result, Settings, StudyError, run
from hdsl.cli import main
from hdsl.inference import posterior
from hdsl.report import runs as kept
from tests.report.made import STUDY, write

QUICK = ("--chains", "1", "--draws", "60", "--warmup", "60")


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HDSL_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return write(tmp_path)


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def again(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["run", "tutoring.hdm", "--json", *QUICK, *arguments]) in (0, 3)
    return said(capsys)


def test_an_unchanged_run_is_recalled_and_says_so(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = again(capsys)
    assert first["recalled"] is None
    assert Path(first["saved"]).parent == Path(".hdsl/tutoring")
    second = again(capsys)
    assert second["recalled"]
    assert {**second, "recalled": None} == first
    assert main(["run", "tutoring.hdm", *QUICK]) in (0, 3)
    assert "Recalled: nothing has changed" in capsys.readouterr().out
    assert again(capsys, "--fresh")["recalled"] is None
    assert (study.parent / ".hdsl" / ".gitignore").read_text() == "*\n"


def test_another_study_data_or_setting_is_another_run(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again(capsys)
    assert again(capsys, "--seed", "7")["recalled"] is None
    assert again(capsys, "--target-accept", "0.9")["recalled"] is None
    study.write_text(STUDY.replace("pretest, poverty", "pretest"))
    assert again(capsys)["recalled"] is None
    table = study.with_name("tutoring.csv")
    table.write_text(table.read_text().replace("s8", "s9"))
    assert again(capsys)["recalled"] is None
    table.write_text(table.read_text().rsplit("\n", 2)[0])
    assert again(capsys)["recalled"] is None
    assert len(kept.runs_in(kept.folders([study]))) == 6


def test_words_that_change_nothing_do_not_run_it_anew(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again(capsys)
    study.write_text("# a comment\n" + STUDY.replace("randomised within schools", "another title"))
    found = run(study, settings=Settings(chains=1, draws=60, warmup=60), runs=True)
    assert found.recalled
    assert found.heading.startswith("tutoring: Tutoring, another title\n")
    assert found.study.title == "Tutoring, another title"
    assert found.source is not None
    assert found.source.text.startswith("# a comment")


def test_a_recalled_run_is_whole(study: Path) -> None:
    settings = Settings(chains=1, draws=60, warmup=60)
    first, second = run(study, settings=settings, runs=True), run(study, settings=settings, runs=True)
    assert second.recalled
    assert first.estimands.equals(second.estimands)
    assert first.effects("tutor", by="school").equals(second.effects("tutor", by="school"))
    np.testing.assert_array_equal(first.predict_draws().values, second.predict_draws().values)


def test_another_version_of_the_code_runs_anew(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(chains=1, draws=60, warmup=60)
    run(study, settings=settings, runs=True)
    monkeypatch.setattr(kept, "_code", lambda backend: "other")
    assert run(study, settings=settings, runs=True).recalled == ""


def test_another_version_of_a_library_runs_anew(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(chains=1, draws=60, warmup=60)
    run(study, settings=settings, runs=True)
    assert run(study, settings=settings, runs=True).recalled
    monkeypatch.setattr(kept, "version", lambda name: "99.0" if name == "numpy" else "1.0")
    assert run(study, settings=settings, runs=True).recalled == ""


class TestHalfRuns:
    def damage(self, folder: Path, how: str) -> None:
        (file,), (note,) = folder.glob("*.nc"), folder.glob("*.json")
        if how == "no note":
            note.unlink()
        elif how == "no file":
            file.unlink()
        elif how == "cut note":
            note.write_text(note.read_text()[:40])
        elif how == "cut file":
            file.write_bytes(file.read_bytes()[:-100])
        else:
            content = file.read_bytes()
            file.write_bytes(b"\0" * len(content))

    @pytest.mark.parametrize("how", ["no note", "no file", "cut note", "cut file", "zeros"])
    def test_it_is_run_anew(self, how: str, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        first = again(capsys)
        self.damage(study.parent / ".hdsl" / "tutoring", how)
        second = again(capsys)
        assert second["recalled"] is None
        assert second["estimands"] == first["estimands"]
        assert again(capsys)["recalled"]

    def test_a_killed_run_leaves_none(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "HDSL_RUNS"}
        command = [sys.executable, "-m", "hdsl.cli", "run", "tutoring.hdm", "--inference", "nuts", "--draws", "1000000"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(4)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert kept.runs_in(kept.folders([study])) == []
        assert again(capsys)["recalled"] is None

    def test_damage_inside_a_result_is_seen(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = Path(again(capsys)["saved"])
        content, places = file.read_bytes(), np.random.default_rng(5)
        for start in (0, len(content) - 1, *places.integers(0, len(content) - 200, 20).tolist()):
            other = bytes(255 - byte for byte in content[start : start + 200])
            file.write_bytes(content[:start] + other + content[start + len(other) :])
            with pytest.raises(StudyError) as refused:
                Result.load(file)
            assert [each.code for each in refused.value.diagnostics] == ["HDM117"]
        assert again(capsys)["recalled"] is None
        assert again(capsys)["recalled"]

    def test_other_programs_read_a_result(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = again(capsys)["saved"]
        with xr.open_datatree(file, engine="netcdf4") as tree, netCDF4.Dataset(file) as plain:
            assert "effect(tutor)" in tree["posterior"].data_vars
            assert "posterior" in plain.groups

    def test_what_a_killed_run_left_is_removed(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = study.parent / ".hdsl" / "tutoring"
        folder.mkdir(parents=True)
        (folder / ".0123456789abcdef.nc.99999999.part").write_bytes(b"left")
        (folder / f".0123456789abcdef.nc.{os.getpid()}.part").write_bytes(b"being written")
        again(capsys)
        assert [path.name for path in folder.glob("*.part")] == [f".0123456789abcdef.nc.{os.getpid()}.part"]


class TestCommands:
    def test_runs_are_listed_newest_first(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["runs"]) == 0
        assert capsys.readouterr().out == "No runs are kept here.\n"
        again(capsys)
        again(capsys, "--seed", "3")
        for place in ("tutoring.hdm", ".", ".hdsl"):
            assert main(["runs", place, "--json"]) == 0
            assert sorted(each["seed"] for each in said(capsys)["runs"]) == [1, 3]
        assert main(["runs"]) == 0
        assert capsys.readouterr().out.count("tutoring.hdm  numpyro, 1 x 60 draws") == 2

    def test_cleaning_keeps_the_newest_and_removes_leftovers(
        self, study: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        again(capsys)
        again(capsys, "--seed", "3")
        folder = study.parent / ".hdsl" / "tutoring"
        notes = sorted(folder.glob("*.json"))
        content = json.loads(notes[0].read_text())
        notes[0].write_text(json.dumps({**content, "written": "2001-01-01T00:00:00+00:00"}))
        (folder / f".{content['key']}.nc.99999999.part").write_bytes(b"left by a killed run")
        (folder / f".{content['key']}.nc.{os.getpid()}.part").write_bytes(b"being written")
        (folder / "notes.txt").write_text("mine")
        assert main(["runs", "clean", "--json"]) == 0
        removed = said(capsys)
        assert [each["key"] for each in removed["removed"]] == [content["key"]]
        assert removed["freed"] > content["size"]
        assert {path.suffix for path in folder.iterdir()} == {".nc", ".json", ".part", ".txt"}
        assert main(["runs", "clean", "--all"]) == 0
        assert "1 run removed" in capsys.readouterr().out
        assert sorted(path.suffix for path in folder.iterdir()) == [".part", ".txt"]

    def test_another_folder(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        found = again(capsys, "--out", "results")
        assert Path(found["saved"]).parent == Path("results/tutoring")
        assert not (study.parent / ".hdsl").exists()
        assert again(capsys, "--out", "results")["recalled"]
        assert main(["runs", "results", "--json"]) == 0
        assert len(said(capsys)["runs"]) == 1

    def test_a_folder_that_cannot_be_written_is_a_warning(
        self, study: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (study.parent / "results").write_text("a file")
        found = again(capsys, "--out", "results")
        assert ("HDM115", "warning") in {(each["code"], each["severity"]) for each in found["warnings"]}
        assert found["saved"] is None

    def test_a_full_disk_is_a_warning(
        self, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The NetCDF library raises RuntimeError then."""

        def full(*_: object, **__: object) -> None:
            raise RuntimeError("NetCDF: HDF error")

        monkeypatch.setattr(posterior, "write", full)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
        found = again(capsys)
        (told,) = (each for each in found["warnings"] if each["code"] == "HDM115")
        assert "No space left on device" in told["message"]
        assert found["saved"] is None
        assert main(["run", "tutoring.hdm", *QUICK, "--out", "x.nc", "--json"]) == 1
        shown = said(capsys)
        assert shown["estimands"] == found["estimands"]
        assert ("HDM115", "error") in {(each["code"], each["severity"]) for each in shown["warnings"]}

    def test_runs_that_cannot_be_removed(
        self, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        again(capsys)

        def fixed(path: Path, missing_ok: bool = False) -> None:
            raise OSError(30, "Read-only file system", str(path))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", fixed)
            assert main(["runs", "clean", "--all", "--json"]) == 1
        (told,) = said(capsys)["diagnostics"]
        assert told["code"] == "HDM115"
        assert "Read-only file system" in told["message"]

    def test_fewer_than_no_runs_are_not_kept(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        again(capsys)
        assert main(["runs", "clean", "--keep", "-1", "--json"]) == 2
        assert len(kept.runs_in(kept.folders([study]))) == 1

    def test_what_is_not_there(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["runs", "none.hdm", "--json"]) == 1
        assert said(capsys)["diagnostics"][0]["code"] == "HDM101"

    def test_it_can_be_switched_off(
        self, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("HDSL_RUNS", "off")
        assert again(capsys)["saved"] is None
        assert not (study.parent / ".hdsl").exists()
