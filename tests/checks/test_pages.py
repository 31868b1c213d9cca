"""Every code has a page, and every code that is emitted is in the table of codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hdsl.diagnostics import CODES
from hdsl.resources import code_pages

ROOT = Path(__file__).parents[2]
SECTIONS = ["What", "Why it is bad", "Example", "Mend"]
LITERAL = re.compile(r"HDM\d{3}\b")


def _emitted() -> dict[str, str]:
    found: dict[str, str] = {}
    for folder in ("hdsl", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for code in LITERAL.findall(path.read_text(encoding="utf-8")):
                found.setdefault(code, str(path.relative_to(ROOT)))
    return found


def test_every_code_that_is_emitted_is_in_the_table() -> None:
    assert {code: path for code, path in _emitted().items() if code not in CODES} == {}


def test_every_code_of_the_table_is_emitted() -> None:
    outside_table = {
        code
        for folder in ("hdsl", "backends", "grammar")
        for path in (ROOT / folder).rglob("*.*")
        if path.suffix in (".py", ".lark", ".hdm") and path.name != "codes.py"
        for code in LITERAL.findall(path.read_text(encoding="utf-8"))
    }
    assert set(CODES) - outside_table == set()


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert sorted(code_pages()) == sorted(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_page_says_what_why_and_how_to_mend(code: str) -> None:
    page = code_pages()[code]
    head, *rest = page.split("\n## ")
    assert head.strip() == f"# {code}: {CODES[code].title}"
    assert [part.split("\n", 1)[0] for part in rest] == SECTIONS
    assert all(len(part.split("\n", 1)[1].strip()) > 10 for part in rest), code
    assert "```" in rest[2]
