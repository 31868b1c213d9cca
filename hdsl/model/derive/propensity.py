"""Propensity scores: the model of who was treated, and what the outcome model makes of the scores.

The scores come from a model of their own, cut from the outcome: what came after treatment says nothing about who was
treated. Sources: Rosenbaum & Rubin (1983, 1984); McCandless, Douglas, Evans & Smeeth (2010) and Zigler & Dominici
(2014) on cutting; Kish (1965) on the effective number of weighted units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, BoundLevel, BoundTreatment, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.calibration import Calibration, calibrated, calibration
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.smooth import is_smooth
from hdsl.model.derive.terms import Column, NotDerivable, at_rows, columns, term_text
from hdsl.model.ir import Model, ModelData

STRATA = 5
EDGE = 1e-6
CODE = "HDM431"
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """A propensity statement with what it is about.

    Attributes
    ----------
    treated : float array, shape (units,)
        1 for the units in the second arm.
    """

    statement: ir.Propensity
    treatment: BoundTreatment
    terms: tuple[study.Expr, ...]

    @property
    def treated(self) -> Reals:
        """1 for units in the second arm, shape (units,)."""
        return self.treatment.values

    @property
    def name(self) -> str:
        """What the score is called in the outcome model."""
        return f"propensity({self.treatment.name})"

    @property
    def strata(self) -> int:
        """The number of strata."""
        return self.statement.strata or STRATA


def scores_of(bound: Bound) -> tuple[Score, ...]:
    """Return the propensity statements of a study; raises NotDerivable (HDM431) for those that cannot be."""
    found: list[Score] = []
    for item in bound.study.analysis:
        if isinstance(item, ir.Propensity):
            treatment = bound.treatments[item.treatment]
            if len(treatment.arms) != 2:
                message = f"`{item.treatment}` has not two arms: its propensity is no single number."
                raise NotDerivable(CODE, message, "Adjust for the covariates themselves.")
            terms = item.terms or _given(bound.study, item.treatment)
            if not terms and item.across is None:
                message = f"Nothing is said on which the propensity of `{item.treatment}` depends."
                raise NotDerivable(CODE, message, f"Write `propensity for {item.treatment} with x, ...`.")
            found.append(Score(item, treatment, terms))
    return tuple(found)


def _given(design: ir.StudyFields, treatment: str) -> tuple[study.Expr, ...]:
    """Return the terms of `ignorable(...)`."""
    return tuple(term for a in design.assignments if a.treatment == treatment for term in a.mechanism.given)


def assignment_bound(bound: Bound, score: Score) -> Bound:
    """Return the study of who was treated: the treatment is its outcome, its units are the rows.

    Of the groups only that of `across` has intercepts, which are partially pooled.
    """
    to = score.treatment.level
    levels = {name: _at_units(bound, level, to) for name, level in bound.levels.items() if _is_above(bound, to, name)}
    rows = len(levels[to].rows)
    variables = {
        name: variable
        for name, variable in bound.variables.items()
        if variable.role in ("covariate", "intermediate") and variable.level in levels
    }
    outcome = BoundVariable(score.treatment.name, to, "outcome", "binary", score.treated)
    assert rows == len(score.treated)
    return replace(
        bound,
        study=_assignment_study(bound, score, tuple(levels)),
        row=to,
        levels=levels,
        variables={**variables, outcome.name: outcome},
        treatments={},
        populations={},
    )


def _is_above(bound: Bound, lower: str, upper: str) -> bool:
    return lower == bound.row or bound.nests(lower, upper)


def _at_units(bound: Bound, level: BoundLevel, to: str) -> BoundLevel:
    return replace(level, rows=level.rows[bound.levels[to].first_rows])


def _assignment_study(bound: Bound, score: Score, levels: tuple[str, ...]) -> ir.StudyFields:
    to, across = score.treatment.level, score.statement.across
    others = (name for name in levels if name not in (to, across))
    pools = tuple(ir.Pool(group=name, how="completely") for name in others)
    adjust = (ir.Adjust(terms=score.terms),) if score.terms else ()
    return bound.study.model_copy(
        update={
            "name": f"{score.treatment.name}_propensity",
            "treatments": (),
            "assignments": (),
            "analysis": (*adjust, *pools),
            "priors": (),
            "principals": (),
            "estimands": (),
        }
    )


def with_scores(bound: Bound, chances: Mapping[str, Reals]) -> Bound:
    """Return a study whose outcome model uses propensity scores.

    The scores stand in the place of the terms of `ignorable(...)` from which they were made; what `adjust for` names
    stays beside them. As strata, the effect differs between them; as a covariate the score is a log odds; as weights,
    each arm's sum to its effective number of units.

    Parameters
    ----------
    chances : mapping
        Treatment to the probability of each unit to be treated, shape (units,).
    """
    design, variables = bound.study, dict(bound.variables)
    for score in scores_of(bound):
        values = used_values(bound, score, chances[score.treatment.name])
        design = _outcome_study(design, score)
        if score.statement.use == "weight":
            variables = {n: v for n, v in variables.items() if v.role != "weight"}
            variables[score.name] = BoundVariable(score.name, bound.row, "weight", "positive", values)
        elif score.statement.use == "strata":
            labels = tuple(str(stratum + 1) for stratum in range(score.strata))
            level = score.treatment.level
            variables[score.name] = BoundVariable(score.name, level, "covariate", "category", values, labels)
        else:
            level = score.treatment.level
            variables[score.name] = BoundVariable(score.name, level, "covariate", "real", values)
    return replace(bound, study=design, variables=variables)


def used_values(bound: Bound, score: Score, chance: Reals) -> Reals:
    """Return what the outcome model takes: stratum numbers from 0, log odds (by unit), or weights (by row)."""
    inner = np.clip(chance, EDGE, 1 - EDGE)
    match score.statement.use:
        case "strata":
            return strata_of(inner, score.strata).astype(np.float64)
        case "covariate":
            return np.log(inner / (1 - inner))
        case "weight":
            rows = bound.levels[score.treatment.level].rows
            return weights_of(score.treated, inner, calibration_of(bound, score))[rows] * own_weights(bound)


def own_weights(bound: Bound) -> Reals:
    """Return the weights that the data give to rows, ones where they give none."""
    found = np.ones(bound.rows)
    for variable in bound.variables.values():
        if variable.role == "weight" and not variable.name.startswith("propensity("):
            found = found * bound.at_rows(variable.level, variable.values).astype(np.float64)
    return found


def calibration_of(bound: Bound, score: Score) -> Calibration | None:
    """Return what weights have to balance in groups: those of `across`, and the terms of the score; None without."""
    across, statement = score.statement.across, score.statement
    if across is None or statement.use != "weight" or score.treatment.level != bound.row:
        return None
    columns_ = [values for _, values in covariate_columns(bound, score)]
    groups = np.asarray(bound.levels[across].rows, np.int64)
    return calibration(score.treated, groups, columns_, own_weights(bound))


def strata_of(chance: Reals, strata: int) -> Codes:
    """Return the stratum of each unit, from 0: strata of equally many units by their scores."""
    edges = np.quantile(chance, np.arange(1, strata) / strata)
    return np.searchsorted(edges, chance, side="right").astype(np.int64)


def weights_of(treated: Reals, chance: Reals, to: Calibration | None = None) -> Reals:
    """Return inverse probabilities of each unit's arm, which sum in each arm to its effective number of units.

    With this sum the posterior variance of an arm's mean is s^2 / n_eff, that of a weighted mean (Kish 1965). Where
    groups are to be balanced, the weights are first calibrated `to` them.
    """
    raw = np.where(treated == 1, 1 / chance, 1 / (1 - chance))
    raw = raw if to is None else calibrated(raw, treated, to)
    found = np.empty_like(raw)
    for arm in (0.0, 1.0):
        own = raw[treated == arm]
        found[treated == arm] = own * own.sum() / (own**2).sum() if own.any() else own
    return found


def _outcome_study(design: ir.StudyFields, score: Score) -> ir.StudyFields:
    name, use = score.treatment.name, score.statement.use
    replaced = {term_text(term) for term in score.terms}
    term = study.Call(function="propensity", args=(study.Ref(name=name),))
    added: tuple[ir.Amendment, ...] = ()
    if use != "weight":
        added = (ir.Adjust(terms=(term,)),)
    if use == "strata":
        added = (*added, ir.VaryWith(effect=study.Ref(name=name), term=term, status="prespecified"))
    kept = tuple(i for i in design.analysis if not (isinstance(i, ir.Propensity) and i.treatment == name))
    return design.model_copy(
        update={
            "analysis": (*kept, *added),
            "assignments": tuple(_without(a, replaced) if a.treatment == name else a for a in design.assignments),
        }
    )


def _without(assignment: ir.Assignment, replaced: set[str]) -> ir.Assignment:
    given = tuple(term for term in assignment.mechanism.given if term_text(term) not in replaced)
    mechanism = assignment.mechanism.model_copy(update={"given": given})
    return assignment.model_copy(update={"mechanism": mechanism})


def with_values(bound: Bound, model: Model, data: ModelData, chances: Mapping[str, Reals]) -> ModelData:
    """Return the arrays of the outcome model under other scores."""
    values = dict(data.values)
    for score in scores_of(bound):
        made = used_values(bound, score, chances[score.treatment.name])
        for slot in (slot for slot in model.slots if slot.variable == score.name):
            values[slot.name] = made.astype(np.int64) if slot.dtype == "int" else made
    return ModelData(values=values, coords=data.coords)


def covariate_columns(bound: Bound, score: Score) -> list[tuple[str, Reals]]:
    """Return what the propensity depends on by name, each with its values for the units: straight parts of curves."""
    assigned = assignment_bound(bound, score)
    draft = Draft(assigned)
    found: dict[str, Reals] = {}
    for term in score.terms:
        inner = term.args if isinstance(term, study.Call) and is_smooth(term) else (term,)
        for each in inner:
            for column in _columns(draft, each):
                label = term_text(each) + (f"[{column.label}]" if column.label else "")
                found.setdefault(label, at_rows(draft, column))
    return list(found.items())


def _columns(draft: Draft, term: study.Expr) -> tuple[Column, ...]:
    try:
        return columns(draft, term)
    except NotDerivable as reason:
        message = f"`{term_text(term)}` is no property of the units that were treated: {reason.message}"
        raise NotDerivable(CODE, message, reason.help) from None


def typical_chances(bound: Bound) -> dict[str, Reals]:
    """Return scores at the mode of the propensity model, with which the outcome model is set up.

    Logistic regression, coefficients of standardised covariates normal(0, 2.5), groups of `across` normal(0, 1).
    """
    found: dict[str, Reals] = {}
    for score in scores_of(bound):
        design = [values for _, values in covariate_columns(bound, score)]
        if any(np.isnan(values).any() for values in design):
            message = f"The propensity of `{score.treatment.name}` depends on a covariate with gaps."
            raise NotDerivable(CODE, message, "Leave `missing` out: rows with gaps are then dropped and counted.")
        across = score.statement.across
        groups = None if across is None else assignment_bound(bound, score).levels[across].rows
        found[score.treatment.name] = _mode(score.treated, design, groups)
    return found


def _mode(treated: Reals, design: list[Reals], groups: Codes | None) -> Reals:
    from scipy.optimize import minimize
    from scipy.special import expit

    scaled = [(x - x.mean()) / (x.std() or 1.0) for x in design]
    matrix = np.column_stack([np.ones(len(treated)), *scaled])
    fixed, size = matrix.shape[1], 0 if groups is None else int(groups.max()) + 1
    precision = np.concatenate([[0.04], np.full(fixed - 1, 0.16), np.ones(size)])

    def loss(beta: Reals) -> tuple[float, Reals]:
        eta = matrix @ beta[:fixed]
        if groups is not None:
            eta = eta + beta[fixed:][groups]
        rest = expit(eta) - treated
        slopes = [matrix.T @ rest] + ([] if groups is None else [np.bincount(groups, rest, minlength=size)])
        value = np.sum(np.logaddexp(0, eta) - treated * eta) + 0.5 * np.sum(precision * beta**2)
        return float(value), np.concatenate(slopes) + precision * beta

    best = minimize(loss, np.zeros(fixed + size), jac=True, method="L-BFGS-B").x
    eta = matrix @ best[:fixed] + (0.0 if groups is None else best[fixed:][groups])
    return np.asarray(expit(eta), np.float64)
