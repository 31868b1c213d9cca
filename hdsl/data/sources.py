"""Where data come from: one address, one table. CSV, Parquet, Arrow, DuckDB, SQLite and PostgreSQL.

The engines are pyarrow for files, DuckDB for its own databases and ADBC for SQLite and PostgreSQL. Only the
columns asked for are read. Nothing here raises for what a user can get wrong: the answer is then a list of
diagnostics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from glob import has_magic
from pathlib import Path
from typing import Any

from hdsl.data import databases, textfile
from hdsl.data.table import ArrowTable, Table, composed, find_columns, suggest
from hdsl.diagnostics import Diagnostic, short_of_memory

PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".zst"})
PARQUET = (".parquet", ".pq", ".parq")
OTHER_PROGRAMS = {
    ".xlsx": "Excel", ".xls": "Excel", ".ods": "a spreadsheet", ".dta": "Stata", ".sav": "SPSS", ".rds": "R",
    ".sas7bdat": "SAS", ".xpt": "SAS", ".rda": "R", ".rdata": "R", ".json": "JSON", ".pkl": "Python",
}  # fmt: skip
MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"FEA1": "arrow", b"\xff\xff\xff\xff": "arrow",
         b"SQLite format 3\0": "sqlite", b"PK\x03\x04": "zip"}  # fmt: skip


def open_table(locator: str, base: Path, columns: Sequence[str] | None = None) -> Table | list[Diagnostic]:
    """Read a table.

    Parameters
    ----------
    locator
        A file (CSV, TSV, also packed with gzip; Parquet; Arrow or Feather), Parquet files by a pattern with `*`, or
        `duckdb:///file#table`, `sqlite:///file#table`, `postgresql://user@host/database#schema.table`. Files are
        relative to `base`; a file of a database is absolute with four slashes.
    base
        The folder from which relative files count.
    columns
        The columns to read; all of them for None.

    Returns
    -------
    The table, its columns' names in Unicode form NFC, or what is wrong: HDM210 to HDM222, HDM362.
    """
    scheme, mark, _ = locator.partition("://")
    if mark:
        return _composed(databases.open_database(scheme, locator, base, columns))
    if files := _several(locator, base):
        return _composed(_joined([open_table(file.name, file.parent, columns) for file in files], locator))
    path = _find_file(locator, base)
    if isinstance(path, Diagnostic):
        return [path]
    try:
        result = _open_file(path, locator, columns)
    except (OSError, MemoryError) as error:
        return [unreadable(locator, error)]
    return _composed(_some_rows(result))


def _composed(result: Table | list[Diagnostic]) -> Table | list[Diagnostic]:
    if not isinstance(result, Table):
        return result
    arrow = result.arrow.rename_columns([composed(name) for name in result.arrow.column_names])
    return replace(result, arrow=arrow, column_names=tuple(map(composed, result.column_names)))


def list_columns(locator: str, base: Path) -> tuple[str, ...] | list[Diagnostic]:
    """The names of a source's columns, read without its rows; the same names and diagnostics as `open_table`."""
    scheme, mark, _ = locator.partition("://")
    if mark:
        names = databases.list_database_columns(scheme, locator, base)
        return tuple(map(composed, names)) if isinstance(names, tuple) else names
    if files := _several(locator, base):
        return list_columns(files[0].name, files[0].parent)
    path = _find_file(locator, base)
    if isinstance(path, Diagnostic):
        return [path]
    try:
        names = _file_columns(path, locator)
    except (OSError, MemoryError) as error:
        return [unreadable(locator, error)]
    return tuple(map(composed, names)) if isinstance(names, tuple) else names


def unreadable(source: str, error: BaseException | str) -> Diagnostic:
    """HDM211: the file is there but cannot be read."""
    said = str(error).strip().splitlines()
    if isinstance(error, BaseException) and short_of_memory(error):
        help_ = "Run where there is more memory; `--stream` sums up rows without holding them."
        return Diagnostic("HDM729", f"{source} cannot be read: there is not enough memory.", help=help_)
    detail = f" ({said[0][:200].rstrip('. ')})" if said else ""
    return Diagnostic(
        "HDM211",
        f"{source} cannot be read{detail}.",
        help="Is the file complete, may you read it, and does its name end as its format says?",
    )


def matching(locator: str, base: Path) -> list[Path]:
    """Return the paths that a pattern with `*` names, in order; of what is no pattern itself, be it there or not."""
    try:
        path = base / Path(locator).expanduser()
    except RuntimeError:  # the home of no user
        return []
    return sorted(path.parent.glob(path.name)) if has_magic(path.name) and not path.is_file() else [path]


def parquet_files(locator: str, base: Path) -> tuple[Path, ...]:
    """Return the Parquet files that a name or pattern stands for; none where anything else is among them."""
    found = tuple(matching(locator, base))
    return found if all(path.is_file() and path.suffix.lower() in PARQUET for path in found) else ()


def _several(locator: str, base: Path) -> tuple[Path, ...]:
    """Return the Parquet files for which a pattern stands; none where it is the name of a file."""
    files = parquet_files(locator, base)
    return () if [file.name for file in files] == [Path(locator).name] else files


