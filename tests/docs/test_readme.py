"""The README: its study is that of the examples, its commands exist, and what it shows is what they print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hdsl.design.from_syntax import read_study
from hdsl.diagnostics import to_text
from hdsl.driver import check, explain, open_study
from hdsl.model.derive.scales import FAMILIES
from hdsl.source import Source

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples/electric_company/electric_company.hdm"
BLOCKS = re.findall(r"```\w*\n(.*?)```", TEXT, re.DOTALL)


def block(start: str) -> str:
    (found,) = [each for each in BLOCKS if each.startswith(start)]
    return found


def test_the_study_is_the_example() -> None:
    assert read_study(Source.of("README.md", block("study "))) == open_study(EXAMPLE).study


def test_what_is_explained_is_so() -> None:
    said = explain(EXAMPLE)[0]
    lines = block("$ hdsl explain").splitlines()[2:]
    assert len(lines) == 4
    assert "\n".join(lines[:2]) in said
    assert "\n".join(lines[2:]) in said


def test_the_message_is_what_is_printed(tmp_path: Path) -> None:
    text = block("study ").replace("covariate pre_test  : real", "covariate pretest : real")
    text = text.replace("pre_test", "pretest").split("\npriors")[0].split("\nanalysis")[0]
    (tmp_path / "electric_company.hdm").write_text(text, encoding="utf-8")
    shutil.copy(EXAMPLE.with_suffix(".csv"), tmp_path)
    found = check(tmp_path / "electric_company.hdm").diagnostics
    shown = to_text(found, Source.of("electric_company.hdm", text))
    assert (
        re.sub(r"^ *\d+ \|| *--> .*", "", shown, flags=re.M).strip()
        == re.sub(r"^ *\d+ \|| *--> .*", "", block("error[HDM217]"), flags=re.M).strip()
    )


def test_the_commands_exist() -> None:
    commands = set(re.findall(r"^\| `hdsl (\w+)", TEXT, re.M))
    assert {"new", "check", "run", "compare"} <= commands
    for command in sorted(commands):
        done = subprocess.run(
            [sys.executable, "-m", "hdsl.cli", command, "--help"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stderr)


def test_what_it_points_to_is_there() -> None:
    named = re.findall(r"`((?:docs|examples|tests|scripts)/[\w./-]*)`|\]\(([\w./-]+)\)|bash (scripts/[\w.-]+)", TEXT)
    paths = {path for match in named for path in match if path}
    assert "docs/pictures/electric_company.png" in paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_number_of_families() -> None:
    numbers = {18: "eighteen", 19: "nineteen", 20: "twenty"}
    assert f"{numbers[len(FAMILIES)]} outcome families" in " ".join(TEXT.split())


@pytest.mark.slow
def test_the_table_is_what_a_run_prints(tmp_path: Path) -> None:
    for suffix in (".hdm", ".csv"):
        shutil.copy(EXAMPLE.with_suffix(suffix), tmp_path)
    command = [sys.executable, "-m", "hdsl.cli", "run", EXAMPLE.name]
    wide = {**os.environ, "COLUMNS": "125"}
    done = subprocess.run(command, cwd=tmp_path, env=wide, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    shown = block("$ hdsl run").split("\n...")[0].splitlines()[1:]
    assert len(shown) > 8
    for line, printed in zip(shown, done.stdout.splitlines(), strict=False):
        words, numbers = _parts(line)
        also, found = _parts(printed)
        assert words == also
        assert len(numbers) == len(found)
        if len(numbers) == 6:
            assert np.allclose(numbers, found, atol=0.2 * numbers[1])


def _parts(line: str) -> tuple[str, list[float]]:
    """Return the words of a line before the first number of a table, and the numbers of the table."""
    name, *values = re.split(r" +(?=-?[\d.]+(?: |$))", line.rstrip())
    return (name, [float(value) for value in values]) if len(values) == 6 else (line.rstrip(), [])
