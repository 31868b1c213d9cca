"""The design against the data: arms, blocks, clusters, shares and nesting as they were found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hdsl.checks.finding import Findings, Path, finding
from hdsl.checks.numbers import constant
from hdsl.checks.scope import Scope
from hdsl.checks.terms import stated_terms
from hdsl.data.bound import Bound, BoundTreatment, Reals
from hdsl.design.expr import Ref, Sequence, walk
from hdsl.design.ir import Assignment, Pool, VaryAcross
from hdsl.design.roles import role_text
from hdsl.diagnostics import Diagnostic

type DataRule = Callable[[Scope, Bound], Findings]
type Mask = NDArray[np.bool_]

FEW_GROUPS = 5
FAR = 3.5


def assigned(scope: Scope, bound: Bound) -> Iterator[tuple[Assignment, Path]]:
    """Yield the assignments of treatments that have data, with their places."""
    for i, assignment in enumerate(scope.study.assignments):
        if assignment.treatment in bound.treatments and assignment.to in bound.levels:
            yield assignment, ("assignments", i)


def reached(bound: Bound, assignment: Assignment) -> Mask:
    """Return which units of the assigned level the assignment was made for, shape (size,)."""
    size = bound.levels[assignment.to].size
    on = assignment.condition
    if on is None or on.treatment not in bound.treatments:
        return np.ones(size, np.bool_)
    first = bound.treatments[on.treatment]
    arms = at_units(bound, assignment.to, first.level, first.values)
    return np.asarray(arms == first.arms.index(on.arm), np.bool_)


def at_units(bound: Bound, to: str, level: str, values: Reals) -> Reals:
    """Return values of a level, the same or one above, for each unit of `to`, shape (size of to,)."""
    rows = np.asarray(bound.at_rows(level, values), np.float64)
    return rows[bound.levels[to].first_rows]


def distinct_within(groups: NDArray[np.int64], values: Reals, size: int) -> NDArray[np.int64]:
    """Return how many different values each group has, shape (size,)."""
    _, codes = np.unique(values, return_inverse=True)
    pairs = np.unique(groups * (int(codes.max(initial=0)) + 1) + codes)
    return np.bincount(pairs // (int(codes.max(initial=0)) + 1), minlength=size).astype(np.int64)


def arm_counts(treatment: BoundTreatment) -> NDArray[np.int64]:
    """Return the number of units in each arm, shape (arms,)."""
    return np.bincount(treatment.values.astype(np.int64), minlength=len(treatment.arms)).astype(np.int64)


def shown(labels: tuple[str, ...], chosen: NDArray[np.int64]) -> str:
    """Return the first few labels of the chosen elements."""
    return ", ".join(labels[int(c)] for c in chosen[:5].tolist()) + (", ..." if chosen.size > 5 else "")


def block_with_one_arm(scope: Scope, bound: Bound) -> Findings:
    """HDM304: each block has units in more than one arm."""
    for assignment, path in assigned(scope, bound):
        treatment, mask = bound.treatments[assignment.treatment], reached(bound, assignment)
        for j, block in enumerate(assignment.within):
            if block not in bound.levels or not mask.any():
                continue
            level = bound.levels[block]
            groups = bound.element_of(assignment.to, block)[mask]
            arms = distinct_within(groups, treatment.values[mask], level.size)
            alone = np.flatnonzero(arms == 1)
            if alone.size:
                yield _one_arm(assignment, block, level.labels, alone, int((arms > 0).sum()), (*path, "within", j))


def _one_arm(
    assignment: Assignment, block: str, labels: tuple[str, ...], alone: NDArray[np.int64], count: int, path: Path
) -> Diagnostic:
    name, random = assignment.treatment, assignment.mechanism.name in ("complete", "bernoulli")
    message = f"{alone.size} of {count} units of {block} have only one arm of `{name}`: {shown(labels, alone)}."
    if alone.size == count and random:
        help = f"It was then assigned to {block}, not within it: write `assign {name} to {block}`."
        return finding("HDM304", message, path, help, severity="error")
    help = "They say nothing of the effect by themselves. Are codes wrong or rows missing?"
    help += " If it is meant so, waive this." if random else ""
    return finding("HDM304", message, path, help, severity="warning" if random else "note")


def one_cluster_per_arm(scope: Scope, bound: Bound) -> Findings:
    """HDM306: an arm has more than one cluster, so that its effect can be told from the cluster's."""
    for assignment, path in assigned(scope, bound):
        treatment, level = bound.treatments[assignment.treatment], bound.levels[assignment.to]
        if treatment.continuous or assignment.to == bound.row or level.size == bound.total:
            continue
        counts = arm_counts(treatment)
        single = [arm for arm, count in zip(treatment.arms, counts, strict=True) if count == 1]
        if not single:
            continue
        message = (
            f"Only one {assignment.to} has `{treatment.name} = {single[0]}`: is it the arm, or the {assignment.to}?"
        )
        if len(single) > 1:
            message = f"The arms {', '.join(single)} of `{treatment.name}` have one {assignment.to} each."
        help = f"More units of {assignment.to} are needed; more rows within them do not help."
        every = len(single) == int((counts > 0).sum())
        yield finding("HDM306", message, (*path, "to"), help, severity="error" if every else "warning")


