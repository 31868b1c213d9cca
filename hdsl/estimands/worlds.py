"""Worlds: the model with treatments set, from which expected and simulated potential outcomes come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design.expr import Setting
from hdsl.estimands.histories import check_histories, expected_in_sequence, occasion, set_lagged
from hdsl.estimands.joint import drawn, jointly, scored
from hdsl.estimands.rows import EstimandError, row_values
from hdsl.estimands.strata import Kinds, drawn_kinds
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Const, Mixture, Model, ModelData, Observation, RandomVariable, Slot
from hdsl.passes.precompute import precompute
from hdsl.reference import distributions
from hdsl.reference.density import definitions, law_references
from hdsl.reference.values import Array, Value, evaluate, expand

Draws = Mapping[str, Array]
BATCH = ("draw",)
TREES = "bart"


@dataclass(frozen=True)
class World:
    """The plain model with some treatments set; what depends on data alone is computed already.

    `observation` has the law of each row by itself where there is one, else given the rows before it; `joint` are
    the observations that say how the rows go together, empty where each goes by itself.
    """

    model: Model
    data: ModelData
    observation: Observation
    joint: tuple[Observation, ...] = ()


def world(model: Model, data: ModelData, bound: Bound, outcome: str, settings: tuple[Setting, ...]) -> World:
    """Return the world in which treatments are set as in a potential outcome, all else as observed."""
    values = dict(data.values)
    for setting in settings:
        for slot in (slot for slot in model.slots if slot.treatment == setting.treatment):
            set_ = set_lagged if slot.lag else _set
            values[slot.name] = set_(bound, slot, values[slot.name], setting)
    check_histories(bound, outcome, settings)
    found = tuple(observation for observation in model.observations if observation.outcome == outcome)
    margins = [margin for margin in model.margins if margin.outcome == outcome]
    if not found and not margins:
        raise EstimandError("HDM520", f"`{outcome}` is not the outcome of the model.")
    open_ = frozenset(observation.slot for observation in found if observation.sequence is not None)
    lean, computed = precompute(model, ModelData(values=values, coords=data.coords), open_)
    joint = found if open_ or any(observation.rows is not None for observation in found) else ()
    return World(lean, computed, (*(m for m in margins if m.sequence is None), *found)[0], joint)


def _set(bound: Bound, slot: Slot, observed: np.ndarray, setting: Setting) -> np.ndarray:
    treatment = bound.treatments[setting.treatment]
    if treatment.arms:
        wanted = setting.value.name if isinstance(setting.value, study.Ref) else ""
        if wanted not in treatment.arms:
            arms = ", ".join(treatment.arms)
            raise EstimandError("HDM520", f"`{setting.treatment}` has no arm {wanted!r}.", f"Its arms are: {arms}.")
        chosen = np.full_like(observed, treatment.arms.index(wanted))
    else:
        rows = np.broadcast_to(row_values(bound, setting.value), (bound.rows,))
        chosen = rows[bound.levels[treatment.level].first_rows].astype(observed.dtype)
    return chosen if setting.at is None else _at(bound, treatment.level, observed, chosen, setting.at)


def _at(bound: Bound, level: str, observed: np.ndarray, chosen: np.ndarray, at: study.Occasions) -> np.ndarray:
    """Return the chosen values on some occasions and the observed ones on all others."""
    wave = bound.levels[at.wave]
    assert wave.positions is not None
    first, last = (occasion(bound, at.wave, edge) for edge in (at.first, at.last))
    positions = wave.positions[wave.rows][bound.levels[level].first_rows]
    return np.where((positions >= first) & (positions <= last), chosen, observed)


def law_arguments(world: World, draws: Draws) -> list[Value]:
    """Return the parameters of the outcome's law over draws and rows."""
    law = world.observation.law
    env = definitions(world.model, world.data, draws, law_references(law), BATCH)
    return [evaluate(argument, env) for argument in law.args]


def expected(world: World, draws: Draws, rows: int, kinds: Kinds | None = None) -> Array:
    """Return the expected potential outcome, shape (draws, rows).

    With `kinds` (where the rows are of several kinds) that of the kind drawn, (draws, parts).
    """
    law, dims = world.observation.law, world.observation.dims
    if DISTRIBUTIONS[law.distribution].support == "category":
        raise EstimandError(
            "HDM521",
            f"The values of `{world.observation.outcome}` are labels, which have no average.",
            "Use `share over UNIT of ...`.",
        )
    if world.observation.sequence is not None:
        return expected_in_sequence(world.model, world.data, world.observation, draws, rows)
    found = distributions.mean(law.distribution, law_arguments(world, draws), dims)
    return _full(world, found, draws, rows, kinds)


def chance_of_labels(world: World, draws: Draws, rows: int, chosen: Array) -> Array:
    """Return the probability that a categorical potential outcome is one of those chosen, shape (draws, rows).

    `chosen`, shape (categories,): 1 for those categories, else 0.
    """
    law, dims = world.observation.law, world.observation.dims
    found = distributions.category_probabilities(law.distribution, law_arguments(world, draws), dims, "category")
    return _full(world, Value(found.dims[:-1], found.real @ chosen), draws, rows, None)


