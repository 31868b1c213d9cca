"""Text that is broken over lines where it is too long: operands and arguments go to the next line, aligned."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile


@dataclass(frozen=True)
class Joined:
    """Parts that follow each other without a place to break."""

    parts: tuple[Doc, ...]


@dataclass(frozen=True)
class Filled:
    """Items with a space or a line break between them.

    `inset` moves the items after the first to the right; `enclosed` are items in brackets, which may begin on
    a line of their own.
    """

    items: tuple[Doc, ...]
    inset: int = 0
    enclosed: bool = False


Doc = str | Joined | Filled


def flat(doc: Doc) -> str:
    """Return the text on one line."""
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Joined):
        return "".join(flat(part) for part in doc.parts)
    return " ".join(flat(item) for item in doc.items)


@dataclass
class _Page:
    """Lines being written; `hanging` items are indented by four instead of aligned with the first."""

    width: int
    hanging: bool
    lines: list[str] = field(default_factory=list)

    def fits(self, text: str, tail: int) -> bool:
        return len(self.lines[-1]) + len(text) + tail <= self.width

    def put(self, doc: Doc, tail: int, indent: int) -> None:
        """Write `doc`, which `tail` characters follow on the same line."""
        text = flat(doc)
        if isinstance(doc, str) or self.fits(text, tail):
            self.lines[-1] += text
        elif isinstance(doc, Joined):
            for place, part in enumerate(doc.parts):
                after = doc.parts[place + 1 :]
                fixed = list(takewhile(lambda each: isinstance(each, str), after))
                self.put(part, len("".join(map(flat, fixed))) + (tail if len(fixed) == len(after) else 0), indent)
        else:
            self._fill(doc, tail, indent)

    def _fill(self, doc: Filled, tail: int, indent: int) -> None:
        start = indent + 4 if self.hanging else len(self.lines[-1])
        if self.hanging and doc.enclosed:
            self.lines.append(" " * start)
        for place, item in enumerate(doc.items):
            own = tail if place == len(doc.items) - 1 else 0
            if place and self.fits(f" {flat(item)}", own):
                self.lines[-1] += " "
            elif place:
                self.lines.append(" " * (start + doc.inset))
            self.put(item, own, start)


def broken(heads: tuple[str, ...], doc: Doc, tail: str, width: int) -> list[str]:
    """Return the lines of `doc` between a head and a tail.

    `heads` are ways to begin, the best first; one that ends in a line break has the indent of the next line
    after it. Of the layouts the first that stays within `width` is taken, else the narrowest.
    """
    layouts = [_laid_out(head, doc, tail, width, hanging) for hanging in (False, True) for head in heads]
    fitting = [lines for lines in layouts if _widest(lines) <= width]
    return fitting[0] if fitting else min(layouts, key=_widest)


def _laid_out(head: str, doc: Doc, tail: str, width: int, hanging: bool) -> list[str]:
    lines = head.split("\n")
    page = _Page(width, hanging, lines)
    page.put(doc, len(tail), len(lines[-1]) - len(lines[-1].lstrip()))
    page.lines[-1] += tail
    return page.lines


def _widest(lines: list[str]) -> int:
    return max(len(line) for line in lines)
