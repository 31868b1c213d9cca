"""Sum up the rows of many files on many machines, for one fit: each worker sums its files, and sums are added up.

    python scripts/sum_on_cluster.py study.hdm stats.parquet part-0.parquet part-1.parquet ...
    python scripts/sum_on_cluster.py study.hdm stats.parquet --scheduler tcp://host:8786 /shared/part-*.parquet
    hdsl run study.hdm --shards stats.parquet

With `--scheduler` the work is done by the workers of a Dask cluster (`pip install "hdsl[cluster]"`), which see the
study and the files under the same names; `--scheduler local` starts a cluster on this machine. Without it, by
processes here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hdsl.data.stream import summed
from hdsl.data.stream_cells import Cells, merged, save
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.driver import open_study


def sums_of(study: str, table: str) -> Cells:
    """Return the sums of the rows of one table; raises ValueError with what is wrong."""
    opened = open_study(study)
    if opened.study is None or has_errors(opened.diagnostics):
        found: Cells | Sequence[Diagnostic] = opened.diagnostics
    else:
        found = summed(opened.study, Path.cwd(), [table])
    if isinstance(found, Cells):
        return found
    raise ValueError("; ".join(f"{each.code}: {each.message}" for each in found))


def added(one: Cells, other: Cells) -> Cells:
    """Return two sums added up."""
    return merged([one, other])


def by_processes(study: str, tables: Sequence[str], workers: int) -> Cells:
    """Sum up tables in processes of this machine."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return reduce(added, pool.map(sums_of, [study] * len(tables), tables))


def by_dask(study: str, tables: Sequence[str], scheduler: str) -> Cells:
    """Sum up tables on a Dask cluster; sums are added up in pairs where they are."""
    from distributed import Client  # pyright: ignore

    client: Any = Client() if scheduler == "local" else Client(scheduler)
    with client:
        waiting: list[Any] = client.map(sums_of, [study] * len(tables), tables)
        while len(waiting) > 1:
            pairs = [waiting[i : i + 2] for i in range(0, len(waiting), 2)]
            waiting = [client.submit(added, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return waiting[0].result()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("out", type=Path)
    parser.add_argument("tables", nargs="+")
    parser.add_argument("--scheduler", help="of a Dask cluster, or `local`")
    parser.add_argument("--workers", type=int, default=2, help="processes, without a scheduler")
    given = parser.parse_args()
    study, tables = str(Path(given.study).resolve()), [str(Path(table).resolve()) for table in given.tables]
    found = by_dask(study, tables, given.scheduler) if given.scheduler else by_processes(study, tables, given.workers)
    save(found, given.out)
    print(f"{given.out}: {found.rows:,} rows summed up in {found.size:,} cells.")


if __name__ == "__main__":
    main()
