"""How a model is sampled, in words: when exact draws are accepted, in which form NUTS has effects, where it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from hdsl.backend import Settings
from hdsl.inference.choose import Choice
from hdsl.inference.diagnose import ESS_PER_CHAIN
from hdsl.inference.exact import emulator
from hdsl.inference.exact.accept import LEAST_SHARE, least_effective
from hdsl.inference.exact.density import per_point
from hdsl.inference.exact.importance import KHAT_LIMIT
from hdsl.inference.exact.run import EMULATED
from hdsl.inference.quadrature.run import LARGEST_ERROR, NODE_ERROR
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Apply, Const, Expr, Model, ModelData, RandomVariable, Var, const
from hdsl.passes.noncentre import BETWEEN, varying_effects

WRAPPERS = ("standard(", "total(", "anchored(", "centred(", BETWEEN)


def criteria(choice: Choice, settings: Settings) -> list[str]:
    """Return when exact draws are accepted; `choice` is for such draws."""
    if choice.marginal is not None and choice.marginal.size == 0:
        return ["nothing is left: draws are independent, and there are no weights to judge"]
    least = least_effective(settings.chains, settings.chains * settings.draws)
    found = [
        f"accepted if the Pareto k-hat of the importance weights is below {KHAT_LIMIT:g} and at least {least:,.0f} "
        f"draws are effective ({ESS_PER_CHAIN} per chain; {LEAST_SHARE:.0%} of all, where that is less): of the "
        "weights, and of each parameter left, in bulk and tails, in the chains made of them",
    ]
    marginal, grouped = choice.marginal, choice.grouped
    if grouped is not None and grouped.size:
        found.append(
            f"quadrature has as many nodes as leave the log density an error below {NODE_ERROR:g}; "
            f"above {LARGEST_ERROR:g} with the most, draws are not accepted"
        )
    if marginal is not None and per_point(marginal) > EMULATED and marginal.size <= emulator.MOST_HYPERPARAMETERS:
        found.append(
            f"the log density is interpolated if that leaves it an error below {emulator.LARGEST_ERROR:g}, "
            "else each draw has its own"
        )
    return found


def sampled_in_words(model: Model, prepared: Model, values: ModelData) -> list[str]:
    """Return in which form NUTS samples effects, and around what its chains start.

    Parameters
    ----------
    model : Model
        Before the passes that parameters are moved and scaled by.
    prepared, values
        After them (`hdsl.passes.prepare`).
    """
    effects = varying_effects(model)
    forms = [f"{effect.role}: {_form(effect, prepared, values)}" for effect in effects]
    return [*forms, *_anchors(prepared), *_starts(prepared, [effect.role for effect in effects])]


def _form(effect: RandomVariable, prepared: Model, values: ModelData) -> str:
    """Return the form of an effect, told from the variables that stand in its place."""
    place = {variable.role: variable for variable in prepared.variables}
    total, standard = f"total({effect.role})", f"standard({effect.role})"
    between = place.get(f"{BETWEEN}{effect.role})")
    if between is not None:
        share = _power(between.law.args[-1])
        assert isinstance(share, Var)
        low, high = np.min(values.values[share.name]), np.max(values.values[share.name])
        return f"each unit between non-centred (0) and centred (1), at {low:.2g} to {high:.2g}"
    if total in place or f"standard({total})" in place:
        joint = any(role.startswith(f"standard({effect.role}, ") for role in place)
        return "the first of them centred, the others non-centred given it" if joint else "centred"
    if standard in place:
        share = _power(place[standard].law.args[-1])
        partly = isinstance(share, Const)
        return f"between non-centred (0) and centred (1), at {share.value:g}" if partly else "non-centred"
    return "as it is declared"


def _power(scale: Expr) -> Expr | None:
    """Return w of a spread s (sd / s)^w."""
    if not isinstance(scale, Apply):
        return None
    if scale.function == "pow":
        return scale.args[1]
    return next((found for found in map(_power, scale.args) if found is not None), None)


def _anchors(prepared: Model) -> Iterator[str]:
    """Yield which coefficients are sampled together with what varies around them."""
    roles = [_bare(variable.role) for variable in prepared.variables if "anchored(" in variable.role]
    if roles:
        yield f"sampled together with the mean of the non-centred deviations from them: {', '.join(roles)}"


def _starts(prepared: Model, effects: Iterable[str]) -> list[str]:
    """Return around what chains start, and in which units parameters are sampled."""
    varying = set(effects)
    found = [
        _bare(variable.role)
        for variable in prepared.variables
        if variable.role.startswith("standard(") and _bare(variable.role) not in varying and _moved(variable)
    ]
    if not found:
        return ["chains start around the middles of the priors, in their units"]
    return [
        "chains start around the mode with deviations at zero, in units of the curvature there (Laplace), "
        f"for {', '.join(found)}; around the middles of their priors for all else"
    ]


def _moved(variable: RandomVariable) -> bool:
    """Return whether the data say in which units a parameter is sampled: its law is then not the standard one."""
    family = DISTRIBUTIONS[variable.law.distribution]
    numbers = dict(zip(family.parameters, variable.law.args, strict=True))
    standard = {family.location: const(0), family.scale: const(1)}
    return any(numbers[name] != value for name, value in standard.items() if name is not None)


def _bare(role: str) -> str:
    """Return a role without what passes have put around it."""
    for wrapper in WRAPPERS:
        if role.startswith(wrapper):
            return _bare(role.removeprefix(wrapper).removesuffix(")"))
    return role
