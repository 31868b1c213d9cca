"""The analysis against the design: what was left out, adjusted for, varied and pooled."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.checks.finding import Findings, Path, Rule, finding, outside_lag
from hdsl.checks.scope import Scope
from hdsl.checks.terms import stated_terms, varied_effects
from hdsl.design import ir
from hdsl.design.expr import Call, Expr, Indexed, Ref, names, walk
from hdsl.design.roles import role_text

POST_TREATMENT = ("intermediate", "outcome")


def left_out(scope: Scope) -> Findings:
    """HDM401: a design variable is pooled completely, and no serial correlation stands for it."""
    kept = {item.within for item in scope.study.analysis if isinstance(item, ir.Correlate)}
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.Pool) and item.how == "completely" and item.group not in kept:
            why = why_in_design(scope, item.group)
            if why is not None:
                message = f"`{item.group}` is left out of the analysis, though {why}."
                help = 'Leave the line out for partial pooling, or give the reason: `waive HDM401 because "..."`.'
                yield finding("HDM401", message, ("analysis", i), help)


def left_out_of_equations(scope: Scope) -> Findings:
    """HDM401: a design variable that no explicit equation names."""
    if scope.is_derived():
        return
    used = set(_names_in_equations(scope.study))
    help = 'Give it a term in `model`, or give the reason: `waive HDM401 because "..."`.'
    for i, level in enumerate(scope.study.levels):
        why = why_in_design(scope, level.name)
        if level.name not in used and level.name != scope.row and why is not None:
            message = f"`{level.name}` is in no equation of the model, though {why}."
            yield finding("HDM401", message, ("levels", i), help)
    for i, treatment in enumerate(scope.study.treatments):
        if treatment.name not in used:
            message = f"`{treatment.name}` is in no equation of the model, though it was assigned."
            yield finding("HDM401", message, ("treatments", i), help)


def _names_in_equations(study: ir.StudyFields) -> Iterator[str]:
    for equation in study.equations:
        match equation:
            case ir.LawStatement(targets=targets, law=law):
                exprs: tuple[Expr, ...] = (*targets, law)
            case ir.DefinitionStatement(target=target, value=value):
                exprs = (target, value)
        for expr in exprs:
            yield from names(expr)
            yield from (level for node in walk(expr) if isinstance(node, Indexed) for level in node.index)


def why_in_design(scope: Scope, level: str) -> str | None:
    """Return why a level belongs to the design: blocks, assigned units, or groups of rows; None if it does not."""
    blocked = [a.treatment for a in scope.study.assignments if level in a.within]
    if blocked:
        return f"{', '.join(blocked)} was assigned within it"
    assigned = [a.treatment for a in scope.study.assignments if a.to == level]
    if assigned:
        return f"{', '.join(assigned)} was assigned to it"
    if scope.row is not None and level in scope.above.get(scope.row, frozenset()):
        return f"each {scope.row} belongs to one {level}"
    return None


def after_treatment(scope: Scope) -> Findings:
    """HDM404, HDM405: nothing that the treatment may have changed is adjusted for."""
    for expr, path in (*stated_terms(scope.study), *varied_effects(scope.study)):
        for name, place in outside_lag(expr, path):
            variable = scope.variables.get(name)
            if variable is None or variable.role not in POST_TREATMENT:
                continue
            if variable.role == "outcome":
                help = "An outcome of an earlier wave is `lag(...)`; one from before treatment is a `covariate`."
                yield finding("HDM405", f"The outcome `{name}` stands among its own predictors.", place, help)
            else:
                message = f"`{name}` comes after treatment; adjusting for it takes away part of the effect."
                help = "Leave it out. For effects by what treatment does to it, declare `principal` strata."
                yield finding("HDM404", message, place, help)


def no_contrast(scope: Scope) -> Findings:
    """HDM406: an effect varies only across groups within which its treatment or covariate varies."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.VaryAcross) or item.effect == Ref(name="intercept"):
            continue
        levels = scope.levels_of(item.effect)
        for j, group in enumerate(item.across):
            if group not in scope.levels or not levels or not all(scope.contains(v, group) for v in levels):
                continue
            text, level = role_text(item.effect), sorted(levels)[0]
            same = f"each {group} has one value of it" if level == group else f"it is the same within each {level}"
            message = f"The effect of `{text}` cannot vary across {group}: {same}."
            above = [upper for upper in scope.levels if upper != level and scope.contains(upper, level)]
            help = f"Vary it across a level above {level}" + (f": {', '.join(above)}." if above else "; there is none.")
            yield finding("HDM406", message, ("analysis", i, "across", j), help)


def not_pooled(scope: Scope) -> Findings:
    """HDM407: a group with a treatment of its own is not left unpooled."""
    for i, group in _unpooled(scope):
        for assignment in scope.study.assignments:
            if group == scope.row or assignment.to not in scope.levels or not scope.contains(assignment.to, group):
                continue
            message = f"`{assignment.treatment}` is the same within each {group}: fixed effects of {group} take it up."
            help = f"Leave the line out: partial pooling keeps {group} and {assignment.treatment} apart."
            yield finding("HDM407", message, ("analysis", i), help)


