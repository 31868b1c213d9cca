"""Every study in the documentation is sound, and its model is derived; what is not derived yet says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hdsl import format_text
from hdsl.driver import check, derive
from tests.docs.made import write_tables

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOT_YET = "Not derived yet"


def _blocks() -> list[object]:
    found: list[object] = []
    for page in sorted(DOCS.glob("*.md")):
        for section in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.M):
            title = section.partition("\n")[0]
            for place, block in enumerate(re.findall(r"```hdm\n(.*?)```", section, re.DOTALL), start=1):
                name = f"{page.stem}: {title} {place}".replace(" ", "_")
                found.append(pytest.param(block, title.startswith(NOT_YET), id=name))
    return found


BLOCKS = _blocks()


def test_there_are_studies_in_the_documentation() -> None:
    assert len(BLOCKS) >= 20


@pytest.mark.parametrize(("text", "not_yet"), BLOCKS)
def test_a_study_of_the_documentation_is_sound_and_derived(text: str, not_yet: bool, tmp_path: Path) -> None:
    path = tmp_path / "study.hdm"
    path.write_text(text, encoding="utf-8")
    checked = check(path, with_data=False)
    assert [(d.code, d.message) for d in checked.diagnostics if d.severity == "error"] == []
    assert checked.opened.study is not None
    assert format_text(text)
    write_tables(checked.opened.study, tmp_path)
    derived = derive(path)
    errors = [(d.code, d.message) for d in derived.diagnostics if d.severity == "error"]
    assert {code for code, _ in errors} == ({"HDM620"} if not_yet else set()), errors
