"""Whatever the text, the parser answers with diagnostics and the formatter keeps what was said."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark

from hdsl.diagnostics import CODES, to_json, to_rich, to_text
from hdsl.source import Source
from hdsl.syntax import format_source, parse
from hdsl.syntax.grammar import load_parser, tables
from hdsl.syntax.tokens import lex

FOLDER = Path(__file__).parent.parent / "studies"
STUDIES = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.hdm"))]
SIGNS = [*"{}()[]=~,:;*+-/^<>.|#\"'“”\n\u200b\x00é", "..", "==", "!=", "日本", "1e9", ".5", "x"]
BLANKS = [" ", " ", "\n", "\n\n", "  # remark\n", "\n # own line\n"]


def answers(text: str) -> None:
    """Check all that must hold of any text."""
    source = Source.of("test", text)
    file, diagnostics = parse(source)
    for diagnostic in diagnostics:
        assert diagnostic.code in CODES
        assert diagnostic.help
        assert diagnostic.span is not None
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(source.text)
    shown = to_text(diagnostics, source)
    assert shown == to_rich(diagnostics, source).plain
    assert len(to_json(diagnostics, source)) == len(diagnostics)
    formatted = Source.of("formatted", format_source(source))
    again, repeated = parse(formatted)
    assert again == file
    assert [(d.code, d.message) for d in repeated] == [(d.code, d.message) for d in diagnostics]
    assert [comment.text for comment in again.comments] == [comment.text for comment in file.comments]
    assert format_source(formatted) == formatted.text


@given(st.text())
@example("study \ud800")
@example("unit u {#\n}")
def test_any_text(text: str):
    answers(text)


@given(st.binary())
def test_any_bytes(data: bytes):
    answers(data.decode("latin-1"))


WORDS = st.sampled_from([*tables().keywords.values(), *SIGNS, "study", "school", "0", '"text"', "# remark\n"])


@given(st.lists(WORDS, max_size=40))
def test_any_words(words: list[str]):
    answers(" ".join(words))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a study of the corpus with some tokens removed, doubled, swapped or replaced."""
    text = draw(st.sampled_from(STUDIES))
    pieces = [str(token) for token in lex(Source.of("", text)).tokens]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(pieces) - 1))
        match draw(st.sampled_from(["drop", "double", "replace", "swap"])):
            case "drop":
                pieces[at] = ""
            case "double":
                pieces[at] += " " + pieces[at]
            case "replace":
                pieces[at] = draw(WORDS)
            case _:
                other = draw(st.integers(0, len(pieces) - 1))
                pieces[at], pieces[other] = pieces[other], pieces[at]
    blanks = random.Random(draw(st.integers(0, 10**6)))
    return "".join(piece + blanks.choice(BLANKS) for piece in pieces)


@given(mutated())
def test_mutated_studies(text: str):
    answers(text)


@given(st.sampled_from(STUDIES), st.integers(0, 10**4), st.sampled_from(["", *SIGNS]))
def test_studies_cut_or_hit_anywhere(study: str, at: int, sign: str):
    at %= len(study) + 1
    answers(study[:at] + sign + study[at + 1 :])
    answers(study[:at])


@given(from_lark(load_parser(None), start="file"))
def test_whatever_the_grammar_makes(text: str):
    answers(text)


@given(st.sampled_from(STUDIES), st.integers(0, 10**6))
def test_blanks_and_line_ends_mean_nothing(study: str, seed: int):
    source = Source.of("test", study)
    blanks = random.Random(seed)
    pieces = [str(token) for token in lex(source).tokens]
    shuffled = "".join(piece + blanks.choice([" ", "\n", "\t", " \n\n  ", "  # remark\n"]) for piece in pieces)
    assert parse(Source.of("shuffled", shuffled)) == parse(source)
