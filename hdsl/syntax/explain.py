"""The diagnostic of a failure of the parser: the most specific of those there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lark import Token

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.syntax.grammar import END
from hdsl.syntax.messages import from_mistake, misspelt, quoted, unexpected
from hdsl.syntax.mistakes import Failure, Mistakes
from hdsl.syntax.stack import CLOSING, OPENING, Stack, closing_of
from hdsl.syntax.tokens import span_of

DEEPEST = 150
FLAGS = frozenset({"MISSING", "ORDERED", "UNAFFECTED", "UNCORRELATED", "PRESPECIFIED", "EXPLORATORY"})
NEARLY, VAGUELY = 0.75, 0.6


def explain(stack: Stack, index: int, known: Callable[[], Mistakes] | None) -> Diagnostic:
    """Return the most specific diagnostic there is for the failure at the token at `index`.

    Looked at in turn: nesting, brackets, keywords taken for names, near misspellings, written mistakes,
    vague misspellings, and what the grammar expects.
    """
    failure = stack.failure(index)
    if len(stack.values) > DEEPEST:
        return _too_deep(failure.token)
    unclosed = _unclosed(stack, index)
    if unclosed is not None:
        return unclosed
    if stack.name_was_keyword(index):
        return _keyword_as_name(failure, stack.tokens[index - 2])
    accepted = stack.tables.accepted(stack.states)
    near = misspelt(failure, accepted, stack.tables, NEARLY)
    written = _written(stack, failure, known)
    near = near or (None if written else misspelt(failure, accepted, stack.tables, VAGUELY))
    found = near or written or unexpected(failure, accepted, stack.tables)
    return _with_name_noted(stack, found, index)


def closes_nothing(token: Token) -> Diagnostic:
    """Return the diagnostic of a closing bracket that nothing opens."""
    return Diagnostic(
        code="HDM107",
        message=f"This `{token}` closes nothing.",
        span=span_of(token),
        help="Remove it, or open the block before it.",
    )


def lookalike(token: Token, sign: str) -> Diagnostic:
    """Return the diagnostic of a character that looks like a sign of the language."""
    return Diagnostic(
        code="HDM105",
        message=f"`{token}` is not the sign `{sign}`.",
        span=span_of(token),
        help=f"Write `{sign}`.",
    )


def _with_name_noted(stack: Stack, diagnostic: Diagnostic, index: int) -> Diagnostic:
    """Say in the help that the word before the failure is a keyword taken for a name, if it is."""
    if index < 2 or not stack.was_name(index - 1) or stack.tokens[index - 1].type in FLAGS:
        return diagnostic
    word, asking = stack.tokens[index - 1], quoted(stack.tokens[index - 2])
    note = f" The keyword `{word}` was taken for a name, because `{asking}` asks for one."
    return replace(diagnostic, help=diagnostic.help + note)


def _written(stack: Stack, failure: Failure, known: Callable[[], Mistakes] | None) -> Diagnostic | None:
    if known is None:
        return None
    mistakes = known()
    is_word = failure.token.type in stack.tables.keywords
    mistake = mistakes.of_failure(failure, is_word) or mistakes.of_token(failure.token)
    return from_mistake(mistake, failure) if mistake else None


def _unclosed(stack: Stack, index: int) -> Diagnostic | None:
    """Return the diagnostic of a bracket that is still open where something new begins or ends."""
    token, bracket = stack.tokens[index], stack.open_bracket()
    if bracket is None or token.type == OPENING[bracket.type]:
        return None
    begins = stack.begins_line(index) and stack.leaves_block(index)
    if not (token.type == END or token.type in CLOSING or begins):
        if not (stack.name_was_keyword(index) and stack.leaves_block(index - 1)):
            return None
        token = stack.tokens[index - 1]
    found = "the end of the study" if token.type == END else f"`{quoted(token)}`"
    return Diagnostic(
        code="HDM107",
        message=f"The `{bracket}` of line {bracket.line} is still open at {found}.",
        span=span_of(token),
        help=f"Close it with `{closing_of(bracket)}`.",
        related=((span_of(bracket), "opened here"),),
    )


def _too_deep(token: Token) -> Diagnostic:
    return Diagnostic(
        code="HDM110",
        message="The expression is nested too deeply.",
        span=span_of(token),
        help="Split it: give parts of it names in `model`, or write fewer parentheses.",
    )


def _keyword_as_name(failure: Failure, asking: Token) -> Diagnostic:
    word = failure.previous
    assert word is not None
    return Diagnostic(
        code="HDM109",
        message=f"`{word}` was taken for a name, because `{quoted(asking)}` asks for one.",
        span=span_of(word),
        help=f"Write what belongs after `{quoted(asking)}`, or remove it.",
        related=((span_of(asking), "asks for a name"),),
    )
