"""Every study in the documentation is sound, and its model is derived."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hdsl import format_text
from hdsl.driver import check, derive
from tests.docs.made import write_tables

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _blocks() -> list[object]:
    found: list[object] = []
    for page in sorted(DOCS.glob("*.md")):
        for section in re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.M):
            title = section.partition("\n")[0]
            for place, block in enumerate(re.findall(r"```hdm\n(.*?)```", section, re.DOTALL), start=1):
                name = f"{page.stem}: {title} {place}".replace(" ", "_")
                found.append(pytest.param(block, id=name))
    return found


BLOCKS = _blocks()


def test_there_are_studies_in_the_documentation() -> None:
    assert len(BLOCKS) >= 20


@pytest.mark.parametrize("text", BLOCKS)
def test_a_study_of_the_documentation_is_sound_and_derived(text: str, tmp_path: Path) -> None:
    path = tmp_path / "study.hdm"
    path.write_text(text, encoding="utf-8")
    checked = check(path, with_data=False)
    assert [(d.code, d.message) for d in checked.diagnostics if d.severity == "error"] == []
    assert checked.opened.study is not None
    assert format_text(text)
    write_tables(checked.opened.study, tmp_path)
    derived = derive(path)
    assert [(d.code, d.message) for d in derived.diagnostics if d.severity == "error"] == []
