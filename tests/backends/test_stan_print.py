"""Stan syntax trees as text."""

from __future__ import annotations

import math

import pytest
from hdsl_stan import print as printer
from hdsl_stan.lower import lowered
from hdsl_stan.syntax import (
    Assign,
    Binary,
    Call,
    Conditional,
    Declare,
    Expression,
    For,
    If,
    Index,
    Name,
    Negative,
    Number,
    Operator,
    Row,
    StanProgram,
    Target,
    Tilde,
    Transpose,
    Type,
    number,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.cases import CASES

_OPERATORS: tuple[Operator, ...] = ("+", "-", "*", "/", "^", "<", "==", "&&", "||")


def _trees() -> st.SearchStrategy[Expression]:
    leaves = st.integers(1, 3).map(Number)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Binary, st.sampled_from(_OPERATORS), inner, inner),
            st.builds(Negative, inner),
            st.builds(Conditional, inner, inner, inner),
        ),
        max_leaves=8,
    )


def _power(left: float, right: float) -> float:
    try:
        value = left**right
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return math.nan if isinstance(value, complex) else float(value)


def _meaning(node: Expression) -> float:
    """Evaluate a tree directly."""
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Negative):
        return -_meaning(node.operand)
    if isinstance(node, Conditional):
        return _meaning(node.yes) if _meaning(node.condition) else _meaning(node.no)
    assert isinstance(node, Binary)
    left, right = _meaning(node.left), _meaning(node.right)
    results = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "/": lambda: left / right if right else math.nan,
        "^": lambda: _power(left, right),
        "<": lambda: float(left < right),
        "==": lambda: float(left == right),
        "&&": lambda: float(bool(left) and bool(right)),
        "||": lambda: float(bool(left) or bool(right)),
    }
    return results[node.operator]()


class _Parser:
    """A second opinion: Stan's grammar of these expressions, by precedence climbing over the reference manual's
    table (tightest first: ^ right-associative; prefix -; * /; + -; <; ==; &&; ||; ?: right-associative).
    """

    _LEVELS = ("||",), ("&&",), ("==",), ("<",), ("+", "-"), ("*", "/")

    def __init__(self, text: str) -> None:
        self._tokens = [*text.replace("(", " ( ").replace(")", " ) ").replace("-", " - ").split(), "end"]
        self._at = 0

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _next(self) -> str:
        return self._tokens[self._at]

    def conditional(self) -> float:
        test = self.level(0)
        if self._next() != "?":
            return test
        self._take()
        yes = self.conditional()
        assert self._take() == ":"
        no = self.conditional()
        return yes if test else no

    def level(self, depth: int) -> float:
        if depth == len(self._LEVELS):
            return self.prefix()
        value = self.level(depth + 1)
        while self._next() in self._LEVELS[depth]:
            operator = self._take()
            value = _meaning(Binary(operator, Number(value), Number(self.level(depth + 1))))  # type: ignore[arg-type]
        return value

    def prefix(self) -> float:
        if self._next() == "-":
            self._take()
            return -self.prefix()
        return self.power()

    def power(self) -> float:
        base = self.atom()
        if self._next() != "^":
            return base
        self._take()
        return _power(base, self.prefix())

    def atom(self) -> float:
        token = self._take()
        if token != "(":
            return float(token)
        value = self.conditional()
        assert self._take() == ")"
        return value


@given(_trees())
def test_printed_expressions_keep_their_meaning(tree: Expression) -> None:
    expected, found = _meaning(tree), _Parser(printer.expression(tree)).conditional()
    assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (Transpose(Binary("+", Name("a"), Name("b"))), "(a + b)'"),
        (Transpose(Index(Name("m"), (Name("i"),))), "m[i]'"),
        (Index(Binary("*", Name("a"), Name("b")), (Number(1),)), "(a * b)[1]"),
        (Negative(Binary("^", Name("a"), Number(2))), "-a ^ 2"),
        (Binary("^", Negative(Name("a")), Number(2)), "(-a) ^ 2"),
        (Binary("-", Name("a"), Binary("-", Name("b"), Name("c"))), "a - (b - c)"),
        (Call("normal_lpdf", (Name("y"),), (Name("m"), Number(1.5))), "normal_lpdf(y | m, 1.5)"),
        (Row((Number(1), Name("x"))), "[1, x]"),
        (number(-3), "-3"),
        (number(0.25), "0.25"),
    ],
)
def test_expressions(tree: Expression, text: str) -> None:
    assert printer.expression(tree) == text


def test_whole_program_layout() -> None:
    y = Declare(Type("vector", (Name("n"),)), "y", comment="points")
    n = Declare(Type("int", lower=Number(0)), "n")
    mu = Declare(Type("real"), "mu")
    loop = For("i", Name("n"), (Tilde(Index(Name("y"), (Name("i"),)), "normal", (Name("mu"), Number(1))),))
    branch = If(Name("n"), (Target(Number(1)),), (Assign(Name("mu"), Number(0)),))
    tree = StanProgram(header=("a study",), data=(n, y), parameters=(mu,), model=(loop, branch))
    assert printer.program(tree) == (
        "// a study\n"
        "data {\n"
        "  int<lower=0> n;\n"
        "  vector[n] y; // points\n"
        "}\n"
        "parameters {\n"
        "  real mu;\n"
        "}\n"
        "model {\n"
        "  for (i in 1:n) {\n"
        "    y[i] ~ normal(mu, 1);\n"
        "  }\n"
        "  if (n) {\n"
        "    target += 1;\n"
        "  } else {\n"
        "    mu = 0;\n"
        "  }\n"
        "}\n"
    )


def test_long_sums_and_calls_are_broken_without_losing_text() -> None:
    names = [Name(f"a_rather_long_name_{i}") for i in range(8)]
    total: Expression = names[0]
    for name in names[1:]:
        total = Binary("+", total, name)
    tree = StanProgram(model=(Assign(Name("x"), total), Tilde(Name("y"), "normal", tuple(names))))
    text = printer.program(tree)
    assert max(map(len, text.splitlines())) <= printer.WIDTH
    joined = " ".join(text.split())
    assert printer.expression(total) in joined
    assert f"y ~ normal({', '.join(name.name for name in names)});" in joined.replace("( ", "(")


@pytest.mark.parametrize("case", CASES)
def test_lines_are_short_and_text_is_stable(case: str) -> None:
    texts = [printer.program(lowered(CASES[case]()[0]).tree) for _ in range(2)]
    assert texts[0] == texts[1]
    assert max(map(len, texts[0].splitlines())) <= printer.WIDTH + 10
    assert all(line == line.rstrip() for line in texts[0].splitlines())
