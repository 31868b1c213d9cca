"""Names of equations: what they stand for, and at which level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hdsl.data.bound import BoundTreatment, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.diagnostics import did_you_mean
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.terms import NotDerivable, columns, treatment_slot, variable_slot
from hdsl.model.equations.placed import Placed, range_of
from hdsl.model.equations.program import Target, level_of_index
from hdsl.model.ir import Expr, Law, apply, const

Part = Literal["trials", "known_sd"]


class Unknown(Exception):
    """A name whose own equation has an error already: nothing more is said about it."""


@dataclass
class Scope:
    """What the names of equations stand for while a model is written.

    Attributes
    ----------
    targets : mapping
        The names that have an equation, outcomes included.
    made : dict
        The values of those that were read already.
    shapes : dict
        Laws of correlation matrices and cutpoints, which get their size where they are used, with their reason.
    sized : dict
        What is reported of those that have a size, by role.
    companions : mapping
        Expressions that stand for arrays of an outcome, its trials and its known sd: outcome and which it is.
    named : set
        The names that the right sides have.
    failed : set
        The names on left sides that cannot stand.
    """

    draft: Draft
    targets: Mapping[str, Target]
    companions: Mapping[study.Expr, tuple[str, Part]]
    named: frozenset[str]
    failed: frozenset[str] = frozenset()
    made: dict[str, Placed] = field(default_factory=dict[str, Placed])
    shapes: dict[str, Law] = field(default_factory=dict[str, Law])
    sized: dict[str, Mapping[str, Expr]] = field(default_factory=dict[str, Mapping[str, Expr]])


def companion(draft: Draft, outcome: BoundVariable, part: Part) -> Placed:
    """Return the slot of an outcome's trials or known sd, adding it at first use."""
    values = outcome.trials if part == "trials" else outcome.known_sd
    assert values is not None
    key = ("companion", outcome.name, part)
    if key not in draft.cache:
        text, source = (f"{outcome.name} trials", "number of trials")
        if part == "known_sd":
            text, source = (f"sd {outcome.name}", f"known sd of {outcome.name}")
        dims = (draft.level(outcome.level),)
        draft.cache[key] = draft.slot(text, dims, values, integer=part == "trials", source=source)
    return Placed(draft.cache[key], outcome.level, range_of(values), values)


def named(scope: Scope, name: str, index: tuple[str, ...]) -> Placed:
    """Return the value of a name, with the index that it has in the equation (none: `()`)."""
    bound = scope.draft.bound
    if name in bound.variables:
        return _variable(scope, bound.variables[name], index)
    if name in scope.targets:
        return _parameter(scope, scope.targets[name], index)
    if name in bound.treatments:
        return _treatment(scope.draft, bound.treatments[name], index)
    if name in bound.levels:
        return _wave(scope.draft, name, index)
    if name in scope.failed:
        raise Unknown(name)
    candidates = (*scope.targets, *bound.variables, *bound.treatments)
    near = did_you_mean(name, candidates)
    help_ = f"Did you mean `{near}`?" if near else f"Give it a law, `{name} ~ normal(0, 1)`, or declare it."
    raise NotDerivable("HDM640", f"`{name}` has no law and is not declared.", help_)


def _parameter(scope: Scope, target: Target, index: tuple[str, ...]) -> Placed:
    if index:
        level_of_index(scope.draft.bound, target.name, index)
    if set(index) != set(target.index) and index != (target.level,):
        values = f"one value per {target.level}" if target.level else "one value and no index"
        raise NotDerivable("HDM644", f"`{target.name}` has {values}.", f"Write `{target.role}`.")
    if target.name in scope.shapes:
        use = "as `corr = ...` of a multinormal law" if _is_corr(scope, target.name) else "as cutpoints"
        help_ = f"It can stand {use}; for a number give it another law, such as `uniform(-1, 1)`."
        raise NotDerivable("HDM653", f"`{target.name}` is no number.", help_)
    if target.name not in scope.made:
        raise Unknown(target.name)
    return scope.made[target.name]


def _is_corr(scope: Scope, name: str) -> bool:
    return scope.shapes[name].distribution == "lkj_cholesky"


def _variable(scope: Scope, variable: BoundVariable, index: tuple[str, ...]) -> Placed:
    name = variable.name
    if variable.role == "outcome":
        raise NotDerivable(
            "HDM653",
            f"`{name}` is an outcome: it cannot stand on the right of an equation.",
            "Earlier outcomes are covariates: declare a column that holds them.",
        )
    if variable.kind in ("category", "ordered"):
        slot = variable_slot(scope.draft, variable)
        return _indicator(scope.draft, name, slot, variable.level, variable.values, variable.labels, index)
    _check_index(scope.draft, name, variable.level, index)
    return Placed(variable_slot(scope.draft, variable), variable.level, range_of(variable.values), variable.values)


def _treatment(draft: Draft, treatment: BoundTreatment, index: tuple[str, ...]) -> Placed:
    name, level = treatment.name, treatment.level
    slot = treatment_slot(draft, treatment)
    if treatment.continuous:
        _check_index(draft, name, level, index)
        return Placed(slot, level, range_of(treatment.values), treatment.values)
    if len(treatment.arms) == 2 and (not index or index[0] not in treatment.arms):
        _check_index(draft, name, level, index)
        index = (treatment.arms[1],)
    return _indicator(draft, name, slot, level, treatment.values, treatment.arms, index)


def _check_index(draft: Draft, name: str, level: str, index: tuple[str, ...]) -> None:
    if index and level_of_index(draft.bound, name, index) != level:
        raise NotDerivable("HDM644", f"`{name}` belongs to {level}.", f"Write `{name}` or `{name}[{level}]`.")


def _indicator(
    draft: Draft,
    name: str,
    slot: Expr,
    level: str,
    codes: Reals,
    labels: tuple[str, ...],
    index: tuple[str, ...],
) -> Placed:
    """Return 1 where a category or treatment has the value that the index names, else 0."""
    if len(index) != 1 or index[0] not in labels:
        shown = ", ".join(f"`{name}[{label}]`" for label in labels[1:4])
        wrong = f"`{name}` has no value `{index[0]}`." if index else f"`{name}` is no number: it has categories."
        raise NotDerivable("HDM652", wrong, f"Write indicators, each 1 or 0: {shown}.")
    label = index[0]
    code = labels.index(label)
    key = ("indicator", name, label)
    if key not in draft.cache:
        draft.cache[key] = draft.define(
            f"{name}_{label}", apply("equal", slot, const(code)), reason=f"1 where {name} is {label}"
        )
    return Placed(draft.cache[key], level, (0.0, 1.0), (codes == code).astype(np.float64))


def _wave(draft: Draft, name: str, index: tuple[str, ...]) -> Placed:
    if draft.bound.levels[name].positions is None:
        raise NotDerivable(
            "HDM653", f"`{name}` is a level: it has no value.", f"Levels stand in brackets: `alpha[{name}]`."
        )
    _check_index(draft, name, name, index)
    return of_data(draft, study.Ref(name=name))


def of_data(draft: Draft, expr: study.Expr) -> Placed:
    """Return the value of an expression of data, such as a group mean."""
    found = columns(draft, expr)
    if len(found) != 1:
        raise NotDerivable(
            "HDM652", f"`{role_text(expr)}` is no number: it has {len(found)} columns.", "Write its indicators."
        )
    return Placed(found[0].expr, found[0].level, range_of(found[0].values), found[0].values)
