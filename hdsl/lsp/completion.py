"""What may come next: keywords that the grammar accepts, and names that mean something at this place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lark import Token
from lsprotocol import types as lsp

from hdsl.checks.terms import ARGUMENTS, MATHS
from hdsl.lsp.document import Document
from hdsl.lsp.names import Symbol, uses
from hdsl.model.derive.priors import LAW_NAMES
from hdsl.model.derive.scales import FAMILIES
from hdsl.model.to_text import priors
from hdsl.source import Source
from hdsl.syntax import ast, words
from hdsl.syntax.forms import FORMS
from hdsl.syntax.grammar import Tables, tables
from hdsl.syntax.machine import Machine
from hdsl.syntax.tokens import lex

ROLES = ("COVARIATE", "INTERMEDIATE", "OUTCOME", "WEIGHT", "EXPOSURE")
LEVELS = ("GROUP", "UNIT", "WAVE")
SHAPES: Mapping[str, tuple[str, ...]] = {
    "VARY": (*words.VARY_LAWS, *words.SHAPES),
    "SHRINK": words.SHRINK_PRIORS,
    "CORRELATE": words.STRUCTURES,
    "VARIANCE": words.VARIANCE_MODELS,
    "PROPENSITY": words.PROPENSITY_USES,
    "SURFACE": words.SURFACE_LAWS,
}
TABLES = (".csv", ".tsv", ".parquet", ".feather", ".arrow")
KIND = lsp.CompletionItemKind
SORTS = {
    "level": KIND.Module,
    "variable": KIND.Variable,
    "treatment": KIND.Class,
    "principal": KIND.Class,
    "arm": KIND.EnumMember,
    "stratum": KIND.EnumMember,
    "parameter": KIND.Variable,
}


def complete(document: Document, offset: int) -> list[lsp.CompletionItem]:
    """Return what may stand at an offset; the word that is being written there is not looked at."""
    before = document.source.text[:offset]
    start = len(before.rstrip("".join(_letters(before))))
    if _in_comment_or_string(before):
        return list(_quoted(document, before))
    tokens = lex(Source.of("", before[:start])).tokens[:-1]
    found = [*_names(document, tokens), *_keywords(tokens)]
    return list({item.label: item for item in reversed(found)}.values())[::-1]


def _letters(before: str) -> set[str]:
    word = ""
    for character in reversed(before):
        if not (character.isalnum() or character == "_"):
            break
        word += character
    return set(word)


def _in_comment_or_string(before: str) -> bool:
    line = before.rpartition("\n")[2]
    quotes = 0
    for character in line:
        if character == '"':
            quotes += 1
        elif character == "#" and quotes % 2 == 0:
            return True
    return quotes % 2 == 1


def _quoted(document: Document, before: str) -> Iterator[lsp.CompletionItem]:
    """Yield what may stand within the quotes that are open: columns after `id` and `column`, else files of data."""
    quote = before.rfind('"')
    if "#" in before[before.rfind("\n") + 1 :].partition('"')[0] or quote < 0:
        return
    tokens = lex(Source.of("", before[:quote])).tokens[:-1]
    last = tokens[-1].type if tokens else ""
    if last in ("ID", "COLUMN"):
        for file, names in document.columns.items():
            yield from (_within_quotes(name, file) for name in names)
    elif last in ("DATA", "FROM", "OVER") and document.base.is_dir():
        files = sorted(path.name for path in document.base.iterdir() if path.suffix.lower() in TABLES)
        yield from (_within_quotes(name, "") for name in files)


def _within_quotes(name: str, detail: str) -> lsp.CompletionItem:
    from hdsl.design.words import string_text

    return lsp.CompletionItem(name, kind=KIND.Field, detail=detail or None, insert_text=string_text(name)[1:-1])


def _keywords(tokens: list[Token]) -> Iterator[lsp.CompletionItem]:
    known = tables()
    states = _states(list(tokens), known)
    for kind in known.accepted(states) if states is not None else []:
        if kind in known.keywords and not known.only_name(states or (), kind):
            word = known.keywords[kind]
            yield lsp.CompletionItem(word, kind=KIND.Keyword, detail=FORMS.get(kind), sort_text=f"2{word}")


def _states(tokens: list[Token], known: Tables) -> Sequence[Any] | None:
    """Return the states of the parser after some tokens; what fails to parse before them is passed over."""
    try:
        return Machine(tokens, None).states_after()
    except (IndexError, KeyError):
        return None


def _names(document: Document, tokens: Sequence[Token]) -> Iterator[lsp.CompletionItem]:
    last = tokens[-1].type if tokens else ""
    opened = _opened(tokens)
    yield from _columns(document, last)
    if last == "COLON" and opened in (*ROLES, "TREATMENT"):
        yield from _words(words.KINDS if opened in ROLES else words.DOSES, KIND.TypeParameter)
    elif last == "BY" and opened == "ASSIGN":
        yield from _words(words.MECHANISMS, KIND.Function)
    elif last == "AS" and opened in SHAPES:
        yield from _words(SHAPES[opened], KIND.EnumMember)
    elif opened == "PRIORS" and last in ("LBRACE", "RPAR", "RSQB"):
        yield from _words(_targets(document), KIND.Function)
    elif last == "TILDE":
        yield from _words((*LAW_NAMES, "normal"), KIND.Function)
    elif opened == "FAMILY" and last == "EQUAL" and str(tokens[-2]) == "link":
        yield from _words(
            tuple(dict.fromkeys(link for each in FAMILIES.values() for link in each.links)), KIND.Function
        )
    elif opened == "FAMILY" and len(tokens) > 1 and tokens[-2].type == "FAMILY":
        yield from _words(tuple(FAMILIES), KIND.Function)
    elif opened == "POOL" and last not in ("POOL",):
        yield from _words(words.POOLINGS, KIND.EnumMember)
    elif last == "EQUAL" and (symbol := _valued(document, tokens)) is not None:
        yield from _declared(document, ("arm", "stratum"), symbol.name)
    elif last == "WAIVE":
        codes = dict.fromkeys(found.code for found in document.findings if found.severity == "warning")
        yield from _words(tuple(codes), KIND.Constant)
    elif last not in ("STUDY", "COLON", "ID", "COLUMN", *LEVELS, *ROLES):
        yield from _declared(document, _sorts(last, opened), None)
        if opened in ("ADJUST", "ESTIMAND", "VARY", "VARIANCE", "SURFACE", "PROPENSITY"):
            yield from _words((*MATHS, *(ARGUMENTS if opened != "ESTIMAND" else words.AGGREGATES)), KIND.Function)


def _targets(document: Document) -> tuple[str, ...]:
    """Return what a prior may be put on: the parameters of the model, where it was derived; else the usual ones."""
    derived = document.memory.get("derived")
    model = None if derived is None else derived.model
    if model is not None:
        return tuple(line.text.split(" ~ ", 1)[0] for line in priors(model) if not line.text.startswith("("))
    named = {
        sort: [use.symbol.name for use in uses(document.tree) if use.declares and use.symbol.sort == sort]
        for sort in ("treatment", "variable", "level")
    }
    effects = [f"effect({name})" for name in named["treatment"]]
    levels = [
        role
        for level in named["level"]
        for role in (f"sd(intercept, {level})", *(f"sd({effect}, {level})" for effect in effects), f"corr({level})")
    ]
    return ("intercept", "residual", *effects, *(f"slope({name})" for name in named["variable"]), *levels)


def _opened(tokens: Sequence[Token]) -> str:
    """Return the type of the last keyword that opened a statement, variable or amendment."""
    known = tables()
    return next((token.type for token in reversed(tokens) if token.type in known.openings), "")


def _sorts(last: str, opened: str) -> tuple[str, ...]:
    if last in ("TO", "WITHIN", "ACROSS", "OVER", "IN", "POPULATION") or opened in (*LEVELS, "POOL"):
        return ("level",)
    if opened == "ASSIGN" and last in ("ASSIGN", "IF"):
        return ("treatment",)
    if opened == "INTERACT":
        return ("treatment",)
    if last in ("FAMILY", "CORRELATE"):
        return ("variable",)
    return ("variable", "treatment", "level", "principal", "parameter")


def _valued(document: Document, tokens: Sequence[Token]) -> Symbol | None:
    """Return the treatment or principal before `=`, whose arms or strata may follow."""
    name = str(tokens[-2]) if len(tokens) > 1 else ""
    found = (use.symbol for use in uses(document.tree) if use.declares and use.symbol.name == name)
    return next((symbol for symbol in found if symbol.sort in ("treatment", "principal")), None)


def _columns(document: Document, last: str) -> Iterator[lsp.CompletionItem]:
    """Yield the columns of the data where one is named: after `id`, `column`, a role, a level's word, `treatment`."""
    if last not in ("ID", "COLUMN", "TREATMENT", "CENSORED", *ROLES, *LEVELS):
        return
    from hdsl.design.words import column_text, is_name

    for file, names in document.columns.items():
        for name in names:
            if is_name(name) or last in ("ID", "COLUMN"):
                yield lsp.CompletionItem(column_text(name), kind=KIND.Field, detail=file, sort_text=f"0{name}")


def _declared(document: Document, sorts: Sequence[str], owner: str | None) -> Iterator[lsp.CompletionItem]:
    for use in uses(document.tree):
        symbol = use.symbol
        if use.declares and symbol.sort in sorts and (owner is None or symbol.owner == owner):
            yield lsp.CompletionItem(
                symbol.name, kind=SORTS[symbol.sort], detail=_detail(use.node, symbol), sort_text=f"1{symbol.name}"
            )


def _detail(node: object, symbol: Symbol) -> str:
    match node:
        case ast.Variable(role=role, kind=kind):
            return f"{role}, {kind.name}"
        case ast.Level(word=word):
            return word
        case _:
            return f"{symbol.sort} of {symbol.owner}" if symbol.owner else symbol.sort


def _words(found: Sequence[str], kind: lsp.CompletionItemKind) -> Iterator[lsp.CompletionItem]:
    for word in found:
        yield lsp.CompletionItem(word, kind=kind, sort_text=f"1{word}")