def predictors_of_unpooled(scope: Scope) -> Findings:
    """HDM408: predictors of a group's intercept together with fixed effects of that group."""
    for i, group in _unpooled(scope):
        for expr, _ in stated_terms(scope.study):
            if not names(expr):
                continue
            levels = scope.levels_of(expr)
            means = isinstance(expr, Call) and expr.function == "mean" and expr.args[1:] == (Ref(name=group),)
            if means or (levels and all(scope.contains(level, group) for level in levels)):
                message = f"`{role_text(expr)}` is the same within each {group}: fixed effects of {group} take it up."
                help = f"Leave out one of the two: the term, or `pool {group} none`."
                yield finding("HDM408", message, ("analysis", i), help)


def _unpooled(scope: Scope) -> Iterator[tuple[int, str]]:
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.Pool) and item.how == "none" and item.group in scope.levels:
            yield i, item.group


def groups_of_rows(scope: Scope) -> Findings:
    """HDM410: what is pooled, varied across or correlated within is a level above the rows."""
    row = scope.row
    for i, item in enumerate(scope.study.analysis):
        match item:
            case ir.Pool(group=group):
                groups, field = (group,), "group"
            case ir.VaryAcross(across=across):
                groups, field = across, "across"
            case ir.VarianceAcross(across=group) | ir.EffectVarianceWith(across=group):
                groups, field = (group,), "across"
            case _:
                continue
        for j, group in enumerate(groups):
            if row is None or group not in scope.levels:
                continue
            path: Path = ("analysis", i, field, j) if isinstance(item, ir.VaryAcross) else ("analysis", i, field)
            yield from _group(scope, item, group, row, path)


def _group(scope: Scope, item: ir.Amendment, group: str, row: str, path: Path) -> Findings:
    if not scope.contains(group, row):
        message = f"No {row} is said to lie in one {group}."
        yield finding("HDM410", message, path, f"Declare `unit {row} ... in {group}`.")
    elif group == row and not isinstance(item, ir.VaryAcross | ir.EffectVarianceWith):
        said = f"Each {row} is one row, so {row} is no group of rows."
        yield finding("HDM410", said, path, "Name a level above it.")


def several_groups(scope: Scope) -> Findings:
    """HDM272: only an array prior varies across crossed groups."""
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.VaryAcross) and len(item.across) > 1 and item.law != "array":
            message = f"`{' * '.join(item.across)}`: effects vary across one group at a time."
            help = "Write one `vary` for each group, or `as array` for every combination."
            yield finding("HDM272", message, ("analysis", i, "across"), help)


def correlation_over_waves(scope: Scope) -> Findings:
    """HDM415: rows are correlated within a level above them, in the order of a wave."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.Correlate) or item.within not in scope.levels or scope.row is None:
            continue
        waves = [name for name in scope.above[scope.row] if scope.levels[name].word == "wave"]
        if not waves or item.within == scope.row or not scope.contains(item.within, scope.row):
            message = f"The rows are no repeated observations of {item.within}."
            help = f"Declare `wave TIME` and `unit VISIT in {item.within} * TIME`."
            yield finding("HDM415", message, ("analysis", i), help)


def interactions(scope: Scope) -> Findings:
    """HDM416: an interaction is of different treatments whose arms can all meet."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.Interact):
            continue
        if len(set(item.treatments)) < len(item.treatments):
            yield finding("HDM416", "A treatment cannot interact with itself.", ("analysis", i), "Name two treatments.")
            continue
        for name in item.treatments:
            for assignment in scope.assignments(name):
                on = assignment.condition
                if on is not None and on.treatment in item.treatments and len(scope.arms(on.treatment)) == 2:
                    message = f"`{name}` is assigned only where {on.treatment} = {on.arm}: no interaction can be told."
                    help = f"The effect of {name} is already that where {on.treatment} = {on.arm}."
                    yield finding("HDM416", message, ("analysis", i), help)


