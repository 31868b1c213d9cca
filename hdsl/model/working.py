"""A working likelihood: which of a model's coefficients the outcome's location is linear in.

The asymmetric Laplace law finds quantiles, but nobody believes that outcomes follow it, and rows weighted by propensity
scores were not seen as often as they count. What such a posterior says of uncertainty is corrected after sampling
(`hdsl.inference.working`, `hdsl.inference.stages`), where the structure found here is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hdsl.model.ir import Apply, Const, Definition, Dims, Expr, Model, Observation, RandomVariable, Var, references

LAW = "asymmetric_laplace"
MOST_COEFFICIENTS = 2_000
MOST_CELLS = 20_000_000
LOCATIONS: Mapping[str, int] = {
    "normal": 0,
    "student": 1,
    "lognormal": 0,
    "bernoulli_logit": 0,
    "binomial_logit": 1,
    "poisson_log": 0,
    "negbinomial_log": 0,
}
NOT_LINEAR = 9
_LARGEST = ("add", "sub", "neg", "gather", "column", "stack", "sum", "mean", "cumulative_sum")
_ADDED = ("mul", "dot")
_FROM_DATA = ("where",)


@dataclass(frozen=True)
class Working:
    """The parts of a model of quantiles, or of another law's location.

    Attributes
    ----------
    observation : Observation
        The outcome, of dims (rows,); at several quantiles (rows, quantile).
    scale : str
        The name of the scale of the check loss; empty for other laws.
    coefficients : tuple of RandomVariable
        Those in which the location is linear, each of normal law.
    free : tuple of RandomVariable
        Those whose spread is given; that of the others is estimated.
    place : int
        Which argument of the outcome's law the location is.
    """

    observation: Observation
    scale: str
    coefficients: tuple[RandomVariable, ...]
    free: tuple[RandomVariable, ...]
    place: int = 0

    @property
    def location(self) -> Expr:
        """The location: a quantile, a mean, a log odds or the log of a mean."""
        return self.observation.law.args[self.place]

    @property
    def pooled(self) -> bool:
        """Whether the spread of some coefficients is estimated."""
        return len(self.free) < len(self.coefficients)

    @property
    def quantile(self) -> str | None:
        """The index set of the quantiles, None where there is one."""
        return self.observation.dims[1] if len(self.observation.dims) > 1 else None


def working_of(model: Model) -> Working | str | None:
    """Return the parts of a model of quantiles, or why its intervals cannot be corrected, in words.

    None where the outcome has another law.
    """
    found = [each for each in (*model.observations, *model.margins) if each.law.distribution == LAW]
    if not found:
        return None
    observation = found[0]
    reason = _unlike(model, observation)
    if reason is not None:
        return reason
    scale = observation.law.args[1]
    assert isinstance(scale, Var)
    reached = _Reach(model)
    coefficients = reached.coefficients(observation.law.args[0])
    if isinstance(coefficients, str):
        return coefficients
    return _within_limits(model, Working(observation, scale.name, coefficients, reached.free(coefficients)))


def linear_of(model: Model) -> Working | str:
    """Return the parts of a model whose outcome's location is linear in normal coefficients, or why it is not."""
    if len(model.observations) != 1 or model.margins or model.factors:
        return "its rows go together, or something else is modelled beside it"
    (observation,) = model.observations
    if observation.event is not None or observation.sequence is not None or observation.mixture is not None:
        return "it is censored, or rests on earlier outcomes, or its rows are of several kinds"
    law, place = observation.law, LOCATIONS.get(observation.law.distribution)
    if place is None or observation.dims != (model.unit,):
        return f"its law is {law.distribution}"
    reached = _Reach(model)
    coefficients = reached.coefficients(law.args[place])
    if isinstance(coefficients, str):
        return coefficients
    names = {each.name for each in coefficients}
    if any(reached.behind(arg) & names for i, arg in enumerate(law.args) if i != place):
        return "its spread depends on the coefficients of its mean"
    return _within_limits(model, Working(observation, "", coefficients, reached.free(coefficients), place))


