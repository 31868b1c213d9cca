"""A Model as equations in the paper's notation, with the reason of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hdsl.model.ir import (
    Apply,
    Const,
    Definition,
    Expr,
    Law,
    Model,
    Observation,
    RandomVariable,
    Var,
    references,
)
from hdsl.model.sums import parts_of, total_of, without

INFIX: Mapping[str, tuple[str, int]] = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "pow": ("^", 3),
}
LAWS: Mapping[str, str] = {
    "lkj_cholesky": "lkj",
    "multinormal_cholesky": "multinormal",
    "bernoulli_logit": "bernoulli_logit",
}


@dataclass(frozen=True)
class Equation:
    """One line of a model: the equation and why it is there."""

    text: str
    reason: str


def equations(model: Model) -> list[Equation]:
    """Return the model's equations: the outcome, the predictors from the rows upwards, then the priors.

    Varying effects are written in the paper's form, `alpha[school] ~ normal(mean, sd)`.
    """
    names = _Names(model)
    hidden, grouped = _grouped(model, names)
    lines = [line for observation in _by_row(model) for line in _observed(model, observation, names)]
    for definition in reversed(model.definitions):
        if definition.name in grouped:
            lines.append(grouped[definition.name])
        elif definition.name not in hidden and _is_shown(definition, model):
            left = names.left(definition.name, definition.dims)
            right = definition.written or f"= {names.text(definition.value)}"
            lines.append(Equation(f"{left} {right}", definition.reason))
    return [line for line in lines if line.text]


def priors(model: Model) -> list[Equation]:
    """Return the laws of the parameters that have no varying law, each with its reason."""
    names = _Names(model)
    lines: list[Equation] = []
    hidden, _ = _grouped(model, names)
    hidden |= {variable.name for variable in model.variables if variable.role.startswith("coefficient(")}
    for variable in model.variables:
        if variable.name not in hidden:
            left = names.left(variable.name, variable.dims if _on_level(model, variable) else ())
            lines.append(Equation(f"{left} ~ {names.law(variable.law)}", variable.reason))
    return lines


def _on_level(model: Model, variable: RandomVariable) -> bool:
    kinds = {index_set.name: index_set.kind for index_set in model.index_sets}
    return any(kinds[dim] == "level" for dim in variable.dims)


def _is_shown(definition: Definition, model: Model) -> bool:
    """Leave out what only serves the arithmetic: data, shifts, stacked scales."""
    data_only = references(definition.value) <= {slot.name for slot in model.slots}
    return not (data_only or _is_inlined(definition, model))


def _is_inlined(definition: Definition, model: Model) -> bool:
    """Shifts, stacked scales and the predictor are written out where they are used."""
    helper = definition.role is not None and definition.role.startswith(("shift(", "mixture(", "array("))
    stacked = isinstance(definition.value, Apply) and definition.value.function == "stack"
    rows = (
        definition.role is None
        and model.unit in definition.dims
        and references(definition.value) - {slot.name for slot in model.slots}
    )
    return helper or stacked or bool(rows)


def _by_row(model: Model) -> list[Observation]:
    """Return the laws of outcomes as they are written: of each row by itself where rows go together."""
    margins = {margin.outcome for margin in model.margins}
    return [*model.margins, *(o for o in model.observations if o.outcome not in margins)]


def _observed(model: Model, observation: Observation, names: _Names) -> list[Equation]:
    left = f"{observation.outcome}[{', '.join(observation.dims)}]"
    law = names.law(observation.law)
    weight = f", weighted by {observation.weight}" if observation.weight else ""
    censored = f", censored where {observation.event} = 0" if observation.event else ""
    found = [Equation(f"{left} ~ {law}{weight}{censored}", observation.reason)]
    return [*found, Equation(observation.together, observation.together_reason)] if observation.together else found


def _grouped(model: Model, names: _Names) -> tuple[set[str], dict[str, Equation]]:
    """Return the statements that the grouped equations stand for, and those equations by a total's name."""
    hidden: set[str] = set()
    found: dict[str, Equation] = {}
    for variable in model.variables:
        if not variable.role.startswith("deviation("):
            continue
        parts = parts_of(model, variable)
        totals = [total_of(model, part) for part in parts]
        present = [total for total in totals if total is not None]
        if len(present) != len(parts):
            continue
        hidden |= {variable.name, *(total.name for total in present)}
        means = [names.text(without(t.value, part)) for t, part in zip(present, parts, strict=True)]
        left = [names.left(total.name, total.dims) for total in present]
        found[present[0].name] = Equation(_vary(variable, left, means, names), variable.reason)
    return hidden, found


