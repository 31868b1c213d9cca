"""Rows that are never held: time and peak memory from Parquet to the posterior, against scans by plain engines.

    python -m benchmarks.stream make --rows 1e8 --groups 20000 FOLDER       # writes files, outside the repository
    python -m benchmarks.stream measure FOLDER                              # prints a table, writes stream.json here

Each measurement is a process of its own, so that peak memory is that of one engine; files were read once before.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

STUDY = """study tutoring "Tutoring within schools, rows made up"
data "{pattern}"
group school id school
unit student in school { covariate pretest : real  outcome score : real }
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by bernoulli(0.5)
analysis { adjust for pretest  vary tutor across school }
estimand ate = average over student of score(tutor = tutored) - score(tutor = none)
"""
PER_FILE = 20_000_000
PER_BATCH = 1_000_000
EFFECT = 0.3
KEYS = "school, tutor"
STAGES = ("polars", "duckdb", "sums", "derived", "posterior")


def make(folder: Path, rows: int, groups: int) -> None:
    """Write rows of varying intercepts and effects by group, in random order, and a study of them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    intercept, effect = rng.normal(0, 0.5, groups), EFFECT + rng.normal(0, 0.2, groups)
    schema = pa.schema(
        [("school", pa.int32()), ("tutor", pa.int8()), ("pretest", pa.float64()), ("score", pa.float64())]
    )
    for number in range(-(-rows // PER_FILE)):
        left = min(PER_FILE, rows - number * PER_FILE)
        with pq.ParquetWriter(folder / f"part-{number}.parquet", schema, compression="snappy") as writer:
            while left:
                count = min(left, PER_BATCH)
                left -= count
                school = rng.integers(0, groups, count, dtype=np.int32)
                tutor = rng.integers(0, 2, count, dtype=np.int8)
                pretest = rng.normal(50, 10, count)
                score = intercept[school] + effect[school] * tutor + 0.05 * (pretest - 50) + rng.normal(0, 1, count)
                writer.write_table(pa.table([school, tutor, pretest, score], schema=schema))
    (folder / "study.hdm").write_text(STUDY.replace("{pattern}", "part-*.parquet"))


def measure(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Return the seconds and peak memory of each stage; the medians of the repeats."""
    found: list[dict[str, Any]] = []
    for stage in STAGES:
        runs = [_process(folder, stage) for _ in range(repeats if stage != "posterior" else 1)]
        best = sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
        found.append({**best, "repeats": [round(run["seconds"], 2) for run in runs]})
        print(_line(found[-1]), flush=True)
    return found


def _process(folder: Path, stage: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.stream", "stage", stage, str(folder)]
    environment = {**os.environ, "HDSL_RUNS": "off", "POLARS_MAX_THREADS": str(os.cpu_count())}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return {**result, "process": time.perf_counter() - began}


def _line(each: dict[str, Any]) -> str:
    note = f"  {each['note']}" if each.get("note") else ""
    times = f"{each['seconds']:7.2f} s, {each['cpu']:7.2f} s of processors"
    return f"{each['stage']:12s} {times}  {each['peak_mib']:6d} MiB{note}"


def run_stage(folder: Path, stage: str) -> dict[str, Any]:
    """Do one stage in this process. Seconds count from before the engine is imported."""
    began = time.perf_counter()
    note = WORK[stage](folder)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"stage": stage, "seconds": seconds, "cpu": time.process_time(), "peak_mib": peak, "note": note}


def _polars(folder: Path) -> str:
    import polars as pl

    x, y = pl.col("pretest") - 50.0, pl.col("score")
    sums = {"x": x.sum(), "y": y.sum(), "xx": (x * x).sum(), "xy": (x * y).sum(), "yy": (y * y).sum()}
    frame = pl.scan_parquet(folder / "part-*.parquet").group_by("school", "tutor").agg(pl.len(), **sums)
    return f"group-by with sums, {frame.collect(engine='streaming').height:,} groups"


def _duckdb(folder: Path) -> str:
    import duckdb

    asked = "count(*), sum(x), sum(y), sum(x * x), sum(x * y), sum(y * y)"
    inner = f"SELECT {KEYS}, pretest - 50.0 AS x, score AS y FROM '{folder}/part-*.parquet'"
    table = duckdb.connect().sql(f"SELECT {KEYS}, {asked} FROM ({inner}) GROUP BY ALL").to_arrow_table()
    return f"group-by with sums, {table.num_rows:,} groups"


def _sums(folder: Path) -> str:
    from hdsl.data.stream import summed
    from hdsl.data.stream_cells import Cells
    from hdsl.driver import open_study

    study = open_study(folder / "study.hdm").study
    assert study is not None
    cells = summed(study, folder, ["part-*.parquet"])
    assert isinstance(cells, Cells), cells
    return f"{cells.rows:,} rows, {cells.size:,} cells, stable sums"


def _derived(folder: Path) -> str:
    """Sums, checks, the model, and its statistics: all that depends on the number of rows."""
    from hdsl.driver import derive
    from hdsl.inference.exact.marginal import Marginal, marginal_of

    derived = derive(folder / "study.hdm", stream=True)
    assert derived.model is not None
    assert derived.data is not None
    found = marginal_of(derived.model, derived.data)
    assert isinstance(found, Marginal), found
    return f"ready to sample {found.size} hyperparameters"


def _posterior(folder: Path) -> str:
    """All of `hdsl run` but for its printing: sums, derivation, exact inference, estimands, summaries."""
    from hdsl.driver import run

    result = run(folder / "study.hdm", stream=True)
    (ate,) = (each for each in result.estimand_summaries if each.name == "ate")
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())
    return f"ate {ate.mean:.4f} (sd {ate.sd:.5f}; true mean {EFFECT}); {parts}"


WORK = {"polars": _polars, "duckdb": _duckdb, "sums": _sums, "derived": _derived, "posterior": _posterior}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("folder", type=Path)
    making.add_argument("--rows", type=float, default=1e8)
    making.add_argument("--groups", type=int, default=20_000)
    measuring = commands.add_parser("measure")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--repeats", type=int, default=5)
    measuring.add_argument("--json", type=Path, default=Path(__file__).with_name("stream.json"))
    one = commands.add_parser("stage")
    one.add_argument("stage", choices=STAGES)
    one.add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.command == "make":
        make(given.folder, int(given.rows), given.groups)
    elif given.command == "stage":
        print(json.dumps(run_stage(given.folder, given.stage)))
    else:
        found = measure(given.folder, given.repeats)
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
