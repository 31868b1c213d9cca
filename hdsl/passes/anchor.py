"""A coefficient is sampled together with the mean of its non-centred deviations.

The data speak of the coefficient in the units at hand, beta + mean(deviation), not of beta alone: with few units
the two would be hard to tell apart, along a ridge that bends with the deviations' spread. The sum is sampled in
their place, and beta is what is left of it. Preserves the joint log density: a shift has the Jacobian 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hdsl.model.ir import (
    Const,
    Definition,
    Expr,
    Law,
    Model,
    ModelData,
    RandomVariable,
    add,
    apply,
    column,
    references,
    sub,
    substitute,
    var,
)
from hdsl.model.names import fresh
from hdsl.passes.rewrite import Statement, replaced

DEVIATION = "deviation("


def anchored(model: Model, data: ModelData, shifts: Mapping[str, tuple[str, str]], centred: Iterable[Expr]) -> Model:
    """Return the model with each coefficient that has non-centred deviations anchored at their mean.

    Parameters
    ----------
    shifts : mapping
        For each centred coefficient its centred name and the name of the definition of its shift.
    centred : iterable of Expr
        The means of the totals that are sampled centred. The data do not speak of the deviations in them.
    """
    behind = _behind(model, centred)
    for role, means in _means(model, data, behind).items():
        statement = next((s for s in model.statements if s.role == role and not s.dims), None)
        if statement is None:
            continue
        base, shift = shifts.get(statement.name, (statement.name, None))
        variable = next((v for v in model.variables if v.name == base), None)
        if variable is not None and _movable(variable):
            model = _anchored(model, statement.name, variable, shift, add(*means))
    return model


def _behind(model: Model, exprs: Iterable[Expr]) -> set[str]:
    """Return the definitions on which expressions rest."""
    values = {definition.name: definition.value for definition in model.definitions}
    waiting = [name for expr in exprs for name in references(expr)]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in values and name not in found:
            found.add(name)
            waiting.extend(references(values[name]))
    return found


def _means(model: Model, data: ModelData, behind: set[str]) -> dict[str, list[Expr]]:
    """Return the means of the non-centred deviations by the role of their coefficient."""
    standard = {v.role for v in model.variables}
    found: dict[str, list[Expr]] = {}
    for definition in model.definitions:
        role = definition.role or ""
        if not role.startswith(DEVIATION) or f"standard({role})" not in standard or definition.name in behind:
            continue
        for coefficient, value in _parts(definition, role, data):
            found.setdefault(coefficient, []).append(apply("mean", value, static=(definition.dims[0],)))
    return found


def _parts(definition: Definition, role: str, data: ModelData) -> list[tuple[str, Expr]]:
    if len(definition.dims) == 1:
        inner, _, _ = role.removeprefix(DEVIATION).removesuffix(")").rpartition(", ")
        return [(inner, var(definition.name))]
    dim = definition.dims[1]
    return [(label, column(var(definition.name), dim, place)) for place, label in enumerate(data.coords[dim])]


def _movable(variable: RandomVariable) -> bool:
    return variable.law.distribution == "normal" and isinstance(variable.law.args[1], Const) and not variable.dims


def _anchored(model: Model, name: str, variable: RandomVariable, shift: str | None, mean: Expr) -> Model:
    taken = {*model.dims_of(), *model.sizes}
    whole = mean if shift is None else add(var(shift), mean)
    moved_shift = Definition(name=fresh(f"shift_{name}_in_the_data", taken), dims=(), value=whole)
    before, spread = variable.law.args
    moved = var(moved_shift.name)
    if shift is not None and shift in references(before):
        around = substitute(before, {shift: moved})
    else:
        around = add(before, moved if shift is None else mean)
    anchor = variable.model_copy(
        update={
            "name": fresh(f"{name}_in_the_data", taken),
            "law": Law(distribution="normal", args=(around, spread)),
            "role": f"anchored({variable.role})",
        }
    )
    statement = next(s for s in model.statements if s.name == name)
    back = Definition(
        name=name, dims=(), value=sub(var(anchor.name), moved), role=statement.role, reason=statement.reason
    )
    changes: dict[str, list[Statement]] = {variable.name: [moved_shift, anchor]}
    changes[name] = [*changes.get(name, []), back]
    return replaced(model, changes)
