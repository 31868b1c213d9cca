"""Estimands that name a covariate with gaps: of some units it is not known what they are."""

from __future__ import annotations

import numpy as np

from hdsl.checks.data import DataRule
from hdsl.checks.finding import Findings, finding
from hdsl.checks.scope import Scope
from hdsl.data.bound import Bound, BoundVariable
from hdsl.design.expr import Ref, walk


def estimands_of_gaps(scope: Scope, bound: Bound) -> Findings:
    """HDM520: an estimand chooses or weighs units by a covariate that is missing for some of them."""
    gaps = {name: missing for name, v in bound.variables.items() if (missing := _missing(v))}
    for i, estimand in enumerate(scope.study.estimands):
        named = {node.name for node in walk(estimand.value) if isinstance(node, Ref)}
        for name in sorted(named & set(gaps)):
            message = f"`{name}` is missing for {gaps[name]} units: who they are is not known from the data."
            help = "Choose units by a covariate without gaps."
            yield finding("HDM520", message, ("estimands", i, "value"), help)


def _missing(variable: BoundVariable) -> int:
    """Return how many units have no value, for a covariate."""
    if variable.role != "covariate":
        return 0
    below = variable.values < 0 if variable.labels else np.zeros(len(variable.values), np.bool_)
    return int(np.sum(np.isnan(variable.values) | below))


RULES: tuple[DataRule, ...] = (estimands_of_gaps,)
