"""Coefficients of the linear predictor: treatments, covariates, interactions and moderators, and why each is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import BoundTreatment, Reals
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.amendments import Amendments
from hdsl.model.derive.array_effects import ArrayEffects
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.predictor import Parts
from hdsl.model.derive.priors import constant
from hdsl.model.derive.smooth import Curve, is_smooth, smooth_text, straight_part
from hdsl.model.derive.terms import (
    Column,
    NotDerivable,
    at_rows,
    columns,
    frozen_column,
    product,
    spread,
    term_text,
    treatment_columns,
)

ROUNDING = 1.0 + 1e-9


@dataclass
class Coefficient:
    """A coefficient and its column.

    `family` is the role without arm or category, under which one prior may serve all. `moderators` collects
    (coefficient, column) pairs whose product with this column enters the predictor, `curves` what is multiplied by it
    as it is, `arrays` what is added to it over the cells of crossed levels.
    """

    role: str
    family: str
    column: Column
    reason: str
    prior_scale: float
    moderators: list[tuple[str, Column]] = field(default_factory=list)
    deviations: Parts = field(default_factory=Parts)
    curves: list[Curve] = field(default_factory=list)
    arrays: list[ArrayEffects] = field(default_factory=list)


def treatment_role(treatment: BoundTreatment, label: str) -> str:
    """Return `effect(z)`, or `effect(z)[arm]` where there are more than two arms."""
    arm = f"[{label}]" if len(treatment.arms) > 2 else ""
    return f"effect({treatment.name}){arm}"


def treatment_coefficients(draft: Draft, design: ir.StudyFields) -> list[Coefficient]:
    """Return the effects of the treatments, each at the level of its assignment (rule 2)."""
    found: list[Coefficient] = []
    for declared in design.treatments:
        treatment = draft.bound.treatments[declared.name]
        for column in treatment_columns(draft, treatment):
            scale = spread(at_rows(draft, column), draft.bound) if treatment.continuous else 1.0
            reason = f"treatment {declared.name}, assigned to each {treatment.level}"
            role = treatment_role(treatment, column.label)
            found.append(Coefficient(role, f"effect({declared.name})", column, reason, scale))
    return found


@dataclass(frozen=True)
class Wanted:
    """A term to adjust for and the reason."""

    term: study.Expr
    reason: str


def wanted_terms(design: ir.StudyFields, amendments: Amendments) -> list[Wanted]:
    """Return the terms of `adjust for`, of the assignment mechanisms (rule 5), and those that amendments imply."""
    found: list[Wanted] = []
    for wanted in stated_terms(design, amendments):
        if not is_smooth(wanted.term):
            found.append(wanted)
        elif (straight := straight_part(wanted.term)) is not None:
            found.append(Wanted(straight, f"the straight part of {smooth_text(wanted.term)}, {wanted.reason}"))
    treatments = {treatment.name for treatment in design.treatments}
    for vary in amendments.varying:
        named = vary.effect.name if isinstance(vary.effect, study.Ref) else ""
        if is_smooth(vary.effect):
            raise NotDerivable(
                "HDM629",
                f"`vary {term_text(vary.effect)} across ...`: a curve of its own for each group is not derived.",
                "Vary its straight part: `vary x across GROUP`.",
            )
        if named != "intercept" and named not in treatments:
            found.append(Wanted(vary.effect, f"the mean of the effects that vary across {', '.join(vary.across)}"))
    unique: dict[str, Wanted] = {}
    for wanted in found:
        unique.setdefault(term_text(wanted.term), wanted)
    return [wanted for wanted in unique.values() if not _is_interaction(wanted.term, amendments)]


def stated_terms(design: ir.StudyFields, amendments: Amendments) -> list[Wanted]:
    """Return the terms that the study states, smooth ones as they are, but not those that vary across groups."""
    found = [Wanted(term, "adjusted for") for term in amendments.terms]
    for assignment in design.assignments:
        found += _assignment_terms(assignment)
    curved = {term_text(w.term.args[0]) for w in found if isinstance(w.term, study.Call) and is_smooth(w.term)}
    for moderator in amendments.moderators:
        reason = f"main effect of the moderator of {term_text(moderator.effect)}"
        if moderator.shape == "linear" or term_text(moderator.term) not in curved:
            found.append(Wanted(shaped(moderator), reason))
    return found


def shaped(moderator: ir.VaryWith) -> study.Expr:
    """Return the moderator as a term: `spline(x)` for `vary z with x as spline`."""
    if moderator.shape == "linear":
        return moderator.term
    return study.Call(function=moderator.shape, args=(moderator.term,))


def _is_interaction(term: study.Expr, amendments: Amendments) -> bool:
    names = set(study.names(term))
    return any(names == set(interact.treatments) for interact in amendments.interactions)


def _assignment_terms(assignment: ir.Assignment) -> Iterable[Wanted]:
    mechanism = assignment.mechanism
    treatment = assignment.treatment
    for term in mechanism.given:
        yield Wanted(term, f"the assignment of {treatment} is {mechanism.name} given it")
    if mechanism.probability is not None:
        for name in study.names(mechanism.probability):
            yield Wanted(study.Ref(name=name), f"the probability of {treatment} depends on it")


def slope_coefficients(draft: Draft, wanted: Iterable[Wanted]) -> list[Coefficient]:
    """Return the slopes of the terms, at their own levels (rule 2)."""
    found: list[Coefficient] = []
    for item in wanted:
        text = term_text(item.term)
        for column in columns(draft, item.term):
            if column.level is None:
                raise NotDerivable("HDM621", f"`{text}` is a constant, not a covariate.")
            role = f"slope({text})" + (f"[{column.label}]" if column.label else "")
            scale = spread(at_rows(draft, column), draft.bound)
            found.append(Coefficient(role, f"slope({text})", column, item.reason, scale))
    return found


def interaction_coefficients(draft: Draft, amendments: Amendments) -> list[Coefficient]:
    """Return the treatment-by-treatment interactions."""
    found: list[Coefficient] = []
    for interact in amendments.interactions:
        text = " * ".join(interact.treatments)
        parts = [treatment_columns(draft, draft.bound.treatments[name]) for name in interact.treatments]
        crossed: list[Column] = list(parts[0])
        for other in parts[1:]:
            crossed = [product(draft, left, right) for left in crossed for right in other]
        for column in crossed:
            role = f"interaction({text})" + (f"[{column.label}]" if len(crossed) > 1 else "")
            reason = f"the effects of {' and '.join(interact.treatments)} are not additive"
            found.append(Coefficient(role, f"interaction({text})", column, reason, 1.0))
    return found


def share_columns(draft: Draft, design: ir.StudyFields) -> list[Coefficient]:
    """Return the treated shares of blocks, centred, where they differ beyond rounding (rule 3).

    Source: Feller & Gelman (2015), stratified experiments: where the probability of treatment is not
    constant across groups, z-bar_g is a group-level predictor.
    """
    found: list[Coefficient] = []
    for assignment in design.assignments:
        treatment = draft.bound.treatments[assignment.treatment]
        for block in assignment.within:
            if block in draft.bound.levels:
                found += _shares(draft, treatment, block, assignment)
    unique = {coefficient.role: coefficient for coefficient in found}
    return list(unique.values())


def _shares(draft: Draft, treatment: BoundTreatment, block: str, assignment: ir.Assignment) -> Iterable[Coefficient]:
    """Yield the shares among the units that could be treated; a block without any has the average share."""
    reached = _reached(draft, treatment, assignment)
    units = draft.bound.element_of(treatment.level, block)[reached]
    size = draft.bound.levels[block].size
    each = draft.bound.units(treatment.level)[reached]
    counts = np.bincount(units, each, minlength=size)
    text = f"mean({treatment.name}, {block})"
    for column in treatment_columns(draft, treatment):
        shares = np.bincount(units, column.values[reached] * each, minlength=size) / np.maximum(counts, 1)
        seen = counts > 0
        arms = column.values[reached]
        average = float(np.average(arms, weights=each)) if arms.size else 0.0
        if not _differ(shares[seen], counts[seen], column, average, assignment, treatment):
            continue
        rows, times = draft.bound.levels[block].rows, draft.bound.frequency
        has = counts[rows] > 0
        average = float(np.average(shares[rows][has], weights=None if times is None else times[has]))
        centred = np.where(counts > 0, shares - average, 0.0)
        made = frozen_column(draft, text, block, centred, column.label if len(treatment.arms) > 2 else "")
        role = f"slope({text})" + (f"[{made.label}]" if made.label else "")
        reason = f"the treated share of {treatment.name} differs between the units of {block} (centred)"
        yield Coefficient(role, f"slope({text})", made, reason, spread(at_rows(draft, made), draft.bound))


def _reached(draft: Draft, treatment: BoundTreatment, assignment: ir.Assignment) -> NDArray[np.bool_]:
    """Return which units the assignment reached: those with the arm that `if T2 = arm` asks for."""
    bound, condition = draft.bound, assignment.condition
    if condition is None:
        return np.ones(bound.levels[treatment.level].size, np.bool_)
    other = bound.treatments[condition.treatment]
    first = bound.levels[treatment.level].first_rows
    arms = bound.at_rows(other.level, other.values)[first]
    return arms == other.arms.index(condition.arm)


def _differ(
    shares: Reals,
    counts: Reals,
    column: Column,
    average: float,
    assignment: ir.Assignment,
    treatment: BoundTreatment,
) -> bool:
    """Return whether shares differ by more than the design's own rounding or coin tosses."""
    probability = assignment.mechanism.probability
    if float(np.ptp(shares)) < 1e-9 * max(1.0, float(np.max(np.abs(shares)))):
        return False
    if treatment.continuous and assignment.mechanism.name in ("complete", "bernoulli"):
        return False
    stated = _stated(probability, treatment, column)
    if assignment.mechanism.name == "complete":
        expected = average if stated is None else stated
        return bool(np.any(np.abs(shares - expected) * counts > ROUNDING))
    return assignment.mechanism.name != "bernoulli" or stated is None


def _stated(probability: study.Expr | None, treatment: BoundTreatment, column: Column) -> float | None:
    """Return the probability of a column's arm where it is a number, the same for all units."""
    if isinstance(probability, study.Sequence):
        arm = treatment.arms.index(column.label) if column.label in treatment.arms else len(treatment.arms)
        probability = probability.items[arm] if arm < len(probability.items) else None
    if probability is None or study.names(probability):
        return None
    return constant(probability)


def find(coefficients: list[Coefficient], effect: study.Expr) -> list[Coefficient]:
    """Return the coefficients that an EFFECT of `vary` names; raises NotDerivable if there is none."""
    text = term_text(effect)
    families = {f"effect({text})", f"slope({text})", f"interaction({text})"}
    found = [coefficient for coefficient in coefficients if coefficient.family in families]
    if not found:
        raise NotDerivable("HDM629", f"`vary {text}`: there is no such effect.", "Name a treatment or a term.")
    return found
