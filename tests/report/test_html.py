"""The HTML report: every part is there, nothing of the data is markup, a real browser shows it without a network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest

from hdsl import Result, Settings, run
from hdsl.cli import main
from hdsl.diagnostics import Diagnostic
from hdsl.report.html.methods import command, methods
from hdsl.report.html.page import report_html
from hdsl.report.html.references import works
from hdsl.report.html.verdicts import verdicts
from tests.report.made import PUPILS, SCHOOLS, STUDY, write

NASTY = "<img src=x onerror=alert(1)>&'"
SECTIONS = ("answer", "design", "data", "model", "estimands", "groups", "curves", "variance", "checks", "sampling")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def parsed(page: str) -> Element:
    """Return a page as a tree; any error of HTML syntax fails."""
    tree: Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    return tree


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


@pytest.fixture(scope="module")
def moderated(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A study with a moderator, whose title, ids, units and reasons try to be markup."""
    folder = tmp_path_factory.mktemp("nasty")
    path = write(folder)
    text = STUDY.replace("Tutoring, randomised", NASTY).replace('real "points"', f'real "{NASTY}"')
    text = text.replace("vary tutor across school", "vary tutor across school vary tutor with poverty")
    path.write_text(f'{text}waive HDM311 because "{NASTY}"\n')
    table = folder / "tutoring.csv"
    table.write_text(table.read_text().replace("s3,", f"{NASTY},"))
    found = run(path, settings=Settings(chains=2, draws=100, warmup=100))
    waived = Diagnostic("HDM311", f"A warning {NASTY}.", severity="warning", waived=NASTY)
    return replace(found, warnings=(*found.warnings, waived))


@pytest.fixture(scope="module")
def page(moderated: Result) -> str:
    return report_html(moderated)


class TestPage:
    def test_it_is_sound_html_with_every_section(self, page: str) -> None:
        tree = parsed(page)
        sections = [each.get("id") for each in tree.iter("section")]
        assert sections == [*SECTIONS, "warnings", "reproduce", "methods"]
        for section in tree.iter("section"):
            heading = section.find("h2")
            assert heading is not None
            assert section.get("aria-labelledby") == heading.get("id")
        ids = [each.get("id") for each in tree.iter() if each.get("id")]
        assert len(ids) == len(set(ids))
        links = [each.get("href", "")[1:] for each in tree.iter("a")]
        assert set(links) <= set(ids)

    def test_nothing_is_fetched_and_nothing_runs(self, page: str) -> None:
        tree = parsed(page)
        tags = {str(each.tag) for each in tree.iter()}
        assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form"}
        for each in tree.iter():
            for name, value in each.attrib.items():
                assert not str(name).lower().startswith("on"), (each.tag, name)
                if str(name).rpartition("}")[2] in ("href", "src"):
                    assert value.startswith("#"), value
        assert "@import" not in page
        assert re.search(r"url\((?!#)", page) is None

    def test_text_of_the_study_and_the_data_stays_text(self, page: str) -> None:
        tree = parsed(page)
        title = next(tree.iter("h1"))
        assert words(title) == f"{NASTY} within schools"
        waived = next(each for each in tree.iter("section") if each.get("id") == "warnings")
        assert f"Waived because: {NASTY}" in words(waived)
        assert NASTY in words(next(each for each in tree.iter("pre") if "study tutoring" in words(each)))

    def test_pictures_have_titles_and_words(self, page: str) -> None:
        tree = parsed(page)
        pictures = list(tree.iter("{http://www.w3.org/2000/svg}svg")) or list(tree.iter("svg"))
        assert len(pictures) == 9
        for each in pictures:
            assert each.get("role") == "img"
            named = {part.get("id"): words(part) for part in each.iter() if str(part.tag).endswith(("title", "desc"))}
            assert all(named[name] for name in (each.get("aria-labelledby") or "").split())

    def test_tables_have_captions_and_headings(self, page: str) -> None:
        tree = parsed(page)
        assert (tree.get("lang"), words(next(tree.iter("title")))) == ("en", f"{NASTY} within schools")
        for table in tree.iter("table"):
            assert table.find("caption") is not None
            assert all(cell.get("scope") in ("col", "row") for cell in table.iter("th"))

    def test_the_numbers_are_those_of_the_result(self, moderated: Result, page: str) -> None:
        tree = parsed(page)
        section = next(each for each in tree.iter("section") if each.get("id") == "estimands")
        lines = [[words(cell) for cell in row] for row in section.iter("tr")]
        (row,) = [line for line in lines if line[0] == "ate"]
        summary = moderated.estimand_summaries[0]
        assert float(row[1]) == pytest.approx(summary.mean, abs=summary.sd / 10)
        data = next(each for each in tree.iter("section") if each.get("id") == "data")
        assert f"{SCHOOLS * PUPILS} of {SCHOOLS * PUPILS} rows" in words(data)
        assert moderated.bound.audit.sha256 in page

    def test_contrast_of_every_colour_is_enough(self) -> None:
        from hdsl.report.pictures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, RED

        def luminance(colour: str) -> float:
            parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        style = (Path(__file__).resolve().parents[2] / "hdsl/report/html/report.css").read_text()
        texts = re.findall(r"(?:^|[;{ ])(?:color|--ink|--grey|--blue): (#[0-9a-f]{6})", style)
        assert len(texts) >= 6
        for colour in (INK, GREY, BLUE, ORANGE, GREEN, PURPLE, RED, *texts):
            assert 1.05 / (luminance(colour) + 0.05) >= 4.5, colour