def empty_arm(scope: Scope, bound: Bound) -> Findings:
    """HDM307: each arm has units in the data."""
    for i, declared in enumerate(scope.study.treatments):
        treatment = bound.treatments.get(declared.name)
        if treatment is None or treatment.continuous:
            continue
        counts = arm_counts(treatment)
        for j in np.flatnonzero(counts == 0):
            message = f"No {treatment.level} has `{declared.name} = {treatment.arms[j]}`."
            help = "Check the arm's code, or leave the arm out of the treatment."
            yield finding("HDM307", message, ("treatments", i, "arms", int(j)), help)


def share_far_from_declared(scope: Scope, bound: Bound) -> Findings:
    """HDM308: the share of each arm is near its declared probability (3.5 binomial standard errors)."""
    for assignment, path in assigned(scope, bound):
        treatment, mask = bound.treatments[assignment.treatment], reached(bound, assignment)
        each = bound.units(assignment.to)[mask]
        number = round(float(each.sum()))
        if treatment.continuous or number == 0:
            continue
        for arm, chance in _chances(scope, bound, assignment):
            p = np.clip(chance[mask], 0.0, 1.0)
            observed = float(each[treatment.values[mask] == arm].sum())
            spread = float(np.sqrt(each @ (p * (1 - p))))
            if abs(observed - float(each @ p)) > FAR * spread + 1.0:
                message = (
                    f"{observed / number:.3g} of {number} units of {assignment.to} have "
                    f"`{treatment.name} = {treatment.arms[arm]}`; declared is {float(np.average(p, weights=each)):.3g}."
                )
                help = "Check the probability, the arm's code, and whether units were lost after assignment."
                yield finding("HDM308", message, (*path, "mechanism"), help)
                break


def _chances(scope: Scope, bound: Bound, assignment: Assignment) -> Iterator[tuple[int, Reals]]:
    """Yield arms with the probability that each unit of the assigned level was to have it."""
    stated, size = assignment.mechanism.probability, bound.levels[assignment.to].size
    arms = len(scope.arms(assignment.treatment))
    if isinstance(stated, Sequence):
        values = [constant(item) for item in stated.items]
        if len(values) == arms:
            yield from ((k, np.full(size, value)) for k, value in enumerate(values) if value is not None)
        return
    if isinstance(stated, Ref) and arms == 2 and stated.name in bound.variables:
        variable = bound.variables[stated.name]
        yield 1, at_units(bound, assignment.to, variable.level, variable.values)
        return
    if stated is None and assignment.mechanism.name == "complete":
        yield from ((arm, np.full(size, 1 / arms)) for arm in range(arms))
        return
    value = None if stated is None else constant(stated)
    if value is not None and arms == 2:
        yield 1, np.full(size, value)


def certain_assignment(scope: Scope, bound: Bound) -> Findings:
    """HDM318: a probability from the data leaves something to chance for each unit."""
    for assignment, path in assigned(scope, bound):
        if not isinstance(assignment.mechanism.probability, Ref):
            continue
        for _, chance in _chances(scope, bound, assignment):
            certain = round(float(bound.units(assignment.to) @ ((chance <= 0) | (chance >= 1))))
            if certain:
                name = assignment.mechanism.probability.name
                message = f"`{name}` is 0 or 1 for {certain} units of {assignment.to}: chance did not decide there."
                help = "Nothing can be learnt from them without the model; consider leaving them out."
                yield finding("HDM318", message, (*path, "mechanism", "probability"), help)


def outside_condition(scope: Scope, bound: Bound) -> Findings:
    """HDM317: where a conditional assignment was not made, units have the reference arm."""
    for assignment, path in assigned(scope, bound):
        treatment = bound.treatments[assignment.treatment]
        if assignment.condition is None or treatment.continuous:
            continue
        outside = np.flatnonzero(~reached(bound, assignment) & (treatment.values > 0))
        if outside.size:
            on = assignment.condition
            labels = bound.levels[assignment.to].labels
            message = (
                f"{outside.size} units of {assignment.to} have another arm of `{treatment.name}` than "
                f"{treatment.arms[0]}, though {on.treatment} is not {on.arm}: {shown(labels, outside)}."
            )
            help = "Check the codes, or leave out the condition."
            yield finding("HDM317", message, (*path, "condition"), help)


