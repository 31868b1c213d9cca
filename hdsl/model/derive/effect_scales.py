"""`variance of EFFECT across GROUP with x`: the spread of the effects of groups is log-linear in what groups are like.

Source: Kim & Seltzer (2011), the log-linear model of variances, here of the effects of groups: log sd_g = log sd +
b (x_g - mean of x).
"""

from __future__ import annotations

import numpy as np

from hdsl.data.bound import Reals
from hdsl.design import expr as study
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import Priors, normal, rounded
from hdsl.model.derive.smooth import is_smooth
from hdsl.model.derive.terms import Column, NotDerivable, columns, spread, term_text
from hdsl.model.ir import Dims, Expr, Var, add, apply, const, mul, sub


def spread_role(effect: str, level: str) -> str:
    """Return the role of the spread of an effect across a level."""
    return f"sd({effect}, {level})"


def scaled(
    draft: Draft, effect: str, level: str, terms: tuple[study.Expr, ...], sd: Var, priors: Priors, free: Dims = ()
) -> Expr:
    """Return the spread of an effect in each unit of `level`; `sd` is that of a unit with average covariates.

    Adds a coefficient `log_sd(EFFECT, LEVEL, x)` for each column of each term: the change of the log spread per unit
    of x. Without terms it is `sd` itself.
    """
    if not terms:
        return sd
    lines = [line for term in terms for line in _lines(draft, effect, level, term, priors, free)]
    role = f"{spread_role(effect, level)}[{level}]"
    value = mul(sd, apply("exp", add(*lines)))
    found = draft.define(f"{role} each", value, role=role, reason=f"the spread of {effect} differs between {level}s")
    draft.report(role, found)
    return found


def _lines(draft: Draft, effect: str, level: str, term: study.Expr, priors: Priors, free: Dims) -> list[Expr]:
    text, found = term_text(term), list[Expr]()
    for column in _of_groups(draft, effect, level, term):
        values = _at(draft, column, level)
        label = f"[{column.label}]" if column.label else ""
        role = f"log_sd({effect}, {level}, {text}){label}"
        law = priors.law(normal(0, 1 / spread(values)), role, *_shared(effect, level, text))
        reason = f"the log spread of {effect} across {level} per unit of {text}"
        slope = draft.random(role, law, free, reason)
        draft.report(role, slope)
        here = draft.at(column.expr, column.level, level)
        found.append(mul(slope, sub(here, const(rounded(float(np.mean(values)))))))
    return found


def _shared(effect: str, level: str, text: str) -> tuple[str, ...]:
    """Return the roles under which one prior serves all categories of a term, and all arms."""
    whole = effect.split("[", 1)[0]
    return tuple(dict.fromkeys(f"log_sd({name}, {level}, {text})" for name in (effect, whole)))


def _of_groups(draft: Draft, effect: str, level: str, term: study.Expr) -> tuple[Column, ...]:
    text = f"`variance of {effect} across {level} with {term_text(term)}`"
    if is_smooth(term):
        raise NotDerivable("HDM629", f"{text}: the log spread of effects is linear.", "Write the covariate itself.")
    found = columns(draft, term)
    treatments = set(study.names(term)) & draft.bound.treatments.keys()
    if treatments:
        message = f"{text}: the groups were given `{sorted(treatments)[0]}`; their spread may depend on covariates."
        raise NotDerivable("HDM629", message, f"Write `variance of OUTCOME by {sorted(treatments)[0]}`.")
    for column in found:
        if column.level is None or not draft.bound.nests(level, column.level):
            message = f"{text}: {term_text(term)} is no number that each {level} has."
            help_ = f"Name a covariate of {level}, or `mean({term_text(term)}, {level})`."
            raise NotDerivable("HDM629", message, help_)
    return found


def _at(draft: Draft, column: Column, level: str) -> Reals:
    assert column.level is not None
    if column.level == level:
        return column.values
    return np.asarray(column.values[draft.bound.element_of(level, column.level)], dtype=np.float64)