class TestWords:
    def test_the_methods_paragraph_says_what_was_done(self, found: Result) -> None:
        text = methods(found)
        assert text.startswith("We analysed score of 80 students (in 8 schools).")
        assert "Treatment tutor was assigned to each student within each school, completely at random" in text
        assert "The intercept and effect(tutor) vary across school, partially pooled." in text
        assert f"{found.settings.chains} chains of {found.settings.draws} draws" in text

    def test_every_citation_is_in_the_list(self, found: Result) -> None:
        for result in (found, replace(found, inference="NumPyro 1 NUTS")):
            cited = set(re.findall(r"([A-Z][a-z]+)(?: & [A-Z][a-z]+| et al\.)?, (\d{4})", methods(result)))
            listed = {(work.fields["author"].split(",")[0], work.fields["year"]) for work in works(result)}
            assert cited <= listed
            assert len(cited) >= 4
        assert "Phan" in " ".join(work.text for work in works(replace(found, inference="NumPyro 1 NUTS")))

    def test_bibtex_is_balanced(self, found: Result) -> None:
        for work in works(found):
            assert work.bibtex.count("{") == work.bibtex.count("}")
            assert work.bibtex.startswith(f"@{work.kind}{{{work.key},")
            assert "{" not in work.text

    def test_the_command_runs_it_again(self, found: Result, study_path: Path, capsys: Any, monkeypatch: Any) -> None:
        monkeypatch.chdir(study_path.parent)
        assert main([*command(found).split()[1:], "--json"]) == 0
        import json

        again = json.loads(capsys.readouterr().out)
        assert again["estimands"][0]["mean"] == found.estimand_summaries[0].mean

    @pytest.mark.parametrize(
        ("change", "grades"),
        [
            ({}, {"ok"}),
            ({"max_rhat": 1.02}, {"ok", "warn"}),
            ({"max_rhat": 1.2}, {"ok", "fail"}),
            ({"divergences": 3}, {"ok", "warn"}),
            ({"divergences": 500}, {"ok", "fail"}),
            ({"min_ess_bulk": 50.0}, {"ok", "warn"}),
            ({"min_ebfmi": 0.1}, {"ok", "warn"}),
            ({"not_finite": 2}, {"ok", "fail"}),
            ({"khat": 0.8}, {"ok", "fail"}),
        ],
    )
    def test_verdicts(self, found: Result, change: dict[str, Any], grades: set[str]) -> None:
        sound = {"max_rhat": 1.001, "min_ess_bulk": 900.0, "min_ess_tail": 900.0, "khat": float("nan")}
        diagnosis = replace(found.diagnosis, **{**sound, "min_ebfmi": 0.9, "divergences": 0, **change})
        assert {verdict.grade for verdict in verdicts(diagnosis)} == grades


