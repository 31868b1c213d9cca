"""Text of Python programs that backends print: notes, and lines folded inside brackets to a width."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from textwrap import wrap

_OPEN, _CLOSE = "([{", ")]}"
_OPERATORS = (("+", "-"), ("*", "/"))


def plain(text: str) -> str:
    """Return text on one line that neither ends a comment nor a string."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.replace("\\", "/").replace('"', "'").split())


def notes_paragraph(notes: Iterable[str], width: int) -> str:
    """Return notes as a paragraph, "" where there are none."""
    lines = [line for note in notes for line in wrap(plain(note), width)]
    return "".join(f"\n{line}" for line in lines) + "\n" * bool(lines)


def folded(source: str, width: int) -> str:
    """Return a program in which lines longer than `width` are broken inside brackets, the same syntax tree.

    A comment beside such a line goes above it. What has no bracket to break in, and text within strings of several
    lines, stays as it is.
    """
    lines = source.splitlines()
    inside = _inside_strings(source)
    for place, line in enumerate(lines):
        if len(line) > width and place not in inside and not line.lstrip().startswith("#"):
            lines[place] = "\n".join(_fold(line, width))
    made = "\n".join(lines) + "\n"
    return made if ast.dump(ast.parse(made)) == ast.dump(ast.parse(source)) else source


def _inside_strings(source: str) -> set[int]:
    """Return the lines, counted from 0, that belong to strings of several lines."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING and token.end[0] > token.start[0]:
            found |= set(range(token.start[0] - 1, token.end[0]))
    return found


def _fold(line: str, width: int) -> list[str]:
    code, comment = _parted(line)
    indent = " " * (len(code) - len(code.lstrip()))
    if comment:
        above = wrap(comment, width, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        return [*above, *_fold(code, width)]
    groups = _groups(code)
    if len(code) <= width or not groups:
        return [code]
    start, end = max(groups, key=lambda group: group[1] - group[0])
    body = code[start + 1 : end]
    parts = _at_commas(body) or _at_operators(body) or [body]
    inner = f"{indent}    "
    if len(parts) > 1 and len(inner) + len(body) <= width:
        parts = [body]
    folded_parts = [each for part in parts for each in _fold(f"{inner}{part.strip()}", width)]
    return [code[: start + 1], *folded_parts, *_fold(f"{indent}{code[end:]}", width)]


def _parted(line: str) -> tuple[str, str]:
    """Return a line's code and the comment beside it."""
    place = next((place for place, _ in _outside_strings(line) if line[place] == "#"), None)
    return (line, "") if place is None else (line[:place].rstrip(), line[place + 1 :].strip())


def _outside_strings(text: str) -> list[tuple[int, int]]:
    """Return the places that lie in no string, each with how many brackets are open before it."""
    found: list[tuple[int, int]] = []
    depth, quote, escaped = 0, "", False
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
            continue
        if char in "\"'":
            quote = char
            continue
        depth -= char in _CLOSE
        found.append((place, depth))
        depth += char in _OPEN
    return found


def _groups(text: str) -> list[tuple[int, int]]:
    """Return where the outermost brackets open and close."""
    opened = [place for place, depth in _outside_strings(text) if depth == 0 and text[place] in _OPEN]
    closed = [place for place, depth in _outside_strings(text) if depth == 0 and text[place] in _CLOSE]
    return list(zip(opened, closed, strict=False)) if len(opened) == len(closed) else []


def _at_commas(body: str) -> list[str]:
    cuts = [place for place, depth in _outside_strings(body) if depth == 0 and body[place] == ","]
    if not cuts or " for " in body:
        return []
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(body)]
    pieces = [body[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return [f"{piece}," for piece in pieces if piece]


def _at_operators(body: str) -> list[str]:
    for operators in _OPERATORS:
        cuts = [
            place
            for place, depth in _outside_strings(body)
            if depth == 0 and body[place] in operators and body[place - 1 : place + 2] == f" {body[place]} "
        ]
        if cuts:
            return [body[start:end].strip() for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return []
