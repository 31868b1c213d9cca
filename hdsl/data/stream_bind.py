"""From sums of rows to a bound study: each cell becomes as few weighted rows as have its means and products.

A cell of n rows with means m and cross-products S (measures x measures) of rank r becomes r + 1 rows of weight
n / (r + 1), m + sqrt((r + 1) / n) S^(1/2) v_i, where the v_i are the corners of a regular simplex (orthonormal columns
that add up to zero). Means and cross-products of these rows are those of the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hdsl.data.bind import bind_table
from hdsl.data.bound import Audit, Bound, BoundLevel, BoundTreatment, BoundVariable, Integers, Reals
from hdsl.data.stream_cells import Cells, codes_of
from hdsl.data.stream_plan import Plan
from hdsl.data.table import Table
from hdsl.design.ir import StudyFields
from hdsl.diagnostics import Diagnostic, has_errors

UNFIT = {
    "positive": ("HDM352", "not above zero"),
    "dose positive": ("HDM352", "below zero"),
    "proportion": ("HDM353", "not between 0 and 1"),
    "count": ("HDM354", "not counts"),
}
BY_CELL = ("HDM305", "HDM363")


def bind_cells(design: StudyFields, plan: Plan, cells: Cells, base: Path) -> tuple[Bound | None, list[Diagnostic]]:
    """Bind a study to sums of its rows.

    Returns
    -------
    Bound or None
        Its rows stand for `frequency` rows of the data each; None where an error makes the data unusable.
    diagnostics
        As of `hdsl.data.bind.bind`, and HDM372 (a note) for what is not looked at.
    """
    problems = _unfit(plan, cells)
    if cells.size == 0:
        problems.append(Diagnostic("HDM364", "No row of the data is complete.", help="See which values are missing."))
    if problems:
        return None, problems
    places = _places(cells)
    times = None if plan.measures else cells.count[places]
    bound, found = bind_table(plan.design, base, _table(plan, cells, places), cells.source, times)
    kept = [problem for problem in found if problem.code not in BY_CELL]
    if bound is None:
        return None, kept
    rows = np.asarray(bound.levels[bound.row].labels, dtype=np.int64) - 1
    used = float(cells.count[rows].sum())
    missing = _dropped(cells, bound.audit.dropped, rows) if plan.measures else dict(bound.audit.dropped)
    kept += _told(plan, cells, used, cells.missing if plan.measures else missing)
    if has_errors(kept):
        return None, kept
    audit = Audit(cells.source, cells.sha256, cells.rows, round(used), missing)
    return _expanded(design, plan, cells, bound, rows, audit), kept


def _unfit(plan: Plan, cells: Cells) -> list[Diagnostic]:
    kinds = {measure.name: measure for measure in plan.measures}
    found: list[Diagnostic] = []
    for name, number in cells.bad.items():
        code, what = UNFIT.get(kinds[name].kind, UNFIT.get(kinds[name].kind.removeprefix("dose "), ("", "")))
        what = f"{what} or infinite" if what else "infinite"
        message = f"{number:,} values of column {kinds[name].column!r} in {cells.source} are {what}."
        found.append(Diagnostic(code or "HDM351", message, help="Mend the data, or give the variable another kind."))
    return found


def _places(cells: Cells) -> Integers:
    """Return the cell of each row of the table to bind: twice that of a cell in which a constant varies."""
    varies = np.zeros(cells.size, np.bool_)
    for name in cells.lows.column_names:
        low, high = cells.lows.column(name), cells.highs.column(name)
        varies |= np.asarray(_differ(low, high), dtype=np.bool_)
    return np.concatenate([np.arange(cells.size), np.flatnonzero(varies)]).astype(np.int64)


def _differ(low: Any, high: Any) -> Any:
    import pyarrow.compute as pc  # pyright: ignore[reportMissingTypeStubs]

    return pc.fill_null(pc.not_equal(low, high), False)  # pyright: ignore


def _table(plan: Plan, cells: Cells, places: Integers) -> Table:
    """Return cells as a table: keys as they were read, constants (low, then high where these differ), means."""
    import pyarrow as pa

    columns: dict[str, Any] = {name: cells.keys.column(name).take(places) for name in cells.keys.column_names}
    for name in cells.lows.column_names:
        low, high = cells.lows.column(name), cells.highs.column(name)
        columns[name] = pa.chunked_array([*low.chunks, *high.take(places[cells.size :]).chunks], low.type)
    means = cells.mean + cells.shift
    for i, measure in enumerate(plan.measures):
        columns[measure.column] = pa.array(means[places, i])
    arrow = pa.table(columns)
    return Table(arrow, tuple(arrow.column_names), cells.source, len(places), cells.sha256)


def _told(plan: Plan, cells: Cells, used: float, missing: Mapping[str, int]) -> list[Diagnostic]:
    """Return the findings about rows: dropped ones, repeated ones, ids that were not read."""
    found: list[Diagnostic] = []
    if used < cells.rows:
        listed = ", ".join(f"{name} in {number:,}" for name, number in missing.items()) or "arms or categories"
        message = f"{round(cells.rows - used):,} of {cells.rows:,} rows are dropped: missing {listed}."
        help_ = "This is sound only if what is missing depends on nothing but what is adjusted for."
        found.append(Diagnostic("HDM363", message, severity="warning", help=help_))
    if plan.crossed:
        codes, firsts = codes_of(cells.keys.select(list(plan.crossed)), cells.size)
        twice = int(np.sum(np.bincount(codes, cells.count) > 1))
        if 0 < twice < len(firsts) / 2:
            message = f"{twice} combinations of {', '.join(plan.crossed)} have several rows, where most have one."
            help_ = "Remove rows that are doubled; if they are meant so, waive this."
            found.append(Diagnostic("HDM305", message, severity="warning", help=help_))
    by = f" by {', '.join(plan.keys)}" if plan.keys else ""
    message = f"{round(used):,} rows were summed up{by}: {cells.size:,} cells."
    unseen = [f"whether {column} repeats" for column in plan.unread]
    unseen += [f"how the values of {measure.name} overlap" for measure in plan.measures[:-1]]
    help_ = "The posterior is the same; nothing that needs the rows one by one can be had"
    help_ += f", and it was not looked at {', '.join(unseen)}." if unseen else "."
    found.append(Diagnostic("HDM372", message, severity="note", help=help_))
    return found


def _dropped(cells: Cells, by_cell: Mapping[str, int], rows: Integers) -> dict[str, int]:
    """Return the rows in which each name is missing; of keys together, as they are not told apart."""
    lost = round(float(cells.count.sum() - cells.count[rows].sum()))
    return {**cells.missing, **({" or ".join(by_cell): lost} if lost and by_cell else {})}


def _expanded(design: StudyFields, plan: Plan, cells: Cells, bound: Bound, rows: Integers, audit: Audit) -> Bound:
    """Return the study bound to weighted rows; `rows` are the cells that were bound."""
    points, of_row, frequency = weighted_rows(cells.count[rows], cells.mean[rows], cells.scatter[rows])
    values = points + cells.shift
    number = len(of_row)
    labels = tuple(np.arange(1, number + 1).astype(np.str_).tolist())
    levels = {
        name: BoundLevel(name, labels, np.arange(number)) if name == bound.row else _level(level, of_row)
        for name, level in bound.levels.items()
    }
    columns = {
        measure.name: np.exp(values[:, i]) if measure.log else values[:, i] for i, measure in enumerate(plan.measures)
    }
    kinds = {variable.name: variable.kind.name for level in design.levels for variable in level.variables}
    return replace(
        bound,
        study=design,
        levels=levels,
        variables={name: _variable(v, bound.row, kinds, columns, of_row) for name, v in bound.variables.items()},
        treatments={name: _treatment(t, bound.row, columns, of_row) for name, t in bound.treatments.items()},
        audit=audit,
        frequency=frequency,
        measures=tuple(columns),
    )


def _level(level: BoundLevel, of_row: Integers) -> BoundLevel:
    return replace(level, rows=level.rows[of_row])


def _variable(
    found: BoundVariable, row: str, kinds: Mapping[str, str], columns: Mapping[str, Reals], of_row: Integers
) -> BoundVariable:
    if found.level != row:
        return found
    values = columns[found.name] if found.name in columns else found.values[of_row]
    return replace(found, kind=kinds[found.name], values=values)


def _treatment(found: BoundTreatment, row: str, columns: Mapping[str, Reals], of_row: Integers) -> BoundTreatment:
    if found.level != row:
        return found
    return replace(found, values=columns[found.name] if found.name in columns else found.values[of_row])


def weighted_rows(count: Reals, mean: Reals, scatter: Reals) -> tuple[Reals, Integers, Reals]:
    """Return rows with given numbers, means and cross-products.

    Parameters
    ----------
    count, mean, scatter : arrays, shapes (cells,), (cells, d), (cells, d, d)

    Returns
    -------
    points : array, shape (rows, d)
    of_row : int array, shape (rows,)
        The cell of each row, in order of cells.
    weight : array, shape (rows,)
    """
    size = mean.shape[1]
    ranks = np.minimum(count - 1, size).astype(np.int64)
    of_row = np.repeat(np.arange(len(count)), ranks + 1)
    starts = np.cumsum(ranks + 1) - (ranks + 1)
    points = mean[of_row]
    for rank in np.unique(ranks[ranks > 0]).tolist():
        chosen = np.flatnonzero(ranks == rank)
        roots = _roots(scatter[chosen], rank)
        away = roots @ _simplex(rank).T * np.sqrt((rank + 1) / count[chosen])[:, None, None]
        places = starts[chosen][:, None] + np.arange(rank + 1)
        points[places] += away.transpose(0, 2, 1)
    return points, of_row, (count / (ranks + 1))[of_row]


def _roots(scatter: Reals, rank: int) -> Reals:
    """Return the largest directions of cross-products, (cells, d, rank), each column in units of its own spread."""
    own = np.sqrt(np.einsum("cii->ci", scatter))
    units = np.where(own > 0, own, 1.0)
    values, vectors = np.linalg.eigh(scatter / units[:, :, None] / units[:, None, :])
    kept = np.sqrt(np.maximum(values[:, -rank:], 0.0))
    return units[:, :, None] * vectors[:, :, -rank:] * kept[:, None, :]


def _simplex(rank: int) -> Reals:
    """Return the corners of a regular simplex, (rank + 1, rank): orthonormal columns that add up to zero (Helmert)."""
    found = np.zeros((rank + 1, rank))
    for k in range(1, rank + 1):
        found[:k, k - 1] = 1.0
        found[k, k - 1] = -k
        found[:, k - 1] /= np.sqrt(k * (k + 1))
    return found
