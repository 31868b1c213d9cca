"""The linear predictor: coefficients that may vary across levels, times columns, summed over levels.

The predictor is kept as parts by level and added up from the top down, so that what is constant within a
group is computed once per group (the paper's form: a cluster treatment predicts the cluster's intercept).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hdsl.model.derive.draft import Draft
from hdsl.model.ir import Expr, add, const


@dataclass(frozen=True)
class Total:
    """The sum of parts: an expression at a level (None: a scalar), and the running totals by level.

    `full` tells whether the named totals contain the constant (their levels are nested in one chain), or are
    centred at zero beside it (crossed levels).
    """

    value: Expr
    level: str | None
    totals: Mapping[str, Expr]
    full: bool


@dataclass
class Parts:
    """Summands by level; level None holds what is the same for all."""

    by_level: dict[str | None, list[Expr]] = field(default_factory=dict)

    def put(self, level: str | None, value: Expr) -> None:
        """Add a summand."""
        self.by_level.setdefault(level, []).append(value)

    def levels(self) -> list[str]:
        """Return the levels that have summands."""
        return [level for level in self.by_level if level is not None]


def is_chain(draft: Draft, levels: list[str]) -> bool:
    """Return whether of any two levels one lies within the other."""
    bound = draft.bound
    return all(bound.nests(a, b) or bound.nests(b, a) for i, a in enumerate(levels) for b in levels[i + 1 :])


def from_top(draft: Draft, levels: list[str]) -> list[str]:
    """Return the levels with the largest units first; among equals, the order of declaration."""
    order = list(draft.bound.levels)
    return sorted(levels, key=lambda level: (draft.bound.levels[level].size, order.index(level)))


def total(draft: Draft, parts: Parts, name: str, named: Mapping[str, str], at: str | None = None) -> Total:
    """Add up the parts.

    Parameters
    ----------
    name : str
        What is summed, for the names of the definitions.
    named : mapping
        The role of the running total of a level, for the levels whose totals are to be named.
    at : str or None
        The level at which the sum is wanted; None: the lowest level that has parts.
    """
    levels = from_top(draft, parts.levels())
    constant = add(*parts.by_level.get(None, [const(0)]))
    owners = [level for level in levels if level in named]
    chain = is_chain(draft, owners or levels)
    goal = at or (draft.join(*levels) if levels else None)
    running: dict[str, list[Expr]] = {level: list(parts.by_level[level]) for level in levels}
    totals: dict[str, Expr] = {}
    rest: list[Expr] = []
    if chain and levels:
        top = levels if is_chain(draft, levels) else owners
        running[top[0]].insert(0, constant)
    else:
        rest.append(constant)
    for place, level in enumerate(levels):
        value = add(*running[level])
        if level in named:
            value = draft.define(f"{name} {level}", value, role=named[level])
        totals[level] = value
        below = _target(draft, levels[place + 1 :], level)
        if below is not None:
            running[below].insert(0, draft.at(value, level, below))
        elif goal is None or level == goal:
            rest.append(value)
        else:
            rest.append(draft.at(value, level, goal))
    return Total(add(*rest), goal, totals, chain)


def _target(draft: Draft, lower: list[str], level: str) -> str | None:
    """Return the next level into which a level's total goes: only if those within it form one chain."""
    within = [other for other in lower if draft.bound.nests(other, level)]
    if not within or not is_chain(draft, within):
        return None
    return within[0]
