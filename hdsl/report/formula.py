"""Model formulas of lme4, brms and bambi, read into terms: `score ~ pretest + tutor + (1 + tutor | school)`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>`[^`]+`|'[^']*'|\"[^\"]*\"|(?:[^\W\d]|\.)[\w.]*)"
    r"|(?P<sign>\|\||[~+\-*/:^|(),=]))"
)
SETTING = "="
BINDING = {"~": 0, "|": 1, "||": 1, "+": 2, "-": 2, "*": 3, "/": 3, ":": 4, "^": 5}


class FormulaError(ValueError):
    """A formula that cannot be read or translated; the message says which part."""


@dataclass(frozen=True)
class Name:
    """A column."""

    text: str


@dataclass(frozen=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True)
class Call:
    """A function of expressions, such as `log(x)`."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Infix:
    """Two expressions with a sign between them."""

    sign: str
    left: Node
    right: Node


type Node = Name | Number | Call | Infix
type Factor = Name | Call
type Term = tuple[Factor, ...]


@dataclass(frozen=True)
class Random:
    """`(effects | group)`: the groups from the outermost, whether the intercept varies, and which terms do."""

    groups: tuple[str, ...]
    intercept: bool
    terms: tuple[Term, ...]
    correlated: bool


@dataclass(frozen=True)
class Formula:
    """A formula's parts; `terms` are the fixed ones, each a product of factors. `response` may have helpers
    (`y | trials(n)`), by name.
    """

    response: Node
    helpers: tuple[Call, ...]
    intercept: bool
    terms: tuple[Term, ...]
    random: tuple[Random, ...]
    offsets: tuple[Node, ...]


def read_formula(text: str) -> Formula:
    """Return the parts of a formula.

    Raises
    ------
    FormulaError
        Where it cannot be read.
    """
    node = _unwrapped(_Reader(_tokens(text)).whole())
    if not (isinstance(node, Infix) and node.sign == "~"):
        raise FormulaError("A formula has a `~` between the outcome and its predictors.")
    response, helpers = _response(node.left)
    fixed, random, offsets = _sorted(_added(node.right))
    intercept, terms = _expanded(fixed)
    return Formula(response, helpers, intercept, terms, tuple(random), tuple(offsets))


def _unwrapped(node: Node) -> Node:
    """Return the formula in brms's `bf(...)`."""
    if not (isinstance(node, Call) and node.function in ("bf", "brmsformula") and node.args):
        return node
    first, *others = node.args
    if others:
        told = "a further part of `bf` has to be written into the study by hand (`variance of` for sigma)."
        raise FormulaError(f"`{text_of(others[0])}`: {told}")
    return first


def text_of(node: Node) -> str:
    """Return an expression as text."""
    match node:
        case Name(text=text):
            return text
        case Number(value=value):
            return f"{value:g}"
        case Call(function=function, args=args):
            return f"{function}({', '.join(map(text_of, args))})"
        case Infix(sign=sign, left=left, right=right):
            return f"{text_of(left)} {sign} {text_of(right)}"


def names_in(node: Node) -> Iterator[str]:
    """Yield the columns in an expression."""
    match node:
        case Name(text=text):
            yield text
        case Call(args=args):
            for arg in args:
                yield from names_in(arg)
        case Infix(sign=sign, left=left, right=right):
            yield from () if sign == SETTING else names_in(left)
            yield from () if sign == SETTING else names_in(right)
        case _:
            return


def settings_of(call: Call) -> dict[str, str]:
    """Return the named arguments of a call, as text."""
    named = (arg for arg in call.args if isinstance(arg, Infix) and arg.sign == SETTING)
    return {text_of(arg.left): text_of(arg.right) for arg in named}


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FormulaError(f"{text[place:].strip()[0]!r} has no meaning in a formula.")
        found.append((match.lastgroup or "", match[match.lastgroup or 0].strip("`'\"")))
        place = match.end()
    return found


