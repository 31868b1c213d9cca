"""Effects of a treatment on some occasions, averaged over others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdsl.checks.data import DataRule
from hdsl.checks.estimands import aggregates, each
from hdsl.checks.finding import Findings, finding
from hdsl.checks.scope import Scope
from hdsl.checks.terms import stated_terms
from hdsl.data.bound import Bound, Reals
from hdsl.design.expr import Aggregate, Call, Expr, Potential, Setting, names, walk
from hdsl.design.ir import Estimand


def diluted(scope: Scope, bound: Bound) -> Findings:
    """HDM509: an average over all occasions of what is set on some of them takes in those that nothing changes."""
    lagged = any(_is_lag(node) for term, _ in stated_terms(scope.study) for node in walk(term))
    for estimand, path in each(scope):
        for node, place in aggregates(estimand, path):
            settings = [s for part in walk(node.of) if isinstance(part, Potential) for s in part.settings]
            waves = {setting.at.wave for setting in settings if setting.at is not None}
            if len(waves) != 1 or any(setting.at is None for setting in settings):
                continue
            wave = waves.pop()
            if wave not in bound.levels or _is_restricted(scope, estimand, node, wave):
                continue
            changed = _changed(bound, wave, settings, lagged=lagged)
            if not changed.all():
                number = int(changed.sum())
                message = (
                    f"`{estimand.name}` averages over all {changed.size} occasions of {wave}, "
                    f"but what it sets changes {'only one' if number == 1 else f'only {number}'} of them."
                )
                only = _only(bound, wave, changed)
                help = (
                    f"Write `over {node.over} where {only}`, or `{estimand.name}[{wave}]` for one value per occasion."
                )
                yield finding("HDM509", message, place, help)


def _is_lag(node: Expr) -> bool:
    return isinstance(node, Call) and node.function == "lag"


def _is_restricted(scope: Scope, estimand: Estimand, node: Aggregate, wave: str) -> bool:
    tested = node.where is not None and wave in names(node.where)
    return tested or wave in estimand.index or node.cells or scope.levels[wave].word != "wave"


def _changed(bound: Bound, wave: str, settings: list[Setting], *, lagged: bool) -> NDArray[np.bool_]:
    """Return which occasions a treatment is set on; with lagged terms all that come after them too."""
    positions = _positions(bound, wave)
    changed = np.zeros(len(positions), np.bool_)
    for at in (setting.at for setting in settings):
        if at is not None:
            first, last = (_position(bound, wave, edge) for edge in (at.first, at.last))
            changed |= (positions >= first) & (lagged | (positions <= last))
    return changed


def _positions(bound: Bound, wave: str) -> Reals:
    positions = bound.levels[wave].positions
    return np.arange(bound.levels[wave].size, dtype=np.float64) if positions is None else positions


def _position(bound: Bound, wave: str, edge: float | str) -> float:
    labels = bound.levels[wave].labels
    if isinstance(edge, str):
        return float(_positions(bound, wave)[labels.index(edge)]) if edge in labels else np.nan
    return edge


def _only(bound: Bound, wave: str, changed: NDArray[np.bool_]) -> str:
    labels = bound.levels[wave].labels
    positions = _positions(bound, wave)
    order = np.argsort(positions)
    which = np.flatnonzero(changed[order])
    if which.size <= 1:
        return f"{wave} = {labels[order[which[0]]] if which.size else '...'}"
    first, last = labels[order[which[0]]], labels[order[which[-1]]]
    return f"{wave} >= {first}" + ("" if which[-1] == len(order) - 1 else f" and {wave} <= {last}")


RULES: tuple[DataRule, ...] = (diluted,)
