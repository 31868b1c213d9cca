"""Tables in DuckDB, SQLite and PostgreSQL: an address with `#table`, read through DuckDB or an ADBC driver.

A name that a user wrote is looked up among the database's own tables and columns, and only the database's
spelling, quoted, goes into a query. Databases are opened for reading only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from hdsl.data.table import ArrowTable, Table, find_columns, hash_arrow, suggest
from hdsl.diagnostics import Diagnostic

FORMS = {
    "duckdb": "duckdb:///folder/file.duckdb#table",
    "sqlite": "sqlite:///folder/file.db#table",
    "postgresql": "postgresql://user@host/database#table",
}
DRIVERS = {"duckdb": "duckdb", "sqlite": "adbc-driver-sqlite", "postgresql": "adbc-driver-postgresql"}
POSTGRES_TYPES = frozenset({"smallint", "integer", "bigint", "real", "double precision", "boolean", "text", "date"})
CONNECT_SECONDS = 10
SECRET = re.compile(r"(?<=:)(?<!//)[^/:]+(?=@)|(?<=password=)[^&#]+")

type Run = Callable[[str], ArrowTable]


@dataclass(frozen=True)
class Address:
    """A database address, taken apart; `shown` has no password."""

    engine: str
    target: str
    table: str
    shown: str
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableName:
    """A table as the database spells it; `default` says that it is found without its schema."""

    schema: str
    name: str
    default: bool


def open_database(scheme: str, locator: str, base: Path, columns: Sequence[str] | None) -> Table | list[Diagnostic]:
    """Read a table of a database; HDM210 to HDM218, HDM362 where that cannot be done."""
    return _with_table(scheme, locator, base, lambda address, run, table: _read(address, run, table, columns))


def list_database_columns(scheme: str, locator: str, base: Path) -> tuple[str, ...] | list[Diagnostic]:
    """The column names of a table of a database."""
    return _with_table(scheme, locator, base, lambda address, run, table: tuple(_columns(address.engine, run, table)))


def no_rows(source: str) -> Diagnostic:
    """HDM362: a table without rows."""
    return Diagnostic("HDM362", f"{source} has no rows.", help="A study needs at least one row of data.")


def parse_address(scheme: str, locator: str, base: Path) -> Address | Diagnostic:
    """Take an address apart, or HDM214."""
    engine = "postgresql" if scheme.lower() == "postgres" else scheme.lower()
    shown = SECRET.sub("***", locator)
    if engine not in FORMS:
        return _bad_address(shown, f"hdsl does not read {scheme}:// addresses", FORMS.values())
    try:
        url = urlsplit(locator)
        _ = url.port
    except ValueError as error:
        return _bad_address(shown, str(error), [FORMS[engine]])
    if not url.fragment:
        return _bad_address(shown, "it names no table", [FORMS[engine]])
    if engine == "postgresql":
        secrets = tuple(SECRET.findall(locator))
        return Address(engine, _postgres_target(url), unquote(url.fragment), shown, secrets)
    if url.netloc or len(url.path) < 2:
        return _bad_address(shown, "a file's address has three slashes", [FORMS[engine]])
    path = str(base / unquote(url.path[1:]))
    return Address(engine, path, unquote(url.fragment), shown)


def _postgres_target(url: SplitResult) -> str:
    query = url.query
    if "connect_timeout" not in query:
        query += ("&" if query else "") + f"connect_timeout={CONNECT_SECONDS}"
    return f"postgresql://{url.netloc}{url.path}?{query}"


def _bad_address(shown: str, why: str, forms: Any) -> Diagnostic:
    message = f"The address {shown} cannot be used: {why}."
    return Diagnostic("HDM214", message, help="Write " + " or ".join(forms) + ".")


def _with_table[T](
    scheme: str, locator: str, base: Path, use: Callable[[Address, Run, TableName], T]
) -> T | list[Diagnostic]:
    address = parse_address(scheme, locator, base)
    if isinstance(address, Diagnostic):
        return [address]
    absent = _unusable_file(address)
    if absent is not None:
        return [absent]
    try:
        with _connect(address) as run:
            table = _find_table(address, _tables(address.engine, run))
            return [table] if isinstance(table, Diagnostic) else use(address, run, table)
    except ImportError:
        return [_no_driver(address)]
    except Exception as error:  # every driver has errors of its own
        return [failed(address, error)]


def _unusable_file(address: Address) -> Diagnostic | None:
    if address.engine == "postgresql":
        return None
    path = Path(address.target)
    try:
        if path.is_file():
            return _wrong_engine(address, path)
        beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    except (OSError, ValueError) as error:
        return failed(address, error)
    return Diagnostic("HDM210", f"There is no file {path}.", help=suggest(path.name, beside, f"files in {path.parent}"))


def _wrong_engine(address: Address, path: Path) -> Diagnostic | None:
    with path.open("rb") as file:
        head = file.read(16)
    found = "sqlite" if head == b"SQLite format 3\0" else "duckdb" if head[8:12] == b"DUCK" else None
    if found == address.engine:
        return None
    if found is None:
        return failed(address, ValueError(f"it is not a {address.engine} file"))
    return Diagnostic("HDM215", f"{address.shown} cannot be read: it is a {found} file.", help=f"Write {FORMS[found]}.")


def _no_driver(address: Address) -> Diagnostic:
    driver = DRIVERS[address.engine]
    return Diagnostic(
        "HDM216", f"Reading {address.engine} needs the package {driver}.", help=f"Run: pip install {driver}"
    )


def failed(address: Address, error: Exception) -> Diagnostic:
    said = " ".join(str(error).split())
    for secret in address.secrets:
        said = said.replace(secret, "***").replace(unquote(secret), "***")
    if address.engine == "postgresql":
        help = (
            "Is the server running, and are host, port, user and database right?"
            " A password may stand in PGPASSWORD or ~/.pgpass."
        )
    else:
        help = f"Check that it is a {address.engine} file, and that no other program has it open for writing."
    return Diagnostic("HDM215", f"{address.shown} cannot be read: {said[:300].rstrip('. ')}.", help=help)


@contextmanager
def _connect(address: Address) -> Generator[Run]:
    if address.engine == "duckdb":
        import duckdb

        offline: Any = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        with closing(duckdb.connect(address.target, read_only=True, config=offline)) as connection:
            yield lambda query: connection.sql(query).to_arrow_table()
    elif address.engine == "sqlite":
        import adbc_driver_sqlite.dbapi as sqlite

        with closing(sqlite.connect(Path(address.target).resolve().as_uri() + "?mode=ro")) as connection:
            yield lambda query: _run_sqlite(connection, query)
    else:
        import adbc_driver_postgresql.dbapi as postgresql

        with closing(postgresql.connect(address.target)) as connection:
            yield lambda query: _run_adbc(connection, query, {})


@contextmanager
def reading(address: Address) -> Generator[tuple[Run, str, dict[str, str]]]:
    """Open a table: what runs a query, what stands after FROM, and the columns with their types.

    Raises
    ------
    LookupError
        There is no such table.
    Exception
        Whatever the driver raises; `failed` says it in words.
    """
    with _connect(address) as run:
        table = _find_table(address, _tables(address.engine, run))
        if isinstance(table, Diagnostic):
            raise LookupError(f"{table.message} {table.help}")
        yield run, f"{_name(table.schema)}.{_name(table.name)}", _columns(address.engine, run, table)


def _run_sqlite(connection: Any, query: str) -> ArrowTable:
    """A column's type is that of the driver's first batch, so one batch must hold all rows."""
    count = _run_adbc(connection, f"SELECT count(*) FROM ({query})", {}).column(0)[0].as_py()
    return _run_adbc(connection, query, {"adbc.sqlite.query.batch_rows": str(max(count, 1))})


def _run_adbc(connection: Any, query: str, options: dict[str, str]) -> ArrowTable:
    with closing(connection.cursor()) as cursor:
        cursor.adbc_statement.set_options(**options)
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def _tables(engine: str, run: Run) -> list[TableName]:
    query = {
        "duckdb": """
            SELECT table_schema, table_name, table_schema = current_schema() FROM information_schema.tables
            WHERE table_catalog = current_catalog()""",
        "sqlite": """
            SELECT 'main', name, 1 FROM sqlite_master
            WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'""",
        "postgresql": """
            SELECT n.nspname::text, c.relname::text, pg_table_is_visible(c.oid)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
              AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')""",
    }[engine]
    schemas, names, defaults = (column.to_pylist() for column in run(query).columns)
    return [TableName(s, n, bool(d)) for s, n, d in zip(schemas, names, defaults, strict=True)]


