"""A Model as a Stan program.

Definitions that follow from data alone are transformed data; those over the rows are local to the blocks that
use them; the rest are transformed parameters. The program has the per-row log likelihood and replicated
outcomes as generated quantities, which are empty unless the data item `predict` is 1: they are wide, and hdsl
computes them from the draws, so that one program serves both to read and to sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from hdsl.model.distributions import DISTRIBUTIONS as KINDS
from hdsl.model.ir import (
    Definition,
    Expr,
    Factor,
    Model,
    Observation,
    RandomVariable,
    Slot,
    references,
    substitute,
)
from hdsl_stan import likelihood, priors
from hdsl_stan.context import POSITIONS, Context, start
from hdsl_stan.expressions import declare, lower, vectorised
from hdsl_stan.linear import inlined_mean
from hdsl_stan.names import fresh
from hdsl_stan.syntax import (
    Assign,
    Braces,
    Conditional,
    Declare,
    Expression,
    If,
    Name,
    Number,
    StanProgram,
    Statement,
    Target,
    Type,
    call,
    number,
)
from hdsl_stan.user_functions import FUNCTIONS as USER_FUNCTIONS
from hdsl_stan.user_functions import used
from hdsl_stan.values import Base, Stored, fit, sized, stored

_BOUNDS: Mapping[str, tuple[float | None, float | None]] = {
    "positive": (0, None),
    "unit": (0, 1),
    "count": (0, None),
    "binary": (0, 1),
    "category": (1, None),
}


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
    slots that count from 1; `predict` is the switch of the generated quantities. `parameters` are the declared
    random variables, by their names in the Model.
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
    context = start(model, names_of(model))
    predict = context.fresh("predict")
    slots = [_slot(context, slot) for slot in used_slots(model)]
    _fixed_definitions(context)
    parameters = tuple(_parameter(context, variable, constrained) for variable in model.variables)
    derived = _derived(context)
    block = _model_block(context)
    generated = tuple(_generated(context, predict))
    tree = StanProgram(
        header=(model.name,),
        functions=used(context.functions),
        transformed_data=tuple(context.transformed_data),
        parameters=parameters,
        transformed_parameters=tuple(derived),
        model=tuple(block),
        generated_quantities=generated,
    )
    sizes = _sizes_named(context, (tree, tuple(slots)))
    declared = tuple(Declare(Type("int", lower=Number(0)), size) for size in sizes.values())
    switch = Type("int", lower=Number(0), upper=Number(1))
    last = Declare(switch, predict, comment="1: also give log_lik and replicated outcomes")
    return Lowered(
        tree=replace(tree, data=(*declared, *slots, last)),
        sizes=sizes,
        slots={slot.name: context.names[slot.name] for slot in used_slots(model)},
        shifted=context.shifted,
        predict=predict,
        parameters={variable.name: context.stored[variable.name] for variable in model.variables},
    )


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


def used_slots(model: Model) -> tuple[Slot, ...]:
    """Return the slots that the density of a model refers to."""
    names: set[str] = set()
    for expr in _all_expressions(model):
        names |= references(expr)
    for observation in model.observations:
        names |= {observation.slot, observation.weight or "", observation.event or ""}
    return tuple(slot for slot in model.slots if slot.name in names)


def _all_expressions(model: Model) -> Iterable[Expr]:
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            yield from statement.law.args
        else:
            yield statement.value
    for observation in model.observations:
        yield from observation.law.args
    for factor in model.factors:
        yield factor.value


def _slot(context: Context, slot: Slot) -> Statement:
    observed = {each.slot: each for each in context.model.observations}
    name = context.names[slot.name]
    variable = Stored(name, slot.dims, "int") if slot.dtype == "int" else stored(name, slot.dims)
    context.stored[slot.name] = variable
    low, high = _slot_bounds(context, slot, observed.get(slot.name))
    type_ = sized(variable, context.sizes)
    type_ = Type(type_.base, type_.sizes, type_.arrays, low, high)
    return Declare(type_, name, comment=_one_line(slot.source or slot.variable or ""))


def _slot_bounds(
    context: Context, slot: Slot, observation: Observation | None
) -> tuple[Expression | None, Expression | None]:
    if slot.indexes is not None and slot.dtype == "int":
        return Number(1), context.sizes[slot.indexes]
    roles = context.model.observations
    if any(slot.name == each.weight for each in roles):
        return Number(0), None
    if any(slot.name == each.event for each in roles):
        return Number(0), Number(1)
    if observation is None:
        return (Number(1), None) if slot.name in context.shifted else (None, None)
    support = KINDS[observation.law.distribution].support
    low, high = _BOUNDS.get(support, (None, None))
    return (None if low is None else number(low)), (None if high is None else number(high))


def _fixed_definitions(context: Context) -> None:
    """Declare the definitions that follow from data alone."""
    context.body = []
    for definition in context.model.definitions:
        if references(definition.value) <= context.fixed and references(definition.value):
            _define(context, definition)
            context.transformed_data += context.body
            context.body = []
            context.fixed.add(definition.name)


def _define(context: Context, definition: Definition) -> None:
    """Declare a definition in the block now being written."""
    variable = stored(context.names[definition.name], definition.dims)
    declare(context, variable, definition.value, _one_line(definition.role or ""))
    context.stored[definition.name] = variable


def _parameter(context: Context, variable: RandomVariable, constrained: bool) -> Statement:
    name = context.names[variable.name]
    kind = KINDS[variable.law.distribution]
    event = kind.event
    base: Base = "matrix" if event == 2 else "vector"
    held = Stored(name, variable.dims, base) if event else stored(name, variable.dims)
    context.stored[variable.name] = held
    type_ = sized(held, context.sizes)
    if constrained:
        type_ = _constrained(context, variable, type_)
    return Declare(type_, name, comment=_one_line(variable.role))


def _constrained(context: Context, variable: RandomVariable, type_: Type) -> Type:
    support = KINDS[variable.law.distribution].support
    if support == "cholesky_corr":
        return Type("cholesky_factor_corr", type_.sizes[:1], type_.arrays)
    if support == "ordered":
        return Type("ordered", type_.sizes, type_.arrays)
    if support == "simplex":
        return Type("simplex", type_.sizes, type_.arrays)
    if support == "interval":
        low, high = (_bound(context, variable, arg) for arg in variable.law.args)
        return Type(type_.base, type_.sizes, type_.arrays, low, high)
    bounds = _BOUNDS.get(support, (None, None))
    low, high = (None if bound is None else number(bound) for bound in bounds)
    return Type(type_.base, type_.sizes, type_.arrays, low, high)


def _bound(context: Context, variable: RandomVariable, arg: Expr) -> Expression:
    """Return a bound in terms of data and parameters: definitions of parameters are written out."""
    written = {each.name: each.value for each in context.model.definitions if each.name not in context.fixed}
    while references(arg) & written.keys():
        arg = substitute(arg, written)
    value = vectorised(context, arg, {})
    dims = variable.dims
    return value.node if not value.dims or len(dims) < 2 else fit(value, dims, context.sizes).node


def _is_local(context: Context, definition: Definition, local: set[str]) -> bool:
    return context.model.unit in definition.dims or bool(references(definition.value) & local)


def local_definitions(context: Context) -> list[Definition]:
    """Return the definitions that are local to the model block: those over the rows, and what needs them."""
    found: list[Definition] = []
    names: set[str] = set()
    for definition in context.model.definitions:
        if definition.name not in context.fixed and _is_local(context, definition, names):
            found.append(definition)
            names.add(definition.name)
    return found


def _derived(context: Context) -> list[Statement]:
    """Declare the other definitions as transformed parameters, their working variables in braces."""
    local = {definition.name for definition in local_definitions(context)}
    statements: list[Statement] = []
    for definition in context.model.definitions:
        if definition.name in context.fixed or definition.name in local:
            continue
        context.body = []
        _define(context, definition)
        statements += _without_temporaries(context.body, context.names[definition.name])
    return statements


def _without_temporaries(body: list[Statement], name: str) -> list[Statement]:
    """Return the statements that declare `name`, with other variables hidden in braces."""
    declared = [each for each in body if isinstance(each, Declare)]
    if len(declared) <= 1:
        return body
    own = next(each for each in declared if each.name == name)
    rest: list[Statement] = []
    for each in body:
        if each is not own:
            rest.append(each)
        elif own.value is not None:
            rest.append(Assign(Name(name), own.value))
    return [Declare(own.type, own.name, None, own.comment), Braces(tuple(rest))]


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
            _define(context, definition)
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


def _generated(context: Context, predict: str) -> list[Statement]:
    """Declare log likelihoods and replicates, filled where `predict` is 1."""
    observations = context.model.observations
    declared: list[Statement] = []
    filled: list[tuple[Observation, Stored, Stored]] = []
    for observation in observations:
        suffix = "" if len(observations) == 1 else f"_{context.names[observation.slot]}"
        discrete = KINDS[observation.law.distribution].discrete
        log_lik = Stored(context.fresh(f"log_lik{suffix}"), observation.dims, "real")
        wanted = f"{context.names[observation.slot]}_rep"
        replicate = Stored(context.fresh(wanted), observation.dims, "int" if discrete else "real")
        for each in (log_lik, replicate):
            sizes = [context.sizes[dim] for dim in observation.dims]
            if sizes:
                sizes[0] = Conditional(Name(predict), sizes[0], Number(0))
            declared.append(Declare(Type(each.base, arrays=tuple(sizes)), each.name))
        filled.append((observation, log_lik, replicate))
    context.body = []
    for definition in _needed(context, observations):
        _define(context, definition)
    for observation, log_lik, replicate in filled:
        likelihood.generated(context, observation, log_lik, replicate)
    body = tuple(context.body)
    return [*declared, If(Name(predict), body)] if declared else []


def _needed(context: Context, observations: Iterable[Observation]) -> list[Definition]:
    """Return the local definitions that the laws of data need, in order."""
    wanted: set[str] = set()
    for observation in observations:
        for arg in observation.law.args:
            wanted |= references(arg)
    needed: list[Definition] = []
    for definition in reversed(local_definitions(context)):
        if definition.name in wanted:
            needed.insert(0, definition)
            wanted |= references(definition.value)
    return needed


def _one_line(text: str) -> str:
    return " ".join(text.split())
