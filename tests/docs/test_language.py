"""Every study in the documentation is sound, and its model is derived."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hdsl import format_text
from hdsl.design.from_syntax import read_study
from hdsl.driver import check, derive, explain, open_study
from hdsl.source import Source
from tests.docs.blocks import DOCS, ROOT, Block, blocks, pages, studies
from tests.docs.made import write_tables

GALLERY = sorted((DOCS / "gallery").glob("*.md"))
STUDIES = [
    pytest.param(block, text, id=f"{block.page.stem}: {block.section} {block.line}".replace(" ", "_"))
    for page in pages()
    if page not in GALLERY and page.parent.name != "codes"
    for block, text in studies(page)
]


def test_there_are_studies_in_the_documentation() -> None:
    assert len(STUDIES) >= 70


@pytest.mark.parametrize(("block", "text"), STUDIES)
def test_a_study_of_the_documentation_is_sound_and_derived(block: Block, text: str, tmp_path: Path) -> None:
    path = tmp_path / "study.hdm"
    path.write_text(text, encoding="utf-8")
    checked = check(path, with_data=False)
    assert [(d.code, d.message) for d in checked.diagnostics if d.severity == "error"] == []
    study = checked.opened.study
    assert study is not None
    assert format_text(text)
    if study.table is None:
        assert study.assumptions, "a study without data states what is assumed"
        return
    given = DOCS / "data" / study.table
    if given.exists():
        shutil.copy(given, tmp_path)
    else:
        write_tables(study, tmp_path)
    derived = derive(path)
    assert [(d.code, d.message) for d in derived.diagnostics if d.severity == "error"] == []


@pytest.mark.parametrize("page", GALLERY, ids=lambda page: page.stem)
def test_the_gallery_shows_studies_of_the_examples(page: Path, tmp_path: Path) -> None:
    """Each is one of `examples` or derived here, and the lines of its model are those that `hdsl explain` prints."""
    known = {path: open_study(path).study for path in sorted((ROOT / "examples").glob("*/*.hdm"))}
    shown = {read_study(Source.of(page.name, text)): text for _, text in studies(page)}
    paths = [path for path, study in known.items() if study in shown]
    assert shown, f"{page.name} shows no study"
    for study, text in shown.items():
        if study not in known.values():
            paths.append(tmp_path / "study.hdm")
            paths[-1].write_text(text, encoding="utf-8")
            write_tables(study, tmp_path)
            assert derive(paths[-1]).model is not None, study.name
    printed = re.sub(r"\s+", " ", " ".join(explain(path)[0] for path in paths))
    derived = [block for block in blocks(page) if block.language == "text" and block.text.startswith("Model")]
    lines = [line for block in derived for line in block.text.splitlines()[1:] if line.strip() not in ("", "...")]
    missing = [line for line in lines if not all(part in printed for part in _parts(line))]
    assert missing == []


def _parts(line: str) -> list[str]:
    """Return what is shown of a line of a model, where `...` stands for something left out."""
    return [re.sub(r"\s+", " ", part).strip() for part in line.split("...")]
