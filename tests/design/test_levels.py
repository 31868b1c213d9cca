"""Questions about levels, and the text of roles."""

from __future__ import annotations

import re

import pytest

from hdsl import Study
from hdsl.design import levels
from hdsl.design.roles import role_text
from hdsl.design.words import NAME, is_name, number_text
from hdsl.syntax.grammar import tables
from tests.design.language import BUILT


def test_ancestors_follow_nesting_and_crossing_nearest_first() -> None:
    study = Study.from_text(
        """study s
        group country  group district in country  group school in district
        unit pupil in school  wave term
        unit mark in pupil * term  unit copy in mark
        """
    )
    assert levels.ancestors(study, "copy") == ("mark", "pupil", "term", "school", "district", "country")
    assert levels.ancestors(study, "country") == ()
    assert levels.is_above(study, "country", "copy")
    assert not levels.is_above(study, "copy", "country")
    assert not levels.is_above(study, "term", "pupil")
    assert not levels.is_above(study, "pupil", "pupil")
    assert levels.chains(study, "mark") == (("country", "district", "school", "pupil", "mark"), ("term", "mark"))
    assert levels.chains(study, "nothing") == ()
    assert [level.name for level in levels.waves(study)] == ["term"]
    assert levels.row_level(study).name == "copy"


def test_circles_and_unknown_names_end_the_search() -> None:
    study = Study("s").group("a", within="b").group("b", within="a").group("c", within=["c", "nothing"])
    assert levels.ancestors(study, "a") == ("b",)
    assert levels.chains(study, "a") == (("b", "a"),)
    assert levels.ancestors(study, "c") == ()
    assert levels.ancestors(study, "nothing") == ()


def test_lookups() -> None:
    study = BUILT["voucher"]
    found = levels.variable(study, "enrolled")
    assert found is not None
    assert (found[0].name, found[1].role) == ("applicant", "intermediate")
    assert levels.variable(study, "offer") is None
    assert [(level.name, variable.name) for level, variable in levels.outcomes(study)] == [("applicant", "earnings")]
    treatment, assignment = levels.treatment(study, "offer"), levels.assignment_of(study, "offer")
    assert treatment is not None
    assert assignment is not None
    assert assignment.to == "applicant"
    assert levels.treatment(study, "enrolled") is None
    assert levels.principal(study, "stratum") is not None
    assert levels.names_in_scope(study) == {
        "site": "group",
        "applicant": "unit",
        "p_offer": "covariate",
        "schooling": "covariate",
        "enrolled": "intermediate",
        "earnings": "outcome",
        "offer": "treatment",
        "stratum": "principal",
    }


def test_a_study_without_units_has_no_row() -> None:
    with pytest.raises(LookupError, match="no unit"):
        levels.row_level(Study("s").group("g"))


@pytest.mark.parametrize(
    "role",
    [
        "intercept",
        "residual",
        "effect(tutor)",
        "effect(tutor)[trained]",
        "effect(tutor)[school]",
        "intercept[school]",
        "slope(pretest)",
        "slope(log(size))",
        "slope(exper * exper)",
        "slope(mean(union, person))",
        "slope(x - (y - z))",
        "slope(-(x + 1) ^ 2)",
        "sd(intercept, school)",
        "sd(effect(tutor), school)",
        "corr(intercept, effect(tutor), school)",
        "corr(school)",
        "interaction(z1 * z2)",
    ],
)
def test_roles_print_as_they_are_written(role: str) -> None:
    squeezed, spread = re.sub(r" ", "", role), re.sub(r"([(),*])", r" \1 ", role)
    for text in (role, squeezed, spread):
        study = Study("s").prior(text, "normal(0, 1)")
        assert role_text(study.priors[0].target) == role


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (5.0, "5"), (-2.0, "-2"), (1e22, "1e22"), (1.5e-7, "1.5e-7"), (0.1 + 0.2, "0.30000000000000004")],
)
def test_numbers_are_short_and_exact(value: float, text: str) -> None:
    assert number_text(value) == text
    assert float(text) == value


def test_names_are_those_of_the_grammar() -> None:
    (terminal,) = (t for t in tables().lark.terminals if t.name == "NAME")
    pattern = re.compile(terminal.pattern.to_regexp())
    every = [chr(code) for code in range(0x3000)]
    assert [c for c in every if bool(pattern.fullmatch(c)) != is_name(c)] == []
    assert [c for c in every if bool(pattern.fullmatch("a" + c)) != bool(NAME.fullmatch("a" + c))] == []