def propensity_of_randomised(scope: Scope) -> Findings:
    """HDM417: a propensity score is for a treatment that was not assigned at random."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.Propensity):
            continue
        for assignment in scope.assignments(item.treatment):
            if assignment.mechanism.name in ("complete", "bernoulli"):
                message = f"`{item.treatment}` was assigned at random: its propensity is known."
                help = "Leave it out; what the probabilities depend on is adjusted for already."
                yield finding("HDM417", message, ("analysis", i), help)


def nothing_to_shrink(scope: Scope) -> Findings:
    """HDM418: `shrink interactions` applies to exploratory moderators or interactions."""
    exploratory = any(isinstance(item, ir.VaryWith) and item.status == "exploratory" for item in scope.study.analysis)
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.Shrink) and not exploratory:
            help = "Mark the moderators that it is for: `vary z with x exploratory`."
            yield finding("HDM418", "There is nothing to shrink: no moderator is exploratory.", ("analysis", i), help)


def spread_of_no_effect(scope: Scope) -> Findings:
    """HDM420: the spread of an effect across groups is modelled only where the effect varies across them."""
    varied = {
        (role_text(item.effect), group)
        for item in scope.study.analysis
        if isinstance(item, ir.VaryAcross)
        for group in item.across
    }
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.EffectVarianceWith) or item.effect == Ref(name="intercept"):
            continue
        text = role_text(item.effect)
        if (text, item.across) not in varied:
            message = f"`{text}` does not vary across {item.across}, so it has no spread."
            yield finding("HDM420", message, ("analysis", i), f"Write `vary {text} across {item.across}`.")


def spread_with_others(scope: Scope) -> Findings:
    """HDM426: the spread of an effect across groups depends on covariates that each group has one value of."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.EffectVarianceWith) or item.across not in scope.levels:
            continue
        text, group, path = role_text(item.term), item.across, ("analysis", i, "term")
        given = [name for name in names(item.term) if name in scope.treatments]
        if given:
            help = f"Name a covariate; for the residual spread write `variance of OUTCOME by {given[0]}`."
            yield finding("HDM426", f"`{given[0]}` is a treatment, not what {group}s differ in before it.", path, help)
        elif isinstance(item.term, Call) and item.term.function in ("spline", "gp"):
            help = "Write the covariate itself, or a transformation such as `log(x)`."
            yield finding("HDM426", f"The log spread is linear; `{text}` is a curve.", path, help)
        elif not _is_group_mean(item.term, group):
            for level in sorted(scope.levels_of(item.term)):
                if not scope.contains(level, group):
                    message = (
                        f"`{text}` differs within a {group}, so it cannot tell one {group}'s spread from another's."
                    )
                    yield finding("HDM426", message, path, f"Name a covariate of {group}, or `mean({text}, {group})`.")
                    break


def _is_group_mean(term: Expr, group: str) -> bool:
    return isinstance(term, Call) and term.function == "mean" and term.args[1:] == (Ref(name=group),)


def moderators(scope: Scope) -> Findings:
    """HDM421: what varies with a moderator is an effect, and not with itself."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.VaryWith):
            continue
        if item.effect == Ref(name="intercept"):
            message = f"An intercept that varies with `{role_text(item.term)}` is an adjustment."
            yield finding("HDM421", message, ("analysis", i), f"Write `adjust for {role_text(item.term)}`.")
        elif set(names(item.effect)) & set(names(item.term)) & scope.treatments.keys():
            message = f"`{role_text(item.effect)}` cannot be its own moderator."
            yield finding("HDM421", message, ("analysis", i, "term"), "Name a covariate.")


def _lagged_outcomes(scope: Scope) -> Iterator[tuple[str, Path]]:
    """Yield the outcomes that stand in lags, each with the place of its term."""
    for expr, path in stated_terms(scope.study):
        for node in walk(expr):
            match node:
                case Call(function="lag", args=(Ref(name=name), *_)) if name in scope.outcomes:
                    yield name, path
                case _:
                    pass


def lag_after_treatment(scope: Scope) -> Findings:
    """HDM427: an outcome that is lagged comes after no treatment that was given once and for all."""
    waves = [name for name, level in scope.levels.items() if level.word == "wave"]
    for name, path in _lagged_outcomes(scope):
        for assignment in scope.study.assignments:
            to = assignment.to
            if to not in scope.levels or any(scope.contains(wave, to) for wave in waves):
                continue
            message = (
                f"`{assignment.treatment}` was given to each {to} once and for all, before the first `{name}`: "
                f"given that, its effect is only what comes about later."
            )
            help = f"Leave `lag({name})` out, or measure {name} before treatment and declare it a covariate."
            yield finding("HDM427", message, path, help)


def fixed_effects_beside_lag(scope: Scope) -> Findings:
    """HDM428: the intercepts of units with lagged outcomes are pooled."""
    for i, group in _unpooled(scope):
        for name, _ in _lagged_outcomes(scope):
            if scope.row is not None and group in scope.levels[scope.row].crosses:
                message = f"Fixed effects of {group} beside `lag({name})` bias its slope, the more the fewer occasions."
                help = f"Pool {group} partially: its first {name} is then a predictor of its intercept."
                yield finding("HDM428", message, ("analysis", i), help)


RULES: tuple[Rule, ...] = (
    left_out,
    left_out_of_equations,
    after_treatment,
    no_contrast,
    not_pooled,
    predictors_of_unpooled,
    groups_of_rows,
    several_groups,
    correlation_over_waves,
    interactions,
    propensity_of_randomised,
    nothing_to_shrink,
    spread_of_no_effect,
    spread_with_others,
    moderators,
    lag_after_treatment,
    fixed_effects_beside_lag,
)
