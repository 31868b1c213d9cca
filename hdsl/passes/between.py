"""Intercepts of units of which the data tell very different amounts are sampled between centred and non-centred.

zeta ~ normal(w mean, s (sd / s)^w), deviation = (sd / s)^(1 - w) (zeta - w mean), s a typical value of sd: for w = 1
zeta is the unit's total, the centred form, for w = 0 its standardised deviation in units of s, the non-centred one
(Gorinova, Moore & Hoffman 2020). Each unit has the w = r / (1 + r) of its own data, r their information over the
prior's: for a Gaussian outcome and sd = s its zeta is then independent of the mean a posteriori (Papaspiliopoulos,
Roberts & Skold 2007). Preserves the joint log density up to the Jacobian of an affine map.
"""

from __future__ import annotations

import numpy as np

from hdsl.model.ir import Definition, Law, Model, ModelData, RandomVariable, Slot, apply, const, div, mul, sub, var
from hdsl.model.names import fresh
from hdsl.model.sums import total_of, without
from hdsl.passes.informed import informed_units
from hdsl.passes.noncentre import BETWEEN, moved_mean, varying_effects
from hdsl.passes.rewrite import replaced
from hdsl.reference.values import Array

SPREAD_ABOVE = 0.5
FEWEST = 5


def between_forms(model: Model, data: ModelData) -> tuple[Model, ModelData]:
    """Return the model with intercepts whose units are unevenly informed in forms of their own; others stay.

    An intercept that is all that varies, normally, over at least `FEWEST` units is so where w differs by more than
    `SPREAD_ABOVE` between two of them. The data gain a slot of the w, `..._share`.
    """
    varying = varying_effects(model)
    if len(varying) != 1:
        return model, data
    shares, typical = _shares(model, data, varying[0])
    if len(shares) < FEWEST or np.ptp(shares) <= SPREAD_ABOVE:
        return model, data
    return partly_centred(model, data, varying[0], shares, typical)


def _shares(model: Model, data: ModelData, variable: RandomVariable) -> tuple[Array, float]:
    """Return how far each unit is centred, and the typical spread between them; nothing where that is not known."""
    nothing = np.zeros(0), 1.0
    alone = variable.law.distribution == "normal" and len(variable.dims) == 1
    if not alone or not variable.role.startswith("deviation(intercept, "):
        return nothing
    found = informed_units(model, data, variable)
    if found is None or total_of(model, var(variable.name)) is None:
        return nothing
    ratio, spread = found
    if not np.all(np.isfinite(ratio)) or not 0 < spread < np.inf:
        return nothing
    return np.round(ratio / (1 + ratio), 3), float(f"{spread:.2g}")


def partly_centred(
    model: Model, data: ModelData, variable: RandomVariable, shares: Array, typical: float
) -> tuple[Model, ModelData]:
    """Return the model with a deviation in the form between, `shares` w of shape (units,), `typical` s."""
    part = var(variable.name)
    total = total_of(model, part)
    assert total is not None
    mean, _ = moved_mean(without(total.value, part), total, model)
    taken = {*model.dims_of(), *model.sizes}
    raw, share = fresh(f"{variable.name}_between", taken), fresh(f"{variable.name}_share", taken)
    unit, w = div(variable.law.args[1], const(typical)), var(share)
    law = Law(distribution="normal", args=(mul(w, mean), mul(const(typical), apply("pow", unit, w))))
    moved = variable.model_copy(update={"name": raw, "law": law, "role": f"{BETWEEN}{variable.role})"})
    value = mul(apply("pow", unit, sub(const(1), w)), sub(var(raw), mul(w, mean)))
    back = Definition(name=variable.name, dims=variable.dims, value=value, role=variable.role, reason=variable.reason)
    slot = Slot(name=share, dims=variable.dims, source="how far each unit is centred, from what its data tell")
    model = replaced(model, {variable.name: [moved, back]})
    model = model.model_copy(update={"slots": (*model.slots, slot)})
    return model, ModelData(values={**data.values, share: shares}, coords=data.coords)


__all__ = ["between_forms", "partly_centred"]
