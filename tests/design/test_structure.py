"""Errors of structure: statements that may stand once, and arguments that cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdsl.design.from_syntax import to_study
from hdsl.source import Source
from hdsl.syntax.parse import parse
from tests.design.language import TEXTS


def findings(text: str) -> list[tuple[str, str]]:
    """The structure errors of a text: the code, and the words each points at."""
    source = Source.of("study.hdm", text)
    file, problems = parse(source)
    assert problems == []
    found = to_study(file)[2]
    assert all(diagnostic.help and diagnostic.span is not None for diagnostic in found)
    return [(d.code, source.slice(d.span)) for d in found if d.span is not None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data "a.csv"', [("HDM201", "")]),
        ("study a  study b", [("HDM202", "study")]),
        ('study a  data "x" data "y" data "z"', [("HDM202", "data"), ("HDM202", "data")]),
        ("study a  priors { } priors { }", [("HDM202", "priors")]),
        ("study a  model { } analysis { }", [("HDM203", "model")]),
        ("study a  hdm 1", [("HDM204", "hdm 1")]),
        ("hdm 1  study a", []),
        ("study a  assign z to u by bernoulli", [("HDM205", "bernoulli")]),
        ("study a  assign z to u by rule(x)", [("HDM205", "rule(x)")]),
        ("study a  assign z to u by rule(x, y)", [("HDM205", "rule(x, y)")]),
        ("study a  assign z to u by rule(x, -2.5)", []),
        ("study a  assign z to u by ignorable", []),
        ("study a  priors { b ~ normal(sd = 1 at month 3) }", [("HDM206", "at month 3")]),
    ],
)
def test_structure_errors(text: str, expected: list[tuple[str, str]]) -> None:
    assert findings(text) == expected


def test_the_first_of_two_statements_counts() -> None:
    file, _ = parse(Source.of("study.hdm", 'study a "one" study b "two"'))
    study, _, _ = to_study(file)
    assert study is not None
    assert (study.name, study.title) == ("a", "one")


def test_no_study_statement_gives_no_study() -> None:
    file, _ = parse(Source.of("study.hdm", 'data "a.csv"'))
    assert to_study(file)[0] is None


def test_potential_outcomes_only_in_estimands() -> None:
    text = "study s  analysis { family y student(nu = 4) } estimand e = average over u of y(z = b at w 1..3)"
    file, _ = parse(Source.of("study.hdm", text))
    study, _, _ = to_study(file)
    assert study is not None
    assert study.model_dump()["analysis"][0]["law"]["options"][0]["name"] == "nu"
    value = study.model_dump()["estimands"][0]["value"]["of"]
    assert value["node"] == "potential"
    assert value["settings"][0]["at"] == {"wave": "w", "first": 1.0, "last": 3.0}


@given(st.sampled_from(sorted(TEXTS.values())), st.data())
def test_damaged_studies_give_findings_only(text: str, data: st.DataObject) -> None:
    """Words left out, doubled, swapped or replaced never raise anything."""
    words = text.split(" ")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(words) - 1))
        other = data.draw(st.sampled_from(words) | st.sampled_from(["{", "}", "(", "=", "~", "-1", '""', "at", "in"]))
        words[at : at + 1] = data.draw(st.sampled_from([[], [other], [words[at], other], [other, words[at]]]))
        words = words or ["study"]
    file, problems = parse(Source.of("study.hdm", " ".join(words)))
    study, spans, more = to_study(file)
    assert all(diagnostic.code.startswith("HDM") for diagnostic in [*problems, *more])
    if study is not None:
        assert spans.of() is not None
        assert study.to_text().startswith("study ")
