"""Parameters are sampled in units of how well they are known.

x ~ normal(m, s) becomes x = c + u z, z ~ normal((m - c) / u, s / u), and likewise for the other location-scale and
scale families. Where the data say much about x, c and u are round numbers near the middle and the spread that they
leave it; else c and u are the prior's, z is standard. The sampler then starts near the posterior and on one
scale for all parameters. Preserves the joint log density up to the constant log u.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor, log10

from hdsl.model.distributions import DISTRIBUTIONS, Distribution
from hdsl.model.ir import (
    Const,
    Definition,
    Expr,
    Law,
    Model,
    ModelData,
    RandomVariable,
    add,
    const,
    div,
    mul,
    sub,
    var,
)
from hdsl.model.names import fresh
from hdsl.passes.rewrite import Statement, replaced
from hdsl.passes.whereabouts import Whereabouts, located, whereabouts

INFORMED_BELOW = 0.5


def standardise(model: Model, data: ModelData) -> Model:
    """Return the model with the parameters whose scale is known, from the prior or the data, as standard ones."""
    taken = {*model.dims_of(), *model.sizes}
    known = whereabouts(model, data)
    changes: dict[str, list[Statement]] = {}
    for variable in model.variables:
        middle, unit = _units(variable, known)
        if (middle, unit) != (0.0, 1.0):
            changes[variable.name] = _scaled(variable, middle, unit, fresh(f"{variable.name}_std", taken))
    return replaced(model, changes)


def _units(variable: RandomVariable, known: Mapping[str, Whereabouts]) -> tuple[float, float]:
    """Return c and u; 0 and 1 for a parameter that stays as it is."""
    family, found = DISTRIBUTIONS[variable.law.distribution], known.get(variable.name)
    if family.event or family.scale is None:
        return 0.0, 1.0
    location, scale = _argument(variable, family, family.location), _argument(variable, family, family.scale)
    prior = (location.value, scale.value) if isinstance(location, Const) and isinstance(scale, Const) else (0.0, 1.0)
    if found is None:
        return prior
    unit = rounded(found.spread)
    if not located(variable):
        return 0.0, unit
    if isinstance(scale, Const) and unit >= INFORMED_BELOW * scale.value and isinstance(location, Const):
        return prior
    return _tidy(round(found.middle / unit) * unit), unit


def rounded(value: float) -> float:
    """Return the nearest of 1, 2 and 5 times a power of ten, by ratio."""
    power = 10.0 ** floor(log10(value))
    return _tidy(min((k * power for k in (1, 2, 5, 10)), key=lambda each: max(each / value, value / each)))


def _tidy(value: float) -> float:
    """Return the number without the noise of binary fractions: 0.3 for 3 times 0.1."""
    return float(f"{value:.12g}")


def _argument(variable: RandomVariable, family: Distribution, parameter: str | None) -> Expr:
    return const(0) if parameter is None else variable.law.args[family.parameters.index(parameter)]


def _scaled(variable: RandomVariable, middle: float, unit: float, name: str) -> list[Statement]:
    family = DISTRIBUTIONS[variable.law.distribution]
    standard = {
        family.scale: _in_units(_argument(variable, family, family.scale), 0.0, unit),
        family.location: _in_units(_argument(variable, family, family.location), middle, unit),
    }
    args = tuple(
        standard.get(parameter, arg) for parameter, arg in zip(family.parameters, variable.law.args, strict=True)
    )
    law = Law(distribution=family.name, args=args)
    moved = variable.model_copy(update={"name": name, "law": law, "role": f"standard({variable.role})"})
    value = add(const(middle), mul(const(unit), var(name)))
    back = Definition(name=variable.name, dims=variable.dims, value=value, role=variable.role, reason=variable.reason)
    return [moved, back]


def _in_units(value: Expr, middle: float, unit: float) -> Expr:
    if isinstance(value, Const):
        return const(_tidy((value.value - middle) / unit))
    moved = value if middle == 0 else sub(value, const(middle))
    return moved if unit == 1 else div(moved, const(unit))
