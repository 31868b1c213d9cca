"""Arguments of laws: values that lie in the range a parameter of the law may have."""

from __future__ import annotations

from dataclasses import dataclass

from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.equations.laws import Form, Parameter
from hdsl.model.equations.names import Scope
from hdsl.model.equations.placed import Placed
from hdsl.model.equations.translate import translate
from hdsl.model.ir import Apply, Definition, Expr, RandomVariable, Var, references

HELP = {
    "positive": "Give its parameters laws on positive numbers (`halfnormal(...)`), or write `exp(...)`.",
    "share": "Write `inv_logit(...)`, or give it a law such as `beta(1, 1)`.",
}


@dataclass(frozen=True)
class Argument:
    """An argument of a law with the parameter that it is."""

    parameter: Parameter
    value: Placed


def read_arguments(
    scope: Scope, form: Form, args: tuple[study.Expr, ...], goal: str | None, what: str
) -> list[Argument]:
    """Return the arguments of a law; HDM648 where one may lie outside the parameter's range."""
    found: list[Argument] = []
    for parameter, arg in zip(form.parameters, args, strict=True):
        value = translate(scope, arg, goal)
        _check(parameter, value, arg, what)
        found.append(Argument(parameter, value))
    return found


def _check(parameter: Parameter, value: Placed, arg: study.Expr, what: str) -> None:
    low, high = value.range
    zero = high == 0
    if parameter.domain == "positive" and (low < 0 or zero):
        message = f"{what}: the {parameter.name} must be positive, and `{role_text(arg)}` can be below zero."
        if zero or (value.values is not None):
            message = f"{what}: the {parameter.name} must be positive, and `{role_text(arg)}` is not."
        raise NotDerivable("HDM648", message, HELP["positive"])
    if parameter.domain == "share" and (low < 0 or high > 1):
        message = f"{what}: the {parameter.name} is a probability, and `{role_text(arg)}` can leave 0 to 1."
        raise NotDerivable("HDM648", message, HELP["share"])


def is_estimated(scope: Scope, expr: Expr) -> bool:
    """Return whether an expression rests on a random variable."""
    return any(isinstance(each, RandomVariable) for each in _statements(scope, expr))


def is_treated(scope: Scope, expr: Expr) -> bool:
    """Return whether an expression changes when a treatment is set."""
    slots = scope.draft.slots
    names = {name for each in _all_references(scope, expr) for name in each}
    return any(name in slots and slots[name].treatment is not None for name in names)


def _all_references(scope: Scope, expr: Expr) -> list[frozenset[str]]:
    found = [references(expr)]
    for statement in _statements(scope, expr):
        if isinstance(statement, Definition):
            found.append(references(statement.value))
    return found


def _statements(scope: Scope, expr: Expr) -> list[RandomVariable | Definition]:
    """Return the statements on which an expression rests: through definitions, up to random variables."""
    wanted = set(references(expr))
    found: list[RandomVariable | Definition] = []
    for statement in reversed(scope.draft.statements):
        if statement.name in wanted:
            found.append(statement)
            if isinstance(statement, Definition):
                wanted |= references(statement.value)
    return found


def inside(scope: Scope, expr: Expr, function: str) -> Expr | None:
    """Return x where the expression is `function(x)`, also by a definition of that form; else None."""
    if isinstance(expr, Var):
        by_name = {s.name: s for s in scope.draft.statements if isinstance(s, Definition)}
        return inside(scope, by_name[expr.name].value, function) if expr.name in by_name else None
    if isinstance(expr, Apply) and expr.function == function:
        return expr.args[0]
    return None
