"""A comparison of models on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hdsl.report.frames import rows_of
from hdsl.report.numbers import format_number
from hdsl.report.versus import Comparison

MOST_ROWS = 40


def show_versus(comparison: Comparison, console: Console | None = None) -> None:
    """Print estimands and parameters without index side by side, then predictive accuracies."""
    screen = console or Console()
    screen.print(_quantities("Estimands", "name", comparison.estimands, comparison.names))
    screen.print(_quantities("Parameters", "role", comparison.parameters, comparison.names, indexed=False))
    for title, found, reason in (
        ("Rows left out (PSIS-LOO)", comparison.fit, comparison.fit_reason),
        (f"Whole units of {comparison.by} left out", comparison.group_fit, comparison.group_reason),
    ):
        if found is not None:
            screen.print(_accuracy(title, rows_of(found)))
        if reason and (comparison.by or title.startswith("Rows")):
            screen.print(
                f"{title if found is None else ''} (not compared: {reason})".strip(), highlight=False, markup=False
            )
    for name, result in zip(comparison.names, comparison.results, strict=True):
        screen.print(f"{name}: {result.inference}. {result.verdict}", highlight=False, markup=False)


def _quantities(title: str, key: str, found: Any, names: Sequence[str], *, indexed: bool = True) -> Table:
    from rich.markup import escape

    columns = rows_of(found)
    table = _table(title)
    for name in names:
        table.add_column(escape(name), justify="right")
    plain = [place for place, called in enumerate(columns[key]) if indexed or not _is_indexed(called)]
    for place in plain[:MOST_ROWS]:
        cells = [_cell(columns[f"{name} mean"][place], columns[f"{name} sd"][place]) for name in names]
        table.add_row(escape(columns[key][place]), *cells)
    if len(plain) > MOST_ROWS:
        table.add_row(f"... {len(plain) - MOST_ROWS} more (all with --json)")
    return table


def _is_indexed(called: str) -> bool:
    """Return whether a role is a group's own value: `intercept[school][12]`."""
    return "][" in called


def _cell(mean: Any, sd: Any) -> str:
    if mean is None or sd is None or mean != mean:
        return ""
    return f"{format_number(float(mean), float(sd))} ({format_number(float(sd), float(sd))})"


def _accuracy(title: str, columns: Mapping[str, Sequence[Any]]) -> Table:
    from rich.markup import escape

    table = _table(title)
    for name in ("elpd", "below the best", "se", "weight", "Pareto k"):
        table.add_column(name, justify="right")
    for place, name in enumerate(columns["name"]):
        elpd, apart, error, weight = (columns[each][place] for each in ("elpd", "elpd_diff", "dse", "weight"))
        doubt = str(columns["diag_elpd"][place] or "")
        behind = ("", "") if place == 0 else (f"{abs(apart):.1f}", f"{error:.1f}")
        table.add_row(escape(str(name)), f"{elpd:.1f}", *behind, f"{weight:.2f}", doubt)
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("", no_wrap=True)
    return table
