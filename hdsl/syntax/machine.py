"""The parser run token by token: failures become diagnostics, and parsing goes on after each.

After a failure, tokens are passed over up to one at which something begins or a block ends, and the stack is
cut back to where that token fits. What stood complete before is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from lark import Token, Tree, UnexpectedToken

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.source import Source
from hdsl.syntax.grammar import END, Tables, tables
from hdsl.syntax.messages import from_mistake, misspelt, quoted, unexpected
from hdsl.syntax.mistakes import Failure, Mistakes, load_mistakes
from hdsl.syntax.tokens import JUNK, LOOKALIKES, lex, span_of

DEEPEST = 150
MOST_SHOWN = 50
FLAGS = frozenset({"MISSING", "ORDERED", "UNAFFECTED", "UNCORRELATED", "PRESPECIFIED", "EXPLORATORY"})
OPENING = {"LBRACE": "RBRACE", "LPAR": "RPAR", "LSQB": "RSQB"}
OPENED = {closing: opening for opening, closing in OPENING.items()}
CLOSING = frozenset(OPENED)
NEARLY, VAGUELY = 0.75, 0.6


class Machine:
    """A run of the parser over the tokens of one text."""

    def __init__(self, tokens: list[Token], known: Callable[[], Mistakes] | None) -> None:
        self.tables: Tables = tables()
        self.tokens = tokens
        self._known = known
        self.diagnostics: list[Diagnostic] = []
        self.left_out = 0
        state = self.tables.lark.parse_interactive(start="file").parser_state
        self.states: list[Any] = state.state_stack
        self.values: list[Any] = state.value_stack
        self._feed = state.feed_token

    def run(self) -> Tree[Token]:
        """Return the tree of the file; failures are in `diagnostics`."""
        index = 0
        while True:
            index = self._advance(index)
            if index > len(self.tokens) - 1:
                return self.values[-1]
            index = self._repair(index) or self._recover(index)

    def first_failure(self) -> Failure | None:
        """Return where the tokens first fail to parse, None if they parse."""
        index = self._advance(0)
        return self._failure(index) if index < len(self.tokens) else None

    def _advance(self, index: int) -> int:
        """Feed tokens from `index` on; return the index of the one that fails, or the number of tokens."""
        feed, values = self._feed, self.values
        try:
            for index in range(index, len(self.tokens)):  # noqa: B020
                token = self.tokens[index]
                if token.type in JUNK or len(values) > DEEPEST:
                    return index
                feed(token, token.type == END)
        except UnexpectedToken:
            return index
        return len(self.tokens)

    def _failure(self, index: int) -> Failure:
        previous = self.tokens[index - 1] if index else None
        complete = previous is not None and previous.type == "RBRACE" and self._open_bracket() is None
        return Failure(None if complete else self._context(), self.states[-1], self.tokens[index], previous)

    def _context(self) -> str | None:
        """Return the type of the innermost keyword that has opened something not yet complete."""
        for value, state in zip(reversed(self.values), reversed(self.states), strict=False):
            if isinstance(value, Token) and state in self.tables.openings.get(value.type, ()):
                return value.type
        return None

    def _open_bracket(self) -> Token | None:
        position = self._open_position(frozenset(OPENING))
        return None if position is None else self.values[position]

    def _open_position(self, kinds: frozenset[str]) -> int | None:
        """Return the place on the stack of the innermost bracket of some kinds that is not closed."""
        return next((at for at in self._open_positions() if self.values[at].type in kinds), None)

    def _open_positions(self) -> Iterator[int]:
        """Yield the places on the stack of the brackets that are not closed, innermost first."""
        closed = 0
        for position in range(len(self.values) - 1, -1, -1):
            value = self.values[position]
            if not isinstance(value, Token):
                continue
            if value.type in CLOSING:
                closed += 1
            elif value.type in OPENING and closed:
                closed -= 1
            elif value.type in OPENING:
                yield position

    # Repairs: the token is read as another, or passed over

    def _repair(self, index: int) -> int | None:
        """Mend the token at `index` if it is known to be wrong anywhere; return where to go on."""
        token = self.tokens[index]
        if token.type in CLOSING and self._open_position(frozenset({OPENED[token.type]})) is None:
            self._closes_nothing(token)
            return index + 1
        if token.type not in JUNK or self._known is None:
            return None
        if str(token) in LOOKALIKES:
            self._meant(index, *LOOKALIKES[str(token)])
            return index
        failure = self._failure(index)
        mistake = self._known().of_token(token)
        if mistake is None or mistake.repair is None or self._known().of_failure(failure, False):
            return None
        self._report(from_mistake(mistake, failure))
        if mistake.repair == "skip":
            return index + 1
        self.tokens[index] = token.update(mistake.repair, _repaired(token, mistake.repair))
        return index

    def _meant(self, index: int, kind: str, sign: str) -> None:
        token = self.tokens[index]
        self._report(
            Diagnostic(
                code="HDM105",
                message=f"`{token}` is not the sign `{sign}`.",
                span=span_of(token),
                help=f"Write `{sign}`.",
            )
        )
        self.tokens[index] = token.update(kind, sign)

    # Messages

    def _report(self, diagnostic: Diagnostic) -> None:
        if len(self.diagnostics) < MOST_SHOWN:
            self.diagnostics.append(diagnostic)
        else:
            self.left_out += 1

    def _explain(self, index: int) -> Diagnostic:
        """Return the most specific diagnostic there is for the failure at `index`."""
        failure = self._failure(index)
        if len(self.values) > DEEPEST:
            return _too_deep(failure.token)
        unclosed = self._unclosed(index)
        if unclosed is not None:
            return unclosed
        if self._name_was_keyword(index):
            return _keyword_as_name(failure, self.tokens[index - 2])
        accepted = self.tables.accepted(self.states)
        near = misspelt(failure, accepted, self.tables, NEARLY)
        written = self._written(failure)
        near = near or (None if written else misspelt(failure, accepted, self.tables, VAGUELY))
        found = near or written or unexpected(failure, accepted, self.tables)
        return self._with_name_noted(found, index)

    def _with_name_noted(self, diagnostic: Diagnostic, index: int) -> Diagnostic:
        """Say in the help that the word before the failure is a keyword taken for a name, if it is."""
        if index < 2 or not self._was_name(index - 1) or self.tokens[index - 1].type in FLAGS:
            return diagnostic
        word, asking = self.tokens[index - 1], quoted(self.tokens[index - 2])
        note = f" The keyword `{word}` was taken for a name, because `{asking}` asks for one."
        return replace(diagnostic, help=diagnostic.help + note)

    def _was_name(self, index: int) -> bool:
        """Tell whether the keyword at `index`, the last token read, was taken for a name."""
        token = self.tokens[index]
        read_last = bool(self.values) and _last_token(self.values[-1]) is token
        return token.type in self.tables.keywords and read_last and self.states[-1] in self.tables.after_name

    def _written(self, failure: Failure) -> Diagnostic | None:
        if self._known is None:
            return None
        is_word = failure.token.type in self.tables.keywords
        known = self._known()
        mistake = known.of_failure(failure, is_word) or known.of_token(failure.token)
        return from_mistake(mistake, failure) if mistake else None

    def _unclosed(self, index: int) -> Diagnostic | None:
        """Return the diagnostic of a bracket that is still open where something new begins or ends."""
        token, bracket = self.tokens[index], self._open_bracket()
        if bracket is None or token.type == OPENING[bracket.type]:
            return None
        begins = self._begins_line(index) and self._leaves_block(index)
        if not (token.type == END or token.type in CLOSING or begins):
            if not (self._name_was_keyword(index) and self._leaves_block(index - 1)):
                return None
            token = self.tokens[index - 1]
        found = "the end of the study" if token.type == END else f"`{quoted(token)}`"
        line = f"line {bracket.line}"
        return Diagnostic(
            code="HDM107",
            message=f"The `{bracket}` of {line} is still open at {found}.",
            span=span_of(token),
            help=f"Close it with `{_closing(bracket)}`.",
            related=((span_of(bracket), "opened here"),),
        )

    def _closes_nothing(self, token: Token) -> None:
        self._report(
            Diagnostic(
                code="HDM107",
                message=f"This `{token}` closes nothing.",
                span=span_of(token),
                help="Remove it, or open the block before it.",
            )
        )

    def _name_was_keyword(self, index: int) -> bool:
        """Tell whether the token before `index` was taken for a name where it could begin something."""
        if index < 2 or self.tokens[index - 1].type not in self.tables.openings:
            return False
        return self._was_name(index - 1) and self._cut_for(index - 1) is not None

    # Recovery

    def _recover(self, index: int) -> int:
        """Report the failure at `index` and return the index of the token at which parsing goes on."""
        if len(self.diagnostics) < MOST_SHOWN:
            self._report(self._explain(index))
        else:
            self.left_out += 1
        if self._close_brackets(index):
            return index
        begin = index
        if self._name_was_keyword(index):
            begin = index - 1
            self._cut(len(self.states) - 1)
        depth = 0
        for at in range(begin, len(self.tokens)):
            kind = self.tokens[at].type
            if kind == "LBRACE" and at >= index:
                depth += 1
            elif kind == "RBRACE" and depth:
                depth -= 1
            elif kind == "RBRACE":
                if self._close_block():
                    return at
            elif (cut := self._cut_for(at, inside=depth > 0)) is not None:
                self._cut(cut)
                return at
        self._cut(self._cut_at_file())
        return len(self.tokens) - 1

    def _close_brackets(self, index: int) -> bool:
        """Read the brackets that are still open as closed before the token at `index`, if it then fits."""
        token = self.tokens[index]
        states, missing = self.states, list[Token]()
        if len(self.values) > DEEPEST:
            return False
        for position in self._open_positions():
            bracket = self.values[position]
            after = self.tables.advance(states, OPENING[bracket.type])
            if after is None:
                return False
            states = after
            missing.append(_missing(bracket, self.tokens[index - 1]))
            fits = self.tables.advance(states, token.type)
            if fits is not None and (token.type == END or self._begins(token, fits[-1], index)):
                for closing in missing:
                    self._feed(closing)
                return True
        return False

    def _begins(self, token: Token, state: Any, index: int) -> bool:
        """Tell whether a token that is read in a state begins something, or ends what is around it."""
        if token.type in CLOSING:
            return True
        openings = self.tables.openings.get(token.type)
        return self._begins_line(index) and (openings is None or state in openings)

    def _cut(self, size: int) -> None:
        """Cut the stack of states to `size`, and that of values with it."""
        del self.states[size:]
        del self.values[size - 1 :]

    def _close_block(self) -> bool:
        """Cut the stack to where `}` ends the innermost block; drop the block if there is no such place."""
        floor = self._last_brace()
        for size in range(len(self.states), floor, -1):
            if self.tables.advance(self.states[:size], "RBRACE") is not None:
                self._cut(size)
                return True
        self._cut(max(floor - 1, 1))
        return False

    def _last_brace(self) -> int:
        """Return the number of states up to the innermost open `{`, 1 if there is none."""
        position = self._open_position(frozenset({"LBRACE"}))
        return 1 if position is None else position + 2

    def _cut_at_file(self) -> int:
        """Return the size of the stack up to which the study could end."""
        sizes = range(len(self.states), 0, -1)
        return next(size for size in sizes if self.tables.advance(self.states[:size], END) is not None)

    def _cut_for(self, at: int, inside: bool = False) -> int | None:
        """Return the size of the stack at which the token at `at` begins something, None if it does not.

        `inside` is set within a block that was passed over, where only a statement may begin.
        """
        token = self.tokens[at]
        if token.type == END:
            return self._cut_at_file()
        first = self._begins_line(at)
        if token.type in self.tables.openings:
            for size in range(len(self.states), 0, -1):
                if inside and size > 2:
                    continue
                if self._fits(size, at, 1 if first else 2, opening=True):
                    return size
        if not first or inside or not (token.type == "NAME" or token.type in self.tables.keywords):
            return None
        floor = self._last_brace()
        for size in range(len(self.states), floor - 1, -1):
            if size > 1 and self.tables.advance(self.states[:size], "RBRACE") and self._fits(size, at, 1, False):
                return size
        return None

    def _fits(self, size: int, at: int, ahead: int, opening: bool) -> bool:
        """Tell whether the token at `at` and `ahead` more are accepted on the stack cut to `size`."""
        stack: list[Any] | None = self.states[:size]
        for number, token in enumerate(self.tokens[at : at + ahead + 1]):
            if token.type in JUNK:
                break
            stack = self.tables.advance(stack, token.type)
            if stack is None:
                return False
            if opening and not number and stack[-1] not in self.tables.openings[token.type]:
                return False
        return True

    def _begins_line(self, at: int) -> bool:
        return at == 0 or self.tokens[at].line != self.tokens[at - 1].end_line

    def _leaves_block(self, at: int) -> bool:
        """Tell whether the token at `at` begins something outside of the innermost open bracket."""
        position = self._open_position(frozenset(OPENING))
        if position is None:
            return False
        cut = self._cut_for(at)
        return cut is not None and cut < position + 2


@cache
def known_mistakes() -> Mistakes:
    """Return the written mistakes, read once a process when the first failure needs them."""
    return load_mistakes(lambda text: Machine(lex(Source.of("", text)).tokens, None).first_failure())


def _last_token(value: Tree[Token] | Token | None) -> Token | None:
    """Return the last token kept in a value of the stack; optional parts that are not there are None."""
    while isinstance(value, Tree):
        kept: list[Tree[Token] | Token | None] = [*value.children]
        value = next((child for child in reversed(kept) if child is not None), None)
    return value


def _closing(bracket: Token) -> str:
    return {"{": "}", "(": ")", "[": "]"}[str(bracket)]


def _missing(bracket: Token, previous: Token) -> Token:
    """Return the closing bracket that is not in the text, of no width, after the token before it."""
    end, line, column = previous.end_pos, previous.end_line, previous.end_column
    return Token(OPENING[bracket.type], _closing(bracket), end, line, column, line, column, end)


def _repaired(token: Token, kind: str) -> str:
    text = str(token)
    if kind == "STRING":
        inner = text.strip("\"'\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019").rstrip("\\")
        return '"' + inner.replace('"', "") + '"'
    return text.strip("`")


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
