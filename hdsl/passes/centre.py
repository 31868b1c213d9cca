"""Intercepts (and moderated effects) are sampled as their values for average predictors.

With x' = x - mean(x), intercept + slope x = (intercept + slope mean(x)) + slope x'; the bracket is nearly
independent of the slope. The derivation names the difference in a definition of role `shift(ROLE)`.
Preserves the joint log density: a shift has the Jacobian 1.
"""

from __future__ import annotations

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Definition, Expr, Law, Model, RandomVariable, sub, var
from hdsl.model.names import fresh
from hdsl.model.sums import plus
from hdsl.passes.rewrite import Statement, replaced


def centre(model: Model) -> Model:
    """Return the model with each shifted parameter replaced by its centred form."""
    shifts = {s.role: s.name for s in model.definitions if s.role is not None and s.role.startswith("shift(")}
    taken = {*model.dims_of(), *model.sizes}
    changes: dict[str, list[Statement]] = {}
    for variable in model.variables:
        shift = shifts.get(f"shift({variable.role})")
        located = DISTRIBUTIONS[variable.law.distribution].location
        if shift is not None and located is not None:
            changes[variable.name] = _shifted(variable, var(shift), located, fresh(f"{variable.name}_centred", taken))
    return replaced(model, changes)


def _shifted(variable: RandomVariable, shift: Expr, located: str, name: str) -> list[Statement]:
    place = DISTRIBUTIONS[variable.law.distribution].parameters.index(located)
    args = list(variable.law.args)
    args[place] = plus(args[place], shift)
    law = Law(distribution=variable.law.distribution, args=tuple(args))
    moved = variable.model_copy(
        update={"name": name, "law": law, "role": f"centred({variable.role})", "reason": "for average predictors"}
    )
    back = Definition(
        name=variable.name, dims=variable.dims, value=sub(var(name), shift), role=variable.role, reason=variable.reason
    )
    return [moved, back]