def simulated(world: World, draws: Draws, rows: int, rng: Generator, kinds: Kinds | None = None) -> Array:
    """Return one replicate of the potential outcome for each draw and row, shape (draws, rows)."""
    if world.joint:
        pick = drawn(world.model, rng, count(draws))
        return jointly(world.model, world.data, world.joint, draws, rows, pick)
    law, dims = world.observation.law, world.observation.dims
    args = law_arguments(world, draws)
    sizes = {**world.model.sizes, "draw": count(draws)}
    found = distributions.draw(law.distribution, rng, args, (*BATCH, *dims), sizes)
    return _full(world, found, draws, rows, kinds)


def coupled(world: World, draws: Draws, rows: int, normal: Array, kinds: Kinds | None = None) -> Array:
    """Return the potential outcome at standard normal scores (a Gaussian copula), shape (draws, rows)."""
    from scipy.special import ndtr

    if world.joint:
        return jointly(world.model, world.data, world.joint, draws, rows, scored(world.data, normal))
    law, dims = world.observation.law, world.observation.dims
    probability = Value((*BATCH, *dims[: normal.ndim - 1]), ndtr(normal))
    args = law_arguments(world, draws)
    found = distributions.quantile(law.distribution, probability, args, (*BATCH, *dims))
    return _full(world, found, draws, rows, kinds)


def kinds_of(
    model: Model, data: ModelData, draws: Draws, rng: Generator, counts: NDArray[np.int64] | None, *, new: bool
) -> Kinds | None:
    """Draw which of its kinds (principal strata) each row, or unit of a row, is; None where there are no kinds.

    `new`: rows of which nothing but the covariates is known; else given the row's data. `counts`: the units of each
    row, where they are several.
    """
    mixture = mixture_of(model)
    if mixture is None:
        return None
    name = mixture.share if new else mixture.joint
    value = definitions(model, data, draws, [name], BATCH)[name]
    logits = expand(value, (*BATCH, model.unit, mixture.dim))
    sizes = model.sizes
    return drawn_kinds(np.broadcast_to(logits, (count(draws), sizes[model.unit], sizes[mixture.dim])), counts, rng)


def mixture_of(model: Model) -> Mixture | None:
    """Return the mixture of a model whose rows are of several kinds."""
    return next((margin.mixture for margin in model.margins if margin.mixture is not None), None)


def count(draws: Draws) -> int:
    """Return the number of draws."""
    return next(iter(draws.values())).shape[0] if draws else 1


def _full(world: World, value: Value, draws: Draws, rows: int, kinds: Kinds | None) -> Array:
    mixture = world.observation.mixture
    if mixture is None or kinds is None:
        array = value.real
        array = array if "draw" in value.dims else array[None]
        return np.broadcast_to(array, (count(draws), rows))
    array = expand(value, (*BATCH, *world.observation.dims))
    whole = np.broadcast_to(array, (count(draws), rows, world.model.sizes[mixture.dim]))
    return kinds.chosen(whole)


def new_groups(model: Model, data: ModelData, draws: Draws, rng: Generator | None) -> dict[str, Array]:
    """Return draws in which every unit of every level is a new one.

    Trees are a function of what the rows are like and stay as they are. Varying effects are drawn from their laws
    given the draws' hyperparameters, or set to their means where `rng` is None.
    """
    levels = {index_set.name for index_set in model.index_sets if index_set.kind == "level"}
    fresh = {v.name for v in model.variables if set(v.dims) & levels and v.law.distribution != TREES}
    kept = {name: value for name, value in draws.items() if name not in fresh}
    if not fresh:
        return dict(draws)
    number = count(draws)
    env = {slot.name: Value(slot.dims, data.values[slot.name]) for slot in model.slots}
    made: dict[str, Array] = {}
    for statement in model.statements:
        if not isinstance(statement, RandomVariable):
            env[statement.name] = evaluate(statement.value, env)
        elif statement.name in fresh:
            made[statement.name] = _fresh(model, statement, env, number, rng)
            env[statement.name] = Value((*BATCH, *statement.dims), made[statement.name])
        else:
            env[statement.name] = Value((*BATCH, *statement.dims), kept[statement.name])
    return {**kept, **made}


def _fresh(
    model: Model, variable: RandomVariable, env: Mapping[str, Value], number: int, rng: Generator | None
) -> Array:
    law, sizes = variable.law, {**model.sizes, "draw": number}
    args = [evaluate(argument, env) for argument in law.args]
    shape = tuple(sizes[dim] for dim in (*BATCH, *variable.dims))
    if rng is None:
        family = DISTRIBUTIONS[law.distribution]
        mean = law.args[family.parameters.index(family.location)] if family.location is not None else None
        if mean == Const(value=0.0):
            return np.zeros(shape)
        found = distributions.mean(law.distribution, args, variable.dims).real
        return np.broadcast_to(found, shape)
    drawn = distributions.draw(law.distribution, rng, args, (*BATCH, *variable.dims), sizes)
    return np.broadcast_to(drawn.real, shape)
