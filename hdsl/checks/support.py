"""What the data can tell: constant, collinear and separating variables, and cells without units."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from hdsl.checks.data import DataRule, assigned, at_units, distinct_within
from hdsl.checks.estimands import each, potentials
from hdsl.checks.finding import Findings, Path, finding, listed
from hdsl.checks.numbers import constant
from hdsl.checks.scope import Scope
from hdsl.checks.terms import stated_terms
from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.design.expr import Potential, Ref
from hdsl.design.ir import VaryAcross
from hdsl.design.roles import role_text

FEW = 5
ENOUGH = 10
EXACT = 1e-10


def _plain_terms(scope: Scope, bound: Bound) -> Iterator[tuple[BoundVariable, Path]]:
    """Yield the covariates that are terms by themselves, each once."""
    seen: set[str] = set()
    for expr, path in stated_terms(scope.study):
        if isinstance(expr, Ref) and expr.name in bound.variables and expr.name not in seen:
            seen.add(expr.name)
            yield bound.variables[expr.name], path


def constant_covariate(scope: Scope, bound: Bound) -> Findings:
    """HDM312: what is adjusted for is not the same for all."""
    for variable, path in _plain_terms(scope, bound):
        if _is_constant(variable.values):
            message = f"`{variable.name}` has the same value for each {variable.level}: adjusting for it does nothing."
            yield finding("HDM312", message, path, "Leave it out, or check its column.")


def constant_outcome(scope: Scope, bound: Bound) -> Findings:
    """HDM313: an outcome is not the same for all."""
    for i, level in enumerate(scope.study.levels):
        for j, declared in enumerate(level.variables):
            variable = bound.variables.get(declared.name)
            if variable is not None and declared.role == "outcome" and _is_constant(variable.values):
                message = f"The outcome `{declared.name}` has the same value for each {level.name}."
                help = "Check its column; there is nothing to explain."
                yield finding("HDM313", message, ("levels", i, "variables", j), help)


def _is_constant(values: Reals) -> bool:
    found = values[~np.isnan(values)]
    return bool(found.size > 1 and np.all(found == found[0]))


def no_event(scope: Scope, bound: Bound) -> Findings:
    """HDM319: some durations end in an event."""
    for i, level in enumerate(scope.study.levels):
        for j, declared in enumerate(level.variables):
            variable = bound.variables.get(declared.name)
            if variable is not None and variable.event is not None and not np.any(variable.event == 1):
                message = f"Every `{declared.name}` is censored: no event was seen."
                help = "The column is 1 where a duration was cut off, 0 where its end was seen. Is it turned round?"
                yield finding("HDM319", message, ("levels", i, "variables", j), help)


def collinear(scope: Scope, bound: Bound) -> Findings:
    """HDM314: no covariate is a combination of treatments and covariates before it."""
    columns: list[tuple[str, Reals]] = []
    for treatment in bound.treatments.values():
        columns += _columns(bound, treatment.name, treatment.level, treatment.values, len(treatment.arms))
    where: dict[str, Path] = {}
    for variable, path in _plain_terms(scope, bound):
        if not _is_constant(variable.values) and not np.isnan(variable.values).any():
            where[variable.name] = path
            columns += _columns(bound, variable.name, variable.level, variable.values, len(variable.labels))
    reported: set[str] = set()
    for name, others in _dependent(columns, bound):
        if name in where and name not in reported:
            reported.add(name)
            message = f"`{name}` is an exact combination of {listed(others)}: their effects cannot be told apart."
            yield finding("HDM314", message, where[name], "Leave one of them out.")


def _columns(bound: Bound, name: str, level: str, values: Reals, labels: int) -> list[tuple[str, Reals]]:
    rows = np.asarray(bound.at_rows(level, values), np.float64)
    if labels == 0:
        return [(name, rows)]
    return [(name, (rows == code).astype(np.float64)) for code in range(1, labels)]


def _dependent(columns: list[tuple[str, Reals]], bound: Bound) -> Iterator[tuple[str, list[str]]]:
    """Yield each column that depends linearly on those before it, with the names of these."""
    kept: list[tuple[str, Reals]] = []
    root = 1.0 if bound.frequency is None else np.sqrt(bound.frequency)
    for name, values in columns:
        centred = (values - bound.mean(values)) * root
        size = float(np.sqrt(centred @ centred))
        if size <= EXACT * max(1.0, float(np.abs(values).max(initial=0.0))):
            continue
        unit = centred / size
        if kept:
            basis = np.column_stack([column for _, column in kept])
            weights = np.linalg.solve(basis.T @ basis, basis.T @ unit)
            rest = unit - basis @ weights
            if float(rest @ rest) < EXACT:
                yield name, list(dict.fromkeys(n for (n, _), w in zip(kept, weights, strict=True) if abs(w) > 1e-6))
                continue
        kept.append((name, unit))


def separated(scope: Scope, bound: Bound) -> Findings:
    """HDM315: no covariate tells for every unit which arm it has."""
    for assignment, path in assigned(scope, bound):
        treatment = bound.treatments[assignment.treatment]
        size = float(bound.units(assignment.to).sum())
        if treatment.continuous or size < ENOUGH or assignment.mechanism.name == "rule":
            continue
        for variable in bound.variables.values():
            if variable.role != "covariate" or not scope.contains(variable.level, assignment.to):
                continue
            if variable.name in bound.measures:
                continue
            if _separates(at_units(bound, assignment.to, variable.level, variable.values), treatment.values):
                message = f"`{variable.name}` tells exactly which {assignment.to} has which arm of `{treatment.name}`."
                help = "No like units can be compared. If it decided the treatment, declare `rule(x, cutoff)`."
                yield finding("HDM315", message, path, help)


def _separates(x: Reals, arms: Reals) -> bool:
    """Return whether the values of the arms do not overlap, each arm having at least two units."""
    present, counts = np.unique(arms, return_counts=True)
    if len(present) < 2 or counts.min() < 2 or np.isnan(x).any():
        return False
    ranges = sorted((float(x[arms == arm].min()), float(x[arms == arm].max())) for arm in present)
    return all(a[1] < b[0] for a, b in pairwise(ranges))


def contrast_within_groups(scope: Scope, bound: Bound) -> Findings:
    """HDM311, HDM406: the groups across which an effect varies show more than one arm."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, VaryAcross) or not isinstance(item.effect, Ref):
            continue
        name = item.effect.name
        found = bound.treatments.get(name) or bound.variables.get(name)
        for j, group in enumerate(item.across):
            if found is None or group not in bound.levels or np.isnan(found.values).any():
                continue
            level, rows = bound.levels[group], np.asarray(bound.at_rows(found.level, found.values), np.float64)
            many = int(np.sum(distinct_within(level.rows, rows, level.size) > 1))
            path: Path = ("analysis", i, "across", j)
            if many == 0:
                message = f"No {group} has more than one value of `{name}`: its effect cannot vary across {group}."
                yield finding("HDM406", message, path, "Leave the line out.")
            elif many < min(FEW, level.size):
                message = f"Only {many} of {level.size} units of {group} have more than one value of `{name}`."
                yield finding("HDM311", message, path, "How the effect varies rests mostly on its prior.")


