"""Parameters with fixed scales are sampled in units of their prior's scale.

x ~ normal(m, s) with numbers m and s becomes x = m + s z, z ~ normal(0, 1), and likewise for the other
location-scale and scale families. The sampler then starts on one scale for all parameters. Preserves the
joint log density up to the constant log s.
"""

from __future__ import annotations

from hdsl.model.distributions import DISTRIBUTIONS, Distribution
from hdsl.model.ir import Const, Definition, Expr, Law, Model, RandomVariable, add, const, mul, var
from hdsl.model.names import fresh
from hdsl.passes.rewrite import Statement, replaced


def standardise(model: Model) -> Model:
    """Return the model with every parameter of fixed scale other than 1 written as scale times a standard one."""
    taken = {*model.dims_of(), *model.sizes}
    changes: dict[str, list[Statement]] = {}
    for variable in model.variables:
        family = DISTRIBUTIONS[variable.law.distribution]
        if family.event == 0 and family.scale is not None and _fixed(variable, family):
            changes[variable.name] = _scaled(variable, family, fresh(f"{variable.name}_std", taken))
    return replaced(model, changes)


def _argument(variable: RandomVariable, family: Distribution, parameter: str | None) -> Expr:
    return const(0) if parameter is None else variable.law.args[family.parameters.index(parameter)]


def _fixed(variable: RandomVariable, family: Distribution) -> bool:
    scale = _argument(variable, family, family.scale)
    location = _argument(variable, family, family.location)
    numbers = isinstance(scale, Const) and isinstance(location, Const)
    return numbers and (scale, location) != (const(1), const(0))


def _scaled(variable: RandomVariable, family: Distribution, name: str) -> list[Statement]:
    standard = {family.scale: const(1), family.location: const(0)}
    args = tuple(
        standard.get(parameter, arg) for parameter, arg in zip(family.parameters, variable.law.args, strict=True)
    )
    law = Law(distribution=family.name, args=args)
    moved = variable.model_copy(update={"name": name, "law": law, "role": f"standard({variable.role})"})
    scale = _argument(variable, family, family.scale)
    value = add(_argument(variable, family, family.location), mul(scale, var(name)))
    back = Definition(name=variable.name, dims=variable.dims, value=value, role=variable.role, reason=variable.reason)
    return [moved, back]
