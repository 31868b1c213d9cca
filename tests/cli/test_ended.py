"""hdsl as a process: ended from outside, without memory, and by `python -m hdsl`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hdsl.diagnostics import short_of_memory

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and /bin/sh")

_SAMPLING = """
import argparse, os, sys, time
from hdsl.commands.watch import watched
with watched(argparse.Namespace(json=sys.argv[2] == "json")):
    print("began", flush=True)
    if sys.argv[1] == "abort":
        os.abort()
    time.sleep(60 if sys.argv[1] == "wait" else 0)
"""
_COMMAND = """
import sys, time
from hdsl import cli
cli.run.run = lambda arguments: (print("began", flush=True), time.sleep(60))
sys.exit(cli.main(["run", "study.hdm"]))
"""


def _started(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("how", ["abort", "wait"])
def test_an_end_that_python_does_not_see_is_told(how: str, form: str) -> None:
    process = _started(_SAMPLING, how, form)
    if how == "wait":
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        process.kill()
    out, error = process.communicate(timeout=30)
    out = out.removeprefix("began\n")
    assert process.returncode == (-signal.SIGABRT if how == "abort" else -signal.SIGKILL)
    if form == "json":
        (found,) = json.loads(out)["diagnostics"]
        assert found["code"] == "HDM712"
    else:
        assert "error[HDM712]" in error
        assert "fewer draws" in error
        assert out == ""


def test_nothing_is_told_of_a_run_that_ends_by_itself() -> None:
    out, error = _started(_SAMPLING, "end", "text").communicate(timeout=30)
    assert (out, error) == ("began\n", "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_a_command(number: signal.Signals, status: int) -> None:
    process = _started(_COMMAND)
    assert process.stdout is not None
    assert process.stdout.readline() == "began\n"
    began = time.monotonic()
    process.send_signal(number)
    out, error = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert (process.returncode, out, error.strip()) == (status, "", "Stopped. Nothing was written.")


def test_doctor_says_step_by_step_how_to_get_an_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hdsl import cli

    monkeypatch.setenv("CMDSTAN", "/no/cmdstan")
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = [place for place, line in enumerate(lines) if line.startswith("no   stan, engine cmdstan: ")]
    assert "CMDSTAN is /no/cmdstan" in lines[place]
    assert "install_cmdstan()" in "".join(lines[place + 1 :])
    assert all(line.startswith("     ") for line in lines[place + 1 : place + 3])


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "hdsl", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("hdsl ")


def test_lack_of_memory_is_no_defect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from hdsl import cli

    def greedy(arguments: object) -> int:
        raise MemoryError("Unable to allocate 14.9 GiB")

    monkeypatch.setattr(cli, "_doctor", greedy)
    assert cli.main(["doctor"]) == 1
    told = capsys.readouterr().err
    assert "error[HDM729]: There is not enough memory: Unable to allocate 14.9 GiB." in told


def test_what_says_that_memory_ran_out() -> None:
    chained = RuntimeError("no more")
    chained.__cause__ = MemoryError()
    assert short_of_memory(chained)
    assert short_of_memory(OSError(12, "Cannot allocate memory"))
    assert short_of_memory(ImportError("libscipy.so: failed to map segment from shared object"))
    assert short_of_memory("terminate called after throwing an instance of 'std::bad_alloc'")
    assert not short_of_memory(OSError(2, "No such file or directory"))
    assert not short_of_memory(KeyError("school"))
