"""Varying effects are sampled centred or non-centred, as the data inform them.

Non-centred: deviation = sd z, z ~ normal(0, 1). Centred: total ~ normal(mean, sd), deviation = total - mean.
With little data per group the posterior of a deviation follows its prior, and the non-centred form has the
easier geometry; with much data the centred one has (Betancourt & Girolami 2015). In a joint law the intercept,
which stands first in the Cholesky factor, can be centred alone: the data often say much about a group's level
and little about its effect. What stays non-centred may be so in part (`grouping_forms`). All
forms preserve the joint log density up to the Jacobian of an affine map.
"""

from __future__ import annotations

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import dims_of
from hdsl.model.ir import (
    Apply,
    Definition,
    Expr,
    Law,
    Model,
    ModelData,
    RandomVariable,
    Var,
    add,
    apply,
    column,
    const,
    div,
    dot,
    mul,
    references,
    stack,
    sub,
    substitute,
    var,
)
from hdsl.model.names import fresh
from hdsl.model.sums import is_summand, parts_of, summands, total_of, without
from hdsl.passes.anchor import anchored
from hdsl.passes.grouping_forms import Form, grouping_forms
from hdsl.passes.informed import informed, mixture_scale
from hdsl.passes.rewrite import Statement, in_order, replaced

INTERCEPT_ABOVE = 10.0
EFFECT_ABOVE = 100.0
MIXTURE_ABOVE = 1.0
BETWEEN = "between("


def reparameterise(model: Model, data: ModelData) -> Model:
    """Return the model with each varying effect in the form that suits how much the data say about it.

    An effect's spread is often far below the scale of its prior, by which its information is judged: it must
    be ten times as clear as an intercept's to be centred. Of effects in clusters the data know where the clusters
    lie rather than the mean of all, so these are centred earlier.
    """
    varying = varying_effects(model)
    clear = [variable for variable in varying if _clear(model, data, variable)]
    forms = grouping_forms(model, data, varying) if len(clear) < len(varying) else {}
    for variable in varying:
        if variable not in clear:
            model = _noncentred(model, variable, forms.get(variable.name))
    means = [mean for v in clear for mean in _mean_of_total(model, v)]
    means += [v.law.args[0] for v in model.variables if v.role.startswith(BETWEEN)]
    model = anchored(model, data, _shift_names(model), means)
    for variable in clear:
        joint = variable.law.distribution == "multinormal_cholesky"
        made = _first_centred(model, variable) if joint else _centred(model, variable)
        model = made if made is not None else _noncentred(model, variable, forms.get(variable.name))
    return model


def _clear(model: Model, data: ModelData, variable: RandomVariable) -> bool:
    """Return whether the data say enough about an effect, of joint effects the first, to centre it."""
    if variable.law.distribution == "multinormal_cholesky":
        return _starts_with_intercept(model, variable) and informed(model, data, variable, 0) > INTERCEPT_ABOVE
    return informed(model, data, variable, 0) > _limit(variable)


def _mean_of_total(model: Model, variable: RandomVariable) -> list[Expr]:
    part = parts_of(model, variable)[0]
    total = total_of(model, part)
    return [] if total is None else [without(total.value, part)]


def _limit(variable: RandomVariable) -> float:
    if mixture_scale(variable.law) is not None:
        return MIXTURE_ABOVE
    return INTERCEPT_ABOVE if variable.role.startswith("deviation(intercept, ") else EFFECT_ABOVE


def _starts_with_intercept(model: Model, variable: RandomVariable) -> bool:
    total = total_of(model, parts_of(model, variable)[0])
    return total is not None and (total.role or "").startswith("intercept[")


