"""The parser's stack, and what can be asked of it: what is open, what a token would begin, where to cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lark import Token, Tree

from hdsl.syntax.grammar import END, Tables
from hdsl.syntax.mistakes import Failure
from hdsl.syntax.tokens import JUNK

OPENING = {"LBRACE": "RBRACE", "LPAR": "RPAR", "LSQB": "RSQB"}
OPENED = {closing: opening for opening, closing in OPENING.items()}
CLOSING = frozenset(OPENED)


class Stack:
    """The states and values of a run of the parser, and the tokens it reads.

    `states` is one longer than `values`; a size of the stack is a number of states.
    """

    def __init__(self, tables: Tables, tokens: list[Token], states: list[Any], values: list[Any]) -> None:
        self.tables = tables
        self.tokens = tokens
        self.states = states
        self.values = values

    def failure(self, index: int) -> Failure:
        """Return what is known of the failure at the token at `index`."""
        previous = self.tokens[index - 1] if index else None
        complete = previous is not None and previous.type == "RBRACE" and self.open_bracket() is None
        return Failure(None if complete else self._context(), self.states[-1], self.tokens[index], previous)

    def _context(self) -> str | None:
        """Return the type of the innermost keyword that has opened something not yet complete."""
        for value, state in zip(reversed(self.values), reversed(self.states), strict=False):
            if isinstance(value, Token) and state in self.tables.openings.get(value.type, ()):
                return value.type
        return None

    def open_bracket(self) -> Token | None:
        """Return the innermost bracket that is not closed."""
        position = self.open_position(frozenset(OPENING))
        return None if position is None else self.values[position]

    def open_position(self, kinds: frozenset[str]) -> int | None:
        """Return the place on the stack of the innermost bracket of some kinds that is not closed."""
        return next((at for at in self.open_positions() if self.values[at].type in kinds), None)

    def open_positions(self) -> Iterator[int]:
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

    # Names

    def was_name(self, index: int) -> bool:
        """Tell whether the keyword at `index`, the last token read, was taken for a name."""
        token = self.tokens[index]
        read_last = bool(self.values) and _last_token(self.values[-1]) is token
        return token.type in self.tables.keywords and read_last and self.states[-1] in self.tables.after_name

    def name_was_keyword(self, index: int) -> bool:
        """Tell whether the token before `index` was taken for a name where it could begin something."""
        if index < 2 or self.tokens[index - 1].type not in self.tables.openings:
            return False
        return self.was_name(index - 1) and self.cut_for(index - 1) is not None

    # What a token begins

    def begins_line(self, at: int) -> bool:
        """Tell whether the token at `at` is the first on its line."""
        return at == 0 or self.tokens[at].line != self.tokens[at - 1].end_line

    def leaves_block(self, at: int) -> bool:
        """Tell whether the token at `at` begins something outside of the innermost open bracket."""
        position = self.open_position(frozenset(OPENING))
        if position is None:
            return False
        cut = self.cut_for(at)
        return cut is not None and cut < position + 2

    def cut_for(self, at: int, inside: bool = False) -> int | None:
        """Return the size of the stack at which the token at `at` begins something, None if it does not.

        `inside` is set within a block that was passed over, where only a statement may begin.
        """
        token = self.tokens[at]
        if token.type == END:
            return self.cut_at_file()
        first = self.begins_line(at)
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

    # Cuts

    def cut_at_file(self) -> int:
        """Return the size of the stack up to which the study could end."""
        sizes = range(len(self.states), 0, -1)
        return next(size for size in sizes if self.tables.advance(self.states[:size], END) is not None)

    def cut(self, size: int) -> None:
        """Cut the stack of states to `size`, and that of values with it."""
        del self.states[size:]
        del self.values[size - 1 :]

    def close_block(self) -> bool:
        """Cut the stack to where `}` ends the innermost block; drop the block if there is no such place."""
        floor = self._last_brace()
        for size in range(len(self.states), floor, -1):
            if self.tables.advance(self.states[:size], "RBRACE") is not None:
                self.cut(size)
                return True
        self.cut(max(floor - 1, 1))
        return False

    def _last_brace(self) -> int:
        """Return the number of states up to the innermost open `{`, 1 if there is none."""
        position = self.open_position(frozenset({"LBRACE"}))
        return 1 if position is None else position + 2


def closing_of(bracket: Token) -> str:
    """Return the sign that closes a bracket."""
    return {"{": "}", "(": ")", "[": "]"}[str(bracket)]


def _last_token(value: Tree[Token] | Token | None) -> Token | None:
    """Return the last token kept in a value of the stack; optional parts that are not there are None."""
    while isinstance(value, Tree):
        kept: list[Tree[Token] | Token | None] = [*value.children]
        value = next((child for child in reversed(kept) if child is not None), None)
    return value
