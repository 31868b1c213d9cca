"""Rows of a PostgreSQL table are summed up by the server, as those of a file are by DuckDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.data.stream import summed
from hdsl.data.stream_cells import Cells
from hdsl.driver import check, open_study
from tests.data.test_postgres import PASSWORD, SERVERS, server
from tests.data.test_stream_sums import _write  # pyright: ignore[reportPrivateUsage]

__all__ = ["server"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(not SERVERS, reason="no PostgreSQL server here: apt-get install postgresql"),
]


def test_a_table_of_postgresql_gives_the_same_sums(server: str, tmp_path: Path) -> None:
    import adbc_driver_postgresql.dbapi as postgresql
    import pyarrow.parquet as pq

    path = _write(tmp_path)
    with postgresql.connect(server) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("pupils", pq.read_table(tmp_path / "rows.parquet"), mode="create")
        cursor.execute("UPDATE pupils SET x = 'NaN' WHERE row = 3")
        cursor.execute("UPDATE pupils SET x = NULL WHERE row = 4")
        connection.commit()
    study = open_study(path).study
    assert study is not None
    here = summed(study, tmp_path, [f"{server}#pupils"])
    assert isinstance(here, Cells), here
    assert here.missing == {"x": 2}
    assert PASSWORD not in here.source
    x = pq.read_table(tmp_path / "rows.parquet")["x"].to_numpy().copy()
    x[[3, 4]] = np.nan
    there = summed(study, _write(tmp_path, x=x).parent, ["rows.parquet"])
    assert isinstance(there, Cells)
    assert here.keys.to_pylist() == there.keys.to_pylist()
    np.testing.assert_array_equal(here.count, there.count)
    np.testing.assert_allclose(here.mean + here.shift, there.mean + there.shift, rtol=1e-12)
    np.testing.assert_allclose(here.scatter, there.scatter, rtol=1e-10, atol=1e-12)
    found = check(path, f"{server}#pupils", stream=True)
    assert found.bound is not None, found.diagnostics
    assert found.bound.audit.rows_used == 198
    (wrong,) = check(path, f"{server}#none", stream=True).diagnostics
    assert "none" in wrong.message
    assert PASSWORD not in wrong.message