def varying_effects(model: Model) -> list[RandomVariable]:
    """Return the deviations: laws with mean zero, estimated spread, over the units of a level."""
    levels = {index_set.name for index_set in model.index_sets if index_set.kind == "level"}
    found: list[RandomVariable] = []
    for variable in model.variables:
        family = DISTRIBUTIONS[variable.law.distribution]
        if mixture_scale(variable.law) is not None and set(variable.dims) & levels:
            found.append(variable)
        if family.location is None or family.name not in ("normal", "student", "multinormal_cholesky"):
            continue
        mean = variable.law.args[family.parameters.index(family.location)]
        scale = variable.law.args[-1]
        if mean == const(0) and references(scale) and set(variable.dims) & levels:
            found.append(variable)
    return found


def _noncentred(model: Model, variable: RandomVariable, form: Form | None = None) -> Model:
    name = fresh(f"{variable.name}_z", {*model.dims_of(), *model.sizes})
    if variable.law.distribution == "multinormal_cholesky":
        raw, value = _standard_vectors(model, variable, name)
    else:
        law, scale = _standard(variable.law) if form is None else _partly(variable.law, form)
        raw = variable.model_copy(update={"name": name, "law": law, "role": f"standard({variable.role})"})
        value = mul(scale, var(name))
    return replaced(model, {variable.name: [raw, _definition(variable, value)]})


def _standard(law: Law) -> tuple[Law, Expr]:
    """Return the law of a deviation divided by its scale, and the scale."""
    scale = mixture_scale(law)
    if scale is None:
        return Law(distribution=law.distribution, args=(*law.args[:-1], const(1))), law.args[-1]
    logits, *sized = law.args
    args = (logits, *(arg.args[1] for arg in sized if isinstance(arg, Apply)))
    return Law(distribution=law.distribution, args=args), scale


def _partly(law: Law, form: Form) -> tuple[Law, Expr]:
    """Return the law of a deviation in the form between, and the factor by which the deviation is larger."""
    unit = div(law.args[1], const(form.typical))
    own = Law(distribution=law.distribution, args=(const(0), apply("pow", unit, const(form.share))))
    return own, mul(const(form.typical), apply("pow", unit, const(round(1 - form.share, 2))))


def _standard_vectors(model: Model, variable: RandomVariable, name: str) -> tuple[RandomVariable, Expr]:
    """Return z of independent standard normals and the deviations L z, L the Cholesky factor of the covariance."""
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
    """Return the model with a single effect's total as the random variable, None where there is no total."""
    part = var(variable.name)
    total = total_of(model, part)
    if total is None:
        return None
    name = fresh(f"{variable.name}_total", {*model.dims_of(), *model.sizes})
    mean, shift = moved_mean(without(total.value, part), total, model)
    family = DISTRIBUTIONS[variable.law.distribution]
    args = list(variable.law.args)
    if family.location is None:
        args[1] = add(args[1], mean)
    else:
        args[family.parameters.index(family.location)] = mean
    moved = variable.model_copy(
        update={
            "name": name,
            "law": Law(distribution=family.name, args=tuple(args)),
            "role": f"total({variable.role})",
        }
    )
    back = _definition(variable, sub(var(name), mean))
    new_total = _total(total, var(name), shift)
    return _exchanged(model, {variable.name: [moved, back], total.name: [new_total]})


