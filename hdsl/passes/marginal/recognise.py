"""Which part of a Model is linear and Gaussian: y = X b + sum_g Z_g u_g + e, found in its expressions.

Nothing is read from roles or from the design, so explicit equations are recognised as derived models are. The
*effects* are the random variables with normal laws in which the outcome's mean and each other's means are linear,
and on which nothing else rests; they can be integrated out. All other random variables are left: the
*hyperparameters*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from hdsl.model.ir import Const, Definition, Expr, Law, Model, ModelData, Observation, RandomVariable, mul, references
from hdsl.passes.marginal.classes import Classes, Codes, classes_of
from hdsl.passes.marginal.forms import array_of, at_units, form_of, product, sum_of, unit_dims
from hdsl.passes.marginal.scope import (
    Form,
    Multiplied,
    NotLinear,
    Scope,
    Stacked,
    Sum,
    Term,
    parameters_behind,
    scope_of,
)
from hdsl.reference.density import needed
from hdsl.reference.values import AnyArray, Array

NORMAL = ("normal", "multinormal_cholesky")
OUTCOMES = ("normal", "lognormal")


@dataclass(frozen=True)
class Column:
    """A summand of the outcome's mean: known * unknown * deviation of effect[place, unit], by row.

    The deviation is that of the effect from the mean of its law. `unit` None: the effect has one value;
    `average`: the mean over its units stands in place of one.
    """

    effect: str
    place: int
    unknown: Expr
    unit: Codes | None
    average: bool
    known: AnyArray


@dataclass(frozen=True)
class Linear:
    """A Model whose effects can be integrated out.

    Attributes
    ----------
    model, data
        The model, without definitions that rest on data alone, and its arrays.
    effects : tuple of RandomVariable
        In the order of the model.
    hyper : Model
        The other random variables, with the definitions that rest on them.
    columns : tuple of Column
    offsets : tuple
        Summands of the outcome's mean without effects: an expression of hyperparameters and an array by row.
    outcome : array, shape (rows,)
        On the scale on which it is normal, less what is known of its mean.
    weights : array, shape (rows,), or None
    classes : Classes
    log_jacobian : float
        Of the outcome's transformation.
    """

    model: Model
    data: ModelData
    effects: tuple[RandomVariable, ...]
    hyper: Model
    columns: tuple[Column, ...]
    offsets: tuple[tuple[Expr, Array], ...]
    outcome: Array
    weights: Array | None
    classes: Classes
    log_jacobian: float


@dataclass(frozen=True)
class Unrecognised:
    """Why a model's effects cannot be integrated out, in words."""

    reason: str


def recognise(model: Model, data: ModelData) -> Linear | Unrecognised:
    """Return the linear Gaussian part of a model from which data-only definitions were taken out."""
    if len(model.observations) != 1:
        return Unrecognised("there is more than one observed variable")
    observation = model.observations[0]
    if observation.law.distribution not in OUTCOMES:
        return Unrecognised(f"the outcome's law is {observation.law.distribution}, not normal")
    if observation.mixture is not None:
        return Unrecognised("the rows are of several kinds")
    if observation.event is not None:
        return Unrecognised("the outcome is censored")
    try:
        scope = with_effects(model, data)
        if not scope.effects:
            return Unrecognised("no parameter with a normal law enters the mean linearly")
        return linear_part(scope, observation)
    except NotLinear as reason:
        return Unrecognised(str(reason))


def with_effects(model: Model, data: ModelData) -> Scope:
    """Return the scope with the largest set of effects that enter linearly and nowhere else."""
    chosen = {v.name for v in model.variables if v.law.distribution in NORMAL}
    while True:
        scope = scope_of(model, data, chosen)
        wrong = misplaced(scope) & chosen
        if not wrong:
            factor = _multiplied(scope)
            if factor is None:
                return scope
            wrong = {factor}
        chosen -= wrong


def misplaced(scope: Scope) -> set[str]:
    """Return the random variables on which something other than a mean rests."""
    found: set[str] = set()
    for variable in scope.model.variables:
        means = (0,) if variable.name in scope.effects else ()
        found |= _behind(_others(variable.law, means), scope)
    for observation in scope.model.observations:
        found |= _behind(_others(observation.law, (0,)), scope)
    return found | _behind((factor.value for factor in scope.model.factors), scope)


def _others(law: Law, means: tuple[int, ...]) -> Iterable[Expr]:
    return (arg for place, arg in enumerate(law.args) if place not in means)


def _behind(exprs: Iterable[Expr], scope: Scope) -> set[str]:
    return set().union(*(parameters_behind(expr, scope) for expr in exprs))


def _multiplied(scope: Scope) -> str | None:
    """Return the smallest of two effects that are multiplied with each other somewhere, None if none are."""
    means = [scope.effects[name].law.args[0] for name in scope.effects]
    for expr in (*means, *(o.law.args[0] for o in scope.model.observations)):
        try:
            form_of(expr, scope)
        except Multiplied as found:
            return found.name
    return None