class _Reader:
    """Reads expressions by the binding of their signs."""

    def __init__(self, tokens: Sequence[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.place = 0

    def whole(self) -> Node:
        node = self._expression(0)
        if self.place < len(self.tokens):
            raise FormulaError(f"{self.tokens[self.place][1]!r} is not expected here.")
        return node

    def _peek(self) -> str:
        kind, text = self.tokens[self.place] if self.place < len(self.tokens) else ("", "")
        return text if kind == "sign" else ""

    def _expression(self, least: int) -> Node:
        left = self._part()
        while self._peek() in BINDING and BINDING[self._peek()] >= least:
            sign = self._peek()
            self.place += 1
            left = Infix(sign, left, self._expression(BINDING[sign] + 1))
        return left

    def _part(self) -> Node:
        if self.place >= len(self.tokens):
            raise FormulaError("The formula ends too early.")
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return Number(float(text))
        if kind == "name":
            return Call(text, self._arguments()) if self._peek() == "(" else Name(text)
        if text == "(":
            inner = self._expression(0)
            self._closed()
            return inner
        if text == "-":
            return Infix("-", Number(0), self._expression(BINDING["-"] + 1))
        raise FormulaError(f"{text!r} is not expected here.")

    def _arguments(self) -> tuple[Node, ...]:
        self.place += 1
        found: list[Node] = []
        while self._peek() != ")":
            found.append(self._argument())
            if self._peek() == ",":
                self.place += 1
            elif self._peek() != ")":
                raise FormulaError("A bracket is not closed.")
        self.place += 1
        return tuple(found)

    def _argument(self) -> Node:
        """Read an argument, with its name where it has one: `k = 5`."""
        named = self._expression(0)
        if self._peek() != SETTING:
            return named
        self.place += 1
        return Infix(SETTING, named, self._expression(0))

    def _closed(self) -> None:
        if self._peek() != ")":
            raise FormulaError("A bracket is not closed.")
        self.place += 1


def _response(node: Node) -> tuple[Node, tuple[Call, ...]]:
    """Return the outcome and what brms writes beside it: `y | trials(n) + weights(w)`."""
    if isinstance(node, Infix) and node.sign == "|":
        helpers = [part for _, part in _added(node.right)]
        if not all(isinstance(helper, Call) for helper in helpers):
            raise FormulaError(f"`{text_of(node.right)}` after `|` is not understood.")
        return node.left, tuple(helper for helper in helpers if isinstance(helper, Call))
    if isinstance(node, Call) and node.function == "cbind" and len(node.args) == 2:
        raise FormulaError("`cbind(successes, failures)`: give the successes and `trials(n)` with a column of trials.")
    return node, ()


def _added(node: Node, sign: int = 1) -> list[tuple[int, Node]]:
    """Return the summands of an expression with their signs."""
    if isinstance(node, Infix) and node.sign in "+-":
        right = sign if node.sign == "+" else -sign
        return [*_added(node.left, sign), *_added(node.right, right)]
    return [(sign, node)]


def _sorted(parts: Sequence[tuple[int, Node]]) -> tuple[list[tuple[int, Node]], list[Random], list[Node]]:
    fixed: list[tuple[int, Node]] = []
    random: list[Random] = []
    offsets: list[Node] = []
    for sign, part in parts:
        if isinstance(part, Infix) and part.sign in ("|", "||"):
            random += _random(part)
        elif isinstance(part, Call) and part.function == "offset" and len(part.args) == 1:
            offsets.append(part.args[0])
        else:
            fixed.append((sign, part))
    return fixed, random, offsets


def _random(part: Infix) -> list[Random]:
    intercept, terms = _expanded(_added(part.left))
    correlated = part.sign == "|"
    match part.right:
        case Name(text=text):
            return [Random((text,), intercept, terms, correlated)]
        case Infix(sign="/"):
            outer = _chain(part.right)
            return [Random(outer[:depth], intercept, terms, correlated) for depth in range(1, len(outer) + 1)]
        case Infix(sign=":"):
            return [Random(_chain(part.right), intercept, terms, correlated)]
        case _:
            raise FormulaError(f"`{text_of(part.right)}` is not understood as groups.")


def _chain(node: Node) -> tuple[str, ...]:
    match node:
        case Name(text=text):
            return (text,)
        case Infix(sign="/" | ":", left=left, right=right):
            return (*_chain(left), *_chain(right))
        case _:
            raise FormulaError(f"`{text_of(node)}` is not understood as groups.")


def _expanded(parts: Sequence[tuple[int, Node]]) -> tuple[bool, tuple[Term, ...]]:
    """Return whether there is an intercept, and the terms that products and powers stand for."""
    intercept = True
    found: dict[frozenset[Factor], Term] = {}
    for sign, part in parts:
        if isinstance(part, Number):
            if part.value not in (0, 1):
                raise FormulaError(f"`{text_of(part)}` is not understood as a term.")
            intercept = (part.value == 1) == (sign > 0)
            continue
        for term in _terms(part):
            if sign > 0:
                found.setdefault(frozenset(term), term)
            else:
                found.pop(frozenset(term), None)
    return intercept, tuple(found.values())


def _terms(node: Node) -> list[Term]:
    match node:
        case Name():
            return [(node,)]
        case Call():
            return [(node,)]
        case Number():
            return []
        case Infix(sign="+", left=left, right=right):
            return [*_terms(left), *_terms(right)]
        case Infix(sign=":", left=left, right=right):
            return [_product(a, b) for a in _terms(left) for b in _terms(right)]
        case Infix(sign="*", left=left, right=right):
            a, b = _terms(left), _terms(right)
            return [*a, *b, *(_product(one, other) for one in a for other in b)]
        case Infix(sign="/", left=left, right=right):
            a = _terms(left)
            return [*a, *(_product(tuple(f for term in a for f in term), other) for other in _terms(right))]
        case Infix(sign="^", left=left, right=Number(value=power)):
            base = _terms(left)
            found = {frozenset(term): term for term in base}
            for _ in range(int(power) - 1):
                for term in [_product(one, other) for one in found.values() for other in base]:
                    found.setdefault(frozenset(term), term)
            return list(found.values())
        case _:
            raise FormulaError(f"`{text_of(node)}` is not understood as a term.")


def _product(one: Term, other: Term) -> Term:
    return tuple(dict.fromkeys((*one, *other)))