def _unlike(model: Model, observation: Observation) -> str | None:
    """Return what about the outcome the correction does not know of."""
    known = model.dims_of()
    scale = observation.law.args[1]
    if len(model.observations) > 1 or model.margins or model.factors:
        return "its rows go together, or something else is modelled beside it"
    if observation.event is not None or observation.sequence is not None or observation.mixture is not None:
        return "it is censored, or rests on earlier outcomes, or its rows are of several kinds"
    if not isinstance(scale, Var) or known[scale.name] != observation.dims[1:]:
        return "its scale differs between rows"
    return None


def _within_limits(model: Model, working: Working) -> Working | str:
    sizes, dim = model.sizes, working.quantile
    number = 0
    for variable in working.coefficients:
        if dim is not None and dim not in variable.dims:
            return f"{variable.role} is the same for all quantiles"
        number += _product(sizes[d] for d in variable.dims)
    cells = number * sizes[model.unit]
    if number > MOST_COEFFICIENTS or cells > MOST_CELLS:
        return f"there are {number:,} coefficients for {sizes[model.unit]:,} rows"
    return working


def _product(numbers: Iterable[int]) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total


class _Reach:
    """What rests on what in a model."""

    def __init__(self, model: Model) -> None:
        self.variables = {each.name: each for each in model.variables}
        self.definitions: Mapping[str, Definition] = {each.name: each for each in model.definitions}

    def behind(self, expr: Expr) -> set[str]:
        """Return the random variables on which an expression rests, through definitions."""
        found: set[str] = set()
        waiting, seen = list(references(expr)), set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.variables:
                found.add(name)
            elif name in self.definitions:
                waiting.extend(references(self.definitions[name].value))
        return found

    def coefficients(self, location: Expr) -> tuple[RandomVariable, ...] | str:
        """Return the normal coefficients behind the location, or why they are none."""
        names = self.behind(location)
        waiting = list(names)
        while waiting:
            variable = self.variables[waiting.pop()]
            if variable.law.distribution not in ("normal", "multinormal_cholesky"):
                return f"{variable.role} has no normal law"
            new = self.behind(variable.law.args[0]) - names
            names |= new
            waiting.extend(new)
        chosen = tuple(each for name, each in self.variables.items() if name in names)
        if self.degree(location, names) > 1 or any(self.degree(each.law.args[0], names) > 1 for each in chosen):
            return "it is not linear in the coefficients"
        if any(self.behind(each.law.args[1]) & names for each in chosen):
            return "the spread of a coefficient depends on another one"
        return chosen

    def free(self, coefficients: Iterable[RandomVariable]) -> tuple[RandomVariable, ...]:
        """Return the coefficients whose spread rests on no random variable."""
        return tuple(each for each in coefficients if not self.behind(each.law.args[1]))

    def degree(self, expr: Expr, names: set[str]) -> int:
        """Return the degree of an expression as a polynomial in some variables; `NOT_LINEAR` for what is none."""
        if isinstance(expr, Const):
            return 0
        if isinstance(expr, Var):
            inner = self.definitions.get(expr.name)
            return int(expr.name in names) if inner is None else self.degree(inner.value, names)
        return self._applied(expr, [self.degree(arg, names) for arg in expr.args])

    def _applied(self, expr: Apply, each: list[int]) -> int:
        if not any(each):
            return 0
        if expr.function in _LARGEST:
            return max(each)
        if expr.function in _ADDED:
            return sum(each)
        if expr.function in _FROM_DATA and each[0] == 0:
            return max(each)
        return each[0] if expr.function == "div" and each[1] == 0 else NOT_LINEAR


def quantile_dims(working: Working) -> Dims:
    """Return the dims of one value for each quantile: none where there is one."""
    return () if working.quantile is None else (working.quantile,)
