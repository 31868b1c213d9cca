"""Every example parses, is sound, equals its Python twin, and runs; simulated ones recover their truth."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from hdsl import Settings, format_text, run
from hdsl.driver import derive, open_study
from hdsl.report.html.page import report_html

ROOT = Path(__file__).resolve().parents[2] / "examples"
STUDIES = sorted(path for path in ROOT.glob("*/*.hdm"))
TRUTH: Mapping[str, Mapping[str, float]] = runpy.run_path(str(ROOT / "simulate.py"))["TRUTH"]
IDS = [path.stem for path in STUDIES]
SLOW_CHAINS = ("home_visits",)  # trees and intercepts of sites share a level


def test_there_is_one_for_each_design_of_the_paper() -> None:
    wanted = {"nsw_training", "electric_company", "curriculum", "yates_oats", "union_wage", "beat_the_blues"}
    assert wanted | {"rice", "turnout", "tutoring", "eight_schools", "roaches", "stress", "coaching"} <= set(IDS)


@pytest.mark.parametrize("path", STUDIES, ids=IDS)
def test_it_is_formatted_sound_and_equal_to_its_python_twin(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text) == text
    twin = runpy.run_path(str(path.with_suffix(".py")))["study"]
    assert twin == open_study(path).study
    derived = derive(path)
    assert derived.model is not None, derived.diagnostics
    assert not [found for found in derived.diagnostics if found.severity == "error"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", STUDIES, ids=IDS)
def test_it_runs(path: Path) -> None:
    draws = 1000 if path.stem in SLOW_CHAINS else 500
    result = run(path, settings=Settings(draws=draws, warmup=draws, seed=3))
    assert result.diagnosis.verdict != "fail"
    numbers = [(s.mean, s.sd, s.q5, s.q95) for s in (*result.estimand_summaries, *result.parameter_summaries)]
    assert np.all(np.isfinite(numbers))
    found = {summary.name: summary for summary in result.parameter_summaries if not summary.index}
    for role, truth in TRUTH.get(path.stem, {}).items():
        assert abs(found[role].mean - truth) < 2.6 * found[role].sd, role
    assert "</html>" in report_html(result)


@pytest.mark.slow
def test_simulated_data_are_those_of_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = runpy.run_path(str(ROOT / "simulate.py"))
    for name in TRUTH:
        (tmp_path / name).mkdir()
        monkeypatch.setitem(script[name].__globals__, "HERE", tmp_path)
        script[name]()
    for made in tmp_path.glob("*/*.csv"):
        assert made.read_text() == (ROOT / made.relative_to(tmp_path)).read_text()
