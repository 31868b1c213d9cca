"""The one layout of a study: two blanks of indent, aligned blocks, every comment kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from lark import Token, Tree

from hdsl.diagnostics.width import display_width
from hdsl.source import Source
from hdsl.syntax.machine import Machine
from hdsl.syntax.pieces import OPERATORS, Piece, Remark, pieces, split
from hdsl.syntax.tokens import lex

WIDTH = 110
INDENT = "  "
HANGING = "    "
PIVOTS = {"prior": "TILDE", "stratum": "EQUAL", "arm": "EQUAL"}


def format_source(source: Source) -> str:
    """Return the text of a study in its one layout; a text with syntax errors is returned as it is.

    Tokens and comments stay as written; only blanks and line ends change. Formatting twice changes nothing.
    """
    lexed = lex(source)
    machine = Machine(list(lexed.tokens), None)
    if Machine(list(lexed.tokens), None).first_failure() is not None:
        return source.text
    tree = machine.run()
    *body, end = pieces(source, lexed.tokens, lexed.comments, tree)
    lines: list[str] = []
    for unit in _aligned_estimands(list(_units(body, tree))):
        lines += _statement(unit, lines)
    lines += _remarks(end.before, "", first=not lines)
    return "".join(line + "\n" for line in lines)


class Unit:
    """The pieces of a statement, and the kinds and offsets of the items in its block."""

    def __init__(self, run: list[Piece], node: Tree[Token]) -> None:
        self.node = node
        brace = next((i for i, piece in enumerate(run) if piece.token.type == "LBRACE"), None)
        self.header = run if brace is None else run[: brace + 1]
        body = [] if brace is None else run[brace + 1 :]
        closing = next((i for i, piece in enumerate(body) if piece.token.type == "RBRACE"), len(body))
        self.closing = body[closing:]
        children = [] if brace is None else _items(node, run[brace].start)
        inside = list(split(body[:closing], [child.meta.start_pos for child in children]))
        self.items = list(zip((str(child.data) for child in children), inside, strict=True))


def _units(body: list[Piece], tree: Tree[Token]) -> Iterator[Unit]:
    nodes = [child for child in tree.children if isinstance(child, Tree)]
    runs = split(body, [node.meta.start_pos for node in nodes])
    return (Unit(run, node) for run, node in zip(runs, nodes, strict=True))


def _items(node: Tree[Token], brace: int) -> list[Tree[Token]]:
    """Return the trees of the items in the block that begins at an offset."""
    for child in node.children:
        if isinstance(child, Tree) and child.data in ("variables", "arms"):
            return [item for item in child.children if isinstance(item, Tree)]
    return [child for child in node.children if isinstance(child, Tree) and child.meta.start_pos > brace]


def _statement(unit: Unit, above: list[str]) -> Iterator[str]:
    first = unit.header[0]
    yield from _opening(first, "", not above)
    inline = _inline(unit)
    if inline is not None:
        yield from inline
        return
    yield from _laid_out(unit.header, "")
    fresh = True
    for item in _aligned_items(unit.items):
        yield from _opening(item[0], INDENT, fresh)
        yield from _laid_out(item, INDENT)
        fresh = False
    if unit.closing:
        yield from _remarks(unit.closing[0].before, INDENT, fresh)
        yield from _laid_out(unit.closing, "")


def _opening(piece: Piece, indent: str, fresh: bool) -> Iterator[str]:
    """Yield the empty line and comments before the first piece of a statement or item."""
    yield from _remarks(piece.before, indent, fresh)
    if piece.apart and not (fresh and not piece.before):
        yield ""


def _remarks(remarks: Iterable[Remark], indent: str, first: bool) -> Iterator[str]:
    for number, remark in enumerate(remarks):
        if remark.apart and not (first and not number):
            yield ""
        yield indent + remark.text


def _inline(unit: Unit) -> list[str] | None:
    """Return a statement on one line if it stood so, has at most one item or only arms, and fits."""
    inside = [piece for _, item in unit.items for piece in item]
    run = [*unit.header, *inside, *unit.closing]
    several = len(unit.items) > 1 and unit.items[0][0] != "arm"
    if not unit.closing or several or run[0].token.line != run[-1].token.line:
        return None
    lines = list(_laid_out(run, ""))
    return lines if len(lines) == 1 and _width(lines[0], run[-1]) <= WIDTH else None


def _width(line: str, last: Piece) -> int:
    return display_width(line) - (display_width(last.after) + 2 if last.after else 0)


# Alignment


def _aligned_items(items: list[tuple[str, list[Piece]]]) -> list[list[Piece]]:
    runs = [run for _, run in items]
    kinds = {kind for kind, _ in items}
    if kinds == {"variable"}:
        return _aligned(_aligned(runs, [1] * len(runs)), [2] * len(runs))
    if len(kinds) == 1 and (pivot := PIVOTS.get(next(iter(kinds)))):
        return _aligned(runs, [_position(run, pivot) for run in runs])
    return runs


def _aligned_estimands(units: list[Unit]) -> list[Unit]:
    """Align the `=` of estimands that follow each other line by line."""
    groups: list[list[Unit]] = []
    for unit in units:
        first = unit.header[0]
        follows = groups and unit.node.data == groups[-1][-1].node.data == "estimand"
        if follows and not first.apart and not first.before and _is_short(unit) and _is_short(groups[-1][-1]):
            groups[-1].append(unit)
        else:
            groups.append([unit])
    for group in groups:
        runs = [unit.header for unit in group]
        aligned = _aligned(runs, [_position(run, "EQUAL") for run in runs]) if len(group) > 1 else runs
        if all(_fits(run) for run in aligned):
            for unit, run in zip(group, aligned, strict=True):
                unit.header = run
    return units


def _is_short(unit: Unit) -> bool:
    return _fits(unit.header)


def _fits(run: list[Piece]) -> bool:
    lines = list(_laid_out(run, ""))
    return len(lines) == 1 and _width(lines[0], run[-1]) <= WIDTH


def _position(run: list[Piece], kind: str) -> int:
    return next(i for i, piece in enumerate(run) if piece.token.type == kind and not piece.depth)


def _aligned(runs: list[list[Piece]], positions: list[int]) -> list[list[Piece]]:
    """Return the runs with blanks before the piece at each one's position, so that those pieces align."""
    widths = [_length(run[:position]) for run, position in zip(runs, positions, strict=True)]
    widest = max(widths, default=0)
    return [
        [*run[:position], run[position].padded(widest - width), *run[position + 1 :]]
        for run, position, width in zip(runs, positions, widths, strict=True)
    ]


