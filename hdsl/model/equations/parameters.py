"""Laws of parameters: one number, one per unit of a level, or several that vary together.

A law on a level whose mean or spread is estimated is written as the mean plus a deviation (a random variable
of role `deviation(alpha, school)`). So setting a treatment moves the mean and keeps the deviation, and passes
choose between the centred and the non-centred form, as in derived models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hdsl.design import expr as study
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.equations.arguments import Argument, is_estimated, is_treated, read_arguments
from hdsl.model.equations.joint import add_joint
from hdsl.model.equations.laws import JOINT, PARAMETER_LAWS, Form, arguments, forms_of
from hdsl.model.equations.names import Scope
from hdsl.model.equations.placed import INF, REAL, Placed, Range
from hdsl.model.equations.program import Target
from hdsl.model.equations.translate import at, translate
from hdsl.model.equations.words import DEFINED, REASON
from hdsl.model.ir import Dims, Expr, Law, Var, add, apply, const, mul, references

SHAPED = ("lkj_cholesky", "ordered_normal")


def add_law(scope: Scope, targets: tuple[Target, ...], call: study.Call) -> None:
    """Add the random variables of a law of parameters, and the definitions that belong to them."""
    if call.function == JOINT:
        add_joint(scope, targets, call)
        return
    target, *others = targets
    if others:
        names = ", ".join(target.role for target in targets)
        raise NotDerivable(
            "HDM646", f"`{names}` cannot share the law `{call.function}`.", f"Write one law each, or `{JOINT}(...)`."
        )
    form, args = arguments(call, forms_of(call, PARAMETER_LAWS, f"the parameter `{target.role}`"))
    found = read_arguments(scope, form, args, target.level, f"`{target.role}`")
    if form.distribution in SHAPED:
        scope.shapes[target.name] = _shape(target, form, found)
        return
    if target.level is None:
        law = Law(distribution=form.distribution, args=_placed(scope, target, found))
        made = scope.draft.random(target.role, law, reason=REASON, text=target.name)
        scope.made[target.name] = Placed(made, None, support(form, found))
        return
    _on_level(scope, target, form, found)


def add_definition(scope: Scope, target: Target, value: study.Expr) -> None:
    """Add a definition, `name = expr` or `name[level] = expr`."""
    found = translate(scope, value, target.level)
    expr = at(scope, found, target.level, f"`{target.role}`")
    if target.level is not None and found.level is None:
        expr = add(expr, zeros(scope, target.level))
    made = scope.draft.define(target.name, expr, role=target.role, reason=DEFINED)
    values = found.values if found.level == target.level else None
    scope.made[target.name] = Placed(made, target.level, found.range, values)


def zeros(scope: Scope, level: str) -> Var:
    """Return a slot of zeros, which makes of one value one value per unit."""
    draft = scope.draft
    key = ("zeros", level)
    if key not in draft.cache:
        values = np.zeros(draft.bound.levels[level].size)
        draft.cache[key] = draft.slot(f"zeros {level}", (draft.level(level),), values, source=f"zero for each {level}")
    return draft.cache[key]


def support(form: Form, found: Sequence[Argument]) -> Range:
    """Return the range of a parameter with a law."""
    kind = DISTRIBUTIONS[form.distribution].support
    if kind == "interval":
        return found[0].value.range[0], found[1].value.range[1]
    return {"positive": (0.0, INF), "unit": (0.0, 1.0)}.get(kind, REAL)


def _placed(scope: Scope, target: Target, found: Sequence[Argument]) -> tuple[Expr, ...]:
    return tuple(at(scope, argument.value, target.level, f"`{target.role}`") for argument in found)


def _shape(target: Target, form: Form, found: Sequence[Argument]) -> Law:
    what = "the number of effects" if form.distribution == "lkj_cholesky" else "the number of categories"
    if target.level is not None:
        raise NotDerivable("HDM644", f"`{target.role}`: its size is {what}.", f"Write `{target.name} ~ ...`.")
    if any(argument.value.level is not None for argument in found):
        raise NotDerivable(
            "HDM645", f"`{target.name}` has one law for all units.", "Its arguments are numbers and parameters."
        )
    return Law(distribution=form.distribution, args=tuple(argument.value.expr for argument in found))


def _on_level(scope: Scope, target: Target, form: Form, found: Sequence[Argument]) -> None:
    args = _placed(scope, target, found)
    law = Law(distribution=form.distribution, args=args)
    if not any(is_estimated(scope, arg) or references(arg) for arg in args):
        made = _random(scope, target.role, law, target)
    elif form.distribution == "lognormal":
        total = _deviating(scope, target, f"log({target.name})", Law(distribution="normal", args=args))
        made = scope.draft.define(target.name, apply("exp", total), role=target.role, reason=REASON)
    elif DISTRIBUTIONS[form.distribution].location is not None:
        made = _deviating(scope, target, target.name, law)
    elif any(is_treated(scope, arg) for arg in args):
        raise NotDerivable(
            "HDM654",
            f"The {form.distribution} law of `{target.role}` depends on a treatment, so there is no deviation to keep "
            "when the treatment is set.",
            "Use a normal, student or lognormal law.",
        )
    else:
        made = _random(scope, target.role, law, target)
    scope.made[target.name] = Placed(made, target.level, support(form, found))


def _random(scope: Scope, role: str, law: Law, target: Target) -> Var:
    dims: Dims = (scope.draft.level(target.level),) if target.level is not None else ()
    return scope.draft.random(role, law, dims, REASON, text=target.name)


def _deviating(scope: Scope, target: Target, name: str, law: Law) -> Var:
    """Write a law of a location family as its mean plus a deviation and return the total.

    Where the spread depends on a treatment the deviation is kept in units of the spread.
    """
    family = DISTRIBUTIONS[law.distribution]
    place, spread = family.parameters.index(str(family.location)), family.parameters.index(str(family.scale))
    args, mean, scale = list(law.args), law.args[place], law.args[spread]
    others = [arg for k, arg in enumerate(args) if k not in (place, spread)]
    if any(is_treated(scope, arg) for arg in others):
        raise NotDerivable(
            "HDM654",
            f"Only the mean and the spread of `{target.role}` can depend on a treatment.",
            "Take the treatment out of the other arguments.",
        )
    standard = is_treated(scope, scale)
    args[place] = const(0)
    if standard:
        args[spread] = const(1)
    word = "standard" if standard else "deviation"
    centred = Law(distribution=law.distribution, args=tuple(args))
    dims: Dims = (scope.draft.level(str(target.level)),)
    deviation = scope.draft.random(f"{word}({name}, {target.level})", centred, dims, REASON)
    total = add(mean, mul(scale, deviation) if standard else deviation)
    role = f"{name}[{', '.join(target.index)}]"
    return scope.draft.define(name, total, role=role, reason=REASON)
