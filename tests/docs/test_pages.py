"""Every block on every page runs: commands print what the page shows, Python does not fail, other files are read.

A page is worked through from its top in a folder of its own, with the tables of `docs/data`. Blocks with a title are
saved under it. What samples is left to the slow tests; there numbers are compared within a fifth of their size.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hdsl import cli
from tests.docs.blocks import DOCS, ROOT, Block, blocks, pages, said

LANGUAGES = {"hdm", "python", "console", "bash", "json", "toml", "csv", "text", "r", "stata", "markdown"}
OWN = [page for page in pages() if page.parent.name not in ("codes", "decisions")]
EVERY = [block for page in OWN for block in blocks(page)]
SAMPLING = {"run", "plot", "report", "table", "compare"}
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")
ENVIRONMENT = {**os.environ, "COLUMNS": "140", "HDSL_RUNS": "", "JAX_PLATFORMS": "cpu", "NO_COLOR": "1"}


def _samples(block: Block) -> bool:
    if block.language == "python":
        return "result" in block.text or "hdsl.run" in block.text
    return block.language == "console" and any(_command_samples(command) for command, _ in said(block.text))


def _command_samples(command: str) -> bool:
    words = shlex.split(command)
    return words[1] in SAMPLING or "--fit" in words or "--prior" in words


PAGES = [page for page in OWN if {"console", "python"} & {block.language for block in blocks(page)}]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def test_every_block_says_what_it_is() -> None:
    """Those of the codes show messages and fragments; what README shows has tests of its own (test_readme)."""
    own = [page for page in OWN if page.name != "README.md"]
    assert [block.name for page in own for block in blocks(page) if block.language not in LANGUAGES] == []


def test_there_are_pages_to_run() -> None:
    assert {"README.md", "docs/first_study.md", "docs/language.md"} <= set(NAMES)
    assert sum(block.language == "console" for page in PAGES for block in blocks(page)) >= 15


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_is_quick_on_a_page_runs(page: Path, tmp_path: Path) -> None:
    _work_through(page, tmp_path, sampling=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if any(_samples(block) for block in blocks(page))], ids=str)
def test_everything_on_a_page_runs(page: Path, tmp_path: Path) -> None:
    _work_through(page, tmp_path, sampling=True)


def _work_through(page: Path, folder: Path, *, sampling: bool) -> None:
    for table in (DOCS / "data").glob("*.csv"):
        shutil.copy(table, folder)
    if page.name == "README.md":
        shutil.copytree(ROOT / "examples" / "electric_company", folder / "examples" / "electric_company")
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        if block.language == "python" and (sampling or not _samples(block)):
            _run_python(block, folder, names)
        if block.language == "console":
            for command, shown in said(block.text):
                if sampling or not _command_samples(command) or shown.startswith("error["):
                    _run_command(block, command, shown, folder)


def _run_python(block: Block, folder: Path, names: dict[str, Any]) -> None:
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(block.text, block.name, "exec", dont_inherit=True), names)
    finally:
        os.chdir(before)


def _run_command(block: Block, command: str, shown: str, folder: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "hdsl", f"{block.name}: `{command}` is no command of hdsl"
    line = [sys.executable, "-m", "hdsl.cli", *words[1:]]
    done = subprocess.run(
        line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600, encoding="utf-8"
    )
    printed = done.stdout + done.stderr
    assert done.returncode == (1 if shown.startswith("error[") else 0), (block.name, command, printed)
    problem = difference(shown, printed, exact=not _command_samples(command))
    assert problem is None, f"{block.name}: {command}\n{problem}\n--- printed\n{printed}"


def difference(shown: str, printed: str, *, exact: bool) -> str | None:
    """Return the first line that is shown but not printed where it should be; `...` stands for any lines."""
    lines, found = _lines(printed), 0
    skipping = False
    for line in _lines(shown):
        if line == "...":
            skipping = True
            continue
        places = range(found, len(lines)) if skipping else range(found, min(found + 1, len(lines)))
        place = next((place for place in places if _alike(line, lines[place], exact=exact)), None)
        if place is None:
            return f"not printed: {line}"
        found, skipping = place + 1, False
    return None if skipping or found == len(lines) or not shown.strip() else f"not shown: {lines[found]}"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _alike(line: str, other: str, *, exact: bool) -> bool:
    if exact:
        return line == other
    if NUMBER.sub("#", re.sub(r"\s+", " ", line)) != NUMBER.sub("#", re.sub(r"\s+", " ", other)):
        return False
    pairs = zip(map(float, NUMBER.findall(line)), map(float, NUMBER.findall(other)), strict=True)
    effective = "Sampling looks sound" in line
    return effective or all(abs(a - b) <= 0.1 + 0.2 * max(abs(a), abs(b)) for a, b in pairs)


def test_a_difference_is_seen() -> None:
    printed = "a 1.0\nb 2.0\nc 3.0\n"
    assert difference("a 1.0\n...\nc 3.0\n", printed, exact=True) is None
    assert difference("...\nb 2.1\n...\n", printed, exact=False) is None
    assert difference("...\nb 2.1\n...\n", printed, exact=True) is not None
    assert difference("...\nb 4.0\n...\n", printed, exact=False) is not None
    assert difference("a 1.0\nc 3.0\n", printed, exact=True) is not None
    assert difference("a 1.0\nb 2.0\n", printed, exact=True) is not None
    assert difference("...\nc 3.0\nb 2.0\n...\n", printed, exact=True) is not None


def test_commands_that_are_only_named_exist() -> None:
    """Of bash blocks: every `hdsl` line is understood, extras and scripts are there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for block in EVERY:
        if block.language != "bash":
            continue
        for line in block.text.splitlines():
            assert set(re.findall(r'"\.\[(\w+)\]"', line)) <= set(extras), (block.name, line)
            assert all((ROOT / path).exists() for path in re.findall(r"(?:scripts|requirements)/[\w.-]+", line)), line
            words = shlex.split(line, comments=True)
            if words[:1] == ["hdsl"]:
                cli._parser().parse_args(words[1:])


def test_files_that_are_shown_can_be_read() -> None:
    for block in EVERY:
        match block.language:
            case "json":
                assert json.loads(block.text)
            case "toml":
                assert tomllib.loads(block.text)
            case "csv":
                shown = list(csv.reader(io.StringIO(block.text)))
                tables = [list(csv.reader(path.open())) for path in (DOCS / "data").glob("*.csv")]
                assert any(table[: len(shown)] == shown for table in tables), block.name


WRITTEN = [page for page in OWN if page.parent.name != "gallery"]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_pages_name_is_there(page: Path) -> None:
    """Files and folders of the repository that a page names in code."""
    text = page.read_text(encoding="utf-8")
    folders = "hdsl|backends|tests|docs|examples|scripts|grammar|editors|requirements|benchmarks"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", text))
    assert {path for path in named if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()} == set()


def test_the_tables_are_those_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    names = runpy.run_path(str(DOCS / "data" / "simulate.py"))
    names["write"].__globals__["HERE"] = tmp_path
    names["write"]()
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (DOCS / "data").glob("*.csv")}
