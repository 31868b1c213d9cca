"""The examples on the pages of the codes that are no studies: commands, calls and tables give the code of their page.

Messages that are shown have the words with which hdsl says them.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import hdsl
from hdsl import Settings, Study, StudyError, bernoulli
from hdsl.design.ir import Level
from hdsl.report.from_formula import from_formula
from tests.docs.blocks import DOCS, ROOT, Block, blocks
from tests.report.made import write

EVERY = {block.page.stem: block for page in sorted((DOCS / "codes").glob("HDM*.md")) for block in blocks(page)}
NAMES = (
    r"the family student|censored student|is missing$|stats-2\.parquet|One chain|rows(?= say)|units of school|"
    r"(?<=of )CmdStan"
)
COMPOSED = {"HDM723"}
OWN = ("hdsl", "backends")
COMMANDS = {
    "HDM101": "",
    "HDM116": "",
    "HDM115": "",
    "HDM121": "",
    "HDM122": 'study coaching\ndata "tutoring.csv"\nunit person { outcome score : real }\n'
    "treatment tutor { none = 0, tutored = 1 }\nassign tutor to person by complete(0.5)\n",
    "HDM601": "",
    "HDM603": "",
}
TABLES = {
    "HDM218": "group school id school\nunit student in school { outcome score : real }",
    "HDM219": "unit student { outcome score : real }",
    "HDM222": "group school id school\nunit student in school { outcome score : real }",
    "HDM350": "unit student { outcome pretest : real }",
    "HDM351": "unit student { outcome income : real }",
    "HDM359": "group school id school_id\nunit student in school { outcome score : real }",
    "HDM361": 'group school id school_id from "d.csv" { covariate size : real }\n'
    "unit student in school { outcome score : real }",
    "HDM362": "group school id school_id\nunit student in school { outcome score : real }",
}
MESSAGES = [
    block
    for block in EVERY.values()
    if block.language in ("text", "csv", "console")
    and re.match(r"HDM(363|364|37\d|604|605|7\d\d)", block.page.stem)
    and block.page.stem not in COMPOSED
]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> hdsl.Result:
    path = write(tmp_path_factory.mktemp("run"))
    return hdsl.run(path, settings=Settings(chains=1, draws=60, warmup=60))


def said(folder: Path, command: str) -> str:
    words = shlex.split(command)
    assert words[0] == "hdsl"
    line = [sys.executable, "-m", "hdsl.cli", *words[1:]]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0, command
    return done.stdout + done.stderr


@pytest.mark.parametrize("code", COMMANDS)
def test_a_command_is_answered_with_the_code_of_its_page(code: str, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "coaching.hdm").write_text(COMMANDS[code])
    (command, *_) = EVERY[code].text.removeprefix("$ ").splitlines()
    assert code in said(tmp_path, command)


@pytest.mark.parametrize("code", TABLES)
def test_a_table_is_found_wanting_with_the_code_of_its_page(code: str, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("" if code == "HDM219" else EVERY[code].text)
    (tmp_path / "rows.csv").write_text("school_id,score\n12,50\n12,55\n")
    table = "rows.csv" if "from" in TABLES[code] else "d.csv"
    (tmp_path / "s.hdm").write_text(f'study s\ndata "{table}"\n{TABLES[code]}\n')
    assert code in {found.code for found in hdsl.check(tmp_path / "s.hdm").diagnostics}


@pytest.mark.parametrize("code", ["HDM117", "HDM118", "HDM119", "HDM208", "HDM209", "HDM713"])
def test_a_call_raises_with_the_code_of_its_page(code: str, result: hdsl.Result, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "draws.nc").write_bytes(b"CDF\x01")
    study = Study(name="x").unit("student").treatment("tutor", none=0, tutored=1)
    names: dict[str, Any] = {"hdsl": hdsl, "result": result, "study": study, "Level": Level, "bernoulli": bernoulli}
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(ValueError, match=r"HDM|month") as raised:
            exec(compile(EVERY[code].text, code, "exec", dont_inherit=True), names)
    finally:
        os.chdir(before)
    if isinstance(raised.value, StudyError):
        assert [found.code for found in raised.value.diagnostics] == [code]
        shown = re.search(r"# (.*)", EVERY[code].text)
        if shown is not None and code != "HDM117":
            assert raised.value.diagnostics[0].message.startswith(shown[1].rstrip("."))


def test_a_result_of_an_edited_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HDSL_RUNS", raising=False)
    study = write(tmp_path)
    settings = Settings(chains=1, draws=60, warmup=60)
    hdsl.run(study, settings=settings, runs=True)
    study.write_text(study.read_text().replace("pretest, poverty", "pretest"))
    *_, command = EVERY["HDM120"].text.splitlines()
    line = [sys.executable, "-m", "hdsl.cli", *shlex.split(command)[1:]]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert "HDM120" in done.stdout + done.stderr


def test_the_formula_that_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    formula = re.search(r'"([^"]+)"', EVERY["HDM121"].text)
    assert formula is not None
    text, (found,) = from_formula(formula[1], str(tmp_path / "tutoring.csv"))
    assert text is None
    assert found.code == "HDM121"


@pytest.mark.parametrize("block", MESSAGES, ids=lambda block: block.page.stem)
def test_messages_are_worded_as_they_are_said(block: Block) -> None:
    for line in re.sub(r"(?<![.])\n", " ", block.text).splitlines():
        if not line.startswith("$"):
            assert re.search(_worded(line), _source()), _worded(line)


@cache
def _source() -> str:
    """Return the source of hdsl and its backends, with texts of several lines put together."""
    source = "\n".join(path.read_text() for folder in OWN for path in sorted((ROOT / folder).rglob("*.py")))
    return re.sub(r'"\s*\n\s*f?"', "", source)


def _worded(line: str) -> str:
    """Return a pattern of how a message stands in the source: numbers, names and lists are made where it is said."""
    start = re.split(r": | by |; | such | in \d| tutor ", re.sub(r"^error\[\w+\]: ", "", line))[0].rstrip(".")
    made = re.sub(NAMES, "\0", start)
    made = re.sub(r"'[^']*'|(?<=`)\w+|\S+\(.*\)\)?|\d[\d.,]*\d|\d", "\0", made)
    return r"\{[^{}]*\}".join(map(re.escape, made.split("\0")))