def _first_centred(model: Model, variable: RandomVariable) -> Model | None:
    """Return the model with the first of joint effects centred and the others non-centred given it.

    With deviations = C z, C the Cholesky factor of the covariance, the first is C[0, 0] z[0]: its total is
    drawn from its own normal law, and z[0] follows from it.
    """
    parts = parts_of(model, variable)
    total = total_of(model, parts[0])
    if total is None:
        return None
    dim, cholesky = variable.dims[-1], variable.law.args[1]
    other = dims_of(cholesky, model.dims_of())[-1]
    taken = {*model.dims_of(), *model.sizes}
    name = fresh(f"{variable.name}_total", taken)
    scale = column(column(cholesky, dim, 0), other, 0)
    mean, shift = moved_mean(without(total.value, parts[0]), total, model)
    level = variable.dims[:-1]
    moved = variable.model_copy(
        update={
            "name": name,
            "dims": level,
            "law": Law(distribution="normal", args=(mean, scale)),
            "role": f"total({variable.role})",
        }
    )
    standard = [
        variable.model_copy(
            update={
                "name": fresh(f"{variable.name}_z{place + 1}", taken),
                "dims": level,
                "law": Law(distribution="normal", args=(const(0), const(1))),
                "role": f"standard({variable.role}, {place + 1})",
            }
        )
        for place in range(1, len(parts))
    ]
    first = div(sub(var(name), mean), scale)
    z = stack([first, *(var(each.name) for each in standard)], other)
    back = _definition(variable, dot(z, cholesky, other))
    return _exchanged(model, {variable.name: [moved, *standard, back], total.name: [_total(total, var(name), shift)]})


def _definition(variable: RandomVariable, value: Expr) -> Definition:
    return Definition(name=variable.name, dims=variable.dims, value=value, role=variable.role, reason=variable.reason)


def _total(total: Definition, value: Expr, shift: Expr) -> Definition:
    return total.model_copy(update={"value": _less(value, shift)})


def _exchanged(model: Model, changes: dict[str, list[Statement]]) -> Model:
    statements = [s for statement in model.statements for s in changes.get(statement.name, [statement])]
    return model.model_copy(update={"statements": in_order(statements)})


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


def _without_shift(mean: Expr, model: Model) -> tuple[Expr, Expr]:
    """Return a mean in terms of the centred parameter, and the shift to be taken off again.

    Only predictors within the units are taken off: the total is then the unit's value at their averages, which is
    what the data speak of. The shift by the predictors of the mean itself stays in the mean.
    """
    shifts = _shift_names(model)
    for name in references(mean):
        if name in shifts and is_summand(mean, var(name)):
            centred, shift = shifts[name]
            parts = _summands_of_shift(model, shift)
            here = [part for part in parts if references(part) <= references(mean)]
            within = [var(shift)] if not here else [part for part in parts if part not in here]
            return _less(substitute(mean, {name: var(centred)}), add(*here)), add(*within)
    return mean, const(0)


def _summands_of_shift(model: Model, shift: str) -> list[Expr]:
    """Return the summands of a shift, those of the shift it contains among them."""
    values = {definition.name: definition.value for definition in model.definitions}
    found: list[Expr] = []
    for part in summands(values[shift]):
        if isinstance(part, Var) and part.name.startswith("shift_"):
            found.extend(_summands_of_shift(model, part.name))
        else:
            found.append(part)
    return found


def moved_mean(mean: Expr, total: Definition, model: Model) -> tuple[Expr, Expr]:
    """Return the mean of a unit's total and what is to be taken off that total again.

    Intercepts of crossed levels lack the common one, but the data speak of the sum: apart, a unit's well-known
    value and the constant would be hard to tell from each other. One chain of levels gets the constant.
    """
    common = next((s for s in model.statements if s.role == "intercept"), None)
    apart = common is not None and common.name not in references(mean)
    if common is None or not (apart and (total.role or "").startswith("intercept[")):
        return _without_shift(mean, model)
    holders = {d.name for d in model.definitions if common.name in references(d.value) and d.dims}
    if holders - _sums_over_rows(model) and not holders & references(mean):
        return _without_shift(mean, model)
    whole, within = _without_shift(add(var(common.name), mean), model)
    return whole, add(within, var(common.name))


def _sums_over_rows(model: Model) -> set[str]:
    """Return the definitions at the level of the rows."""
    return {d.name for d in model.definitions if d.dims == (model.unit,)}


def _less(left: Expr, right: Expr) -> Expr:
    return left if right == const(0) else sub(left, right)


__all__ = ["BETWEEN", "moved_mean", "reparameterise", "varying_effects"]
