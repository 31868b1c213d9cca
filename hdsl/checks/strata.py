"""Principal strata: values for every arm, one level, and where the exclusion restriction is said."""

from __future__ import annotations

import numpy as np

from hdsl.checks.data import DataRule
from hdsl.checks.finding import Findings, Path, Rule, finding
from hdsl.checks.scope import Scope
from hdsl.data.bound import Bound
from hdsl.data.strata import possible_strata
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


def by_shape_alone(scope: Scope) -> Findings:
    """HDM424: strata that share a cell of treatment and intermediate are told apart by exclusion restrictions."""
    for i, principal in enumerate(scope.study.principals):
        for j, stratum in enumerate(principal.strata):
            others = [other for other in principal.strata if other.values != stratum.values]
            shared = [o.name for o in others if any(a == b for a, b in zip(o.values, stratum.values, strict=False))]
            if len(set(stratum.values)) == 1 and not stratum.unaffected and shared:
                message = (
                    f"Nothing but the shape of the outcome's distribution tells `{stratum.name}` from `{shared[0]}`."
                )
                help = f"If the treatment cannot change the outcome of `{stratum.name}`, declare it `unaffected`."
                yield finding("HDM424", message, ("principals", i, "strata", j), help)


def rows_without_stratum(scope: Scope, bound: Bound) -> Findings:
    """HDM321: some stratum has each combination of arm and intermediate that is in the data."""
    for i, principal in enumerate(scope.study.principals):
        treatment = bound.treatments.get(principal.treatment)
        variable = bound.variables.get(principal.intermediate)
        if treatment is None or variable is None or treatment.continuous:
            continue
        lost = np.flatnonzero(~possible_strata(bound, principal).any(axis=1))
        if lost.size == 0:
            continue
        first = int(lost[0])
        arm = treatment.arms[int(bound.at_rows(treatment.level, treatment.values)[first])]
        code = int(bound.at_rows(variable.level, variable.values)[first])
        value = variable.labels[code] if variable.labels else str(code)
        where = f"first row {first + 1} with {treatment.name} = {arm} and {variable.name} = {value}"
        count = "1 row has" if lost.size == 1 else f"{lost.size} rows have"
        message = f"{count} values that no stratum of `{principal.name}` allows, {where}."
        help = "List the stratum to which such rows belong (which gives up the monotonicity), or mend the data."
        yield finding("HDM321", message, ("principals", i), help)


RULES: tuple[Rule, ...] = (strata, units_of_strata, exclusion_of_changed, by_shape_alone)
DATA_RULES: tuple[DataRule, ...] = (rows_without_stratum,)
