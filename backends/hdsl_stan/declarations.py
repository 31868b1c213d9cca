"""The data and parameters blocks: slots and random variables as declarations with Stan's constraints."""

from __future__ import annotations

from collections.abc import Mapping

from hdsl.model.distributions import DISTRIBUTIONS as KINDS
from hdsl.model.distributions import NESTED
from hdsl.model.ir import Expr, Model, Observation, RandomVariable, Slot, references, substitute
from hdsl.model.roles import in_words
from hdsl_stan.context import Context
from hdsl_stan.densities import DISTRIBUTIONS
from hdsl_stan.expressions import vectorised
from hdsl_stan.syntax import Declare, Expression, Number, Statement, Type, number
from hdsl_stan.values import Base, Stored, fit, sized, stored

_BOUNDS: Mapping[str, tuple[float | None, float | None]] = {
    "positive": (0, None),
    "unit": (0, 1),
    "count": (0, None),
    "binary": (0, 1),
    "category": (1, None),
}


def is_integer(model: Model, slot: Slot, shifted: frozenset[str]) -> bool:
    """Tell whether Stan takes a slot as integers.

    So it does where the slot counts trials, is an index or has a discrete law, and where it holds integers that
    have no continuous law.
    """
    laws = [each.law.distribution for each in model.observations if each.slot == slot.name]
    trials = {
        name
        for each in model.observations
        for place in DISTRIBUTIONS[each.law.distribution].integers
        for name in references(each.law.args[place])
    }
    if slot.name in trials or slot.name in shifted or any(KINDS[law].discrete for law in laws):
        return True
    return slot.dtype == "int" and not laws


def data_item(context: Context, slot: Slot) -> Statement:
    """Return the declaration of a slot, and remember how it is stored."""
    observed = {each.slot: each for each in context.model.observations}
    name = context.names[slot.name]
    whole = is_integer(context.model, slot, context.shifted)
    variable = Stored(name, slot.dims, "int") if whole else stored(name, slot.dims)
    event = slot.name in observed and KINDS[observed[slot.name].law.distribution].event
    if event and observed[slot.name].law.distribution not in ("multinormal_lowrank", *NESTED.values()):
        variable = Stored(name, slot.dims, "vector")
    context.stored[slot.name] = variable
    low, high = _slot_bounds(context, slot, observed.get(slot.name))
    type_ = sized(variable, context.sizes)
    type_ = Type(type_.base, type_.sizes, type_.arrays, low, high)
    return Declare(type_, name, comment=comment(slot.source or slot.variable or "", name))


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


def parameter(context: Context, variable: RandomVariable, constrained: bool) -> Statement:
    """Return the declaration of a random variable, and remember how it is stored."""
    name = context.names[variable.name]
    kind = KINDS[variable.law.distribution]
    event = kind.event
    base: Base = "matrix" if event == 2 else "vector"
    held = Stored(name, variable.dims, base) if event else stored(name, variable.dims)
    context.stored[variable.name] = held
    type_ = sized(held, context.sizes)
    if constrained:
        type_ = _constrained(context, variable, type_)
    return Declare(type_, name, comment=comment(in_words(variable.role), name))


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


def comment(text: str, name: str) -> str:
    """Return a one-line comment, empty where it says no more than the name."""
    line = " ".join(text.split())
    return "" if line == name else line
