"""Models side by side: what predicts rows and groups better, and forms of pooling."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdsl import Settings, Study, bernoulli, outcome
from hdsl.cli import main
from hdsl.driver import compare_pooling, compare_studies
from hdsl.report.frames import rows_of
from hdsl.report.versus import Comparison

QUICK = Settings(draws=300, warmup=300)
SCHOOLS, SIZE = 30, 8
CASE = Path(__file__).resolve().parents[1] / "cases" / "union-wage-panel" / "random-effects-reml.hdm"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty schools whose levels and effects differ."""
    folder = tmp_path_factory.mktemp("versus")
    rng = np.random.default_rng(4)
    school, z = np.repeat(np.arange(SCHOOLS), SIZE), np.tile([0, 1], SCHOOLS * SIZE // 2)
    y = (
        (3 * rng.normal(size=SCHOOLS))[school]
        + (1 + 2 * rng.normal(size=SCHOOLS))[school] * z
        + rng.normal(size=len(z))
    )
    rows = np.column_stack((school, z, y))
    np.savetxt(folder / "d.csv", rows, ["%d", "%d", "%.6f"], ",", header="school,z,y", comments="")
    for name, study in studies().items():
        (folder / f"{name}.hdm").write_text(study.to_text())
    return folder


def studies() -> dict[str, Study]:
    plain = (
        Study("plain")
        .data("d.csv")
        .group("school", id="school")
        .unit("pupil", within="school", variables=[outcome("y", "real")])
        .treatment("z", off=0, on=1)
        .assign("z", to="pupil", within=["school"], by=bernoulli(0.5))
        .estimand("ate", "average over pupil of y(z = on) - y(z = off)")
    )
    pooled = plain.pool("school", "completely").waive("HDM401", because="for comparison")
    return {"plain": plain, "varying": plain.vary("z", across="school"), "pooled": pooled}


@pytest.fixture(scope="module")
def compared(folder: Path) -> Comparison:
    files = [folder / f"{name}.hdm" for name in ("plain", "varying", "pooled")]
    return compare_studies(files, ("plain", "varying", "pooled"), settings=QUICK)


def test_the_model_that_made_the_data_is_first(compared: Comparison) -> None:
    for found in (compared.fit, compared.group_fit):
        assert found["name"].tolist() == ["varying", "plain", "pooled"]
        assert found["elpd_diff"][1] < -2 * found["dse"][1]
        assert found["weight"][0] > 0.8
    assert compared.by == "school"


def test_rows_of_known_groups_are_predicted_better_than_new_groups(compared: Comparison) -> None:
    rows, groups = (dict(zip(f["name"], f["elpd"], strict=True)) for f in (compared.fit, compared.group_fit))
    assert rows["varying"] > groups["varying"] + 30
    assert rows["pooled"] < groups["pooled"] + 10


def test_a_comparison_is_json_and_a_picture(compared: Comparison) -> None:
    found = compared.to_json()
    assert json.loads(json.dumps(found, default=str))["groups_left_out"][0]["name"] == "varying"
    assert found["estimands"][0]["name"] == "ate"
    (panel,) = compared.plot().axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["plain", "varying", "pooled"]


def test_a_level_that_is_not_there_is_said(compared: Comparison) -> None:
    first, second, _ = compared.results
    assert "no level class" in first.compare(second, by="class").group_reason


def test_forms_of_pooling_agree_where_shares_are_equal(folder: Path) -> None:
    found = compare_pooling(folder / "plain.hdm", settings=QUICK)
    assert found.names == ("complete", "partial", "none", "mundlak")
    row = {name: values[0] for name, values in rows_of(found.estimands).items()}
    for form in found.names:
        assert row[f"{form} mean"] == pytest.approx(row["partial mean"], abs=0.05)
    assert row["complete sd"] > 1.2 * row["partial sd"]
    assert "none" not in found.group_fit["name"].tolist()
    assert "no new one" in found.group_reason


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plain.hdm", "pooled.hdm", "--pooling"], 2),
        (["plain.hdm", "pooled.hdm", "--backends", "stan"], 2),
        (["plain.hdm", "--plot", "x.svg"], 2),
        (["plain.hdm", "pooled.hdm", "--plot", "x.gif"], 2),
        (["plain.hdm", "--pooling", "district"], 1),
        (["plain.hdm", "absent.hdm"], 1),
    ],
)
def test_commands_that_cannot_be_carried_out(
    arguments: list[str], code: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["compare", *arguments, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["diagnostics"]


def test_the_command_prints_tables_and_draws(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["compare", "plain.hdm", "varying.hdm", "--draws", "300", "--plot", "both.svg"]) == 0
    said = capsys.readouterr().out
    assert "Whole units of school left out" in said
    assert (folder / "both.svg").read_text().count("<svg") == 1


@pytest.mark.slow
@pytest.mark.cases
def test_the_union_wage_premium_under_each_pooling_is_the_published_one() -> None:
    """Wooldridge, Introductory Econometrics, Table 14.2: pooled 0.182, random effects 0.106, fixed effects 0.080."""
    found = rows_of(compare_pooling(CASE, settings=Settings(draws=500)).estimands)
    published = {
        "complete": (0.182, 0.017),
        "partial": (0.106, 0.018),
        "none": (0.080, 0.019),
        "mundlak": (0.080, 0.019),
    }
    for form, (estimate, error) in published.items():
        assert found[f"{form} mean"][0] == pytest.approx(estimate, abs=0.25 * error)
        assert found[f"{form} sd"][0] == pytest.approx(error, rel=0.2)
