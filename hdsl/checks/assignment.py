"""Treatments and how they were assigned: arms, probabilities, blocks, conditions."""

from __future__ import annotations

import math

from hdsl.checks.finding import Findings, Path, Rule, finding
from hdsl.checks.numbers import constant
from hdsl.checks.scope import Scope
from hdsl.design.expr import Expr, Number, Ref, Sequence, names
from hdsl.design.ir import Assignment
from hdsl.design.roles import role_text
from hdsl.design.words import number_text

ROUNDING = 0.015


def too_few_arms(scope: Scope) -> Findings:
    """HDM240: a treatment has at least two arms."""
    for i, treatment in enumerate(scope.study.treatments):
        if treatment.dose is None and len(treatment.arms) < 2:
            help = "Give the untreated an arm too, first: `{ usual = 0, treated = 1 }`."
            yield finding("HDM240", f"`{treatment.name}` has fewer than two arms.", ("treatments", i), help)


def repeated_code(scope: Scope) -> Findings:
    """HDM241: no two arms have the same code."""
    for i, treatment in enumerate(scope.study.treatments):
        seen: dict[str, str] = {}
        for j, arm in enumerate(treatment.arms):
            code = arm.code if isinstance(arm.code, str) else number_text(abs(arm.code)) + "-" * (arm.code < 0)
            if code in seen:
                message = f"The arms {seen[code]} and {arm.name} of `{treatment.name}` have the same code."
                help = "Give each arm the code it has in the data."
                yield finding("HDM241", message, ("treatments", i, "arms", j), help)
            seen.setdefault(code, arm.name)


def unassigned(scope: Scope) -> Findings:
    """HDM402: every treatment has an assignment."""
    if any(assignment.treatment not in scope.treatments for assignment in scope.study.assignments):
        return
    for i, treatment in enumerate(scope.study.treatments):
        if not scope.assignments(treatment.name):
            row = scope.row or "UNIT"
            help = (
                f"Write `assign {treatment.name} to {row} by complete(0.5)`, or, if nobody assigned it, "
                "`by ignorable(x, ...)` with what explains who got it."
            )
            message = f"The study does not say how `{treatment.name}` was assigned."
            yield finding("HDM402", message, ("treatments", i), help)


def assigned_twice(scope: Scope) -> Findings:
    """HDM260: a treatment is assigned by one statement."""
    seen: set[str] = set()
    for i, assignment in enumerate(scope.study.assignments):
        if assignment.treatment in seen:
            message = f"`{assignment.treatment}` is assigned twice."
            yield finding("HDM260", message, ("assignments", i), "Keep one `assign` for each treatment.")
        seen.add(assignment.treatment)


def nothing_ignorable_given(scope: Scope) -> Findings:
    """HDM403: an observational assignment names what makes it ignorable."""
    for i, assignment in enumerate(scope.study.assignments):
        if assignment.mechanism.name == "ignorable" and not assignment.mechanism.given:
            message = f"`{assignment.treatment}` was not assigned at random, yet nothing is said to explain who got it."
            help = "Name the covariates that explain it: `ignorable(age, income)`."
            yield finding("HDM403", message, ("assignments", i, "mechanism"), help)


def arguments_of_mechanism(scope: Scope) -> Findings:
    """HDM205: `bernoulli` has a probability (`complete()` means equal shares); `rule` a variable and a cutoff."""
    for i, assignment in enumerate(scope.study.assignments):
        mechanism, path = assignment.mechanism, ("assignments", i, "mechanism")
        arms = bool(scope.arms(assignment.treatment))
        if mechanism.name == "bernoulli" and mechanism.probability is None and arms:
            yield finding("HDM205", "`bernoulli` has no probability.", path, "Write `bernoulli(0.5)`.")
        if mechanism.name == "rule" and (mechanism.cutoff is None or len(mechanism.given) != 1):
            message = "`rule` wants a variable and the number at which treatment begins."
            yield finding("HDM205", message, path, "Write `rule(x, 50)`.")


def probabilities(scope: Scope) -> Findings:
    """HDM227, 236, 242, 243: probabilities are numbers from 0 to 1, or proportion variables."""
    for i, assignment in enumerate(scope.study.assignments):
        stated = assignment.mechanism.probability
        if stated is None:
            continue
        path: Path = ("assignments", i, "mechanism", "probability")
        if isinstance(stated, Sequence):
            for j, item in enumerate(stated.items):
                yield from _probability(scope, assignment, item, (*path, "items", j))
            yield from _one_per_arm(scope, assignment, stated, path)
        else:
            yield from _probability(scope, assignment, stated, path)
            yield from _many_arms(scope, assignment, stated, path)


def _probability(scope: Scope, assignment: Assignment, expr: Expr, path: Path) -> Findings:
    match expr:
        case Number(value=value):
            if not 0 <= value <= 1:
                help = f"Write {number_text(value)} % as {number_text(value / 100)}." if value <= 100 else ""
                yield finding("HDM242", f"{number_text(value)} is no probability.", path, help)
            elif value in (0, 1):
                message = f"A probability of {number_text(value)} leaves nothing to chance."
                yield finding("HDM242", message, path, "If nobody was assigned at random, say `ignorable(...)`.")
        case Ref(name=name):
            yield from _probability_variable(scope, assignment, name, path)
        case _ if not names(expr):
            value = constant(expr)
            if value is None or not 0 < value < 1:
                yield finding("HDM242", f"`{role_text(expr)}` is no probability.", path)
        case _:
            help = "Put the probability into a column and declare it: `covariate p : proportion`."
            yield finding("HDM243", f"`{role_text(expr)}` is neither a number nor a variable.", path, help)


