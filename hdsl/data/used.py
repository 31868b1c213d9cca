"""Which variables an analysis uses: rows are dropped only for gaps in these."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from hdsl.design import expr as study
from hdsl.design import ir

ROLES_ALWAYS_USED = ("outcome", "weight", "exposure")


def used_names(design: ir.StudyFields) -> frozenset[str]:
    """Return every name that the analysis, the assignments, the equations or the estimands refer to."""
    found: set[str] = set()
    for part in (*design.analysis, *design.equations, *design.estimands, *design.assignments):
        found.update(_names(part))
    for principal in design.principals:
        found.update((principal.intermediate, principal.treatment))
    found.update(treatment.name for treatment in design.treatments)
    for level in design.levels:
        found.update(v.name for v in level.variables if v.role in ROLES_ALWAYS_USED)
    return frozenset(found)


def _names(value: object) -> Iterator[str]:
    match value:
        case study.Ref(name=name) | study.Indexed(name=name):
            yield name
        case str():
            yield value
        case BaseModel():
            for field in type(value).model_fields:
                yield from _names(getattr(value, field))
        case tuple():
            for item in value:
                yield from _names(item)
        case _:
            return
