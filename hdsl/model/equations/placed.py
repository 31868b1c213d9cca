"""Values of equations: an expression, the level at which it has values, and the range they lie in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Reals
from hdsl.model.ir import Expr, const

Range = tuple[float, float]
INF = math.inf
REAL: Range = (-INF, INF)


@dataclass(frozen=True)
class Placed:
    """An expression of an equation.

    Attributes
    ----------
    level : str or None
        The level at which it has one value per unit; None: one value for all.
    range : pair of float
        Bounds of its values, for any parameters within their supports.
    values : float array or None
        The values, shape (size of level,) or (), where they follow from data alone.
    """

    expr: Expr
    level: str | None = None
    range: Range = REAL
    values: Reals | None = None


def number(value: float) -> Placed:
    """Return a number as a value."""
    return Placed(const(value), None, (value, value), np.asarray(value, dtype=np.float64))


def range_of(values: Reals) -> Range:
    """Return the smallest and the largest of some values."""
    return (float(np.min(values)), float(np.max(values))) if values.size else REAL


@dataclass(frozen=True)
class Rule:
    """A function of equations: its name in the Model, its values, the range of those, and its domain."""

    function: str
    values: Callable[[Reals], Reals] | None
    range: Callable[[Range], Range]
    domain: Range = REAL


def _rising(function: Callable[[Reals], Reals]) -> Callable[[Range], Range]:
    def range_(given: Range) -> Range:
        with np.errstate(all="ignore"):
            low, high = function(np.asarray(given, dtype=np.float64))
        return float(low), float(high)

    return range_


def _rule(
    name: str,
    values: Callable[[Reals], Reals],
    *,
    range: Callable[[Range], Range] | None = None,
    domain: Range = REAL,
) -> Rule:
    return Rule(name, values, range or _rising(values), domain)


def _always(range_: Range) -> Callable[[Range], Range]:
    return lambda given: range_


def squared(given: Range) -> Range:
    """Return the range of x squared."""
    low, high = given
    ends = (low * low, high * high)
    return (0.0 if low <= 0 <= high else min(ends), max(ends))


def _absolute(given: Range) -> Range:
    low, high = given
    return (0.0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high)))


def _inv_logit(x: Reals) -> Reals:
    return 1 / (1 + np.exp(-x))


def _logit(x: Reals) -> Reals:
    return np.log(x) - np.log1p(-x)


FUNCTIONS: Mapping[str, Rule] = {
    "exp": _rule("exp", np.exp),
    "expm1": _rule("expm1", np.expm1),
    "log": _rule("log", np.log, domain=(0, INF)),
    "log1p": _rule("log1p", np.log1p, domain=(-1, INF)),
    "sqrt": _rule("sqrt", np.sqrt, domain=(0, INF)),
    "square": _rule("square", np.square, range=squared),
    "abs": _rule("abs", np.abs, range=_absolute),
    "sin": _rule("sin", np.sin, range=_always((-1, 1))),
    "cos": _rule("cos", np.cos, range=_always((-1, 1))),
    "tanh": _rule("tanh", np.tanh),
    "inv_logit": _rule("inv_logit", _inv_logit),
    "invlogit": _rule("inv_logit", _inv_logit),
    "logit": _rule("logit", _logit, domain=(0, 1)),
    "log_inv_logit": Rule("log_inv_logit", None, _always((-INF, 0))),
    "inv_probit": Rule("inv_probit", None, _always((0, 1))),
    "probit": Rule("probit", None, _always(REAL), (0, 1)),
    "inv_cloglog": Rule("inv_cloglog", None, _always((0, 1))),
}


def added(a: Range, b: Range) -> Range:
    """Return the range of a sum."""
    return a[0] + b[0], a[1] + b[1]


def negated(a: Range) -> Range:
    """Return the range of minus a value."""
    return -a[1], -a[0]


def multiplied(a: Range, b: Range) -> Range:
    """Return the range of a product."""
    ends = [x * y if x and y else 0.0 for x, y in itertools.product(a, b)]
    return min(ends), max(ends)


def divided(a: Range, b: Range) -> Range:
    """Return the range of a quotient; unbounded where the divisor may have both signs."""
    if b[0] < 0 < b[1]:
        return REAL
    ends = [_reciprocal(end, positive=b[0] >= 0) for end in b]
    return multiplied(a, (min(ends), max(ends)))


def _reciprocal(value: float, *, positive: bool) -> float:
    return 1 / value if value else (INF if positive else -INF)


def raised(a: Range, b: Range) -> Range:
    """Return the range of a power: of a number that may be negative only with a whole exponent."""
    if a[0] >= 0:
        return (0.0, INF)
    return squared(a) if b == (2.0, 2.0) else ((0.0, INF) if b[0] == b[1] and b[0] % 2 == 0 else REAL)
