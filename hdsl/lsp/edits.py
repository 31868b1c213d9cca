"""Renaming, formatting, and the outline of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types as lsp

from hdsl.design.words import column_text, is_name
from hdsl.diagnostics import has_errors
from hdsl.lsp.document import Document
from hdsl.lsp.names import Use, declaration, use_at, uses
from hdsl.lsp.places import position_of, range_of
from hdsl.source import Source, Span
from hdsl.syntax import ast
from hdsl.syntax.format import format_source
from hdsl.syntax.parse import parse

RENAMED = ("level", "variable", "treatment", "principal", "arm", "stratum", "estimand", "parameter")


class NotRenamed(ValueError):
    """A name that cannot be changed so; the message says why."""


def renamable(document: Document, offset: int) -> Use | None:
    """Return the name at an offset if it is declared in this study."""
    use = use_at(document.tree, offset)
    known = use is not None and use.symbol.sort in RENAMED and declaration(document.tree, use.symbol) is not None
    return use if known else None


def rename(document: Document, offset: int, name: str) -> list[lsp.TextEdit]:
    """Return the edits that rename what stands at an offset, wherever it is used.

    A variable, treatment or level that is read from the column of its own name keeps that column.

    Raises
    ------
    NotRenamed
        For what has no name of its own, a name that the language does not take, or one that is taken.
    """
    use = renamable(document, offset)
    if use is None:
        raise NotRenamed("Nothing that is declared here stands at this place.")
    if has_errors(parse(document.source)[1]):
        raise NotRenamed("The study cannot be read to its end; mend that first, so that no place is missed.")
    if not is_name(name):
        raise NotRenamed(f"{name!r} is no name: a letter or underscore, then letters, digits, underscores.")
    every = uses(document.tree)
    shared = {"level", "variable", "treatment", "principal"}
    for other in every:
        clash = other.symbol.sort in shared if use.symbol.sort in shared else other.symbol.sort == use.symbol.sort
        if other.declares and other.symbol.name == name and clash and other.symbol.owner == use.symbol.owner:
            raise NotRenamed(f"{name!r} is taken.")
    edits = [(each.span, name) for each in every if each.symbol == use.symbol]
    declared = declaration(document.tree, use.symbol)
    edits += _column(declared) if declared is not None else ()
    if not _same(document, edits):
        raise NotRenamed(f"{name!r} would be read as something else where this name stands.")
    return [lsp.TextEdit(range_of(document.source, span), text) for span, text in edits]


def _same(document: Document, edits: Sequence[tuple[Span, str]]) -> bool:
    """Return whether the text after edits can be read, with the same sorts of names in the same order."""
    text = document.source.text
    for span, new in sorted(edits, key=lambda each: each[0].start, reverse=True):
        text = text[: span.start] + new + text[span.end :]
    tree, found = parse(Source.of(document.source.name, text))
    sorts = [[use.symbol.sort for use in uses(each)] for each in (document.tree, tree)]
    return not has_errors(found) and sorts[0] == sorts[1]


def _column(declared: Use) -> Iterator[tuple[Span, str]]:
    """Yield the edit that names the column from which a variable, treatment or level is read."""
    text = column_text(declared.symbol.name)
    match declared.node:
        case ast.Variable(column=None, kind=kind) if declared.symbol.sort == "variable":
            place = kind.span.end
            text = f" column {text}"
        case ast.Treatment(column=None, name=name) if declared.symbol.sort == "treatment":
            place = name.span.end
            text = f" column {text}"
        case ast.Level(id=None, name=name, crosses=(), word="group" | "wave"):
            place = name.span.end
            text = f" id {text}"
        case _:
            return
    yield Span(place, place), text


def formatted(document: Document) -> list[lsp.TextEdit]:
    """Return the edit that lays the study out; none where it has errors of syntax or is laid out already."""
    source = document.source
    _, found = parse(source)
    if has_errors(found):
        return []
    text = format_source(source)
    if text == source.text:
        return []
    end = position_of(source, len(source.text))
    return [lsp.TextEdit(lsp.Range(lsp.Position(0, 0), end), text)]


def outline(document: Document) -> list[lsp.DocumentSymbol]:
    """Return the levels with their variables, the treatments, blocks and estimands."""
    return [symbol for statement in document.tree.statements for symbol in _symbols(document, statement)]


def _symbols(document: Document, statement: ast.Statement) -> Iterator[lsp.DocumentSymbol]:
    kind = lsp.SymbolKind
    match statement:
        case ast.Level(name=name, word=word, variables=variables):
            fields = [(each.name.text, each.role, each.span, each.name.span) for each in variables]
            inner = [_symbol(document, text, role, kind.Field, all_, own) for text, role, all_, own in fields]
            yield _symbol(document, name.text, word, kind.Module, statement.span, name.span, inner)
        case ast.Treatment(name=name):
            yield _symbol(document, name.text, "treatment", kind.Class, statement.span, name.span)
        case ast.Principal(name=name):
            yield _symbol(document, name.text, "principal", kind.Class, statement.span, name.span)
        case ast.Estimand(name=name):
            yield _symbol(document, name.text, "estimand", kind.Function, statement.span, name.span)
        case ast.Analysis() | ast.Model() | ast.Priors() | ast.Assume():
            word = type(statement).__name__.lower()
            yield _symbol(document, word, "", kind.Namespace, statement.span, statement.span)
        case _:
            return


def _symbol(
    document: Document,
    name: str,
    detail: str,
    kind: lsp.SymbolKind,
    whole: Span,
    own: Span,
    children: list[lsp.DocumentSymbol] | None = None,
) -> lsp.DocumentSymbol:
    source = document.source
    return lsp.DocumentSymbol(name, kind, range_of(source, whole), range_of(source, own), detail, children=children)
