"""Every study in the documentation parses and is sound in itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hdsl import format_text
from hdsl.checks import check_study
from hdsl.design.from_syntax import to_study
from hdsl.source import Source
from hdsl.syntax.parse import parse

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCKS = [
    pytest.param(block, id=f"{page.stem} {place + 1}")
    for page in sorted(DOCS.glob("*.md"))
    for place, block in enumerate(re.findall(r"```hdm\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]


def test_there_are_studies_in_the_documentation() -> None:
    assert len(BLOCKS) >= 6


@pytest.mark.parametrize("text", BLOCKS)
def test_a_study_of_the_documentation_is_sound(text: str) -> None:
    tree, found = parse(Source.of("page.hdm", text))
    assert not found
    study, _, more = to_study(tree)
    assert study is not None
    assert not more
    assert not [problem for problem in check_study(study) if problem.severity == "error"]
    assert format_text(text)
