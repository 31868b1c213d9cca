"""Every study of the corpus parses, and formatting keeps its meaning and its comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdsl.source import Source
from hdsl.syntax import ast, format_source, parse, read_source

STUDIES = sorted((Path(__file__).parent.parent / "studies").glob("*.hdm"))


def read(path: Path) -> Source:
    source = read_source(path)
    assert isinstance(source, Source)
    return source


@pytest.fixture(params=STUDIES, ids=lambda path: path.stem)
def source(request: pytest.FixtureRequest) -> Source:
    return read(request.param)


def test_corpus_is_there():
    assert len(STUDIES) >= 15


def test_parses(source: Source):
    file, diagnostics = parse(source)
    assert diagnostics == []
    assert file.statements


def test_format_keeps_the_tree_and_the_comments(source: Source):
    formatted = Source.of("formatted", format_source(source))
    before, _ = parse(source)
    after, diagnostics = parse(formatted)
    assert diagnostics == []
    assert after == before
    assert [comment.text for comment in after.comments] == [comment.text for comment in before.comments]


def test_format_twice_changes_nothing(source: Source):
    once = format_source(source)
    assert format_source(Source.of("once", once)) == once
    assert once.endswith("\n")
    assert not any(line != line.rstrip() for line in once.split("\n"))


def test_every_statement_and_amendment_is_in_the_corpus():
    seen: set[type] = set()
    for path in STUDIES:
        for statement in parse(read(path))[0].statements:
            seen.add(type(statement))
            if isinstance(statement, ast.Analysis):
                seen |= {type(amendment) for amendment in statement.amendments}
    assert seen == {*ast.Statement.__value__.__args__, *ast.Amendment.__value__.__args__}


def test_spans_cover_what_was_written():
    source = read(Path(__file__).parent.parent / "studies" / "every_statement.hdm")
    for statement in parse(source)[0].statements:
        text = source.slice(statement.span)
        if isinstance(statement, ast.Level):
            assert text.startswith(statement.word)
            assert source.slice(statement.name.span) == statement.name.text
            for variable in statement.variables:
                assert source.slice(variable.span).startswith(variable.role)
                assert source.slice(variable.kind.span).startswith(variable.kind.name)
        elif isinstance(statement, ast.Estimand):
            assert text.startswith("estimand ")
            assert source.slice(statement.value.span) in text.split(" = ", 1)[1]
            assert source.slice(statement.name.span) == statement.name.text
        elif isinstance(statement, ast.Analysis):
            assert text.startswith("analysis {")
            assert text.endswith("}")
            firsts = {source.slice(amendment.span).split()[0] for amendment in statement.amendments}
            assert {"family", "adjust", "vary", "variance", "pool", "poststratify"} <= firsts
