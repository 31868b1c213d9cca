"""Priors: what the user wrote, by role, and weakly informative defaults scaled to the data (rule 6)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hdsl.design import expr as study
from hdsl.design.ir import Prior
from hdsl.design.roles import role_text
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Const, Law, const

LAW_NAMES: Mapping[str, str] = {
    "normal": "normal",
    "student": "student",
    "student_t": "student",
    "cauchy": "cauchy",
    "laplace": "laplace",
    "logistic": "logistic",
    "halfnormal": "halfnormal",
    "halfstudent": "halfstudent",
    "halfcauchy": "halfcauchy",
    "exponential": "exponential",
    "gamma": "gamma",
    "inverse_gamma": "inverse_gamma",
    "lognormal": "lognormal",
    "uniform": "uniform",
    "beta": "beta",
    "lkj": "lkj_cholesky",
}
HALVES: Mapping[str, str] = {"normal": "halfnormal", "student": "halfstudent", "cauchy": "halfcauchy"}


@dataclass
class Priors:
    """The priors of a study, and which of them were taken up by the derivation."""

    given: Mapping[str, Prior]
    used: set[str] = field(default_factory=set)

    @staticmethod
    def of(priors: tuple[Prior, ...]) -> Priors:
        """Return the priors by role."""
        return Priors({role_text(prior.target): prior for prior in priors})

    def lookup(self, *roles: str) -> study.Call | None:
        """Return the law given for the first of `roles` that has one, and mark it as used."""
        for role in roles:
            if role in self.given:
                self.used.add(role)
                return self.given[role].law
        return None

    def law(self, default: Law, *roles: str) -> Law:
        """Return the user's law for a real parameter, else `default`."""
        call = self.lookup(*roles)
        return default if call is None else to_law(call)

    def positive(self, default: Law, *roles: str) -> Law:
        """Return the user's law for a positive parameter, else `default`; `normal(0, s)` means its half."""
        call = self.lookup(*roles)
        if call is None:
            return default
        law = to_law(call)
        half = HALVES.get(law.distribution)
        if half is not None:
            if law.args[-2] != const(0):
                raise NotDerivable(
                    "HDM625",
                    f"The prior of `{roles[0]}` must be on positive numbers.",
                    f"Write `{half}(...)`, `lognormal(...)` or `gamma(...)`.",
                )
            kept = tuple(arg for i, arg in enumerate(law.args) if i != len(law.args) - 2)
            return Law(distribution=half, args=kept)
        if DISTRIBUTIONS[law.distribution].support == "real":
            raise NotDerivable("HDM625", f"The prior of `{roles[0]}` must be on positive numbers.")
        return law

    def unused(self) -> list[str]:
        """Return the roles that have a prior but are no parameter of the model."""
        return [role for role in self.given if role not in self.used]


def to_law(call: study.Call) -> Law:
    """Return the Model law of a prior such as `normal(0, 5)`; raises NotDerivable for anything else."""
    if call.function not in LAW_NAMES:
        raise NotDerivable(
            "HDM625", f"There is no prior `{call.function}`.", f"Priors: {', '.join(sorted(LAW_NAMES))}."
        )
    distribution = DISTRIBUTIONS[LAW_NAMES[call.function]]
    numbers = tuple(constant(argument) for argument in call.args)
    if len(numbers) != len(distribution.parameters):
        wanted = ", ".join(distribution.parameters)
        raise NotDerivable("HDM625", f"`{call.function}` takes ({wanted}), not {len(numbers)} numbers.")
    _check_positive(call.function, distribution.parameters, numbers)
    return Law(distribution=distribution.name, args=tuple(const(number) for number in numbers))


def _check_positive(name: str, parameters: tuple[str, ...], numbers: tuple[float, ...]) -> None:
    for parameter, number in zip(parameters, numbers, strict=True):
        if parameter not in ("mean", "location", "meanlog", "low", "high") and not number > 0:
            raise NotDerivable("HDM625", f"In the prior `{name}`, {parameter} must be positive, not {number:g}.")
    if name == "uniform" and not numbers[0] < numbers[1]:
        raise NotDerivable("HDM625", "In the prior `uniform`, the first number must be below the second.")


def constant(expr: study.Expr) -> float:
    """Return the value of a numeric expression without names; raises NotDerivable otherwise."""
    match expr:
        case study.Number(value=value):
            return value
        case study.Negative(of=inner):
            return -constant(inner)
        case study.Operation(operator=operator, left=left, right=right):
            a, b = constant(left), constant(right)
            match operator:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case "/":
                    if b == 0:
                        raise NotDerivable("HDM625", f"`{role_text(expr)}` divides by zero.")
                    return a / b
                case "^":
                    return float(a**b)
        case _:
            raise NotDerivable("HDM625", f"`{role_text(expr)}` is not a number.", "Parameters of priors are numbers.")


def quantile(law: Law, share: float) -> float:
    """Return a quantile of the law of a positive parameter with fixed parameters."""
    from scipy import stats

    first, *others = (arg.value for arg in law.args if isinstance(arg, Const))
    second = others[0] if others else 1.0
    match law.distribution:
        case "halfnormal":
            found = stats.halfnorm(scale=first).ppf(share)
        case "halfcauchy":
            found = stats.halfcauchy(scale=first).ppf(share)
        case "halfstudent":
            found = second * stats.t(first).ppf((1 + share) / 2)
        case "exponential":
            found = stats.expon(scale=1 / first).ppf(share)
        case "gamma":
            found = stats.gamma(first, scale=1 / second).ppf(share)
        case "inverse_gamma":
            found = stats.invgamma(first, scale=second).ppf(share)
        case "lognormal":
            found = stats.lognorm(second, scale=math.exp(first)).ppf(share)
        case "uniform":
            found = first + (second - first) * share
        case _:
            raise NotDerivable("HDM625", f"`{law.distribution}` is no prior of a length.", "Write `lognormal(...)`.")
    return float(found)


def normal(mean: float, sd: float) -> Law:
    """Return a normal law with fixed parameters, rounded to four digits for reading."""
    return Law(distribution="normal", args=(const(rounded(mean)), const(rounded(sd))))


def halfnormal(sd: float) -> Law:
    """Return a half-normal law with a fixed scale, rounded to four digits for reading."""
    return Law(distribution="halfnormal", args=(const(rounded(sd)),))


def rounded(value: float) -> float:
    """Return `value` to four significant digits."""
    return float(f"{value:.4g}")
