"""Which curves a study asks for, where they enter the predictor, and the effect along a moderator that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hdsl.design import ir
from hdsl.model.derive.amendments import Amendments
from hdsl.model.derive.coefficients import Coefficient, shaped, stated_terms
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.predictor import Parts
from hdsl.model.derive.priors import Priors
from hdsl.model.derive.scales import Scale
from hdsl.model.derive.smooth import Curve, Smooth, curve, is_smooth, show, smooth_of
from hdsl.model.derive.terms import at_rows, term_text
from hdsl.model.ir import Dims, Expr, add, const, mul, sub


@dataclass(frozen=True)
class Setting:
    """What the curves of one model share: its draft, priors and scale, and the free dims of its predictor."""

    draft: Draft
    priors: Priors
    scale: Scale
    free: Dims = ()


def add_curves(
    setting: Setting,
    amendments: Amendments,
    coefficients: Sequence[Coefficient],
    fixed: Mapping[str, Expr],
    parts: Parts,
) -> None:
    """Put the smooth terms of a study into the predictor and show each curve with its straight part, around zero."""
    draft = setting.draft
    for smooth, reason in _wanted(draft, amendments):
        size = setting.scale.group_sd
        made = curve(draft, smooth, smooth.text, smooth.text, size, setting.priors, setting.free, reason)
        parts.put(made.level, made.value)
        if made.constant != const(0):
            parts.put(None, made.constant)
        slope = _straight(smooth, coefficients, fixed)
        show(draft, smooth, smooth.text, lambda x, made=made, slope=slope: _shown(draft, made, slope, x))
    for coefficient in coefficients:
        _show_effect(draft, coefficient, fixed)


def _wanted(draft: Draft, amendments: Amendments) -> list[tuple[Smooth, str]]:
    found: dict[str, tuple[Smooth, str]] = {}
    for wanted in stated_terms(draft.bound.study, amendments):
        if is_smooth(wanted.term):
            smooth = smooth_of(draft, wanted.term)
            found.setdefault(smooth.text, (smooth, wanted.reason))
    return list(found.values())


def _straight(smooth: Smooth, coefficients: Sequence[Coefficient], fixed: Mapping[str, Expr]) -> Expr:
    """Return the slope of the straight part of a spline; zero for a Gaussian process."""
    if smooth.kind != "spline":
        return const(0)
    roles = (f"slope({smooth.inner[0]})", f"effect({smooth.inner[0]})")
    return next(fixed[each.role] for each in coefficients if each.role in roles)


def _shown(draft: Draft, made: Curve, slope: Expr, x: Expr) -> Expr:
    middle = float(np.mean(at_rows(draft, made.smooth.columns[0])))
    return add(mul(slope, sub(x, const(middle))) if slope != const(0) else const(0), made.at([x]))


def moderate_along(setting: Setting, coefficient: Coefficient, statement: ir.VaryWith) -> None:
    """`vary EFFECT with x as spline / gp`: add the curve by which an effect departs from its straight part."""
    smooth = smooth_of(setting.draft, shaped(statement))
    family = f"{term_text(statement.effect)} * {smooth.text}"
    arm = f"[{coefficient.column.label}]" if "[" in coefficient.role else ""
    narrower = 0.5 if statement.status == "exploratory" else 1.0
    size = narrower * setting.scale.group_sd / coefficient.prior_scale
    reason = f"{coefficient.role} varies with {term_text(statement.term)} along a curve"
    made = curve(setting.draft, smooth, family + arm, family, size, setting.priors, setting.free, reason)
    coefficient.curves.append(made)


def _show_effect(draft: Draft, coefficient: Coefficient, fixed: Mapping[str, Expr]) -> None:
    """Report an effect along each covariate with which it varies in a curve, at average values of the others."""
    for made in coefficient.curves:

        def value(x: Expr, made: Curve = made) -> Expr:
            others = [each.constant for each in coefficient.curves]
            return add(fixed[coefficient.role], *_moderated(draft, coefficient, fixed, made, x), *others, made.at([x]))

        show(draft, made.smooth, f"{coefficient.role}[{made.smooth.inner[0]}]", value)


def _moderated(draft: Draft, coefficient: Coefficient, fixed: Mapping[str, Expr], made: Curve, x: Expr) -> list[Expr]:
    own = made.smooth.columns[0].expr
    found: list[Expr] = []
    for role, column in coefficient.moderators:
        here = x if column.expr == own else const(float(np.mean(at_rows(draft, column))))
        found.append(mul(fixed[role], here))
    return found


def has_straight_part(statement: ir.VaryWith) -> bool:
    """Return whether an effect varies along a straight line, alone or beside a curve."""
    return statement.shape != "gp"
