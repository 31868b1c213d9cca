"""Sum up the rows of a table on a Spark cluster, through Ibis, for a fit here: Spark adds up, hdsl fits the sums.

    pip install "hdsl[spark]"
    python scripts/sum_on_spark.py study.hdm stats.parquet /shared/part-*.parquet
    python scripts/sum_on_spark.py study.hdm stats.parquet --master spark://host:7077 --table lab.pupils
    hdsl run study.hdm --shards stats.parquet

The queries are those that hdsl sends to PostgreSQL; Ibis translates them. Without `--master` Spark runs on
this machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hdsl.data.stream_cells import Cells, save
from hdsl.data.stream_plan import Plan, plan_of
from hdsl.data.stream_scan import POSTGRESQL, Opened, Origin, sum_up
from hdsl.diagnostics import has_errors
from hdsl.driver import open_study

VIEW = "hdsl_rows"


def opened_by_spark(master: str, tables: Sequence[str], name: str | None) -> Opened:
    """Return a table of Spark, or Parquet files as one."""
    import ibis  # pyright: ignore
    from pyspark.sql import SparkSession  # pyright: ignore

    session: Any = SparkSession.builder.master(master).appName("hdsl").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    connection: Any = ibis.pyspark.connect(session)
    if name is None:
        session.read.parquet(*tables).createOrReplaceTempView(VIEW)
    schema: Any = connection.sql(f"SELECT * FROM {name or VIEW}").schema()
    types = {str(column): str(kind) for column, kind in schema.items()}
    return Opened(lambda query: connection.sql(query, dialect="postgres").to_pyarrow(), name or VIEW, types, POSTGRESQL)


def sums_of(study: str, table: Opened, locator: str) -> Cells:
    """Return the sums of a table's rows; raises ValueError with what is wrong."""
    opened = open_study(study)
    if opened.study is None or has_errors(opened.diagnostics):
        found: Any = opened.diagnostics
    else:
        plan = plan_of(opened.study, tuple(table.types))
        found = sum_up(plan, table, Origin(locator)) if isinstance(plan, Plan) else plan
    if isinstance(found, Cells):
        return found
    raise ValueError("; ".join(f"{each.code}: {each.message}" for each in found))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("out", type=Path)
    parser.add_argument("files", nargs="*", help="Parquet files that every worker can read")
    parser.add_argument("--table", help="a table of Spark's catalogue in place of files")
    parser.add_argument("--master", default="local[*]", help="of a Spark cluster")
    given = parser.parse_args()
    if bool(given.files) == bool(given.table):
        parser.error("name Parquet files, or a table by --table")
    files = [str(Path(file).resolve()) for file in given.files]
    table = opened_by_spark(given.master, files, given.table)
    found = sums_of(str(Path(given.study).resolve()), table, given.table or " ".join(files))
    save(found, given.out)
    print(f"{given.out}: {found.rows:,} rows summed up in {found.size:,} cells.")


if __name__ == "__main__":
    main()
