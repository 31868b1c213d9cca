"""One pass over files or a database table by DuckDB: rows are grouped by their keys and summed up, never held.

Why DuckDB: docs/decisions/0016-sums-of-rows-become-rows.md. Its variances and covariances are Welford's, which keep
their digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

import numpy as np

from hdsl.data.databases import Address, parse_address
from hdsl.data.stream_cells import HIGH, LOW, Cells, merged
from hdsl.data.stream_plan import Measure, Plan
from hdsl.data.table import find_columns
from hdsl.diagnostics import Diagnostic

MOST_CELLS = 5_000_000
SAMPLE = 200_000
MEMORY = "2GB"
PARQUET = (".parquet", ".pq", ".parq")
NUMERIC = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "HUGEINT")


@dataclass(frozen=True)
class Origin:
    """Where rows come from: Parquet files, or a table of a DuckDB database."""

    locator: str
    files: tuple[Path, ...] = ()
    database: Address | None = None


def origin_of(locator: str, base: Path) -> Origin | None:
    """Return where rows can be streamed from; None where they cannot: no such file, or one of another format."""
    scheme, mark, _ = locator.partition("://")
    if mark:
        address = parse_address(scheme, locator, base)
        usable = isinstance(address, Address) and address.engine == "duckdb" and Path(address.target).is_file()
        return Origin(locator, database=address) if usable and isinstance(address, Address) else None
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
    with _opened(origin) as (run, source):
        return int(run(f"SELECT count(*) AS n FROM {source}").column("n")[0].as_py())


def columns_of(origin: Origin) -> dict[str, str]:
    """Return the names of the columns and DuckDB's types of them."""
    with _opened(origin) as (run, source):
        found = run(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {source})")
        return dict(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True))


def scan(plan: Plan, origin: Origin) -> Cells | list[Diagnostic]:
    """Sum up the rows of a table.

    Returns
    -------
    The sums, or what is wrong: HDM217 (no such column), HDM211 (unreadable), HDM350 (a measure that is no number),
    HDM370 (too many cells), HDM364 (no complete row).
    """
    import duckdb

    try:
        types = columns_of(origin)
        found = _unusable(plan, types, origin.locator)
        if found:
            return found
        with _opened(origin) as (run, source):
            wide = _too_many(plan, run, source)
            if wide is not None:
                return [wide]
            shift = _shift(plan, run, source)
            table = run(_query(plan, source, shift))
    except (duckdb.Error, OSError) as error:
        said = " ".join(str(error).split())[:200].rstrip(". ")
        return [Diagnostic("HDM211", f"{origin.locator} cannot be read ({said}).", help="Is the file complete?")]
    return _cells(plan, table, shift, origin)


