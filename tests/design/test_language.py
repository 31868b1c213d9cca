"""Every study of the language page: its text and its Python form are one study, and every part has a place."""

from __future__ import annotations

import pytest

from hdsl import Study, covariate, outcome
from hdsl.design.from_syntax import to_study
from hdsl.design.spans import Spans
from hdsl.source import Source
from hdsl.syntax.parse import parse
from tests.design.language import BUILT, TEXTS

NAMES = sorted(TEXTS)


def read(name: str) -> tuple[Study, Spans, Source]:
    """The study of a text, with its places."""
    source = Source.of(name, TEXTS[name])
    file, findings = parse(source)
    study, spans, problems = to_study(file)
    assert study is not None
    assert [*findings, *problems] == []
    return study, spans, source


def test_every_study_is_built() -> None:
    assert sorted(BUILT) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_python_equals_text(name: str) -> None:
    study, _, _ = read(name)
    assert BUILT[name] == study
    assert hash(BUILT[name]) == hash(study)


@pytest.mark.parametrize("name", NAMES)
def test_text_and_json_return(name: str) -> None:
    study = BUILT[name]
    assert Study.from_text(study.to_text()) == study
    assert Study.from_json(study.to_json()) == study


def test_text_is_laid_out_for_reading() -> None:
    study = Study("s").unit("u", variables=[covariate("x", "real"), outcome("score", "count of n")]).adjust("x")
    assert (
        study.prior("residual", "halfnormal(1)").prior("sd(intercept, g)", "halfnormal(2)").to_text()
        == """\
study s
unit u {
  covariate x     : real
  outcome   score : count of n
}
analysis {
  adjust for x
}
priors {
  residual         ~ halfnormal(1)
  sd(intercept, g) ~ halfnormal(2)
}
"""
    )


def test_places_point_at_the_words() -> None:
    _, spans, source = read("tutoring")
    at = {
        ("name",): "tutoring",
        ("title",): '"Tutoring, randomised within schools"',
        ("table",): '"tutoring.csv"',
        ("levels", 0, "name"): "school",
        ("levels", 0, "id"): "school_id",
        ("levels", 1, "parents", 0): "school",
        ("levels", 1, "variables", 0): 'covariate pretest : real "points"',
        ("levels", 1, "variables", 0, "kind"): "real",
        ("levels", 1, "variables", 1, "measured_in"): '"points"',
        ("treatments", 0, "arms", 1): "tutored = 1",
        ("treatments", 0, "arms", 1, "code"): "1",
        ("assignments", 0, "within", 0): "school",
        ("assignments", 0, "mechanism"): "complete(0.5)",
        ("assignments", 0, "mechanism", "probability"): "0.5",
        ("analysis", 0, "terms", 1): "poverty",
        ("analysis", 1, "across", 0): "school",
        ("analysis", 3): "variance of score by tutor as additive",
        ("priors", 1, "target"): "sd(effect(tutor), school)",
        ("priors", 1, "target", "args", 0, "args", 0): "tutor",
        ("priors", 1, "law"): "halfnormal(2)",
        ("estimands", 1, "index", 0): "school",
        ("estimands", 2, "value", "over"): "school",
        ("estimands", 0, "value", "of", "left", "settings", 0, "value"): "tutored",
    }
    found = {path: source.slice(span) for path in at if (span := spans.of(*path)) is not None}
    assert found == at


def test_a_part_without_a_place_has_that_of_the_nearest_around_it() -> None:
    _, spans, source = read("tutoring")
    amendment = spans.of("analysis", 1)
    assert amendment is not None
    assert spans.of("analysis", 1, "law") == amendment
    assert source.slice(amendment) == "vary tutor across school"
    assert spans.of("waivers", 7) == spans.of()
    assert Spans().of("levels", 0) is None


def test_places_of_crossings_conditions_and_strata() -> None:
    _, spans, source = read("stress")
    crossed = spans.of("levels", 2, "crosses", 1)
    assert crossed is not None
    assert source.slice(crossed) == "month"
    _, spans, source = read("turnout")
    condition = spans.of("assignments", 1, "condition", "arm")
    assert condition is not None
    assert source.slice(condition) == "mailed"
    _, spans, source = read("voucher")
    stratum = spans.of("principals", 0, "strata", 1, "values", 1)
    assert stratum is not None
    assert source.slice(stratum) == "1"
