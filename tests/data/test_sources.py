"""Tables from files and databases: what is read is what was written, and what cannot be read is explained."""

from __future__ import annotations

import csv
import gzip
import hashlib
import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdsl.data.columns import to_binary, to_category, to_count, to_ordered, to_real, to_wave
from hdsl.data.databases import Address, parse_address
from hdsl.data.keys import lookup, to_key
from hdsl.data.sources import list_columns, open_table
from hdsl.data.table import Table, hash_arrow
from hdsl.diagnostics import CODES, Diagnostic
from hdsl.driver import check

TRIAL = b"pupil,school,score\n007,A,1.5\n8,B,NA\n9,B,\n"


def opened(path: Path, columns: Sequence[str] | None = None) -> Table:
    table = open_table(path.name, path.parent, columns)
    assert isinstance(table, Table), table
    return table


def written(folder: Path, content: bytes, name: str = "trial.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def problem(locator: str, base: Path, columns: Sequence[str] | None = None) -> Diagnostic:
    result = open_table(locator, base, columns)
    assert isinstance(result, list)
    assert len(result) == 1, result
    assert result[0].help
    assert result[0].code in CODES
    return result[0]


def test_csv_cells_stay_text_and_gaps_become_missing(tmp_path: Path) -> None:
    table = opened(written(tmp_path, TRIAL))
    assert table.arrow.to_pydict() == {
        "pupil": ["007", "8", "9"],
        "school": ["A", "B", "B"],
        "score": ["1.5", None, None],
    }
    assert table.num_rows == 3
    assert table.sha256 == hashlib.sha256(TRIAL).hexdigest()


def test_all_marks_of_missing(tmp_path: Path) -> None:
    marks = ["", " ", "NA", "N/A", ".", "NaN", "nan", "null", "NULL", '""', '"NA"']
    table = opened(written(tmp_path, ("a,b\n" + "".join(f"{m},x\n" for m in marks)).encode()), ["a"])
    assert table.arrow["a"].null_count == len(marks)


def test_none_and_zero_are_values(tmp_path: Path) -> None:
    table = opened(written(tmp_path, b"a,b\nnone,x\nNone,x\n0,x\n-,x\n"), ["a"])
    assert table.arrow["a"].to_pylist() == ["none", "None", "0", "-"]


def test_only_the_columns_asked_for_are_read_and_all_are_named(tmp_path: Path) -> None:
    table = opened(written(tmp_path, TRIAL), ["score", "pupil", "score"])
    assert table.arrow.column_names == ["score", "pupil"]
    assert table.column_names == ("pupil", "school", "score")


def test_no_columns_still_counts_rows(tmp_path: Path) -> None:
    path = written(tmp_path, TRIAL)
    parquet = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pa.table({"x": [1, 2, 3]}), parquet)
    feather = tmp_path / "t.feather"
    pyarrow.feather.write_feather(pa.table({"x": [1, 2, 3]}), str(feather))
    for table in (opened(path, []), opened(parquet, []), opened(feather, [])):
        assert (table.num_rows, table.arrow.num_columns) == (3, 0)


@pytest.mark.parametrize(
    "content",
    [
        TRIAL.replace(b",", b";"),
        TRIAL.replace(b",", b"\t"),
        TRIAL.replace(b",", b"|"),
        TRIAL.replace(b"\n", b"\r\n"),
        TRIAL.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + TRIAL,
        b"\n\n" + TRIAL + b"\n\n",
        TRIAL[:-1],
        TRIAL.replace(b",", b" , "),
        b'"' + TRIAL[:-1].replace(b",", b'","').replace(b"\n", b'"\n"') + b'"\n',
        TRIAL.decode().encode("utf-16"),
    ],
    ids=["semicolon", "tab", "bar", "crlf", "cr", "bom", "lines", "no newline", "blanks", "quoted", "utf16"],
)
def test_one_table_in_many_dresses(tmp_path: Path, content: bytes) -> None:
    plain = opened(written(tmp_path, TRIAL))
    dressed = opened(written(tmp_path, content, "dressed.txt"))
    assert dressed.arrow.equals(plain.arrow)
    assert dressed.column_names == plain.column_names


def test_blanks_separate_where_nothing_else_does(tmp_path: Path) -> None:
    table = opened(written(tmp_path, b'"a" "b c"\n1 "x y"\n2 z\n'))
    assert table.arrow.to_pydict() == {"a": ["1", "2"], "b c": ["x y", "z"]}


