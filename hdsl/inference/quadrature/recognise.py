"""Which models have the effects of one grouping, or of two that nest, in a linear predictor.

The effects are the random variables with normal laws over the units of the largest level that has any, and those over a
coarser one if its units have one effect each; the outcome rests on them through a linear predictor alone. All else, the
coefficients among it, is left: the *hyperparameters*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hdsl.inference.quadrature.kernels import Outcome
from hdsl.model.functions import dims_of
from hdsl.model.ir import Apply, Expr, Law, Model, ModelData, Observation, RandomVariable, Var, const, references
from hdsl.passes.cells import celled
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.recognise import NORMAL, Linear, Unrecognised, hyper_model, linear_part, misplaced
from hdsl.passes.marginal.scope import NotLinear, Scope, known_value, parameters_behind, scope_of
from hdsl.passes.marginal.structure import Grouping, groupings, nests
from hdsl.passes.precompute import precompute
from hdsl.reference.values import Array, broadcast, evaluate

PREDICTOR = {
    "bernoulli": 0,
    "bernoulli_logit": 0,
    "binomial": 1,
    "binomial_logit": 1,
    "poisson_log": 0,
    "negbinomial_log": 0,
    "ordinal_logit": 0,
}
KERNEL = {
    "bernoulli_logit": "logit",
    "binomial_logit": "logit",
    "poisson_log": "poisson",
    "negbinomial_log": "negbinomial",
    "ordinal_logit": "ordinal",
}
LINKS = {"inv_logit": "logit", "inv_probit": "probit", "inv_cloglog": "cloglog"}
MOST_EFFECTS = 3


@dataclass(frozen=True)
class Predicted:
    """A model whose outcome rests on a linear predictor with the effects of one grouping.

    Attributes
    ----------
    linear : Linear
        The predictor in its effects; the outcome's law is none of its parts.
    kernel : str
        One of `KERNELS`.
    outcome : Outcome
        By cell.
    known : array, shape (cells,)
        What is known of the predictor.
    extra : tuple of Expr
        The family's own parameters.
    grouping : Grouping or None
        None where no effects vary.
    coarse : Grouping or None
        A grouping into which that one nests.
    rows : int
        The rows of which there are so many cells.
    """

    linear: Linear
    kernel: str
    outcome: Outcome
    known: Array
    extra: tuple[Expr, ...]
    grouping: Grouping | None
    coarse: Grouping | None
    rows: int


def predicted(model: Model, data: ModelData) -> Predicted | Unrecognised:
    """Return the linear predictor of a plain model's outcome, over cells where that saves rows."""
    lean, values = precompute(model, data)
    if len(lean.observations) != 1:
        return Unrecognised("there is more than one observed variable")
    law = lean.observations[0].law
    if law.distribution not in PREDICTOR:
        return Unrecognised(f"the outcome's law is {law.distribution}")
    rows = lean.sizes[lean.unit]
    found = celled(lean, values, least=0, share=0.9)
    if found is not None:
        lean, values = found.model, found.data
    reason = ""
    for effects in _candidates(lean):
        try:
            return _predicted(lean, values, rows, effects)
        except NotLinear as found_reason:
            reason = str(found_reason)
    return Unrecognised(reason)


def _predicted(model: Model, data: ModelData, rows: int, effects: set[str]) -> Predicted:
    (observation,) = model.observations
    if observation.mixture is not None or observation.event is not None or observation.sequence is not None:
        raise NotLinear("the rows do not each have an outcome of one kind")
    kernel, predictor, extra = _parts(model, observation.law)
    surrogate = observation.model_copy(
        update={"law": Law(distribution="normal", args=(predictor, const(1))), "weight": None}
    )
    shown = model.model_copy(update={"observations": (surrogate,)})
    scope = scope_of(shown, data, effects)
    wrong = misplaced(scope) | frozenset().union(*(parameters_behind(each, scope) for each in extra))
    if wrong & scope.effects.keys():
        raise NotLinear("more than the linear predictor rests on the varying effects")
    for effect in scope.effects.values():
        _check_law(effect, scope)
    linear = linear_part(scope, surrogate)
    wanted = [*(expr for expr, _ in linear.offsets), *(column.unknown for column in linear.columns), *extra]
    y = np.asarray(data.values[observation.slot], dtype=np.float64).reshape(-1)
    whole = replace(linear, hyper=hyper_model(scope, wanted))
    outcome = _outcome(observation, data, y)
    fine, coarse = _nested(linear)
    return Predicted(whole, kernel, outcome, y - linear.outcome, extra, fine, coarse, rows)


