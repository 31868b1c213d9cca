"""Files (by DuckDB) or a table (by its database) are streamed: rows are summed up by key, never held.

A first query counts the gaps of the measures, a second one sums up the complete rows. DuckDB is first
asked once: rows without gaps need no more, and the sums of others are no numbers, or of fewer values than rows.
It is asked for compensated sums of products about a common number, from which the means of cells are subtracted
where that costs few digits; else for variances and covariances, as PostgreSQL is.

Why DuckDB, and what is subtracted: docs/decisions/0016-sums-of-rows-become-rows.md. DuckDB's variances are Welford's,
those of PostgreSQL are Youngs and Cramer's: both keep their digits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hdsl.data.databases import Address, failed, parse_address, reading
from hdsl.data.sources import parquet_files
from hdsl.data.stream_cells import HIGH, KEY, LOW, Cells, Reals, merged, reals
from hdsl.data.stream_plan import Plan
from hdsl.data.stream_query import DUCKDB, POSTGRESQL, Form, Opened, counts, middles, name_of, sums
from hdsl.data.table import find_columns
from hdsl.diagnostics import Diagnostic

MOST_CELLS = 5_000_000
SAMPLE = 200_000
FIRST_ROWS = 10_000
LOST = 4
ROUNDING = 1e-14
MEMORY = "2GB"
NUMERIC = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "NUMERIC")
ENGINES = ("duckdb", "postgresql")


@dataclass(frozen=True)
class Origin:
    """Where rows come from: Parquet files, a table of a DuckDB or PostgreSQL database, or neither: another engine's.

    `locator` has no password.
    """

    locator: str
    files: tuple[Path, ...] = ()
    database: Address | None = None


def origin_of(locator: str, base: Path) -> Origin | None:
    """Return where rows can be streamed from; None where they cannot: no such file, or one of another format."""
    scheme, mark, _ = locator.partition("://")
    if mark:
        address = parse_address(scheme, locator, base)
        if not isinstance(address, Address) or address.engine not in ENGINES:
            return None
        there = address.engine != "duckdb" or Path(address.target).is_file()
        return Origin(address.shown, database=address) if there else None
    files = parquet_files(locator, base)
    return Origin(locator, files) if files else None


def number_of_rows(origin: Origin) -> int:
    """Return the number of rows, without reading them."""
    if origin.files:
        import pyarrow.parquet as pq

        return sum(int(pq.read_metadata(file).num_rows) for file in origin.files)
    with _opened(origin) as table:
        return int(table.run(f"SELECT count(*) AS n FROM {table.source}").column("n")[0].as_py())


def columns_of(origin: Origin) -> dict[str, str]:
    """Return the names of the columns and the engine's types of them."""
    with _opened(origin) as table:
        return table.types


def scan(plan: Plan, origin: Origin) -> Cells | list[Diagnostic]:
    """Sum up the rows of a table.

    Returns
    -------
    The sums, or what is wrong: HDM217 (no such column), HDM211 (unreadable), HDM350 (a measure that is no number),
    HDM370 (too many cells), HDM364 (no complete row).
    """
    try:
        with _opened(origin) as table:
            return sum_up(plan, table, origin)
    except Exception as error:  # every engine has errors of its own
        return [unreadable(origin, error)]


def sum_up(plan: Plan, table: Opened, origin: Origin) -> Cells | list[Diagnostic]:
    """Sum up the rows of an opened table: as `scan`, with the errors of the engine as they are."""
    found = _unusable(plan, table.types, origin.locator)
    wide = None if found else _too_many(plan, table)
    if found or wide is not None:
        return found if wide is None else [wide]
    shift = _shift(plan, table)
    summed = _without_gaps(plan, table, shift, whole=_whole(plan, origin))
    if summed is None:
        gaps = table.run(counts(plan, table))
        return _cells(plan, _Sums.of_means(table.run(sums(plan, table, shift, "complete")), plan), gaps, shift, origin)
    return _cells(plan, summed, None, shift, origin)


@dataclass(frozen=True)
class _Sums:
    """What a query returned, (cells,), and of it rows, means and cross-products about these."""

    table: Any
    count: Reals
    mean: Reals
    scatter: Reals

    @classmethod
    def of_means(cls, table: Any, plan: Plan) -> _Sums:
        """Read means and (co)variances."""
        count, mean, products = _read(table, plan)
        return cls(table, count, mean, products * count[:, None, None])

    @classmethod
    def of_sums(cls, table: Any, plan: Plan) -> _Sums | None:
        """Read sums and sums of products; None where more than `LOST` digits would be lost."""
        count, total, products = _read(table, plan)
        mean = total / count[:, None]
        scatter = products - count[:, None, None] * mean[:, :, None] * mean[:, None, :]
        square, own = (np.einsum("cii->ci", each) for each in (products, scatter))
        variance = own.sum(axis=0) / max(count.sum() - len(count), 1.0)
        if not np.all(mean**2 <= 10.0**LOST * variance):
            return None
        none = own <= ROUNDING * square
        scatter[none[:, :, None] | none[:, None, :]] = 0.0
        return cls(table, count, mean, scatter)


