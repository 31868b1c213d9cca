"""Population cells: what they weigh, and that estimands use them."""

from __future__ import annotations

from hdsl.checks.estimands import aggregates, each
from hdsl.checks.finding import Findings, Rule, finding
from hdsl.checks.scope import Scope
from hdsl.design import ir


def unweighted(scope: Scope) -> Findings:
    """HDM524: `poststratify` says which column of a file of cells counts the population."""
    weighted = {item.file for item in scope.study.analysis if isinstance(item, ir.Poststratify)}
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            if node.cells and node.over not in weighted:
                message = f'Each row of "{node.over}" counts once.'
                help = f'If its rows are cells: `analysis {{ poststratify over "{node.over}" weight COLUMN }}`.'
                yield finding("HDM524", message, (*place, "over"), help)


def unused(scope: Scope) -> Findings:
    """HDM529: population cells are there for estimands."""
    if not scope.study.estimands:
        return
    used = {node.over for estimand, path in each(scope) for node, _ in aggregates(estimand, path) if node.cells}
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.Poststratify) and item.file not in used:
            message = f'No estimand is over "{item.file}": the cells change nothing.'
            yield finding("HDM529", message, ("analysis", i), f'Write `average over "{item.file}" of ...`.')


RULES: tuple[Rule, ...] = (unweighted, unused)
