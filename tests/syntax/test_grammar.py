"""The grammar is LALR(1) with no ambiguity but those in which a keyword is meant to win."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import lark
import pytest
from lark.lexer import PatternStr

from hdsl.resources import cache_folder, grammar_text
from hdsl.syntax.forms import FORMS
from hdsl.syntax.grammar import load_parser, tables
from hdsl.syntax.tokens import JUNK, LOOKALIKES

PLANNED = {
    ("OVER", "atom"),
    ("OVER", "_target"),
    ("AND", "all_test"),
    ("OR", "any_test"),
    ("PER", "size"),
    ("ASSUMING", "aggregate"),
    ("UNAFFECTED", "stratum"),
}


def conflicts(caplog: pytest.LogCaptureFixture) -> set[tuple[str, str]]:
    lark.logger.setLevel(logging.DEBUG)
    lark.logger.addHandler(caplog.handler)
    try:
        lark.Lark(grammar_text(), parser="lalr", lexer="basic", start=["file", "junk"], debug=True)
    finally:
        lark.logger.setLevel(logging.CRITICAL)
        lark.logger.removeHandler(caplog.handler)
    text = "\n".join(record.getMessage() for record in caplog.records)
    return set(re.findall(r"conflict for terminal (\w+): \(resolving as shift\)\n \* <(\w+) :", text))


def test_only_planned_conflicts(caplog: pytest.LogCaptureFixture):
    found = conflicts(caplog)
    after_not = {(symbol, rule) for symbol, rule in found if rule == "plain_name"}
    assert len(after_not) > 50  # `not` before a word or parenthesis is the operator
    assert found - after_not <= PLANNED
    assert ("UNAFFECTED", "stratum") in found


def test_every_keyword_serves_as_a_name():
    plain = grammar_text().split("?!name:")[1].split("GROUP:")[0]
    quoted = set(re.findall(r'"(\w+)"', plain))
    named = {tables().keywords[symbol] for symbol in re.findall(r"\b([A-Z]+)\b", plain) if symbol in tables().keywords}
    assert quoted | named == set(tables().keywords.values())


def test_every_opening_keyword_has_its_form():
    assert set(FORMS) == set(tables().openings)
    for symbol, form in FORMS.items():
        assert form.startswith(tables().keywords[symbol])


def test_junk_and_lookalikes_name_terminals():
    patterns = {terminal.name: terminal.pattern for terminal in tables().lark.terminals}
    assert set(patterns) >= JUNK
    for kind, sign in LOOKALIKES.values():
        pattern = patterns[kind]
        assert isinstance(pattern, PatternStr)
        assert pattern.value == sign


def parses(parser: lark.Lark) -> bool:
    return parser.parse("study s", start="file").data == "file"


def test_the_parser_is_kept_on_disk_and_a_broken_copy_is_made_anew(tmp_path: Path):
    assert parses(load_parser(tmp_path))
    (kept,) = tmp_path.iterdir()
    assert parses(load_parser(tmp_path))
    kept.write_bytes(b"broken")
    assert parses(load_parser(tmp_path))
    assert kept.stat().st_size > 1000


def test_the_parser_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache_folder() is None
    assert parses(load_parser(None))


def test_the_cache_folder_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hdsl"