def linear_part(scope: Scope, observation: Observation) -> Linear:
    """Return the linear part of a model in the effects of its scope; raises NotLinear where there is none."""
    model, rows = scope.model, observation.dims
    classes = classes_of(observation.law.args[1], rows, scope)
    terms = _in_deviations(sum_of(observation.law.args[0], scope), scope)
    outcome, log_jacobian = _outcome(scope.data, observation)
    weights = None if observation.weight is None else _rows_of(observation.weight, scope, rows)
    known = np.zeros(1)
    offsets: list[tuple[Expr, Array]] = []
    for term in terms:
        if term.effect is None:
            array = np.asarray(array_of(term.known, rows, model.sizes), dtype=np.float64)
            if isinstance(term.unknown, Const):
                known = known + term.unknown.value * array
            else:
                offsets.append((term.unknown, array))
    if not np.all(np.isfinite(outcome)):
        raise NotLinear("the outcome has values that are no finite numbers")
    weight_sum = 1.0 if weights is None else weights
    return Linear(
        model=model,
        data=scope.data,
        effects=tuple(scope.effects.values()),
        hyper=hyper_model(scope, [classes.sd, *(expr for expr, _ in offsets), *(term.unknown for term in terms)]),
        columns=tuple(_columns(terms, scope, rows)),
        offsets=tuple(_merged_offsets(offsets)),
        outcome=outcome - known,
        weights=weights,
        classes=classes,
        log_jacobian=float(np.sum(weight_sum * log_jacobian)),
    )


def _rows_of(name: str, scope: Scope, rows: tuple[str, ...]) -> Array:
    return np.asarray(array_of(scope.known[name], rows, scope.model.sizes), dtype=np.float64)


def _outcome(data: ModelData, observation: Observation) -> tuple[Array, Array]:
    """Return the outcome on the scale on which it is normal, and the log Jacobian by row."""
    values = np.asarray(data.values[observation.slot], dtype=np.float64).reshape(-1)
    if observation.law.distribution == "normal":
        return values, np.zeros(1)
    if not np.all(values > 0):
        raise NotLinear("the outcome has values that are not positive")
    return np.log(values), -np.log(values)


def _in_deviations(form: Sum, scope: Scope) -> list[Term]:
    """Return a form in which each effect is replaced by its mean and its deviation from it.

    The deviations are independent of each other; from here on an effect's name stands for its deviation.
    """
    model = scope.model
    waiting = list(form.terms)
    for variable in reversed(list(scope.effects.values())):
        mean = form_of(variable.law.args[0], scope)
        if _is_zero(mean):
            continue
        more: list[Term] = []
        for term in waiting:
            if term.effect == variable.name:
                more += _scaled(_mean_at(mean, term, variable, model), term)
        waiting += more
    return waiting


def _is_zero(form: Form) -> bool:
    if isinstance(form, Stacked):
        return all(_is_zero(part) for part in form.parts)
    return all(t.effect is None and not t.known.dims and float(t.known.array) == 0.0 for t in form.terms)


def _mean_at(mean: Form, term: Term, variable: RandomVariable, model: Model) -> Sum:
    dims, across = unit_dims(variable, model)
    if isinstance(mean, Stacked):
        if mean.dim != across:
            raise NotLinear(f"the mean of {variable.role} differs along {mean.dim}")
        part = mean.parts[term.place]
    else:
        part = mean if across is None else _component(mean, across)
    if term.average:
        if any(set(t.known.dims) | set(() if t.unit is None else t.unit.dims) for t in part.terms):
            raise NotLinear(f"the mean of {variable.role} is taken, whose law differs between units")
        return part
    return at_units(part, term.unit, dims)


def _component(mean: Sum, dim: str) -> Sum:
    if any(dim in t.known.dims or (t.unit is not None and dim in t.unit.dims) for t in mean.terms):
        raise NotLinear(f"the mean of a joint law differs along {dim}")
    return mean


def _scaled(mean: Sum, term: Term) -> list[Term]:
    return [
        replace(each, known=product(each.known, term.known), unknown=mul(each.unknown, term.unknown))
        for each in mean.terms
    ]


def _columns(terms: list[Term], scope: Scope, rows: tuple[str, ...]) -> list[Column]:
    """Return the columns of the effects, those that differ only in what is known added up."""
    found: list[Column] = []
    sizes = scope.model.sizes
    for term in terms:
        if term.effect is None:
            continue
        unit = None if term.unit is None else np.asarray(array_of(term.unit, rows, sizes), dtype=np.int64)
        unknown, factor = (
            (Const(value=1.0), term.unknown.value)
            if isinstance(term.unknown, Const)
            else (
                term.unknown,
                1.0,
            )
        )
        known = factor * np.asarray(array_of(term.known, rows, sizes), dtype=np.float64)
        column = Column(term.effect, term.place, unknown, unit, term.average, known)
        for place, other in enumerate(found):
            if _same(other, column):
                found[place] = replace(other, known=other.known + known)
                break
        else:
            found.append(column)
    return found


def _same(one: Column, other: Column) -> bool:
    if (one.effect, one.place, one.average, one.unknown) != (other.effect, other.place, other.average, other.unknown):
        return False
    if one.unit is None or other.unit is None:
        return one.unit is other.unit
    return np.array_equal(one.unit, other.unit)


def _merged_offsets(offsets: list[tuple[Expr, Array]]) -> list[tuple[Expr, Array]]:
    merged: list[tuple[Expr, Array]] = []
    for expr, array in offsets:
        for place, (other, known) in enumerate(merged):
            if other == expr:
                merged[place] = (other, known + array)
                break
        else:
            merged.append((expr, array))
    return merged


def hyper_model(scope: Scope, wanted: Iterable[Expr]) -> Model:
    """Return the model of the hyperparameters alone, with those definitions on which anything rests."""
    spreads = [arg for effect in scope.effects.values() for arg in effect.law.args[1:]]
    laws = [arg for v in scope.model.variables if v.name not in scope.effects for arg in v.law.args]
    factors = [factor.value for factor in scope.model.factors]
    names = frozenset().union(*(references(expr) for expr in (*wanted, *spreads, *laws, *factors)))
    kept = needed(scope.model, names)
    statements = [
        s
        for s in scope.model.statements
        if (s.name in kept if isinstance(s, Definition) else s.name not in scope.effects)
    ]
    return scope.model.model_copy(update={"statements": tuple(statements), "observations": (), "reported": ()})