def test_a_sentence_in_one_column_is_not_cut_at_its_blanks(tmp_path: Path) -> None:
    table = opened(written(tmp_path, b"what was said\nno\nyes of course\n"))
    assert table.arrow.to_pydict() == {"what was said": ["no", "yes of course"]}


def test_decimal_commas_where_the_comma_separates_nothing(tmp_path: Path) -> None:
    table = opened(written(tmp_path, b"a;b\n1,5;x\n-,25;y\n2;z\n"))
    assert to_real(table.column("a")).values.tolist() == [1.5, -0.25, 2.0]


def test_a_comma_in_a_comma_file_is_not_a_decimal(tmp_path: Path) -> None:
    table = opened(written(tmp_path, b'a,b\n"1,500",x\n2,y\n'))
    assert [p.code for p in to_real(table.column("a")).problems] == ["HDM350"]


def test_packed_csv(tmp_path: Path) -> None:
    packed = written(tmp_path, gzip.compress(TRIAL), "trial.csv.gz")
    assert opened(packed).arrow.equals(opened(written(tmp_path, TRIAL)).arrow)


def test_broken_pack(tmp_path: Path) -> None:
    written(tmp_path, gzip.compress(TRIAL)[:-12], "trial.csv.gz")
    assert problem("trial.csv.gz", tmp_path).code == "HDM211"


def test_latin1_is_read_with_a_note(tmp_path: Path) -> None:
    table = opened(written(tmp_path, "école,x\nÉvry,1\n".encode("latin-1")))
    assert table.arrow.to_pydict() == {"école": ["Évry"], "x": ["1"]}
    assert [(n.code, n.severity) for n in table.notes] == [("HDM221", "warning")]


def test_lines_are_told_for_rows_after_quoted_breaks_and_blank_lines(tmp_path: Path) -> None:
    content = b'a,b\n1,"two\nlines"\n\n2,x\n3,"""q"""\n'
    table = opened(written(tmp_path, content))
    lines = content.split(b"\n")
    names = [table.rows.name(i) for i in range(3)]
    expected = [lines.index(line) + 1 for line in (b'1,"two', b"2,x", b'3,"""q"""')]
    assert names == [f"row {i + 1} (line {n})" for i, n in enumerate(expected)]


def test_parquet_rows_have_no_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pa.table({"x": [1]}), path)
    assert opened(path).rows.name(16) == "row 17"


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", "HDM219", "empty"),
        (b"\n\n", "HDM219", "empty"),
        (b"a,b\n", "HDM362", "no rows"),
        (b"a,b\n1,2\n1,2,3\n4\n", "HDM222", "Line 3"),
        (b'a,b\n1,2\n\n"x\ny",2\n1,2,3\n', "HDM222", "Line 6"),
        (b'a,b\n1,"open\n2,3\n4,5\n', "HDM222", "line 2"),
        (b"a,b,a\n1,2,3\n", "HDM218", "'a'"),
        (b"\0\1\2", "HDM211", "not a text"),
        (b"\xff\xfea", "HDM211", "not a text"),
        (b"PAR1 and no more", "HDM211", "cannot be read"),
        (b"ARROW1\0\0 and no more", "HDM211", "cannot be read"),
        (b"PK\x03\x04 a workbook", "HDM212", "not read"),
        (b"SQLite format 3\0", "HDM212", "database"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, code: str, says: str) -> None:
    written(tmp_path, content, "x.csv")
    found = problem("x.csv", tmp_path)
    assert found.code == code
    assert says in found.message


def test_row_names_of_r(tmp_path: Path) -> None:
    written(tmp_path, b'"a","b"\n"1",2,3\n"2",4,5\n', "x.csv")
    found = problem("x.csv", tmp_path)
    assert (found.code, "row.names" in found.help) == ("HDM222", True)


def test_an_open_quote_in_a_large_file(tmp_path: Path) -> None:
    rows = b"1,some words that fill the file\n" * 200_000
    written(tmp_path, b"a,b\n" + rows + b'7,"open\n' + rows, "x.csv")
    found = problem("x.csv", tmp_path)
    assert (found.code, "line 200002" in found.message) == ("HDM222", True)


def test_missing_files_and_columns_are_suggested(tmp_path: Path) -> None:
    written(tmp_path, TRIAL)
    assert "'trial.csv'" in problem("trail.csv", tmp_path).help
    assert problem("nowhere/trial.csv", tmp_path).code == "HDM210"
    assert problem(".", tmp_path).code == "HDM211"
    found = problem("trial.csv", tmp_path, ["Score"])
    assert (found.code, found.help) == ("HDM217", "Did you mean 'score'?")
    assert "pupil, school, score" in problem("trial.csv", tmp_path, ["blood pressure"]).help


