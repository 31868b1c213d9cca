"""`hdsl compare`: the posteriors of a study on several backends, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdsl.backend import SamplingFailed
from hdsl.cli import main
from hdsl.diagnostics import Diagnostic

pytest.importorskip("stanli")
pytestmark = pytest.mark.stan

_STUDY = """\
study coaching "Coaching, completely randomised"
data "coaching.csv"
unit person id person { outcome after : real }
treatment coach { none = 0, coached = 1 }
assign coach to person by complete(0.5)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which holds a study of forty persons."""
    after = np.random.default_rng(2).normal(10, 2, 40).round(3)
    lines = [f"{person},{person % 2},{value}" for person, value in enumerate(after)]
    (tmp_path / "coaching.csv").write_text("\n".join(["person,coach,after", *lines]) + "\n")
    (tmp_path / "coaching.hdm").write_text(_STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Quantities by backends, how far they are apart, and the verdict."""
    code = main(["compare", "coaching.hdm", "--backends", "numpyro", "stan:stanli", "--draws", "600"])
    shown = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert "numpyro stan:stanli apart" in shown
    assert "effect(coach)" in shown
    assert "The posteriors agree" in shown
    assert "NUTS" in shown
    assert "stanli 0." in shown


def test_estimands_are_compared_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = _STUDY.replace("unit person", "group town id town { }\nunit person") + (
        "estimand ate = average over person of after(coach = coached) - after(coach = none)\n"
        "estimand here[town] = average over person of after(coach = coached) - after(coach = none)\n"
    )
    lines = (folder / "coaching.csv").read_text().splitlines()
    towns = ["town", *(f"t{row % 4}" for row in range(40))]
    (folder / "coaching.csv").write_text("\n".join(f"{a},{b}" for a, b in zip(lines, towns, strict=True)) + "\n")
    (folder / "coaching.hdm").write_text(study.replace("unit person id person", "unit person id person in town"))
    names = ["stan:stanli", "numpyro"]
    main(["compare", "coaching.hdm", "--backends", *names, "--draws", "200", "--warmup", "200", "--json"])
    found = json.loads(capsys.readouterr().out)["comparison"]
    assert {"ate", "here[t0]", "here[t3]"} <= {each["quantity"] for each in found["differences"]}


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["stan"], "HDM116"),
        (["stan", "stan"], "HDM116"),
        (["numpyro", "jags"], "HDM601"),
        (["numpyro", "stan:rstan"], "HDM714"),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, names: list[str], code: str
) -> None:
    monkeypatch.setattr("hdsl.driver.run", None)
    assert main(["compare", "coaching.hdm", "--backends", *names]) == 2
    assert f"error[{code}]" in capsys.readouterr().err


def test_a_backend_that_fails_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(study: object, **how: object) -> None:
        raise SamplingFailed([Diagnostic("HDM712", "The sampler ran out of memory.", help="Draw less.")])

    monkeypatch.setattr("hdsl.driver.run", broken)
    assert main(["compare", "coaching.hdm", "--backends", "numpyro", "stan:stanli"]) == 3
    assert "error[HDM712]: numpyro: The sampler ran out of memory." in capsys.readouterr().err


def test_too_few_draws_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "coaching.hdm", "--backends", "numpyro", "stan:stanli", "--draws", "60", "--chains", "2"])
    assert "too few to compare" in " ".join(capsys.readouterr().out.split())


def test_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "coaching.hdm", "--backends", "numpyro", "stan:stanli", "--draws", "600", "--json"])
    found = json.loads(capsys.readouterr().out)["comparison"]
    assert found["agrees"]
    assert found["weakest"].keys() == {"numpyro", "stan:stanli"}
    assert {each["statistic"] for each in found["differences"]} == {"mean", "sd", "q5", "q95"}
