"""Unknown names: told once, without what follows from them, and with what was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hdsl.checks.undeclared import told_once
from hdsl.diagnostics import Diagnostic
from tests.checks.studies import EQUATIONS, SCHOOLS, VISITS, VOTERS, checked

ALL_OVER = """
analysis { adjust for mean(pretest, school)  vary tutor across school  variance of score across school }
priors { sd(intercept, school) ~ halfnormal(2) }
estimand site[school] = average over school of score(tutor = tutored) - score(tutor = none)
"""


def test_an_undeclared_level_is_one_error() -> None:
    found = checked(SCHOOLS, ("group school id", "group schol id"), ALL_OVER)
    assert [(d.code, d.message) for d in found.findings] == [("HDM226", "There is no level `school`.")]
    assert found.at(found.findings[0]) == "school"
    assert found.findings[0].help == "Did you mean `schol`? The name is used in 8 places."


def test_a_name_used_once_is_not_counted() -> None:
    found = checked(SCHOOLS, "analysis { vary tutor across schol }")
    assert [d.help for d in found.findings] == ["Did you mean `school`?"]


def test_two_undeclared_names_are_two_errors() -> None:
    found = checked(VOTERS, ("group postcode id", "group zone id"), "analysis { adjust for agge, agge * agge }")
    assert [d.message for d in found.findings] == ["There is no level `postcode`.", "`agge` is not declared."]


@pytest.mark.parametrize("edit", [("unit person", "unit persn"), ("treatment therapy", "treatment therapi")])
def test_what_follows_from_an_undeclared_name_is_not_told(edit: tuple[str, str]) -> None:
    found = checked(VISITS, edit, "analysis { correlate cortisol within person as ar1 }")
    assert len(found.findings) == 1, [d.message for d in found.findings]


def test_what_does_not_follow_is_told() -> None:
    follows = Diagnostic("HDM410", "No class is said to lie in one grade.")
    unknown = Diagnostic("HDM226", "There is no level `grade`.")
    own = Diagnostic("HDM512", "There is no correlation of 2.")
    assert told_once([follows, unknown, own]) == [unknown, own]
    assert told_once([follows, own]) == [follows, own]
    warning = replace(follows, severity="warning")
    assert told_once([warning, unknown]) == [unknown]


@pytest.mark.parametrize(
    ("law", "meant"),
    [
        ("gaussian(0, 1)", "normal"), ("gauss(0, 1)", "normal"), ("N(0, 1)", "normal"), ("t(3, 0, 1)", "student"),
        ("studentt(3, 0, 1)", "student"), ("half_normal(1)", "halfnormal"), ("HalfCauchy(1)", "halfcauchy"),
        ("half_t(3, 1)", "halfstudent"), ("exp(1)", "exponential"), ("unif(0, 1)", "uniform"),
        ("inv_gamma(1, 1)", "inverse_gamma"), ("double_exponential(0, 1)", "laplace"),
    ],
)  # fmt: skip
def test_a_prior_by_another_name(law: str, meant: str) -> None:
    found = checked(SCHOOLS, f"priors {{ effect(tutor) ~ {law} }}")
    assert [(d.code, d.help) for d in found.findings] == [("HDM274", f"It is called `{meant}` here.")]


@pytest.mark.parametrize(
    ("family", "meant"), [("gaussian", "normal"), ("student_t", "student"), ("negative_binomial", "negbinomial")]
)
def test_a_family_by_another_name(family: str, meant: str) -> None:
    found = checked(SCHOOLS, f"analysis {{ family score {family} }}")
    assert [(d.code, d.help) for d in found.findings] == [("HDM258", f"It is called `{meant}` here.")]


def test_a_law_of_equations_by_another_name() -> None:
    found = checked(EQUATIONS, ("beta ~ normal(0, 1)", "beta ~ gaussian(0, 1)"))
    assert [(d.code, d.help) for d in found.findings] == [("HDM274", "It is called `normal` here.")]


def test_a_misspelt_prior_gets_the_nearest() -> None:
    found = checked(SCHOOLS, "priors { residual ~ halfnromal(1) }")
    assert [d.help for d in found.findings] == ["Did you mean `halfnormal`?"]


def test_an_unknown_arm_is_one_error() -> None:
    one = "average over student of score(tutor = tutord) - score(tutor = none)"
    vary = "analysis { vary tutor across school }"
    found = checked(SCHOOLS, vary, f"estimand a = {one}", f"estimand b[school] = {one}")
    assert [d.message for d in found.findings] == ["`tutor` has no arm `tutord`."]
    assert found.findings[0].help == "Did you mean `tutored`? The name is used in 2 places."
