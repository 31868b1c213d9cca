"""`correlate OUTCOME within UNIT as ...`: how the rows of a unit go together over its occasions.

Of normal and lognormal outcomes the residuals are correlated. The law of each row is given the rows before it (first
order autoregression, compound symmetry), or a unit's rows are jointly normal (`derive/unstructured.py`); either way
the model keeps the margin, the law of each row by itself, for potential outcomes. Of other outcomes it is latent
effects on the linear predictor that go together (`latent`).

Sources: Diggle, Heagerty, Liang & Zeger (2002), chapters 4 and 5; Pinheiro & Bates (2000), chapter 5.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.design import ir
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.occasions import CLOSE, Occasions, occasions, the_wave
from hdsl.model.derive.priors import Priors, halfnormal
from hdsl.model.derive.scales import Family, Scale
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Expr, Law, Var, add, apply, const, div, dot, gather, mul, sub

RESIDUALS = ("normal", "lognormal")
LKJ = Law(distribution="lkj_cholesky", args=(const(2),))


@dataclass(frozen=True)
class Sequence:
    """The law of a row given the rows before it, the slot that ranks the rows, and the structure in an equation."""

    law: Law
    ranks: str
    together: str
    reason: str


def text_of(statement: ir.Correlate) -> str:
    """Return the statement as written."""
    return f"correlate {statement.outcome} within {statement.within} as {statement.structure}"


def check(bound: Bound, statement: ir.Correlate, outcome: BoundVariable, family: Family) -> None:
    """Raise NotDerivable where the outcome or the unit cannot have correlated rows."""
    text = text_of(statement)
    if statement.within not in bound.levels:
        raise NotDerivable("HDM634", f"`{text}`: {statement.within} is not a level of the data.")
    if outcome.known_sd is not None or outcome.event is not None:
        what = "its sampling sd is given" if outcome.known_sd is not None else "it is censored"
        raise NotDerivable("HDM634", f"`{text}`: rows of {outcome.name} cannot be correlated, for {what}.")
    if statement.structure == "exchangeable" and family.name not in RESIDUALS:
        raise NotDerivable(
            "HDM634",
            f"`{text}`: under the family {family.name} that is the varying intercept of {statement.within}.",
            "Leave the line out; the intercept is there already.",
        )
    if family.name in ("ordinal", "categorical") and statement.structure == "unstructured":
        raise NotDerivable("HDM634", f"`{text}` is not derived for {outcome.kind} outcomes.", "Use `as ar1`.")
    if family.name == "categorical":
        raise NotDerivable("HDM634", f"`{text}` is not derived for {outcome.kind} outcomes.")


def takes_intercept(statement: ir.Correlate | None, level: str, family: Family) -> bool:
    """Return whether the structure has the varying intercept of a level within it, so that both would be one thing."""
    if statement is None or statement.within != level:
        return False
    return statement.structure != "ar1" and (family.name in RESIDUALS or statement.structure == "unstructured")


def rows_of(draft: Draft, statement: ir.Correlate) -> Occasions:
    """Return the rows of the units in the order of the occasions."""
    text = text_of(statement)
    wave = the_wave(draft.bound, text)
    if wave is None:
        raise NotDerivable("HDM634", f"`{text}`: the study has no wave.", "Declare `wave TIME id COLUMN`.")
    return occasions(draft.bound, statement.within, wave, text)


def correlation(draft: Draft, role: str, low: float, priors: Priors, reason: str) -> Expr:
    """Add a correlation between `low` and 1 and return it; LKJ(eta) of two is beta(eta, eta) on the range."""
    eta = priors.law(LKJ, role).args[0]
    text = role if low == 0 else f"({role} + {-low:.4g}) / {1 - low:.4g}"
    share = draft.random(text, Law(distribution="beta", args=(eta, eta)), reason=reason, text=f"share {role}")
    value: Expr = share if low == 0 else sub(mul(const(1 - low), share), const(-low))
    draft.report(role, value)
    return value


def sequence(
    draft: Draft, statement: ir.Correlate, outcome: BoundVariable, margin: Law, observed: Expr, priors: Priors
) -> Sequence:
    """Return the law of each row given those before it, from its margin normal(mean, sd) or lognormal(mean, sd)."""
    mean, sd = margin.args
    value = apply("log", observed) if margin.distribution == "lognormal" else observed
    standard = draft.define(f"{outcome.name} standard", div(sub(value, mean), sd), reason="standardised residuals")
    found = rows_of(draft, statement)
    made = (
        _ar1(draft, found, standard, priors)
        if statement.structure == "ar1"
        else _exchangeable(draft, found, standard, priors)
    )
    shift, kept, together = made
    row = (draft.level(draft.bound.row),)
    ranks = draft.slot("rank", row, found.rank, integer=True, source=f"rows of the {found.unit} before each")
    law = Law(
        distribution=margin.distribution,
        args=(add(mean, mul(sd, shift)), mul(sd, apply("sqrt", kept))),
    )
    equation = f"corr({outcome.name}, {outcome.name}') within {found.unit} = {together}"
    return Sequence(law, ranks.name, equation, _why(statement))


def _why(statement: ir.Correlate) -> str:
    if statement.structure == "ar1":
        return f"rows of one {statement.within} are the more alike the nearer they are in time"
    return f"rows of one {statement.within} are alike: in place of a varying intercept"


def _ar1(draft: Draft, found: Occasions, standard: Var, priors: Priors) -> tuple[Expr, Expr, str]:
    """Return what the row before adds to a standardised residual, its remaining variance, and the structure."""
    role = f"corr(residual, {found.unit})"
    rho = correlation(draft, role, -1.0 if found.tell_signs else 0.0, priors, _reason(found))
    row = draft.level(draft.bound.row)
    previous = draft.slot("previous", (row,), found.previous, indexes=row, source=f"the {found.unit}'s row before")
    carried = draft.define(
        "carried", mul(_follows(draft, found), _power(draft, found, rho)), reason="correlation with it"
    )
    shift = mul(carried, gather(standard, previous, row))
    return shift, sub(const(1), apply("square", carried)), f"{role} ^ {_distance(found)}"


def _follows(draft: Draft, found: Occasions) -> Expr:
    row = draft.level(draft.bound.row)
    values = (found.rank > 0).astype(np.float64)
    return draft.slot("follows", (row,), values, source=f"1 where a row of the {found.unit} comes before")


def _power(draft: Draft, found: Occasions, rho: Expr) -> Expr:
    if np.all(found.apart == 1):
        return rho
    row = draft.level(draft.bound.row)
    apart = draft.slot(
        "apart", (row,), found.apart, source=f"steps of {found.step:g} {found.wave} since the row before"
    )
    return apply("pow", rho, apart)


def _reason(found: Occasions) -> str:
    unit = found.wave if found.step == 1 else f"{found.step:g} {found.wave}"
    return f"correlation of residuals of one {found.unit} that are {'one ' if found.step == 1 else ''}{unit} apart"


def _distance(found: Occasions) -> str:
    between = f"|{found.wave} - {found.wave}'|"
    return between if found.step == 1 else f"({between} / {found.step:g})"


def _exchangeable(draft: Draft, found: Occasions, standard: Var, priors: Priors) -> tuple[Expr, Expr, str]:
    """Compound symmetry by successive conditioning: given k residuals of sum S before it, a residual has the mean
    r S / (1 + (k - 1) r) and the variance 1 - k r^2 / (1 + (k - 1) r)."""
    most = int(found.rank.max(initial=0)) + 1
    if most < 2:
        raise NotDerivable("HDM634", f"Each {found.unit} has one row, which cannot be correlated with another.")
    role = f"corr(residual, {found.unit})"
    reason = (
        f"correlation of any two residuals of one {found.unit}; in place of a varying intercept, it may be negative"
    )
    rho = correlation(draft, role, -1.0 / (most - 1), priors, reason)
    row = draft.level(draft.bound.row)
    before = draft.slot("before", (row,), found.rank.astype(np.float64), source=f"rows of the {found.unit} before each")
    share = draft.define(
        "carried", div(rho, add(const(1), mul(sub(before, const(1)), rho))), reason="weight of their sum"
    )
    total = _sum_before(draft, found, standard)
    return mul(share, total), sub(const(1), mul(mul(before, rho), share)), role


def _sum_before(draft: Draft, found: Occasions, standard: Var) -> Expr:
    """Return, for each row, the sum of a value over the rows of its unit before it."""
    row = draft.level(draft.bound.row)
    place = np.empty(len(found.order), np.int64)
    place[found.order] = np.arange(len(found.order))
    sorted_: Expr = standard
    plain = bool(np.all(place == np.arange(len(place))))
    if not plain:
        by_unit = draft.slot(
            "sorted", (row,), found.order, indexes=row, source=f"rows by {found.unit} and {found.wave}"
        )
        sorted_ = gather(standard, by_unit, row)
    running = draft.define(
        "running", sub(apply("cumulative_sum", sorted_, static=(row,)), sorted_), reason="sum of those before"
    )
    start = draft.slot("start", (row,), place - found.rank, indexes=row, source=f"where the {found.unit}'s rows begin")
    here: Expr = running
    if not plain:
        at = draft.slot("place", (row,), place, indexes=row, source="the place of each row among the sorted")
        here = gather(running, at, row)
    return sub(here, gather(running, start, row))


def latent(draft: Draft, statement: ir.Correlate, scale: Scale, priors: Priors) -> Expr:
    """Add effects of the rows that go together over a unit's occasions, first-order autoregressive; at the rows.

    A unit's effects on all occasions are sd L z, z independent and standard normal, where L is the Cholesky factor of
    the correlations: with times t, L[i, j] = r^(t_i - t_j) sqrt(1 - r^(2 (t_j - t_(j-1)))) for j <= i.
    """
    found = rows_of(draft, statement)
    row, unit, wave = draft.bound.row, found.unit, found.wave
    role = f"sd(intercept, {row})"
    law = priors.positive(halfnormal(scale.group_sd), role)
    sd = draft.random(role, law, reason=f"each {row} has an effect of its own, correlated within {unit}")
    draft.report(role, sd)
    positions = draft.bound.levels[wave].positions
    assert positions is not None
    steps = np.diff(positions) / found.step
    whole = bool(np.all(np.abs(steps - np.round(steps)) < CLOSE * np.maximum(1.0, steps)))
    reason = _reason(found).replace("residuals", "these effects")
    rho = correlation(draft, f"corr(residual, {unit})", -1.0 if whole else 0.0, priors, reason)
    other = draft.index_set(f"{wave}_innovations", draft.bound.levels[wave].labels, "terms")
    factor = draft.define(f"factor {wave}", _ar1_factor(draft, wave, other, positions / found.step, rho))
    standard = Law(distribution="normal", args=(const(0), const(1)))
    z = draft.random(f"standard(intercept, {row})", standard, (draft.level(unit), other), "innovations of the effects")
    role = f"deviation(intercept, {row})"
    effects = draft.define(f"effects {row}", mul(sd, dot(z, factor, other)), role=role, reason=reason)
    return at_rows(draft, effects, unit, wave, draft.level(wave))


def at_rows(draft: Draft, effects: Expr, unit: str, wave: str, dim: str) -> Expr:
    """Return effects over units and occasions (`dim`) at the rows."""
    row = draft.bound.row
    by_unit = gather(effects, draft.membership(row, unit), draft.level(unit))
    if dim == draft.level(wave):
        return gather(by_unit, draft.membership(row, wave), dim)
    place = draft.slot(
        f"{dim}_of_{row}",
        (draft.level(row),),
        draft.bound.levels[wave].rows,
        indexes=dim,
        source=f"the {wave} of each {row}",
    )
    return gather(by_unit, place, dim)


def _ar1_factor(draft: Draft, wave: str, other: str, times: Reals, rho: Expr) -> Expr:
    level = draft.level(wave)
    lag = times[:, None] - times[None, :]
    below = draft.slot("not above", (level, other), (lag >= 0).astype(np.float64), source="1 on and below the diagonal")
    apart = draft.slot("apart", (level, other), np.where(lag >= 0, lag, 1.0), source=f"steps between {wave}s")
    gaps = np.concatenate([[1.0], np.diff(times)])
    follows = draft.slot("follows", (other,), (np.arange(len(times)) > 0).astype(np.float64), source="0 at the first")
    gap = draft.slot("gap", (other,), gaps, source=f"steps since the {wave} before")
    kept = sub(const(1), mul(follows, apply("square", apply("pow", rho, gap))))
    return mul(mul(below, apply("pow", rho, apart)), apply("sqrt", kept))
