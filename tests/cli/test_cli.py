"""The command line: exit codes, and one JSON object on standard output whatever happens."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdsl.cli import main
from hdsl.commands import run
from hdsl.commands.settings import settings_of

STUDY = """study tiny "Tutoring"
data "tiny.csv"
unit student id student {
  covariate pretest : real
  outcome score : real
}
treatment tutor { none = 0, tutored = 1 }
assign tutor to student by complete(0.5)
analysis { adjust for pretest }
estimand ate = average over student of score(tutor = tutored) - score(tutor = none)
"""
QUICK = ("--draws", "40", "--warmup", "60", "--chains", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(3)
    rows = ["student,pretest,tutor,score"]
    for student in range(40):
        pretest, tutor = random.normal(), student % 2
        rows.append(f"{student},{pretest:.3f},{tutor},{10 + pretest + 4 * tutor + random.normal():.3f}")
    (tmp_path / "tiny.csv").write_text("\n".join(rows))
    (tmp_path / "tiny.hdm").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one object on standard output, with nothing beside it."""
    out, err = capsys.readouterr()
    assert err == ""
    assert out.endswith("\n")
    assert out.count("\n") == 1
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def code(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as stop:
        return int(str(stop.code))


@pytest.mark.usefixtures("folder")
class TestCheck:
    def test_a_sound_study_is_fine(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("check", "tiny.hdm") == 0
        assert capsys.readouterr().out == "tiny.hdm: no findings.\n"
        assert code("check", "tiny.hdm", "--json") == 0
        assert said(capsys) == {"diagnostics": []}

    def test_findings_name_code_place_and_mend(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "tiny.hdm").write_text(STUDY.replace("adjust for pretest", "adjust for pretst"))
        assert code("check", "tiny.hdm", "--json") == 1
        (found,) = said(capsys)["diagnostics"]
        assert (found["code"], found["severity"], found["file"]) == ("HDM227", "error", "tiny.hdm")
        assert found["span"]["line"] == 9
        assert "pretest" in found["help"]
        assert code("check", "tiny.hdm") == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "error[HDM227]" in err
        assert "\x1b[" not in err

    @pytest.mark.parametrize(
        "edit",
        [
            ("study tiny", "stduy tiny"),
            ("none = 0,", "none = 0"),
            ("analysis {", "model { a = 1 } analysis { adjust for,"),
        ],
    )
    def test_what_may_follow_from_errors_of_syntax_is_not_told(
        self, edit: tuple[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "tiny.hdm").write_text(STUDY.replace(*edit))
        assert code("check", "tiny.hdm", "--json") == 1
        found = [d["code"] for d in said(capsys)["diagnostics"]]
        assert found
        assert all(each.startswith("HDM1") for each in found), found

    def test_a_warning_alone_is_fine(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = (folder / "tiny.csv").read_text().splitlines()
        lines[1] = lines[1].rsplit(",", 1)[0] + ",NA"
        (folder / "gaps.csv").write_text("\n".join(lines))
        assert code("check", "tiny.hdm", "--data", "gaps.csv", "--json") == 0
        assert [(d["code"], d["severity"]) for d in said(capsys)["diagnostics"]] == [("HDM363", "warning")]

    def test_what_cannot_be_derived_is_found(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "tiny.hdm").write_text(STUDY.replace("adjust for pretest", "adjust for log(pretest)"))
        assert code("check", "tiny.hdm", "--json") == 1
        checked = [d["code"] for d in said(capsys)["diagnostics"]]
        assert code("explain", "tiny.hdm", "--json") == 1
        assert checked == [d["code"] for d in said(capsys)["diagnostics"]]

    def test_without_data_only_the_text_is_looked_at(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "tiny.csv").unlink()
        assert code("check", "tiny.hdm", "--no-data", "--json") == 0
        assert said(capsys) == {"diagnostics": []}
        assert code("check", "tiny.hdm", "--json") == 1
        assert said(capsys)["diagnostics"][0]["code"] == "HDM210"


@pytest.mark.usefixtures("folder")
class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("run", "tiny.hdm", "--draws", "0"),
            ("run", "tiny.hdm", "--draws", "many"),
            ("run", "tiny.hdm", "--chains", "-1"),
            ("run", "tiny.hdm", "--target-accept", "2"),
            ("run",),
            ("rum", "tiny.hdm"),
            ("check", "tiny.hdm", "--fast"),
        ],
    )
    def test_wrong_arguments_are_2(self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
        assert code(*arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "error: " in err
        assert "Traceback" not in err
        assert "_positive" not in err
        assert code(*arguments, "--json") == 2
        assert [d["code"] for d in said(capsys)["diagnostics"]] == ["HDM116"]

    def test_no_command_shows_the_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code() == 2
        assert "check" in capsys.readouterr().out

    def test_help_and_version_are_fine(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("--help") == 0
        assert code("run", "--help", "--json") == 0
        assert code("--version") == 0
        assert "--draws" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
class TestExplain:
    def test_a_study(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("explain", "tiny.hdm", "--json") == 0
        found = said(capsys)
        assert list(found) == ["text", "model", "diagnostics"]
        assert "effect(tutor)" in found["text"]
        assert {v["role"] for v in found["model"]["statements"]} >= {"effect(tutor)", "slope(pretest)", "residual"}

    def test_a_code(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("explain", "hdm304", "--json") == 0
        found = said(capsys)
        assert found["code"] == "HDM304"
        assert found["page"].startswith("# HDM304")

    def test_a_code_that_does_not_exist(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("explain", "HDM998", "--json") == 2
        assert "HDM998" in said(capsys)["diagnostics"][0]["message"]


@pytest.mark.usefixtures("folder")
class TestCompile:
    @pytest.mark.parametrize("stage", ["ast", "study", "model", "passes", "numpyro"])
    def test_every_stage(self, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("compile", "tiny.hdm", "--emit", stage, "--json") == 0
        found = said(capsys)
        assert (found["stage"], found["diagnostics"]) == (stage, [])
        assert "tutor" in found["text"]

    def test_an_unknown_stage(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("compile", "tiny.hdm", "--emit", "tex", "--json") == 1
        found = said(capsys)
        assert found["text"] in (None, "")
        assert found["diagnostics"][0]["code"] == "HDM603"

    def test_out_is_written_with_json_too(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("compile", "tiny.hdm", "--emit", "study", "--out", "study.txt", "--json") == 0
        assert (folder / "study.txt").read_text() == said(capsys)["text"]

    @pytest.mark.parametrize("stage", ["numpyro", "pymc"])
    def test_the_data_that_a_program_reads(self, stage: str, folder: Path) -> None:
        assert code("compile", "tiny.hdm", "--emit", stage, "--out", "program.py", "--data-out", "data.npz") == 0
        with np.load(folder / "data.npz", allow_pickle=False) as arrays:
            read = set(re.findall(r'data\["(\w+)"\]', (folder / "program.py").read_text()))
            assert read
            assert read <= set(arrays.files)

    def test_the_data_that_a_stan_program_reads(self, folder: Path) -> None:
        assert code("compile", "tiny.hdm", "--emit", "stan", "--out", "tiny.stan", "--data-out", "tiny.json") == 0
        block = re.search(r"data \{(.*?)\n\}", (folder / "tiny.stan").read_text(), re.DOTALL)
        assert block is not None
        declared = re.findall(r"^  .*?(\w+);", block[1], re.MULTILINE)
        assert set(json.loads((folder / "tiny.json").read_text())) == set(declared)

    def test_a_stage_that_reads_no_data(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("compile", "tiny.hdm", "--emit", "model", "--data-out", "x.npz", "--json") == 1
        assert said(capsys)["diagnostics"][0]["code"] == "HDM603"

    def test_a_study_that_cannot_be_compiled_has_the_same_answer_with_its_data(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (folder / "no.hdm").write_text('study no data "no.csv" unit u { outcome y : real }\n')
        answers: list[dict[str, Any]] = []
        for more in ((), ("--data-out", "no.json")):
            assert code("compile", "no.hdm", "--emit", "stan", "--json", *more) == 1
            answers.append(said(capsys))
        assert answers[0] == answers[1]
        assert answers[0]["stage"] == "stan"
        assert not (folder / "no.json").exists()

    @pytest.mark.slow
    def test_a_program_runs_without_hdsl(self, folder: Path) -> None:
        assert code("compile", "tiny.hdm", "--emit", "numpyro", "--out", "program.py", "--data-out", "data.npz") == 0
        blocked = "import sys, runpy; sys.modules['hdsl'] = None; runpy.run_path('program.py', run_name='__main__')"
        command = [sys.executable, "-c", blocked, "data.npz"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert "effect_tutor" in done.stdout

    def test_a_stan_program_runs_without_hdsl(self, folder: Path) -> None:
        """By Stan alone the effect agrees with least squares."""
        assert code("compile", "tiny.hdm", "--emit", "stan", "--out", "tiny.stan", "--data-out", "tiny.json") == 0
        alone = (
            "import sys; sys.modules['hdsl'] = None\n"
            "import stanli\n"
            "model = stanli.Model(stan_file='tiny.stan', data='tiny.json')\n"
            "fit = model.sample(chains=2, warmup=300, samples=500, seed=1, refresh=0)\n"
            "print(float(fit.draws('effect_tutor').mean()))\n"
        )
        environment = {**os.environ, "STANLI_NO_INTERPRETER": "1"}
        done = subprocess.run(
            [sys.executable, "-c", alone],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        table = np.genfromtxt(folder / "tiny.csv", delimiter=",", names=True)
        predictors = np.column_stack([np.ones(40), table["pretest"], table["tutor"]])
        effect = np.linalg.lstsq(predictors, table["score"], rcond=None)[0][2]
        assert abs(float(done.stdout.split()[-1]) - effect) < 0.1

    @pytest.mark.parametrize("out", ["none/x.py", "."])
    def test_out_that_cannot_be_written(self, out: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = sorted(folder.iterdir())
        assert code("compile", "tiny.hdm", "--out", out, "--json") == 1
        assert said(capsys)["diagnostics"][0]["code"] == "HDM115"
        assert sorted(folder.iterdir()) == before


VARYING = STUDY.replace("unit student id student", "unit school id school\nunit student id student in school")


@pytest.mark.parametrize("stage", ["numpyro", "pymc", "stan"])
class TestHeadOfProgram:
    """What a reader must know of a program that is not the whole model stands at its head, and only there."""

    @staticmethod
    def _head(stage: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
        assert code("compile", "tiny.hdm", "--emit", stage, *more) == 0
        lines = capsys.readouterr().out.split("import" if stage != "stan" else "{")[0].splitlines()
        assert max(map(len, lines)) <= 100
        return " ".join(line.removeprefix("// ") for line in lines)

    def test_effects_integrated_out(self, stage: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        table = (folder / "tiny.csv").read_text().splitlines()
        rows = [f"school,{table[0]}", *(f"{number // 5},{line}" for number, line in enumerate(table[1:]))]
        (folder / "tiny.csv").write_text("\n".join(rows) + "\n")
        (folder / "tiny.hdm").write_text(VARYING)
        head = self._head(stage, capsys)
        assert "Effects are integrated out of this program: hdsl draws them back afterwards" in head
        assert "computes log_lik and replicated outcomes itself" in head
        assert "--inference nuts" in head
        assert "integrated out" not in self._head(stage, capsys, "--inference", "nuts")

    @pytest.mark.usefixtures("folder")
    def test_rows_summed_up(self, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
        head = self._head(stage, capsys)
        assert ("summed up" in head, "integrated out" in head, "--inference nuts" in head) == (True, False, True)
        assert "log_lik" not in self._head(stage, capsys, "--inference", "nuts")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("backend", ["numpyro", "stan", "pymc"])
def test_an_unknown_engine_is_a_matter_of_usage(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code("run", "tiny.hdm", "--backend", backend, "--engine", "gibbs", "--json") == 2
    (found,) = said(capsys)["diagnostics"]
    assert found["code"] == "HDM714"
    assert found["help"].startswith("Engines: ")
    other = "stan" if backend == "numpyro" else "numpyro"
    assert code("compare", "tiny.hdm", "--backends", backend, other, "--engine", "gibbs", "--json") == 2
    assert said(capsys)["diagnostics"][0]["code"] == "HDM714"


_ELSEWHERE = (("numpyro", None), ("pymc", "pymc"), ("stan", "stanli"))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("backend", "engine"), _ELSEWHERE)
@pytest.mark.parametrize(
    ("option", "value", "name"), [("--keep-csv", "csv", "keep_csv"), ("--threads", "2", "threads")]
)
def test_an_engine_without_an_option_refuses_it_by_name(
    backend: str, engine: str | None, option: str, value: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither dropped nor left out because draws could be exact: the message says who has no such option."""
    named = [] if engine is None else ["--engine", engine]
    assert code("run", "tiny.hdm", "--backend", backend, *named, option, value, "--json") == 2
    found = said(capsys)["diagnostics"]
    assert {each["code"] for each in found} == {"HDM713"}
    assert any(f"no option `{name}`" in each["message"] for each in found)


@pytest.mark.usefixtures("folder")
def test_exact_draws_take_no_option_of_a_sampler(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("run", "tiny.hdm", "--inference", "exact", "--threads", "2", "--json") == 2
    (found,) = said(capsys)["diagnostics"]
    assert (found["code"], "`threads`" in found["message"]) == ("HDM713", True)


def test_options_of_cmdstan_reach_the_settings() -> None:
    given = ["--keep-csv", "chains", "--threads", "3"]
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    options = settings_of(parser.parse_args(given)).options
    assert options == {"keep_csv": "chains", "threads": True, "parallel_chains": 3}
    assert settings_of(parser.parse_args([])).options == {}


@pytest.mark.usefixtures("folder")
def test_a_folder_for_csv_that_is_a_file_is_refused_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert code("run", "tiny.hdm", "--keep-csv", "tiny.csv", "--json") == 1
    assert said(capsys)["diagnostics"][0]["code"] == "HDM115"


@pytest.mark.usefixtures("folder")
class TestFormat:
    def test_changed_files_are_named_once(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "tiny.hdm").write_text(STUDY.replace("\n  ", "\n       "))
        assert code("fmt", "tiny.hdm", "--check", "--json") == 1
        assert said(capsys) == {"changed": ["tiny.hdm"], "diagnostics": []}
        assert code("fmt", "tiny.hdm", "--json") == 0
        assert said(capsys)["changed"] == ["tiny.hdm"]
        assert code("fmt", "tiny.hdm", "--check", "--json") == 0
        assert said(capsys)["changed"] == []

    def test_line_ends_are_made_alike(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code("fmt", "tiny.hdm")
        plain = (folder / "tiny.hdm").read_bytes()
        (folder / "tiny.hdm").write_bytes(plain.replace(b"\n", b"\r\n"))
        assert code("fmt", "tiny.hdm") == 0
        assert (folder / "tiny.hdm").read_bytes() == plain
        assert "formatted" in capsys.readouterr().out

    def test_errors_are_in_the_object(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        broken = STUDY + "treatmen x\n"
        (folder / "tiny.hdm").write_text(broken)
        assert code("fmt", "tiny.hdm", "none.hdm", ".", "--json") == 1
        found = said(capsys)
        assert found["changed"] == []
        assert [d["code"] for d in found["diagnostics"]] == ["HDM106", "HDM101", "HDM101"]
        assert (folder / "tiny.hdm").read_text() == broken


@pytest.mark.usefixtures("folder")
class TestNew:
    def test_a_study_is_written_and_never_replaced(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("new", "tiny.csv", "--out", "first.hdm", "--json") == 0
        assert said(capsys) == {"file": "first.hdm", "diagnostics": []}
        written = (folder / "first.hdm").read_text()
        assert code("new", "tiny.csv", "--out", "first.hdm", "--json") == 1
        found = said(capsys)
        assert (found["file"], found["diagnostics"][0]["code"]) == (None, "HDM115")
        assert (folder / "first.hdm").read_text() == written

    def test_the_data_count_from_the_written_file(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "studies").mkdir()
        assert code("new", "tiny.csv", "--out", "studies/first.hdm") == 0
        assert 'data "../tiny.csv"' in (folder / "studies" / "first.hdm").read_text()
        capsys.readouterr()
        assert code("check", "studies/first.hdm", "--json") == 0
        said(capsys)

    @pytest.mark.parametrize("arguments", [("none.csv",), (".",), ("tiny.csv", "--out", "no/x.hdm")])
    def test_what_cannot_be_done_is_a_finding(
        self, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert code("new", *arguments, "--json") == 1
        found = said(capsys)
        assert found["file"] is None
        assert found["diagnostics"][0]["code"] in ("HDM210", "HDM211", "HDM115")


@pytest.mark.usefixtures("folder")
class TestRun:
    def test_one_object_with_estimands_and_roles(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("run", "tiny.hdm", "--json", "--out", "fit.nc", *QUICK) in (0, 3)
        found = said(capsys)
        keys = {"study", "backend", "inference", "estimands", "parameters", "diagnostics", "warnings"}
        assert keys <= set(found)
        (ate,) = found["estimands"]
        assert set(ate) == {"name", "index", "mean", "sd", "q5", "q50", "q95"}
        assert (ate["name"], ate["index"]) == ("ate", {})
        assert abs(ate["mean"] - 4) < 1.5
        roles = {p["role"] for p in found["parameters"]}
        assert roles == {"effect(tutor)", "slope(pretest)", "intercept", "residual"}
        assert sorted(p.name for p in folder.iterdir()) == ["fit.nc", "tiny.csv", "tiny.hdm"]

    def test_one_draw_has_no_spread(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("run", "tiny.hdm", "--json", "--draws", "1", "--warmup", "1", "--chains", "1") in (0, 3)
        assert said(capsys)["estimands"][0]["sd"] is None

    def test_refusals(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert code("run", "tiny.hdm", "--backend", "bugs", "--json") == 2
        assert said(capsys)["diagnostics"][-1]["code"] == "HDM601"
        assert code("run", "none.hdm", "--json") == 1
        assert said(capsys)["diagnostics"][0]["code"] == "HDM101"
        before = sorted(folder.iterdir())
        start = time.monotonic()
        assert code("run", "tiny.hdm", "--out", "no/fit.nc", "--json", "--draws", "1000000") == 1
        assert said(capsys)["diagnostics"][0]["code"] == "HDM115"
        assert time.monotonic() - start < 5
        assert sorted(folder.iterdir()) == before

    @pytest.mark.slow
    def test_an_interrupt_leaves_nothing(self, folder: Path) -> None:
        command = [sys.executable, "-m", "hdsl.cli", "run", "tiny.hdm", "--draws", "2000000", "--out", "fit.nc"]
        running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(8)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert out == ""
        assert "Stopped" in err
        assert "Traceback" not in err
        assert sorted(p.name for p in folder.iterdir()) == ["tiny.csv", "tiny.hdm"]
