"""Tokens made ready for formatting: the blanks before each, where a line may break, and the comments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lark import Token, Tree

from hdsl.source import Source
from hdsl.syntax.ast import Comment
from hdsl.syntax.grammar import END
from hdsl.syntax.tokens import span_of

OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH"})
CLAUSES = frozenset(
    {"TO", "WITHIN", "IF", "BY", "FROM", "UNDER", "IN", "ID", "COLUMN", "ACROSS", "WITH", "AS", "GIVEN"}
    | {"OVER", "WHERE", "OF", "AND", "OR", "ASSUMING", "BECAUSE", "AT"}
)
TIGHT_AFTER = frozenset({"LPAR", "LSQB", "DOTS", "CARET"})
TIGHT_BEFORE = frozenset({"RPAR", "RSQB", "COMMA", "DOTS", "CARET", "LSQB"})


@dataclass(frozen=True)
class Remark:
    """A comment on a line of its own; `apart` is set where an empty line stands before it."""

    text: str
    apart: bool


@dataclass(frozen=True)
class Piece:
    """A token with its surroundings.

    `gap` are the blanks before it on a line, `depth` the brackets open around it, and `breakable` tells
    whether a line may end before it. `before` are comments on lines of their own, `after` is one that ends
    its line; `apart` is set where an empty line stands before the token.
    """

    token: Token
    gap: str
    depth: int
    breakable: bool
    apart: bool
    before: tuple[Remark, ...] = ()
    after: str = ""

    @property
    def start(self) -> int:
        """Return the offset of the token."""
        return span_of(self.token).start

    def padded(self, blanks: int) -> Piece:
        """Return the piece with more blanks before it."""
        return replace(self, gap=self.gap + " " * blanks) if blanks else self


def pieces(source: Source, tokens: list[Token], comments: tuple[Comment, ...], tree: Tree[Token]) -> list[Piece]:
    """Return the pieces of a text that parses; the last one is the end of the text."""
    heads, signs, sizes = _marks(tree)
    found: list[Piece] = []
    remaining = list(reversed(comments))
    depth = 0
    previous: Token | None = None
    for token in tokens:
        start = len(source.text) if token.type == END else span_of(token).start
        trailing, before, apart = _surroundings(source, previous, start, remaining)
        if trailing and found:
            found[-1] = replace(found[-1], after=trailing)
        depth -= token.type in ("RPAR", "RSQB")
        gap = "" if previous is None else _gap(previous, token, heads, signs, sizes)
        breaks = previous is not None and _breaks(previous, token, signs)
        found.append(Piece(token, gap, depth, breaks, apart, before))
        depth += token.type in ("LPAR", "LSQB")
        previous = token
    return found


def _marks(tree: Tree[Token]) -> tuple[set[int], set[int], set[int]]:
    """Return the offsets of the names of calls, of signs before numbers and terms, and of sizes' levels."""
    heads: set[int] = set()
    signs: set[int] = set()
    sizes: set[int] = set()
    for node in tree.iter_subtrees():
        if node.data == "call":
            heads.add(_first(node))
        elif node.data in ("unary", "negative"):
            signs.add(node.meta.start_pos)
        elif node.data == "size":
            sizes.add(_first(node))
    return heads, signs, sizes


def _first(node: Tree[Token]) -> int:
    head = node.children[0]
    assert isinstance(head, Token)
    return span_of(head).start


def _gap(previous: Token, token: Token, heads: set[int], signs: set[int], sizes: set[int]) -> str:
    start = span_of(previous).start
    tight = (
        previous.type in TIGHT_AFTER
        or token.type in TIGHT_BEFORE
        or (token.type == "LPAR" and start in heads)
        or start in signs
        or (token.type == "COLON" and start in sizes)
    )
    return "" if tight else " "


def _breaks(previous: Token, token: Token, signs: set[int]) -> bool:
    if previous.type == "COMMA":
        return True
    return token.type in CLAUSES or (token.type in OPERATORS and span_of(token).start not in signs)


def _surroundings(
    source: Source, previous: Token | None, start: int, remaining: list[Comment]
) -> tuple[str, tuple[Remark, ...], bool]:
    """Return the comment that ends the line of the previous token, those before the next, and its `apart`.

    The comments used are taken from the end of `remaining`.
    """
    at = 0 if previous is None else span_of(previous).end
    trailing = ""
    before: list[Remark] = []
    while remaining and remaining[-1].span.start < start:
        comment = remaining.pop()
        lines = source.text.count("\n", at, comment.span.start)
        if previous is not None and not lines and not before:
            trailing = comment.text
        else:
            before.append(Remark(comment.text, lines > 1))
        at = comment.span.end
    return trailing, tuple(before), source.text.count("\n", at, start) > 1


def split(items: list[Piece], starts: list[int]) -> Iterator[list[Piece]]:
    """Yield the pieces in runs that begin at the given offsets."""
    run: list[Piece] = []
    rest = set(starts)
    for piece in items:
        if piece.start in rest and run:
            yield run
            run = []
        run.append(piece)
    if run:
        yield run
