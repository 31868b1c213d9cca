"""The statements of a `model` block: what each gives a law or a value, and an order in which they can be read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.expr_text import index_text
from hdsl.design.roles import role_text
from hdsl.diagnostics import Diagnostic, did_you_mean
from hdsl.model.derive.terms import NotDerivable


@dataclass(frozen=True)
class Target:
    """A left side: its name and the level of its index, None where it has none; `observed` for outcomes."""

    name: str
    level: str | None
    index: tuple[str, ...] = ()
    observed: bool = False

    @property
    def role(self) -> str:
        """The text by which the parameter is reported."""
        return self.name + index_text(self.index)


@dataclass(frozen=True)
class Statement:
    """A law (of one or more targets) or a definition, with its place among the equations."""

    place: int
    equation: ir.LawStatement | ir.DefinitionStatement
    targets: tuple[Target, ...]

    @property
    def right(self) -> study.Expr:
        """The right side."""
        return self.equation.law if isinstance(self.equation, ir.LawStatement) else self.equation.value

    @property
    def path(self) -> tuple[str | int, ...]:
        """The place in the Study."""
        return ("equations", self.place)

    @property
    def is_law(self) -> bool:
        """Whether this is a law, not a definition."""
        return isinstance(self.equation, ir.LawStatement)


def read(bound: Bound) -> tuple[list[Statement], list[Diagnostic]]:
    """Return the statements whose left sides can stand, and what is wrong with the others."""
    found: list[Statement] = []
    problems: list[Diagnostic] = []
    taken: set[str] = set()
    for place, equation in enumerate(bound.study.equations):
        lefts = equation.targets if isinstance(equation, ir.LawStatement) else (equation.target,)
        try:
            targets = tuple(_target(bound, left, equation) for left in lefts)
            _check_new(targets, taken)
        except NotDerivable as reason:
            problems.append(Diagnostic(reason.code, reason.message, help=reason.help, path=("equations", place)))
            continue
        taken.update(target.name for target in targets)
        found.append(Statement(place, equation, targets))
    return found, problems


def _check_new(targets: tuple[Target, ...], taken: set[str]) -> None:
    seen = set(taken)
    for target in targets:
        if target.name in seen:
            raise NotDerivable("HDM641", f"`{target.name}` has two equations.", "Keep one of the two.")
        seen.add(target.name)


def _target(bound: Bound, left: study.Target, equation: ir.Equation) -> Target:
    if isinstance(left, study.Call):
        raise NotDerivable(
            "HDM643",
            f"`{role_text(left)}` is no name of an equation.",
            "In `model` every parameter has a name of its own: `tau ~ normal(0, 5)`.",
        )
    name = left.name
    index = left.index if isinstance(left, study.Indexed) else ()
    level = level_of_index(bound, name, index) if index else None
    _check_name(bound, name, equation)
    if name in bound.variables:
        own = bound.variables[name].level
        if level not in (None, own):
            raise NotDerivable("HDM644", f"`{name}` belongs to {own}, not to {level}.", f"Write `{name}[{own}]`.")
        return Target(name, own, (own,), observed=True)
    return Target(name, level, index)


def _check_name(bound: Bound, name: str, equation: ir.Equation) -> None:
    variable = bound.variables.get(name)
    if variable is not None and variable.role == "outcome" and isinstance(equation, ir.LawStatement):
        return
    if variable is not None:
        what, help_ = f"the {variable.role} of {variable.level}", "Only outcomes and parameters have laws."
        if variable.role == "outcome":
            help_ = f"An outcome has a law: `{name}[{variable.level}] ~ normal(..., sigma)`."
        raise NotDerivable("HDM643", f"`{name}` is {what}: it has no equation of this kind.", help_)
    for kind, names in (("treatment", set(bound.treatments)), ("level", set(bound.levels))):
        if name in names:
            raise NotDerivable("HDM643", f"`{name}` is a {kind}, not a parameter.", "Give the parameter another name.")


def level_of_index(bound: Bound, name: str, index: tuple[str, ...]) -> str:
    """Return the level that an index names: `[school]`, or `[person, month]` for the unit that crosses them."""
    if len(index) == 1 and index[0] in bound.levels:
        return index[0]
    for level in bound.study.levels:
        if len(index) > 1 and set(level.crosses) == set(index):
            return level.name
    text = f"{name}{index_text(index)}"
    if len(index) > 1 and all(each in bound.levels for each in index):
        crossed = " * ".join(index)
        raise NotDerivable("HDM644", f"`{text}`: no unit crosses these levels.", f"Declare `unit NAME in {crossed}`.")
    unknown = next(each for each in index if each not in bound.levels)
    near = did_you_mean(unknown, bound.levels)
    help_ = f"Did you mean `{near}`?" if near else f"Levels: {', '.join(bound.levels)}."
    raise NotDerivable("HDM644", f"`{text}`: `{unknown}` is not a level.", help_)


def in_order(statements: Iterable[Statement]) -> tuple[list[Statement], list[Diagnostic]]:
    """Return the statements so that each stands after those it uses; a circle is an error (HDM642)."""
    waiting = {statement.place: statement for statement in statements}
    problems: list[Diagnostic] = []
    while True:
        by_name = {t.name: place for place, each in waiting.items() for t in each.targets if not t.observed}
        graph = {place: _needs(each, by_name) for place, each in waiting.items()}
        try:
            order = list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            circle = sorted(set(error.args[1]))
            problems.append(_circle([waiting[place] for place in circle]))
            waiting = {place: each for place, each in waiting.items() if place not in circle}
            continue
        return [waiting[place] for place in order], problems


def _needs(statement: Statement, by_name: Mapping[str, int]) -> list[int]:
    used = study.names(statement.right)
    return [by_name[name] for name in used if name in by_name]


def _circle(circle: list[Statement]) -> Diagnostic:
    names = ", ".join(f"`{target.role}`" for statement in circle for target in statement.targets)
    message = f"{names} depends on itself." if len(circle) == 1 else f"{names} depend on each other in a circle."
    return Diagnostic("HDM642", message, help="Break the circle.", path=circle[0].path)
