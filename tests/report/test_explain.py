"""What `hdsl explain` says of the design, the model and the reason of each term."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdsl.driver import explain

HEAD = """study s
data "d.csv"
group school id school
unit pupil in school {{ covariate x : real  outcome y : {kind} }}
treatment z {{ none = 0, more = 1 }}
treatment w {{ off = 0, on = 1 }}
assign z to school by complete(0.5)
assign w to school by complete(0.5)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = ["school,quarter,x,y,z,w,seen,cut"]
    for place in range(96):
        school = place // 8
        numbers = (
            school,
            place % 4,
            place * 7 % 11,
            place * 5 % 13 + 1,
            school % 2,
            school // 2 % 2,
            min(place % 3, 1),
            int(place % 3 == 0),
        )
        lines.append(",".join(map(str, numbers)))
    (tmp_path / "d.csv").write_text("\n".join(lines))
    return tmp_path


def said(folder: Path, text: str) -> str:
    (folder / "s.hdm").write_text(text)
    found, derived = explain(folder / "s.hdm")
    assert derived.model is not None, derived.diagnostics
    return found


def test_each_effect_and_slope_has_its_reason(folder: Path) -> None:
    text = said(folder, HEAD.format(kind="real") + "analysis { adjust for x  interact z * w }")
    assert "  effect(z): treatment z, assigned to each school" in text
    assert "  slope(x): adjusted for" in text
    assert "  interaction(z * w): the effects of z and w are not additive" in text
    assert "because z and w were assigned to each school" in text


def test_a_default_prior_and_a_given_one_are_told_apart(folder: Path) -> None:
    text = said(folder, HEAD.format(kind="real") + "priors { effect(z) ~ normal(0, 1) }")
    assert "effect(z) ~ normal(0, 1)   (yours)" in text
    assert "halfnormal" in text
    assert text.count("(yours)") == 1
    assert text.count("(default)") > 2


def test_the_priors_of_explicit_equations_are_the_users(folder: Path) -> None:
    model = "model { y[pupil] ~ normal(a + b * z + c * w, s)  a ~ normal(0, 9)  b ~ normal(0, 9)  c ~ normal(0, 9)"
    text = said(folder, HEAD.format(kind="real") + model + "  s ~ halfnormal(9) }")
    priors = text.split("Priors")[1].split("Estimands")[0]
    assert priors.count("(yours)") == 4
    assert "(default)" not in priors


def test_censoring_is_counted_by_its_column(folder: Path) -> None:
    text = said(folder, HEAD.format(kind="duration censored by cut"))
    assert "y: 64 of 96 end in the event, the rest are censored by cut" in text


def test_a_crossed_level_needs_no_id_of_its_own(folder: Path) -> None:
    text = """study s
data "d.csv"
group school id school
wave quarter id quarter
group cell in school * quarter
unit pupil in cell { outcome y : real }
treatment seen { no = 0, yes = 1 }
assign seen to pupil within school by bernoulli(0.67)
"""
    found = said(folder, text)
    assert "cell (" in found
    assert "one for each school and quarter" in found
    assert "intercept[cell] ~ normal(intercept[school] + intercept[quarter], sd(intercept, cell))" in found


@pytest.mark.parametrize(
    ("family", "twice"), [("quantile(0.5)", True), ("quantile(0.2, 0.8)", True), ("normal", False)]
)
def test_effects_on_quantiles_and_their_correction_are_named(family: str, twice: bool, folder: Path) -> None:
    path = folder / "q.hdm"
    path.write_text(HEAD.format(kind="real") + f"analysis {{ family y {family} }}")
    text, derived = explain(path, how=True)
    assert not derived.failed
    assert ("quantile_effect_z = average over pupil of y(" in text) == twice
    assert ("corrected for the working likelihood, those of a second fit" in text) == twice
    assert ("average_effect_z = " in text) != twice
