"""Varying effects are sampled centred or non-centred, as the data inform them.

Non-centred: deviation = sd z, z ~ normal(0, 1). Centred: total ~ normal(mean, sd), deviation = total - mean.
With little data per group the posterior of a deviation follows its prior, and the non-centred form has the
easier geometry; with much data the centred one has (Betancourt & Girolami 2015). Both preserve the joint
log density up to the Jacobian of an affine map.
"""

from __future__ import annotations

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import (
    Apply,
    Definition,
    Expr,
    Law,
    Model,
    ModelData,
    RandomVariable,
    Var,
    column,
    const,
    dot,
    mul,
    references,
    stack,
    sub,
    substitute,
    var,
)
from hdsl.model.names import fresh
from hdsl.model.sums import is_summand, parts_of, total_of, without
from hdsl.passes.informed import informed
from hdsl.passes.rewrite import Statement, in_order, replaced

CENTRED_ABOVE = 10.0


def reparameterise(model: Model, data: ModelData) -> Model:
    """Return the model with each varying effect in the form that suits how much the data say about it."""
    for variable in _varying(model):
        centred = None
        if informed(model, data, variable) > CENTRED_ABOVE:
            centred = _centred(model, variable)
        model = centred if centred is not None else _noncentred(model, variable)
    return model


def _varying(model: Model) -> list[RandomVariable]:
    """Return the deviations: laws with mean zero, estimated spread, over the units of a level."""
    levels = {index_set.name for index_set in model.index_sets if index_set.kind == "level"}
    found: list[RandomVariable] = []
    for variable in model.variables:
        family = DISTRIBUTIONS[variable.law.distribution]
        if family.location is None or family.name not in ("normal", "student", "multinormal_cholesky"):
            continue
        mean = variable.law.args[family.parameters.index(family.location)]
        scale = variable.law.args[-1]
        if mean == const(0) and references(scale) and set(variable.dims) & levels:
            found.append(variable)
    return found


def _noncentred(model: Model, variable: RandomVariable) -> Model:
    name = fresh(f"{variable.name}_z", {*model.dims_of(), *model.sizes})
    if variable.law.distribution == "multinormal_cholesky":
        raw, value = _standard_vectors(model, variable, name)
    else:
        args = (*variable.law.args[:-1], const(1))
        law = Law(distribution=variable.law.distribution, args=args)
        raw = variable.model_copy(update={"name": name, "law": law, "role": f"standard({variable.role})"})
        value = mul(variable.law.args[-1], var(name))
    back = Definition(
        name=variable.name, dims=variable.dims, value=value, role=variable.role, reason=variable.reason
    )
    return replaced(model, {variable.name: [raw, back]})


def _standard_vectors(model: Model, variable: RandomVariable, name: str) -> tuple[RandomVariable, Expr]:
    """Return z of independent standard normals and the deviations L z, L the Cholesky factor of the covariance."""
    from hdsl.model.functions import dims_of

    cholesky = variable.law.args[1]
    other = dims_of(cholesky, model.dims_of())[-1]
    raw = variable.model_copy(
        update={
            "name": name,
            "dims": (*variable.dims[:-1], other),
            "law": Law(distribution="normal", args=(const(0), const(1))),
            "role": f"standard({variable.role})",
        }
    )
    return raw, dot(var(name), cholesky, other)


def _centred(model: Model, variable: RandomVariable) -> Model | None:
    """Return the model with the totals that hold the deviations as random variables, None where there are none."""
    joint = variable.law.distribution == "multinormal_cholesky"
    parts = parts_of(model, variable)
    totals = [total_of(model, part) for part in parts]
    if any(total is None for total in totals):
        return None
    found = [total for total in totals if total is not None]
    names = {*model.dims_of(), *model.sizes}
    name = fresh(f"{variable.name}_total", names)
    shifts = _shift_names(model)
    means, backs, deviations = [], [], []
    for place, (total, part) in enumerate(zip(found, parts, strict=True)):
        mean, shift = _without_shift(without(total.value, part), shifts)
        value: Expr = column(var(name), variable.dims[-1], place) if joint else var(name)
        means.append(mean)
        backs.append(total.model_copy(update={"value": value if shift is None else sub(value, var(shift))}))
        deviations.append(sub(value, mean))
    moved = variable.model_copy(
        update={
            "name": name,
            "law": _moved_law(variable, means, joint),
            "role": f"total({variable.role})",
        }
    )
    back = Definition(
        name=variable.name,
        dims=variable.dims,
        value=stack(deviations, variable.dims[-1]) if joint else deviations[0],
        role=variable.role,
        reason=variable.reason,
    )
    changes: dict[str, list[Statement]] = {variable.name: [moved, back]}
    changes |= {total.name: [new] for total, new in zip(found, backs, strict=True)}
    statements = [s for statement in model.statements for s in changes.get(statement.name, [statement])]
    return model.model_copy(update={"statements": in_order(statements)})


def _moved_law(variable: RandomVariable, means: list[Expr], joint: bool) -> Law:
    if joint:
        mean: Expr = stack(means, variable.dims[-1])
        return Law(distribution="multinormal_cholesky", args=(mean, variable.law.args[1]))
    family = DISTRIBUTIONS[variable.law.distribution]
    args = list(variable.law.args)
    args[family.parameters.index(str(family.location))] = means[0]
    return Law(distribution=family.name, args=tuple(args))


def _shift_names(model: Model) -> dict[str, tuple[str, str]]:
    """Return, for each centred parameter, its centred name and the definition of its shift."""
    found: dict[str, tuple[str, str]] = {}
    for definition in model.definitions:
        value = definition.value
        if isinstance(value, Apply) and value.function == "sub" and all(isinstance(a, Var) for a in value.args):
            centred, shift = (arg.name for arg in value.args if isinstance(arg, Var))
            if shift.startswith("shift_"):
                found[definition.name] = (centred, shift)
    return found


def _without_shift(mean: Expr, shifts: dict[str, tuple[str, str]]) -> tuple[Expr, str | None]:
    """Return a mean in terms of the centred parameter, and the shift to be taken off again."""
    for name in references(mean):
        if name in shifts and is_summand(mean, var(name)):
            centred, shift = shifts[name]
            return substitute(mean, {name: var(centred)}), shift
    return mean, None


__all__ = ["CENTRED_ABOVE", "reparameterise"]