def _joined(parts: Sequence[Table | list[Diagnostic]], source: str) -> Table | list[Diagnostic]:
    """Return the rows of several tables as one table."""
    import pyarrow as pa

    wrong = [problem for part in parts if isinstance(part, list) for problem in part]
    tables = [part for part in parts if isinstance(part, Table)]
    if wrong:
        return wrong
    try:
        arrow = pa.concat_tables([table.arrow for table in tables], promote_options="permissive")
    except pa.ArrowException as error:
        return [unreadable(source, error)]
    sha256 = hashlib.sha256("\0".join(table.sha256 for table in tables).encode()).hexdigest()
    rows = sum(table.num_rows for table in tables)
    return Table(arrow, tables[0].column_names, source, rows, sha256)


def _find_file(locator: str, base: Path) -> Path | Diagnostic:
    try:
        path = base / Path(locator).expanduser()
        if path.is_file():
            return path
        if path.is_dir():
            return unreadable(locator, "it is a folder")
        beside = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else None
    except (OSError, ValueError, RuntimeError) as error:
        return unreadable(repr(locator)[1:-1], error)
    if beside is None:
        help = f"There is no folder {path.parent}; a path counts from the folder of the .hdm file."
    else:
        help = suggest(path.name, beside, f"files in {path.parent}")
    return Diagnostic("HDM210", f"There is no file {locator}.", help=help)


def _some_rows(result: Table | list[Diagnostic]) -> Table | list[Diagnostic]:
    if isinstance(result, Table) and result.num_rows == 0:
        return [databases.no_rows(result.source)]
    return result


def _format(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(16)
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    if head[8:12] == b"DUCK":
        return "duckdb"
    suffix = path.suffix.lower()
    if suffix in PACKED_SUFFIXES:
        suffix = Path(path.stem).suffix.lower()
    if suffix in {".parquet", ".pq"}:
        return "parquet"
    if suffix in {".arrow", ".feather", ".ipc"}:
        return "arrow"
    return "other" if suffix in OTHER_PROGRAMS else "text"


def _refused(path: Path, source: str, format: str) -> list[Diagnostic]:
    if format in {"sqlite", "duckdb"}:
        help = f'Name the table too: "{format}:///{source}#table".'
        return [Diagnostic("HDM212", f"{source} is a database, not a table.", help=help)]
    program = OTHER_PROGRAMS.get(path.suffix.lower(), "another program")
    help = "Save it as CSV or Parquet and name that file."
    return [Diagnostic("HDM212", f"{source} is a file of {program}, which is not read here.", help=help)]


def _open_file(path: Path, source: str, columns: Sequence[str] | None) -> Table | list[Diagnostic]:
    format = _format(path)
    if format == "text":
        raw = textfile.unpack(path)
        return textfile.read(raw, source, columns, _hash_file(path))
    if format == "parquet":
        return _open_columnar(path, source, columns, _parquet_names, _read_parquet)
    if format == "arrow":
        return _open_columnar(path, source, columns, _arrow_names, _read_arrow)
    return _refused(path, source, format)


def _file_columns(path: Path, source: str) -> tuple[str, ...] | list[Diagnostic]:
    import pyarrow as pa

    format = _format(path)
    if format == "text":
        return textfile.names(textfile.unpack(path, textfile.SAMPLE), source)
    if format not in {"parquet", "arrow"}:
        return _refused(path, source, format)
    try:
        return (_parquet_names if format == "parquet" else _arrow_names)(path)
    except (pa.ArrowException, ValueError) as error:
        return [unreadable(source, error)]


def _open_columnar(
    path: Path,
    source: str,
    columns: Sequence[str] | None,
    names_of: Callable[[Path], tuple[str, ...]],
    read: Callable[[Path, tuple[str, ...]], tuple[ArrowTable, int]],
) -> Table | list[Diagnostic]:
    import pyarrow as pa

    try:
        names = names_of(path)
        found, problems = find_columns(columns, names, source)
        if problems:
            return problems
        table, num_rows = read(path, found)
        table.validate(full=True)
    except (pa.ArrowException, ValueError, UnicodeError) as error:
        return [unreadable(source, error)]
    return Table(table, names, source, num_rows, _hash_file(path))


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parquet_names(path: Path) -> tuple[str, ...]:
    import pyarrow.parquet as pq

    return tuple(pq.read_schema(path).names)


def _read_parquet(path: Path, columns: tuple[str, ...]) -> tuple[ArrowTable, int]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        num_rows = int(file.metadata.num_rows)
        table = file.read(columns=list(columns), use_pandas_metadata=False)
    return table.select(list(columns)), num_rows


def _arrow_reader(path: Path, columns: Sequence[str] | None) -> Any:
    import pyarrow as pa

    names = _arrow_schema(path).names
    wanted = None if columns is None else [names.index(name) for name in columns]
    options = pa.ipc.IpcReadOptions(included_fields=wanted)
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)), options=options)
    except pa.ArrowInvalid:
        return pa.ipc.open_stream(pa.memory_map(str(path)), options=options)


def _arrow_schema(path: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_file(source).schema
        except pa.ArrowInvalid:
            return pa.ipc.open_stream(source).schema


def _arrow_names(path: Path) -> tuple[str, ...]:
    return tuple(_arrow_schema(path).names)


def _read_arrow(path: Path, columns: tuple[str, ...]) -> tuple[ArrowTable, int]:
    table = _arrow_reader(path, columns or None).read_all()
    return table.select(list(columns)), int(table.num_rows)
