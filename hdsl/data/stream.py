"""Binding a study to data whose rows are summed up in one pass, or were summed up elsewhere, in place of read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.data.sources import matching
from hdsl.data.stream_bind import bind_cells
from hdsl.data.stream_cells import Cells, load, merged
from hdsl.data.stream_plan import Plan, plan_of
from hdsl.data.stream_scan import Origin, columns_of, number_of_rows, origin_of, scan, unreadable
from hdsl.design.ir import StudyFields
from hdsl.diagnostics import Diagnostic

LARGE = 5_000_000
BYTES_PER_VALUE = 120

Found = tuple[Bound | None, list[Diagnostic]]


def bind_or_sum(
    design: StudyFields,
    base: Path,
    table: str | None = None,
    *,
    stream: bool | None = None,
    shards: Sequence[str] = (),
) -> Found:
    """Bind a study to its data, read row by row or summed up.

    Parameters
    ----------
    table : str or None
        A table in place of the study's `data` statement; several Parquet files where it has `*`.
    stream : bool or None
        Whether to sum up the rows. None: where there are more than `LARGE` of them, or several files, and the study
        allows it.
    shards : sequence of str
        Files of `hdsl summarise` (patterns with `*` allowed) in place of a table.

    Returns
    -------
    Bound or None, diagnostics
        As of `hdsl.data.bind.bind`; HDM370 where rows cannot be summed up, HDM371 for shards that cannot be added.
    """
    if shards:
        return _from_shards(design, base, shards)
    locator = table or design.table
    if stream is False or locator is None:
        return bind(design, base, table)
    folder = base if table is None else Path.cwd()
    origin = origin_of(locator, folder)
    if origin is None:
        return (None, [_not_read(locator, folder)]) if stream else bind(design, base, table)
    several = len(origin.files) > 1
    try:
        if stream is None and not several and number_of_rows(origin) < LARGE:
            return bind(design, base, table)
        plan = plan_of(design, tuple(columns_of(origin)))
    except Exception as error:  # every engine has errors of its own
        return (None, [unreadable(origin, error)]) if stream or several else bind(design, base, table)
    free = stream is None
    if isinstance(plan, Plan) and not (free and plan.averages_need_rows and _fits(design, origin)):
        found = scan(plan, origin)
        if isinstance(found, Cells):
            return bind_cells(design, plan, found, base)
    else:
        found = [] if isinstance(plan, Plan) else plan
    if free and all(each.code == "HDM370" for each in found) and _fits(design, origin):
        return bind(design, base, table)
    return None, found


def summed(design: StudyFields, base: Path, tables: Sequence[str]) -> Cells | list[Diagnostic]:
    """Sum up the rows of one or more tables for a study.

    Parameters
    ----------
    tables : sequence of str
        Parquet files (patterns with `*` allowed) or tables of DuckDB databases.
    """
    parts: list[Cells] = []
    for locator in tables:
        origin = origin_of(locator, base)
        if origin is None:
            return [_not_read(locator, base)]
        try:
            plan = plan_of(design, tuple(columns_of(origin)))
        except Exception as error:  # every engine has errors of its own
            return [unreadable(origin, error)]
        cells = scan(plan, origin) if isinstance(plan, Plan) else plan
        if not isinstance(cells, Cells):
            return cells
        parts.append(cells)
    return merged(parts)


def _from_shards(design: StudyFields, base: Path, shards: Sequence[str]) -> Found:
    paths: list[Path] = []
    for shard in shards:
        paths += matching(shard, Path())
    if not paths:
        return None, [
            Diagnostic("HDM371", f"There is no file {', '.join(shards)}.", help="See `hdsl summarise --help`.")
        ]
    parts = [load(path) for path in dict.fromkeys(paths)]
    wrong = [part for part in parts if isinstance(part, Diagnostic)]
    cells = [part for part in parts if isinstance(part, Cells)]
    if wrong:
        return None, wrong
    names = [n for part in cells for n in (*part.keys.column_names, *part.lows.column_names)]
    plan = plan_of(design, tuple(names))
    if not isinstance(plan, Plan):
        return None, plan
    other = [str(path) for path, part in zip(paths, cells, strict=False) if part.digest != plan.digest()]
    if other:
        message = f"{', '.join(other[:5])} was summed up for another study: by other columns, or other measures."
        return None, [Diagnostic("HDM371", message, help="Sum up all parts with this study: `hdsl summarise`.")]
    twice = len({part.sha256 for part in cells}) < len(cells)
    if twice:
        message = "Two of the files are sums of the same rows: these would count twice."
        return None, [Diagnostic("HDM371", message, help="Name each part once.")]
    return bind_cells(design, plan, merged(cells), base)


def _not_read(locator: str, folder: Path) -> Diagnostic:
    if "://" not in locator and not has_magic(locator) and not (folder / locator).is_file():
        return Diagnostic("HDM210", f"There is no file {locator}.", help=f"A path counts from {folder}.")
    message = f"{locator} cannot be summed up: it is no Parquet file, nor a table of DuckDB or PostgreSQL."
    return Diagnostic("HDM370", message, help='Write it as Parquet, or name it as "duckdb:///file.duckdb#table".')


def _fits(design: StudyFields, origin: Origin) -> bool:
    """Return whether the rows can be held in the memory that is free now, by a rule of thumb."""
    if not hasattr(os, "sysconf"):
        return True
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    columns = sum(len(level.variables) + 1 for level in design.levels) + len(design.treatments)
    return number_of_rows(origin) * columns * BYTES_PER_VALUE < free
