"""What is told of the word under the cursor: what it is, what the data say of it, what is derived from it and why."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from hdsl.data.bound import Bound
from hdsl.design.roles import role_text
from hdsl.lsp.document import Document
from hdsl.lsp.names import Symbol, Use, declaration, use_at, uses
from hdsl.model.ir import Model
from hdsl.model.to_text import Equation, equations, priors
from hdsl.source import Span
from hdsl.syntax import ast
from hdsl.syntax.forms import FORMS
from hdsl.syntax.grammar import tables
from hdsl.syntax.tokens import lex, span_of

MOST = 8


def hover(document: Document, offset: int) -> tuple[str, Span] | None:
    """Return Markdown on the word at an offset, and its place; None where there is nothing to tell."""
    use = use_at(document.tree, offset)
    parts = _told(document, use)
    if use is not None and parts:
        return "\n\n".join(parts), use.span
    return _keyword(document, offset) or _around(document, offset)


def _told(document: Document, use: Use | None) -> list[str]:
    if use is None or use.symbol.sort == "function":
        return []
    return [*_what(document, use), *_derived(document, {use.symbol.name})]


def _around(document: Document, offset: int) -> tuple[str, Span] | None:
    """Return what is told of the smallest declaration, amendment or statement around an offset."""
    token = next((t for t in lex(document.source).tokens[:-1] if span_of(t).start <= offset <= span_of(t).end), None)
    around = [span for span in _spans(document.tree) if span.start <= offset < span.end]
    if token is None or not around:
        return None
    inner = min(around, key=lambda span: span.end - span.start)
    declared = next(
        (use for use in uses(document.tree) if use.declares and getattr(use.node, "span", None) == inner), None
    )
    parts = _told(document, declared)
    if parts:
        return "\n\n".join(parts), span_of(token)
    found = _keyword(document, inner.start)
    return None if found is None else (found[0], span_of(token))


def _what(document: Document, use: Use) -> Iterator[str]:
    declared = declaration(document.tree, use.symbol)
    if declared is None:
        return
    bound = document.derived.checked.bound
    yield f"**{use.symbol.name}**: {_sort(declared.node, use.symbol)}"
    summary = None if bound is None else _summary(bound, use.symbol)
    if summary:
        yield summary
    if isinstance(declared.node, ast.Estimand):
        yield from _estimand(document, use.symbol.name)


def _estimand(document: Document, name: str) -> Iterator[str]:
    study = document.opened.study
    for each in study.estimands if study is not None else ():
        if each.name == name:
            yield f"`{role_text(each.value)}`" + (f", for each {' and '.join(each.index)}" if each.index else "")


def _sort(node: object, symbol: Symbol) -> str:
    match node:
        case ast.Variable(role=role, kind=kind, measured_in=unit):
            return f"{role}, {kind.name}" + (f", in {unit.text}" if unit is not None else "")
        case ast.Level(word=word, parents=parents, crosses=crosses):
            inside = f" in {' and '.join(name.text for name in parents)}" if parents else ""
            return word + inside + (f", for each {' and '.join(name.text for name in crosses)}" if crosses else "")
        case ast.Treatment(arms=arms) if symbol.sort == "treatment":
            return "treatment: " + (", ".join(arm.name.text for arm in arms) or "a dose")
        case _:
            return f"{symbol.sort} of {symbol.owner}" if symbol.owner else symbol.sort


def _summary(bound: Bound, symbol: Symbol) -> str:
    """Return what the data say of a level, variable, treatment or arm."""
    if symbol.sort == "level" and symbol.name in bound.levels:
        level = bound.levels[symbol.name]
        return f"{level.size:,} in the data, {level.counts.min():,} to {level.counts.max():,} rows each"
    if symbol.sort == "variable" and symbol.name in bound.variables:
        variable = bound.variables[symbol.name]
        if variable.labels:
            return f"of each {variable.level}; values: {', '.join(variable.labels[:12])}"
        values = variable.values[~np.isnan(variable.values)]
        numbers = f"mean {values.mean():.4g}, sd {values.std():.3g}, from {values.min():.4g} to {values.max():.4g}"
        return f"of each {variable.level}; {numbers}" if values.size else f"of each {variable.level}; no values"
    owner = symbol.owner or symbol.name
    if owner in bound.treatments and bound.treatments[owner].arms:
        treatment = bound.treatments[owner]
        counts = [f"{arm} {int((treatment.values == k).sum()):,}" for k, arm in enumerate(treatment.arms)]
        return f"of each {treatment.level}: {', '.join(counts)}"
    return ""


def _derived(document: Document, names: set[str]) -> Iterator[str]:
    model = document.derived.model
    if model is None:
        return
    found = _mentioning(model, names)
    for line in found[:MOST]:
        yield f"`{line.text}`" + (f"  \nbecause {line.reason}" if line.reason else "")
    if len(found) > MOST:
        yield f"and {len(found) - MOST} more: `hdsl explain`"


def _mentioning(model: Model, names: set[str]) -> list[Equation]:
    """Return the equations and priors in which one of the names occurs."""
    wanted = [re.compile(rf"(?<!\w){re.escape(name)}(?=\W|_|$)") for name in names]
    lines = [*equations(model), *priors(model)]
    return [line for line in lines if any(pattern.search(line.text) for pattern in wanted)]


def _keyword(document: Document, offset: int) -> tuple[str, Span] | None:
    """Return the form of the statement whose keyword stands at an offset, and what is derived from the statement."""
    known = tables()
    for token in lex(document.source).tokens[:-1]:
        span = span_of(token)
        if span.start <= offset <= span.end and token.type in FORMS:
            node = _statement(document.tree, span)
            names = {use.symbol.name for use in uses(document.tree) if _within(use.span, node)}
            parts = [f"`{FORMS[token.type]}`"]
            if token.type not in known.statement_types or token.type == "ASSIGN":
                parts += _derived(document, names)
            return "\n\n".join(parts), span
    return None


def _statement(file: ast.File, span: Span) -> Span | None:
    """Return the place of the smallest statement or part of one that begins at a place."""
    return min((each for each in _spans(file) if each.start == span.start), key=lambda each: each.end, default=None)


def _spans(file: ast.File) -> list[Span]:
    """Return the places of all statements, and of the parts of those that have parts."""
    found: list[Span] = []
    for statement in file.statements:
        found.append(statement.span)
        match statement:
            case ast.Analysis(amendments=parts) | ast.Level(variables=parts):
                found += [part.span for part in parts]
            case _:
                pass
    return found


def _within(span: Span, outer: Span | None) -> bool:
    return outer is not None and outer.start <= span.start and span.end <= outer.end
