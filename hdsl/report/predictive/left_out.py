"""Leaving rows out, and whole groups: what the rest says of each.

Sources: Vehtari, Gelman & Gabry (2017) for Pareto-smoothed importance sampling; Merkle, Furr & Rabe-Hesketh (2019) for
groups whose effects are integrated out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from hdsl.diagnostics import Diagnostic
from hdsl.report import elpd
from hdsl.report.predictive.values import LeftOut
from hdsl.report.result import Result

SHARE = 0.01
SHOWN = 5


def leave_out(result: Result) -> tuple[list[LeftOut], list[str]]:
    """Return what leaving out single rows and the groups just above them gave, and what was not done and why."""
    level = elpd.nearest_level(result)
    found: list[LeftOut] = []
    unchecked: list[str] = []
    for what, tree in _forms(result, level):
        try:
            labels = None if what == "row" else result.bound.levels[what].labels
            found.append(_left_out(tree(), what, labels))
        except elpd.NotComparable as reason:
            unchecked.append(f"leaving out each {what}: {reason}")
    return found, unchecked


def _forms(result: Result, level: str | None) -> list[tuple[str, Callable[[], Any]]]:
    forms: list[tuple[str, Callable[[], Any]]] = [("row", lambda: elpd.of_rows(result))]
    return forms if level is None else [*forms, (level, lambda: elpd.of_groups(result, level))]


def _left_out(tree: Any, what: str, labels: tuple[str, ...] | None) -> LeftOut:
    import arviz_stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = arviz_stats.loo(tree, pointwise=True)
    k = np.asarray(found.pareto_k.values).ravel()
    limit = float(found.good_k)
    order = np.argsort(-k)[: int(np.sum(k > limit))]
    names = tuple(str(place + 1) if labels is None else labels[place] for place in order.tolist())
    return LeftOut(what, len(k), float(found.elpd), float(found.se), float(found.p), limit, names)


def unforeseen(left_out: LeftOut) -> Diagnostic | None:
    """Return the warning of units that the others do not foresee, where they are more than one in a hundred."""
    many = len(left_out.unforeseen)
    if many <= max(SHARE * left_out.units, 1):
        return None
    rows = left_out.what == "row"
    shown = ", ".join(left_out.unforeseen[:SHOWN])
    units = "rows" if rows else f"units of {left_out.what}"
    message = (
        f"{many} of {left_out.units} {units} say much that the others do not (Pareto k above {left_out.limit:.2g}): "
        f"{'such as ' if many > SHOWN else ''}{shown}."
    )
    help_ = "Look at them; heavier tails (`family ... student`) or effects that vary more may foresee them."
    return Diagnostic("HDM722" if rows else "HDM724", message, severity="warning", help=help_)