def _read(table: Any, plan: Plan) -> tuple[Reals, Reals, Reals]:
    """Return the cells' numbers of rows, and two sets of columns as vectors and matrices."""
    size = len(plan.measures)
    products = np.empty((table.num_rows, size, size))
    for i in range(size):
        for j in range(i, size):
            products[:, i, j] = products[:, j, i] = reals(table, f"s{i}_{j}")
    vectors = np.empty((table.num_rows, size))
    for i in range(size):
        vectors[:, i] = reals(table, f"a{i}")
    return reals(table, "n"), vectors, products


def _whole(plan: Plan, origin: Origin) -> bool:
    """Return whether files say of themselves that no value of a measure is missing."""
    if not origin.files or not plan.measures:
        return not plan.measures
    import pyarrow.parquet as pq

    columns = {measure.column for measure in plan.measures}
    for file in origin.files:
        said = pq.read_metadata(file)
        places = [k for k in range(said.num_columns) if said.schema.column(k).path in columns]
        for group in range(said.num_row_groups):
            known = [said.row_group(group).column(place).statistics for place in places]
            if len(places) < len(columns) or any(
                each is None or not each.has_null_count or each.null_count for each in known
            ):
                return False
    return True


def _without_gaps(plan: Plan, table: Opened, shift: Reals, *, whole: bool) -> _Sums | None:
    """Return the sums of rows in one query, None where a value is missing, infinite or does not fit its kind."""
    if table.dialect is not DUCKDB or any(measure.log for measure in plan.measures):
        return None
    import duckdb

    forms: tuple[Form, ...] = ("plain", "all")
    for form in forms:
        try:
            found = table.run(sums(plan, table, shift, form, whole=whole))
        except duckdb.Error:  # variances of infinite numbers
            return None
        if not _complete(found, plan, whole=whole):
            return None
        summed = _Sums.of_sums(found, plan) if form == "plain" else _Sums.of_means(found, plan)
        if summed is not None:
            return summed
    return None


def _complete(found: Any, plan: Plan, *, whole: bool) -> bool:
    """Return whether all values that were summed up are there, finite, and fit their kinds."""
    measures = range(len(plan.measures))
    count = reals(found, "n")
    there = whole or all(np.array_equal(reals(found, f"c{i}"), count) for i in measures)
    fitting = all(not np.any(reals(found, f"b{i}")) for i in measures if f"b{i}" in found.column_names)
    names = [f"a{i}" for i in measures] + [f"s{i}_{j}" for i in measures for j in measures if i <= j]
    return there and fitting and all(bool(np.all(np.isfinite(reals(found, name)))) for name in names)


def unreadable(origin: Origin, error: Exception) -> Diagnostic:
    """Return HDM211 or HDM215: a table that cannot be read, without a password."""
    if origin.database is not None:
        return failed(origin.database, error)
    said = " ".join(str(error).split())[:200].rstrip(". ")
    return Diagnostic("HDM211", f"{origin.locator} cannot be read ({said}).", help="Is the file complete?")