def test_every_missing_column_is_reported(tmp_path: Path) -> None:
    result = open_table(written(tmp_path, TRIAL).name, tmp_path, ["scor", "pupil", "shcool"])
    assert isinstance(result, list)
    assert [d.help for d in result] == ["Did you mean 'score'?", "Did you mean 'school'?"]


def test_formats_of_other_programs(tmp_path: Path) -> None:
    written(tmp_path, b"<Stata", "x.dta")
    found = problem("x.dta", tmp_path)
    assert (found.code, "Stata" in found.message) == ("HDM212", True)


COLUMNS = {"id": ["007", "8", "b'c"], "x": [1.5, None, -2.0], "n": [1, 2, 3]}


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrow", "stream.arrow"])
def test_typed_files(tmp_path: Path, name: str) -> None:
    source, path = pa.table(COLUMNS), tmp_path / name
    if name.endswith("parquet"):
        pyarrow.parquet.write_table(source, path)
    elif name == "stream.arrow":
        with pa.ipc.new_stream(str(path), source.schema) as writer:
            writer.write_table(source)
    else:
        pyarrow.feather.write_feather(source, str(path))
    assert opened(path).arrow.equals(source)
    part = opened(path, ["n", "id"])
    assert part.arrow.equals(source.select(["n", "id"]))
    assert part.column_names == ("id", "x", "n") == list_columns(name, tmp_path)
    assert part.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert problem(name, tmp_path, ["idd"]).help == "Did you mean 'id'?"


def fill_sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute('CREATE TABLE "the ""trial" (id TEXT, x REAL, n INTEGER, mixed)')
    rows = [(*row, i if i < 2 else "z") for i, row in enumerate(zip(*COLUMNS.values(), strict=True))]
    connection.executemany('INSERT INTO "the ""trial" VALUES (?, ?, ?, ?)', rows)
    connection.execute('CREATE VIEW seen AS SELECT id FROM "the ""trial"')
    connection.execute("CREATE TABLE hollow (id TEXT)")
    connection.execute("CREATE TABLE late (v)")
    connection.executemany("INSERT INTO late VALUES (?)", [(i,) for i in range(3000)] + [("end",)])
    connection.commit()
    connection.close()


def fill_duckdb(path: Path) -> None:
    connection = duckdb.connect(str(path))
    connection.execute('CREATE TABLE "the ""trial" (id TEXT, x DOUBLE, n BIGINT, mixed TEXT)')
    rows = [(*row, "z") for row in zip(*COLUMNS.values(), strict=True)]
    connection.executemany('INSERT INTO "the ""trial" VALUES (?, ?, ?, ?)', rows)
    connection.execute('CREATE VIEW seen AS SELECT id FROM "the ""trial"')
    connection.execute("CREATE TABLE hollow (id TEXT)")
    connection.execute("CREATE SCHEMA lab")
    connection.execute("CREATE TABLE lab.trial AS SELECT 1 AS x, DATE '2024-05-31' AS day")
    connection.close()


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_database_files(tmp_path: Path, engine: str) -> None:
    (fill_sqlite if engine == "sqlite" else fill_duckdb)(tmp_path / "s.db")
    address = f'{engine}:///s.db#the "trial'
    table = open_table(address, tmp_path, ["x", "id", "n"])
    assert isinstance(table, Table), table
    assert table.arrow.to_pydict() == {name: COLUMNS[name] for name in ("x", "id", "n")}
    assert table.column_names == ("id", "x", "n", "mixed") == list_columns(address, tmp_path)
    again = open_table(f'{engine}:///{tmp_path}/s.db#the "trial', Path("/"), ["x", "id", "n"])
    assert isinstance(again, Table)
    assert again.sha256 == table.sha256
    counted = open_table(address, tmp_path, [])
    assert isinstance(counted, Table)
    assert counted.num_rows == 3
    view = open_table(f"{engine}:///s.db#seen", tmp_path, None)
    assert isinstance(view, Table)
    assert view.arrow.to_pydict() == {"id": COLUMNS["id"]}
    assert problem(f"{engine}:///s.db#hollow", tmp_path).code == "HDM362"
    assert problem(address, tmp_path, ["mixd"]).help == "Did you mean 'mixed'?"
    missing = problem(f"{engine}:///s.db#sene", tmp_path)
    assert (missing.code, missing.help) == ("HDM213", "Did you mean 'seen'?")


