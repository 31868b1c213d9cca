"""The forms in which groups may enter: pooled completely, partially, not at all, and with group means (Mundlak).

Source: Feller & Gelman (2015), panel data; Mundlak (1978) for the means; Hausman (1978) for the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hdsl.design.expr import Aggregate, Call, Expr, Ref, names, walk
from hdsl.design.ir import Adjust, Assignment, Pool, Prior, VaryAcross, Waiver
from hdsl.design.levels import is_above, row_level, variables
from hdsl.design.study import Study

FORMS = ("complete", "partial", "none", "mundlak")
REASON = "one of the forms that are compared"
EXPECTED = {"complete": ("HDM401",), "none": ("HDM403", "HDM408")}


def pooled_forms(study: Study, group: str) -> dict[str, Study]:
    """Return the study with a group pooled completely, partially, not at all, and partially with group means.

    Means over the group are left out of the first three, and what is constant within the group out of the one without
    pooling, whose intercepts stand for it. The form without pooling is left out where a treatment was assigned to the
    group or above it, the one with means where nothing varies within the group.

    Parameters
    ----------
    study : Study
        A study without explicit equations.
    group : str
        A level above the rows.
    """
    plain = _without_means(study, group)
    found = {"complete": _pool(_constant_effects(plain, group), group, "completely"), "partial": plain}
    if not any(_is_constant(study, a.to, group) for a in study.assignments):
        found["none"] = _pool(_constant_effects(_within(plain, group), group), group, "none")
    means = _means(plain, group)
    if means:
        found["mundlak"] = plain.model_copy(update={"analysis": (*plain.analysis, Adjust(terms=tuple(means)))})
    return {form: _tidy(each, group, form) for form, each in found.items()}


def _without_means(study: Study, group: str) -> Study:
    """Return the study without means over the group, and without the blocks whose shares would be such means."""

    def kept(terms: Iterable[Expr]) -> tuple[Expr, ...]:
        return tuple(term for term in terms if not _is_mean(term, group))

    analysis = [a for a in study.analysis if not (isinstance(a, Pool) and a.group == group)]
    changed = _terms(study.model_copy(update={"analysis": tuple(analysis)}), kept)
    blocks = [a.model_copy(update={"within": tuple(b for b in a.within if b != group)}) for a in changed.assignments]
    return changed.model_copy(update={"assignments": tuple(blocks)})


def _within(study: Study, group: str) -> Study:
    """Return the study without terms that are constant within the group."""
    levels = {variable.name: level.name for level, variable in variables(study)}

    def kept(terms: Iterable[Expr]) -> tuple[Expr, ...]:
        return tuple(t for t in terms if not all(_is_constant(study, levels.get(n, n), group) for n in names(t)))

    return _terms(study, kept)


Kept = Callable[[Iterable[Expr]], tuple[Expr, ...]]


def _terms(study: Study, kept: Kept) -> Study:
    """Return the study with the terms of `adjust for` and of `ignorable` passed through `kept`."""
    analysis = [
        a.model_copy(update={"terms": kept(a.terms)}) if isinstance(a, Adjust) else a
        for a in study.analysis
        if not isinstance(a, Adjust) or kept(a.terms)
    ]
    assignments = [_given(a, kept(a.mechanism.given)) for a in study.assignments]
    return study.model_copy(update={"analysis": tuple(analysis), "assignments": tuple(assignments)})


def _given(assignment: Assignment, terms: tuple[Expr, ...]) -> Assignment:
    if assignment.mechanism.name != "ignorable":
        return assignment
    mechanism = assignment.mechanism.model_copy(update={"given": terms})
    return assignment.model_copy(update={"mechanism": mechanism})


def _is_mean(term: Expr, group: str) -> bool:
    calls = [node for node in walk(term) if isinstance(node, Call) and node.function == "mean"]
    return any(call.args[1:] == (Ref(name=group),) for call in calls)


def _is_constant(study: Study, level: str, group: str) -> bool:
    """Return whether values of a level are constant within each unit of the group."""
    return level == group or is_above(study, level, group)


def _means(study: Study, group: str) -> list[Expr]:
    """Return the group means of treatments and of terms that vary within the group."""
    levels = {variable.name: level.name for level, variable in variables(study)}
    levels |= {a.treatment: a.to for a in study.assignments}
    inside = {name for name, level in levels.items() if is_above(study, group, level)}
    terms: list[Expr] = [Ref(name=a.treatment) for a in study.assignments if a.treatment in inside]
    for statement in study.analysis:
        terms += statement.terms if isinstance(statement, Adjust) else ()
    for assignment in study.assignments:
        terms += assignment.mechanism.given
    wanted = dict.fromkeys(term for term in terms if inside & set(names(term)) and not _is_curve(term))
    return [Call(function="mean", args=(term, Ref(name=group))) for term in wanted]


def _is_curve(term: Expr) -> bool:
    return any(isinstance(node, Call) and node.function in ("spline", "gp", "lag", "mean") for node in walk(term))


def _constant_effects(study: Study, group: str) -> Study:
    kept = tuple(a for a in study.analysis if not (isinstance(a, VaryAcross) and group in a.across))
    return study.model_copy(update={"analysis": kept})


def _pool(study: Study, group: str, how: str) -> Study:
    pool = Pool.model_validate({"group": group, "how": how})
    return study.model_copy(update={"analysis": (*study.analysis, pool)})


def _tidy(study: Study, group: str, form: str) -> Study:
    """Return the study without priors and estimands that the form has no use for, and with its warnings waived."""
    waived = {waiver.code for waiver in study.waivers}
    added = [Waiver(code=code, because=REASON) for code in EXPECTED.get(form, ()) if code not in waived]
    changes: dict[str, object] = {
        "waivers": (*study.waivers, *added),
        "priors": tuple(prior for prior in study.priors if _keeps(prior, group, form)),
    }
    if form == "none":
        changes["estimands"] = tuple(
            e for e in study.estimands if not any(isinstance(n, Aggregate) and n.population for n in walk(e.value))
        )
    return study.model_copy(update=changes)


def _keeps(prior: Prior, group: str, form: str) -> bool:
    if isinstance(prior.target, Call) and _is_mean(prior.target, group):
        return False
    spreads = isinstance(prior.target, Call) and prior.target.function in ("sd", "corr", "df")
    return not (spreads and form in ("complete", "none") and group in names(prior.target))


def treated_within(study: Study) -> str | None:
    """Return the level above the rows within which treatment varies and that has no wave: the one to compare by."""
    row = row_level(study).name
    for level in reversed(study.levels):
        inside = [a for a in study.assignments if is_above(study, level.name, a.to)]
        if level.word != "wave" and is_above(study, level.name, row) and (inside or not study.assignments):
            return level.name
    return None


def why_not(study: Study, group: str | None) -> str | None:
    """Return why a study cannot be compared by the pooling of a group, None where it can."""
    if study.equations:
        return "A study with explicit equations has no other forms of pooling."
    if group is None:
        return "There is no level within which treatment varies."
    row = row_level(study).name
    if not is_above(study, group, row):
        return f"`{group}` is no level above the rows ({row})."
    return None
