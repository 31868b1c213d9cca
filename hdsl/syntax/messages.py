"""The words for a failure of the parser that no written mistake covers."""

from __future__ import annotations

from collections.abc import Iterable

from lark import Token
from lark.lexer import PatternStr

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.diagnostics.suggest import did_you_mean
from hdsl.syntax.forms import FORMS
from hdsl.syntax.grammar import END, Tables
from hdsl.syntax.mistakes import Failure, Mistake
from hdsl.syntax.tokens import JUNK, span_of

LONGEST_QUOTE = 40
OPERATORS = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "CARET"})
COMPARATORS = frozenset({"EQUAL", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST"})


def quoted(token: Token) -> str:
    """Return the text of a token for a message, long texts cut."""
    text = str(token)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."


def from_mistake(mistake: Mistake, failure: Failure) -> Diagnostic:
    """Return the diagnostic of a written mistake."""
    words = {
        "{found}": quoted(failure.token),
        "{previous}": quoted(failure.previous) if failure.previous else "",
    }
    return Diagnostic(
        code=mistake.code,
        message=_filled(mistake.message, words),
        span=span_of(failure.token),
        help=_filled(mistake.help, words),
    )


def misspelt(failure: Failure, accepted: Iterable[str], tables: Tables, closeness: float) -> Diagnostic | None:
    """Return the diagnostic of a word that is nearly a keyword which may stand there."""
    words = {tables.keywords[symbol]: symbol for symbol in accepted if symbol in tables.keywords}
    if failure.token.type != "NAME":
        return None
    near = did_you_mean(str(failure.token), words, closeness)
    if near is None:
        return None
    opens = words[near] in tables.openings
    what = "starts no statement here" if opens else "does not fit here"
    return Diagnostic(
        code="HDM106" if opens else "HDM104",
        message=f"`{quoted(failure.token)}` {what}; did you mean `{near}`?",
        span=span_of(failure.token),
        help=f"Write {_form(words[near] if opens else failure.context) or f'`{near}`'}.",
    )


def unexpected(failure: Failure, accepted: list[str], tables: Tables) -> Diagnostic:
    """Return the diagnostic of a token that nothing more specific is known about."""
    found = failure.token
    wanted = _listed(_described(accepted, tables))
    form = _form(failure.context)
    help_line = f"Expected {wanted}." + (f" The form is {form}." if form else "")
    code = "HDM104"
    if found.type == END:
        message = "The study ends where more is needed."
    elif found.type in JUNK:
        code, message = "HDM105", f"`{quoted(found)}` has no meaning here."
    elif tables.statement_types <= set(accepted) and failure.context is None:
        code, message = "HDM106", f"`{quoted(found)}` starts no statement."
    elif failure.previous is not None:
        message = f"`{quoted(found)}` does not fit after `{quoted(failure.previous)}`."
    else:
        message = f"`{quoted(found)}` does not fit here."
    return Diagnostic(code=code, message=message, span=span_of(found), help=help_line)


def _filled(template: str, words: dict[str, str]) -> str:
    for key, word in words.items():
        template = template.replace(key, word)
    return template


def _form(context: str | None) -> str:
    return f"`{FORMS[context]}`" if context else ""


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " or " + items[-1]


def _described(accepted: list[str], tables: Tables) -> list[str]:
    """Return words for the token types, groups of them put together."""
    rest = set(accepted)
    items: list[str] = []
    if "NAME" in rest:
        items.append("a name")
        rest -= {"NAME", *tables.keywords}
    if "NUMBER" in rest:
        items.append("a number")
    if "STRING" in rest:
        items.append("a text in quotes")
    last: list[str] = []
    if tables.statement_types <= rest:
        last.append("the next statement")
        rest -= tables.statement_types
    if len(rest & set(tables.openings)) > 1:
        last.append("the next line of the block")
        rest -= set(tables.openings)
    if END in rest and not last:
        last.append("the end")
    for group, words in ((OPERATORS, "an operator"), (COMPARATORS, "a comparison")):
        if group <= rest:
            items.append(words)
            rest -= group
    spelling = {t.name: t.pattern.value for t in tables.lark.terminals if isinstance(t.pattern, PatternStr)}
    items += [f"`{spelling[symbol]}`" for symbol in sorted(rest) if symbol in spelling]
    return items + last
