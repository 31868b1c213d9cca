"""`surface of OUTCOME given x, ... as bart`: Y(0) and Y(1) from one sum of regression trees.

The surface is a random variable with a value for each row under each arm; an arm's effect is the difference of two of
its columns, so that potential outcomes come out of it as they come out of any predictor. Sources: Chipman, George &
McCulloch (2010) on the prior; Hill (2011) on its use for causal effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Bound, BoundTreatment, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.scales import Family, Scale
from hdsl.model.derive.surface import CODE, check, surfaces_of
from hdsl.model.derive.terms import NotDerivable, at_rows, columns, term_text
from hdsl.model.ir import Expr, Law, Var, apply, column, const, sub

FAMILIES = ("normal", "lognormal", "bernoulli")
PRIOR_SDS = 4.0
LOGIT_SD = 2.5


@dataclass(frozen=True)
class Trees:
    """A surface of trees in the model.

    Attributes
    ----------
    reference : Expr
        The surface under the reference arm, by row, around `middle`.
    effects : mapping
        Role of a treatment's effect to its value for each row.
    replaced : frozenset
        Families of the slopes that the surface stands for.
    """

    row: str
    middle: float
    reference: Expr
    effects: Mapping[str, Expr]
    replaced: frozenset[str]

    def mean(self, draft: Draft, role: str) -> Expr:
        """Return the mean of an effect over the rows."""
        return apply("mean", self.effects[role], static=(draft.level(self.row),))


def trees_of(draft: Draft, outcome: BoundVariable, family: Family, scale: Scale) -> Trees | None:
    """Add the surface of trees that a study asks for, None where it asks for none.

    Raises
    ------
    NotDerivable
        HDM667 where the surface cannot be.
    """
    found = surfaces_of(draft.bound.study, "bart")
    if not found:
        return None
    item, bound = found[0], draft.bound
    treatment = _treatment(bound, item)
    _refuse(draft, item, family)
    middle, sd = _prior(outcome, family, scale)
    surface, arms = _surface(draft, item, treatment, sd)
    reference = column(surface, arms, 0)
    effects: dict[str, Expr] = {}
    for place, arm in enumerate(treatment.arms[1:], start=1):
        role = f"effect({treatment.name})" + (f"[{arm}]" if len(treatment.arms) > 2 else "")
        effects[role] = draft.define(f"{role} by row", sub(column(surface, arms, place), reference))
    replaced = frozenset(f"slope({term_text(term)})" for term in item.given)
    return Trees(bound.row, middle, reference, effects, replaced)


def _treatment(bound: Bound, item: ir.Surface) -> BoundTreatment:
    check(bound, item)
    treatment = next(iter(bound.treatments.values()))
    if len(bound.treatments) > 1 or treatment.continuous:
        what = "a dose" if treatment.continuous else "several treatments"
        message = f"`surface of {item.outcome} ... as bart` is derived for one treatment with arms, not for {what}."
        raise NotDerivable(CODE, message, "Write `as gp`.")
    return treatment


def _refuse(draft: Draft, item: ir.Surface, family: Family) -> None:
    written, bound = f"`surface of {item.outcome} ... as bart`", draft.bound
    if family.name not in FAMILIES or family.link not in ("identity", "logit"):
        message = f"{written} is not derived for the family {family.name} with link {family.link}."
        raise NotDerivable(CODE, message, f"Families: {', '.join(FAMILIES)}. Or write `as gp`.")
    for other in bound.study.analysis:
        if isinstance(other, ir.VaryAcross) and set(study.names(other.effect)) & set(bound.treatments):
            message = f"{written}: the trees hold the effect, which cannot vary across {other.across[0]} beside them."
            raise NotDerivable(CODE, message, "Put covariates of the groups into the surface, or write `as gp`.")
    gaps = [name for term in item.given for name in study.names(term) if name in draft.completed]
    if gaps or bound.study.principals:
        what = f"covariate with gaps (`{gaps[0]}`)" if gaps else "principal strata"
        message = f"{written}: trees take no {what}."
        raise NotDerivable(CODE, message, "Write `as gp`.")
    for estimand in bound.study.estimands:
        parts = (part for part in study.walk(estimand.value) if isinstance(part, study.Aggregate))
        if any(part.population or part.cells for part in parts):
            message = f"{written}: a population needs the surface at new units, and it is known at those of the data."
            raise NotDerivable(CODE, message, f"Write `over {bound.row}`, or the surface `as gp`.")


def _prior(outcome: BoundVariable, family: Family, scale: Scale) -> tuple[float, float]:
    """Return the middle and the standard deviation of the surface: two of them reach the ends of the data."""
    if family.name == "bernoulli":
        return scale.middle, LOGIT_SD
    y = np.log(outcome.values) if family.name == "lognormal" else outcome.values
    low, high = float(np.min(y)), float(np.max(y))
    return float(f"{(low + high) / 2:.6g}"), float(f"{(high - low) / PRIOR_SDS:.4g}") or 1.0


def _surface(draft: Draft, item: ir.Surface, treatment: BoundTreatment, sd: float) -> tuple[Var, str]:
    """Add the surface, of dims (arms, rows), and return it with its arms."""
    bound, row = draft.bound, draft.level(draft.bound.row)
    arms = draft.index_set(f"arms of {treatment.name}", treatment.arms, "arms")
    named = [(term_text(term), each) for term in item.given for each in columns(draft, term)]
    found = [(f"{name} {each.label}".strip(), at_rows(draft, each)) for name, each in named]
    terms = draft.index_set("surface terms", [*treatment.arms[1:], *(name for name, _ in found)], "terms")
    values = _covariates([value for _, value in found], len(treatment.arms), bound.rows)
    covariates = draft.slot("surface covariates", (arms, row, terms), values, source="each row under each arm")
    own = bound.at_rows(treatment.level, treatment.values)
    arm = draft.slot("arm of row", (row,), own, indexes=arms, source="the arm of each row")
    law = Law(distribution="bart", args=(covariates, arm, const(sd)))
    reason = f"one flexible function of {treatment.name} and {', '.join(term_text(term) for term in item.given)}"
    return draft.random(f"surface({item.outcome})", law, (arms, row), reason), arms


def _covariates(columns_: list[Reals], arms: int, rows: int) -> Reals:
    """Return indicators of the arms and the covariates, shape (arms, rows, terms)."""
    indicators = np.repeat(np.eye(arms)[:, None, 1:], rows, axis=1)
    shared = np.stack(columns_, axis=-1)
    return np.concatenate([indicators, np.repeat(shared[None], arms, axis=0)], axis=-1)
