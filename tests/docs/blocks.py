"""The fenced blocks of the pages: their language, their title, their text, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block; `title` is the file that it shows, `section` the heading above it, `line` counts from 1."""

    page: Path
    language: str
    title: str
    text: str
    section: str
    line: int

    @property
    def name(self) -> str:
        """A name for a test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return the README and the pages of the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        language, _, more = match["info"].strip().partition(" ")
        title = re.search(r'title="([^"]*)"', more)
        headings = re.findall(r"^#+ (.*)$", text[: match.start()], re.M)
        body = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, language, title[1] if title else "", body, headings[-1] if headings else "", line)


def studies(page: Path) -> Iterator[tuple[Block, str]]:
    """Yield the blocks of a page that hold a study, whole or in part, with the text of the whole study.

    A block without a `study` statement belongs to the last whole study before it.
    """
    whole = ""
    for block in blocks(page):
        if block.language != "hdm":
            continue
        if re.search(r"^study ", block.text, re.M):
            whole = block.text
            yield block, whole
        else:
            yield block, f"{whole}\n{block.text}"


def said(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with what it prints as the block has it."""
    parts = re.split(r"^\$ ", text, flags=re.M)
    assert not parts[0].strip(), "a console block begins with a command"
    return [(command.strip(), shown) for command, _, shown in (part.partition("\n") for part in parts[1:])]
