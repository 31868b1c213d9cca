"""The shift of an explicit model's intercept: what average predictors add to it.

A parameter that enters the mean of every row with the factor 1 is its intercept. A definition of role
`shift(NAME)` lets the pass that centres predictors sample the intercept at average predictors; the model
itself stays as it was stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from hdsl.data.bound import Reals
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.priors import rounded
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.equations.laws import JOINT, PARAMETER_LAWS
from hdsl.model.equations.names import Scope, Unknown
from hdsl.model.equations.program import Statement
from hdsl.model.equations.translate import translate
from hdsl.model.ir import Definition, Expr, RandomVariable, Var, add, const, mul, references

Linear = dict[str, Reals]
LINKS = ("exp", "inv_logit", "invlogit", "inv_probit", "inv_cloglog")
MEANS = ("mean", "location", "meanlog", "logmean", "logit", "probability")


def add_shift(scope: Scope, statements: Iterable[Statement]) -> None:
    """Add the shift of the intercept of the first outcome, where it has one intercept and other predictors."""
    by_name = {target.name: statement for statement in statements for target in statement.targets}
    for statement in by_name.values():
        if statement.targets[0].observed:
            found = _Reading(scope, by_name).main(statement)
            _define(scope, found)
            return


def _define(scope: Scope, linear: Linear) -> None:
    located = {name for name in linear if _is_located(scope, name)}
    ones = [name for name in linear if name in located and bool(np.all(linear[name] == 1))]
    if len(ones) != 1:
        return
    (intercept,) = ones
    others = [name for name in located - {intercept} if not _rests_on(scope, name, intercept)]
    summands: list[Expr] = []
    for name in linear:
        mean = float(np.mean(linear[name]))
        if name in others and abs(mean) > 1e-12:
            summands.append(mul(scope.made[name].expr, const(rounded(mean))))
    if summands:
        role = f"shift({intercept})"
        scope.draft.define(f"shift {intercept}", add(*summands), role=role, reason="what average predictors add")


def _variable(scope: Scope, name: str) -> RandomVariable | None:
    expr = scope.made[name].expr if name in scope.made else None
    found = [s for s in scope.draft.statements if isinstance(expr, Var) and s.name == expr.name]
    return found[0] if found and isinstance(found[0], RandomVariable) else None


def _is_located(scope: Scope, name: str) -> bool:
    variable = _variable(scope, name)
    return variable is not None and DISTRIBUTIONS[variable.law.distribution].location is not None and not variable.dims


def _rests_on(scope: Scope, name: str, other: str) -> bool:
    """Return whether the law of one parameter depends on another parameter."""
    own, goal = _variable(scope, name), _variable(scope, other)
    if own is None or goal is None:
        return False
    wanted = {own.name}
    for statement in reversed(scope.draft.statements):
        if statement.name in wanted:
            parts = [statement.value] if isinstance(statement, Definition) else statement.law.args
            wanted |= frozenset[str]().union(*(references(part) for part in parts))
    return goal.name in wanted


class _Reading:
    """Reads means as linear forms: for each parameter the numbers it is multiplied by, one per row."""

    def __init__(self, scope: Scope, by_name: Mapping[str, Statement]) -> None:
        self.scope = scope
        self.by_name = by_name

    def main(self, statement: Statement) -> Linear:
        """Return the linear form of an outcome's mean, on the scale of its link."""
        right = statement.right
        assert isinstance(right, study.Call)
        expr = _mean_of(right)
        if isinstance(expr, study.Call) and expr.function in LINKS and len(expr.args) == 1:
            expr = expr.args[0]
        return {} if expr is None else self.linear(expr)

    def linear(self, expr: study.Expr) -> Linear:
        """Return the linear form of an expression; what is not linear is left out."""
        match expr:
            case study.Negative(of=inner):
                return _times(self.linear(inner), np.asarray(-1.0))
            case study.Operation(operator="+" | "-" as sign, left=left, right=right):
                other = self.linear(right)
                return _plus(self.linear(left), other if sign == "+" else _times(other, np.asarray(-1.0)))
            case study.Operation(operator="*", left=left, right=right):
                one, two = self.rows(left), self.rows(right)
                if two is not None:
                    return _times(self.linear(left), two)
                return {} if one is None else _times(self.linear(right), one)
            case study.Operation(operator="/", left=left, right=right):
                divisor = self.rows(right)
                return {} if divisor is None else _times(self.linear(left), 1 / divisor)
            case study.Ref(name=name) | study.Indexed(name=name):
                return self.name(name)
            case _:
                return {}

    def name(self, name: str) -> Linear:
        """Return the linear form of a parameter: its own, or that of its mean or definition."""
        statement = self.by_name.get(name)
        if statement is None or statement.targets[0].observed:
            return {}
        if isinstance(statement.equation, ir.DefinitionStatement):
            return self.linear(statement.equation.value)
        place = next(k for k, target in enumerate(statement.targets) if target.name == name)
        if statement.targets[place].level is None:
            return {name: np.ones(self.scope.draft.bound.rows)}
        mean = _mean_of(statement.equation.law, place)
        return {} if mean is None else self.linear(mean)

    def rows(self, expr: study.Expr) -> Reals | None:
        """Return the values of an expression of data for each row, None where it has parameters."""
        try:
            value = translate(self.scope, expr, self.scope.draft.bound.row)
        except (NotDerivable, Unknown):
            return None
        if value.values is None or value.level is None:
            return value.values
        return self.scope.draft.bound.at_rows(value.level, value.values).astype(np.float64)


def _mean_of(law: study.Call, place: int = 0) -> study.Expr | None:
    """Return the argument of a law that is its mean; of a joint law that of the effect at `place`."""
    named = {option.name: option.value for option in law.options}
    for name in MEANS:
        if name in named:
            return _item(named[name], place)
    if law.function == JOINT:
        return _item(law.args[0], place) if law.args else None
    forms = PARAMETER_LAWS.get(law.function)
    if forms is None:
        return law.args[1 if len(law.args) == 2 and law.function == "binomial" else 0] if law.args else None
    places = [k for k, name in enumerate(forms[0].names) if name in MEANS]
    if law.function == "weibull":
        places = [1]
    return law.args[places[0]] if places and len(law.args) > places[0] else None


def _item(expr: study.Expr, place: int) -> study.Expr:
    return expr.items[place] if isinstance(expr, study.Sequence) else expr


def _times(linear: Linear, factor: Reals) -> Linear:
    return {name: values * factor for name, values in linear.items()}


def _plus(one: Linear, other: Linear) -> Linear:
    found = dict(one)
    for name, values in other.items():
        found[name] = found[name] + values if name in found else values
    return found
