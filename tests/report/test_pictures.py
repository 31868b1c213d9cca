"""Pictures show the numbers of the result, and tables are what their format wants."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdsl import Result, Settings, StudyError, run
from hdsl.cli import main
from hdsl.commands.pictures import KINDS as NAMED
from hdsl.commands.pictures import PARTS
from hdsl.driver import derive
from hdsl.report import tables
from hdsl.report.pictures import KINDS
from hdsl.report.pictures.curve import curve_names, curve_of
from hdsl.report.pictures.design import boxes_of, described, design_of
from hdsl.report.pictures.forest import intervals, panels
from hdsl.report.pictures.shrinkage import pooling
from hdsl.report.pictures.style import file_of, inline_svg
from tests.report.made import SCHOOLS, write

ROOT = Path(__file__).resolve().parents[2]


def texts(figure: Any) -> str:
    """Return all that is written in a figure."""
    from matplotlib.text import Text

    return "\n".join(each.get_text() for each in figure.findobj(Text))


ELSEWHERE = ("overlap",)  # of studies with propensity scores


class TestFiles:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ELSEWHERE])
    def test_every_kind_is_drawn_in_every_format(self, found: Result, kind: str) -> None:
        figure = getattr(found.plot, kind)()
        svg = file_of(figure, "svg")
        assert ET.fromstring(svg).tag.endswith("svg")
        assert svg == file_of(getattr(found.plot, kind)(), "svg")
        assert file_of(figure, "pdf").startswith(b"%PDF")
        assert file_of(figure, "png").startswith(b"\x89PNG")

    def test_two_pictures_on_one_page_share_no_id(self, found: Result) -> None:
        ids: list[str] = []
        for key in ("a", "b"):
            svg = inline_svg(found.plot.forest(), "<Title>", "It's & more", key)
            tree = ET.fromstring(svg)
            assert tree.get("role") == "img"
            own = [each.get("id", "") for each in tree.iter() if each.get("id")]
            assert len(own) == len(set(own))
            links = [value for each in tree.iter() for name, value in each.attrib.items() if name.endswith("href")]
            assert {link.removeprefix("#") for link in links} <= set(own)
            ids += own
        assert len(ids) == len(set(ids))

    def test_the_caller_s_settings_stay(self, found: Result) -> None:
        import matplotlib

        before = dict(matplotlib.rcParams)
        found.plot.forest()
        found.plot.trace()
        assert dict(matplotlib.rcParams) == before

    def test_the_command_knows_every_kind(self) -> None:
        assert tuple(KINDS) == NAMED
        assert tables.PARTS == PARTS


class TestForest:
    def test_intervals_are_the_quantiles(self, found: Result) -> None:
        rows = [row for row in found.parameter_summaries if row.name == "effect(tutor)[school]"]
        made = intervals(found, rows)
        assert [each.label for each in made] == [f"s{i + 1}" for i in range(SCHOOLS)]
        for each, row in zip(made, rows, strict=True):
            assert each.quantiles[::2] == pytest.approx((row.q5, row.q50, row.q95))

    def test_other_scales_have_panels_of_their_own(self, found: Result) -> None:
        made = panels(intervals(found, found.parameter_summaries))
        together = {each.label for title, members in made if not title for each in members}
        assert "effect(tutor)" in together
        for title, members in made:
            widths = [each.width for each in members]
            assert title or max(widths) <= 8 * min(widths)

    def test_what_is_not_there(self, found: Result) -> None:
        with pytest.raises(StudyError, match="HDM118"):
            found.plot.forest("effect(x)")


class TestShrinkage:
    def test_effects_lie_between_no_and_complete_pooling(self, found: Result) -> None:
        made = pooling(found)
        assert (made.level, made.labels[0]) == ("school", "s1")
        assert made.complete == pytest.approx(found.effects("tutor")["mean"][0])
        np.testing.assert_allclose(made.partial, found.effects("tutor", by="school")["q50"])
        pulled = np.abs(made.partial - made.complete) / np.abs(made.alone - made.complete)
        assert np.median(pulled) < 1

    def test_alone_is_least_squares_within_the_group(self, found: Result) -> None:
        """With the other coefficients at their posterior means, a school's own rows give the difference of its arms."""
        made = pooling(found)
        bound = found.bound
        rest = bound.variables["score"].values - float(found.draws("slope(pretest)").mean()) * bound.variables[
            "pretest"
        ].values
        for school in range(SCHOOLS):
            inside = bound.levels["school"].rows == school
            treated = bound.treatments["tutor"].values == 1
            assert made.alone[school] == pytest.approx(rest[inside & treated].mean() - rest[inside & ~treated].mean())

    def test_means_of_groups_where_no_effect_varies(self, tmp_path: Path) -> None:
        path = write(tmp_path)
        path.write_text(path.read_text().replace("  vary tutor across school\n", ""))
        found = run(path, settings=Settings(chains=1, draws=80, warmup=80))
        made = pooling(found)
        scores, rows = found.bound.variables["score"].values, found.bound.levels["school"].rows
        np.testing.assert_allclose(made.alone, [scores[rows == school].mean() for school in range(SCHOOLS)])
        assert "mean of score by school" in texts(found.plot.shrinkage())

    def test_levels_that_are_not_there(self, found: Result) -> None:
        with pytest.raises(StudyError, match="Levels: school"):
            found.plot.shrinkage("district")


