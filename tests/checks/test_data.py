"""Each rule on data that break it, and on data that nearly do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from hdsl import Study, complete
from hdsl.checks import apply_waivers, check_data, check_study
from hdsl.data.bind import bind
from hdsl.design import ir
from hdsl.design.expr import Number
from hdsl.diagnostics import Diagnostic, has_errors
from tests.checks.studies import Edit, edited, read

DATA_CODES = frozenset(f"HDM3{number:02}" for number in (3, 4, *range(6, 20), 21, 22, 23, 24)) | {
    "HDM432",
    "HDM517",
    "HDM520",
}
PYTHON_CODES = frozenset({"HDM205", "HDM261", "HDM262", "HDM263", "HDM411", "HDM509"})

type Columns = Mapping[str, Sequence[float] | Sequence[str] | np.ndarray]

SCHOOLS = """
study s
data "d.csv"
group school id school
unit pupil in school { covariate x : real  outcome y : real }
treatment z { none = 0, more = 1 }
assign z to pupil within school by complete(0.5)
"""
RANDOM = np.random.default_rng(5)
N = 80


def rows(**changed: Sequence[float] | Sequence[str] | np.ndarray) -> dict[str, np.ndarray]:
    """Ten schools of eight pupils, half of each treated, with some columns changed or added."""
    place = np.arange(N)
    found = {
        "school": place // 8,
        "z": place % 2,
        "x": RANDOM.normal(size=N).round(3),
        "y": RANDOM.normal(size=N).round(3),
    }
    return {**found, **{name: np.asarray(values) for name, values in changed.items()}}


def findings(folder: Path, text: str, columns: Columns) -> list[Diagnostic]:
    """Write the table, bind the study to it, and return what the data show."""
    names = list(columns)
    lines = [",".join(names), *(",".join(str(v) for v in row) for row in zip(*columns.values(), strict=True))]
    (folder / "d.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study, _, _ = read(text)
    assert not has_errors(check_study(study)), check_study(study)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    return check_data(study, bound)


def severities(found: Sequence[Diagnostic]) -> dict[str, str]:
    return {d.code: d.severity for d in found}


PLACE = np.arange(N)
ONE_BLOCK = np.where(PLACE < 8, 0, PLACE % 2)
BY_SCHOOL = PLACE // 8 % 2
TO_SCHOOL: tuple[Edit, ...] = (("to pupil within school", "to school"),)
BY_X: tuple[Edit, ...] = (("complete(0.5)", "ignorable(x)"),)
ADJUST = ("analysis { adjust for x }",)
CHANCE: tuple[Edit, ...] = (
    ("covariate x : real", "covariate x : real covariate p : proportion"),
    ("complete(0.5)", "bernoulli(p)"),
)
SECOND = (
    "treatment v { off = 0, on = 1 }",
    "assign v to pupil within school if z = more by complete(0.5)",
)
CROSSED = """
study s
data "d.csv"
unit person id school
wave month id m
unit visit in person * month { covariate x : real  outcome y : real }
treatment z { none = 0, more = 1 }
assign z to visit within person by complete(0.5)
"""
NESTED: tuple[Edit, ...] = (("group school id school", "group district id d group school id school in district"),)
DOSE = """
study s
data "d.csv"
unit pupil { covariate x : real  outcome y : real }
treatment z : real
assign z to pupil by ignorable(x)
"""

CASES: dict[str, tuple[str, str, str, tuple[Edit, ...], Columns, Columns]] = {
    "a block with one arm": ("HDM304", "warning", SCHOOLS, (), rows(z=ONE_BLOCK), rows()),
    "a block with one arm, observed": ("HDM304", "note", SCHOOLS, BY_X, rows(z=ONE_BLOCK), rows()),
    "every block with one arm": ("HDM304", "error", SCHOOLS, (), rows(z=BY_SCHOOL), rows()),
    "one cluster in an arm": ("HDM306", "warning", SCHOOLS, TO_SCHOOL, rows(z=PLACE // 8 == 0), rows(z=BY_SCHOOL)),
    "one cluster in each arm": (
        "HDM306",
        "error",
        SCHOOLS,
        TO_SCHOOL,
        rows(school=PLACE // 40, z=PLACE // 40),
        rows(z=BY_SCHOOL),
    ),
    "an empty arm": (
        "HDM307",
        "error",
        SCHOOLS,
        (("more = 1", "more = 1, most = 2"), ("0.5", "0.4, 0.3, 0.3")),
        rows(),
        rows(z=PLACE % 3),
    ),
    "another share": (
        "HDM308",
        "warning",
        SCHOOLS,
        (("complete(0.5)", "complete(0.1)"),),
        rows(),
        rows(z=PLACE % 8 == 0),
    ),
    "unequal shares": (
        "HDM308",
        "warning",
        SCHOOLS,
        (("complete(0.5)", "complete()"),),
        rows(z=PLACE % 8 == 0),
        rows(),
    ),
    "another share by arm": (
        "HDM308",
        "warning",
        SCHOOLS,
        (("complete(0.5)", "bernoulli(0.9, 0.1)"),),
        rows(),
        rows(z=PLACE % 8 == 0),
    ),
    "another share than in the data": (
        "HDM308",
        "warning",
        SCHOOLS,
        CHANCE,
        rows(p=PLACE * 0 + 0.1),
        rows(p=PLACE * 0 + 0.5),
    ),
    "a row of no stratum": (
        "HDM321",
        "error",
        SCHOOLS,
        (
            ("outcome y : real", "intermediate d : binary  outcome y : real"),
            ("assign z", "principal s from d under z { never = (0, 0) unaffected complier = (0, 1) } assign z"),
        ),
        rows(d=PLACE * 0 + 1),
        rows(d=PLACE % 2),
    ),
    "shares beyond chance": (
        "HDM322",
        "warning",
        SCHOOLS,
        (("complete(0.5)", "bernoulli(0.5)"),),
        rows(z=np.greater(np.where(PLACE // 8 % 2, 1, 7), PLACE % 8)),
        rows(z=np.greater(np.where(PLACE // 8 % 2, 3, 5), PLACE % 8)),
    ),
    "few groups": ("HDM309", "note", SCHOOLS, (), rows(school=PLACE // 20), rows(school=PLACE // 16)),
    "few groups with an effect": (
        "HDM309",
        "warning",
        SCHOOLS,
        ("analysis { vary z across school pool school none }",),
        rows(school=PLACE // 20),
        rows(),
    ),
    "ids that stand under every parent": (
        "HDM310",
        "note",
        SCHOOLS,
        NESTED,
        rows(d=PLACE // 8 % 5, school=PLACE // 40),
        rows(d=PLACE // 16),
    ),
    "few groups with a contrast": (
        "HDM311",
        "warning",
        SCHOOLS,
        (*BY_X, "analysis { vary z across school }"),
        rows(z=np.where(PLACE < 16, PLACE % 2, 0)),
        rows(),
    ),
    "no group with a contrast": (
        "HDM406",
        "error",
        SCHOOLS,
        (*BY_X, "analysis { vary z across school }"),
        rows(z=BY_SCHOOL),
        rows(),
    ),
    "a constant covariate": ("HDM312", "warning", SCHOOLS, ADJUST, rows(x=PLACE * 0 + 3), rows(x=PLACE // 79)),
    "a constant outcome": ("HDM313", "error", SCHOOLS, (), rows(y=PLACE * 0 + 3), rows(y=PLACE // 79)),
    "a combination": (
        "HDM314",
        "warning",
        SCHOOLS,
        (
            ("covariate x : real", "covariate x : real covariate w : real covariate v : real"),
            "analysis { adjust for x, w, v }",
        ),
        rows(w=np.sqrt(PLACE), x=PLACE % 7, v=2 * np.sqrt(PLACE) - PLACE % 7 + 1),
        rows(w=np.sqrt(PLACE), x=PLACE % 7, v=2 * np.sqrt(PLACE) - PLACE % 7 * (PLACE > 1)),
    ),
    "a covariate that separates": (
        "HDM315",
        "warning",
        SCHOOLS,
        BY_X,
        rows(x=PLACE % 2 * 9 + PLACE % 7),
        rows(x=PLACE % 2 * 6 + PLACE % 7),
    ),
    "a rule not followed": (
        "HDM316",
        "warning",
        SCHOOLS,
        (("complete(0.5)", "rule(x, 4)"),),
        rows(x=PLACE % 2 * 4 + PLACE % 4 + (PLACE == 0) * 9),
        rows(x=PLACE % 2 * 4 + PLACE % 4),
    ),
    "an arm outside its condition": (
        "HDM317",
        "error",
        SCHOOLS,
        SECOND,
        rows(v=PLACE // 2 % 2),
        rows(v=PLACE % 4 == 1),
    ),
    "a probability of one": (
        "HDM318",
        "warning",
        SCHOOLS,
        CHANCE,
        rows(p=np.where(PLACE == 1, 1, 0.5)),
        rows(p=PLACE * 0 + 0.5),
    ),
    "labels in two spellings": (
        "HDM323",
        "warning",
        SCHOOLS,
        (("covariate x : real", "covariate x : category"),),
        rows(x=np.where(PLACE < 3, "Male", np.where(PLACE % 3, "male", "female"))),
        rows(x=np.where(PLACE % 3, "Male", "female")),
    ),
    "a code for missing in an outcome": (
        "HDM324",
        "warning",
        SCHOOLS,
        (),
        rows(y=np.where(PLACE % 20, np.sin(PLACE), -99)),
        rows(y=np.where(PLACE % 20, np.sin(PLACE) * 50, -99)),
    ),
    "codes for missing in a covariate": (
        "HDM324",
        "warning",
        SCHOOLS,
        (("covariate x : real", "covariate x : count"),),
        rows(x=np.where(PLACE % 20, 20 + PLACE % 60, 998 + PLACE % 40 // 20)),
        rows(x=np.where(PLACE % 20, 20 + PLACE % 60, 98 + PLACE % 40 // 20)),
    ),
    "a code for missing among ordered levels": (
        "HDM324",
        "warning",
        SCHOOLS,
        (("y : real", "y : ordered"),),
        rows(y=np.where(PLACE % 20, 1 + PLACE % 5, 9)),
        rows(y=1 + PLACE % 9),
    ),
    "ids in two spellings": (
        "HDM323",
        "warning",
        SCHOOLS,
        (),
        rows(school=np.array([f"school {p}" if i % 8 else f"School {p}" for i, p in enumerate(PLACE // 8)])),
        rows(school=np.array([f"school {p}" for p in PLACE // 8])),
    ),
    "no event": (
        "HDM319",
        "error",
        SCHOOLS,
        (("y : real", "y : duration censored by left"),),
        rows(y=PLACE + 1, left=PLACE * 0 + 1),
        rows(y=PLACE + 1, left=PLACE % 2),
    ),
    "crossed levels that nest": ("HDM303", "warning", CROSSED, (), rows(m=PLACE), rows(m=PLACE % 8)),
    "a cell without units": (
        "HDM501",
        "error",
        SCHOOLS,
        (
            "treatment v { off = 0, on = 1 }",
            "assign v to pupil by ignorable(x)",
            "estimand e = average over pupil of y(z = more, v = on)",
        ),
        rows(v=PLACE % 4 == 0),
        rows(v=PLACE % 4 < 2),
    ),
    "a dose beyond the data": (
        "HDM517",
        "warning",
        DOSE,
        ("estimand e = average over pupil of y(z = 5)",),
        rows(z=PLACE % 4),
        rows(z=PLACE % 7),
    ),
    "units chosen by what is missing for some, real": (
        "HDM520",
        "error",
        SCHOOLS.replace("covariate x : real", "covariate x : real missing"),
        ("analysis { adjust for x }", "estimand e = average over pupil where x > 0 of y(z = more) - y(z = none)"),
        rows(x=[0.1 * place if place % 5 else "" for place in PLACE]),
        rows(x=[0.1 * place for place in PLACE]),
    ),
    "units chosen by what is missing for some, category": (
        "HDM520",
        "error",
        SCHOOLS.replace("covariate x : real", "covariate x : category missing"),
        ("analysis { adjust for x }", "estimand e = average over pupil where x = a of y(z = more) - y(z = none)"),
        rows(x=["aab"[place % 3] if place % 5 else "" for place in PLACE]),
        rows(x=["aab"[place % 3] for place in PLACE]),
    ),
    "weights across groups, some with one arm": (
        "HDM432",
        "warning",
        SCHOOLS,
        (*BY_X, "analysis { propensity for z across school as weight }"),
        rows(z=np.where(PLACE < 16, PLACE % 2, 0)),
        rows(),
    ),
    "weights across groups, all with one arm": (
        "HDM432",
        "error",
        SCHOOLS,
        (*BY_X, "analysis { propensity for z across school as weight }"),
        rows(z=BY_SCHOOL),
        rows(),
    ),
    "units chosen by what is missing for some, binary": (
        "HDM520",
        "error",
        SCHOOLS.replace("covariate x : real", "covariate x : binary missing"),
        ("analysis { adjust for x }", "estimand e = average over pupil where x != 1 of y(z = more) - y(z = none)"),
        rows(x=[place % 3 % 2 if place % 5 else "" for place in PLACE]),
        rows(x=[place % 3 % 2 for place in PLACE]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_what_it_is_for(name: str, tmp_path: Path) -> None:
    code, severity, base, edits, bad, _ = CASES[name]
    found = severities(findings(tmp_path, edited(base, *edits), bad))
    assert found[code] == severity, found


@pytest.mark.parametrize("name", CASES)
def test_a_near_miss_is_no_finding(name: str, tmp_path: Path) -> None:
    _, _, base, edits, _, good = CASES[name]
    found = findings(tmp_path, edited(base, *edits), good)
    assert [(d.code, d.message) for d in found] == []


def test_data_codes_all_have_a_case() -> None:
    assert {code for code, *_ in CASES.values()} >= DATA_CODES


def test_few_groups_are_no_finding_where_the_prior_is_stated(tmp_path: Path) -> None:
    text = edited(SCHOOLS, "priors { sd(intercept, school) ~ halfnormal(1) }")
    assert findings(tmp_path, text, rows(school=PLACE // 20)) == []


def test_shares_of_conditional_assignments_count_only_the_units_reached(tmp_path: Path) -> None:
    text = edited(SCHOOLS, *SECOND)
    assert findings(tmp_path, text, rows(v=PLACE % 4 == 1)) == []
    found = findings(tmp_path, text.replace("more by complete(0.5)", "more by complete(0.1)"), rows(v=PLACE % 4 == 1))
    assert "0.5 of 40" in next(d.message for d in found if d.code == "HDM308")


def test_a_mechanism_without_its_arguments() -> None:
    study = (
        Study("s").unit("pupil", variables=[]).treatment("z", none=0, more=1).assign("z", to="pupil", by=complete(0.5))
    )
    bare = ir.Mechanism(name="bernoulli")
    broken = study.model_copy(update={"assignments": (study.assignments[0].model_copy(update={"mechanism": bare}),)})
    assert "HDM205" in {d.code for d in check_study(broken)}
    assert "HDM205" not in {d.code for d in check_study(study)}
    rule = ir.Mechanism(name="rule", given=(Number(value=1.0),))
    broken = study.model_copy(update={"assignments": (study.assignments[0].model_copy(update={"mechanism": rule}),)})
    assert "HDM205" in {d.code for d in check_study(broken)}


def waived(text: str) -> list[Diagnostic]:
    study, _, _ = read(text)
    return apply_waivers(study, check_study(study))


LEFT_OUT = edited(SCHOOLS, "analysis { pool school completely }")


def test_a_waiver_silences_a_warning_and_keeps_its_reason() -> None:
    (found,) = waived(LEFT_OUT + 'waive HDM401 because "a pilot"')
    assert (found.code, found.waived) == ("HDM401", "a pilot")


def test_a_warning_that_is_not_waived_stays() -> None:
    (found,) = waived(LEFT_OUT)
    assert found.waived is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (LEFT_OUT + 'waive HDM999 because "x"', "HDM261"),
        (SCHOOLS + 'waive HDM401 because "x"', "HDM262"),
        (edited(SCHOOLS, "analysis { adjust for y }") + 'waive HDM405 because "x"', "HDM263"),
    ],
)
def test_a_waiver_that_cannot_be_is_a_finding(text: str, code: str) -> None:
    found = waived(text)
    assert code in {d.code for d in found}
    assert all(d.waived is None for d in found)


def test_an_error_cannot_be_waived() -> None:
    found = waived(edited(SCHOOLS, "analysis { adjust for y }") + 'waive HDM405 because "x"')
    assert has_errors(found)


def test_a_waiver_of_what_sampling_may_find_is_left_alone() -> None:
    assert waived(SCHOOLS + 'waive HDM411 because "x"') == []


def test_few_units_may_do_without_a_spread_where_no_treatment_was_assigned_to_them(tmp_path: Path) -> None:
    visits = """study s data "d.csv" unit person id school wave day id day
unit visit in person * day { outcome y : real }
treatment z { off = 0, on = 1 } assign z to person by complete(0.5)
"""
    columns = rows(day=PLACE % 4, school=PLACE // 4, z=PLACE // 4 % 2)
    few = rows(school=PLACE // 20)
    of_people = visits.replace("to person", "to day")
    for text, data, wanted in (
        (SCHOOLS, few, "`pool school none`"),
        (visits, columns, "`pool day none`"),
        (visits + "analysis { adjust for day^2 }", columns, "`pool day completely`"),
        (of_people, rows(day=PLACE % 4, school=PLACE // 4, z=PLACE % 2), None),
    ):
        (found,) = [d for d in findings(tmp_path, text, data) if d.code == "HDM309"]
        assert ("`pool" in (found.help or "")) == (wanted is not None)
        assert wanted is None or wanted in (found.help or "")
