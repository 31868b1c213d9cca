"""Covariates with gaps: what is missing is a parameter, with a law given the other covariates and the groups.

A covariate is fixed before the treatment, so neither treatment (where it was randomised) nor outcome stands in its
law; what the outcome says of a missing value comes in through the joint posterior. A treatment that was not
randomised may depend on the covariate, and then tells of it: its arms are among the predictors. Several covariates
with gaps come one after another, each given those before it: those of upper levels first. A covariate of a group is
told also from the group's means of what its units have.
Sources: Ibrahim, Chen, Lipsitz & Herring (2005), JASA 100; Lipsitz & Ibrahim (1996) for the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.data.used import used_names
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.expr import walk
from hdsl.design.levels import is_above
from hdsl.design.roles import role_text
from hdsl.diagnostics import Diagnostic
from hdsl.model.derive import missing_kinds
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.kinds import Kinds
from hdsl.model.derive.priors import Priors, halfnormal, normal
from hdsl.model.derive.terms import (
    Column,
    NotDerivable,
    columns,
    frozen_column,
    group_means,
    spread,
    treatment_columns,
)
from hdsl.model.ir import Dims, Expr, Factor, Law, add, apply, const, gather, mul
from hdsl.model.log_kernels import log_kernel

LOGS = "positive"
KINDS = ("real", LOGS)
WHOLE = ("mean", "centre", "factor", "lag", "first", "spline", "gp")
LEAST_GROUPS = 3
IS_KNOWN, IS_GAP, WHICH_GAP = "1 where it is known", "1 where it is missing", "which gap it is"


def complete(draft: Draft, priors: Priors) -> Kinds | None:
    """Give a law to the gaps of each covariate declared `missing`, and keep its completed columns in the draft.

    Returns
    -------
    Kinds or None
        The values that rows with gaps in binary covariates or categories may have, to be summed out.

    Raises
    ------
    NotDerivable
        HDM636: a count or proportion, a term that needs every value beforehand, too many combinations of values.
    """
    gaps = with_gaps(draft.bound)
    for variable in gaps:
        if variable.kind not in (*KINDS, *missing_kinds.DISCRETE):
            raise NotDerivable(
                "HDM636",
                f"Gaps of `{variable.name}`, which is {variable.kind}, are not modelled.",
                "Those of real, positive, binary and category covariates are: "
                f"`{variable.name} : real missing` may serve. Without `missing`, rows with gaps are "
                "dropped and counted.",
            )
    _refuse(draft, {variable.name for variable in gaps})
    used = used_names(draft.bound.study)
    discrete = [variable for variable in gaps if variable.kind in missing_kinds.DISCRETE and variable.name in used]
    for variable in gaps:
        if variable.kind in KINDS:
            draft.completed[variable.name] = _completed(draft, priors, variable)
    return missing_kinds.summed_out(draft, priors, discrete, lambda variable: _predictors(draft, variable))


def with_gaps(bound: Bound) -> list[BoundVariable]:
    """Return the covariates that are declared `missing` and have gaps; numbers come first, then upper levels."""
    declared = [v.name for level in bound.study.levels for v in level.variables if v.missing]
    variables = [bound.variables[name] for name in declared if name in bound.variables]
    names = [level.name for level in bound.study.levels]
    above = {name: sum(is_above(bound.study, upper, name) for upper in names) for name in names}
    found = [v for v in variables if bool(np.any(_gaps(v)))]
    return sorted(found, key=lambda v: (v.kind in missing_kinds.DISCRETE, above[v.level]))


def _gaps(variable: BoundVariable) -> NDArray[np.bool_]:
    values = np.asarray(variable.values, dtype=np.float64)
    return np.isnan(values) | ((values < 0) if variable.labels else np.zeros(len(values), np.bool_))


def _refuse(draft: Draft, names: set[str]) -> None:
    """Refuse terms that are computed from the data before there are parameters."""
    for term in _computed_terms(draft.bound.study):
        found = sorted({node.name for node in walk(term) if isinstance(node, study.Ref)} & names)
        if found:
            raise NotDerivable(
                "HDM636",
                f"`{role_text(term)}` cannot be computed: `{found[0]}` has gaps that are modelled.",
                "Use the covariate itself, its powers, logarithm or products.",
            )


def _computed_terms(design: ir.StudyFields) -> Iterator[study.Expr]:
    for item in design.analysis:
        if isinstance(item, ir.VaryWith) and item.shape != "linear":
            yield item.term
    yield from (node for node in _calls((design.analysis, design.assignments)) if node.function in WHOLE)


def _calls(item: object) -> Iterator[study.Call]:
    """Yield the function calls in statements."""
    if isinstance(item, study.Call):
        yield item
    if isinstance(item, BaseModel):
        for name in type(item).model_fields:
            yield from _calls(getattr(item, name))
    elif isinstance(item, tuple):
        for each in cast(tuple[object, ...], item):
            yield from _calls(each)


def _completed(draft: Draft, priors: Priors, variable: BoundVariable) -> tuple[Column, ...]:
    name, level, missing = variable.name, variable.level, _gaps(variable)
    count, dims = int(missing.sum()), (draft.level(variable.level),)
    raw = np.asarray(variable.values, dtype=np.float64)
    seen = np.log(raw) if variable.kind == LOGS else raw
    middle, sd = float(np.nanmean(seen)), spread(seen[~missing])
    filled = np.where(missing, middle, seen)
    units = draft.bound.levels[level].labels
    gap = draft.index_set(f"{name} gap", [units[i] for i in np.flatnonzero(missing)], "cells", label=level)
    centre, said = _mean(draft, priors, variable, middle, sd)
    scale = _positive(draft, priors, f"sd({name})", 2 * sd, f"spread of {name} given the other covariates")
    where = draft.slot(f"{name} missing at", (gap,), np.flatnonzero(missing), indexes=dims[0], source=f"gaps of {name}")
    law = Law(distribution="normal", args=(gather(centre, where, dims[0]), scale))
    reason = f"{count} of {len(missing)} values of {name} are missing"
    values = draft.random(f"missing({name})", law, (gap,), reason)
    known = _seen(draft, variable, filled, dims)
    is_known = draft.slot(f"{name} is seen", dims, (~missing).astype(np.float64), source=IS_KNOWN)
    kernel = log_kernel("normal", known, (centre, scale))
    assert kernel is not None
    known_law = mul(is_known, kernel)
    draft.factors.append(
        Factor(name=draft.name(f"law of {name}"), value=known_law, outcome=name, dims=dims, reason=reason)
    )
    number = np.where(missing, np.cumsum(missing) - 1, 0)
    which = draft.slot(f"{name} gap of unit", dims, number, indexes=gap, source=WHICH_GAP)
    is_gap = draft.slot(f"{name} is missing", dims, missing.astype(np.float64), source=IS_GAP)
    whole = add(mul(is_known, known), mul(is_gap, gather(values, which, gap)))
    whole = apply("exp", whole) if variable.kind == LOGS else whole
    draft.report(f"missing({name})", apply("exp", values) if variable.kind == LOGS else values)
    family = "lognormal" if variable.kind == LOGS else "normal"
    found = draft.define(name, whole, role=name, reason=reason, written=f"~ {family}({said}, sd({name}))")
    message = f"{count} of {len(missing)} values of `{name}` are missing and are modelled."
    draft.diagnostics.append(Diagnostic("HDM429", message, severity="note"))
    return (Column(found, level, np.exp(filled) if variable.kind == LOGS else filled),)


def _seen(draft: Draft, variable: BoundVariable, filled: Reals, dims: Dims) -> Expr:
    """Return what is known of a covariate, its logarithm where it is positive, with a mean in gaps."""
    name = variable.name
    if variable.kind != LOGS:
        return draft.slot(f"{name} seen", dims, filled, variable=name, source=name)
    raw = draft.slot(f"{name} seen", dims, np.exp(filled), variable=name, source=name)
    return draft.define(f"log {name} seen", apply("log", raw))


def _mean(draft: Draft, priors: Priors, variable: BoundVariable, middle: float, sd: float) -> tuple[Expr, str]:
    """Return the mean of a covariate (of its logarithm, where it is positive) for each of its units, and in words."""
    name, level = variable.name, variable.level
    default = normal(middle, 2.5 * sd)
    summands: list[Expr] = [
        draft.random(f"mean({name})", priors.law(default, f"mean({name})"), reason=f"{name} at average covariates")
    ]
    draft.report(f"mean({name})", summands[0])
    said = [f"mean({name})"]
    for text, column in _predictors(draft, variable):
        role = f"slope({name}, {text})" + (f"[{column.label}]" if column.label else "")
        size = 2.5 * sd / spread(_at(draft, column, level))
        slope = draft.random(role, priors.law(normal(0, size), role), reason=f"{text} tells of {name}")
        draft.report(role, slope)
        centred = add(draft.at(column.expr, column.level, level), const(-float(np.mean(_at(draft, column, level)))))
        summands.append(mul(slope, centred))
        said.append(f"{role} * {text}")
    for upper in draft.bound.study.levels:
        if not is_above(draft.bound.study, upper.name, level) or draft.bound.levels[upper.name].size < LEAST_GROUPS:
            continue
        role = f"sd({name}, {upper.name})"
        between = _positive(draft, priors, role, sd, f"how much {name} differs between units of {upper.name}")
        law = Law(distribution="normal", args=(const(0), between))
        dims = (draft.level(upper.name),)
        deviation = draft.random(f"deviation({name}, {upper.name})", law, dims, f"{name} differs between them")
        summands.append(draft.at(deviation, upper.name, level))
        said.append(f"deviation({name}, {upper.name})")
    total = add(*summands)
    if len(summands) == 1:
        zeros = np.zeros(len(variable.values))
        total = add(total, draft.slot(f"{name} zeros", (draft.level(level),), zeros, source="zero for each"))
    reason = f"what the other covariates say of {name}"
    return draft.define(f"{name} expected", total, reason=reason), " + ".join(said)


def _positive(draft: Draft, priors: Priors, role: str, size: float, reason: str) -> Expr:
    found = draft.random(role, priors.positive(halfnormal(size), role), reason=reason)
    draft.report(role, found)
    return found


def _predictors(draft: Draft, variable: BoundVariable) -> Iterator[tuple[str, Column]]:
    """Yield what tells of a covariate: the others, complete or completed before, and chosen treatments.

    Those of levels below enter by their means in each unit.
    """
    bound, level = draft.bound, variable.level
    later = {v.name for v in with_gaps(bound) if v.name not in draft.completed}
    for name, other in bound.variables.items():
        if other.role == "covariate" and name not in later and _tells(bound, other.level, level):
            for column in columns(draft, study.Ref(name=name)):
                yield _seen_from(draft, name, column, level)
    for assignment in bound.study.assignments:
        treatment = bound.treatments[assignment.treatment]
        if assignment.mechanism.name == "ignorable" and _tells(bound, treatment.level, level):
            for column in treatment_columns(draft, treatment):
                text = f"{treatment.name} as it was"
                frozen = frozen_column(draft, text, treatment.level, column.values, column.label)
                yield _seen_from(draft, treatment.name, replace(frozen, label=column.label), level)


def _tells(bound: Bound, other: str, level: str) -> bool:
    """Whether units of one level stand above or below those of another."""
    return other == level or is_above(bound.study, other, level) or is_above(bound.study, level, other)


def _seen_from(draft: Draft, name: str, column: Column, level: str) -> tuple[str, Column]:
    """Return a column and its name as a unit of a level has it: its mean, where it is of a level below."""
    if column.level is None or not is_above(draft.bound.study, level, column.level):
        return name, column
    text = f"mean({name}, {level})"
    return text, frozen_column(draft, text, level, group_means(draft, column, level), column.label)


def _at(draft: Draft, column: Column, level: str) -> Reals:
    if column.level is None or column.level == level:
        return np.asarray(column.values, dtype=np.float64)
    return np.asarray(column.values, dtype=np.float64)[draft.bound.element_of(level, column.level)]