class TestCurve:
    def test_a_linear_effect_is_a_line_with_the_slope(self, found: Result) -> None:
        made = curve_of(found, "pretest")
        middle = made.arms[0].values[1]
        slope = np.polyfit(made.grid, middle, 1)[0]
        assert slope == pytest.approx(float(found.draws("slope(pretest)").mean()), abs=0.05)
        np.testing.assert_allclose(made.effects[0].values[1], np.full(len(made.grid), made.effects[0].values[1][0]))
        assert made.effects[0].values[1][0] == pytest.approx(found.estimands["mean"][0], abs=0.3)

    def test_what_can_be_drawn_along_is_listed(self, found: Result) -> None:
        assert curve_names(found) == ["poverty", "pretest"]
        with pytest.raises(StudyError, match="Curves: poverty, pretest"):
            found.plot.curve("age")


class TestDesign:
    def test_levels_sizes_and_assignments_are_shown(self, found: Result) -> None:
        shown = texts(found.plot.design())
        assert f"school ({SCHOOLS})" in shown
        assert "none 40, tutored 40" in shown
        assert "within" in shown

    @pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/*.hdm")), ids=lambda path: path.stem)
    def test_every_example_has_a_diagram(self, path: Path) -> None:
        checked = derive(path).checked
        assert checked.opened.study is not None
        study = checked.opened.study
        boxes = boxes_of(study, checked.bound)
        assert set(boxes) == {level.name for level in study.levels}
        for level in study.levels:
            assert all(boxes[upper].depth < boxes[level.name].depth for upper in level.above)
        words = described(study, checked.bound)
        assert all(f"{a.treatment} to each {a.to}" in words for a in study.assignments)
        assert ET.fromstring(file_of(design_of(study, checked.bound), "svg")).tag.endswith("svg")


DURATIONS = """study s
data "s.csv"
unit person { outcome months : duration censored by censored }
treatment z { no = 0, yes = 1 }
assign z to person by complete(0.5)
"""


def test_censored_outcomes_are_shown_as_survival(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    times, limits = random.weibull(1.5, 80) * 10, random.uniform(3, 15, 80)
    rows = [f"{min(t, c)},{int(t > c)},{i % 2}" for i, (t, c) in enumerate(zip(times, limits, strict=True))]
    (tmp_path / "s.csv").write_text("\n".join(["months,censored,z", *rows]) + "\n")
    (tmp_path / "s.hdm").write_text(DURATIONS)
    found = run(tmp_path / "s.hdm", settings=Settings(chains=1, draws=60, warmup=100))
    assert "share without the event" in texts(found.plot.ppc())


def test_kaplan_meier_by_hand() -> None:
    from hdsl.report.pictures.checks import _kaplan_meier

    times, survived = _kaplan_meier(np.array([6.0, 6.0, 6.0, 7.0, 10.0]), np.array([True, True, True, True, False]))
    assert times.tolist() == [0, 6, 6, 6, 7, 10]
    np.testing.assert_allclose(survived, [1, 4 / 5, 3 / 5, 2 / 5, 1 / 5, 1 / 5])


class TestTables:
    def test_csv_has_the_numbers_in_full(self, found: Result) -> None:
        rows = list(csv.DictReader(io.StringIO(tables.table_text(found, "all", "csv"))))
        assert float(rows[0]["mean"]) == found.estimand_summaries[0].mean
        assert {row["school"] for row in rows} >= {"", "s1"}
        assert len(rows) == len(found.estimand_summaries) + len(found.parameter_summaries)

    def test_markdown_is_a_table(self, found: Result) -> None:
        from markdown_it import MarkdownIt

        html = MarkdownIt("commonmark").enable("table").render(tables.table_text(found, "all"))
        tree = ET.fromstring(html)
        cells = [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")]
        assert cells[0] == ["", "mean", "sd", "5%", "50%", "95%", "P(> 0)"]
        assert [row[0] for row in cells][1:3] == ["ate", "effect(tutor)"]
        assert all(len(row) == 7 for row in cells)

    def test_latex_is_escaped(self, found: Result) -> None:
        text = tables.table_text(found, "all", "latex")
        assert r"P(\textgreater{} 0)" in text
        assert r"5\%" in text
        assert text.count(r"\\") == 1 + len(found.estimand_summaries) + len(found.parameter_summaries)
        assert tables.in_latex(r"a_b\{c}^~") == r"a\_b\textbackslash{}\{c\}\textasciicircum{}\textasciitilde{}"


class TestCommands:
    @pytest.fixture
    def study(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.delenv("HDSL_RUNS", raising=False)
        monkeypatch.chdir(tmp_path)
        path = write(tmp_path)
        run(path, settings=Settings(chains=1, draws=60, warmup=60), runs=True)
        return path

    def test_pictures_and_tables_of_a_kept_run(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plot", "shrinkage", "tutoring.hdm", "school", "--out", "s.pdf"]) == 0
        assert main(["plot", "curve", "tutoring.hdm", "pretest", "--json"]) == 0
        assert main(["table", "tutoring.hdm", "--out", "t.tex"]) == 0
        assert main(["table", "tutoring.hdm", "parameters", "--format", "csv"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out.splitlines()[-1].count(",") == 7
        assert (study.parent / "s.pdf").read_bytes().startswith(b"%PDF")
        assert (study.parent / "curve.svg").read_text().startswith("<?xml")
        assert (study.parent / "t.tex").read_text().startswith(r"\begin{tabular}")

    def test_a_study_that_changed_since_is_told(self, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
        study.write_text(study.read_text().replace("pretest, poverty", "pretest"))
        assert main(["table", "tutoring.hdm", "--json"]) == 0
        assert [each["code"] for each in json.loads(capsys.readouterr().out)["diagnostics"]] == ["HDM120"]

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (("plot", "forest", "other.hdm"), "HDM117"),
            (("plot", "forest", "tutoring.csv"), "HDM117"),
            (("plot", "forest", "tutoring.hdm", "--out", "x.gif"), "HDM118"),
            (("plot", "curve", "tutoring.hdm", "age"), "HDM118"),
            (("plot", "forest", "tutoring.hdm", "--out", "no/x.svg"), "HDM115"),
            (("table", "tutoring.hdm", "--out", "no/x.csv"), "HDM115"),
        ],
    )
    def test_what_cannot_be_done_is_told(
        self, arguments: tuple[str, ...], code: str, study: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([*arguments, "--json"]) == 1
        assert [each["code"] for each in json.loads(capsys.readouterr().out)["diagnostics"]] == [code]
