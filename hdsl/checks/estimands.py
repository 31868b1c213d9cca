"""Estimands: potential outcomes that the design allows, over units that are there."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.checks.finding import (
    Findings,
    Path,
    Rule,
    finding,
    listed,
    places,
    suggestion,
    want_arm,
    want_level,
    want_treatment,
)
from hdsl.checks.numbers import constant
from hdsl.checks.scope import Scope
from hdsl.checks.terms import is_labelled, unknown_function
from hdsl.design.expr import (
    Aggregate,
    Call,
    Comparison,
    Expr,
    Indexed,
    Logical,
    Number,
    Potential,
    Ref,
    Sequence,
    Setting,
    Text,
)
from hdsl.design.ir import Estimand, Family
from hdsl.design.roles import role_text

MATHS = ("log", "log1p", "exp", "sqrt", "square", "abs")


def each(scope: Scope) -> Iterator[tuple[Estimand, Path]]:
    """Yield the estimands with their places."""
    yield from ((estimand, ("estimands", i)) for i, estimand in enumerate(scope.study.estimands))


def aggregates(estimand: Estimand, path: Path) -> Iterator[tuple[Aggregate, Path]]:
    """Yield the aggregates of an estimand that stand in no other, with their places."""
    inside: list[Path] = []
    for node, place in places(estimand.value, (*path, "value")):
        if isinstance(node, Aggregate) and not any(place[: len(outer)] == outer for outer in inside):
            inside.append(place)
            yield node, place


def potentials(estimand: Estimand, path: Path) -> Iterator[tuple[Potential, Path, Aggregate | None]]:
    """Yield the potential outcomes of an estimand with their places and the aggregates around them."""
    around = list(aggregates(estimand, path))
    for node, place in places(estimand.value, (*path, "value")):
        if isinstance(node, Potential):
            outer = next((a for a, where in around if place[: len(where)] == where), None)
            yield node, place, outer


def shape(scope: Scope) -> Findings:
    """HDM506: an estimand is arithmetic over aggregates; no aggregate stands in another."""
    for estimand, path in each(scope):
        outer = list(aggregates(estimand, path))
        if not outer:
            help = f"Write `average over {scope.row} of ...`."
            message = f"The estimand `{estimand.name}` has no aggregate over units."
            yield finding("HDM506", message, path, help)
            continue
        for node, place in places(estimand.value, (*path, "value")):
            inside = any(place[: len(where)] == where for _, where in outer)
            if isinstance(node, Aggregate) and not any(place == where for _, where in outer):
                help = "Give each aggregate an estimand of its own, or combine them by arithmetic."
                yield finding("HDM506", "An aggregate stands inside another.", place, help)
            elif not inside and not isinstance(node, Number) and _is_leaf(node):
                message = f"`{role_text(node)}` stands outside every aggregate."
                yield finding("HDM506", message, place, f"Write `average over {scope.row} of ...` around it.")


def _is_leaf(node: Expr) -> bool:
    return isinstance(node, Ref | Potential | Text | Indexed | Comparison | Logical | Sequence)


def units(scope: Scope) -> Findings:
    """HDM226, 236, 513: an aggregate runs over the outcome's unit or a level above it."""
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            if node.cells:
                continue
            yield from want_level(scope, node.over, (*place, "over"))
            if node.over not in scope.levels:
                continue
            for found, _, outer in potentials(estimand, path):
                own = scope.level_of_variable.get(found.outcome)
                if outer == node and own is not None and not scope.contains(node.over, own):
                    message = f"`{found.outcome}` belongs to {own}, which does not lie in {node.over}."
                    yield finding("HDM513", message, (*place, "over"), f"Write `over {own}`.")
                    break


def index(scope: Scope) -> Findings:
    """HDM226, 236, 505: an estimand's index is of levels above the units of its aggregates."""
    for estimand, path in each(scope):
        for j, level in enumerate(estimand.index):
            place = (*path, "index", j)
            yield from want_level(scope, level, place)
            if level in estimand.index[:j]:
                yield finding("HDM505", f"The index names `{level}` twice.", place)
            for node, _ in aggregates(estimand, path):
                over = scope.row or "" if node.cells else node.over
                below = level in scope.levels and over in scope.levels
                if below and (level == over or not scope.contains(level, over)):
                    message = f"`[{level}]`: {over} does not lie in {level}."
                    upper = sorted(scope.above.get(over, frozenset()))
                    help = f"Levels above {over}: {listed(upper)}." if upper else "Leave the index out."
                    yield finding("HDM505", message, place, help)
                elif node.population and level in scope.levels:
                    message = f"New units of the population belong to no {level} of the data."
                    yield finding("HDM505", message, place, "Leave out the index, or `population`.")


def numbers(scope: Scope) -> Findings:
    """HDM512: a quantile is strictly between 0 and 1, a correlation from -1 to 1."""
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            if node.probability is not None and not 0 < node.probability < 1:
                message = f"`quantile({node.probability:g})`: the number must be above 0 and below 1."
                yield finding("HDM512", message, place, "The median is `quantile(0.5)`.")
            if node.correlation is not None and not -1 <= node.correlation <= 1:
                yield finding("HDM512", f"There is no correlation of {node.correlation:g}.", place, "Give -1 to 1.")


