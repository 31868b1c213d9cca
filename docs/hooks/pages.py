"""Pages that are made while the site is built, and links that hold both in the repository and on the site."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from posixpath import relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import api
import cli
import grammar_rules
import schemas

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LISTED = ("gallery", "decisions")
COPIED: Mapping[str, str] = {
    "contributing.md": "CONTRIBUTING.md",
    "measured/cases.md": "tests/cases/README.md",
    "measured/conformance.md": "tests/conformance/README.md",
    "measured/agreement.md": "tests/agreement/README.md",
    "measured/benchmarks.md": "benchmarks/README.md",
}
GROUPS: Mapping[str, str] = {
    "1": "Text and commands",
    "2": "Names, kinds and files",
    "3": "Design against data",
    "4": "Design against analysis",
    "5": "Estimands",
    "6": "Models and backends",
    "7": "Sampling and fit",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the gallery and of the decisions; leave out pages that are not written yet."""
    config.nav = _whole(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code."""
    for uri, content in made().items():
        present = files.get_file_from_path(uri)
        if present is not None:
            files.remove(present)
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn what names another page, such as `docs/language.md` or HDM304, into links."""
    return linked(markdown, page.file.src_uri, set(files.src_uris))


def made() -> dict[str, str]:
    """Return the pages that are made, by their places on the site."""
    from hdsl import json_schema

    pages: dict[str, Callable[[], str]] = {
        "reference/grammar.md": grammar_rules.page,
        "reference/study.md": schemas.study_page,
        "reference/model.md": schemas.model_page,
        "reference/cli.md": cli.page,
        "reference/api.md": api.page,
        "codes/index.md": codes_page,
        "gallery/index.md": gallery_page,
        "decisions/index.md": decisions_page,
    }
    copied = {uri: (ROOT / path).read_text(encoding="utf-8") for uri, path in COPIED.items()}
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    return {uri: write() for uri, write in pages.items()} | copied | {"reference/study.schema.json": schema}


def codes_page() -> str:
    """Return the index of all codes by group."""
    from hdsl.diagnostics.codes import CODES

    lines = ["# Messages", "", "Each message has a code. `hdsl explain HDM304` prints its page in a terminal.", ""]
    for digit, title in GROUPS.items():
        lines += [f"## HDM{digit}xx: {title}", "", "| Code | What | Usually |", "|---|---|---|"]
        for code, info in CODES.items():
            if code.startswith(f"HDM{digit}"):
                lines.append(f"| [{code}]({code}.md) | {info.title} | {info.severity} |")
        lines.append("")
    return "\n".join(lines)


def gallery_page() -> str:
    """Return the index of the gallery, with its pictures."""
    lines = ["# Gallery", "", "Studies of real data: the design, what is derived, a picture and the answer.", ""]
    lines += ['<div class="gallery" markdown>', ""]
    for path in _listed("gallery"):
        title, words = _title(path), _first_words(path)
        picture = path.with_suffix(".png").name
        lines += ['<div markdown="1">', "", f"[![{title}]({picture})]({path.name})", ""]
        lines += [f"**[{title}]({path.name})**", "", words, "", "</div>", ""]
    return "\n".join([*lines, "</div>", ""])


def decisions_page() -> str:
    """Return the index of the decisions."""
    lines = [f"- [{_title(path)}]({path.name})" for path in _listed("decisions")]
    return "\n".join(
        ["# Decisions", "", "Why things are as they are: what, why, and what was rejected.", "", *lines, ""]
    )


def linked(markdown: str, uri: str, known: set[str]) -> str:
    """Return a page whose mentions of other pages and of codes are links; code blocks and titles stay as they are."""
    found: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and (not fence or line.strip() == fence):
            fence = "" if fence else mark[1]
        elif not fence and not line.startswith(("#", "    ", "\t", "<")):
            line = _linked_line(line, uri, known)
        found.append(line)
    return "\n".join(found)


def _linked_line(line: str, uri: str, known: set[str]) -> str:
    sources = {source: made for made, source in COPIED.items()}

    def page(match: re.Match[str]) -> str:
        path = match[2]
        target = sources.get(path) or path.removeprefix("docs/")
        target = f"{target.rstrip('/')}/index.md" if target.rstrip("/") in ("codes", *LISTED) else target
        return f"[`{path}`]({_relative(target, uri)})" if target in known else match[0]

    def outside(match: re.Match[str]) -> str:
        path = re.sub(r"^(\.\./)+", "", match[2])
        target = sources.get(path)
        return f"[{match[1]}]({_relative(target, uri)})" if target else f"{match[1]} (`{path}`)"

    def code(match: re.Match[str]) -> str:
        target = f"codes/{match[0]}.md"
        return f"[{match[0]}]({_relative(target, uri)})" if target in known else match[0]

    line = re.sub(r"\[([^\]]*)\]\(((?:\.\./)+(?:tests|benchmarks)/[^)]*)\)", outside, line)
    line = re.sub(r"(?<!\[)(`)((?:docs|tests|benchmarks)/[\w./-]+|CONTRIBUTING\.md)`(?!\])", page, line)
    return _outside_code_and_links(line, lambda text: re.sub(r"\bHDM\d{3}\b", code, text))


def _outside_code_and_links(line: str, change: Callable[[str], str]) -> str:
    parts = re.split(r"(`[^`]*`|\[[^\]]*\]\([^)]*\))", line)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))


def _relative(target: str, uri: str) -> str:
    return relpath(target, str(Path(uri).parent.as_posix()))


def _whole(nav: Any) -> Any:
    match nav:
        case list():
            return [item for each in nav for item in _whole_item(each)]
        case _:
            return nav


def _whole_item(item: Any) -> Iterator[Any]:
    match item:
        case str() if item.endswith("/index.md") and item.split("/")[0] in LISTED:
            yield item
            folder = item.split("/")[0]
            yield from ({_short(path): f"{folder}/{path.name}"} for path in _listed(folder))
        case dict():
            ((title, value),) = item.items()
            if value != "performance.md" or (DOCS / "performance.md").exists():
                yield {title: _whole(value)}
        case _:
            yield item


def _listed(folder: str) -> list[Path]:
    return sorted(path for path in (DOCS / folder).glob("*.md") if path.name != "index.md")


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")


def _short(path: Path) -> str:
    """Return a title without what comes after its colon."""
    return _title(path).split(":")[0].replace("`", "")


def _first_words(path: Path) -> str:
    """Return the first sentence of a page."""
    text = path.read_text(encoding="utf-8").split("\n", 1)[1].strip().split("\n\n")[0]
    return re.split(r"(?<=[.?!]) (?=[A-Z])", " ".join(text.split()))[0]
