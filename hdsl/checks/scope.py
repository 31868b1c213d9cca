"""What a study declares, by name, and what its levels have to do with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hdsl.design.expr import Expr, names
from hdsl.design.ir import Assignment, Level, Principal, StudyFields, Treatment, Variable
from hdsl.design.levels import ancestors


@dataclass(frozen=True)
class Scope:
    """A study with its declarations by name; of two declarations of a name the first counts."""

    study: StudyFields

    @cached_property
    def levels(self) -> Mapping[str, Level]:
        """The levels by name."""
        return {level.name: level for level in reversed(self.study.levels)}

    @cached_property
    def variables(self) -> Mapping[str, Variable]:
        """The variables by name."""
        return {v.name: v for level in reversed(self.study.levels) for v in reversed(level.variables)}

    @cached_property
    def level_of_variable(self) -> Mapping[str, str]:
        """The name of the level of each variable."""
        return {v.name: level.name for level in reversed(self.study.levels) for v in level.variables}

    @cached_property
    def treatments(self) -> Mapping[str, Treatment]:
        """The treatments by name."""
        return {treatment.name: treatment for treatment in reversed(self.study.treatments)}

    @cached_property
    def principals(self) -> Mapping[str, Principal]:
        """The principal stratifications by name."""
        return {principal.name: principal for principal in reversed(self.study.principals)}

    @cached_property
    def outcomes(self) -> Mapping[str, Variable]:
        """The outcomes by name."""
        return {name: v for name, v in self.variables.items() if v.role == "outcome"}

    @cached_property
    def row(self) -> str | None:
        """The level whose units are the rows of the table: the last unit; None where there is no unit."""
        units = [level.name for level in self.study.levels if level.word == "unit"]
        return units[-1] if units else None

    @cached_property
    def above(self) -> Mapping[str, frozenset[str]]:
        """The levels above each level, through nesting and crossing."""
        return {name: frozenset(ancestors(self.study, name)) for name in self.levels}

    def contains(self, upper: str, lower: str) -> bool:
        """Return whether each unit of `lower` lies in one unit of `upper`, or they are the same level."""
        return upper == lower or upper in self.above.get(lower, frozenset())

    def assignments(self, treatment: str) -> tuple[Assignment, ...]:
        """Return the assignments of a treatment."""
        return tuple(a for a in self.study.assignments if a.treatment == treatment)

    def level_of(self, name: str) -> str | None:
        """Return the level at which a variable, an assigned treatment or a wave has its values."""
        if name in self.level_of_variable:
            return self.level_of_variable[name]
        if name in self.treatments:
            assigned = self.assignments(name)
            return assigned[0].to if assigned else self.row
        return name if name in self.levels else None

    def levels_of(self, expr: Expr) -> frozenset[str]:
        """Return the levels of the variables, treatments and waves that an expression names."""
        found = (self.level_of(name) for name in names(expr))
        return frozenset(level for level in found if level is not None)

    def described(self, name: str) -> str | None:
        """Return what a name stands for, as in `a covariate of school`; None for an unknown name."""
        if name in self.levels:
            return f"a {self.levels[name].word}"
        if name in self.variables:
            role = self.variables[name].role
            return f"{'an' if role[0] in 'aeiou' else 'a'} {role} of {self.level_of_variable[name]}"
        if name in self.treatments:
            return "a treatment"
        return "a principal stratification" if name in self.principals else None

    def arms(self, treatment: str) -> tuple[str, ...]:
        """Return the names of the arms of a treatment, none for a dose."""
        found = self.treatments.get(treatment)
        return () if found is None else tuple(arm.name for arm in found.arms)

    def is_derived(self) -> bool:
        """Return whether the model is derived from the design, not written as equations."""
        return not self.study.equations
