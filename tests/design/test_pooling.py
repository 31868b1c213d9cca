"""Forms of pooling as studies: what each has, and that each is sound."""

from __future__ import annotations

import pytest

from hdsl import Study, complete, covariate, ignorable, outcome
from hdsl.checks import check_study
from hdsl.design.ir import Adjust, Pool
from hdsl.design.pooling import pooled_forms, treated_within, why_not
from hdsl.design.roles import role_text


def panel() -> Study:
    return (
        Study("wages")
        .data("d.csv")
        .unit("person", id="nr", variables=[covariate("schooling", "real")])
        .wave("year", id="year")
        .unit("record", within="person * year", variables=[covariate("exper", "real"), outcome("wage", "real")])
        .treatment("union", no=0, yes=1)
        .assign("union", to="record", within=["person"], by=ignorable("exper", "mean(union, person)"))
        .adjust("exper", "schooling")
        .vary("exper", across="person")
        .prior("sd(intercept, person)", "halfnormal(1)")
        .prior("effect(union)", "normal(0, 1)")
        .estimand("premium", "average over record of wage(union = yes) - wage(union = no)")
        .estimand("new", "average over population person of wage(union = yes) - wage(union = no)")
    )


def terms(study: Study) -> list[str]:
    return [role_text(term) for item in study.analysis if isinstance(item, Adjust) for term in item.terms]


def given(study: Study) -> list[str]:
    return [role_text(term) for assignment in study.assignments for term in assignment.mechanism.given]


def test_each_form_has_its_own_pooling_and_terms() -> None:
    forms = pooled_forms(panel(), "person")
    assert list(forms) == ["complete", "partial", "none", "mundlak"]
    pools = {form: [item.how for item in s.analysis if isinstance(item, Pool)] for form, s in forms.items()}
    assert pools == {"complete": ["completely"], "partial": [], "none": ["none"], "mundlak": []}
    assert terms(forms["partial"]) == terms(forms["complete"]) == ["exper", "schooling"]
    assert terms(forms["none"]) == ["exper"]
    assert terms(forms["mundlak"]) == ["exper", "schooling", "mean(union, person)", "mean(exper, person)"]
    for form in forms.values():
        assert given(form) == ["exper"]
        assert [block for assignment in form.assignments for block in assignment.within] == []


def test_priors_and_estimands_that_a_form_cannot_have_are_left_out() -> None:
    forms = pooled_forms(panel(), "person")
    assert {form: len(study.priors) for form, study in forms.items()} == {
        "complete": 1,
        "partial": 2,
        "none": 1,
        "mundlak": 2,
    }
    assert {form: len(study.estimands) for form, study in forms.items()} == {
        "complete": 2,
        "partial": 2,
        "none": 1,
        "mundlak": 2,
    }


def test_forms_are_sound_studies() -> None:
    for study in pooled_forms(panel(), "person").values():
        assert [found for found in check_study(study) if found.severity == "error"] == []
        assert Study.from_text(study.to_text()) == study


def clustered() -> Study:
    return (
        Study("curriculum")
        .data("d.csv")
        .group("school", id="school")
        .unit("pupil", within="school", variables=[covariate("x", "real"), outcome("y", "real")])
        .treatment("z", off=0, on=1)
        .assign("z", to="school", by=complete(0.5))
        .adjust("x")
    )


def test_a_cluster_treatment_has_no_form_without_pooling() -> None:
    forms = pooled_forms(clustered(), "school")
    assert list(forms) == ["complete", "partial", "mundlak"]
    assert terms(forms["mundlak"]) == ["x", "mean(x, school)"]


def test_the_level_within_which_treatment_varies_is_compared() -> None:
    assert treated_within(panel()) == "person"
    assert treated_within(clustered()) is None


@pytest.mark.parametrize(("group", "said"), [("year2", "no level"), ("record", "no level"), (None, "no level")])
def test_what_cannot_be_compared_is_said(group: str | None, said: str) -> None:
    found = why_not(panel(), group)
    assert found is not None
    assert said in found.lower()


def test_equations_have_no_other_forms() -> None:
    study = Study("s").unit("pupil", variables=[outcome("y", "real")]).model("y[pupil] ~ normal(m, 1) m ~ normal(0, 1)")
    assert "explicit equations" in (why_not(study, "pupil") or "")
