"""The residual standard deviation: one for all, by arm, log-linear in a covariate, or varying by group."""

from __future__ import annotations

from collections.abc import Sequence

from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.amendments import Amendments
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.groups import Effect, deviations
from hdsl.model.derive.priors import Priors, halfnormal, normal
from hdsl.model.derive.scales import Scale
from hdsl.model.derive.smooth import curve, is_smooth, show, smooth_of, straight_part
from hdsl.model.derive.terms import Column, NotDerivable, at_rows, columns, spread, term_text
from hdsl.model.ir import Expr, Law, add, apply, const, mul, sub


def residual(draft: Draft, amendments: Amendments, scale: Scale, priors: Priors) -> Expr:
    """Add the residual standard deviation and return it at the rows (or as a scalar)."""
    if len(amendments.variance_by) > 1:
        raise NotDerivable(
            "HDM628", "Only one `variance of ... by` can be stated.", "Use `variance of ... with` for the second."
        )
    if amendments.variance_by:
        value, level = _by(draft, amendments.variance_by[0], scale, priors)
    else:
        law = priors.positive(halfnormal(2 * scale.sd), "residual")
        value, level = draft.random("residual", law, reason="spread within groups"), None
        draft.report("residual", value)
    for statement in amendments.variance_across:
        value, level = _across(draft, value, level, statement, priors)
    for statement in amendments.variance_with:
        value, level = _with(draft, value, level, statement, priors)
    return draft.at(value, level, draft.bound.row)


def _by(draft: Draft, statement: ir.VarianceBy, scale: Scale, priors: Priors) -> tuple[Expr, str | None]:
    found = columns(draft, study.Ref(name=statement.by))
    labels = _labels(draft, statement.by)
    level = found[0].level
    if statement.model is None:
        parts = _separate(draft, statement.by, labels, found, scale, priors)
    elif statement.model == "additive":
        parts = _additive(draft, statement.by, labels, found, scale, priors)
    elif statement.model == "subtractive":
        parts = _subtractive(draft, statement.by, labels, found, scale, priors)
    else:
        parts = _replacement(draft, statement.by, labels, found, scale, priors)
    return draft.define("residual", parts, reason=f"the residual spread differs by {statement.by}"), level


def _labels(draft: Draft, name: str) -> tuple[str, ...]:
    bound = draft.bound
    if name in bound.treatments:
        if bound.treatments[name].continuous:
            raise NotDerivable(
                "HDM628", f"`{name}` is a dose, not a set of arms.", f"Write `variance of ... with {name}`."
            )
        return bound.treatments[name].arms
    variable = bound.variables.get(name)
    if variable is not None and variable.kind in ("category", "ordered"):
        return variable.labels
    if variable is not None and variable.kind == "binary":
        return ("0", "1")
    raise NotDerivable(
        "HDM628", f"`variance of ... by {name}`: {name} has no arms or categories.", "Use `with` or `across`."
    )


def _picked(base: Expr, others: Sequence[Expr], found: Sequence[Column]) -> Expr:
    """Return `base` where no indicator is 1, else the matching one of `others`."""
    rest = const(1)
    for column in found:
        rest = sub(rest, column.expr)
    return add(mul(base, rest), *(mul(other, column.expr) for other, column in zip(others, found, strict=True)))


def _separate(
    draft: Draft, name: str, labels: Sequence[str], found: Sequence[Column], scale: Scale, priors: Priors
) -> Expr:
    made: list[Expr] = []
    for label in labels:
        role = f"residual[{label}]"
        law = priors.positive(halfnormal(2 * scale.sd), role, "residual")
        made.append(draft.random(role, law, reason=f"residual spread where {name} is {label}"))
        draft.report(role, made[-1])
    return _picked(made[0], made[1:], found)


def _base(draft: Draft, scale: Scale, priors: Priors, reason: str) -> Expr:
    base = draft.random("residual", priors.positive(halfnormal(2 * scale.sd), "residual"), reason=reason)
    draft.report("residual", base)
    return base


