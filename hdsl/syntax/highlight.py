"""What each piece of a study's text is, for colours: keywords are told from names by parsing, for they are soft."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal

from hdsl.source import Source, Span
from hdsl.syntax import ast, words
from hdsl.syntax.grammar import tables
from hdsl.syntax.parse import parse
from hdsl.syntax.tokens import JUNK, lex, span_of

Sort = Literal["keyword", "word", "name", "function", "number", "string", "operator", "punctuation", "comment", "error"]

CLOSED = frozenset(
    (
        *words.KINDS,
        *words.MECHANISMS,
        *words.AGGREGATES,
        *words.VARY_LAWS,
        *words.SHAPES,
        *words.SHRINK_PRIORS,
        *words.VARIANCE_MODELS,
        *words.STRUCTURES,
        *words.POOLINGS,
        *words.PROPENSITY_USES,
        *words.SURFACE_LAWS,
    )
)
OPERATORS = frozenset(
    ("EQUAL", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST", "PLUS", "MINUS", "STAR", "SLASH", "CARET", "TILDE")
)


def highlighted(source: Source) -> Iterator[tuple[Span, Sort]]:
    """Yield the pieces of a text that have a meaning, in their order, with what they are.

    What stands in a name's place is a name, be it a keyword elsewhere; words of closed lists (kinds, mechanisms,
    structures) are `word`. It never fails: text without meaning is `error`.
    """
    tree, _ = parse(source)
    lexed = lex(source)
    names, functions = _places(tree)
    keywords = tables().keywords
    found: list[tuple[Span, Sort]] = [(comment.span, "comment") for comment in lexed.comments]
    for token in lexed.tokens[:-1]:
        span = span_of(token)
        found.append((span, _sort(token.type, str(token), span, names, functions, keywords.keys())))
    yield from sorted(found, key=lambda each: each[0].start)


def _sort(kind: str, text: str, span: Span, names: set[Span], functions: set[Span], keywords: Any) -> Sort:
    if span in functions:
        return "function"
    if span in names and kind != "STRING":
        return "name"
    if kind in keywords:
        return "keyword"
    if kind == "NAME":
        return "word" if text in CLOSED else "name"
    if kind in JUNK:
        return "error"
    plain: dict[str, Sort] = {"NUMBER": "number", "STRING": "string"}
    return plain.get(kind, "operator" if kind in OPERATORS else "punctuation")


def _places(tree: ast.File) -> tuple[set[Span], set[Span]]:
    """Return where names stand, and where the names of functions that are called do."""
    names: set[Span] = set()
    functions: set[Span] = set()
    left: list[Any] = [tree]
    while left:
        node = left.pop()
        if isinstance(node, tuple):
            left.extend(node)
        elif isinstance(node, ast.Name | ast.NameExpr):
            names.add(node.span)
        elif is_dataclass(node):
            if isinstance(node, ast.Call):
                functions.add(node.name.span)
            left.extend(getattr(node, each.name) for each in fields(node))
    return names, functions
