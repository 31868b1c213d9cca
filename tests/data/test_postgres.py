"""Tables of a real PostgreSQL server, started for the test on the loopback address."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hdsl.data.columns import arm_codes, to_category, to_real, to_wave
from hdsl.data.keys import to_key
from hdsl.data.sources import list_columns, open_table
from hdsl.data.table import Table

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
PASSWORD = "s3cret"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(not SERVERS, reason="no PostgreSQL server here: apt-get install postgresql"),
]

FILL = """
CREATE SCHEMA lab;
CREATE TYPE site AS ENUM ('south', 'north');
CREATE TABLE lab."The trial" (
  id char(4), score numeric(8, 2), dose double precision, n smallint, arm varchar(9), seen boolean,
  place site, day date, at timestamptz, key uuid, "odd ""name" text);
INSERT INTO lab."The trial" VALUES
  ('007', 12.50, 'NaN', 3, 'new', true, 'north', '2024-05-31', '2024-05-31 12:00+00', gen_random_uuid(),
   'b'),
  ('010', NULL, 0.25, NULL, 'old', false, 'south', '2024-06-02', '2024-06-02 12:00+00', gen_random_uuid(),
   'NA'),
  ('011', -1, 1e10, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE plain AS SELECT i AS x, md5(i::text) AS s FROM generate_series(1, 20000) AS i;
CREATE VIEW seen AS SELECT x FROM plain WHERE x <= 10;
CREATE MATERIALIZED VIEW kept AS SELECT x FROM plain WHERE x <= 5;
CREATE TABLE hollow (x int);
"""


def as_user(*command: str | Path, **more: str) -> None:
    """Run a server's program, which refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    environment = {**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [*prefix, *map(str, command)], check=True, env=environment, cwd="/", timeout=120, text=True, **more,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a database, without a table."""
    bin, port = SERVERS[-1].parent, free_port()
    folder = Path(tempfile.mkdtemp(prefix="hdsl-postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres")
    try:
        as_user(bin / "initdb", "-D", folder / "db", "-U", "me", "-A", "scram-sha-256", f"--pwfile={secret}")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        as_user(bin / "pg_ctl", "-D", folder / "db", "-w", "-o", options, "-l", folder / "log", "start")
        try:
            psql = (bin / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", "me", "-v", "ON_ERROR_STOP=1")
            as_user(*psql, "postgres", input=FILL)
            yield f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            as_user(bin / "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def opened(address: str, columns: list[str] | None = None) -> Table:
    table = open_table(address, Path("/nowhere"), columns)
    assert isinstance(table, Table), table
    return table


def test_every_type_arrives(server: str) -> None:
    address = f"{server}#lab.The trial"
    table = opened(address)
    assert table.column_names == list_columns(address, Path("/nowhere"))
    assert table.column_names[-1] == 'odd "name'
    row = to_category(table.column("id"))
    assert row.labels == ("007", "010", "011")
    order = row.codes.argsort()
    score = to_real(table.column("score"))
    assert score.values[order].tolist()[::2] == [12.5, -1.0]
    assert score.missing is not None
    assert score.missing[order].tolist() == [False, True, False]
    assert to_real(table.column("dose")).values[order].tolist()[1:] == [0.25, 1e10]
    assert to_category(table.column("n")).labels == ("1", "3")
    assert arm_codes(table.column("arm"), {"old": "old", "new": "new"}).codes[order].tolist() == [1, 0, -1]
    assert arm_codes(table.column("seen"), {"no": 0, "yes": 1}).codes[order].tolist() == [1, 0, -1]
    assert to_category(table.column("place")).labels == ("north", "south")
    for name in ("day", "at"):
        wave = to_wave(table.column(name))
        assert wave.positions is not None
        assert (wave.positions.tolist(), wave.codes[order].tolist()) == ([0.0, 2.0], [0, 1, -1])
    assert len(to_category(table.column("key")).labels) == 2
    assert to_category(table.column('odd "name')).labels == ("NA", "b")


def test_only_the_columns_asked_for(server: str) -> None:
    table = opened(f"{server}#lab.The trial", ["day", "id"])
    assert table.arrow.column_names == ["day", "id"]
    assert len(table.column_names) == 11
    assert opened(f"{server}#lab.The trial", []).num_rows == 3


def test_rows_come_in_one_order_whatever_the_server_does(server: str) -> None:
    first = opened(f"{server}#plain", ["s", "x"])
    again = opened(f"{server}#public.plain", ["s", "x"])
    assert first.num_rows == 20000
    assert first.sha256 == again.sha256
    texts = first.arrow["s"].to_pylist()
    assert texts == sorted(texts)
    assert to_key([first.column("s")]).size == 20000


def test_views_are_tables(server: str) -> None:
    assert opened(f"{server}#seen").num_rows == 10
    assert opened(f"{server}#kept").num_rows == 5


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ("#plain", "#planes", "HDM213", "planes"),
        ("#plain", "#lab.plain", "HDM213", "lab.plain"),
        ("#plain", "#hollow", "HDM362", "no rows"),
        ("/postgres#", "/postgers#", "HDM215", "postgers"),
        (f":{PASSWORD}@", ":wrong-one@", "HDM215", "password"),
    ],
)
def test_what_is_not_there(server: str, old: str, new: str, code: str, says: str) -> None:
    found = open_table(f"{server}#plain".replace(old, new), Path("/"), None)
    assert isinstance(found, list)
    assert [d.code for d in found] == [code]
    assert says in found[0].message
    assert PASSWORD not in found[0].message
    assert "wrong-one" not in found[0].message


def test_missing_columns_and_tables_are_suggested(server: str) -> None:
    found = open_table(f"{server}#lab.The trial", Path("/"), ["skore"])
    assert isinstance(found, list)
    assert (found[0].code, found[0].help) == ("HDM217", "Did you mean 'score'?")
    found = open_table(f"{server}#lab.the_trial", Path("/"), None)
    assert isinstance(found, list)
    assert found[0].help == "Did you mean 'lab.The trial'?"
