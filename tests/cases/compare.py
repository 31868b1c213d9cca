"""Estimates against reference figures: what is compared, and how near it must be.

The tolerance classes are those of the collection of cases:

- A: the same model and priors, sampled by other software.
- B: weak priors against a (restricted) maximum likelihood estimate; B2 the same with few groups.
- C: flat or very weak priors against least squares or a closed form.
- D: a working likelihood against quantile regression.
- G: an average effect against a design-based or robust estimate.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Tolerance = Literal["A", "B", "B2", "C", "D", "G"]
Draws = NDArray[np.float64]

MONTE_CARLO = 4.0
_NAME = re.compile(r"\{([^{}]*)\}")
_OPERATORS: Mapping[type, Callable[[Draws, Draws], Draws]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[[Draws], Draws]] = {
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "inv_logit": lambda x: 1 / (1 + np.exp(-x)),
}


@dataclass(frozen=True)
class Reference:
    """A reference figure: `value` with `se` (an estimate), or `mean`, `sd` and quantiles (a posterior).

    A standard deviation or correlation estimated by likelihood has a value without a standard error.
    """

    value: float | None = None
    se: float | None = None
    mean: float | None = None
    sd: float | None = None
    q5: float | None = None
    q95: float | None = None
    mcse_mean: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """The posterior of one number from draws. `quantiles` are those of 2.5, 5, 95 and 97.5 per cent."""

    mean: float
    sd: float
    quantiles: tuple[float, float, float, float]
    mcse_mean: float
    ess: float


@dataclass(frozen=True)
class Check:
    """One inequality of a tolerance class: `distance` must not exceed `limit`."""

    what: str
    distance: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the figures are as near as they must be (never, for a distance that is no number)."""
        return self.distance <= self.limit


def checks(tolerance: Tolerance, reference: Reference, estimate: Estimate) -> tuple[Check, ...]:
    """Return the inequalities of a tolerance class.

    Raises
    ------
    ValueError
        The reference lacks what the class compares.
    """
    match tolerance:
        case "A":
            return _same_priors(reference, estimate)
        case "B":
            return _likelihood(reference, estimate, mean=0.25, low=0.8, high=1.2, coverage=0.90)
        case "B2":
            return _likelihood(reference, estimate, mean=0.35, low=0.85, high=1.4, coverage=0.95)
        case "C":
            value, se = _estimated(reference)
            mean = Check("mean, in standard errors", abs(estimate.mean - value) / se, 0.1)
            return mean, Check("sd against standard error", abs(estimate.sd / se - 1), 0.1)
        case "D" | "G":
            value, se = _estimated(reference)
            return (Check("mean, in standard errors", abs(estimate.mean - value) / se, 0.5),)


def _same_priors(reference: Reference, estimate: Estimate) -> tuple[Check, ...]:
    mean, sd = _stated(reference.mean), _stated(reference.sd)
    quantiles = (("q5", reference.q5, estimate.quantiles[1]), ("q95", reference.q95, estimate.quantiles[2]))
    noise = MONTE_CARLO * math.hypot(reference.mcse_mean, estimate.mcse_mean) / sd
    return (
        Check("mean, in sd", abs(estimate.mean - mean) / sd, 0.1 + noise),
        Check("sd", abs(estimate.sd / sd - 1), 0.1),
        *(
            Check(f"{name}, in sd", abs(ours - theirs) / sd, 0.2)
            for name, theirs, ours in quantiles
            if theirs is not None
        ),
    )


def _likelihood(
    reference: Reference, estimate: Estimate, *, mean: float, low: float, high: float, coverage: float
) -> tuple[Check, ...]:
    if reference.se is None:
        return (_inside(_stated(reference.value), estimate, coverage),)
    value, se = _estimated(reference)
    middle, half = (low + high) / 2, (high - low) / 2
    return (
        Check("mean, in standard errors", abs(estimate.mean - value) / se, mean),
        Check(f"sd over standard error, from {middle:g}", abs(estimate.sd / se - middle), half),
    )


def _inside(value: float, estimate: Estimate, coverage: float) -> Check:
    """Return the check that a value lies in the central interval, with its distance from the interval's middle."""
    lowest, low, high, highest = estimate.quantiles
    lower, upper = (low, high) if coverage == 0.90 else (lowest, highest)
    distance = abs(value - (lower + upper) / 2)
    return Check(f"in the {coverage:.0%} interval {lower:.4g} to {upper:.4g}", distance, (upper - lower) / 2)


def _stated(number: float | None) -> float:
    if number is None:
        raise ValueError("the reference lacks a figure that its tolerance class compares")
    return number


def _estimated(reference: Reference) -> tuple[float, float]:
    return _stated(reference.value), _stated(reference.se)


def estimate_of(draws: Draws) -> Estimate:
    """Return the estimate from draws of shape (chain, draw)."""
    import arviz as az

    ess = float(az.ess(draws[..., None], method="bulk").item())
    mean_ess = float(az.ess(draws[..., None], method="mean").item())
    sd = float(draws.std(ddof=1))
    quantiles = np.quantile(draws, (0.025, 0.05, 0.95, 0.975)).tolist()
    return Estimate(float(draws.mean()), sd, tuple(quantiles), sd / math.sqrt(mean_ess), ess)


def names(quantity: str) -> Iterator[str]:
    """Yield what a quantity is made of: the texts in braces."""
    for found in _NAME.finditer(quantity):
        yield found[1].strip()


def evaluate(quantity: str, value_of: Callable[[str], Draws]) -> Draws:
    """Return the draws of a quantity: arithmetic over roles and estimands in braces.

    Examples
    --------
    `{intercept}`, `{sd(intercept, trial)} ** 2`, `{intercept[rat] @ 3} - 22 * {slope(day)[rat] @ 3}`,
    `{estimand ate}`, `inv_logit({intercept})`. After `@` stand the labels of the role's index.
    """
    parts: list[Draws] = []

    def slot(found: re.Match[str]) -> str:
        parts.append(value_of(found[1].strip()))
        return f"_{len(parts) - 1}"

    return _evaluate(ast.parse(_NAME.sub(slot, quantity), mode="eval").body, parts)


def _evaluate(node: ast.expr, parts: list[Draws]) -> Draws:
    match node:
        case ast.Name(id=name):
            return parts[int(name[1:])]
        case ast.Constant(value=int() | float() as value):
            return np.asarray(float(value))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_evaluate(inner, parts)
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, parts), _evaluate(right, parts))
        case ast.Call(func=ast.Name(id=name), args=[inner]):
            return _FUNCTIONS[name](_evaluate(inner, parts))
        case _:
            raise ValueError(f"`{ast.unparse(node)}` is no arithmetic over roles")