def _fingerprint(origin: Origin, cells: Cells) -> str:
    """Return a hash that tells data apart: of files the size, time of writing and footer, else of the sums."""
    digest = hashlib.sha256()
    if not origin.files:
        digest.update(origin.locator.encode())
        digest.update(json.dumps(cells.keys.to_pydict(), default=str).encode())
        digest.update(cells.count.tobytes())
        for number in (cells.mean, cells.scatter):
            digest.update(",".join(f"{value:.9g}" for value in number.ravel().tolist()).encode())
    for file in origin.files:
        stat = file.stat()
        digest.update(f"{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        with file.open("rb") as handle:
            handle.seek(max(0, stat.st_size - 65_536))
            digest.update(handle.read())
    return digest.hexdigest()


@contextmanager
def _opened(origin: Origin) -> Generator[Opened]:
    if origin.database is not None:
        dialect = DUCKDB if origin.database.engine == "duckdb" else POSTGRESQL
        with reading(origin.database) as (run, source, types):
            yield Opened(run, source, types, dialect)
        return
    import duckdb

    offline: Any = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    with closing(duckdb.connect(config=offline)) as connection:
        connection.execute(f"SET preserve_insertion_order = false; SET memory_limit = '{MEMORY}'")
        listed = ", ".join(_text(str(file)) for file in origin.files)
        source = f"read_parquet([{listed}], hive_partitioning = false)"

        def ask(query: str) -> Any:
            return connection.sql(query).to_arrow_table()

        named = ask(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {source})")
        types = dict(zip(named.column(0).to_pylist(), named.column(1).to_pylist(), strict=True))
        yield Opened(ask, source, types, DUCKDB)


def _unusable(plan: Plan, types: dict[str, str], locator: str) -> list[Diagnostic]:
    wanted = (*plan.keys, *plan.constants, *(measure.column for measure in plan.measures))
    _, found = find_columns(wanted, tuple(types), locator)
    for measure in plan.measures:
        kind = types.get(measure.column, "DOUBLE").upper()
        if not any(word in kind for word in NUMERIC):
            message = f"Column {measure.column!r} in {locator} holds no numbers but {kind}."
            found.append(Diagnostic("HDM350", message, help="Store it as numbers, or give it another kind."))
    return found


def _too_many(plan: Plan, table: Opened) -> Diagnostic | None:
    """HDM370 where a sample shows that rows would not be grouped, but told apart by their keys."""
    listed = ", ".join(map(name_of, plan.keys))
    if not listed:
        return None
    sample = f"(SELECT {listed} FROM {table.source} LIMIT {SAMPLE}) AS sample"
    distinct = f"(SELECT DISTINCT * FROM {sample}) AS cells"
    found = table.run(f"SELECT (SELECT count(*) FROM {sample}) AS a, (SELECT count(*) FROM {distinct}) AS b")
    rows, cells = (int(found.column(i)[0].as_py()) for i in (0, 1))
    if rows < SAMPLE or cells < 0.9 * rows:
        return None
    enough = f"SELECT DISTINCT {listed} FROM {table.source} LIMIT {MOST_CELLS + 1}"
    total = int(table.run(f"SELECT count(*) AS n FROM ({enough}) AS cells").column(0)[0].as_py())
    if total <= MOST_CELLS:
        return None
    return _combinations(plan, f"more than {MOST_CELLS:,}")


def _combinations(plan: Plan, number: str) -> Diagnostic:
    message = f"Rows are not summed up by {', '.join(map(repr, plan.keys))}: {number} combinations."
    which = "A covariate that enters other than linearly, or that `where` asks for,"
    if not plan.measures:
        which = "Each covariate of the rows, where the outcome is no normal one,"
    return Diagnostic("HDM370", message, help=f"{which} needs few values: round it.")


def _shift(plan: Plan, table: Opened) -> Reals:
    """Return a number near the values of each measure: the mean of the first rows."""
    if not plan.measures:
        return np.zeros(0)
    found = table.run(middles(plan, table, FIRST_ROWS))
    values = [column[0].as_py() for column in found.columns]
    return np.array([0.0 if value is None else float(f"{value:.3g}") for value in values])


def _cells(plan: Plan, summed: _Sums, gaps: Any | None, shift: Reals, origin: Origin) -> Cells | list[Diagnostic]:
    import pyarrow as pa

    names = [measure.name for measure in plan.measures]
    each: dict[str, dict[str, int]] = {"g": {}, "b": {}}
    for i, name in enumerate(names if gaps is not None else ()):
        each["g"][name], each["b"][name] = (int(reals(gaps, f"{word}{i}")[0]) for word in ("g", "b"))
    rows = int(np.sum(summed.count) if gaps is None else reals(gaps, "n")[0])
    table = summed.table
    if table.num_rows > MOST_CELLS:
        return [_combinations(plan, f"{table.num_rows:,}")]
    found = Cells(
        keys=table.select([KEY + name for name in plan.keys]).rename_columns(list(plan.keys)),
        lows=pa.table({name: table.column(LOW + name) for name in plan.constants}),
        highs=pa.table({name: table.column(HIGH + name) for name in plan.constants}),
        count=summed.count,
        mean=summed.mean,
        scatter=summed.scatter,
        shift=shift,
        rows=rows,
        source=origin.locator,
        sha256="",
        digest=plan.digest(),
        missing={name: number for name, number in each["g"].items() if number},
        bad={name: number for name, number in each["b"].items() if number},
    )
    whole = merged([found])
    return replace(whole, sha256=_fingerprint(origin, whole))


def _text(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"
