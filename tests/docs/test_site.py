"""The site is built strictly and as a whole, loads nothing from elsewhere, and works from a disk in a browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import hdsl
from hdsl.diagnostics.codes import CODES
from hdsl.resources import grammar_text
from tests.docs.blocks import DOCS, ROOT

LOADED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src",),
    "object": ("data",),
    "use": ("href", "xlink:href"),
}
NOT_LOADED = {"canonical", "next", "prev", "edit", "alternate"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OUTSIDE = re.compile(r"(?:https?:)?//", re.I)


class Assets(HTMLParser):
    """Collects what a page loads, the words in it, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag
        if tag == "link" and set((given.get("rel") or "").split()) & NOT_LOADED:
            return
        self.loaded += [given[name] or "" for name in LOADED.get(tag, ()) if name in given]
        self.styles.append(given.get("style") or "")

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.styles.append(data)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once even where several processes share the tests."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder, told = shared / "site", shared / "site.txt"
    try:
        (shared / "site.lock").mkdir()
    except FileExistsError:
        for _ in range(2400):
            if told.exists():
                break
            time.sleep(0.1)
    else:
        line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
        quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
        done = subprocess.run(line, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False, timeout=240)
        (shared / "site.part").write_text("" if done.returncode == 0 else done.stdout + done.stderr + "failed")
        (shared / "site.part").rename(told)
    assert told.exists()
    assert told.read_text() == ""
    return folder


def html(site: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(site.rglob("*.html")):
        yield str(path.relative_to(site)), path.read_text(encoding="utf-8")


def test_every_page_is_on_the_site(site: Path) -> None:
    built = {name for name, _ in html(site)}
    written = {str(path.relative_to(DOCS).with_suffix(".html")) for path in DOCS.rglob("*.md")}
    assert written - built == set()
    assert {"reference/grammar.html", "reference/api.html", "codes/index.html", "gallery/index.html"} <= built
    assert not list(site.rglob("*.py"))


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    outside: list[tuple[str, str]] = []
    for name, text in html(site):
        page = Assets(text)
        outside += [(name, address) for address in page.loaded if OUTSIDE.match(address)]
        outside += [(name, style) for style in page.styles if re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style)]
    for path in site.rglob("*.css"):
        found = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]*", path.read_text(encoding="utf-8"))
        outside += [(path.name, address) for address in found]
    assert outside == []


def test_an_asset_from_elsewhere_would_be_seen() -> None:
    text = '<script src="https://a/b.js"></script><link rel="stylesheet" href="//a/b.css"><style>@import "//x";</style>'
    page = Assets(text + '<link rel="canonical" href="https://a"><a href="https://b">b</a>')
    assert [address for address in page.loaded if OUTSIDE.match(address)] == ["https://a/b.js", "//a/b.css"]
    assert page.styles[-1] or page.styles[-2]


def test_made_pages_hold_all_of_what_they_are_made_from(site: Path) -> None:
    grammar = (site / "reference/grammar.html").read_text(encoding="utf-8")
    rules = re.findall(r"^[?!]*([a-z_]\w*):", grammar_text().split("// Text without meaning")[0], re.M)
    assert len(rules) > 60
    assert [r for r in rules if f'id="rule-{r.strip("_").replace("_", "-")}"' not in grammar] == []
    api = (site / "reference/api.html").read_text(encoding="utf-8")
    assert [name for name in hdsl.__all__ if f"hdsl.{name}" not in api] == []
    codes = (site / "codes/index.html").read_text(encoding="utf-8")
    assert [code for code in CODES if f'href="{code}.html"' not in codes] == []
    parts = (site / "reference/study.html").read_text(encoding="utf-8")
    names = set(hdsl.json_schema()["$defs"])
    assert [name for name in names if f'id="part-design-{name.lower()}"' not in parts] == []
    gallery = (site / "gallery/index.html").read_text(encoding="utf-8")
    assert [path.name for path in (DOCS / "gallery").glob("*.png") if f'src="{path.name}"' not in gallery] == []
    assert json.loads((site / "reference/study.schema.json").read_text()) == hdsl.json_schema()


def test_the_search_needs_no_server(site: Path) -> None:
    """The index is a script as well, which a browser loads from a disk."""
    found = (site / "search/search_index.js").read_text(encoding="utf-8")
    assert "principal" in found


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
    """As for reports: without a network, with no word on the console."""

    @pytest.mark.parametrize("name", ["index.html", "language.html", "coming_from/lme4.html", "reference/grammar.html"])
    def test_a_page_opens_from_a_disk(self, browser: Any, site: Path, name: str) -> None:
        said: list[str] = []
        tab = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("requestfailed", lambda request: said.append(request.url))
        tab.goto((site / name).as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
        assert said == []

    def test_the_search_finds_a_page(self, browser: Any, site: Path) -> None:
        tab = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
        tab.goto((site / "index.html").as_uri())
        tab.fill("input.md-search__input", "noncompliance")
        tab.wait_for_selector("a.md-search-result__link", timeout=120_000)
        found = tab.eval_on_selector_all("a.md-search-result__link", "links => links.map(link => link.href)")
        assert any("handle_noncompliance" in link for link in found)

    @pytest.mark.parametrize(
        "name", ["first_study.html", "coming_from/brms.html", "gallery/index.html", "codes/index.html"]
    )
    def test_a_narrow_screen_shows_all_of_it(self, browser: Any, site: Path, name: str) -> None:
        tab = browser.new_context(offline=True, viewport={"width": 390, "height": 800}).new_page()
        tab.goto((site / name).as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