def of_quantiles(scope: Scope) -> Findings:
    """HDM523: a family of quantiles says nothing of the potential outcomes themselves."""
    laws = {item.outcome: item.law.function for item in scope.study.analysis if isinstance(item, Family)}
    for estimand, path in each(scope):
        for node, place, _ in potentials(estimand, path):
            if laws.get(node.outcome) == "quantile":
                message = f"The family of `{node.outcome}` gives some of its quantiles, not its distribution."
                help = "The effects on these quantiles are reported by themselves; for others choose another family."
                yield finding("HDM523", message, place, help)
                break


def settings(scope: Scope) -> Findings:
    """HDM504, 507, 508, 226 to 229: a potential outcome sets treatments of the study to their arms, each once."""
    for estimand, path in each(scope):
        for node, place, _ in potentials(estimand, path):
            if node.outcome not in scope.outcomes:
                yield from _no_outcome(scope, node.outcome, (*place, "outcome"))
            seen: set[str] = set()
            for j, setting in enumerate(node.settings):
                where = (*place, "settings", j)
                if setting.treatment in seen and setting.at is None:
                    message = f"`{setting.treatment}` is set twice in one potential outcome."
                    yield finding("HDM507", message, where, "Leave one out.")
                seen.add(setting.treatment)
                yield from _setting(scope, setting, where)


def _no_outcome(scope: Scope, name: str, path: Path) -> Findings:
    what = scope.described(name)
    help = suggestion(name, scope.outcomes)
    if what is None:
        yield finding("HDM227", f"There is no outcome `{name}`.", path, help)
    else:
        yield finding("HDM504", f"`{name}` is {what}; only outcomes have potential outcomes here.", path, help)


def _setting(scope: Scope, setting: Setting, path: Path) -> Findings:
    name = setting.treatment
    if name not in scope.treatments:
        yield from want_treatment(scope, name, (*path, "treatment"))
        return
    treatment = scope.treatments[name]
    if treatment.dose is None:
        if isinstance(setting.value, Ref):
            yield from want_arm(scope, name, setting.value.name, (*path, "value"))
        else:
            codes = {arm.code: arm.name for arm in treatment.arms}
            value = setting.value.value if isinstance(setting.value, Number | Text) else None
            near = f"Write `{name} = {codes[value]}`." if value in codes else f"Its arms: {listed(codes.values())}."
            message = f"`{name}` is set to `{role_text(setting.value)}`, which is no arm."
            yield finding("HDM229", message, (*path, "value"), near)
    else:
        yield from _dose(scope, name, treatment.dose, setting.value, (*path, "value"))
    yield from _occasions(scope, setting, path)


def _dose(scope: Scope, name: str, kind: str, expr: Expr, path: Path) -> Findings:
    value = constant(expr)
    low = {"positive": 0.0, "proportion": 0.0, "count": 0.0}.get(kind)
    high = 1.0 if kind == "proportion" else None
    wrong = value is not None and ((low is not None and value < low) or (high is not None and value > high))
    whole = kind != "count" or value is None or value == int(value)
    if wrong or not whole:
        yield finding("HDM508", f"`{name}` is {kind}: it cannot be set to {value:g}.", path)
        return
    for node, place in places(expr, path):
        if isinstance(node, Ref):
            yield from value_name(scope, node.name, place)
        elif isinstance(node, Call) and node.function not in MATHS:
            yield from unknown_function(scope, node.function, MATHS, place)


def _occasions(scope: Scope, setting: Setting, path: Path) -> Findings:
    if setting.at is None:
        return
    wave, name = setting.at.wave, setting.treatment
    yield from want_level(scope, wave, (*path, "at", "wave"))
    if wave not in scope.levels:
        return
    if scope.levels[wave].word != "wave":
        yield finding("HDM511", f"`{wave}` is no wave, so it has no occasions.", (*path, "at"))
        return
    to = scope.level_of(name)
    if to in scope.levels and to is not None and not scope.contains(wave, to):
        message = f"`{name}` is assigned to {to} once and for all, not on each {wave}."
        yield finding("HDM511", message, (*path, "at"), f"Leave out `at {wave} ...`.")
    first, last = setting.at.first, setting.at.last
    if isinstance(first, float) and isinstance(last, float) and first > last:
        yield finding("HDM511", "The range of occasions ends before it begins.", (*path, "at"))


def value_name(scope: Scope, name: str, path: Path) -> Findings:
    """HDM227, 236, 237: a name that stands for a number."""
    what = scope.described(name)
    if what is None:
        yield finding("HDM227", f"`{name}` is not declared.", path, suggestion(name, scope.variables))
    elif name in scope.principals or (name in scope.levels and scope.levels[name].word != "wave"):
        yield finding("HDM236", f"`{name}` is {what}; it has no value.", path)
    elif is_labelled(scope, name):
        yield finding("HDM237", f"`{name}` has labels, not numbers.", path, "Compare it with one of its values.")


RULES: tuple[Rule, ...] = (
    shape,
    units,
    index,
    numbers,
    settings,
    of_quantiles,
)
