"""Formulas become studies: the terms are those that R would expand, and the study checks and derives."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdsl.cli import main
from hdsl.driver import derive
from hdsl.report.formula import FormulaError, Name, read_formula, text_of
from hdsl.report.from_formula import from_formula


def terms(right: str) -> tuple[bool, list[str]]:
    found = read_formula(f"y ~ {right}")
    return found.intercept, [":".join(text_of(factor) for factor in term) for term in found.terms]


class TestReading:
    @pytest.mark.parametrize(
        ("right", "expected"),
        [
            ("a + b", ["a", "b"]),
            ("a * b", ["a", "b", "a:b"]),
            ("a:b", ["a:b"]),
            ("a * b * c", ["a", "b", "a:b", "c", "a:c", "b:c", "a:b:c"]),
            ("(a + b) * c", ["a", "b", "c", "a:c", "b:c"]),
            ("(a + b + c)^2", ["a", "b", "c", "a:b", "a:c", "b:c"]),
            ("a / b", ["a", "a:b"]),
            ("a * b - a:b", ["a", "b"]),
            ("a + a", ["a"]),
            ("log(a) + I(a^2) + `b c`", ["log(a)", "I(a ^ 2)", "b c"]),
            ("Übung + é.1 + .x", ["Übung", "é.1", ".x"]),
        ],
    )
    def test_terms_are_those_of_r(self, right: str, expected: list[str]) -> None:
        """As `attr(terms(y ~ ...), "term.labels")` has them, up to their order."""
        assert terms(right) == (True, expected)

    @pytest.mark.parametrize(("right", "intercept"), [("a", True), ("0 + a", False), ("a - 1", False), ("1 + a", True)])
    def test_the_intercept(self, right: str, intercept: bool) -> None:
        assert terms(right)[0] is intercept

    def test_groups(self) -> None:
        found = read_formula("y ~ a + (1 + a | g) + (0 + b || h) + (1 | s/t)").random
        assert [(r.groups, r.intercept, [text_of(t[0]) for t in r.terms], r.correlated) for r in found] == [
            (("g",), True, ["a"], True),
            (("h",), False, ["b"], False),
            (("s",), True, [], True),
            (("s", "t"), True, [], True),
        ]

    def test_what_stands_beside_the_outcome(self) -> None:
        found = read_formula("y | trials(n) + weights(w) ~ a + offset(log(e))")
        assert found.response == Name("y")
        assert [helper.function for helper in found.helpers] == ["trials", "weights"]
        assert [text_of(offset) for offset in found.offsets] == ["log(e)"]

    @pytest.mark.parametrize(
        "text", ["", "y", "y ~", "~ a", "y ~ (a", "y ~ a)", "y ~ a $ b", "y ~ f(a", "y ~ a b", "y ~ (1|2)"]
    )
    def test_what_is_no_formula(self, text: str) -> None:
        with pytest.raises(FormulaError):
            read_formula(text)

    @given(st.text(alphabet="ya b01|~+-*/:^(),`.", max_size=30))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        with contextlib.suppress(FormulaError):
            assert read_formula(text).response is not None


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(2)
    rows = ["school,class,tutor,pretest,poverty,kind,age in years,passed,n,hours,w,score"]
    for school in range(6):
        poverty = round(float(random.uniform()), 2)
        for room in range(3):
            for _ in range(8):
                z, x = int(random.integers(2)), random.normal(10, 2)
                ours = [f"s{school}", room, z, f"{x:.2f}", poverty, "pqr"[random.integers(3)], random.integers(6, 12)]
                score = x + z + random.normal()
                more = [random.integers(5), 9, *(f"{value:.2f}" for value in (*random.uniform(1, 3, 2), score))]
                rows.append(",".join(map(str, [*ours, *more])))
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data.csv"


def roles(formula: str, table: Path) -> set[str]:
    """Return what the study of a formula estimates, after it was checked."""
    text, found = from_formula(formula, str(table), table.parent)
    assert found == []
    assert text is not None
    path = table.with_suffix(".hdm")
    path.write_text(text)
    derived = derive(path)
    assert derived.model is not None, (text, derived.diagnostics)
    return {each.role for each in derived.model.reported}


class TestStudies:
    @pytest.mark.parametrize(
        ("formula", "expected"),
        [
            ("score ~ pretest + tutor", {"slope(pretest)", "effect(tutor)"}),
            (
                "score ~ pretest + tutor + (1 + tutor | school)",
                {"sd(intercept, school)", "sd(effect(tutor), school)", "corr(intercept, effect(tutor), school)"},
            ),
            ("score ~ tutor + (1 + tutor || school)", {"sd(effect(tutor), school)"}),
            ("score ~ tutor * poverty + (1 | school)", {"interaction(tutor * poverty)", "slope(poverty)"}),
            ("score ~ tutor + (1 | school/class)", {"sd(intercept, school)", "sd(intercept, class)"}),
            ("score ~ tutor + (1 + pretest | school)", {"sd(slope(pretest), school)"}),
            ("score ~ tutor + kind + factor(class)", {"slope(kind)[q]", "slope(kind)[r]", "slope(factor(class))[1]"}),
            ("score ~ tutor + log(pretest) + I(pretest^2)", {"slope(log(pretest))", "slope(pretest ^ 2)"}),
            ("score ~ tutor + poly(pretest, 2)", {"slope(pretest)", "slope(pretest ^ 2)"}),
            ("score ~ tutor + scale(pretest)", {"slope(centre(pretest))"}),
            ("score ~ tutor + pretest:poverty", {"slope(pretest * poverty)"}),
            ("score ~ tutor + `age in years`", {"slope(age_in_years)"}),
            ("passed | trials(n) ~ tutor + (1 | school)", {"effect(tutor)", "sd(intercept, school)"}),
            ("passed ~ tutor + offset(log(hours))", {"effect(tutor)"}),
            ("score | weights(w) ~ tutor", {"effect(tutor)"}),
            ("score ~ tutor + s(pretest)", {"slope(pretest)"}),
        ],
    )
    def test_the_study_has_the_terms_of_the_formula(self, formula: str, expected: set[str], table: Path) -> None:
        assert expected <= roles(formula, table)

    def test_effects_in_terms_of_their_own_are_uncorrelated(self, table: Path) -> None:
        """As in lme4: `(1 | g) + (0 + x | g)` is `(1 + x || g)`."""
        for formula in (
            "score ~ pretest + (1 | school) + (0 + pretest | school)",
            "score ~ pretest + (pretest || school)",
        ):
            found = roles(formula, table)
            assert {"sd(intercept, school)", "sd(slope(pretest), school)"} <= found
            assert not [role for role in found if role.startswith("corr")]

    def test_a_group_without_an_intercept_of_its_own_has_none(self, table: Path) -> None:
        text, _ = from_formula("score ~ tutor + (1 | school:class)", str(table), table.parent)
        assert "pool school completely" in (text or "")
        path = table.with_suffix(".hdm")
        path.write_text(text or "")
        made = derive(path).model
        assert made is not None
        found = {each.role for each in made.variables}
        assert "sd(intercept, class)" in found
        assert "sd(intercept, school)" not in found

    @pytest.mark.parametrize(
        ("formula", "told"),
        [
            ("score ~ tutor + tutor:pretest", "The effect of pretest varies: its mean is in the model too"),
            ("score ~ tutor + (pretest | school)", "The effect of pretest varies: its mean is in the model too"),
            ("score ~ tutor + s(pretest, k = 5, bs = 'cr')", "settings of s(pretest, k = 5, bs = cr) are left out"),
            ("score ~ tutor + (1 | school)", "share of treated that differs between units of school is in the model"),
            ("score ~ tutor + ns(pretest, 3)", "settings of ns(pretest, 3) are left out"),
            ("score ~ tutor + scale(pretest)", "not divided by its sd"),
            ("score ~ tutor + poly(pretest, 2)", "in powers"),
        ],
    )
    def test_what_is_otherwise_is_said(self, formula: str, told: str, table: Path) -> None:
        text, found = from_formula(formula, str(table), table.parent)
        assert found == []
        assert told in (text or "")

    def test_what_is_alike_is_not_remarked_on(self, table: Path) -> None:
        formula = "bf(score ~ tutor * pretest + poly(pretest, 2, raw = TRUE) + (1 + pretest | school))"
        text, _ = from_formula(formula, str(table), table.parent)
        assert "varies: its mean" not in (text or "")
        assert "in powers" not in (text or "")

    @pytest.mark.parametrize(
        "formula",
        [
            "score ~ tutor + 5",
            "score ~ score + tutor",
            "score ~ tutor + (1 | tutor)",
            "score ~ tutor + (1 + pretest | school) + (0 + poverty | school)",
            "score ~ tutor + s(pretest, by = kind)",
            "score ~ tutor + s(pretest, poverty)",
            "bf(score ~ tutor, sigma ~ tutor)",
            "score ~ tutor + (1 | gr(school, by = tutor))",
        ],
    )
    def test_what_would_be_lost_is_refused(self, formula: str, table: Path) -> None:
        text, found = from_formula(formula, str(table), table.parent)
        assert text is None
        assert [each.code for each in found] == ["HDM121"]

    def test_an_intercept_that_does_not_vary_is_left_out(self, table: Path) -> None:
        found = roles("score ~ tutor + (0 + tutor | school)", table)
        assert "sd(effect(tutor), school)" in found
        assert "sd(intercept, school)" not in found

    def test_questions_stand_where_the_formula_is_silent(self, table: Path) -> None:
        text, _ = from_formula("score ~ pretest + tutor + (1 | school)", str(table))
        assert text is not None
        assert text.startswith("# From the formula: score ~ pretest + tutor + (1 | school)\n")
        assert "does not say which predictor is the treatment. Is it tutor?" in text
        assert "# Who was assigned, within what, and how?" in text
        assert "Is this the outcome?" not in text

    @pytest.mark.parametrize(
        ("formula", "says"),
        [
            ("score ~ pretst", "did you mean 'pretest'"),
            ("log(score) ~ tutor", "no column: transform it"),
            ("score ~ tutor + (1 | school) + offset(hours)", "log of an exposure"),
            ("score ~ tutor * pretest * poverty", "one term at a time"),
            ("score ~ tutor + rcs(pretest, 3)", "no counterpart"),
            ("score | mi() ~ tutor", "is not understood"),
        ],
    )
    def test_what_cannot_be_translated_is_told(self, formula: str, says: str, table: Path) -> None:
        text, found = from_formula(formula, str(table))
        assert text is None
        assert [each.code for each in found] == ["HDM121"]
        assert says in found[0].message

    def test_the_command(self, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
        formula = "score ~ pretest + tutor + (1 + tutor | school)"
        assert main(["new", "data.csv", "--from-formula", formula, "--out", "a.hdm", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"file": "a.hdm", "diagnostics": []}
        assert main(["check", "a.hdm"]) == 0
        assert main(["new", "data.csv", "--from-formula", "score ~", "--out", "b.hdm"]) == 1
        assert "HDM121" in capsys.readouterr().err
        assert not Path("b.hdm").exists()
