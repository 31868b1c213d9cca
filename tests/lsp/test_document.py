"""What the server does with any text, without a client: it never fails, whatever is half written."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from unicodedata import normalize

import pytest
from lsprotocol import types as lsp

from hdsl.lsp.colours import colours
from hdsl.lsp.completion import complete
from hdsl.lsp.document import read
from hdsl.lsp.edits import NotRenamed, formatted, outline, rename
from hdsl.lsp.findings import mends, shown
from hdsl.lsp.hover import hover
from hdsl.lsp.names import uses
from hdsl.lsp.places import offset_of, position_of
from hdsl.source import Source

ROOT = Path(__file__).resolve().parents[2]
STUDIES = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("tests/studies/*.hdm"))]
NOWHERE = Path("/nowhere/x.hdm")
PIECES = ("{", "}", "(", ")", '"', "=", "vary ", "estimand x =", " at ", "\U0001f600", "\r\n", "4a ", "`a b`", "a.b ")


def spoiled(text: str, random_: random.Random) -> str:
    """Return a text cut off, with a piece taken out, or with one put in."""
    place = random_.randrange(len(text) + 1)
    way = random_.randrange(3)
    if way == 0:
        return text[:place]
    if way == 1:
        return text[:place] + text[place + random_.randrange(1, 30) :]
    return text[:place] + random_.choice(PIECES) + text[place:]


@pytest.mark.parametrize("seed", range(40))
def test_nothing_fails_on_a_spoiled_text(seed: int) -> None:
    random_ = random.Random(seed)
    document = read(spoiled(random_.choice(STUDIES), random_), NOWHERE)
    size = len(document.source.text)
    found = shown(document.checked.diagnostics, document.source, "file:///x")
    assert all(each.code for each in found)
    for action in mends(document, "file:///x", found):
        assert action.edit is not None
    assert len(colours(document.source)) % 5 == 0
    outline(document)
    formatted(document)
    for offset in (random_.randrange(size + 1), random_.randrange(size + 1), size):
        complete(document, offset)
        hover(document, offset)
        with suppress(NotRenamed):
            assert rename(document, offset, "zz9")


@pytest.mark.parametrize("wrong", ["4a", "`a b`", "a.b"])
def test_a_strange_name_in_an_expression_is_a_finding_and_no_defect(wrong: str) -> None:
    text = f"study s\nunit person {{ outcome y : real }}\nanalysis {{ family y student({wrong}) }}\n"
    assert any(each.code.startswith("HDM1") for each in read(text, NOWHERE).checked.diagnostics)


@pytest.mark.parametrize("text", STUDIES)
def test_every_name_is_where_its_span_says(text: str) -> None:
    document = read(text, NOWHERE)
    for use in uses(document.tree):
        written = normalize("NFC", document.source.slice(use.span))
        assert written.strip('"') == use.symbol.name


@pytest.mark.parametrize("text", ["a\U0001f600b\nc", "", "\n\n", "x"])
def test_places_are_utf_16_columns(text: str) -> None:
    source = Source.of("x", text)
    for offset in range(len(text) + 1):
        assert offset_of(source, position_of(source, offset)) == offset
    assert position_of(Source.of("x", "a\U0001f600b"), 2) == lsp.Position(0, 3)