def rule_not_followed(scope: Scope, bound: Bound) -> Findings:
    """HDM316: a treatment by `rule(x, cutoff)` begins at the cutoff."""
    for assignment, path in assigned(scope, bound):
        mechanism, treatment = assignment.mechanism, bound.treatments[assignment.treatment]
        if mechanism.name != "rule" or mechanism.cutoff is None or treatment.continuous:
            continue
        if len(mechanism.given) != 1 or not isinstance(mechanism.given[0], Ref):
            continue
        variable = bound.variables.get(mechanism.given[0].name)
        if variable is None:
            continue
        above = at_units(bound, assignment.to, variable.level, variable.values) >= float(mechanism.cutoff)
        each = bound.units(assignment.to)
        agree, number = round(float(each @ ((treatment.values > 0) == above))), round(float(each.sum()))
        wrong = min(agree, number - agree)
        if wrong:
            rule = f"rule({variable.name}, {mechanism.cutoff:g})"
            message = f"{wrong} of {number} units of {assignment.to} did not follow `{rule}`."
            help = "Check the cutoff; if it was only a recommendation, declare the treatment as `ignorable(...)`."
            yield finding("HDM316", message, (*path, "mechanism"), help)


def crossed_but_nested(scope: Scope, bound: Bound) -> Findings:
    """HDM303: crossed levels meet in more than one combination each."""
    for i, level in enumerate(scope.study.levels):
        for j, one in enumerate(level.crosses):
            for other in level.crosses:
                if one == other or not {one, other} <= bound.levels.keys() or bound.levels[other].size < 2:
                    continue
                if bound.nests(one, other):
                    message = f"Each {one} meets only one {other}: {one} lies in {other}, it does not cross it."
                    help = f"Declare `{scope.levels[one].word} {one} ... in {other}` and `{level.name} ... in {one}`."
                    yield finding("HDM303", message, ("levels", i, "crosses", j), help)


def nested_but_crossed(scope: Scope, bound: Bound) -> Findings:
    """HDM310: where every id stands under every parent, the levels may be crossed."""
    for i, level in enumerate(scope.study.levels):
        if level.name == scope.row or len(level.parents) != 1 or level.parents[0] not in bound.levels:
            continue
        found, parent = bound.levels.get(level.name), bound.levels[level.parents[0]]
        if found is None or parent.size < 2:
            continue
        own = {label.rsplit("/", 1)[-1] for label in found.labels}
        if len(own) > 1 and found.size == len(own) * parent.size:
            message = f"Every {parent.name} has the same {len(own)} ids of {level.name}: taken for {found.size} units."
            help = f"If equal ids are one unit, the levels cross: `unit ... in {parent.name} * {level.name}`."
            yield finding("HDM310", message, ("levels", i), help)


def few_groups(scope: Scope, bound: Bound) -> Findings:
    """HDM309: an effect varies across at least five groups, unless a prior of its spread is stated."""
    if not scope.is_derived():
        return
    stated = {role_text(prior.target) for prior in scope.study.priors}
    small = {name for name, level in bound.levels.items() if level.size < FEW_GROUPS}
    warned: set[str] = set()
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, VaryAcross) or item.effect == Ref(name="intercept"):
            continue
        text = role_text(item.effect)
        for j, group in enumerate(item.across):
            if group in small and not {f"sd(effect({text}), {group})", f"sd(slope({text}), {group})"} & stated:
                warned.add(group)
                message = f"The effect of `{text}` varies across {bound.levels[group].size} units of {group}."
                help = "So few say little about a spread: it rests on its prior. State one in `priors`."
                yield finding("HDM309", message, ("analysis", i, "across", j), help)
    unpooled = {item.group for item in scope.study.analysis if isinstance(item, Pool) and item.how != "partially"}
    for i, level in enumerate(scope.study.levels):
        name, above = level.name, scope.above[scope.row or level.name]
        if name not in small & above - warned - unpooled or f"sd(intercept, {name})" in stated:
            continue
        if bound.levels[name].size > 1:
            message = (
                f"There are {bound.levels[name].size} units of {name}: the spread between them rests on its prior."
            )
            help = f"State it in `priors`: `sd(intercept, {name}) ~ ...`{_without_spread(scope, name)}."
            yield finding("HDM309", message, ("levels", i), help, severity="note")


def _without_spread(scope: Scope, level: str) -> str:
    """Return how else few units of a level may be treated, where they may."""
    if any(assignment.to == level for assignment in scope.study.assignments):
        return ""
    if any(node == Ref(name=level) for term, _ in stated_terms(scope.study) for node in walk(term)):
        return f"; or leave {level} to its terms, whose intervals this spread widens: `pool {level} completely`"
    return f"; or give each {level} an intercept of its own, without a spread: `pool {level} none`"


RULES: tuple[DataRule, ...] = (
    empty_arm,
    block_with_one_arm,
    one_cluster_per_arm,
    share_far_from_declared,
    certain_assignment,
    outside_condition,
    rule_not_followed,
    crossed_but_nested,
    nested_but_crossed,
    few_groups,
)