def _find_table(address: Address, tables: list[TableName]) -> TableName | Diagnostic:
    spelt = {f"{table.schema}.{table.name}": table for table in tables}
    spelt |= {table.name: table for table in tables if table.default}
    if address.table in spelt:
        return spelt[address.table]
    options = sorted(table.name if table.default else f"{table.schema}.{table.name}" for table in tables)
    return Diagnostic(
        "HDM213",
        f"{address.shown.partition('#')[0]} has no table {address.table!r}.",
        help=suggest(address.table, options, "tables"),
    )


def _columns(engine: str, run: Run, table: TableName) -> dict[str, str]:
    """Column names, in order, with their types."""
    query = {
        "duckdb": f"""
            SELECT column_name, data_type FROM information_schema.columns
            WHERE table_catalog = current_catalog() AND table_schema = {_text(table.schema)}
              AND table_name = {_text(table.name)} ORDER BY ordinal_position""",
        "sqlite": f"SELECT name, type FROM pragma_table_xinfo({_text(table.name)}) WHERE hidden <> 1",
        "postgresql": f"""
            SELECT a.attname::text, format_type(a.atttypid, NULL)
            FROM pg_attribute a
            JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = {_text(table.schema)} AND c.relname = {_text(table.name)}
              AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum""",
    }[engine]
    names, types = (column.to_pylist() for column in run(query).columns)
    return dict(zip(names, types, strict=True))


