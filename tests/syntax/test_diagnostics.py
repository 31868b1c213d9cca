"""Positions in a text, and diagnostics as text, rich text and JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdsl.diagnostics import CODES, Diagnostic, did_you_mean, has_errors, to_json, to_rich, to_text
from hdsl.diagnostics.width import display_width, printable
from hdsl.source import Source, Span


@given(st.text(alphabet="ab\n\r\ufeffé日"))
def test_positions_and_lines(text: str):
    source = Source.of("s", text)
    assert "\r" not in source.text
    lines = source.text.split("\n")
    assert source.line_count == len(lines)
    for offset in range(len(source.text) + 1):
        line, column = source.position(offset)
        before = source.text[:offset]
        assert line == before.count("\n") + 1
        assert column == len(before.rsplit("\n", 1)[-1]) + 1
        assert source.line(line) == lines[line - 1]


def test_normalisation():
    assert Source.of("s", "\ufeffa\r\nb\rc").text == "a\nb\nc"
    assert Source.of("s", "a").position(99) == (1, 2)


def test_spans():
    assert Span(3, 5).to(Span(1, 4)) == Span(1, 5)
    assert Source.of("s", "abcdef").slice(Span(1, 3)) == "bc"


TEXT = 'unit person id pid\n\tоценка 日本 x "y"\n'
FINDING = Diagnostic(
    "HDM104",
    "Something is wrong.",
    span=Span(26, 28),
    help="Mend it.",
    related=((Span(0, 4), "begins here"),),
    rows=tuple(range(1, 13)),
    waived="known",
)


def test_plain_text():
    expected = """\
error[HDM104]: Something is wrong.
  --> s.hdm:2:8
 2 |  оценка 日本 x "y"
   |        ^^^
  ::: s.hdm:1:1
 1 | unit person id pid
   | ^^^^ begins here
  = rows: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 2 more
  = help: Mend it.
  = waived: known
"""
    source = Source.of("s.hdm", TEXT)
    assert to_text([FINDING], source) == expected
    assert to_text([FINDING, FINDING], source).count("error[HDM104]") == 2


def test_the_caret_stands_under_wide_characters():
    source = Source.of("s", "日本 x")
    _, _, shown, caret, *_ = to_text([Diagnostic("HDM104", "m", span=Span(3, 4))], source).split("\n")
    assert display_width(shown[: shown.index("x")]) == caret.index("^")


def test_long_lines_are_cut_around_the_place():
    source = Source.of("s", "a" * 500 + "HERE" + "b" * 500)
    text = to_text([Diagnostic("HDM104", "m", span=Span(500, 504))], source)
    shown, caret = text.split("\n")[2:4]
    assert len(shown) < 130
    assert shown[caret.index("^") :].startswith("HERE")
    assert caret.count("^") == 4


def test_rich_text_has_the_same_words():
    source = Source.of("s.hdm", TEXT)
    assert to_rich([FINDING, FINDING], source).plain == to_text([FINDING, FINDING], source)
    assert to_rich([FINDING], source).spans


def test_json():
    source = Source.of("s.hdm", TEXT)
    (found,) = json.loads(json.dumps(to_json([FINDING], source)))
    assert found["file"] == "s.hdm"
    assert (found["code"], found["severity"], found["waived"]) == ("HDM104", "error", "known")
    assert found["span"] == {"start": 26, "end": 28, "line": 2, "column": 8, "end_line": 2, "end_column": 10}
    assert found["related"] == [
        {
            "message": "begins here",
            "span": {"start": 0, "end": 4, "line": 1, "column": 1, "end_line": 1, "end_column": 5},
        }
    ]
    assert found["rows"] == list(range(1, 13))


def test_without_a_source():
    assert to_text([FINDING], None).startswith("error[HDM104]: Something is wrong.\n  = rows")
    assert to_json([FINDING], None)[0]["span"] is None


def test_control_characters_are_not_sent_to_the_terminal():
    finding = Diagnostic("HDM104", "a \x1b[31m b\nc", span=Span(0, 1), help="\x07")
    text = to_text([finding], Source.of("s\x1b", "\x1b[2J"))
    assert not set(text) & set("\x1b\x07")
    assert printable("a\tb\nc\ud800") == "a b c\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("é", 1), ("", 0)])
def test_display_width(text: str, width: int):
    assert display_width(text) == width


def test_suggestions():
    assert did_you_mean("Scool", ["school", "pupil"]) == "school"
    assert did_you_mean("xyz", ["school", "pupil"]) is None
    assert did_you_mean("with", ["within"], closeness=0.9) is None


def test_errors_count_unless_waived():
    assert has_errors([Diagnostic("HDM104", "m")])
    assert not has_errors([Diagnostic("HDM104", "m", waived="r"), Diagnostic("HDM104", "m", severity="warning")])


def test_codes_are_well_formed():
    assert all(code.startswith("HDM") and len(code) == 6 and code[3:].isdecimal() for code in CODES)
    assert all(info.title for info in CODES.values())
