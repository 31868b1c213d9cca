"""Propensity scores: of what, on what they depend, and for which estimands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hdsl.checks.data import DataRule
from hdsl.checks.estimands import aggregates, each
from hdsl.checks.finding import Findings, Path, Rule, finding
from hdsl.checks.scope import Scope
from hdsl.data.bound import Bound
from hdsl.design import ir
from hdsl.design.expr import names
from hdsl.model.derive.calibration import calibration

CODE = "HDM431"
MOST_STRATA = 20


def _statements(scope: Scope) -> Iterator[tuple[ir.Propensity, Path]]:
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.Propensity) and item.treatment in scope.treatments:
            yield item, ("analysis", i)


def _weighted(scope: Scope) -> Iterator[tuple[ir.Propensity, Path]]:
    return ((item, path) for item, path in _statements(scope) if item.use == "weight")


def _without_weights(name: str) -> str:
    return f"Write `propensity for {name} ... as covariate`, or `as strata(5)`."


def of_what(scope: Scope) -> Findings:
    """HDM431: a propensity score is of a treatment with two arms, and depends on something."""
    for item, path in _statements(scope):
        name, arms = item.treatment, scope.treatments[item.treatment].arms
        if len(arms) != 2:
            what = f"has {len(arms)} arms" if arms else "is a dose"
            message = f"`{name}` {what}: its propensity is no single number."
            yield finding(CODE, message, (*path, "treatment"), "Adjust for the covariates themselves.")
        given = [term for assignment in scope.assignments(name) for term in assignment.mechanism.given]
        if not item.terms and not given and item.across is None:
            help = f"Write `propensity for {name} with x, ...`."
            yield finding(CODE, f"Nothing is said on which the propensity of `{name}` depends.", path, help)
        for j, term in enumerate(item.terms):
            if name in names(term):
                message = f"`{name}` cannot stand in its own propensity."
                yield finding(CODE, message, (*path, "terms", j), "Name covariates.")


def how_many_strata(scope: Scope) -> Findings:
    """HDM431: there are 2 to 20 strata."""
    for item, path in _statements(scope):
        if item.strata is not None and not 2 <= item.strata <= MOST_STRATA:
            help = "Five are usual; more take away more of the bias and need more units."
            yield finding(CODE, f"{item.strata} strata of the propensity: 2 to {MOST_STRATA} can be.", path, help)


def group_of_units(scope: Scope) -> Findings:
    """HDM431: the group of `across` is one in which the treated units lie."""
    for item, path in _statements(scope):
        to = scope.level_of(item.treatment)
        if item.across is None or item.across not in scope.levels or to is None or to not in scope.levels:
            continue
        if item.across == to or not scope.contains(item.across, to):
            message = f"The units of `{item.treatment}`, {to}, do not lie in {item.across}."
            yield finding(CODE, message, (*path, "across"), f"Name a level above {to}, or leave `across` out.")


def weights_of_rows(scope: Scope) -> Findings:
    """HDM431: weights are of rows; they do not reach the intercepts of groups that were treated as one."""
    for item, path in _weighted(scope):
        to = scope.level_of(item.treatment)
        if to in scope.levels and to != scope.row:
            name = item.treatment
            message = f"`{name}` is a treatment of each {to}: weights of rows do not balance intercepts of {to}."
            yield finding(CODE, message, (*path, "use"), _without_weights(name))


def one_weight(scope: Scope) -> Findings:
    """HDM431: rows have the weights of one propensity score."""
    weighted = list(_weighted(scope))
    for item, path in weighted[1:]:
        message = f"Rows are already weighted by the propensity of `{weighted[0][0].treatment}`."
        yield finding(CODE, message, (*path, "use"), _without_weights(item.treatment))


def effect_on_some(scope: Scope) -> Findings:
    """HDM430: inverse probability weights are for the average over all units."""
    weighted = {item.treatment for item, _ in _weighted(scope)}
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            named = set() if node.where is None else weighted.intersection(names(node.where))
            for name in sorted(named):
                message = f"Weights by the propensity of `{name}` are for the average over all units, not of one arm."
                help = f"Write `propensity for {name} ... as strata(5)`, or say on what the effect depends."
                yield finding("HDM430", message, (*place, "where"), help)


def weights_in_groups_of_one_arm(scope: Scope, bound: Bound) -> Findings:
    """HDM432: weights compare the arms within groups; where there is one arm, nothing is compared."""
    for item, path in _weighted(scope):
        group = item.across
        if group is None or group not in bound.levels or item.treatment not in bound.treatments:
            continue
        treatment = bound.treatments[item.treatment]
        if treatment.level != bound.row or len(treatment.arms) != 2:
            continue
        to = calibration(treatment.values, bound.levels[group].rows, [], np.ones(bound.rows))
        lost = int(np.sum(to.sums(to.base, ~to.compared) > 0))
        if not lost:
            continue
        number, rows = bound.levels[group].size, int(np.sum(~to.compared))
        message = f"Of {number} units of {group}, {lost} have one arm of {item.treatment} only. "
        message += f"By the weights they compare nothing: their {rows} rows have no weight."
        help = "The effect is that in the other units, carried to these. Write `as covariate` to use all rows."
        yield finding("HDM432", message, (*path, "across"), help, "error" if lost == number else None)


DATA_RULES: tuple[DataRule, ...] = (weights_in_groups_of_one_arm,)
RULES: tuple[Rule, ...] = (of_what, how_many_strata, group_of_units, weights_of_rows, one_weight, effect_on_some)
