"""Findings as an editor shows them, and the edits that mend them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lsprotocol import types as lsp

from hdsl.design.words import string_text
from hdsl.diagnostics import Diagnostic
from hdsl.diagnostics.codes import CODES
from hdsl.lsp.document import Document
from hdsl.lsp.places import offset_of, range_of
from hdsl.source import Source, Span
from hdsl.syntax import ast

SEVERITY = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "note": lsp.DiagnosticSeverity.Information,
}
_MEANT = re.compile(r"[Dd]id you mean [`']([^`']+)[`']")
_QUOTED = re.compile(r"[`']([^`'\n]+)[`']")
_SIGN = re.compile(r"is not the sign `([^`]+)`")


def shown(found: Sequence[Diagnostic], source: Source, uri: str) -> list[lsp.Diagnostic]:
    """Return findings in the protocol's form; those that are waived are left out."""
    return [_shown(each, source, uri) for each in found if each.waived is None]


def _shown(found: Diagnostic, source: Source, uri: str) -> lsp.Diagnostic:
    related = [
        lsp.DiagnosticRelatedInformation(lsp.Location(uri, range_of(source, span)), note)
        for span, note in found.related
    ]
    return lsp.Diagnostic(
        range=range_of(source, found.span),
        message=f"{found.message}\n{found.help}" if found.help else found.message,
        severity=SEVERITY[found.severity],
        code=found.code,
        source="hdsl",
        related_information=related or None,
    )


def mends(document: Document, uri: str, given: Sequence[lsp.Diagnostic]) -> list[lsp.CodeAction]:
    """Return the edits that mend findings shown at a place: the name that was meant, a column, a waiver."""
    found: list[lsp.CodeAction] = []
    for each in given:
        if each.source == "hdsl":
            found += _mends(document, uri, each)
    return found


def _mends(document: Document, uri: str, shown: lsp.Diagnostic) -> Iterator[lsp.CodeAction]:
    source = document.source
    span = Span(offset_of(source, shown.range.start), offset_of(source, shown.range.end))
    meant = _MEANT.search(shown.message)
    if shown.code == "HDM217" and meant is not None:
        yield from _column(document, uri, shown, span, meant[1])
    elif meant is not None:
        yield from _replaced(source, uri, shown, span, meant[1])
    sign = _SIGN.search(shown.message)
    if sign is not None:
        yield _action(f"Write `{sign[1]}`", uri, shown, source, span, sign[1], preferred=True)
    if shown.severity == lsp.DiagnosticSeverity.Warning and str(shown.code) in CODES:
        end = Span(len(source.text), len(source.text))
        gap = "" if source.text.endswith("\n") or not source.text else "\n"
        text = f'{gap}waive {shown.code} because "..."\n'
        yield _action(f"Waive {shown.code} with a reason", uri, shown, source, end, text)


def _replaced(source: Source, uri: str, shown: lsp.Diagnostic, span: Span, meant: str) -> Iterator[lsp.CodeAction]:
    """Yield the edit that writes the name that was meant for the one that stands there."""
    text = source.slice(span)
    wrong = [word for word in _QUOTED.findall(shown.message) if word != meant and _place(text, word) is not None]
    word = wrong[0] if wrong else text
    place = _place(text, word) or 0
    here = Span(span.start + place, span.start + place + len(word))
    if source.slice(here).startswith('"'):
        meant = string_text(meant)
    yield _action(f"Replace `{word}` by `{meant}`", uri, shown, source, here, meant, preferred=True)


def _place(text: str, word: str) -> int | None:
    match = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
    return None if match is None else match.start()


def _column(document: Document, uri: str, shown: lsp.Diagnostic, span: Span, meant: str) -> Iterator[lsp.CodeAction]:
    """Yield the edit that says which column is meant: `column X`, or `id X` for a level."""
    from hdsl.design.words import column_text

    for statement in document.tree.statements:
        parts = statement.variables if isinstance(statement, ast.Level) else ()
        for part in (*parts, statement):
            if part.span != span:
                continue
            if isinstance(part, ast.Level):
                after, word = part.id or part.name, "id"
            elif isinstance(part, ast.Variable):
                after, word = part.column or part.kind, "column"
            elif isinstance(part, ast.Treatment):
                after, word = part.column or part.name, "column"
            else:
                continue
            given = part.id if isinstance(part, ast.Level) else part.column
            text = column_text(meant) if given is not None else f" {word} {column_text(meant)}"
            place = after.span if given is not None else Span(after.span.end, after.span.end)
            title = f"Say `{word} {column_text(meant)}`"
            yield _action(title, uri, shown, document.source, place, text, preferred=True)
            return


def _action(
    title: str, uri: str, shown: lsp.Diagnostic, source: Source, span: Span, text: str, *, preferred: bool = False
) -> lsp.CodeAction:
    edit = lsp.TextEdit(range_of(source, span), text)
    return lsp.CodeAction(
        title=title,
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[shown],
        is_preferred=preferred,
        edit=lsp.WorkspaceEdit(changes={uri: [edit]}),
    )
