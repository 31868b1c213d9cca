"""The parser tables made from grammar/hdm.lark, and what the grammar says about its keywords."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import lark
from lark.lexer import PatternStr
from lark.parsers.lalr_analysis import Shift

from hdsl.resources import cache_folder, grammar_text

END = "$END"


@dataclass(frozen=True)
class Tables:
    """The LALR tables with the few facts that messages and recovery need.

    `states` maps a state to its actions by symbol. `keywords` maps the type of a keyword token to its word;
    `openings` maps it to the states it is shifted into when it opens a statement, variable or amendment.
    In the states `after_name`, a single word last read has been taken for a name.
    """

    lark: lark.Lark
    states: Mapping[Any, Mapping[str, tuple[Any, Any]]]
    start: Any
    end: Any
    keywords: Mapping[str, str]
    statement_types: frozenset[str]
    openings: Mapping[str, frozenset[Any]]
    after_name: frozenset[Any]

    def advance(self, stack: Sequence[Any], symbol: str) -> list[Any] | None:
        """Return the stack of states after `symbol` is shifted onto `stack`, None where it is not accepted."""
        states = list(stack)
        while True:
            action, argument = self.states[states[-1]].get(symbol, (None, None))
            if action is None:
                return None
            if action is Shift:
                states.append(argument)
                return states
            if size := len(argument.expansion):
                del states[-size:]
            states.append(self.states[states[-1]][argument.origin.name][1])
            if states[-1] == self.end:
                return states

    def accepted(self, stack: Sequence[Any]) -> list[str]:
        """Return the token types that may come next, sorted."""
        candidates = (symbol for symbol in self.states[stack[-1]] if symbol.isupper() or symbol == END)
        return sorted(symbol for symbol in candidates if self.advance(stack, symbol) is not None)

    def only_name(self, stack: Sequence[Any], symbol: str) -> bool:
        """Return whether a keyword that may come next could only be a name there."""
        states = self.advance(stack, symbol) if stack else None
        return states is not None and _reads_a_name(self.states[states[-1]])


@cache
def tables() -> Tables:
    """Return the tables of the grammar, built once a process and kept on disk between processes."""
    parser = load_parser(cache_folder())
    parse_table = parser.parser.parser._parse_table  # pyright: ignore[reportAttributeAccessIssue]
    keywords = _keywords(parser)
    states = parse_table.states
    start = parse_table.start_states["file"]
    statement_types = frozenset(symbol for symbol in states[start] if symbol in keywords)
    return Tables(
        lark=parser,
        states=states,
        start=start,
        end=parse_table.end_states["file"],
        keywords=keywords,
        statement_types=statement_types,
        openings=_openings(parser, states, start, keywords),
        after_name=_after_name(states),
    )


def load_parser(folder: Path | None) -> lark.Lark:
    """Return the parser of the grammar, kept in a folder between processes; a broken copy is made anew."""
    text = grammar_text()
    options: dict[str, Any] = {
        "parser": "lalr",
        "lexer": "basic",
        "start": ["file", "junk"],
        "propagate_positions": True,
    }
    if folder is None:
        return lark.Lark(text, **options)
    digest = sha256(f"{lark.__version__} {sys.version} {text}".encode()).hexdigest()[:16]
    return lark.Lark(text, cache=str(folder / f"grammar-{digest}"), **options)


def _keywords(parser: lark.Lark) -> dict[str, str]:
    words = ((t.name, t.pattern.value) for t in parser.terminals if isinstance(t.pattern, PatternStr))
    return {name: word for name, word in words if word.isidentifier()}


def _after_name(states: Mapping[Any, Mapping[str, tuple[Any, Any]]]) -> frozenset[Any]:
    """Return the states reached by more than a single token, or by a keyword that can only be a name there."""
    shifted: set[Any] = set()
    others: set[Any] = set()
    for actions in states.values():
        for symbol, (action, argument) in actions.items():
            if action is Shift:
                (shifted if symbol.isupper() else others).add(argument)
    return frozenset(others | {state for state in shifted if _reads_a_name(states[state])})


def _reads_a_name(actions: Mapping[str, tuple[Any, Any]]) -> bool:
    """Return whether all that can be done in a state is to take the word last read for a name."""
    return all(action is not Shift and to.origin.name in ("name", "plain_name") for action, to in actions.values())


def _openings(
    parser: lark.Lark,
    states: Mapping[Any, Mapping[str, tuple[Any, Any]]],
    start: Any,
    keywords: Mapping[str, str],
) -> dict[str, frozenset[Any]]:
    """Return the states that keywords are shifted into at the places where statements and items begin."""
    boundaries = [start]
    for block in ("unit u {", "analysis {"):
        interactive = parser.parse_interactive(block, start="file")
        interactive.exhaust_lexer()
        boundaries.append(interactive.parser_state.position)
    found: dict[str, set[Any]] = {}
    for boundary in boundaries:
        for symbol, (action, argument) in states[boundary].items():
            if action is Shift and symbol in keywords:
                found.setdefault(symbol, set()).add(argument)
    return {symbol: frozenset(targets) for symbol, targets in found.items()}