class TestCommands:
    def test_a_report_of_a_file_a_study_and_a_run(
        self, found: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("HDSL_RUNS", raising=False)
        monkeypatch.chdir(tmp_path)
        found.save("r.nc")
        assert main(["report", "r.nc", "--html"]) == 0
        assert parsed(Path("r.html").read_text()).tag == "html"
        write(tmp_path)
        assert main(["report", "tutoring.hdm"]) == 1
        quick = ["--chains", "1", "--draws", "60", "--warmup", "60"]
        assert main(["run", "tutoring.hdm", *quick, "--report"]) in (0, 3)
        assert main(["run", "tutoring.hdm", *quick, "--report", "other.html"]) in (0, 3)
        assert main(["report", "tutoring.hdm", "--out", "third.html"]) == 0
        capsys.readouterr()
        assert all(Path(name).stat().st_size > 1e5 for name in ("tutoring.html", "other.html", "third.html"))
        assert main(["run", "tutoring.hdm", *quick, "--report", "no/x.html", "--json"]) == 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class TestBrowser:
    @pytest.fixture
    def opened(self, browser: Any, page: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
        """Open the page without a network; fails where it says anything on the console or asks for anything else."""
        file = tmp_path / "report.html"
        file.write_text(page, encoding="utf-8")
        said: list[str] = []
        asked: list[str] = []

        def opening(**options: Any) -> Any:
            tab = browser.new_context(offline=True, **options).new_page()
            tab.on("console", lambda message: said.append(message.text))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.on("dialog", lambda dialog: said.append(dialog.message))
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto(file.as_uri())
            return tab

        yield opening
        assert said == []
        assert set(asked) == {file.as_uri()}

    def test_it_loads_without_a_network_or_an_error(self, opened: Callable[..., Any]) -> None:
        tab = opened(viewport={"width": 1000, "height": 800})
        assert tab.title() == f"{NASTY} within schools"
        assert tab.evaluate("document.images.length") == 0
        sizes = tab.evaluate("[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().height)")
        assert len(sizes) == 9
        assert min(sizes) > 60

    def test_nothing_is_wider_than_a_narrow_screen(self, opened: Callable[..., Any]) -> None:
        tab = opened(viewport={"width": 380, "height": 800})
        assert tab.evaluate("document.documentElement.scrollWidth") <= 380

    def test_the_keyboard_reaches_the_answer_first(self, opened: Callable[..., Any]) -> None:
        tab = opened()
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.textContent") == "Skip to the answer"
        tab.keyboard.press("Enter")
        assert tab.evaluate("location.hash") == "#answer"

    def test_it_prints(self, opened: Callable[..., Any], tmp_path: Path) -> None:
        tab = opened()
        assert tab.pdf(path=str(tmp_path / "report.pdf")).startswith(b"%PDF")


@pytest.mark.parametrize("name", ["gaps", "strata"])
def test_studies_whose_rows_are_of_several_kinds_are_reported(name: str, tmp_path: Path) -> None:
    from tests.model import test_missing_kinds, test_strata

    if name == "gaps":
        test_missing_kinds.write_rows(tmp_path, test_missing_kinds.drawn(60, 1))
        study = test_missing_kinds.study_of("w", "x")
    else:
        test_strata.write(tmp_path / "d.csv", test_strata.drawn(60, 3))
        study = test_strata.study_of()
    found = run(study, data=str(tmp_path / "d.csv"), settings=Settings(chains=2, draws=100, warmup=100, seed=1))
    tree = parsed(report_html(found))
    assert [each.get("id") for each in tree.iter("section")][-1] == "methods"