def fingerprint(origin: Origin) -> str:
    """Return a hash of what tells files apart without reading their rows: size, time of writing, and footer."""
    digest = hashlib.sha256()
    for file in origin.files or ((Path(origin.database.target),) if origin.database is not None else ()):
        stat = file.stat()
        digest.update(f"{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        with file.open("rb") as handle:
            handle.seek(max(0, stat.st_size - 65_536))
            digest.update(handle.read())
    return digest.hexdigest()


@contextmanager
def _opened(origin: Origin) -> Generator[tuple[Any, str]]:
    """Open what rows come from; yields a function that runs a query, and what stands after FROM."""
    import duckdb

    offline: Any = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    target = ":memory:" if origin.database is None else origin.database.target
    reading = {"read_only": True} if origin.database is not None else {}
    with closing(duckdb.connect(target, config=offline, **reading)) as connection:
        connection.execute(f"SET preserve_insertion_order = false; SET memory_limit = '{MEMORY}'")
        if origin.database is None:
            listed = ", ".join(_text(str(file)) for file in origin.files)
            source = f"read_parquet([{listed}], hive_partitioning = false)"
        else:
            source = ".".join(map(name_of, origin.database.table.split(".")))
        yield lambda query: connection.sql(query).to_arrow_table(), source


def _unusable(plan: Plan, types: dict[str, str], locator: str) -> list[Diagnostic]:
    wanted = (*plan.keys, *plan.constants, *(measure.column for measure in plan.measures))
    _, found = find_columns(wanted, tuple(types), locator)
    for measure in plan.measures:
        kind = types.get(measure.column, "DOUBLE").upper()
        if not any(word in kind for word in NUMERIC):
            message = f"Column {measure.column!r} in {locator} holds no numbers but {kind}."
            found.append(Diagnostic("HDM350", message, help="Store it as numbers, or give it another kind."))
    return found


def _too_many(plan: Plan, run: Any, source: str) -> Diagnostic | None:
    """HDM370 where a sample shows that rows would not be grouped, but told apart by their keys."""
    listed = ", ".join(name_of(key) for key in plan.keys)
    if not listed:
        return None
    sample = f"SELECT {listed} FROM {source} LIMIT {SAMPLE}"
    found = run(f"SELECT (SELECT count(*) FROM ({sample})), (SELECT count(*) FROM (SELECT DISTINCT * FROM ({sample})))")
    rows, cells = (int(found.column(i)[0].as_py()) for i in (0, 1))
    if rows < SAMPLE or cells < 0.9 * rows:
        return None
    total = int(run(f"SELECT approx_count_distinct(({listed})) FROM {source}").column(0)[0].as_py())
    if total <= MOST_CELLS:
        return None
    message = f"Rows are not summed up by {', '.join(map(repr, plan.keys))}: about {total:,} combinations."
    help_ = "A covariate that enters other than linearly, or that `where` asks for, needs few values: round it."
    return Diagnostic("HDM370", message, help=help_)


def _shift(plan: Plan, run: Any, source: str) -> np.ndarray:
    """Return a number near the values of each measure: the mean of the first rows."""
    means = ", ".join(f"avg({_value(m, 0.0)})" for m in plan.measures)
    columns = ", ".join(dict.fromkeys(name_of(measure.column) for measure in plan.measures))
    found = run(f"SELECT {means} FROM (SELECT {columns} FROM {source} LIMIT 10000)")
    values = [column[0].as_py() for column in found.columns]
    return np.array([0.0 if value is None else float(f"{value:.3g}") for value in values])


def _query(plan: Plan, source: str, shift: np.ndarray) -> str:
    measures = range(len(plan.measures))
    keys = [name_of(key) for key in plan.keys]
    inner = [f"{name_of(c)}" for c in dict.fromkeys((*plan.keys, *plan.constants))]
    inner += [f"{_value(m, float(shift[i]))} AS m{i}" for i, m in enumerate(plan.measures)]
    inner += [f"coalesce({_bad(m)}, false) AS b{i}" for i, m in enumerate(plan.measures)]
    inner += [f"({_gap(m)}) AS g{i}" for i, m in enumerate(plan.measures)]
    complete = " AND ".join(f"m{i} IS NOT NULL" for i in measures)
    asked = [*keys, f"({complete}) AS complete", "count(*) AS n"]
    asked += [f"favg(m{i}) AS a{i}" for i in measures]
    asked += [f"{_product(i, j)} AS s{i}_{j}" for i in measures for j in measures if i <= j]
    asked += [f"count_if(g{i}) AS g{i}" for i in measures]
    asked += [f"count_if(b{i}) AS b{i}" for i in measures]
    for name in plan.constants:
        asked += [f"min({name_of(name)}) AS {name_of(LOW + name)}", f"max({name_of(name)}) AS {name_of(HIGH + name)}"]
    return f"SELECT {', '.join(asked)} FROM (SELECT {', '.join(inner)} FROM {source}) GROUP BY ALL"


def _product(i: int, j: int) -> str:
    return f"var_pop(m{i})" if i == j else f"covar_pop(m{i}, m{j})"


def _value(measure: Measure, shift: float) -> str:
    """Return the measure less the shift; NULL where it is missing, infinite, or has no logarithm."""
    column = f"{name_of(measure.column)}::DOUBLE"
    if measure.log:
        return f"(CASE WHEN {column} > 0 AND isfinite({column}) THEN ln({column}) END - {shift!r})"
    return f"(CASE WHEN isfinite({column}) THEN {column} END - {shift!r})"


def _gap(measure: Measure) -> str:
    """Return the test of a missing value.

    DuckDB 2.0 takes `isnan` of a Parquet column for false by the column's statistics, which leave NaN out.
    """
    column = f"{name_of(measure.column)}::DOUBLE"
    return f"{column} IS NULL OR NOT (isfinite({column}) OR isinf({column}))"


def _bad(measure: Measure) -> str:
    """Return the test of a value that does not fit the kind."""
    column = f"{name_of(measure.column)}::DOUBLE"
    tests = {
        "positive": f"{column} <= 0",
        "dose positive": f"{column} < 0",
        "proportion": f"{column} < 0 OR {column} > 1",
        "count": f"{column} < 0 OR {column} <> floor({column})",
    }
    known = tests.get(measure.kind) or tests.get(measure.kind.removeprefix("dose "))
    infinite = f"isinf({column})"
    return infinite if known is None else f"({infinite} OR (({known}) AND isfinite({column})))"


def _cells(plan: Plan, table: Any, shift: np.ndarray, origin: Origin) -> Cells | list[Diagnostic]:
    import pyarrow as pa

    names = [measure.name for measure in plan.measures]
    each = {
        word: {name: int(np.sum(_array(table, f"{word}{i}"))) for i, name in enumerate(names)} for word in ("g", "b")
    }
    rows = int(np.sum(_array(table, "n")))
    table = table.filter(table.column("complete"))
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
        sha256=fingerprint(origin),
        digest=plan.digest(),
        missing={name: number for name, number in each["g"].items() if number},
        bad={name: number for name, number in each["b"].items() if number},
    )
    return merged([found])


def _array(table: Any, name: str) -> np.ndarray:
    return np.asarray(table.column(name), dtype=np.float64)


def name_of(column: str) -> str:
    """Return a column's name as it stands in a query."""
    return '"' + column.replace('"', '""') + '"'


def _text(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"
