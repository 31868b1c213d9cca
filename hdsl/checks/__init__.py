"""Checks of a study against itself and against its data: one rule is one short function."""

from __future__ import annotations

from collections.abc import Iterable

from hdsl.checks import (
    analysis,
    assignment,
    blocks,
    cells,
    data,
    equations,
    estimands,
    families,
    gaps,
    identified,
    labels,
    levels,
    missing_codes,
    names,
    occasions,
    planning,
    priors,
    propensity,
    quantities,
    strata,
    support,
    terms,
)
from hdsl.checks.finding import Rule
from hdsl.checks.scope import Scope
from hdsl.checks.undeclared import told_once
from hdsl.checks.waivers import apply_waivers
from hdsl.data.bound import Bound
from hdsl.design.ir import StudyFields
from hdsl.diagnostics import Diagnostic

RULES: tuple[Rule, ...] = (
    *names.RULES,
    *levels.RULES,
    *assignment.RULES,
    *strata.RULES,
    terms.terms,
    *families.RULES,
    *analysis.RULES,
    *equations.RULES,
    *priors.RULES,
    *planning.RULES,
    *estimands.RULES,
    *quantities.RULES,
    *cells.RULES,
    *propensity.RULES,
    *identified.RULES,
)
DATA_RULES: tuple[data.DataRule, ...] = (
    *data.RULES,
    *blocks.RULES,
    *strata.DATA_RULES,
    *propensity.DATA_RULES,
    *support.RULES,
    *labels.RULES,
    *missing_codes.RULES,
    *occasions.RULES,
    *gaps.RULES,
)


def check_study(study: StudyFields) -> list[Diagnostic]:
    """Check a study against itself.

    Returns
    -------
    list of Diagnostic
        HDM2xx (names, kinds, types), HDM4xx (design against analysis) and HDM5xx (estimands), each with its
        place in the study as `path`; the same finding once, an undeclared name once.
    """
    scope = Scope(study)
    return told_once(_once(diagnostic for rule in RULES for diagnostic in rule(scope)))


def check_data(study: StudyFields, bound: Bound) -> list[Diagnostic]:
    """Check a study without errors against its data.

    Returns
    -------
    list of Diagnostic
        HDM3xx (design against data), HDM406, HDM432, HDM501 and HDM509 where only the data show it.
    """
    scope = Scope(study)
    return _once(diagnostic for rule in DATA_RULES for diagnostic in rule(scope, bound))


def _once(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return list({(d.code, d.path, d.message): d for d in diagnostics}.values())


__all__ = ["apply_waivers", "check_data", "check_study"]