def _length(run: list[Piece]) -> int:
    return sum(_room(piece, number) for number, piece in enumerate(run))


def _room(piece: Piece, number: int) -> int:
    """Return the columns of a piece; the first on a line has no blanks before it."""
    return display_width(piece.token) + (len(piece.gap) if number else 0)


# Lines


def _laid_out(run: list[Piece], indent: str) -> Iterator[str]:
    """Yield the lines of a statement or item; the comments before its first piece are left to the caller."""
    lead = indent
    for number, chunk in enumerate(_chunks(run)):
        if number:
            lead = indent + HANGING
            yield from _remarks(chunk[0].before, lead, first=True)
        filled = list(_filled(chunk, lead, indent + HANGING))
        if chunk[-1].after:
            filled[-1] += "  " + chunk[-1].after
        yield from filled


def _chunks(run: list[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces between comments, which end their lines."""
    numbers: list[int] = []
    chunk = 0
    for number, piece in enumerate(run):
        chunk += bool(number and (piece.before or run[number - 1].after))
        numbers.append(chunk)
    for _, group in groupby(zip(numbers, run, strict=True), key=lambda pair: pair[0]):
        yield [piece for _, piece in group]


def _filled(chunk: list[Piece], lead: str, hanging: str) -> Iterator[str]:
    """Yield lines not wider than the limit where breaks allow it, broken at the outermost place."""
    while len(lead) + _length(chunk) > WIDTH and (cut := _cut(chunk, WIDTH - len(lead))):
        yield lead + _text(chunk[:cut])
        chunk, lead = chunk[cut:], hanging
    yield lead + _text(chunk)


def _cut(chunk: list[Piece], room: int) -> int | None:
    """Return the last of the outermost places to break within the room, else the first beyond it.

    Where commas separate terms, an operator within a term counts as further in.
    """
    listed = {piece.depth for piece in chunk if piece.token.type == "COMMA"}
    best: tuple[float, int] | None = None
    used = 0
    for number, piece in enumerate(chunk):
        if number and piece.breakable:
            if used > room:
                return best[1] if best else number
            inner = piece.token.type in OPERATORS and piece.depth in listed
            level = piece.depth + 0.5 * inner
            if best is None or level <= best[0]:
                best = level, number
        used += _room(piece, number)
    return best[1] if best else None


def _text(run: list[Piece]) -> str:
    return "".join((piece.gap if number else "") + str(piece.token) for number, piece in enumerate(run))
