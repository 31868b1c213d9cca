"""Principal strata: values for every arm, one level, and where the exclusion restriction is said."""

from __future__ import annotations

from hdsl.checks.finding import Findings, Path, Rule, finding
from hdsl.checks.scope import Scope
from hdsl.design.ir import Principal


def strata(scope: Scope) -> Findings:
    """HDM267: each principal stratum gives one possible value of the intermediate for every arm."""
    for i, principal in enumerate(scope.study.principals):
        arms = scope.arms(principal.treatment)
        path: Path = ("principals", i)
        if principal.treatment in scope.treatments and not arms:
            message = f"`{principal.treatment}` is a dose; principal strata need arms."
            yield finding("HDM267", message, (*path, "treatment"))
            continue
        if len(principal.strata) < 2:
            help = "List every stratum that exists; a stratum left out is assumed not to exist."
            yield finding("HDM267", f"`{principal.name}` has fewer than two strata.", path, help)
        yield from _stratum_values(scope, principal, arms, path)


def _stratum_values(scope: Scope, principal: Principal, arms: tuple[str, ...], path: Path) -> Findings:
    seen: dict[tuple[float | str, ...], str] = {}
    variable = scope.variables.get(principal.intermediate)
    binary = variable is not None and variable.kind.name == "binary"
    for j, stratum in enumerate(principal.strata):
        place = (*path, "strata", j)
        if arms and len(stratum.values) != len(arms):
            message = f"The stratum `{stratum.name}` has {len(stratum.values)} values for {len(arms)} arms."
            yield finding("HDM267", message, place, f"Give the value under each of {', '.join(arms)}, in this order.")
        elif binary and any(value not in (0, 1) for value in stratum.values):
            message = f"`{principal.intermediate}` is binary: the values of `{stratum.name}` must be 0 or 1."
            yield finding("HDM267", message, place)
        elif stratum.values in seen:
            message = f"The strata {seen[stratum.values]} and {stratum.name} are the same."
            yield finding("HDM267", message, place, "Leave one out.")
        seen.setdefault(stratum.values, stratum.name)


def exclusion_of_changed(scope: Scope) -> Findings:
    """HDM423: `unaffected` is said of strata whose intermediate the treatment does not change."""
    for i, principal in enumerate(scope.study.principals):
        for j, stratum in enumerate(principal.strata):
            if stratum.unaffected and len(set(stratum.values)) > 1:
                message = f"`{stratum.name}` is `unaffected`, yet treatment changes its {principal.intermediate}."
                help = "The exclusion restriction is usual only where the intermediate stays the same."
                yield finding("HDM423", message, ("principals", i, "strata", j), help)


def units_of_strata(scope: Scope) -> Findings:
    """HDM267: the intermediate is measured on the units to which the treatment was assigned, or below."""
    for i, principal in enumerate(scope.study.principals):
        level = scope.level_of_variable.get(principal.intermediate)
        for assignment in scope.assignments(principal.treatment):
            if level is None or assignment.to not in scope.levels or scope.contains(assignment.to, level):
                continue
            z, to = assignment.treatment, assignment.to
            message = f"`{principal.intermediate}` belongs to {level}, but {z} is assigned to {to}."
            yield finding("HDM267", message, ("principals", i, "intermediate"))


RULES: tuple[Rule, ...] = (strata, units_of_strata, exclusion_of_changed)
