"""Varying effects of a level: deviations with standard deviations, jointly normal with an LKJ correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hdsl.design import expr as study
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.effect_scales import scaled, spread_role
from hdsl.model.derive.mixture_effects import clustered
from hdsl.model.derive.priors import Priors, halfnormal
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Dims, Expr, Law, column, const, dot, mul, stack


@dataclass(frozen=True)
class Effect:
    """An effect that varies: its role, its default spread, why, its law, and the terms its log spread depends on."""

    role: str
    prior_sd: float
    reason: str
    law: str = "normal"
    uncorrelated: bool = False
    log_sd: tuple[study.Expr, ...] = ()


def deviations(draft: Draft, level: str, effects: Sequence[Effect], priors: Priors, free: Dims = ()) -> dict[str, Expr]:
    """Add the deviations of a level's effects and return them by role, each of dims (level, *free).

    With `free` dims (the categories of a categorical outcome) each category has its own spreads, and effects
    are uncorrelated.

    Source: Feller & Gelman (2015), the bivariate normal model for (alpha_g, tau_g); with more effects the
    covariance is diag(sd) Omega diag(sd), Omega ~ LKJ.
    """
    joint = [effect for effect in effects if not (effect.uncorrelated or effect.law == "dirichlet")]
    alone = [effect for effect in effects if effect not in joint]
    if len(joint) == 1 or free:
        joint, alone = [], [*joint, *alone]
    for effect in joint:
        if effect.law == "student":
            raise NotDerivable(
                "HDM620",
                f"`vary ... across {level} as student`: {effect.role} is correlated with other effects, for which "
                "there is no student law yet.",
                "Add `uncorrelated`: `vary ... across ... uncorrelated as student`.",
            )
    found = {effect.role: _single(draft, level, effect, priors, free) for effect in alone}
    if joint:
        found |= _joint(draft, level, joint, priors)
    return found


def _sd(draft: Draft, level: str, effect: Effect, priors: Priors, free: Dims = ()) -> Expr:
    role = spread_role(effect.role, level)
    law = priors.positive(halfnormal(effect.prior_sd), role, *_parent(effect.role, level))
    found = draft.random(role, law, free, effect.reason)
    draft.report(role, found)
    return scaled(draft, effect.role, level, effect.log_sd, found, priors, free)


def _parent(role: str, level: str) -> tuple[str, ...]:
    """Return the role without its arm, under which one prior serves all arms."""
    whole = role.split("[", 1)[0]
    return (spread_role(whole, level),) if whole != role else ()


def _single(draft: Draft, level: str, effect: Effect, priors: Priors, free: Dims) -> Expr:
    sd = _sd(draft, level, effect, priors, free)
    dims: Dims = (draft.level(level), *free)
    role = f"deviation({effect.role}, {level})"
    if effect.law == "dirichlet":
        if free:
            message = f"`vary ... across {level} as dirichlet` is not derived for outcomes in categories."
            raise NotDerivable("HDM629", message, f"Write `vary ... across {level}`: a normal law.")
        return clustered(draft, effect.role, level, sd, effect.reason, priors)
    if effect.law == "student":
        df_role = f"df({effect.role}, {level})"
        default = Law(distribution="gamma", args=(const(2), const(0.1)))
        reason = f"how heavy the tails of {effect.role} across {level} are"
        df = draft.random(df_role, priors.positive(default, df_role), reason=reason)
        draft.report(df_role, df)
        law = Law(distribution="student", args=(df, const(0), sd))
    else:
        law = Law(distribution="normal", args=(const(0), sd))
    return draft.random(role, law, dims, effect.reason)


def _joint(draft: Draft, level: str, effects: Sequence[Effect], priors: Priors) -> dict[str, Expr]:
    roles = [effect.role for effect in effects]
    sds = [_sd(draft, level, effect, priors) for effect in effects]
    dim = draft.index_set(f"{level}_effects", roles, "effects")
    other = draft.index_set(f"{level}_effects_", roles, "effects")
    shape = Law(distribution="lkj_cholesky", args=(const(2),))
    corr = draft.random(
        f"corr_cholesky({level})",
        priors.law(shape, f"corr({level})"),
        (dim, other),
        f"the effects that vary across {level} are jointly normal",
    )
    scale = draft.define(f"sd {level}", stack(sds, dim))
    law = Law(distribution="multinormal_cholesky", args=(const(0), mul(scale, corr)))
    reason = "; ".join(dict.fromkeys(effect.reason for effect in effects))
    joint = draft.random(f"deviation({level})", law, (draft.level(level), dim), reason)
    for i, first in enumerate(roles):
        for j in range(i + 1, len(roles)):
            value = dot(column(corr, dim, i), column(corr, dim, j), other)
            draft.report(f"corr({first}, {roles[j]}, {level})", value)
    return {role: column(joint, dim, k) for k, role in enumerate(roles)}