def _parts(model: Model, law: Law) -> tuple[str, Expr, tuple[Expr, ...]]:
    """Return the kernel, the linear predictor and the family's own parameters."""
    place = PREDICTOR[law.distribution]
    argument = law.args[place]
    if law.distribution in KERNEL:
        extra = law.args[1:] if place == 0 else ()
        scope = model.dims_of()
        if any(model.unit in dims_of(each, scope) or len(dims_of(each, scope)) > 1 for each in extra):
            raise NotLinear("the family's own parameters differ between rows")
        return KERNEL[law.distribution], argument, extra
    values = {definition.name: definition.value for definition in model.definitions}
    while isinstance(argument, Var) and argument.name in values:
        argument = values[argument.name]
    if not isinstance(argument, Apply) or argument.function not in LINKS:
        raise NotLinear("the probability is no linear predictor seen through a link")
    return LINKS[argument.function], argument.args[0], ()


def _candidates(model: Model) -> list[set[str]]:
    """Return the random variables that may be integrated out: those of the two largest levels, then of the largest."""
    kinds = {index_set.name: index_set.kind for index_set in model.index_sets}
    found: dict[tuple[str, ...], set[str]] = {}
    for variable in model.variables:
        if variable.law.distribution not in NORMAL:
            continue
        units, _ = unit_dims(variable, model)
        if units and any(kinds[dim] == "level" for dim in units):
            found.setdefault(units, set()).add(variable.name)
    largest = sorted(found, key=lambda units: -int(np.prod([model.sizes[dim] for dim in units])))
    if not largest:
        return [set()]
    both = [found[largest[0]] | found[largest[1]]] if len(largest) > 1 else []
    return [*both, found[largest[0]]]


def _check_law(effect: RandomVariable, scope: Scope) -> None:
    """Raise NotLinear unless an effect has mean zero and the same spread in all units."""
    mean, spread = effect.law.args
    units, _ = unit_dims(effect, scope.model)
    if set(dims_of(spread, scope.dims)) & set(units):
        raise NotLinear(f"the spread of {effect.role} differs between units")
    if parameters_behind(mean, scope) or np.any(known_value(mean, scope).array != 0):
        raise NotLinear(f"the mean of {effect.role} is not zero")


def _nested(linear: Linear) -> tuple[Grouping | None, Grouping | None]:
    """Return the grouping of the effects, and that into which it nests, if there is one."""
    whole, apart = groupings(linear)
    if apart:
        raise NotLinear(f"{apart[0].effect.role} enters through several units at once")
    if not whole and not linear.effects:
        return None, None
    whole.sort(key=lambda each: -each.size)
    covered = sum(len(each.effects) for each in whole)
    if len(whole) > 2 or covered != len(linear.effects) or any(each.unit_of_row is None for each in whole):
        raise NotLinear("effects vary across several groupings")
    fine = whole[0]
    count = sum(_places(effect, linear.model) for effect in fine.effects)
    if count > MOST_EFFECTS:
        raise NotLinear(f"{count} effects vary across the same units (at most {MOST_EFFECTS})")
    if len(whole) == 1:
        return fine, None
    coarse = whole[1]
    several = sum(_places(effect, linear.model) for effect in coarse.effects) > 1
    if several or not nests(fine, coarse):
        raise NotLinear("effects vary across several groupings")
    return fine, coarse


def _places(effect: RandomVariable, model: Model) -> int:
    across = unit_dims(effect, model)[1]
    return 1 if across is None else model.sizes[across]


def _outcome(observation: Observation, data: ModelData, y: Array) -> Outcome:
    weight = None
    if observation.weight is not None:
        weight = np.asarray(data.values[observation.weight], dtype=np.float64).reshape(-1)
    trials = np.ones(len(y))
    if observation.law.distribution.startswith("binomial"):
        given = observation.law.args[0]
        if references(given) - data.values.keys():
            raise NotLinear("the number of trials is no data")
        trials = _trials(given, observation, data, len(y))
    return Outcome(y, trials, weight)


def _trials(given: Expr, observation: Observation, data: ModelData, rows: int) -> Array:
    from hdsl.reference.values import Value

    (dim,) = observation.dims
    env = {name: Value((dim,), data.values[name]) for name in references(given)}
    return np.array(broadcast(evaluate(given, env), (dim,), {dim: rows}), dtype=np.float64)
