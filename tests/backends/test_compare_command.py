"""`hdsl compare`: the posteriors of a study on several backends, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hdsl.cli import main

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


def test_too_few_draws_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "coaching.hdm", "--backends", "numpyro", "stan:stanli", "--draws", "60", "--chains", "2"])
    assert "too few to compare" in " ".join(capsys.readouterr().out.split())


def test_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "coaching.hdm", "--backends", "numpyro", "stan:stanli", "--draws", "600", "--json"])
    found = json.loads(capsys.readouterr().out)["comparison"]
    assert found["agrees"]
    assert found["weakest"].keys() == {"numpyro", "stan:stanli"}
    assert {each["statistic"] for each in found["differences"]} == {"mean", "sd", "q5", "q95"}