def test_a_sqlite_column_whose_type_changes_late(tmp_path: Path) -> None:
    fill_sqlite(tmp_path / "s.db")
    table = open_table("sqlite:///s.db#late", tmp_path, None)
    assert isinstance(table, Table)
    problems = to_real(table.column("v")).problems
    assert [(p.code, p.rows) for p in problems] == [("HDM350", (3001,))]


def test_schemas_of_duckdb(tmp_path: Path) -> None:
    fill_duckdb(tmp_path / "s.duckdb")
    table = open_table("duckdb:///s.duckdb#lab.trial", tmp_path, None)
    assert isinstance(table, Table)
    assert table.arrow["x"].to_pylist() == [1]
    assert "'lab.trial'" in problem("duckdb:///s.duckdb#lab.trail", tmp_path).help


@pytest.mark.parametrize(
    ("address", "code", "says"),
    [
        ("mysql://me:secret@host/db#t", "HDM214", "mysql"),
        ("https://host/file.csv", "HDM214", "https"),
        ("sqlite:///s.db", "HDM214", "no table"),
        ("sqlite://s.db#t", "HDM214", "three slashes"),
        ("duckdb:///#t", "HDM214", "three slashes"),
        ("postgresql://me:secret@host:port/db#t", "HDM214", "cannot be used"),
        ("postgresql://[host/db#t", "HDM214", "cannot be used"),
        ("sqlite:///other.db#t", "HDM210", "no file"),
        ("sqlite:///text.db#t", "HDM215", "not a sqlite file"),
        ("duckdb:///s.db#seen", "HDM215", "sqlite file"),
        ("postgresql://me:secret@127.0.0.1:1/db?connect_timeout=2#t", "HDM215", "***"),
        ("postgresql://127.0.0.1:1/db?user=me&password=secret#t", "HDM215", "***"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path: Path, address: str, code: str, says: str) -> None:
    fill_sqlite(tmp_path / "s.db")
    written(tmp_path, TRIAL, "text.db")
    found = problem(address, tmp_path)
    assert found.code == code
    assert says in found.message
    assert "secret" not in found.message + found.help
    listed = list_columns(address, tmp_path)
    assert isinstance(listed, list)
    assert [d.code for d in listed] == [code]


def test_what_the_postgresql_driver_is_given() -> None:
    socket = parse_address("postgresql", "postgresql:///db?host=/run/pg#a%20table", Path("/"))
    assert isinstance(socket, Address)
    assert socket.target == "postgresql:///db?host=/run/pg&connect_timeout=10"
    assert socket.table == "a table"
    short = parse_address("postgres", "postgres://me@host:5/db?connect_timeout=1#t", Path("/"))
    assert isinstance(short, Address)
    assert short.target == "postgresql://me@host:5/db?connect_timeout=1"


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_sqlite(tmp_path / "s.db")
    monkeypatch.setitem(__import__("sys").modules, "adbc_driver_sqlite", None)
    monkeypatch.setitem(__import__("sys").modules, "adbc_driver_sqlite.dbapi", None)
    found = problem("sqlite:///s.db#seen", tmp_path)
    assert (found.code, found.help) == ("HDM216", "Run: pip install adbc-driver-sqlite")


def test_the_hash_of_values_ignores_layout_and_sees_every_change() -> None:
    whole = pa.table({"x": [1, None, 3], "s": ["a", "bc", None]})
    chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    assert hash_arrow(chunked) == hash_arrow(whole)
    changes = [
        pa.table({"x": [1, 0, 3], "s": ["a", "bc", None]}),
        pa.table({"x": [1, None, 3], "s": ["ab", "c", None]}),
        pa.table({"x": [1, None, 3], "s": ["a", "bc", ""]}),
        pa.table({"y": [1, None, 3], "s": ["a", "bc", None]}),
        pa.table({"x": [1.0, None, 3.0], "s": ["a", "bc", None]}),
    ]
    assert len({hash_arrow(t) for t in [whole, *changes]}) == 6


@cache
def blanks() -> str:
    """What Unicode calls white space."""
    points = pa.array([chr(i) for i in range(0x3100)])
    return "".join(points.filter(pa.compute.equal(pa.compute.utf8_trim_whitespace(points), "")).to_pylist())


cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6), mark=st.sampled_from(",;\t|"))
def test_what_the_csv_module_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, ...]], mark: str) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=mark, quoting=csv.QUOTE_ALL)
        writer.writerows([("alpha", "beta", "gamma"), *rows])
    table = opened(path)
    shown = [[value or "" for value in column.to_pylist()] for column in table.arrow.columns]
    gaps = {"NA", "N/A", ".", "NaN", "nan", "null", "NULL"}
    expected = [
        ["" if (c := cell.strip(blanks())) in gaps else c for cell in column] for column in zip(*rows, strict=True)
    ]
    assert shown == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_bytes_give_diagnostics_never_exceptions(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([TRIAL, b'a;b\r\n"x, y";1,5\r\n2;"q""q"\r\n', b"a b\n1 2\n"])))
    spice = st.sampled_from(
        [b'"', b"\n", b",", b";", b"\r", b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"nan", b"1e999"]
    )
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 4))
        content[at : at + cut] = data.draw(spice | st.binary(max_size=3))
    path = written(tmp_path, bytes(content))
    check_never_raises(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["parquet", "feather"]))