def _error_role(name: str, label: str, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the role of an arm's treatment error and the role under which one prior serves all arms."""
    return (f"residual({name})",) if len(labels) == 2 else (f"residual({name})[{label}]", f"residual({name})")


def _additive(
    draft: Draft, name: str, labels: Sequence[str], found: Sequence[Column], scale: Scale, priors: Priors
) -> Expr:
    """Gelman (2004), additive: the treated have the residual error and a treatment error beside it."""
    base = _base(draft, scale, priors, f"residual spread where {name} is {labels[0]}")
    squared: list[Expr] = [apply("square", base)]
    for column in found:
        roles = _error_role(name, column.label or labels[1], labels)
        law = priors.positive(halfnormal(scale.sd), *roles)
        error = draft.random(roles[0], law, reason="additive treatment error (Gelman 2004)")
        draft.report(roles[0], error)
        squared.append(mul(apply("square", error), column.expr))
    return apply("sqrt", add(*squared))


def _subtractive(
    draft: Draft, name: str, labels: Sequence[str], found: Sequence[Column], scale: Scale, priors: Priors
) -> Expr:
    """Gelman (2004), subtractive: treatment takes away a part of the residual variance."""
    base = _base(draft, scale, priors, f"residual spread where {name} is {labels[0]}")
    kept: list[Expr] = []
    for column in found:
        roles = _error_role(name, column.label or labels[1], labels)
        share = draft.random(
            roles[0].replace("residual(", "removed("),
            Law(distribution="uniform", args=(const(0), const(1))),
            reason="the share of the residual variance that treatment removes (subtractive error, Gelman 2004)",
        )
        draft.report(roles[0], mul(base, apply("sqrt", share)))
        kept.append(mul(base, apply("sqrt", sub(const(1), share))))
    return _picked(base, kept, found)


def _replacement(
    draft: Draft, name: str, labels: Sequence[str], found: Sequence[Column], scale: Scale, priors: Priors
) -> Expr:
    """Gelman (2004), replacement: arms share one error component and each has another of its own."""
    role = f"residual({name}, common)"
    law = priors.positive(halfnormal(scale.sd), role)
    common = draft.random(role, law, reason="error shared by the arms (replacement error, Gelman 2004)")
    draft.report(role, common)
    made: list[Expr] = []
    for label in labels:
        arm_role = f"residual[{label}]"
        law = priors.positive(halfnormal(scale.sd), arm_role, "residual")
        own = draft.random(arm_role, law, reason=f"error that {name} = {label} brings in place of the others'")
        draft.report(arm_role, own)
        made.append(apply("sqrt", add(apply("square", common), apply("square", own))))
    return _picked(made[0], made[1:], found)


def _across(
    draft: Draft, value: Expr, level: str | None, statement: ir.VarianceAcross, priors: Priors
) -> tuple[Expr, str | None]:
    """Residual standard deviations that vary by group on the log scale (Kim & Seltzer 2011)."""
    group = statement.across
    if group not in draft.bound.levels:
        raise NotDerivable(
            "HDM628",
            f"`{group}` is not a level.",
            f"Declare `group {group}`, or write `variance of ... by {group}` for separate spreads.",
        )
    effect = Effect("residual", 1.0, f"the residual spread varies by {group} (log scale)")
    deviation = deviations(draft, group, [effect], priors)["residual"]
    joined = draft.join(level, group)
    assert joined is not None
    spread_of_group = mul(draft.at(value, level, joined), apply("exp", draft.at(deviation, group, joined)))
    named = f"residual[{group}]" if joined == group else None
    found = draft.define(f"residual {group}", spread_of_group, role=named)
    if joined == group:
        draft.report(f"residual[{group}]", found)
    return found, joined


def _with(
    draft: Draft, value: Expr, level: str | None, statement: ir.VarianceWith, priors: Priors
) -> tuple[Expr, str | None]:
    """Log-linear residual standard deviation, or a curve; the residual is that at the mean of the covariate."""
    if is_smooth(statement.term):
        return _along(draft, value, level, statement.term, priors)
    found = _log_slopes(draft, statement.term, priors)
    joined = draft.join(level, *(column.level for _, column, _ in found))
    assert joined is not None
    lines = (draft.at(mul(slope, sub(x.expr, const(mean))), x.level, joined) for slope, x, mean in found)
    power = apply("exp", add(*lines))
    return draft.define(f"residual {term_text(statement.term)}", mul(draft.at(value, level, joined), power)), joined


def _log_slopes(draft: Draft, term: study.Expr, priors: Priors) -> list[tuple[Expr, Column, float]]:
    """Add the log-linear coefficients of a term, and return each with its column and the column's mean."""
    text = term_text(term)
    found: list[tuple[Expr, Column, float]] = []
    for column in columns(draft, term):
        role = f"residual({text})" + (f"[{column.label}]" if column.label else "")
        rows = at_rows(draft, column)
        law = priors.law(normal(0, 1 / spread(rows, draft.bound)), role, f"residual({text})")
        slope = draft.random(role, law, reason=f"log residual spread per unit of {text}")
        draft.report(role, slope)
        found.append((slope, column, draft.bound.mean(rows)))
    return found


def _along(draft: Draft, value: Expr, level: str | None, term: study.Expr, priors: Priors) -> tuple[Expr, str | None]:
    """Log residual standard deviation along a curve: the straight part of a spline, and its bends."""
    smooth, straight = smooth_of(draft, term), straight_part(term)
    slopes = [] if straight is None else _log_slopes(draft, straight, priors)
    role = f"residual({smooth.text})"
    reason = f"the log residual spread along {', '.join(smooth.inner)}"
    made = curve(draft, smooth, role, role, 1.0, priors, reason=reason)
    joined = draft.join(level, made.level)
    assert joined is not None

    def factor(x: Expr, bends: Expr) -> Expr:
        lines = (mul(slope, sub(x, const(mean))) for slope, _, mean in slopes)
        return apply("exp", add(*lines, made.constant, bends))

    seen, whole = (f"residual[{smooth.inner[0]}]", value) if level is None else (role, const(1))
    show(draft, smooth, seen, lambda x: mul(whole, factor(x, made.at([x]))))
    here = factor(draft.at(smooth.columns[0].expr, smooth.level, made.level), made.value)
    found = mul(draft.at(value, level, joined), draft.at(here, made.level, joined))
    return draft.define(f"residual {smooth.text}", found), joined
