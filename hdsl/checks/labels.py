"""Labels as they are written in the data."""

from __future__ import annotations

from collections.abc import Iterable

from hdsl.checks.data import DataRule
from hdsl.checks.finding import Findings, finding, listed
from hdsl.checks.scope import Scope
from hdsl.data.bound import Bound


def alike(scope: Scope, bound: Bound) -> Findings:
    """HDM323: no two labels of a category, and no two ids of a level, differ in capital letters only."""
    help = "They count as different. Write them alike in the data if they are the same."
    for i, level in enumerate(scope.study.levels):
        if level.name != bound.row and level.name in bound.levels:
            for several in _alike(bound.levels[level.name].labels):
                message = f"Units of {level.name} differ in capital letters only: {listed(several)}."
                yield finding("HDM323", message, ("levels", i), help)
        for j, declared in enumerate(level.variables):
            variable = bound.variables.get(declared.name)
            for several in _alike(variable.labels if variable is not None else ()):
                message = f"Values of `{declared.name}` differ in capital letters only: {listed(several)}."
                yield finding("HDM323", message, ("levels", i, "variables", j), help)


def _alike(labels: Iterable[str]) -> list[list[str]]:
    """Return the first labels that are alike but for their capitals, none where there are none."""
    folded: dict[str, list[str]] = {}
    for label in labels:
        folded.setdefault(label.casefold(), []).append(label)
    return [several for several in folded.values() if len(several) > 1][:1]


RULES: tuple[DataRule, ...] = (alike,)
