"""A Model as a Stan program.

Definitions that follow from data alone are transformed data; those over the rows are local to the blocks that
use them; the rest are transformed parameters. The program has the per-row log likelihood and replicated
outcomes as generated quantities, which are empty unless the data item `predict` is 1: they are wide, and hdsl
computes them from the draws, so that one program serves both to read and to sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from hdsl.model.ir import (
    Factor,
    Model,
    RandomVariable,
    Slot,
    references,
)
from hdsl.model.walk import needed
from hdsl_stan import likelihood, priors
from hdsl_stan.context import POSITIONS, Context, start
from hdsl_stan.declarations import data_item, parameter
from hdsl_stan.definitions import declare_fixed, define, local_definitions, transformed_parameters
from hdsl_stan.expressions import lower
from hdsl_stan.generated import generated_quantities
from hdsl_stan.linear import inlined_mean
from hdsl_stan.names import fresh
from hdsl_stan.syntax import (
    Declare,
    Name,
    Number,
    StanProgram,
    Statement,
    Target,
    Type,
    call,
)
from hdsl_stan.user_functions import FUNCTIONS as USER_FUNCTIONS
from hdsl_stan.user_functions import used
from hdsl_stan.values import Stored


def names_of(model: Model) -> dict[str, str]:
    """Return the Stan name of each slot, random variable and definition."""
    names: dict[str, str] = {}
    for value in (*model.slots, *model.statements):
        names[value.name] = fresh(value.name, {*names.values(), *USER_FUNCTIONS, POSITIONS})
    return names


@dataclass(frozen=True)
class Lowered:
    """A program and what its data block takes.

    `sizes` maps index sets to the names of their sizes, `slots` the Model's slots to theirs; `shifted` are the
    slots that count from 1; `predict` is the switch of the generated quantities, empty where there are none.
    `parameters` are the declared random variables, by their names in the Model.
    """

    tree: StanProgram
    sizes: Mapping[str, str]
    slots: Mapping[str, str]
    shifted: frozenset[str]
    predict: str
    parameters: Mapping[str, Stored]


def lowered(model: Model, constrained: bool = True) -> Lowered:
    """Return the Stan program of a model.

    With `constrained` False the parameters are declared without constraints, so that the density and its
    gradient are those of the entries as given; this serves to check them, not to sample.
    """
    model = _without_idle(model)
    context = start(model, names_of(model))
    predict = context.fresh("predict")
    slots = [data_item(context, slot) for slot in _used_slots(model)]
    declare_fixed(context)
    parameters = tuple(parameter(context, variable, constrained) for variable in model.variables)
    derived = transformed_parameters(context)
    before = set(context.taken)
    block = _model_block(context)
    context.release(before)
    generated = tuple(generated_quantities(context, predict))
    tree = StanProgram(
        header=(model.name, *model.notes),
        functions=used(context.functions),
        transformed_data=tuple(context.transformed_data),
        parameters=parameters,
        transformed_parameters=tuple(derived),
        model=tuple(block),
        generated_quantities=generated,
    )
    sizes = _sizes_named(context, (tree, tuple(slots)))
    declared = tuple(Declare(Type("int", lower=Number(0)), size) for size in dict.fromkeys(sizes.values()))
    switch = Type("int", lower=Number(0), upper=Number(1))
    last = Declare(switch, predict, comment="1: also give log_lik and replicated outcomes")
    wanted = (last,) if generated else ()
    return Lowered(
        tree=replace(tree, data=(*declared, *slots, *wanted)),
        sizes=sizes,
        slots={slot.name: context.names[slot.name] for slot in _used_slots(model)},
        shifted=context.shifted,
        predict=predict if generated else "",
        parameters={variable.name: context.stored[variable.name] for variable in model.variables},
    )


def _without_idle(model: Model) -> Model:
    """Return the model without the definitions on which its density does not rest."""
    kept = needed(model)
    statements = tuple(s for s in model.statements if isinstance(s, RandomVariable) or s.name in kept)
    return model.model_copy(update={"statements": statements})


def _used_slots(model: Model) -> tuple[Slot, ...]:
    """Return the slots that the density of a model refers to."""
    names = needed(model)
    return tuple(slot for slot in model.slots if slot.name in names)


def _sizes_named(context: Context, tree: object) -> dict[str, str]:
    """Return the names of the sizes that a tree refers to, by index set."""
    mentioned = _names_in(tree)
    found: dict[str, str] = {}
    for index_set, size in context.sizes.items():
        assert isinstance(size, Name)
        if size.name in mentioned:
            found[index_set] = size.name
    return found


def _names_in(node: object) -> set[str]:
    if isinstance(node, Name):
        return {node.name}
    if isinstance(node, tuple):
        return set[str]().union(*(_names_in(each) for each in node))
    if is_dataclass(node):
        return set[str]().union(*(_names_in(getattr(node, each.name)) for each in fields(node)))
    return set()


def _model_block(context: Context) -> list[Statement]:
    local = local_definitions(context)
    context.body = []
    waiting = {definition.name for definition in local}
    for variable in context.model.variables:
        if not any(references(arg) & waiting for arg in variable.law.args):
            priors.prior(context, variable)
    means = {found[0] for each in context.model.observations if (found := inlined_mean(context, each))}
    for definition in local:
        if definition.name not in means:
            define(context, definition)
    for variable in context.model.variables:
        if any(references(arg) & waiting for arg in variable.law.args):
            priors.prior(context, variable)
    for observation in context.model.observations:
        likelihood.likelihood(context, observation)
    for factor in context.model.factors:
        _factor(context, factor)
    return context.body


def _factor(context: Context, factor: Factor) -> None:
    value = lower(context, factor.value, {})
    node = call("sum", value.node) if value.dims else value.node
    context.body.append(Target(node))
