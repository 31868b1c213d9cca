"""Names: every name that a statement uses is declared, once, and stands for the right sort of thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hdsl.checks.finding import (
    Findings,
    Path,
    Rule,
    finding,
    suggestion,
    want_arm,
    want_level,
    want_outcome,
    want_treatment,
)
from hdsl.checks.scope import Scope
from hdsl.design import ir

DRAWS = ("chain", "draw")


def no_unit(scope: Scope) -> Findings:
    """HDM233: a study says what its rows are."""
    if scope.row is None:
        help = "Write `unit person id COLUMN { outcome ... }` for what a row of the table is."
        yield finding("HDM233", "The study declares no unit.", (), help)


def no_outcome(scope: Scope) -> Findings:
    """HDM234: a study has an outcome."""
    if scope.row is not None and not scope.outcomes:
        help = f"Write `outcome NAME : real` in the block of {scope.row}."
        yield finding("HDM234", "The study declares no outcome.", ("levels", _place_of_row(scope)), help)


def _place_of_row(scope: Scope) -> int:
    return max(i for i, level in enumerate(scope.study.levels) if level.name == scope.row)


def duplicate_declarations(scope: Scope) -> Findings:
    """HDM232: levels, variables, treatments and stratifications have names of their own."""
    yield from _twice("in this study", _declared(scope.study))


def _declared(study: ir.StudyFields) -> Iterator[tuple[str, Path]]:
    for i, level in enumerate(study.levels):
        yield level.name, ("levels", i, "name")
        yield from ((v.name, ("levels", i, "variables", j, "name")) for j, v in enumerate(level.variables))
    yield from ((t.name, ("treatments", i, "name")) for i, t in enumerate(study.treatments))
    yield from ((p.name, ("principals", i, "name")) for i, p in enumerate(study.principals))


def duplicate_parts(scope: Scope) -> Findings:
    """HDM232: the arms of a treatment, the strata of a stratification and the estimands differ in name."""
    for i, treatment in enumerate(scope.study.treatments):
        arms = ((arm.name, ("treatments", i, "arms", j, "name")) for j, arm in enumerate(treatment.arms))
        yield from _twice(f"among the arms of {treatment.name}", arms)
    for i, principal in enumerate(scope.study.principals):
        strata = ((s.name, ("principals", i, "strata", j, "name")) for j, s in enumerate(principal.strata))
        yield from _twice(f"among the strata of {principal.name}", strata)
    estimands = [(e.name, ("estimands", i, "name")) for i, e in enumerate(scope.study.estimands)]
    yield from _twice("among the estimands", estimands)
    for name, path in estimands:
        if name in scope.levels:
            help = f"Give it another name, such as `by_{name}`: results are labelled by the levels' names."
            yield finding("HDM232", f"The estimand `{name}` has the name of a level.", path, help)


def names_of_draws(scope: Scope) -> Findings:
    """HDM232: levels and estimands are not called as results call the draws."""
    named = [(level.name, "level", ("levels", i, "name")) for i, level in enumerate(scope.study.levels)]
    named += [(e.name, "estimand", ("estimands", i, "name")) for i, e in enumerate(scope.study.estimands)]
    for name, what, path in named:
        if name in DRAWS:
            help = f"Give it another name; `id {name}` keeps that of the data." if what == "level" else "Rename it."
            yield finding("HDM232", f"The {what} `{name}` has the name of the {name}s of every result.", path, help)


def _twice(where: str, names: Iterable[tuple[str, Path]]) -> Findings:
    seen: set[str] = set()
    for name, path in names:
        if name in seen:
            help = 'Rename one; `column "..."` (for a level `id`) keeps the name that the data use.'
            yield finding("HDM232", f"`{name}` is declared twice {where}.", path, help)
        seen.add(name)


def names_of_levels(scope: Scope) -> Findings:
    """HDM226, HDM236: a level nests in declared levels and crosses declared levels."""
    for i, level in enumerate(scope.study.levels):
        for field, names in (("parents", level.parents), ("crosses", level.crosses)):
            for j, name in enumerate(names):
                yield from want_level(scope, name, ("levels", i, field, j))


def names_of_assignments(scope: Scope) -> Findings:
    """HDM226, 228, 229, 236: an assignment names a treatment, levels and, after `if`, an arm of a treatment."""
    for i, assignment in enumerate(scope.study.assignments):
        path: Path = ("assignments", i)
        yield from want_treatment(scope, assignment.treatment, (*path, "treatment"))
        yield from want_level(scope, assignment.to, (*path, "to"))
        for j, block in enumerate(assignment.within):
            declare = f"To block on it, declare `group NAME id {block}` and write `within NAME`."
            help = declare if block in scope.variables else ""
            yield from want_level(scope, block, (*path, "within", j), help)
        if assignment.condition is not None:
            place = (*path, "condition")
            yield from want_treatment(scope, assignment.condition.treatment, (*place, "treatment"))
            yield from want_arm(scope, assignment.condition.treatment, assignment.condition.arm, (*place, "arm"))


def names_of_principals(scope: Scope) -> Findings:
    """HDM227, 228, 236: a principal stratification is of an intermediate variable under a treatment."""
    for i, principal in enumerate(scope.study.principals):
        path: Path = ("principals", i)
        yield from want_treatment(scope, principal.treatment, (*path, "treatment"))
        name = principal.intermediate
        variable = scope.variables.get(name)
        if variable is not None and variable.role == "intermediate":
            continue
        intermediates = [n for n, v in scope.variables.items() if v.role == "intermediate"]
        help = suggestion(name, intermediates, "Declare it with `intermediate`.")
        what = scope.described(name)
        code = "HDM227" if what is None else "HDM236"
        said = f"There is no `{name}`." if what is None else f"`{name}` is {what}; an intermediate is wanted here."
        yield finding(code, said, (*path, "intermediate"), help)


def names_of_amendments(scope: Scope) -> Findings:
    """HDM226, 227, 228, 236: outcomes, levels and treatments that the analysis names are declared."""
    for i, item in enumerate(scope.study.analysis):
        yield from _names_of(scope, item, ("analysis", i))


def _names_of(scope: Scope, item: ir.Amendment, path: Path) -> Findings:
    match item:
        case ir.Family() | ir.VarianceBy() | ir.VarianceWith() | ir.Surface():
            yield from want_outcome(scope, item.outcome, (*path, "outcome"))
        case ir.VarianceAcross():
            yield from want_outcome(scope, item.outcome, (*path, "outcome"))
            yield from want_level(scope, item.across, (*path, "across"))
        case ir.Correlate():
            yield from want_outcome(scope, item.outcome, (*path, "outcome"))
            yield from want_level(scope, item.within, (*path, "within"))
        case ir.VaryAcross():
            for j, group in enumerate(item.across):
                yield from want_level(scope, group, (*path, "across", j))
        case ir.EffectVarianceWith():
            yield from want_level(scope, item.across, (*path, "across"))
        case ir.Interact():
            for j, treatment in enumerate(item.treatments):
                yield from want_treatment(scope, treatment, (*path, "treatments", j))
        case ir.Pool():
            yield from want_level(scope, item.group, (*path, "group"))
        case ir.Propensity():
            yield from want_treatment(scope, item.treatment, (*path, "treatment"))
            if item.across is not None:
                yield from want_level(scope, item.across, (*path, "across"))
        case _:
            pass


RULES: tuple[Rule, ...] = (
    no_unit,
    no_outcome,
    duplicate_declarations,
    duplicate_parts,
    names_of_draws,
    names_of_levels,
    names_of_assignments,
    names_of_principals,
    names_of_amendments,
)
