"""Exploratory effect variation: the interactions of an effect with its moderators, shrunk together.

Each prior is on theta, the change of the effect (of an arm, or of one standard deviation of a dose) for one standard
deviation of the moderator, on the scale of the linear predictor; s is the scale of group spreads there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.coefficients import Coefficient
from hdsl.model.derive.curves import Setting
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import rounded
from hdsl.model.derive.terms import Column, NotDerivable, at_rows, columns, spread, term_text
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Expr, Law, Var, add, apply, column, const, div, mul, sub

HALF = 0.5
TAILS = 4.0
LIKELY_SHARE = 0.2
FLOOR = 0.05


@dataclass(frozen=True)
class Candidate:
    """One exploratory interaction: its role, the effect and the centred moderator, and theta per unit of it.

    `mains`: the roles that the moderator's own coefficient may have.
    """

    role: str
    coefficient: Coefficient
    column: Column
    mains: tuple[str, str]
    units: float


def is_shrunken(setting: Setting, statement: ir.VaryWith) -> bool:
    """Return whether the straight part of a moderation has the common prior: exploratory, without one of its own."""
    text = interaction_text(statement)
    own = any(role.startswith(f"interaction({text})") for role in setting.priors.given)
    return statement.status == "exploratory" and statement.shape != "gp" and not own


def interaction_text(statement: ir.VaryWith) -> str:
    """Return the text of an effect times its moderator."""
    return term_text(study.Operation(operator="*", left=statement.effect, right=statement.term))


def candidates(draft: Draft, coefficients: Sequence[Coefficient], statement: ir.VaryWith) -> list[Candidate]:
    """Return the interactions of the coefficients of one effect with one moderator, which is centred."""
    text, term = interaction_text(statement), term_text(statement.term)
    found: list[Candidate] = []
    for coefficient in coefficients:
        arm = coefficient.column.label if "[" in coefficient.role else ""
        for each in columns(draft, statement.term):
            label = ", ".join(part for part in (arm, each.label) if part)
            role = f"interaction({text})" + (f"[{label}]" if label else "")
            rows = at_rows(draft, each)
            middle = draft.bound.mean(rows)
            centred = replace(each, expr=sub(each.expr, const(middle)), values=each.values - middle)
            own = f"[{each.label}]" if each.label else ""
            mains = (f"slope({term}){own}", f"effect({term}){own}")
            units = coefficient.prior_scale * spread(rows, draft.bound)
            found.append(Candidate(role, coefficient, centred, mains, units))
    return found


def shrink(setting: Setting, found: Sequence[Candidate], prior: str, made: dict[str, Expr]) -> None:
    """Add exploratory interactions with their common prior to `made`, the coefficients by role.

    Each becomes a moderator of its effect, centred, so that the effect stays the one at average values of them.
    """
    draft = setting.draft
    unique = list({each.role: each for each in found if each.role not in made}.values())
    if not unique:
        return
    dim = draft.index_set("exploratory", [each.role for each in unique], "terms")
    theta = _PRIORS[prior](_Prior(setting, unique, made, dim))
    for place, each in enumerate(unique):
        value = div(column(theta, dim, place), const(each.units))
        made[each.role] = draft.define(each.role, value, role=each.role)
        draft.report(each.role, made[each.role])
        each.coefficient.moderators.append((each.role, each.column))


@dataclass(frozen=True)
class _Prior:
    """What a prior of exploratory interactions is made from."""

    setting: Setting
    candidates: Sequence[Candidate]
    made: Mapping[str, Expr]
    dim: str

    @property
    def scale(self) -> float:
        """The scale of group spreads on the linear predictor."""
        return self.setting.scale.group_sd

    def parameter(self, role: str, law: Law, reason: str) -> Var:
        """Add a positive parameter of the prior and report it."""
        found = self.setting.draft.random(role, self.setting.priors.positive(law, role), reason=reason)
        self.setting.draft.report(role, found)
        return found

    def each(self, role: str, law: Law, reason: str) -> Var:
        """Add a parameter with a value for each interaction."""
        return self.setting.draft.random(role, law, (self.dim, *self.setting.free), reason)

    def thetas(self, value: Expr, written: str) -> Var:
        """Define the interactions, and how they are written in equations."""
        text = f"~ {written}, each for one sd of its moderator"
        reason = "exploratory moderators: their interactions are shrunk together"
        return self.setting.draft.define("interactions", value, role="interactions", reason=reason, written=text)


def _law(name: str, *args: float) -> Law:
    return Law(distribution=name, args=tuple(const(arg) for arg in args))


def _common(prior: _Prior, default: float, reason: str) -> Var:
    return prior.parameter("sd(interactions)", _law("halfstudent", TAILS, rounded(default)), reason)


def _standard(prior: _Prior, law: Law) -> Var:
    return prior.each("coefficient(interactions)", law, "standardised interactions")


NORMAL = _law("normal", 0, 1)
LAPLACE = _law("laplace", 0, math.sqrt(0.5))


def _halft(prior: _Prior) -> Expr:
    """theta ~ normal(0, sd), sd ~ half-t (Gelman 2006; Simon 2002 and Dixon & Simon 1991 for the use)."""
    sd = _common(prior, HALF * prior.scale, "how large exploratory interactions are")
    return prior.thetas(mul(sd, _standard(prior, NORMAL)), "normal(0, sd(interactions))")


def _lasso(prior: _Prior) -> Expr:
    """theta ~ Laplace of standard deviation sd, sd ~ half-t (Park & Casella 2008)."""
    sd = _common(prior, HALF * prior.scale, "how large exploratory interactions are")
    return prior.thetas(mul(sd, _standard(prior, LAPLACE)), "laplace(0, sd = sd(interactions))")


def _horseshoe(prior: _Prior) -> Expr:
    """The regularised horseshoe (Piironen & Vehtari 2017, section 2.3 and, for the global scale, 3.1).

    theta ~ normal(0, tau l), l^2 = c^2 lambda^2 / (c^2 + tau^2 lambda^2), lambda ~ half-Cauchy(1),
    c^2 ~ inverse gamma(2, 2 s^2), tau ~ half-Cauchy(p0 / (D - p0) se): p0 of the D interactions are guessed to be
    there, a fifth of them and at least one; se is what the data leave unknown about one.
    """
    wide = rounded(2 * prior.scale**2)
    law = _law("halfcauchy", rounded(_odds(len(prior.candidates)) * _error(prior)))
    sd = prior.parameter("sd(interactions)", law, "scale of the interactions that are nearly nothing")
    squared = prior.parameter("slab(interactions)", _law("inverse_gamma", 2, wide), "squared scale of the large ones")
    local = prior.each("local(interactions)", _law("halfcauchy", 1), "how large each interaction is")
    product = apply("square", mul(sd, local))
    scale = mul(mul(sd, local), apply("sqrt", div(squared, add(squared, product))))
    return prior.thetas(mul(scale, _standard(prior, NORMAL)), "regularised_horseshoe(sd(interactions))")


def _odds(count: int) -> float:
    """Return the guessed odds of an interaction that is there."""
    likely = min(max(1.0, LIKELY_SHARE * count), count / 2)
    return likely / (count - likely)


def _error(prior: _Prior) -> float:
    """Return the typical standard error of an interaction."""
    draft, errors = prior.setting.draft, []
    for each in prior.candidates:
        level = draft.join(each.coefficient.column.level, each.column.level)
        units = draft.bound.total if level == draft.bound.row else draft.bound.levels[str(level)].size
        varies = spread(at_rows(draft, each.coefficient.column), draft.bound) / each.coefficient.prior_scale
        errors.append(prior.scale / math.sqrt(units) / varies)
    return float(np.mean(errors))


def _r2d2(prior: _Prior) -> Expr:
    """R2-D2 (Zhang, Naughton, Bondell & Reich 2022): the variance of all interactions is split among them.

    theta ~ Laplace of variance s^2 omega phi, omega = R^2 / (1 - R^2), phi ~ Dirichlet(0.5, ..., 0.5), and
    R^2 ~ beta(1, 9), in place of the residual standard deviation s, the scale of group spreads.
    """
    given = prior.setting.priors.positive(_law("beta", 1, 9), "r2(interactions)")
    if DISTRIBUTIONS[given.distribution].support not in ("unit", "interval"):
        raise NotDerivable("HDM625", "The prior of `r2(interactions)` must be on shares.", "Write `beta(1, 9)`.")
    role, reason = "r2(interactions)", "share of the variance that interactions have"
    r2 = prior.parameter(role, _law("beta", 1, 9), reason)
    total = mul(const(prior.scale), apply("sqrt", div(r2, sub(const(1), r2))))
    if len(prior.candidates) > 1:
        draft, free = prior.setting.draft, prior.setting.free
        dims = (*free, prior.dim)
        shares = draft.random("share(interactions)", _law("dirichlet", 0.5), dims, "how it is split among them")
        total = mul(total, apply("sqrt", shares))
    return prior.thetas(mul(total, _standard(prior, LAPLACE)), "r2d2(r2(interactions))")


def _heredity(prior: _Prior) -> Expr:
    """An interaction's scale is in proportion to the sizes of its two main effects (Cox 1984).

    theta ~ normal(0, sd sqrt(|a| |b|)), a the effect and b the slope of the moderator, each for one standard deviation
    (an arm against the reference), sd ~ half-t(4, 0, 1). |a| is smoothed to sqrt(a^2 + (s / 20)^2), so that an
    interaction without main effects is small but not ruled out. Bien, Taylor & Tibshirani (2013) have the
    corresponding restriction of the lasso (strong hierarchy), Griffin & Brown (2017) tie scales of interactions to
    those of main effects.
    """
    sd = _common(prior, 1.0, "size of interactions, relative to their main effects")
    sizes = [_size(prior, _effect(prior, each), _units(each)) for each in prior.candidates]
    slopes = [_size(prior, _main(prior, each), each.units / _units(each)) for each in prior.candidates]
    product = apply("stack", *map(mul, sizes, slopes), static=(prior.dim,))
    mains = prior.setting.draft.define("sizes of main effects", apply("sqrt", product))
    text = "normal(0, sd(interactions) * sqrt(|effect| * |slope|))"
    return prior.thetas(mul(mul(sd, mains), _standard(prior, NORMAL)), text)


def _main(prior: _Prior, each: Candidate) -> Expr:
    return next(prior.made[role] for role in each.mains if role in prior.made)


def _units(each: Candidate) -> float:
    return each.coefficient.prior_scale


def _effect(prior: _Prior, each: Candidate) -> Expr:
    """Return an effect at average values of the moderators that are not exploratory."""
    moderators = each.coefficient.moderators
    draft = prior.setting.draft
    return add(
        prior.made[each.coefficient.role],
        *(mul(prior.made[role], const(draft.bound.mean(at_rows(draft, x)))) for role, x in moderators),
    )


def _size(prior: _Prior, value: Expr, units: float) -> Expr:
    """Return the size of a main effect for `units` of its column, never quite zero."""
    return apply("sqrt", add(apply("square", mul(value, const(units))), const(rounded((FLOOR * prior.scale) ** 2))))


_PRIORS: Mapping[str, Callable[[_Prior], Expr]] = {
    "halft": _halft,
    "horseshoe": _horseshoe,
    "r2d2": _r2d2,
    "lasso": _lasso,
    "heredity": _heredity,
}
