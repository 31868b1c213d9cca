"""Text to tokens. Every text has tokens: what has no meaning becomes a token of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token

from hdsl.source import Source, Span
from hdsl.syntax.ast import Comment
from hdsl.syntax.grammar import END, tables

LOOKALIKES = {
    "\uff0c": ("COMMA", ","),
    "\u3001": ("COMMA", ","),
    "\uff1a": ("COLON", ":"),
    "\uff08": ("LPAR", "("),
    "\uff09": ("RPAR", ")"),
    "\uff5b": ("LBRACE", "{"),
    "\uff5d": ("RBRACE", "}"),
    "\uff3b": ("LSQB", "["),
    "\uff3d": ("RSQB", "]"),
    "\uff1d": ("EQUAL", "="),
    "\uff5e": ("TILDE", "~"),
    "\u223c": ("TILDE", "~"),
    "\u2212": ("MINUS", "-"),
    "\u2013": ("MINUS", "-"),
    "\u2014": ("MINUS", "-"),
    "\u00d7": ("STAR", "*"),
    "\u00b7": ("STAR", "*"),
    "\u22c5": ("STAR", "*"),
    "\u00f7": ("SLASH", "/"),
    "\u2264": ("AT_MOST", "<="),
    "\u2265": ("AT_LEAST", ">="),
    "\u2260": ("UNEQUAL", "!="),
    "\u2026": ("DOTS", ".."),
}
"""Characters that look like a sign of the language: the type and text of the sign that was meant."""

JUNK = frozenset(
    {
        "OPEN_STRING",
        "CURLY_STRING",
        "SINGLE_STRING",
        "BACKTICK_WORD",
        "DOTTED_WORD",
        "DIGIT_WORD",
        "SIGN",
        "CHARACTER",
    }
)

_COMMENT = re.compile(r"#[^\n]*")


@dataclass(frozen=True)
class Lexed:
    """The tokens of a text, an end token last, and its comments."""

    tokens: list[Token]
    comments: tuple[Comment, ...]


def lex(source: Source) -> Lexed:
    """Return the tokens and comments of a source; it never fails."""
    tokens = list(tables().lark.lex(source.text))
    comments = tuple(_comments(source.text, tokens))
    tokens.append(_end(source, tokens))
    return Lexed(tokens, comments)


def span_of(token: Token) -> Span:
    """Return the place of a token."""
    start, end = token.start_pos, token.end_pos
    assert start is not None
    assert end is not None
    return Span(start, end)


def _end(source: Source, tokens: list[Token]) -> Token:
    offset = span_of(tokens[-1]).end if tokens else len(source.text)
    line, column = source.position(offset)
    return Token(END, "", offset, line, column, line, column, offset)


def _comments(text: str, tokens: list[Token]) -> Iterator[Comment]:
    before = 0
    for token in tokens:
        span = span_of(token)
        if span.start - before > 1:
            yield from _comments_between(text, before, span.start)
        before = span.end
    yield from _comments_between(text, before, len(text))


def _comments_between(text: str, start: int, end: int) -> Iterator[Comment]:
    for match in _COMMENT.finditer(text, start, end):
        yield Comment(match.group().rstrip(), span=Span(*match.span()))
