"""Levels and their variables: nesting, crossing, and kinds that fit their roles."""

from __future__ import annotations

from hdsl.checks.finding import Findings, Path, Rule, finding
from hdsl.checks.scope import Scope
from hdsl.design import ir
from hdsl.design.expr import Negative, Number

WEIGHT_KINDS = ("real", "positive", "proportion", "count")
COMPANIONS = (("trials", "of", "count"), ("known_sd", "known sd", "real"), ("censored_by", "censored by", "duration"))
EXPOSURE_KINDS = ("real", "positive", "count")


def nested_in_itself(scope: Scope) -> Findings:
    """HDM235: no level lies in itself, directly or through others."""
    for i, level in enumerate(scope.study.levels):
        loop = [upper for upper in level.above if upper == level.name or _lies_in(scope, upper, level.name)]
        if loop:
            through = "" if level.name in loop else f" through {loop[0]}"
            message = f"`{level.name}` lies in itself{through}."
            yield finding("HDM235", message, ("levels", i), "Name the larger level after `in`.")


def _lies_in(scope: Scope, lower: str, upper: str) -> bool:
    return upper in scope.above.get(lower, frozenset())


def crossing(scope: Scope) -> Findings:
    """HDM244: `A * B` crosses two levels of which neither lies in the other."""
    for i, level in enumerate(scope.study.levels):
        factors = level.crosses
        for j, one in enumerate(factors):
            for other in factors[j + 1 :]:
                if one == other:
                    message = f"`{level.name}` crosses {one} with itself."
                elif _lies_in(scope, one, other) or _lies_in(scope, other, one):
                    inner, outer = (one, other) if _lies_in(scope, one, other) else (other, one)
                    message = f"`{level.name}` crosses {one} with {other}, but each {inner} lies in one {outer}."
                else:
                    continue
                help = "Crossed levels meet in many combinations; a level that lies in another is nested: `in`."
                yield finding("HDM244", message, ("levels", i, "crosses", j), help)


def rows_outside_group(scope: Scope) -> Findings:
    """HDM268: every group and wave is one to which the rows belong."""
    unclear = any(name not in scope.levels for level in scope.study.levels for name in level.above)
    if scope.row is None or unclear:
        return
    named = {name for a in scope.study.assignments for name in (a.to, *a.within)}
    for i, level in enumerate(scope.study.levels):
        if level.name not in named and not scope.contains(level.name, scope.row):
            message = f"The study does not say that {scope.row} lies in {level.name}."
            yield finding("HDM268", message, ("levels", i), f"Write `in {level.name}`, or leave {level.name} out.")


def kinds_fit_roles(scope: Scope) -> Findings:
    """HDM245: a variable's kind is one that its role can have."""
    for i, level in enumerate(scope.study.levels):
        for j, variable in enumerate(level.variables):
            yield from _kind(variable, ("levels", i, "variables", j))


def _kind(variable: ir.Variable, path: Path) -> Findings:
    name, role, kind = variable.name, variable.role, variable.kind
    if variable.missing and role != "covariate":
        help = "Only gaps of covariates are modelled; rows without the outcome are dropped and counted."
        yield finding("HDM245", f"`{name}` is `missing`, but not a covariate.", path, help)
    if role != "outcome" and (kind.trials is not None or kind.known_sd is not None or kind.censored_by is not None):
        said = "of" if kind.trials is not None else "known sd" if kind.known_sd is not None else "censored by"
        message = f"`{name}` is {_a(role)}; `{said}` belongs to outcomes."
        yield finding("HDM245", message, (*path, "kind"), "Declare it by its plain kind.")
    if role == "weight" and kind.name not in WEIGHT_KINDS:
        yield finding("HDM245", f"The weight `{name}` cannot be {kind.name}.", (*path, "kind"), "Write `positive`.")
    if role == "exposure" and kind.name not in EXPOSURE_KINDS:
        yield finding("HDM245", f"The exposure `{name}` cannot be {kind.name}.", (*path, "kind"), "Write `positive`.")
    yield from _companions(name, kind, (*path, "kind"))


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _companions(name: str, kind: ir.Kind, path: Path) -> Findings:
    stated = (kind.trials, kind.known_sd, kind.censored_by)
    for value, (field, said, only) in zip(stated, COMPANIONS, strict=True):
        if value is not None and kind.name != only:
            message = f"`{name}` is {kind.name}; `{said}` belongs to the kind {only}."
            yield finding("HDM245", message, (*path, field), f"Declare it as `{only} {said} ...`.")
    if isinstance(kind.trials, Negative) or (isinstance(kind.trials, Number) and not _whole(kind.trials.value)):
        yield finding("HDM245", f"The number of trials of `{name}` must be 1, 2, 3, ...", (*path, "trials"))
    if isinstance(kind.known_sd, Negative) or kind.known_sd == Number(value=0):
        yield finding("HDM245", f"The known sd of `{name}` must be positive.", (*path, "known_sd"))


def _whole(value: float) -> bool:
    return value >= 1 and value == int(value)


RULES: tuple[Rule, ...] = (nested_in_itself, crossing, rows_outside_group, kinds_fit_roles)
