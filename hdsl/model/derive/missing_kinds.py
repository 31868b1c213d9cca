"""Binary covariates and categories with gaps: every combination of values a row may have, summed out.

A row's likelihood is the sum over the combinations k that its known values allow,

    sum_k p(k | covariates, groups) p(y | k).

The probabilities are logits, each covariate given those before it. What is known of a covariate counts in them too.
Source: Ibrahim (1990), JASA 85, the method of weights, here summed in the likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import BoundVariable
from hdsl.design.levels import is_above
from hdsl.diagnostics import Diagnostic
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.kinds import IMPOSSIBLE, Kinds
from hdsl.model.derive.priors import Priors, halfnormal, normal, rounded
from hdsl.model.derive.terms import Column, NotDerivable, spread
from hdsl.model.ir import Expr, Law, Var, add, apply, column, const, mul, stack

DISCRETE = ("binary", "category", "ordered")
CODES = "the code of its category, -1 in gaps"
MOST = 32
FEW = 0.5
ODDS_SD = 1.5
BETWEEN_SD = 1.0
LEAST_GROUPS = 3

Predictors = Callable[[BoundVariable], Iterator[tuple[str, Column]]]


def summed_out(
    draft: Draft, priors: Priors, variables: Sequence[BoundVariable], predictors: Predictors
) -> Kinds | None:
    """Add the laws of discrete covariates with gaps and complete their columns; None where there are none.

    Raises
    ------
    NotDerivable
        HDM636: a covariate of an upper level, or too many combinations.
    """
    if not variables:
        return None
    _refuse(draft, variables)
    labels = [categories(variable) for variable in variables]
    combinations = list(product(*(range(len(each)) for each in labels)))
    name = " and ".join(variable.name for variable in variables)
    said = [
        ", ".join(f"{v.name} = {names[place]}" for v, names, place in zip(variables, labels, places, strict=True))
        for places in combinations
    ]
    dim = draft.index_set(f"{name} value", said, "categories")
    shares: list[Expr] = []
    allowed: list[Expr] = []
    for at, variable in enumerate(variables):
        places = np.array([each[at] for each in combinations])
        logits = _logits(draft, priors, variable, labels[at], predictors)
        shares.append(_share(draft, variable, logits, combinations, at, dim))
        codes = codes_of(variable)
        allowed.append(_allowed(draft, variable, places, dim))
        _complete(draft, variable, labels[at], places, dim)
        count = int(np.sum(codes < 0))
        message = f"{count} of {len(codes)} values of `{variable.name}` are missing and are summed out."
        draft.diagnostics.append(Diagnostic("HDM429", message, severity="note"))
    share = draft.define(f"log share {name}", add(*shares), reason=f"how likely each value of {name} is")
    mask = apply("where", mul(*allowed), const(0), const(IMPOSSIBLE))
    return Kinds(dim, name, share, mask, told="", known=True)


def _allowed(draft: Draft, variable: BoundVariable, places: NDArray[np.int64], dim: str) -> Expr:
    """Return 1 where what is known of a row allows the combination, over (rows, combinations)."""
    name, row = variable.name, (draft.level(variable.level),)
    codes = draft.slot(f"{name} known", row, codes_of(variable), variable=name, integer=True, source=CODES)
    each = draft.slot(f"{name} of {dim}", (dim,), places, integer=True, source=f"{name} in each combination, as a code")
    return apply("max", apply("equal", codes, each), apply("less", codes, const(0)))


def codes_of(variable: BoundVariable) -> NDArray[np.int64]:
    """Return a discrete covariate as codes of its categories, -1 where it is missing."""
    return np.where(np.isnan(variable.values), -1, variable.values).astype(np.int64)


def categories(variable: BoundVariable) -> tuple[str, ...]:
    """Return the values of a discrete covariate, as text."""
    return variable.labels or ("0", "1")


def _refuse(draft: Draft, variables: Sequence[BoundVariable]) -> None:
    for variable in variables:
        if variable.level != draft.bound.row:
            raise NotDerivable(
                "HDM636",
                f"Gaps of `{variable.name}`, a {variable.kind} of each {variable.level}, are not modelled.",
                f"Those of each {draft.bound.row} are. Without `missing`, rows with gaps are dropped and counted.",
            )
    number = int(np.prod([len(categories(variable)) for variable in variables]))
    if number > MOST:
        names = ", ".join(variable.name for variable in variables)
        raise NotDerivable(
            "HDM636",
            f"{names} have {number} combinations of values, more than the {MOST} that are summed out.",
            "Leave `missing` out where gaps are few, or join categories.",
        )


def _logits(
    draft: Draft, priors: Priors, variable: BoundVariable, labels: Sequence[str], predictors: Predictors
) -> list[Expr]:
    """Return the log odds of each category but the first, over rows (and combinations, where earlier gaps tell)."""
    codes, told = codes_of(variable), list(predictors(variable))
    seen = np.bincount(codes[codes >= 0], minlength=len(labels)) + FEW
    found: list[Expr] = []
    for place, label in enumerate(labels[1:], start=1):
        own = "" if len(labels) == 2 else label
        role = _of(f"log_odds({variable.name})", own)
        middle = rounded(float(np.log(seen[place] / seen[0])))
        law = priors.law(normal(middle, ODDS_SD), role, f"log_odds({variable.name})")
        start = draft.random(role, law, reason=f"{variable.name} at average covariates")
        draft.report(role, start)
        summands: list[Expr] = [start, draft.zeros()]
        said = [role]
        for text, told_by in told:
            slope, by = _slope(draft, priors, variable, own, text, told_by)
            summands.append(slope)
            said.append(f"{by} * {text}")
        for level in _groups(draft, variable):
            summands.append(_between(draft, priors, variable, own, level))
            said.append(_of(f"deviation({variable.name}, {level})", own))
        written = f"~ bernoulli_logit({' + '.join(said)})" if not own else f"= {' + '.join(said)}"
        count = int(np.sum(codes < 0))
        reason = f"{count} of {len(codes)} values of {variable.name} are missing and summed out"
        shown = variable.name if not own else role
        found.append(draft.define(f"{role} {variable.level}", add(*summands), shown, reason, written))
    return found


def _of(role: str, label: str) -> str:
    """Return the role for a category: `slope(x, w)[b]`, `slope(x, w)[high, b]`; as it is for a binary one."""
    if not label:
        return role
    return f"{role[:-1]}, {label}]" if role.endswith("]") else f"{role}[{label}]"


def _slope(
    draft: Draft, priors: Priors, variable: BoundVariable, own: str, text: str, told_by: Column
) -> tuple[Expr, str]:
    """Return what a predictor adds to the log odds, and the role of its slope."""
    label = f"[{told_by.label}]" if told_by.label else ""
    role = _of(f"slope({variable.name}, {text}){label}", own)
    level = told_by.level
    values = (
        told_by.values
        if level in (None, variable.level)
        else told_by.values[draft.bound.element_of(variable.level, level)]
    )
    law = priors.law(normal(0, ODDS_SD / spread(values)), role, f"slope({variable.name}, {text})")
    slope = draft.random(role, law, reason=f"{text} tells of {variable.name}")
    draft.report(role, slope)
    centred = add(draft.at(told_by.expr, level, variable.level), const(-rounded(float(np.mean(values)))))
    return mul(slope, centred), role


def _groups(draft: Draft, variable: BoundVariable) -> list[str]:
    bound = draft.bound
    above = [upper.name for upper in bound.study.levels if is_above(bound.study, upper.name, variable.level)]
    return [level for level in above if bound.levels[level].size >= LEAST_GROUPS]


def _between(draft: Draft, priors: Priors, variable: BoundVariable, own: str, level: str) -> Expr:
    role = _of(f"sd({variable.name}, {level})", own)
    reason = f"how much {variable.name} differs between units of {level}"
    between = priors.positive(halfnormal(BETWEEN_SD), role, f"sd({variable.name}, {level})")
    scale = draft.random(role, between, reason=reason)
    draft.report(role, scale)
    law = Law(distribution="normal", args=(const(0), scale))
    deviation = _of(f"deviation({variable.name}, {level})", own)
    found = draft.random(deviation, law, (draft.level(level),), f"{variable.name} differs between them")
    return draft.at(found, level, variable.level)


def _share(
    draft: Draft,
    variable: BoundVariable,
    logits: Sequence[Expr],
    combinations: Sequence[tuple[int, ...]],
    at: int,
    dim: str,
) -> Expr:
    """Return the log probability of a covariate's value in each combination, over (rows, combinations)."""
    values = draft.index_set(f"{variable.name} category", categories(variable), "categories")
    made: dict[tuple[int, ...], Expr] = {}
    found: list[Expr] = []
    for place, each in enumerate(combinations):
        before = each[:at]
        if before not in made:
            odds = [column(v, dim, place) if dim in draft.scope[_name(v)] else v for v in logits]
            text = f"log chance {variable.name}"
            made[before] = draft.define(
                text,
                apply("log_softmax", stack([const(0), *odds], values), static=(values,)),
                reason=f"of {variable.name}",
            )
        found.append(column(made[before], values, each[at]))
    return stack(found, dim)


def _name(expr: Expr) -> str:
    assert isinstance(expr, Var)
    return expr.name


def _complete(
    draft: Draft, variable: BoundVariable, labels: Sequence[str], places: NDArray[np.int64], dim: str
) -> None:
    """Keep the covariate's columns: what it is in each combination, beside the rows' known values or their mean."""
    codes, columns = codes_of(variable), list[Column]()
    for place, label in enumerate(labels[1:], start=1):
        text = variable.name if len(labels) == 2 and not variable.labels else f"{variable.name}_{label}"
        source = f"{variable.name} in each combination"
        slot = draft.slot(text, (dim,), (places == place).astype(np.float64), source=source)
        known = (codes == place).astype(np.float64)
        filled = np.where(codes < 0, known[codes >= 0].mean(), known)
        columns.append(Column(slot, variable.level, filled, label if variable.labels else ""))
    draft.completed[variable.name] = tuple(columns)