def cell_without_units(scope: Scope, bound: Bound) -> Findings:
    """HDM501: some unit in the data has the combination of arms that an estimand sets."""
    for estimand, path in each(scope):
        seen: set[tuple[tuple[str, str], ...]] = set()
        for node, place, _ in potentials(estimand, path):
            arms = _arms_set(bound, node)
            if len(arms) < 2 or arms in seen:
                continue
            seen.add(arms)
            rows = np.ones(bound.rows, np.bool_)
            for name, arm in arms:
                treatment = bound.treatments[name]
                rows &= bound.at_rows(treatment.level, treatment.values) == treatment.arms.index(arm)
            if not rows.any():
                cell = ", ".join(f"{name} = {arm}" for name, arm in arms)
                message = f"No {bound.row} in the data has {cell}."
                help = "What would have happened there is not known from these data; set another combination."
                yield finding("HDM501", message, place, help)


def _arms_set(bound: Bound, node: Potential) -> tuple[tuple[str, str], ...]:
    """Return the arms that are set together; a history sets one treatment to several, on different occasions."""
    found: set[tuple[str, str]] = set()
    for setting in node.settings:
        if setting.at is not None and sum(other.treatment == setting.treatment for other in node.settings) > 1:
            continue
        treatment = bound.treatments.get(setting.treatment)
        if treatment is not None and isinstance(setting.value, Ref) and setting.value.name in treatment.arms:
            found.add((setting.treatment, setting.value.name))
    return tuple(sorted(found))


def dose_beyond_data(scope: Scope, bound: Bound) -> Findings:
    """HDM517: a dose is set to a value within the range of the data."""
    for estimand, path in each(scope):
        for node, place, _ in potentials(estimand, path):
            for j, setting in enumerate(node.settings):
                treatment, value = bound.treatments.get(setting.treatment), constant(setting.value)
                if treatment is None or not treatment.continuous or value is None or treatment.name in bound.measures:
                    continue
                low, high = float(np.nanmin(treatment.values)), float(np.nanmax(treatment.values))
                if not low <= value <= high:
                    message = f"`{treatment.name} = {value:g}` lies outside the doses in the data, {low:g} to {high:g}."
                    help = "The answer there rests on the form of the model alone."
                    yield finding("HDM517", message, (*place, "settings", j), help)


def effect_of_term(scope: Scope, bound: Bound) -> Findings:
    """HDM312: a covariate whose effect varies is not the same for all."""
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, VaryAcross) and isinstance(item.effect, Ref):
            variable = bound.variables.get(item.effect.name)
            if variable is not None and _is_constant(variable.values):
                message = f"`{role_text(item.effect)}` is the same for each {variable.level}: it has no effect to vary."
                yield finding("HDM312", message, ("analysis", i, "effect"), "Leave the line out.")


RULES: tuple[DataRule, ...] = (
    constant_outcome,
    constant_covariate,
    effect_of_term,
    no_event,
    collinear,
    separated,
    contrast_within_groups,
    cell_without_units,
    dose_beyond_data,
)
