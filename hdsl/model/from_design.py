"""The derivation of a Model from a bound study: what went into the design is in the analysis.

Source: Feller & Gelman (2015). The rules are those of the language definition; every term carries its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.diagnostics import Diagnostic
from hdsl.model.derive import amendments as amend
from hdsl.model.derive import missing, quantiles, together
from hdsl.model.derive import strata as principal
from hdsl.model.derive.array_effects import ArrayEffects, array_effects
from hdsl.model.derive.coefficients import (
    Coefficient,
    find,
    interaction_coefficients,
    share_columns,
    slope_coefficients,
    treatment_coefficients,
    wanted_terms,
)
from hdsl.model.derive.curves import Setting, add_curves, has_straight_part, moderate_along
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.groups import Effect, deviations
from hdsl.model.derive.kinds import FAMILIES as SUMMED
from hdsl.model.derive.kinds import Kinds, has_density, sum_out
from hdsl.model.derive.lags import dynamic_unit, first_values, moves, occasion_ranks
from hdsl.model.derive.likelihood import (
    categorical_law,
    check_spread,
    event_slot,
    observed_slot,
    ordinal_law,
    outcome_law,
    weight_slot,
)
from hdsl.model.derive.predictor import Parts, total
from hdsl.model.derive.priors import Priors, normal, rounded
from hdsl.model.derive.propensity import typical_chances, with_scores
from hdsl.model.derive.scales import FAMILIES, Family, Scale, choose, scale_of
from hdsl.model.derive.serial import RESIDUALS, takes_intercept
from hdsl.model.derive.shrinkage import Candidate, candidates, is_shrunken, shrink
from hdsl.model.derive.surface import with_curves
from hdsl.model.derive.surface_trees import Trees, trees_of
from hdsl.model.derive.terms import NotDerivable, at_rows, columns, spread, term_text
from hdsl.model.derive.unstructured import spread_at_rows
from hdsl.model.ir import Dims, Expr, Law, Model, ModelData, Observation, add, apply, const, mul, stack, sub

SHIFT = "shift"
WIDE = 10.0


@dataclass
class _Plan:
    """What the steps of one derivation share."""

    draft: Draft
    amendments: amend.Amendments
    priors: Priors
    outcome: BoundVariable
    family: Family
    scale: Scale
    offset: Reals | None
    free: Dims = ()
    correlate: ir.Correlate | None = None
    strata: principal.Strata | None = None
    trees: Trees | None = None
    probabilities: tuple[float, ...] = ()
    in_strata: dict[str, dict[str, Expr]] = field(default_factory=dict)
    gaps: Kinds | None = None


def derive(bound: Bound) -> tuple[tuple[Model, ModelData] | None, list[Diagnostic]]:
    """Derive the model of a bound study without explicit equations.

    Returns
    -------
    (model, data) or None
        None when a statement cannot be derived.
    diagnostics
        HDM6xx errors that name what cannot be derived, and HDM4xx warnings.
    """
    found = amend.not_yet(bound.study)
    if found:
        return None, found
    draft = Draft(bound)
    try:
        if any(isinstance(item, ir.Propensity) for item in bound.study.analysis):
            draft = Draft(with_scores(bound, typical_chances(bound)))
        draft = Draft(with_curves(draft.bound))
        model = _derive(draft)
    except NotDerivable as reason:
        return None, [*draft.diagnostics, Diagnostic(reason.code, reason.message, help=reason.help)]
    return model, draft.diagnostics


def _derive(draft: Draft) -> tuple[Model, ModelData]:
    plan = _plan(draft)
    plan.gaps = _gaps(plan)
    of_gaps, draft.reported = draft.reported, []
    plan.trees = trees_of(draft, plan.outcome, plan.family, plan.scale)
    coefficients = _coefficients(plan)
    fixed = _fixed(plan, coefficients)
    _vary(plan, coefficients)
    predictor = _predictor(plan, coefficients, fixed)
    _observe(plan, predictor, coefficients)
    draft.reported += of_gaps
    _check_priors(plan)
    return draft.finish(draft.bound.study.name)


def _gaps(plan: _Plan) -> Kinds | None:
    """Complete covariates with gaps; return the values that are summed out, None where there are none."""
    found = missing.complete(plan.draft, plan.priors)
    if found is not None and plan.strata is not None:
        raise NotDerivable(
            "HDM636", f"Gaps of {found.name} are not summed out beside principal strata.", "Leave `missing` out."
        )
    if found is not None and (plan.correlate is not None or not has_density(plan.outcome, plan.family.name)):
        known = ", ".join(SUMMED)
        raise NotDerivable(
            "HDM636",
            f"Gaps of {found.name} are not summed out of the density of this outcome.",
            f"They are for uncorrelated outcomes of family {known}. Without `missing`, rows with gaps are dropped.",
        )
    return found


def _plan(draft: Draft) -> _Plan:
    bound = draft.bound
    outcomes = [variable for variable in bound.variables.values() if variable.role == "outcome"]
    if len(outcomes) != 1:
        names = ", ".join(variable.name for variable in outcomes) or "none"
        raise NotDerivable(
            "HDM630", f"A model has one outcome; this study declares {names}.", "Write one study for each outcome."
        )
    outcome = outcomes[0]
    if outcome.level != bound.row:
        raise NotDerivable(
            "HDM631",
            f"The outcome `{outcome.name}` belongs to {outcome.level}, but the rows are {bound.row}.",
            f"Declare {outcome.level} as the last unit, with a table of its own.",
        )
    amendments = amend.sort(bound.study)
    laws = [family.law for family in amendments.families if family.outcome == outcome.name]
    family = choose(outcome, laws[-1] if laws else None)
    offset = _offset(bound, family)
    scale = scale_of(outcome, family, offset, bound.frequency)
    free: Dims = ()
    probabilities: tuple[float, ...] = ()
    if family.name == "quantile":
        probabilities = quantiles.probabilities_of(laws[-1])
        free = quantiles.free_dims(draft, probabilities)
    if family.name == "categorical":
        free = (draft.index_set("category", outcome.labels[1:], "categories"),)
    correlate = together.correlated(draft, amendments, outcome, family)
    strata = principal.strata_of(draft, outcome, family.name)
    priors = Priors.of(bound.study.priors)
    chosen = (draft, amendments, priors, outcome, family, scale, offset, free, correlate)
    return _Plan(*chosen, strata=strata, probabilities=probabilities)


def _offset(bound: Bound, family: Family) -> Reals | None:
    exposures = [variable for variable in bound.variables.values() if variable.role == "exposure"]
    if not exposures:
        return None
    if family.link != "log" or len(exposures) > 1:
        raise NotDerivable(
            "HDM632", "An exposure needs a count outcome with a log link, and there can be only one.", ""
        )
    values = bound.at_rows(exposures[0].level, exposures[0].values).astype(np.float64)
    if not np.all(values > 0):
        raise NotDerivable("HDM632", f"The exposure `{exposures[0].name}` must be positive.", "")
    return np.log(values)


def _coefficients(plan: _Plan) -> list[Coefficient]:
    draft, design = plan.draft, plan.draft.bound.study
    found = treatment_coefficients(draft, design)
    found += interaction_coefficients(draft, plan.amendments)
    slopes = slope_coefficients(draft, wanted_terms(design, plan.amendments))
    slopes = [slope for slope in slopes if plan.trees is None or slope.family not in plan.trees.replaced]
    slopes += first_values(draft, plan.outcome.name, slopes, _starting(plan))
    known = {coefficient.role for coefficient in slopes}
    shares = [share for share in share_columns(draft, design) if share.role not in known]
    treatments = {coefficient.family for coefficient in found}
    found += [slope for slope in slopes if slope.family.replace("slope", "effect", 1) not in treatments]
    return found + shares


def _starting(plan: _Plan) -> str | None:
    """Return the level whose varying intercepts go together with the outcomes that its units started from."""
    unit = dynamic_unit(plan.draft.bound, plan.outcome.name)
    pooled = unit is not None and plan.amendments.pools.get(unit, "partially") == "partially"
    return unit if pooled and unit is not None and _intercept_reason(plan, unit) is not None else None


def _fixed(plan: _Plan, coefficients: list[Coefficient]) -> dict[str, Expr]:
    """Add the population coefficients and return them by role; moderated effects come after their moderators."""
    made: dict[str, Expr] = {}
    exploratory: list[Candidate] = []
    for statement in plan.amendments.moderators:
        if is_shrunken(_setting(plan), statement):
            exploratory += candidates(plan.draft, find(coefficients, statement.effect), statement)
        elif has_straight_part(statement):
            _moderate(plan, coefficients, statement.effect, statement.term, made)
        if statement.shape != "linear":
            for coefficient in find(coefficients, statement.effect):
                moderate_along(_setting(plan), coefficient, statement)
    for coefficient in coefficients:
        if plan.trees is not None and coefficient.role in plan.trees.effects:
            made[coefficient.role] = plan.trees.effects[coefficient.role]
            plan.draft.report(coefficient.role, plan.trees.mean(plan.draft, coefficient.role))
            continue
        size = 2.5 * plan.scale.sd / coefficient.prior_scale
        shift = add(*(mul(made[role], const(_mean(plan, column))) for role, column in coefficient.moderators))
        if plan.strata is not None and plan.strata.concerns(coefficient):
            made[coefficient.role] = _in_strata(plan, plan.strata, coefficient, normal(0, size), shift)
            continue
        law = _centred(plan, coefficient.role, normal(0, size), shift, coefficient.role, coefficient.family)
        made[coefficient.role] = plan.draft.random(coefficient.role, law, plan.free, coefficient.reason)
        plan.draft.report(coefficient.role, made[coefficient.role])
    shrink(_setting(plan), exploratory, plan.amendments.shrink, made)
    return made


def _in_strata(plan: _Plan, strata: principal.Strata, coefficient: Coefficient, default: Law, shift: Expr) -> Expr:
    """Add the effect of the treatment in each principal stratum that it may affect."""

    def law(role: str) -> Law:
        return _centred(plan, role, default, shift, role, coefficient.role, coefficient.family)

    found, each = principal.effects(plan.draft, strata, coefficient.role, law, coefficient.reason)
    plan.in_strata[coefficient.role] = each
    return found


def _mean(plan: _Plan, column: object) -> float:
    return plan.draft.bound.mean(at_rows(plan.draft, column))  # pyright: ignore[reportArgumentType]


def _centred(plan: _Plan, role: str, default: Law, shift: Expr, *prior_roles: str) -> Law:
    """Return the law of a coefficient whose default prior is about average predictors, not predictors at zero.

    `shift` is what averaging adds; its definition is also what lets the sampler work on the average.
    """
    if shift == const(0):
        return plan.priors.law(default, *prior_roles)
    moved = plan.draft.define(f"{SHIFT} {role}", shift, role=f"{SHIFT}({role})")
    middle, sd = default.args
    located = Law(distribution="normal", args=(sub(middle, moved), sd))
    return plan.priors.law(located, *prior_roles)


def _moderate(
    plan: _Plan, coefficients: list[Coefficient], effect: study.Expr, term: study.Expr, made: dict[str, Expr]
) -> None:
    """`vary EFFECT with TERM`: predictable variation of an effect, linear in the moderator."""
    for coefficient in find(coefficients, effect):
        for column in columns(plan.draft, term):
            text = term_text(study.Operation(operator="*", left=effect, right=term))
            label = ", ".join(part for part in (_arm(coefficient), column.label) if part)
            role = f"interaction({text})" + (f"[{label}]" if label else "")
            size = 2.5 * plan.scale.sd / coefficient.prior_scale / spread(at_rows(plan.draft, column), plan.draft.bound)
            law = plan.priors.law(normal(0, size), role, f"interaction({text})")
            reason = f"{coefficient.role} varies with {term_text(term)}"
            made[role] = plan.draft.random(role, law, plan.free, reason)
            plan.draft.report(role, made[role])
            coefficient.moderators.append((role, column))


def _setting(plan: _Plan) -> Setting:
    return Setting(plan.draft, plan.priors, plan.scale, plan.free)


def _arm(coefficient: Coefficient) -> str:
    return coefficient.column.label if "[" in coefficient.role else ""


def _vary(plan: _Plan, coefficients: list[Coefficient]) -> None:
    """Check the `vary` statements; the deviations themselves are added level by level."""
    for statement in plan.amendments.varying:
        if statement.across[0] not in plan.draft.bound.levels:
            raise NotDerivable("HDM629", f"`{statement.across[0]}` is not a level to vary across.")
        if not _is_intercept(statement.effect):
            find(coefficients, statement.effect)
    for statement in plan.amendments.arrays:
        for other in plan.amendments.varying:
            if other.effect == statement.effect and other.across[0] in statement.across:
                text, level = term_text(other.effect), other.across[0]
                message = f"`vary {text} across {level}`: the array over {' * '.join(statement.across)} has that part."
                raise NotDerivable("HDM629", message, "Keep one of the two.")


def _is_intercept(effect: study.Expr) -> bool:
    return isinstance(effect, study.Ref) and effect.name == "intercept"


def _effects(plan: _Plan, coefficients: list[Coefficient]) -> dict[str, list[Effect]]:
    """Return the varying effects of each level: its intercept first (rule 1), then what `vary` names."""
    by_level: dict[str, list[Effect]] = {}
    for level in plan.draft.bound.levels:
        reason = _intercept_reason(plan, level)
        arrayed = any(_is_intercept(s.effect) and level in s.across for s in plan.amendments.arrays)
        if reason is not None and not arrayed and plan.amendments.pools.get(level, "partially") == "partially":
            by_level[level] = [Effect("intercept", plan.scale.group_sd, reason)]
    for statement in plan.amendments.varying:
        level = statement.across[0]
        effects = by_level.setdefault(level, [])
        if _is_intercept(statement.effect):
            _amend_intercept(plan, level, effects, statement.law, statement.uncorrelated)
            continue
        for coefficient in find(coefficients, statement.effect):
            size = plan.scale.group_sd / coefficient.prior_scale
            reason = f"{coefficient.role} varies across {level}"
            effects.append(Effect(coefficient.role, size, reason, statement.law, statement.uncorrelated))
    for statement in plan.amendments.effect_variances:
        _spread_with(coefficients, statement, by_level.get(statement.across, []))
    return by_level


def _spread_with(coefficients: list[Coefficient], statement: ir.EffectVarianceWith, effects: list[Effect]) -> None:
    """`variance of EFFECT across GROUP with x`: mark the effects whose spread depends on x."""
    intercept = _is_intercept(statement.effect)
    roles = ["intercept"] if intercept else [found.role for found in find(coefficients, statement.effect)]
    places = [place for place, effect in enumerate(effects) if effect.role in roles]
    if not places:
        text, level = term_text(statement.effect), statement.across
        message = f"`{text}` does not vary across {level}, so it has no spread."
        raise NotDerivable("HDM629", message, f"Write `vary {text} across {level}`.")
    for place in places:
        effects[place] = replace(effects[place], log_sd=(*effects[place].log_sd, statement.term))


def _amend_intercept(plan: _Plan, level: str, effects: list[Effect], law: str, uncorrelated: bool) -> None:
    for place, effect in enumerate(effects):
        if effect.role == "intercept":
            effects[place] = Effect("intercept", effect.prior_sd, effect.reason, law, uncorrelated)
            return
    if level == plan.draft.bound.row and FAMILIES[plan.family.name].spread and plan.outcome.known_sd is None:
        raise NotDerivable(
            "HDM629", f"`vary intercept across {level}`: each {level} is one row, which the residual covers."
        )
    effects.insert(0, Effect("intercept", plan.scale.group_sd, f"varies across {level}", law, uncorrelated))


def _intercept_reason(plan: _Plan, level: str) -> str | None:
    """Return why a level has an intercept of its own, None where it has none."""
    bound = plan.draft.bound
    if takes_intercept(plan.correlate, level, plan.family):
        return None
    if level == bound.row:
        known = plan.outcome.known_sd is not None
        return f"the true value of each {level} varies around the mean" if known else None
    size = bound.levels[level].size
    if size < 2:
        _leave_out(plan, level, "there is only one in the data")
        return None
    if size == bound.total and (FAMILIES[plan.family.name].spread or plan.outcome.known_sd is not None):
        _leave_out(plan, level, f"each has one row, so its spread is part of {bound.row}'s")
        return None
    blocked = [a.treatment for a in bound.study.assignments if level in a.within]
    if blocked:
        return f"{_named(blocked)} assigned within each {level}"
    clustered = [a.treatment for a in bound.study.assignments if a.to == level]
    if clustered:
        return f"{_named(clustered)} assigned to each {level}"
    return f"each {bound.row} belongs to a {level}"


def _named(treatments: list[str]) -> str:
    found = list(dict.fromkeys(treatments))
    return f"{' and '.join(found)} {'was' if len(found) == 1 else 'were'}"


def _leave_out(plan: _Plan, level: str, why: str) -> None:
    message = f"The {level} has no intercept of its own: {why}."
    plan.draft.diagnostics.append(
        Diagnostic("HDM411", message, severity="warning", help="Check the id column of this level.")
    )


def _predictor(plan: _Plan, coefficients: list[Coefficient], fixed: Mapping[str, Expr]) -> Expr:
    """Add group effects and intercept, and return the linear predictor at the rows."""
    draft, parts = plan.draft, Parts()
    by_role = {coefficient.role: coefficient for coefficient in coefficients}
    for level, effects in _effects(plan, coefficients).items():
        for role, value in deviations(draft, level, effects, plan.priors, plan.free).items():
            (parts if role == "intercept" else by_role[role].deviations).put(level, value)
    arrays = _arrays(plan, coefficients, parts)
    _unpooled(plan, parts)
    own = parts.levels()
    for array in arrays:
        parts.put(draft.bound.row, array.cells)
    effects = together.latent(draft, plan.correlate, plan.family, plan.scale, plan.priors)
    if effects is not None:
        parts.put(draft.bound.row, effects)
    _intercept(plan, coefficients, fixed, parts)
    for array in arrays:
        draft.report(f"intercept[{array.name}]", add(*parts.by_level.get(None, []), array.whole))
    for coefficient in coefficients:
        _contribute(plan, coefficient, fixed, parts)
    add_curves(_setting(plan), plan.amendments, coefficients, fixed, parts)
    levels = [level for level in parts.levels() if level != draft.bound.row]
    named = {level: f"intercept[{level}]" for level in levels if level in own}
    summed = total(draft, parts, "intercept", named, at=draft.bound.row)
    for level in named:
        draft.report(named[level], summed.totals[level])
    if plan.outcome.known_sd is not None or draft.bound.row in own:
        truth = draft.define(f"intercept {draft.bound.row}", summed.value, role=f"intercept[{draft.bound.row}]")
        draft.report(f"intercept[{draft.bound.row}]", truth)
        return truth
    return summed.value


def _arrays(plan: _Plan, coefficients: list[Coefficient], parts: Parts) -> list[ArrayEffects]:
    """`vary EFFECT across A * B as array`: add the parts of the effects, and return those of the intercept."""
    draft, found = plan.draft, list[ArrayEffects]()
    for statement in plan.amendments.arrays:
        if plan.free:
            message = f"`vary {term_text(statement.effect)} ... as array` is not derived for outcomes in categories."
            raise NotDerivable("HDM629", message, "Write one `vary` for each factor.")
        across, size = statement.across, plan.scale.group_sd
        reason = f"{term_text(statement.effect)} varies across the cells of {' * '.join(across)}"
        if _is_intercept(statement.effect):
            made = array_effects(draft, "intercept", across, size, reason, plan.priors)
            found.append(made)
            for level, value in made.main.items():
                parts.put(level, value)
            continue
        for coefficient in find(coefficients, statement.effect):
            made = array_effects(draft, coefficient.role, across, size / coefficient.prior_scale, reason, plan.priors)
            coefficient.arrays.append(made)
            for level, value in made.main.items():
                coefficient.deviations.put(level, value)
    return found


def _unpooled(plan: _Plan, parts: Parts) -> None:
    """`pool GROUP none`: intercepts with wide independent priors around the common one (fixed effects).

    Their unweighted mean is zero: the common intercept carries it.
    """
    for level, how in plan.amendments.pools.items():
        if how != "none" or level not in plan.draft.bound.levels:
            continue
        dim = plan.draft.level(level)
        law = normal(0, WIDE * plan.scale.sd)
        raw = plan.draft.random(
            f"unpooled(intercept, {level})", law, (dim, *plan.free), f"`pool {level} none`: fixed effects, no pooling"
        )
        centred = sub(raw, apply("mean", raw, static=(dim,)))
        role = f"deviation(intercept, {level})"
        parts.put(level, plan.draft.define(f"deviation intercept {level}", centred, role=role))


def _intercept(plan: _Plan, coefficients: list[Coefficient], fixed: Mapping[str, Expr], parts: Parts) -> None:
    if plan.trees is not None:
        parts.put(None, const(plan.trees.middle))
        parts.put(plan.trees.row, plan.trees.reference)
        return
    shift = _shift(plan, coefficients, fixed)
    if plan.family.name == "ordinal":
        if shift != const(0):
            moved = plan.draft.define(f"{SHIFT} cutpoint", shift, role=f"{SHIFT}(cutpoint)")
            plan.draft.cache[("shift", "cutpoint")] = moved
            parts.put(None, apply("neg", moved))
        return
    default = normal(plan.scale.middle, 2.5 * plan.scale.sd)
    if plan.strata is not None:
        parts.put(None, _intercepts(plan, plan.strata, coefficients, fixed, default))
        return
    law = _centred(plan, "intercept", default, shift, "intercept")
    found = plan.draft.random("intercept", law, plan.free, "the mean where every predictor is zero")
    plan.draft.report("intercept", found)
    parts.put(None, found)


def _intercepts(
    plan: _Plan, strata: principal.Strata, coefficients: list[Coefficient], fixed: Mapping[str, Expr], default: Law
) -> Expr:
    """Add an intercept for each principal stratum and return them along the strata."""
    found: list[Expr] = []
    for name in strata.names:
        own = {role: each[name] for role, each in plan.in_strata.items()}
        role = principal.in_stratum("intercept", name)
        law = _centred(plan, role, default, _shift(plan, coefficients, {**fixed, **own}), role, "intercept")
        found.append(plan.draft.random(role, law, reason=f"the mean of {name} where every predictor is zero"))
        plan.draft.report(role, found[-1])
    return stack(found, strata.dim)


def _shift(plan: _Plan, coefficients: list[Coefficient], fixed: Mapping[str, Expr]) -> Expr:
    """Return what average predictors add to the linear predictor."""
    summands: list[Expr] = []
    for coefficient in coefficients:
        rows = at_rows(plan.draft, coefficient.column)
        summands.append(_scaled(fixed[coefficient.role], plan.draft.bound.mean(rows)))
        for role, column in coefficient.moderators:
            summands.append(_scaled(fixed[role], plan.draft.bound.mean(rows * at_rows(plan.draft, column))))
    return add(*summands)


def _scaled(coefficient: Expr, mean: float) -> Expr:
    return const(0) if abs(mean) < 1e-12 or coefficient == const(0) else mul(coefficient, const(rounded(mean)))


def _contribute(plan: _Plan, coefficient: Coefficient, fixed: Mapping[str, Expr], parts: Parts) -> None:
    """Put coefficient * column into the predictor, at the lowest of their levels."""
    draft = plan.draft
    pieces = coefficient.deviations
    varied = pieces.levels()
    in_trees = plan.trees is not None and coefficient.role in plan.trees.effects
    pieces.put(draft.bound.row if in_trees else None, fixed[coefficient.role])
    for role, column in coefficient.moderators:
        pieces.put(column.level, mul(fixed[role], column.expr))
    for curve in coefficient.curves:
        pieces.put(curve.level, curve.value)
        if curve.constant != const(0):
            pieces.put(None, curve.constant)
    for array in coefficient.arrays:
        pieces.put(draft.bound.row, array.cells)
        draft.report(f"{coefficient.role}[{array.name}]", add(fixed[coefficient.role], array.whole))
    named = {level: f"{coefficient.role}[{level}]" for level in varied}
    summed = total(draft, pieces, coefficient.role, named)
    strata = plan.strata if plan.strata is not None and plan.strata.concerns(coefficient) else None
    for level, role in named.items():
        whole = summed.totals[level]
        draft.report(role, whole if strata is None else principal.affected_only(draft, strata, whole))
    level = draft.join(summed.level, coefficient.column.level)
    assert level is not None
    slope = draft.at(summed.value, summed.level, level)
    if strata is not None and (varied or coefficient.moderators or coefficient.curves or coefficient.arrays):
        slope = principal.affected_only(draft, strata, slope)
    parts.put(level, mul(slope, draft.at(coefficient.column.expr, coefficient.column.level, level)))


def _observe(plan: _Plan, predictor: Expr, coefficients: list[Coefficient]) -> None:
    draft, outcome = plan.draft, plan.outcome
    dims = (draft.level(draft.bound.row),)
    if plan.offset is not None:
        offset = draft.slot("log exposure", dims, plan.offset, source="log of the exposure")
        predictor = add(predictor, offset)
    predictor = draft.define(f"{outcome.name} predictor", predictor, reason=f"the linear predictor of {outcome.name}")
    kinds = tuple(each.dim for each in (plan.strata, plan.gaps) if each is not None)
    if not set(draft.scope[var_name(predictor)]) >= {*dims, *plan.free, *(() if plan.strata is None else kinds)}:
        predictor = draft.define("rows predictor", add(predictor, draft.zeros()), reason="the same for each row")
    check_spread(plan.amendments, plan.family, outcome)
    residuals = plan.correlate if plan.family.name in RESIDUALS else None
    spreads = None
    if residuals is not None and residuals.structure == "unstructured":
        spreads = together.separate_spreads(draft, residuals, plan.family, plan.amendments, plan.scale, plan.priors)
        law = together.margin_law(predictor, spread_at_rows(draft, spreads))
    elif plan.family.name == "ordinal":
        law = _ordinal(plan, predictor)
    elif plan.family.name == "categorical":
        law = categorical_law(draft, outcome, predictor, plan.free[0])
    elif plan.family.name == "quantile":
        law = quantiles.quantile_law(draft, predictor, plan.probabilities, plan.free, plan.scale, plan.priors)
    else:
        law = outcome_law(draft, outcome, plan.family, predictor, plan.amendments, plan.scale, plan.priors)
    slot = observed_slot(draft, outcome)
    weight, event = weight_slot(draft), event_slot(draft, outcome)
    if plan.probabilities and plan.free:
        dims = (*dims, *plan.free)
        slot, weight = quantiles.repeated(draft, outcome, plan.free), quantiles.repeated_weight(draft, plan.free)
    reason = f"family {plan.family.name}" + ("" if plan.family.declared else f", the default for {outcome.kind}")
    if plan.strata is not None:
        levels = _levels_with_shares(plan)
        slots = (slot, weight)
        principal.observe(draft, plan.strata, plan.priors, outcome, law, slots, coefficients, levels, reason)
        return
    if plan.gaps is not None:
        sum_out(draft, plan.gaps, outcome, law, (slot, weight), f"gaps of {plan.gaps.name} are summed out", reason)
        return
    observation = Observation(
        name=draft.name(f"observed {outcome.name}"),
        outcome=outcome.name,
        slot=slot,
        dims=dims,
        law=law,
        weight=weight,
        event=event,
        sequence=occasion_ranks(draft) if moves(draft.bound, outcome.name) else None,
        reason=reason,
    )
    if residuals is None:
        draft.observations.append(observation)
    else:
        together.observe(draft, residuals, outcome, observation, plan.priors, spreads)


def _levels_with_shares(plan: _Plan) -> list[str]:
    """Return the levels above the rows whose units may differ in the shares of the strata."""
    bound, pools = plan.draft.bound, plan.amendments.pools
    above = [level for level in bound.levels if level != bound.row and _intercept_reason(plan, level) is not None]
    return [level for level in above if pools.get(level, "partially") == "partially"]


def var_name(expr: Expr) -> str:
    """Return the name of a reference."""
    return getattr(expr, "name", "")


def _ordinal(plan: _Plan, predictor: Expr) -> Law:
    law = ordinal_law(plan.draft, plan.outcome, plan.family, predictor, plan.priors)
    shift = plan.draft.cache.get(("shift", "cutpoint"), const(0))
    plan.draft.report("cutpoint", add(law.args[1], shift))
    return law


def _check_priors(plan: _Plan) -> None:
    unused = plan.priors.unused()
    if unused:
        roles = ", ".join(dict.fromkeys(reported.role for reported in plan.draft.reported if "][" not in reported.role))
        raise NotDerivable(
            "HDM231", f"The model has no parameter `{unused[0]}` to give a prior to.", f"It has: {roles}, corr(...)."
        )
