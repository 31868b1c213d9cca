"""Models derived from designs: which terms there are, why, and what users see of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.data.bind import bind
from hdsl.design.parts import complete, covariate, outcome
from hdsl.design.study import Study
from hdsl.model.from_design import derive
from hdsl.model.functions import dims_of
from hdsl.model.ir import Law, const
from tests.model.designs import (
    DESIGNS,
    Design,
    blocked,
    clustered,
    design,
    dosed,
    exposed,
    interacting,
    multisite,
    panel,
    pooled,
    randomised,
    several_arms,
    split_split_plot,
    survival,
    unpooled,
    with_priors,
)

REPORTED = {
    "randomised": ["effect(coach)", "slope(age)", "intercept", "residual"],
    "blocked": [
        "effect(tutor)",
        "slope(mean(tutor, school))",
        "sd(intercept, school)",
        "intercept",
        "intercept[school]",
        "residual",
    ],
    "clustered": [
        "effect(reform)",
        "slope(pretest)",
        "slope(log(size))",
        "sd(intercept, district)",
        "sd(intercept, school)",
        "intercept",
        "intercept[district]",
        "intercept[school]",
        "residual",
    ],
    "split_plot": [
        "effect(mailing)",
        "effect(call)",
        "sd(intercept, postcode)",
        "sd(intercept, household)",
        "intercept",
        "intercept[postcode]",
        "intercept[household]",
    ],
    "split_split_plot": [
        "effect(water)",
        "effect(feed)",
        "effect(variety)[b]",
        "effect(variety)[c]",
        "sd(intercept, rep)",
        "sd(intercept, plot)",
        "sd(intercept, sub)",
        "intercept",
        "intercept[rep]",
        "intercept[plot]",
        "intercept[sub]",
        "residual",
    ],
    "panel": [
        "effect(therapy)",
        "slope(month)",
        "sd(intercept, person)",
        "sd(slope(month), person)",
        "corr(intercept, slope(month), person)",
        "sd(intercept, month)",
        "intercept",
        "slope(month)[person]",
        "intercept[person]",
        "intercept[month]",
        "residual",
    ],
    "multisite": [
        "interaction(tutor * poverty)",
        "effect(tutor)",
        "slope(pretest)",
        "slope(poverty)",
        "sd(intercept, school)",
        "sd(effect(tutor), school)",
        "corr(intercept, effect(tutor), school)",
        "intercept",
        "effect(tutor)[school]",
        "intercept[school]",
        "residual",
        "residual(tutor)",
    ],
    "dosed": [
        "effect(dose)",
        "slope(mean(dose, clinic))",
        "sd(intercept, clinic)",
        "sd(effect(dose), clinic)",
        "intercept",
        "effect(dose)[clinic]",
        "intercept[clinic]",
        "residual",
    ],
    "several_arms": [
        "effect(arm)[talk]",
        "effect(arm)[both]",
        "sd(intercept, site)",
        "sd(effect(arm)[talk], site)",
        "sd(effect(arm)[both], site)",
        "corr(intercept, effect(arm)[talk], site)",
        "corr(intercept, effect(arm)[both], site)",
        "corr(effect(arm)[talk], effect(arm)[both], site)",
        "intercept",
        "effect(arm)[talk][site]",
        "effect(arm)[both][site]",
        "intercept[site]",
        "residual",
    ],
    "interacting": [
        "effect(nitrogen)",
        "effect(potash)[low]",
        "effect(potash)[high]",
        "interaction(nitrogen * potash)[low]",
        "interaction(nitrogen * potash)[high]",
        "intercept",
        "residual[no]",
        "residual[yes]",
    ],
    "summaries": ["sd(intercept, site)", "intercept", "intercept[site]"],
    "counted": ["effect(extract)", "sd(intercept, plate)", "intercept", "intercept[plate]"],
    "exposed": ["effect(pest)", "sd(intercept, building)", "intercept", "intercept[building]"],
    "graded": ["effect(drug)", "slope(age)", "cutpoint"],
    "survival": ["effect(drug)", "intercept", "shape"],
    "weighted": ["effect(coach)", "intercept", "residual", "df"],
}


def _reason(case: Design, role: str) -> str:
    model, _ = case.made
    (variable,) = [variable for variable in model.variables if variable.role == role]
    return variable.reason


def _law(case: Design, role: str) -> Law:
    model, _ = case.made
    (variable,) = [variable for variable in model.variables if variable.role == role]
    return variable.law


@pytest.mark.parametrize("name", REPORTED)
def test_what_users_see(name: str, tmp_path: Path) -> None:
    model, _ = DESIGNS[name](tmp_path).made
    assert sorted(reported.role for reported in model.reported) == sorted(REPORTED[name])


@pytest.mark.parametrize("name", DESIGNS)
def test_every_term_has_a_reason_and_sound_dims(name: str, tmp_path: Path) -> None:
    model, data = DESIGNS[name](tmp_path).made
    assert [variable.role for variable in model.variables if not variable.reason] == []
    scope = model.dims_of()
    for definition in model.definitions:
        assert dims_of(definition.value, scope) == definition.dims
    for slot in model.slots:
        assert data.values[slot.name].shape == tuple(model.sizes[dim] for dim in slot.dims)
    for index_set in model.index_sets:
        assert len(data.coords[index_set.name]) == index_set.size
    (observation,) = model.observations
    assert observation.dims == (model.unit,)


@pytest.mark.parametrize(
    ("build", "role", "reason"),
    [
        (blocked, "sd(intercept, school)", "tutor was assigned within each school"),
        (clustered, "sd(intercept, school)", "reform was assigned to each school"),
        (clustered, "effect(reform)", "treatment reform, assigned to each school"),
        (clustered, "slope(log(size))", "adjusted for"),
        (panel, "sd(intercept, month)", "each visit belongs to a month"),
        (panel, "slope(month)", "the mean of the effects that vary across person"),
        (multisite, "slope(poverty)", "main effect of the moderator of tutor"),
        (multisite, "sd(effect(tutor), school)", "effect(tutor) varies across school"),
        (multisite, "residual(tutor)", "additive treatment error (Gelman 2004)"),
        (unpooled, "unpooled(intercept, school)", "`pool school none`: fixed effects, no pooling"),
    ],
)
def test_reasons(build: object, role: str, reason: str, tmp_path: Path) -> None:
    assert _reason(build(tmp_path), role) == reason  # type: ignore[operator]


def test_a_cluster_treatment_predicts_the_clusters_intercept(tmp_path: Path) -> None:
    model, _ = clustered(tmp_path).made
    dims = {definition.role: definition.dims for definition in model.definitions}
    assert dims["intercept[school]"] == ("school",)
    assert {slot.name: slot.dims for slot in model.slots if slot.treatment} == {"reform": ("school",)}


def test_equal_shares_are_no_predictor(tmp_path: Path) -> None:
    model, _ = multisite(tmp_path).made
    assert not any("mean(tutor" in variable.role for variable in model.variables)


def test_complete_pooling_leaves_the_group_out(tmp_path: Path) -> None:
    model, _ = pooled(tmp_path).made
    assert not any("intercept, school" in variable.role for variable in model.variables)


def test_no_pooling_has_fixed_spread(tmp_path: Path) -> None:
    case = unpooled(tmp_path)
    s = case.columns["score"].std(ddof=1)
    assert _law(case, "unpooled(intercept, school)").args[1] == const(float(f"{10 * s:.4g}"))
    assert not any(variable.role == "sd(intercept, school)" for variable in case.made[0].variables)


def test_priors_of_the_user_take_the_place_of_the_defaults(tmp_path: Path) -> None:
    case = with_priors(tmp_path)
    laws = {
        v.role: (v.law.distribution, *(getattr(a, "value", None) for a in v.law.args)) for v in case.made[0].variables
    }
    assert laws["effect(tutor)"] == ("normal", 0.0, 5.0)
    assert laws["sd(effect(tutor), school)"] == ("halfnormal", 2.0)
    assert laws["corr_cholesky(school)"] == ("lkj_cholesky", 4.0)
    assert laws["intercept"] == ("student", 4.0, 50.0, 10.0)
    assert laws["residual"] == ("exponential", 0.2)


def test_one_prior_serves_all_arms(tmp_path: Path) -> None:
    case = several_arms(tmp_path)
    case = case.with_study(case.study.prior("effect(arm)", "normal(0, 3)").prior("effect(arm)[both]", "normal(1, 2)"))
    assert _law(case, "effect(arm)[talk]").args == (const(0), const(3))
    assert _law(case, "effect(arm)[both]").args == (const(1), const(2))


def test_a_prior_without_parameter_is_an_error(tmp_path: Path) -> None:
    case = randomised(tmp_path)
    found, problems = case.with_study(case.study.prior("slope(height)", "normal(0, 1)")).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM231"]
    assert "slope(height)" in problems[0].message


def test_a_prior_of_a_spread_must_be_positive(tmp_path: Path) -> None:
    case = randomised(tmp_path)
    found, problems = case.with_study(case.study.prior("residual", "normal(3, 1)")).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM625"]


def test_correlated_student_effects_are_refused(tmp_path: Path) -> None:
    case = blocked(tmp_path)
    found, problems = case.with_study(case.study.vary("tutor", across="school", law="student")).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM620"]
    assert "student" in problems[0].message


def test_what_is_not_derived_is_named(tmp_path: Path) -> None:
    case = panel(tmp_path)
    found, problems = case.with_study(case.study.vary("intercept", across="person", law="student")).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM620"]
    assert "as student" in problems[0].message


@pytest.mark.parametrize("term", ["missing_name", "school", "log(age, 2)", "nonsense(age)"])
def test_terms_that_cannot_be(term: str, tmp_path: Path) -> None:
    case = randomised(tmp_path)
    study = case.study.group("school", id="coach").adjust(term)
    found, problems = case.with_study(study).outcome_of()
    assert found is None
    assert all(problem.code.startswith("HDM6") for problem in problems)


def test_a_group_of_single_rows_is_left_out_with_a_warning(tmp_path: Path) -> None:
    case = randomised(tmp_path)
    study = (
        Study("single")
        .data("data.csv")
        .group("person", id="pid")
        .unit("record", within="person", variables=[covariate("age", "real"), outcome("pay", "real")])
        .treatment("coach", usual=0, coached=1)
        .assign("coach", to="person", by=complete(0.5))
    )
    found, problems = case.with_study(study).outcome_of()
    assert found is not None
    assert [(problem.code, problem.severity) for problem in problems] == [("HDM411", "warning")]
    assert not any("person" in variable.role for variable in found[0].variables)


def test_exposure_is_an_offset(tmp_path: Path) -> None:
    case = exposed(tmp_path)
    _, data = case.made
    np.testing.assert_allclose(data.values["log_exposure"], np.log(case.columns["days"]))


def test_exposure_needs_a_log_link(tmp_path: Path) -> None:
    case = exposed(tmp_path)
    found, problems = case.with_study(case.study.family("roaches", "normal")).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM632"]


def test_censoring_is_the_event_of_the_observation(tmp_path: Path) -> None:
    case = survival(tmp_path)
    model, data = case.made
    (observation,) = model.observations
    assert observation.event is not None
    np.testing.assert_array_equal(data.values[observation.event], 1 - case.columns["left"])


def test_levels_of_a_split_split_plot_nest(tmp_path: Path) -> None:
    model, data = split_split_plot(tmp_path).made
    np.testing.assert_array_equal(data.values["plot_of_sub"], np.arange(12) // 2)
    np.testing.assert_array_equal(data.values["rep_of_plot"], np.arange(6) // 2)
    treatments = {slot.treatment: slot.dims for slot in model.slots if slot.treatment}
    assert treatments == {"water": ("plot",), "feed": ("sub",), "variety": ("strip",)}


def test_spreads_of_dose_effects_are_in_units_of_the_dose(tmp_path: Path) -> None:
    case = dosed(tmp_path)
    y, x = case.columns["pressure"], case.columns["dose"]
    assert _law(case, "sd(effect(dose), clinic)").args == (const(float(f"{y.std(ddof=1) / x.std():.4g}")),)


def test_separate_spreads_are_picked_by_arm(tmp_path: Path) -> None:
    from hdsl.reference.density import definitions
    from hdsl.reference.free import random_point

    case = interacting(tmp_path)
    model, data = case.made
    point = random_point(model, data, np.random.default_rng(1))
    names = {variable.role: variable.name for variable in model.variables}
    spread = definitions(model, data, point)["residual"].real
    expected = np.where(case.columns["nitrogen"] == 1, point[names["residual[yes]"]], point[names["residual[no]"]])
    np.testing.assert_allclose(spread, expected)


def test_two_outcomes_need_two_studies(tmp_path: Path) -> None:
    n = 8
    study = Study("two").unit("person", variables=[outcome("a", "real"), outcome("b", "real")])
    found, problems = design(study, tmp_path, a=np.arange(n), b=np.arange(n)).outcome_of()
    assert found is None
    assert [problem.code for problem in problems] == ["HDM630"]


def test_shares_of_a_conditional_assignment_are_of_the_units_reached(tmp_path: Path) -> None:
    """Calls only in mailed postcodes, unequal shares there: unmailed postcodes have the average share, not none."""
    code = np.repeat(np.arange(6), 8)
    mail = (code >= 2).astype(int)
    call = np.where(mail == 1, np.arange(48) % 8 < np.array([0, 0, 2, 6, 4, 4])[code], 0).astype(int)
    y = np.random.default_rng(0).normal(size=48).round(3)
    rows = [",".join(map(str, row)) for row in zip(code, mail, call, y, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["code,mailing,call,y", *rows]) + "\n")
    study = (
        Study("turnout")
        .data("d.csv")
        .group("code", id="code")
        .unit("voter", within="code", variables=[outcome("y", "real")])
        .treatment("mailing", none=0, mailed=1)
        .treatment("call", quiet=0, called=1)
        .assign("mailing", to="code", by=complete(2 / 3))
        .assign("call", to="voter", within="code", by=complete(0.5), given=("mailing", "mailed"))
    )
    bound, found = bind(study, tmp_path)
    assert bound is not None, found
    made, _ = derive(bound)
    assert made is not None
    model, data = made
    (slot,) = [slot.name for slot in model.slots if slot.source == "mean(call, code)"]
    np.testing.assert_allclose(data.values[slot], [0, 0, -0.25, 0.25, 0, 0])
    assert "slope(mean(call, code))" in [reported.role for reported in model.reported]
