"""The design in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.roles import role_text


def design_words(design: ir.StudyFields, bound: Bound | None) -> list[str]:
    """Return sentences about levels, treatments and assignments, with sizes where the data are bound."""
    return [*_levels(design, bound), *_treatments(design, bound), *_assignments(design)]


def _levels(design: ir.StudyFields, bound: Bound | None) -> Iterator[str]:
    for level in design.levels:
        known = bound is not None and level.name in bound.levels
        size = f" ({bound.levels[level.name].size})" if bound is not None and known else ""
        inside = f", in {', '.join(level.parents)}" if level.parents else ""
        crossed = f", one for each {' and '.join(level.crosses)}" if level.crosses else ""
        joined = f", from {level.file}" if level.file else ""
        measured = ", ".join(f"{variable.role} {variable.name}" for variable in level.variables)
        yield f"{level.name}{size}{inside}{crossed}{joined}" + (f": {measured}" if measured else "")


def _treatments(design: ir.StudyFields, bound: Bound | None) -> Iterator[str]:
    for treatment in design.treatments:
        if treatment.arms:
            arms = ", ".join(_arm(arm.name, place, treatment.name, bound) for place, arm in enumerate(treatment.arms))
            order = " (ordered arms, each compared with the first)" if treatment.ordered else ""
            yield f"treatment {treatment.name}: {arms}{order}"
        else:
            unit = f" in {treatment.measured_in}" if treatment.measured_in else ""
            yield f"treatment {treatment.name}: a dose{unit}"


def _arm(name: str, place: int, treatment: str, bound: Bound | None) -> str:
    reference = ", the reference" if place == 0 else ""
    if bound is None or treatment not in bound.treatments:
        return f"{name}{f' ({reference[2:]})' if reference else ''}"
    found = bound.treatments[treatment]
    count = round(float(bound.units(found.level)[found.values == place].sum()))
    return f"{name} ({count} {found.level}{reference})"


def _assignments(design: ir.StudyFields) -> Iterator[str]:
    for assignment in design.assignments:
        within = f" within each {' and '.join(assignment.within)}" if assignment.within else ""
        condition = assignment.condition
        where = f", where {condition.treatment} is {condition.arm}" if condition is not None else ""
        how = assigned_how(assignment.mechanism)
        yield f"{assignment.treatment} was assigned to each {assignment.to}{within}{where}, {how}"


def assigned_briefly(design: ir.StudyFields) -> list[str]:
    """Return for each assignment what was assigned to which level, within which blocks."""
    found: list[str] = []
    for assignment in design.assignments:
        within = f" within {' and '.join(assignment.within)}" if assignment.within else ""
        where = f" if {assignment.condition.treatment} is {assignment.condition.arm}" if assignment.condition else ""
        found.append(f"{assignment.treatment} to each {assignment.to}{within}{where} by {assignment.mechanism.name}")
    return found


def assigned_how(mechanism: ir.Mechanism) -> str:
    """Return a mechanism of assignment in words."""
    given = ", ".join(role_text(term) for term in mechanism.given)
    match mechanism.name:
        case "complete":
            return "completely at random" + _share(mechanism.probability)
        case "bernoulli":
            return "by independent draws" + _share(mechanism.probability)
        case "ignorable":
            return f"not at random: ignorable given {given}" if given else "not at random: ignorable given nothing"
        case "rule":
            return f"by a rule: {given} against {mechanism.cutoff:g}" if mechanism.cutoff is not None else "by a rule"


def _share(probability: study.Expr | None) -> str:
    return "" if probability is None else f" with probability {role_text(probability)}"


def heading_of(bound: Bound) -> str:
    """Return the two lines that head a result: the study, and its sizes with what was assigned to what."""
    study = bound.study
    title = f"{study.name}: {study.title}" if study.title else study.name
    known = {name: level.size for name, level in bound.levels.items()} | {bound.row: round(bound.total)}
    sizes = ", ".join(f"{name}: {size:,}" for name, size in known.items())
    return f"{title}\n{'; '.join([sizes, *assigned_briefly(study)])}"
