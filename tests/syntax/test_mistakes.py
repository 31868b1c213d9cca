"""Every written mistake is answered with exactly its message."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdsl.diagnostics import CODES, to_text
from hdsl.resources import mistakes as mistake_files
from hdsl.source import Source
from hdsl.syntax import parse, read_source
from hdsl.syntax.machine import Machine
from hdsl.syntax.mistakes import Failure, look, read_mistake
from hdsl.syntax.tokens import lex

MISTAKES = [read_mistake(name.removesuffix(".hdm"), text) for name, text in mistake_files()]
CASES = [(mistake, number) for mistake in MISTAKES for number in range(len(mistake.examples))]
WHOLE = sorted((Path(__file__).parent.parent / "mistakes").glob("*.hdm"))


def failure(text: str) -> Failure:
    found = Machine(lex(Source.of("", text)).tokens, None).first_failure()
    assert found is not None
    return found


def test_there_are_many():
    assert len(MISTAKES) >= 40
    assert len({mistake.message for mistake in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize(("mistake", "number"), CASES, ids=lambda x: getattr(x, "name", str(x)))
def test_example_gives_its_message_alone(mistake, number):
    example = mistake.examples[number]
    found = failure(example)
    previous = str(found.previous) if found.previous else ""
    expected = mistake.message.replace("{found}", str(found.token)).replace("{previous}", previous)
    _, diagnostics = parse(Source.of("test", example))
    assert [(d.code, d.message, d.severity) for d in diagnostics] == [(mistake.code, expected, "error")]
    assert diagnostics[0].help
    assert diagnostics[0].span is not None
    assert mistake.code in CODES


def test_no_two_mistakes_claim_the_same_failure():
    claimed: dict[tuple[object, ...], str] = {}
    for mistake in MISTAKES:
        for example in mistake.examples:
            found = failure(example)
            place = () if mistake.anywhere else (found.context, found.state, mistake.previous)
            value = str(found.token) if mistake.anywhere == "value" else ""
            key = (mistake.anywhere, *place, look(found.token), value)
            assert claimed.setdefault(key, mistake.name) == mistake.name


@pytest.mark.parametrize("text", ["# help: h\nstudy", "# message: m\nstudy", "# message: m\n# help: h\n"])
def test_an_incomplete_mistake_is_refused(text: str):
    with pytest.raises(ValueError, match="a mistake has"):
        read_mistake("name", text)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_whole_studies_with_mistakes(path: Path):
    """The expected text is beside the study; several errors come out of one run."""
    source = read_source(path)
    assert isinstance(source, Source)
    shown = to_text(parse(source)[1], Source.of(path.name, source.text))
    assert shown == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_there_are_whole_studies():
    assert len(WHOLE) >= 4