def _read(address: Address, run: Run, table: TableName, columns: Sequence[str] | None) -> Table | list[Diagnostic]:
    types = _columns(address.engine, run, table)
    found, problems = find_columns(columns, tuple(types), address.shown)
    if problems:
        return problems
    source = f"{_name(table.schema)}.{_name(table.name)}"
    num_rows = int(run(f"SELECT count(*) FROM {source}").column(0)[0].as_py())
    if num_rows == 0:
        return [no_rows(address.shown)]
    chosen = [picked(address.engine, name, types[name]) for name in found]
    query = f"SELECT {', '.join(chosen) or '1'} FROM {source}"
    if address.engine == "postgresql":
        query += _order(chosen, [types[name] for name in found])
    arrow = run(query)
    arrow = arrow.select(range(len(found))).rename_columns(list(found))
    return Table(arrow, tuple(types), address.shown, num_rows, hash_arrow(arrow))


def picked(engine: str, name: str, type: str) -> str:
    """PostgreSQL types without a plain Arrow counterpart (numeric, enum, uuid) travel as text."""
    if engine == "postgresql" and type not in POSTGRES_TYPES and not type.startswith("timestamp"):
        return f"{_name(name)}::text"
    return _name(name)


def _order(picked: list[str], types: list[str]) -> str:
    """PostgreSQL returns rows in no fixed order: sorted alike on every server, they make runs repeatable."""
    keys = [
        f'{expression} COLLATE "C"' if type == "text" or expression.endswith("::text") else expression
        for expression, type in zip(picked, types, strict=True)
    ]
    return " ORDER BY " + ", ".join(keys) if keys else ""


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"
