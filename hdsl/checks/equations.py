"""Explicit equations: every name has a law or a definition, once, with the index it is used with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from hdsl.checks.elsewhere import suggested_law
from hdsl.checks.finding import (
    Findings,
    Path,
    Rule,
    finding,
    listed,
    outside_lag,
    places,
    suggestion,
    want_arm,
    want_level,
)
from hdsl.checks.scope import Scope
from hdsl.checks.terms import unknown_function
from hdsl.design.expr import Call, Expr, Indexed, Ref, Text, names
from hdsl.design.ir import DefinitionStatement, LawStatement
from hdsl.design.roles import role_text
from hdsl.model.equations.laws import LAW_NAMES
from hdsl.model.equations.placed import FUNCTIONS
from hdsl.model.equations.translate import OF_DATA

CALLS = (*FUNCTIONS, "min", "max", *OF_DATA)


@dataclass(frozen=True)
class _Parameter:
    """A name with a law or definition: where it is, and its index."""

    path: Path
    index: tuple[str, ...]


@dataclass(frozen=True)
class _Equations:
    """The parameters that the equations of a study give a law or definition."""

    scope: Scope

    @cached_property
    def parameters(self) -> Mapping[str, _Parameter]:
        """The parameters by name; of two the first counts."""
        found: dict[str, _Parameter] = {}
        for target, path in targets_of(self.scope):
            name, index = _named(target)
            if name is not None:
                found.setdefault(name, _Parameter(path, index))
        return found


def targets_of(scope: Scope) -> Iterator[tuple[Expr, Path]]:
    """Yield the left-hand sides of the equations with their places."""
    for i, equation in enumerate(scope.study.equations):
        match equation:
            case LawStatement(targets=targets):
                yield from ((target, ("equations", i, "targets", j)) for j, target in enumerate(targets))
            case DefinitionStatement(target=target):
                yield target, ("equations", i, "target")


def _right_sides(scope: Scope) -> Iterator[tuple[Expr, Path]]:
    for i, equation in enumerate(scope.study.equations):
        match equation:
            case LawStatement(law=law):
                yield law, ("equations", i, "law")
            case DefinitionStatement(value=value):
                yield value, ("equations", i, "value")


def _named(target: Expr) -> tuple[str | None, tuple[str, ...]]:
    match target:
        case Ref(name=name):
            return name, ()
        case Indexed(name=name, index=index):
            return name, index
        case _:
            return None, ()


def left_sides(scope: Scope) -> Findings:
    """HDM226, 236, 250, 257: a left side is a name, perhaps with levels in brackets, and has one equation."""
    seen: set[str] = set()
    for target, path in targets_of(scope):
        name, index = _named(target)
        if name is None:
            help = "Write `NAME ~ ...`, `NAME[level] ~ ...` or `NAME = ...`."
            yield finding("HDM257", f"`{role_text(target)}` is no name to give a law to.", path, help)
            continue
        for j, level in enumerate(index):
            yield from want_level(scope, level, (*path, "index", j))
        if name in seen:
            yield finding("HDM250", f"`{name}` has two equations.", path, "Keep one of the two.")
        elif name not in scope.outcomes and scope.described(name) is not None:
            message = f"`{name}` is {scope.described(name)}: only outcomes and parameters have equations."
            yield finding("HDM256", message, path, "Give the parameter another name.")
        seen.add(name)


def right_sides(scope: Scope) -> Findings:
    """HDM226, 227, 236, 246, 253, 274: no name is born on a right-hand side."""
    equations = _Equations(scope)
    for expr, path in _right_sides(scope):
        if isinstance(expr, Call) and path[-1] == "law" and expr.function not in LAW_NAMES:
            help = suggested_law(expr.function, LAW_NAMES)
            yield finding("HDM274", f"There is no law `{expr.function}`.", path, help)
        for node, place in places(expr, path):
            yield from _right(scope, equations, node, place, expr)


def _right(scope: Scope, equations: _Equations, node: Expr, path: Path, whole: Expr) -> Findings:
    match node:
        case Ref(name=name):
            yield from _reference(scope, equations, name, (), path)
        case Indexed(name=name, index=index):
            yield from _reference(scope, equations, name, index, path)
        case Call(function=function) if node is not whole and function not in CALLS:
            yield from unknown_function(scope, function, CALLS, path)
        case Text():
            yield finding("HDM247", "A text cannot stand in an equation.", path)
        case _:
            return


def _reference(scope: Scope, equations: _Equations, name: str, index: tuple[str, ...], path: Path) -> Findings:
    if name in equations.parameters and name not in scope.variables:
        yield from _of_parameter(scope, equations.parameters[name], name, index, path)
        return
    if name in scope.variables or name in scope.treatments or name in _companions(scope):
        if scope.arms(name) and index and index[0] not in (*scope.arms(name), *scope.levels):
            yield from want_arm(scope, name, index[0], (*path, "index", 0))
        return
    if name in scope.levels:
        if scope.levels[name].word != "wave" and path[-2:-1] != ("args",):
            yield finding("HDM236", f"`{name}` is {scope.described(name)}; it has no value.", path)
        return
    candidates = (*equations.parameters, *scope.variables, *scope.treatments)
    help = suggestion(name, candidates)
    if "Did you mean" not in help:
        help = f"Give it a law, `{name} ~ normal(0, 1)`, or declare it as a covariate."
    yield finding("HDM227", f"`{name}` has no law and is not declared.", path, help)


def _of_parameter(scope: Scope, parameter: _Parameter, name: str, index: tuple[str, ...], path: Path) -> Findings:
    unknown = [finding for j, level in enumerate(index) for finding in want_level(scope, level, (*path, "index", j))]
    yield from unknown
    declared = parameter.index
    crossed = (
        len(index) == 1
        and len(declared) > 1
        and index[0] in scope.levels
        and set(scope.levels[index[0]].crosses) == set(declared)
    )
    if unknown or set(index) == set(declared) or crossed:
        return
    shown = f"{name}[{', '.join(declared)}]" if declared else name
    message = f"`{name}` has {'one value per ' + ' and '.join(declared) if declared else 'no index'}."
    yield finding("HDM253", message, path, f"Write `{shown}`.")


def _companions(scope: Scope) -> frozenset[str]:
    """Return the columns that outcomes name as their trials or known sd."""
    kinds = [variable.kind for variable in scope.outcomes.values()]
    stated = [expr for kind in kinds for expr in (kind.trials, kind.known_sd) if expr is not None]
    return frozenset(name for expr in stated for name in names(expr))


def circular(scope: Scope) -> Findings:
    """HDM254: no name is defined by itself."""
    needs: dict[str, set[str]] = {}
    where: dict[str, Path] = {}
    for i, equation in enumerate(scope.study.equations):
        sides: tuple[Expr, ...]
        if isinstance(equation, LawStatement):
            sides, value = equation.targets, equation.law
        else:
            sides, value = (equation.target,), equation.value
        for target in sides:
            name, _ = _named(target)
            if name is not None:
                needs.setdefault(name, set()).update(found for found, _ in outside_lag(value, ()))
                where.setdefault(name, ("equations", i))
    reported: set[Path] = set()
    for name, path in where.items():
        if path not in reported and _reaches(needs, name):
            reported.add(path)
            yield finding("HDM254", f"`{name}` depends on itself.", path, "Break the circle.")


def _reaches(needs: Mapping[str, set[str]], goal: str) -> bool:
    seen: set[str] = set()
    waiting = list(needs.get(goal, ()))
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += needs.get(name, ())
    return False


def outcome_without_law(scope: Scope) -> Findings:
    """HDM255: an explicit model has a law for each outcome."""
    if scope.is_derived():
        return
    laws = {
        _named(target)[0]
        for equation in scope.study.equations
        if isinstance(equation, LawStatement)
        for target in equation.targets
    }
    for i, level in enumerate(scope.study.levels):
        for j, variable in enumerate(level.variables):
            if variable.role == "outcome" and variable.name not in laws:
                help = f"Write `{variable.name}[{level.name}] ~ normal(..., sigma)`."
                message = f"The model has no law for the outcome `{variable.name}`."
                yield finding("HDM255", message, ("levels", i, "variables", j), help)


def unused_parameters(scope: Scope) -> Findings:
    """HDM252: a parameter with a law is used in some equation."""
    used = {name for expr, _ in _right_sides(scope) for name in names(expr)}
    for name, parameter in _Equations(scope).parameters.items():
        if name not in used and name not in scope.outcomes and scope.described(name) is None:
            message = f"`{name}` is used in no equation."
            yield finding("HDM252", message, parameter.path, "Use it or leave it out.")


def levels_of_outcome_law(scope: Scope) -> Findings:
    """HDM253: the law of an outcome is indexed by the outcome's own level, or not at all."""
    for target, path in targets_of(scope):
        name, index = _named(target)
        if name is not None and name in scope.outcomes and index not in ((), (scope.level_of_variable[name],)):
            own = scope.level_of_variable[name]
            message = f"`{name}` belongs to {own}, not to {listed(index)}."
            yield finding("HDM253", message, path, f"Write `{name}[{own}]`.")


RULES: tuple[Rule, ...] = (
    left_sides,
    right_sides,
    circular,
    outcome_without_law,
    unused_parameters,
    levels_of_outcome_law,
)
