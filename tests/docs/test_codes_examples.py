"""The examples on the pages of the codes are of the language: each parses where its lines may stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from hdsl.source import Source
from hdsl.syntax.parse import parse
from tests.docs.blocks import DOCS, Block, blocks

LANGUAGES = {"hdm", "python", "console", "csv", "text"}
HEAD = 'study x\ndata "d.csv"\n'
ITEMS = re.compile(r"^\s*(covariate|outcome|intermediate|exposure|weight|wave)\b")
PLACES = ("{}", HEAD + "{}", HEAD + "analysis {{\n{}\n}}", HEAD + "priors {{\n{}\n}}", HEAD + "model {{\n{}\n}}")
EVERY = [block for page in sorted((DOCS / "codes").glob("HDM*.md")) for block in blocks(page)]
STUDIES = [block for block in EVERY if block.language == "hdm"]
WRONG = {"HDM104", "HDM105", "HDM106", "HDM107", "HDM108", "HDM109", "HDM111", "HDM112", "HDM113", "HDM114"}

MISTAKES = [block for block in STUDIES if block.page.stem in WRONG and block.section == "Example"]


def wholes(text: str) -> Iterator[str]:
    """Yield the studies in which a fragment may stand; items of a level stand within one, other lines after it."""
    yield from (place.format(text) for place in PLACES)
    items = [line for line in text.splitlines() if ITEMS.match(line)]
    rest = "\n".join(line for line in text.splitlines() if not ITEMS.match(line))
    if items:
        inside = "unit u {\n" + "\n".join(items) + "\n}\n"
        yield from (place.format(inside + rest) for place in PLACES[1:2])
        yield HEAD + inside + "analysis {\n" + rest + "\n}"


def codes(text: str) -> set[str]:
    """Return the codes of the errors of syntax."""
    return {each.code for each in parse(Source("x.hdm", text))[1] if each.severity == "error"}


def test_every_block_says_what_it_is() -> None:
    assert [block.name for block in EVERY if block.language not in LANGUAGES] == []
    assert len(STUDIES) > 150
    assert {block.page.stem for block in MISTAKES} == WRONG


@pytest.mark.parametrize("block", [b for b in STUDIES if b not in MISTAKES], ids=lambda block: block.name)
def test_fragments_parse(block: Block) -> None:
    assert any(not codes(whole) for whole in wholes(block.text)), codes(HEAD + block.text)


@pytest.mark.parametrize("block", MISTAKES, ids=lambda block: block.name)
def test_mistakes_have_the_code_of_their_page(block: Block) -> None:
    assert any(block.page.stem in codes(whole) for whole in wholes(block.text))


@pytest.mark.parametrize("block", [b for b in EVERY if b.language == "python"], ids=lambda block: block.name)
def test_python_is_python(block: Block) -> None:
    compile(block.text, block.name, "exec")
