"""The parser run token by token: failures become diagnostics, and parsing goes on after each.

After a failure, tokens are passed over up to one at which something begins or a block ends, and the stack is
cut back to where that token fits. What stood complete before is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from lark import Token, Tree, UnexpectedToken

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.source import Source
from hdsl.syntax.explain import DEEPEST, closes_nothing, explain, lookalike
from hdsl.syntax.grammar import END, tables
from hdsl.syntax.messages import from_mistake
from hdsl.syntax.mistakes import Failure, Mistakes, load_mistakes
from hdsl.syntax.stack import CLOSING, OPENED, OPENING, Stack, closing_of
from hdsl.syntax.tokens import JUNK, LOOKALIKES, lex

MOST_SHOWN = 50


class Machine:
    """A run of the parser over the tokens of one text; `diagnostics` are its failures.

    `left_out` counts the failures that are too many to be shown.
    """

    def __init__(self, tokens: list[Token], known: Callable[[], Mistakes] | None) -> None:
        state = tables().lark.parse_interactive(start="file").parser_state
        self.diagnostics: list[Diagnostic] = []
        self.left_out = 0
        self._tokens = tokens
        self._known = known
        self._stack = Stack(tables(), tokens, state.state_stack, state.value_stack)
        self._feed = state.feed_token

    def run(self) -> Tree[Token]:
        """Return the tree of the file."""
        index = self._advance(0)
        while index < len(self._tokens):
            mended = self._repair(index)
            index = self._advance(self._recover(index) if mended is None else mended)
        return self._stack.values[-1]

    def first_failure(self) -> Failure | None:
        """Return where the tokens first fail to parse, None if they parse."""
        index = self._advance(0)
        return self._stack.failure(index) if index < len(self._tokens) else None

    def states_after(self) -> list[Any]:
        """Return the states of the parser after the tokens (without an end token), for what may come next."""
        index = self._advance(0)
        while index < len(self._tokens):
            again = self._recover(index)
            index = self._advance(again if again > index else index + 1)
        return list(self._stack.states)

    def _advance(self, index: int) -> int:
        """Feed tokens from `index` on; return the index of the one that fails, or the number of tokens."""
        feed, values = self._feed, self._stack.values
        try:
            for index in range(index, len(self._tokens)):  # noqa: B020
                token = self._tokens[index]
                if token.type in JUNK or len(values) > DEEPEST:
                    return index
                feed(token, token.type == END)
        except UnexpectedToken:
            return index
        return len(self._tokens)

    def _report(self, diagnostic: Diagnostic) -> None:
        if len(self.diagnostics) < MOST_SHOWN:
            self.diagnostics.append(diagnostic)
        else:
            self.left_out += 1

    # Repairs: the token is read as another, or passed over

    def _repair(self, index: int) -> int | None:
        """Mend the token at `index` if it is known to be wrong anywhere; return where to go on."""
        token = self._tokens[index]
        if token.type in CLOSING and self._stack.open_position(frozenset({OPENED[token.type]})) is None:
            self._report(closes_nothing(token))
            return index + 1
        if token.type not in JUNK or self._known is None:
            return None
        if str(token) in LOOKALIKES:
            kind, sign = LOOKALIKES[str(token)]
            self._report(lookalike(token, sign))
            self._tokens[index] = token.update(kind, sign)
            return index
        failure = self._stack.failure(index)
        mistake = self._known().of_token(token)
        if mistake is None or mistake.repair is None or self._known().of_failure(failure, False):
            return None
        self._report(from_mistake(mistake, failure))
        if mistake.repair == "skip":
            return index + 1
        self._tokens[index] = token.update(mistake.repair, _repaired(token, mistake.repair))
        return index

    # Recovery

    def _recover(self, index: int) -> int:
        """Report the failure at `index` and return the index of the token at which parsing goes on."""
        stack = self._stack
        if len(self.diagnostics) < MOST_SHOWN:
            self._report(explain(stack, index, self._known))
        else:
            self.left_out += 1
        if self._close_brackets(index):
            return index
        begin = index
        if stack.name_was_keyword(index):
            begin = index - 1
            stack.cut(len(stack.states) - 1)
        depth = 0
        for at in range(begin, len(self._tokens)):
            kind = self._tokens[at].type
            if kind == "LBRACE" and at >= index:
                depth += 1
            elif kind == "RBRACE" and depth:
                depth -= 1
            elif kind == "RBRACE":
                if stack.open_position(frozenset({"LBRACE"})) is not None and stack.close_block():
                    return at
            elif (cut := stack.cut_for(at, inside=depth > 0)) is not None:
                stack.cut(cut)
                return at
        stack.cut(stack.cut_at_file())
        return len(self._tokens) - 1

    def _close_brackets(self, index: int) -> bool:
        """Read the brackets that are still open as closed before the token at `index`, if it then fits."""
        stack = self._stack
        token = self._tokens[index]
        states, missing = stack.states, list[Token]()
        if len(stack.values) > DEEPEST:
            return False
        for position in stack.open_positions():
            bracket = stack.values[position]
            after = stack.tables.advance(states, OPENING[bracket.type])
            if after is None:
                return False
            states = after
            missing.append(_missing(bracket, self._tokens[index - 1]))
            fits = stack.tables.advance(states, token.type)
            if fits is not None and (token.type == END or self._begins(token, fits[-1], index)):
                for closing in missing:
                    self._feed(closing)
                return True
        return False

    def _begins(self, token: Token, state: Any, index: int) -> bool:
        """Tell whether a token that is read in a state begins something, or ends what is around it."""
        stack = self._stack
        if token.type in CLOSING:
            return True
        openings = stack.tables.openings.get(token.type)
        return stack.begins_line(index) and (openings is None or state in openings)


@cache
def known_mistakes() -> Mistakes:
    """Return the written mistakes, read once a process when the first failure needs them."""
    return load_mistakes(lambda text: Machine(lex(Source.of("", text)).tokens, None).first_failure())


def _missing(bracket: Token, previous: Token) -> Token:
    """Return the closing bracket that is not in the text, of no width, after the token before it."""
    end, line, column = previous.end_pos, previous.end_line, previous.end_column
    return Token(OPENING[bracket.type], closing_of(bracket), end, line, column, line, column, end)


def _repaired(token: Token, kind: str) -> str:
    text = str(token)
    if kind == "STRING":
        inner = text.strip("\"'\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019").rstrip("\\")
        return '"' + inner.replace('"', "") + '"'
    if kind == "NAME":
        name = re.sub(r"\W", "_", text.strip("`")) or "_"
        return f"_{name}" if name[0].isdigit() else name
    return text
