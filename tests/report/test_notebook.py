"""What notebooks show: escaped, well-formed HTML; and the cell magic in a real IPython shell."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hdsl
from hdsl import Result, Study
from hdsl.driver import derive
from hdsl.model.to_math import math
from hdsl.model.to_text import equations

ROOT = Path(__file__).resolve().parents[2]
NASTY = "<script>alert('x')</script> & \"quoted\""


def parsed(html: str) -> ET.Element:
    """Return a fragment as a tree; every fragment is well-formed XML but for its line breaks."""
    return ET.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")


def test_a_result_shows_its_numbers(found: Result) -> None:
    tree = parsed(found._repr_html_())
    text = " ".join(tree.itertext())
    assert "Estimands" in text
    assert found.verdict in text
    assert [cell.text for cell in tree.iter("th")][:7] == [None, "mean", "sd", "5%", "50%", "95%", "P(> 0)"]


def test_a_comparison_shows_both(found: Result) -> None:
    text = " ".join(parsed(found.compare(found, names=("a", NASTY))._repr_html_()).itertext())
    assert f"{NASTY} mean" in text


def test_a_study_is_its_text_and_nothing_of_it_is_markup(study_path: Path) -> None:
    study = hdsl.load(study_path)
    assert "".join(parsed(study._repr_html_()).itertext()) == study.to_text()
    html = Study("s", NASTY.replace('"', "'"))._repr_html_()
    assert "<script>" not in html
    assert NASTY.replace('"', "'") in "".join(parsed(html).itertext())


def test_headings_are_escaped(found: Result) -> None:
    assert "<script>" not in replace(found, heading=NASTY)._repr_html_()


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/*.hdm")), ids=lambda path: path.stem)
def test_every_example_has_its_equations_in_mathml(path: Path) -> None:
    model = derive(path).model
    assert model is not None
    tree = parsed(model._repr_html_())
    lines = [["".join(each.itertext()) for each in line.iter("math")] for line in tree.iter("li")]
    shown = ["".join("".join(line).split()) for line in lines]
    for equation in equations(model):
        wanted = "".join(equation.text.replace("sqrt(", "(").split())
        for plain, sign in (("~", "∼"), ("-", "−"), ("*", "·"), ("'", "′")):
            wanted = wanted.replace(plain, sign)
        kept = wanted.translate(str.maketrans("", "", "[]()^"))
        assert kept in [each.translate(str.maketrans("", "", "()")) for each in shown]


@pytest.mark.parametrize("text", ["a[", "a)", "x ^", "(((", "sqrt(", "<b>", "a & b", "y ~ f(x", "]", "", "é[ß] ~ 名"])
def test_any_text_is_well_formed(text: str) -> None:
    tree = ET.fromstring(math(text))
    assert tree.tag == "math"
    assert "<b>" not in math(text)


@pytest.fixture(scope="module")
def shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell

    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "hdsl")
    yield made
    InteractiveShell.clear_instance()


class TestMagic:
    def test_a_cell_is_run_and_named(self, shell: Any, study_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(study_path.parent)
        shown = shell.run_cell_magic("hdsl", "mine --draws 40 --warmup 60 --chains 1", study_path.read_text())
        assert isinstance(shown, Result)
        assert shell.user_ns["mine"] is shown
        assert shown.settings.draws == 40

    def test_a_cell_is_explained(
        self, shell: Any, study_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.chdir(study_path.parent)
        assert shell.run_cell_magic("hdsl", "--check", study_path.read_text()) is None
        assert "because tutor was assigned within each school" in capsys.readouterr().out

    def test_errors_are_told_in_words(self, shell: Any, capsys: Any) -> None:
        assert shell.run_cell_magic("hdsl", "", "study s\nunit u { outcome y : reel }\n") is None
        assert "HDM114" in capsys.readouterr().out
        assert shell.run_cell_magic("hdsl", "--drawz 3", "study s") is None