def _probability_variable(scope: Scope, assignment: Assignment, name: str, path: Path) -> Findings:
    variable = scope.variables.get(name)
    if variable is None:
        what = scope.described(name)
        code = "HDM227" if what is None else "HDM236"
        said = f"`{name}` is not declared." if what is None else f"`{name}` is {what}; a proportion is wanted here."
        yield finding(code, said, path, f"Declare `covariate {name} : proportion`.")
        return
    if variable.kind.name != "proportion" or variable.role != "covariate":
        message = f"`{name}` is {_described(variable.role, variable.kind.name)}, not a covariate that is a proportion."
        yield finding("HDM243", message, path, f"Declare `covariate {name} : proportion`, or give a number.")
    level = scope.level_of_variable[name]
    if assignment.to in scope.levels and not scope.contains(level, assignment.to):
        message = f"`{name}` has one value per {level}, but {assignment.treatment} is assigned to {assignment.to}."
        yield finding("HDM243", message, path, f"A probability of {assignment.to} stands at its level or above.")


def _described(role: str, kind: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role} of kind {kind}"


def _one_per_arm(scope: Scope, assignment: Assignment, stated: Sequence, path: Path) -> Findings:
    arms = scope.arms(assignment.treatment)
    if not arms:
        return
    if len(stated.items) != len(arms):
        message = f"{len(stated.items)} probabilities are given for {len(arms)} arms."
        yield finding("HDM242", message, path, f"Give one for each of {', '.join(arms)}, in this order.")
        return
    numbers = [item.value for item in stated.items if isinstance(item, Number)]
    if len(numbers) == len(arms) and not math.isclose(sum(numbers), 1.0, abs_tol=ROUNDING):
        message = f"The probabilities of the arms add up to {sum(numbers):.4g}, not to 1."
        yield finding("HDM242", message, path)


def _many_arms(scope: Scope, assignment: Assignment, stated: Expr, path: Path) -> Findings:
    arms = scope.arms(assignment.treatment)
    value = constant(stated)
    if len(arms) > 2 and value is not None and abs(value - 1 / len(arms)) > ROUNDING:
        message = f"`{assignment.treatment}` has {len(arms)} arms but one probability."
        help = f"Give one for each of {', '.join(arms)}, in this order."
        yield finding("HDM242", message, path, help, severity="warning")


def block_not_above(scope: Scope) -> Findings:
    """HDM269: a treatment is assigned within levels to which the assigned units belong."""
    for i, assignment in enumerate(scope.study.assignments):
        for j, block in enumerate(assignment.within):
            if not {block, assignment.to} <= scope.levels.keys():
                continue
            if block == assignment.to or not scope.contains(block, assignment.to):
                message = f"`within {block}`: {assignment.to} does not lie in {block}."
                help = f"Name a level above {assignment.to}, or declare `{assignment.to} ... in {block}`."
                yield finding("HDM269", message, ("assignments", i, "within", j), help)


def not_above_rows(scope: Scope) -> Findings:
    """HDM413: a treatment is assigned to units to which the rows belong."""
    for i, assignment in enumerate(scope.study.assignments):
        to, row = assignment.to, scope.row
        if to in scope.levels and row is not None and not scope.contains(to, row):
            message = f"`{assignment.treatment}` is assigned to {to}, but no {row} is said to lie in one {to}."
            yield finding("HDM413", message, ("assignments", i, "to"), f"Declare `unit {row} ... in {to}`.")


def condition(scope: Scope) -> Findings:
    """HDM412: `if T2 = arm` names another treatment, assigned at the same level or above, and no circle."""
    for i, assignment in enumerate(scope.study.assignments):
        if assignment.condition is None:
            continue
        path: Path = ("assignments", i, "condition")
        other = assignment.condition.treatment
        if assignment.treatment in _conditions_behind(scope, other):
            message = f"Whether `{assignment.treatment}` is assigned depends on `{assignment.treatment}` itself."
            yield finding("HDM412", message, path, "Name the treatment that was assigned first.")
            continue
        for earlier in scope.assignments(other):
            if {earlier.to, assignment.to} <= scope.levels.keys() and not scope.contains(earlier.to, assignment.to):
                message = f"`{other}` differs within the {assignment.to} to which `{assignment.treatment}` is assigned."
                help = f"The condition must be the same for the whole {assignment.to}."
                yield finding("HDM412", message, path, help)


def _conditions_behind(scope: Scope, treatment: str) -> set[str]:
    found: set[str] = set()
    waiting = [treatment]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [a.condition.treatment for a in scope.assignments(name) if a.condition is not None]
    return found


def level_of_given(scope: Scope) -> Findings:
    """HDM414: what decides who is treated has one value for each unit that is treated."""
    for i, assignment in enumerate(scope.study.assignments):
        if assignment.mechanism.name != "rule" or assignment.to not in scope.levels:
            continue
        for j, term in enumerate(assignment.mechanism.given):
            for level in sorted(scope.levels_of(term)):
                if not scope.contains(level, assignment.to):
                    message = f"`{role_text(term)}` differs within one {assignment.to}: it cannot decide its treatment."
                    path: Path = ("assignments", i, "mechanism", "given", j)
                    yield finding("HDM414", message, path, f"Use its mean: `mean(..., {assignment.to})`.")


RULES: tuple[Rule, ...] = (
    too_few_arms,
    repeated_code,
    unassigned,
    assigned_twice,
    nothing_ignorable_given,
    arguments_of_mechanism,
    probabilities,
    block_not_above,
    not_above_rows,
    condition,
    level_of_given,
)