def test_mutated_typed_files_give_diagnostics_never_exceptions(tmp_path: Path, data: st.DataObject, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pa.table(COLUMNS), path)
    else:
        pyarrow.feather.write_feather(pa.table(COLUMNS), str(path), compression="uncompressed")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    check_never_raises(path)


def check_never_raises(path: Path) -> None:
    table = open_table(path.name, path.parent, None)
    listed = list_columns(path.name, path.parent)
    if isinstance(table, list):
        assert table
        assert all(d.code in CODES and d.help for d in table)
        return
    assert table.column_names == listed
    columns = [table.column(name) for name in table.arrow.column_names]
    for column in columns:
        for coerce in (to_real, to_count, to_binary):
            assert coerce(column).values.shape == (table.num_rows,)
        for code in (to_category, to_ordered, to_wave):
            coded = code(column)
            assert coded.codes.shape == (table.num_rows,)
            assert coded.codes.max() < len(coded.labels)
    key = to_key(columns[:2]) if columns else None
    assert key is None or lookup(key, key).rows.shape == (key.size,)


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather", "sqlite", "duckdb"])
def test_columns_are_found_in_either_form_of_an_accent(kind: str, tmp_path: Path) -> None:
    two = "cole\N{COMBINING ACUTE ACCENT}"
    path, locator = tmp_path / f"d.{kind}", f"d.{kind}"
    table = pa.table({two: [1, 2], "x": [3, 4]})
    match kind:
        case "csv":
            path.write_text(f"{two},x\n1,3\n2,4\n", encoding="utf-8")
        case "parquet":
            pa.parquet.write_table(table, path)
        case "feather":
            pa.feather.write_feather(table, path)
        case "sqlite":
            locator = f"sqlite:///{path.name}#t"
            with sqlite3.connect(path) as connection:
                connection.execute(f'create table t as select 1 as "{two}", 3 as x')
        case _:
            locator = f"duckdb:///{path.name}#t"
            with duckdb.connect(path) as connection:
                connection.execute(f'create table t as select 1 as "{two}", 3 as x')
    for wanted in (None, ["colé"], [two]):
        found = open_table(locator, tmp_path, wanted)
        assert isinstance(found, Table), found
        assert found.column_names == ("colé", "x") == list_columns(locator, tmp_path)
        assert to_real(found.column("colé")).values[0] == 1


def test_a_pattern_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file of another format among those that a pattern names is not left out silently."""
    for number in (1, 2):
        pyarrow.parquet.write_table(pa.table({"y": [float(number)]}), tmp_path / f"part-{number}.parquet")
    pyarrow.parquet.write_table(pa.table({"y": [9.0]}), tmp_path / "a[1].parquet")
    whole = open_table("part-*.parquet", tmp_path)
    assert isinstance(whole, Table)
    assert whole.arrow.column("y").to_pylist() == [1.0, 2.0]
    named = open_table("a[1].parquet", tmp_path)
    assert isinstance(named, Table)
    assert named.num_rows == 1
    (tmp_path / "part-3.csv").write_text("y\n3\n")
    refused = open_table("part-*", tmp_path)
    assert isinstance(refused, list)
    assert [problem.code for problem in refused] == ["HDM210"]


def test_the_home_of_no_user_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "s.hdm").write_text('study s data "~nobody-of-this-name/d.csv" unit u { outcome y : real }')
    assert [problem.code for problem in check(tmp_path / "s.hdm").diagnostics] == ["HDM211"]
