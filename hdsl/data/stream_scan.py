"""Files (by DuckDB) or a table (by its database) are streamed: rows are summed up by key, never held.

A first query counts the gaps of the measures, a second one sums up the complete rows. DuckDB is first
asked once: rows without gaps need no more, and the sums of others are no numbers, or of fewer values than rows.

Why DuckDB: docs/decisions/0016-sums-of-rows-become-rows.md. Its variances and covariances are Welford's, those of
PostgreSQL are Youngs and Cramer's: both keep their digits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path
from typing import Any

import numpy as np

from hdsl.data.databases import Address, failed, parse_address, picked, reading
from hdsl.data.stream_cells import HIGH, LOW, Cells, merged
from hdsl.data.stream_plan import Measure, Plan
from hdsl.data.table import compute, find_columns
from hdsl.diagnostics import Diagnostic

MOST_CELLS = 5_000_000
SAMPLE = 200_000
MEMORY = "2GB"
PARQUET = (".parquet", ".pq", ".parq")
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


@dataclass(frozen=True)
class Dialect:
    """How an engine says what the standard does not: a compensated mean, and tests of a number `{x}`."""

    engine: str
    mean: str
    finite: str
    infinite: str


DUCKDB = Dialect("duckdb", "favg({x})", "isfinite({x})", "isinf({x})")
POSTGRESQL = Dialect("postgresql", "avg({x})", "abs({x}) < 'Infinity'::float8", "abs({x}) = 'Infinity'::float8")


@dataclass(frozen=True)
class Opened:
    """A table to be read: what runs a query, what stands after FROM, and its columns with their types."""

    run: Callable[[str], Any]
    source: str
    types: dict[str, str]
    dialect: Dialect

    def picked(self, column: str) -> str:
        """Return a column as it is read."""
        return picked(self.dialect.engine, column, self.types[column])


def origin_of(locator: str, base: Path) -> Origin | None:
    """Return where rows can be streamed from; None where they cannot: no such file, or one of another format."""
    scheme, mark, _ = locator.partition("://")
    if mark:
        address = parse_address(scheme, locator, base)
        if not isinstance(address, Address) or address.engine not in ENGINES:
            return None
        there = address.engine != "duckdb" or Path(address.target).is_file()
        return Origin(address.shown, database=address) if there else None
    path = base / Path(locator).expanduser()
    found = sorted(path.parent.glob(path.name)) if has_magic(path.name) and not path.is_file() else [path]
    files = tuple(file for file in found if file.is_file())
    if not files or len(files) != len(found) or any(file.suffix.lower() not in PARQUET for file in files):
        return None
    return Origin(locator, files)


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
    summed = _without_gaps(plan, table, shift)
    if summed is None:
        counts = table.run(_counts(plan, table))
        return _cells(plan, table.run(_query(plan, table, shift)), counts, shift, origin)
    return _cells(plan, summed, None, shift, origin)


def _without_gaps(plan: Plan, table: Opened, shift: np.ndarray) -> Any | None:
    """Return the sums of rows in one query, None where a value is missing, infinite or does not fit its kind."""
    if table.dialect is not DUCKDB or any(measure.log for measure in plan.measures):
        return None
    import duckdb

    try:
        found = table.run(_query(plan, table, shift, tested=False))
    except duckdb.Error:  # variances of infinite numbers
        return None
    measures = range(len(plan.measures))
    count = _array(found, "n")
    whole = all(np.array_equal(_array(found, f"c{i}"), count) for i in measures)
    fitting = all(not np.any(_array(found, f"b{i}")) for i in measures if f"b{i}" in found.column_names)
    sums = [f"a{i}" for i in measures] + [f"s{i}_{j}" for i in measures for j in measures if i <= j]
    finite = whole and all(bool(np.all(np.isfinite(_array(found, name)))) for name in sums)
    return found if finite and fitting else None


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
    message = f"Rows are not summed up by {', '.join(map(repr, plan.keys))}: more than {MOST_CELLS:,} combinations."
    help_ = "A covariate that enters other than linearly, or that `where` asks for, needs few values: round it."
    return Diagnostic("HDM370", message, help=help_)


def _shift(plan: Plan, table: Opened) -> np.ndarray:
    """Return a number near the values of each measure: the mean of the first rows."""
    means = ", ".join(f"avg({_value(m, 0.0, table.dialect)}) AS m{i}" for i, m in enumerate(plan.measures))
    columns = ", ".join(dict.fromkeys(name_of(measure.column) for measure in plan.measures))
    found = table.run(f"SELECT {means} FROM (SELECT {columns} FROM {table.source} LIMIT 10000) AS sample")
    values = [column[0].as_py() for column in found.columns]
    return np.array([0.0 if value is None else float(f"{value:.3g}") for value in values])


def _query(plan: Plan, table: Opened, shift: np.ndarray, *, tested: bool = True) -> str:
    """Return the query for the sums of complete rows; not `tested`: of all, and what shows the others."""
    measures, dialect = range(len(plan.measures)), table.dialect
    inner = [f"{table.picked(c)} AS {name_of(c)}" for c in dict.fromkeys((*plan.keys, *plan.constants))]
    inner += [f"{_plain(m)} - ({float(shift[i])!r}) AS m{i}" for i, m in enumerate(plan.measures)]
    complete = " AND ".join(_complete(measure, dialect) for measure in plan.measures)
    asked = [*map(name_of, plan.keys), "count(*) AS n"]
    asked += [f"{dialect.mean.format(x=f'm{i}')} AS a{i}" for i in measures]
    asked += [f"{_product(i, j)} AS s{i}_{j}" for i in measures for j in measures if i <= j]
    for name in plan.constants:
        least, most = ("bool_and", "bool_or") if table.types[name].lower() == "boolean" else ("min", "max")
        asked += [
            f"{least}({name_of(name)}) AS {name_of(LOW + name)}",
            f"{most}({name_of(name)}) AS {name_of(HIGH + name)}",
        ]
    if not tested:
        asked += [f"count(m{i}) AS c{i}" for i in measures]
        bad = {i: _misfit(measure, _number(measure)) for i, measure in enumerate(plan.measures)}
        inner += [f"({test}) AS b{i}" for i, test in bad.items() if test]
        asked += [f"count(*) FILTER (WHERE b{i}) AS b{i}" for i, test in bad.items() if test]
    where = f" WHERE {complete}" if tested else ""
    groups = "GROUP BY " + ", ".join(str(place + 1) for place in range(len(plan.keys))) if plan.keys else ""
    taken = f"(SELECT {', '.join(inner)} FROM {table.source}{where}) AS taken"
    return f"SELECT {', '.join(asked)} FROM {taken} {groups}"


def _counts(plan: Plan, table: Opened) -> str:
    """Return the query for all rows, and of each measure those in which it is missing or does not fit its kind."""
    asked = ["count(*) AS n"]
    for i, measure in enumerate(plan.measures):
        asked.append(f"count(*) FILTER (WHERE {_gap(measure, table.dialect)}) AS g{i}")
        asked.append(f"count(*) FILTER (WHERE coalesce({_bad(measure, table.dialect)}, false)) AS b{i}")
    return f"SELECT {', '.join(asked)} FROM {table.source}"


def _product(i: int, j: int) -> str:
    return f"var_pop(m{i})" if i == j else f"covar_pop(m{i}, m{j})"


def _number(measure: Measure) -> str:
    return f"CAST({name_of(measure.column)} AS DOUBLE PRECISION)"


def _value(measure: Measure, shift: float, dialect: Dialect) -> str:
    """Return the measure less the shift; NULL where it is missing, infinite, or has no logarithm."""
    return f"(CASE WHEN {_complete(measure, dialect)} THEN {_plain(measure)} END - ({shift!r}))"


def _plain(measure: Measure) -> str:
    return f"ln({_number(measure)})" if measure.log else _number(measure)


def _complete(measure: Measure, dialect: Dialect) -> str:
    """Return the test of a value that can be summed up."""
    number = _number(measure)
    finite = dialect.finite.format(x=number)
    return f"{number} > 0 AND {finite}" if measure.log else finite


def _gap(measure: Measure, dialect: Dialect) -> str:
    """Return the test of a missing value.

    DuckDB 2.0 takes `isnan` of a Parquet column for false by the column's statistics, which leave NaN out.
    """
    number = _number(measure)
    return f"{number} IS NULL OR NOT ({dialect.finite.format(x=number)} OR {dialect.infinite.format(x=number)})"


def _bad(measure: Measure, dialect: Dialect) -> str:
    """Return the test of a value that does not fit the kind."""
    number = _number(measure)
    known = _misfit(measure, number)
    infinite = dialect.infinite.format(x=number)
    return infinite if known is None else f"({infinite} OR (({known}) AND {dialect.finite.format(x=number)}))"


def _misfit(measure: Measure, number: str) -> str | None:
    """Return the test of a finite value that does not fit the kind; None where all do."""
    tests = {
        "positive": f"{number} <= 0",
        "dose positive": f"{number} < 0",
        "proportion": f"{number} < 0 OR {number} > 1",
        "count": f"{number} < 0 OR {number} <> floor({number})",
    }
    return tests.get(measure.kind) or tests.get(measure.kind.removeprefix("dose "))


def _cells(plan: Plan, table: Any, counts: Any | None, shift: np.ndarray, origin: Origin) -> Cells | list[Diagnostic]:
    import pyarrow as pa

    names = [measure.name for measure in plan.measures]
    each: dict[str, dict[str, int]] = {"g": {}, "b": {}}
    for i, name in enumerate(names if counts is not None else ()):
        each["g"][name], each["b"][name] = (int(_array(counts, f"{word}{i}")[0]) for word in ("g", "b"))
    rows = int(np.sum(_array(table, "n")) if counts is None else _array(counts, "n")[0])
    table = table.filter(compute().greater(table.column("n"), 0))
    if table.num_rows > MOST_CELLS:
        message = f"Rows are not summed up by {', '.join(map(repr, plan.keys))}: {table.num_rows:,} combinations."
        return [Diagnostic("HDM370", message, help="Fewer keys are needed, or leave --stream out.")]
    count = _array(table, "n")
    size = len(names)
    scatter = np.empty((table.num_rows, size, size))
    for i in range(size):
        for j in range(i, size):
            scatter[:, i, j] = scatter[:, j, i] = _array(table, f"s{i}_{j}") * count
    mean = np.column_stack([_array(table, f"a{i}") for i in range(size)])
    found = Cells(
        keys=table.select(list(plan.keys)),
        lows=pa.table({name: table.column(LOW + name) for name in plan.constants}),
        highs=pa.table({name: table.column(HIGH + name) for name in plan.constants}),
        count=count,
        mean=mean,
        scatter=scatter,
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


def _array(table: Any, name: str) -> np.ndarray:
    return np.asarray(table.column(name), dtype=np.float64)


def name_of(column: str) -> str:
    """Return a column's name as it stands in a query."""
    return '"' + column.replace('"', '""') + '"'


def _text(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"
