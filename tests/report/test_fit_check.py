"""Checks of a fit: a wrong model is caught on data where it is known to be wrong, and a right one is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdsl import Result, Settings, run
from hdsl.cli import main
from hdsl.data.bound import BoundLevel
from hdsl.driver import derive
from hdsl.report.predictive import Check, FitCheck, check_prior
from hdsl.report.predictive.statistics import icc, kurtosis_of_means

SCHOOLS, PUPILS = 30, 20
HEAD = """study made
data "made.csv"
group school id school
unit student in school {{
  covariate pretest : real
  outcome score : {kind}
}}
treatment tutor {{ none = 0, tutored = 1 }}
assign tutor to student within school by complete(0.5)
analysis {{ adjust for pretest {more} }}
"""
FAST = Settings(chains=2, draws=400, warmup=400, seed=3)


def data(folder: Path, kind: str) -> None:
    """Write data that have one property that a plain model lacks."""
    random = np.random.default_rng(7)
    school = np.repeat(np.arange(SCHOOLS), PUPILS)
    tutor = np.tile(np.arange(PUPILS) % 2, SCHOOLS)
    pretest = random.normal(size=school.size)
    noise = random.normal(size=school.size)
    level, effect = random.normal(size=SCHOOLS)[school], 1.0 + np.zeros(school.size)
    match kind:
        case "spread by arm":
            noise = noise * np.where(tutor == 1, 2.0, 1.0)
        case "effects by site":
            effect = (1.0 + 1.5 * random.normal(size=SCHOOLS))[school]
        case "bend":
            noise = noise + 0.6 * pretest**2
        case "tails":
            noise = random.standard_t(2, size=school.size)
        case "a school apart":
            level = level + np.where(school == 4, 12.0, 0.0)
        case _:
            pass
    score = level + pretest + effect * tutor + noise
    lines = [f"s{s},{t},{x:.4f},{y:.4f}" for s, t, x, y in zip(school, tutor, pretest, score, strict=True)]
    (folder / "made.csv").write_text("\n".join(["school,tutor,pretest,score", *lines]) + "\n")


def checked(folder: Path, more: str = "", kind: str = "real") -> FitCheck:
    path = folder / "made.hdm"
    path.write_text(HEAD.format(more=more, kind=kind))
    return run(path, settings=FAST).check_fit()


def failed(found: FitCheck) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


def named(found: FitCheck, name: str) -> Check:
    return next(check for check in found.checks if check.name == name)


@pytest.mark.parametrize(
    ("kind", "name", "help_"),
    [
        ("spread by arm", "variance of tutored over that of none (tutor)", "variance of score by tutor"),
        ("effects by site", "spread of the effects of tutor across school", "vary tutor across school"),
        ("bend", "bend along pretest", "spline(pretest)"),
        ("tails", "excess kurtosis of residuals", "student"),
        ("a school apart", "excess kurtosis of school means", "as student"),
    ],
)
def test_a_wrong_model_is_caught(tmp_path: Path, kind: str, name: str, help_: str) -> None:
    data(tmp_path, kind)
    found = checked(tmp_path)
    assert name in failed(found)
    told = next(each for each in found.findings if each.code == "HDM721" and name in each.message)
    assert told.severity == "warning"
    assert help_ in (told.help or "")
    assert not found.passed
    assert "fail" in found.verdict


@pytest.mark.parametrize(
    ("kind", "more", "name"),
    [
        ("spread by arm", "variance of score by tutor", "variance of tutored over that of none (tutor)"),
        ("effects by site", "vary tutor across school", "spread of the effects of tutor across school"),
        ("bend", "adjust for pretest * pretest", "bend along pretest"),
    ],
)
def test_the_mend_that_is_named_mends(tmp_path: Path, kind: str, more: str, name: str) -> None:
    data(tmp_path, kind)
    assert named(checked(tmp_path, more), name).passed


def test_a_right_model_passes(tmp_path: Path) -> None:
    data(tmp_path, "as the model has it")
    found = checked(tmp_path)
    assert failed(found) == []
    assert found.passed
    assert found.unchecked == ()
    assert [each.what for each in found.left_out] == ["row", "school"]
    assert found.left_out[1].units == SCHOOLS


def test_no_pooling_has_no_law_of_groups_to_test(tmp_path: Path) -> None:
    data(tmp_path, "as the model has it")
    pooled = checked(tmp_path, "pool school completely")
    assert "intraclass correlation of school" in failed(pooled)
    assert named(pooled, "intraclass correlation of school").words.startswith("Rows of one school are more alike")


def test_priors_that_contradict_the_data_are_caught(tmp_path: Path) -> None:
    data(tmp_path, "as the model has it")
    path = tmp_path / "made.hdm"
    path.write_text(
        HEAD.format(more="", kind="real") + "priors { intercept ~ normal(100, 1) residual ~ halfnormal(1) }\n"
    )
    derived = derive(path)
    assert derived.model is not None
    assert derived.data is not None
    assert derived.checked.bound is not None
    found = check_prior(derived.model, derived.data, derived.checked.bound)
    assert failed(found) == ["mean of score"]
    assert [each.code for each in found.findings] == ["HDM723"]
    assert "lower than the priors expect" in found.findings[0].message


def test_priors_of_their_own_scale_pass(found: Result) -> None:
    told = check_prior(found.model, found.data, found.bound)
    assert told.passed
    assert told.verdict == "The priors expect data like these."
    assert {check.replicates for check in told.checks} == {"prior"}


def test_rows_that_others_do_not_foresee_are_named(tmp_path: Path) -> None:
    data(tmp_path, "as the model has it")
    lines = (tmp_path / "made.csv").read_text().splitlines()
    for place in range(1, 16):
        school, tutor, pretest, score = lines[40 * place].split(",")
        lines[40 * place] = f"{school},{tutor},{float(pretest) * 40:.2f},{float(score) + (-1) ** place * 60:.2f}"
    (tmp_path / "made.csv").write_text("\n".join(lines) + "\n")
    found = checked(tmp_path)
    rows = found.left_out[0]
    assert set(rows.unforeseen) <= {str(40 * place) for place in range(1, 16)}
    assert "HDM722" in {each.code for each in found.findings}


def test_a_waiver_silences_a_check(tmp_path: Path) -> None:
    data(tmp_path, "spread by arm")
    path = tmp_path / "made.hdm"
    path.write_text(HEAD.format(more="", kind="real") + 'waive HDM721 because "known"\nwaive HDM722 because "known"\n')
    found = run(path, settings=FAST).check_fit()
    assert failed(found)
    assert all(each.waived == "known" for each in found.findings)
    assert found.passed


def test_the_command_tells_and_exits_with_what_it_found(
    tmp_path: Path, found: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "right.nc"
    found.save(file)
    code = main(["check", "--fit", str(file), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == (0 if told["fit"]["passed"] else 1)
    assert {"checks", "left_out", "verdict", "unchecked", "replicates"} <= set(told["fit"])
    assert told["fit"]["checks"][0].keys() >= {"name", "observed", "low", "high", "p", "passed", "words", "help"}
    assert main(["check", "--fit", str(file)]) == code
    printed = " ".join(capsys.readouterr().out.split())
    assert "in new groups" in printed
    assert "Each school left out" in printed


def test_a_study_without_a_run_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HDSL_RUNS", raising=False)
    data(tmp_path, "effects by site")
    path = tmp_path / "made.hdm"
    path.write_text(HEAD.format(more="", kind="real"))
    for _ in range(2):
        assert main(["check", "--fit", str(path)]) == 1
        told = capsys.readouterr()
        assert "FAILS" in told.out
        assert "vary tutor across school" in told.err
    assert len(list((tmp_path / ".hdsl" / "made").glob("*.nc"))) == 1


def test_what_cannot_be_checked_is_said(tmp_path: Path) -> None:
    data(tmp_path, "as the model has it")
    path = tmp_path / "made.hdm"
    path.write_text(HEAD.format(more="family score quantile(0.5)", kind="real"))
    found = run(path, settings=Settings(chains=2, draws=100, warmup=100)).check_fit()
    assert [check for check in found.checks if check.replicates != "prior"] == []
    assert any("no law that data come from" in reason for reason in found.unchecked)
    assert "not checked" in found.verdict


def test_the_prior_is_checked_without_a_fit(study_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--prior", str(study_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fit"]["left_out"] == []
    assert told["fit"]["replicates"] >= 200


def test_a_fit_cannot_be_checked_without_data(study_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--fit", "--no-data", str(study_path)]) == 2
    assert "HDM116" in capsys.readouterr().err


def test_the_report_has_the_checks(found: Result, tmp_path: Path) -> None:
    found.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "spread of the effects of tutor across school" in text
    assert "Checks that the design suggests" in text


def test_the_intraclass_correlation_is_that_of_the_analysis_of_variance() -> None:
    random = np.random.default_rng(2)
    groups = np.repeat(np.arange(2000), 5)
    values = random.normal(size=2000)[groups] + 2 * random.normal(size=groups.size)
    level = BoundLevel("g", tuple(map(str, range(2000))), groups)
    assert icc(values[None], level)[0] == pytest.approx(1 / 5, abs=0.02)
    few = BoundLevel("g", ("a", "b"), np.array([0, 0, 1, 1]))
    # means 1 and 3, mean squares: between 4, within 0.5 (Donner 1986: (4 - 0.5) / (4 + 0.5))
    assert icc(np.array([[0.5, 1.5, 2.5, 3.5]]), few)[0] == pytest.approx((4 - 0.5) / (4 + 0.5))


def test_the_kurtosis_of_normal_group_means_is_none() -> None:
    values = np.random.default_rng(1).normal(size=(1, 40000))
    level = BoundLevel("g", tuple(map(str, range(20000))), np.repeat(np.arange(20000), 2))
    assert kurtosis_of_means(values, level)[0] == pytest.approx(0, abs=0.15)


RICE = Path(__file__).resolve().parents[2] / "examples" / "rice"


def rice(folder: Path, analysis: str) -> FitCheck:
    text = (RICE / "rice.hdm").read_text().replace("rice.csv", str(RICE / "rice.csv"))
    path = folder / "rice.hdm"
    path.write_text(text.replace("priors {", f"{analysis}\npriors {{"))
    return run(path, settings=FAST).check_fit()


def test_the_interaction_that_the_analysis_of_variance_finds_is_found(tmp_path: Path) -> None:
    """Nitrogen by variety: F = 3.57 on 8 and 60 degrees of freedom, p = 0.002 (data of Gomez & Gomez 1984, p. 143)."""
    apart = {f"spread of the effects of variety ({name}) across main_plot" for name in ("v2", "v3")}
    additive = rice(tmp_path, "")
    assert apart <= set(failed(additive))
    found = next(each for each in additive.findings if "variety (v3) across main_plot" in each.message)
    assert "interact nitrogen * variety" in (found.help or "")
    assert not apart & set(failed(rice(tmp_path, "analysis { interact nitrogen * variety }")))