def _vary(variable: RandomVariable, left: list[str], means: list[str], names: _Names) -> str:
    scale = variable.law.args[-1]
    if variable.law.distribution == "multinormal_cholesky":
        assert isinstance(scale, Apply)
        sds, corr = (names.text(arg) for arg in scale.args)
        return f"{', '.join(left)} ~ multinormal(({', '.join(means)}), sd = {sds}, corr = {corr})"
    if variable.law.distribution == "normal_mixture" and isinstance(variable.law.args[1], Apply):
        spread, _ = variable.law.args[1].args
        return f"{left[0]} ~ dirichlet_process_mixture({means[0]}, {names.text(spread)})"
    if variable.law.distribution == "student":
        return f"{left[0]} ~ student({names.text(variable.law.args[0])}, {means[0]}, {names.text(scale)})"
    return f"{left[0]} ~ normal({means[0]}, {names.text(scale)})"


class _Names:
    """How values are called in equations: by role, with their level as the index."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.dims = model.dims_of()
        self.statements = {statement.name: statement for statement in model.statements}
        self.slots = {slot.name: slot for slot in model.slots}
        self.labels = {index_set.name: index_set.kind for index_set in model.index_sets}

    def left(self, name: str, dims: tuple[str, ...]) -> str:
        """Return how a statement is called on the left of its equation."""
        text = self.called(name)
        return text if not dims or text.endswith("]") else f"{text}[{', '.join(dims)}]"

    def called(self, name: str) -> str:
        """Return the role of a statement, or the name of a slot."""
        statement = self.statements.get(name)
        if statement is None:
            return name
        role = statement.role
        return name if not role else role.replace("corr_cholesky(", "corr(")

    def law(self, law: Law) -> str:
        """Return a law as it would be written."""
        args = ", ".join(self.text(arg) for arg in law.args)
        return f"{LAWS.get(law.distribution, law.distribution)}({args})"

    def text(self, expr: Expr, outer: int = 0) -> str:
        """Return an expression as text, with parentheses where needed."""
        match expr:
            case Const(value=value):
                return f"({value:g})" if value < 0 and outer > 0 else f"{value:g}"
            case Var(name=name):
                return self._simple(name, outer)
            case Apply(function=function) if function in INFIX:
                return self._infix(expr, outer)
            case Apply():
                return self._call(expr)

    def _simple(self, name: str, outer: int) -> str:
        statement = self.statements.get(name)
        if isinstance(statement, Definition) and _is_inlined(statement, self.model):
            return self.text(statement.value, outer)
        return self.called(name)

    def _infix(self, expr: Apply, outer: int) -> str:
        sign, level = INFIX[expr.function]
        left = self.text(expr.args[0], level)
        right = self.text(expr.args[1], level + (1 if expr.function in ("sub", "div") else 0))
        text = f"{left} {sign} {right}"
        return f"({text})" if level < outer else text

    def _call(self, expr: Apply) -> str:
        special: Mapping[str, Callable[[Apply], str]] = {
            "gather": lambda e: self.text(e.args[0], 9),
            "stack": lambda e: f"({', '.join(self.text(arg) for arg in e.args)})",
            "neg": lambda e: f"-{self.text(e.args[0], 3)}",
            "square": lambda e: f"{self.text(e.args[0], 4)}^2",
            "column": self._column,
        }
        if expr.function in special:
            return special[expr.function](expr)
        return f"{expr.function}({', '.join(self.text(arg) for arg in expr.args)})"

    def _column(self, expr: Apply) -> str:
        inner = expr.args[0]
        position = expr.static[1]
        return f"{self.text(inner, 9)}[{int(position) + 1}]"


__all__ = ["Equation", "equations", "priors"]
