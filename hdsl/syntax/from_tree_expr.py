"""Parse trees of expressions to the expressions of the syntax tree."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import cast

from lark import Token, Tree

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.source import Span
from hdsl.syntax import ast
from hdsl.syntax.tokens import span_of
from hdsl.syntax.words import AGGREGATES, choose

type Node = Tree[Token] | Token
type Report = list[Diagnostic]

_ESCAPE = re.compile(r'\\(["\\])')


def place(node: Node) -> Span:
    """Return the place of a parse tree or token."""
    if isinstance(node, Token):
        return span_of(node)
    return Span(node.meta.start_pos, node.meta.end_pos)


def name(node: Node | None) -> ast.Name:
    """Return the name that a word, or a quoted column, stands for."""
    assert isinstance(node, Token)
    text = _unquoted(node) if node.type == "STRING" else unicodedata.normalize("NFC", str(node))
    return ast.Name(text, span=place(node))


def string(node: Node | None) -> ast.String:
    """Return a quoted text."""
    assert isinstance(node, Token)
    return ast.String(_unquoted(node), span=place(node))


def number(node: Node | None, report: Report) -> ast.Number:
    """Return a number with its sign; one too large for a double is reported and taken as 0."""
    assert node is not None
    digits = cast("Token", node.children[0]) if isinstance(node, Tree) else node
    value = float(digits)
    if math.isinf(value):
        report.append(
            Diagnostic(
                code="HDM112",
                message=f"{digits[:40]} is too large a number.",
                span=place(node),
                help="Numbers go up to about 1.8e308.",
            )
        )
        value = 0.0
    return ast.Number(-value if isinstance(node, Tree) else value, span=place(node))


def code(node: Node | None, report: Report) -> ast.Number | ast.String:
    """Return the code of an arm: a signed number or a quoted text."""
    if isinstance(node, Token) and node.type == "STRING":
        return string(node)
    return number(node, report)


def expression(node: Node | None, report: Report) -> ast.Expr:
    """Return the expression of a parse tree."""
    assert node is not None
    if isinstance(node, Token):
        return _leaf(node, report)
    parts = node.children
    span = place(node)
    match str(node.data):
        case "paren":
            return expression(parts[0], report)
        case "unary":
            inner = expression(parts[1], report)
            return inner if parts[0] == "+" else ast.Unary("-", inner, span=span)
        case "binary":
            op = cast("ast.Operator", str(parts[1]))
            return ast.Binary(op, expression(parts[0], report), expression(parts[2], report), span=span)
        case "comparison":
            op = cast("ast.Comparator", str(parts[1]))
            return ast.Compare(op, expression(parts[0], report), expression(parts[2], report), span=span)
        case "any" | "all" | "negation" as word:
            return _logical(word, parts, span, report)
        case "sequence":
            return ast.TupleExpr(expressions(parts, report), span=span)
        case "call":
            return call(node, report)
        case "indexed":
            return _indexed(parts, span, report)
        case _:
            return _aggregate(node, report)


def expressions(nodes: list[Node], report: Report) -> tuple[ast.Expr, ...]:
    """Return the expressions of several parse trees."""
    return tuple(expression(node, report) for node in nodes)


def call(node: Node | None, report: Report) -> ast.Call:
    """Return the call of a parse tree; a bare name is a call without arguments."""
    if isinstance(node, Token):
        return ast.Call(name(node), span=place(node))
    assert node is not None
    head, *arguments = node.children
    args: list[ast.Expr] = []
    settings: list[ast.Setting] = []
    for argument in arguments:
        if isinstance(argument, Tree):
            _argument(argument, args, settings, report)
    return ast.Call(name(head), tuple(args), tuple(settings), span=place(node))


def target(node: Node | None, report: Report) -> ast.NameExpr | ast.Call | ast.Indexed:
    """Return the left side of a law, definition, prior or assumed value."""
    found = expression(node, report)
    assert isinstance(found, ast.NameExpr | ast.Call | ast.Indexed)
    return found


def _unquoted(token: Token) -> str:
    return unicodedata.normalize("NFC", _ESCAPE.sub(r"\1", str(token)[1:-1]))


def _leaf(token: Token, report: Report) -> ast.Number | ast.String | ast.NameExpr:
    match token.type:
        case "NUMBER":
            return number(token, report)
        case "STRING":
            return string(token)
        case _:
            return ast.NameExpr(name(token).text, span=place(token))


def _logical(word: str, parts: list[Node], span: Span, report: Report) -> ast.Logical:
    op = {"any": "or", "all": "and", "negation": "not"}[word]
    return ast.Logical(cast("ast.LogicalOperator", op), expressions(parts, report), span=span)


def _bound(node: Node, report: Report) -> ast.Number | ast.String | ast.NameExpr:
    return _leaf(node, report) if isinstance(node, Token) else number(node, report)


def _indexed(parts: list[Node], span: Span, report: Report) -> ast.Indexed:
    head, *indices = parts
    of = expression(head, report)
    assert isinstance(of, ast.NameExpr | ast.Call)
    return ast.Indexed(of, tuple(_bound(index, report) for index in indices), span=span)


def _argument(node: Tree[Token], args: list[ast.Expr], settings: list[ast.Setting], report: Report) -> None:
    content, at = node.children
    occasions = _occasions(at, report) if isinstance(at, Tree) else None
    if isinstance(content, Tree) and content.data == "comparison" and content.children[1] == "=":
        left, _, right = content.children
        if isinstance(left, Token) and left.type not in ("NUMBER", "STRING"):
            value = expression(right, report)
            settings.append(ast.Setting(name(left), value, occasions, span=place(node)))
            return
    args.append(expression(content, report))
    if occasions is not None:
        report.append(
            Diagnostic(
                code="HDM104",
                message="`at` follows a setting of a treatment.",
                span=occasions.span,
                help="Write, for instance, `pay(track = 1 at month 1..3)`.",
            )
        )


def _occasions(node: Tree[Token], report: Report) -> ast.Occasions:
    wave, first, *last = node.children
    low = _bound(first, report)
    high = _bound(last[0], report) if last else low
    return ast.Occasions(name(wave), low, high, span=place(node))


def _aggregate(node: Tree[Token], report: Report) -> ast.Aggregate:
    head, over, where, of, assuming = cast("list[Node | None]", node.children)
    found = call(head, report) if not _is_indexed(head) else _refused_index(head, report)
    word: ast.AggregateName = choose(found.name.text, found.name.span, AGGREGATES, "an aggregate", report)
    population = isinstance(over, Tree)
    unit = over.children[0] if isinstance(over, Tree) else over
    is_file = isinstance(unit, Token) and unit.type == "STRING"
    return ast.Aggregate(
        name=word,
        over=string(unit) if is_file else name(unit),
        of=expression(of, report),
        probability=_probability(word, found, report),
        population=population,
        where=expression(where.children[0], report) if isinstance(where, Tree) else None,
        correlation=number(assuming.children[0], report) if isinstance(assuming, Tree) else None,
        span=place(node),
    )


def _is_indexed(node: Node | None) -> bool:
    return isinstance(node, Tree) and node.data == "indexed"


def _refused_index(node: Node | None, report: Report) -> ast.Call:
    assert isinstance(node, Tree)
    report.append(
        Diagnostic(
            code="HDM104",
            message="An aggregate has no index.",
            span=place(node),
            help="Put the index after the estimand's name: `estimand site[school] = average over ...`.",
        )
    )
    return call(node.children[0], report)


def _probability(word: str, found: ast.Call, report: Report) -> ast.Number | None:
    """Return the q of `quantile(q)`; other aggregates take nothing."""
    match word, found.args, found.settings:
        case "quantile", (ast.Number() as q,), ():
            return q
        case "quantile", _, _:
            text = "`quantile` takes one number between 0 and 1."
            mend = "Write, for instance, `quantile(0.9) over student of ...`."
        case _, (), ():
            return None
        case _:
            text, mend = f"`{word}` takes nothing in parentheses.", f"Write `{word} over ...`."
    report.append(Diagnostic(code="HDM104", message=text, span=found.span, help=mend))
    return None
