"""Six studies on every backend and engine, against programs written by hand for the same model and priors.

    python -m benchmarks.backends [--studies multisite ...] [--engines stanli ...] [--repeats 3] [--output FILE]

For each study and engine processes hold the generated program of the whole model, the hand-written one, and what
`hdsl run` does where that is something else: effects integrated out. They sample in turn; of each quantity the median
counts, and ratios of medians are given so that more than 1 is in favour of hdsl.
All must give the same posterior: the largest difference of means in Monte Carlo standard errors stands in each row.
Rows are merged into the results by study and engine, and the table is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.programs import integrates
from benchmarks.studies import CASES, HERE, Case

ENGINES = {"nuts": "numpyro", "nutpie": "pymc", "pymc": "pymc", "stanli": "stan", "cmdstan": "stan"}
PACKAGES = ("jax", "numpyro", "pymc", "pytensor", "nutpie", "numba", "stanli", "cmdstanpy", "numpy")
WHO = ("generated", "hand")
ALL = ("auto", *WHO)
DIFFERENT = 4.0
Row = dict[str, Any]
Draws = Mapping[str, Any]


class Worker:
    """A process that holds one program; see `benchmarks.worker`."""

    def __init__(self, case: Case, engine: str, who: str, folder: Path) -> None:
        self.folder = folder / who
        self.folder.mkdir(exist_ok=True)
        case.write(self.folder)
        cache = str(self.folder / "cache")
        flags = f"base_compiledir={cache}/pytensor"
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "HDSL_CACHE_DIR": cache, "PYTENSOR_FLAGS": flags}
        command = [sys.executable, "-m", "benchmarks.worker", case.name, ENGINES[engine], engine, who]
        self.log = (self.folder / "log.txt").open("w")
        self.process = subprocess.Popen(
            [*command, str(self.folder), str(time.time())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )
        self.started = self._answer()

    def run(self, settings: Mapping[str, Any]) -> tuple[Row, dict[str, Any]]:
        """Return what a run cost and its draws."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(settings) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        with np.load(self.folder / "draws.npz") as draws:
            return answer, dict(draws)

    def end(self) -> None:
        """End the process."""
        self.process.communicate("\n")
        self.log.close()

    def _answer(self) -> Row:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise SystemExit("A worker stopped:\n" + (self.folder / "log.txt").read_text()[-2000:])


def effective(draws: Draws) -> dict[str, float]:
    """Return the bulk effective sample size of each quantity."""
    from arviz_stats.base import array_stats

    return {
        role: float(array_stats.ess(values, chain_axis=0, draw_axis=1, method="bulk")) for role, values in draws.items()
    }


def measured(case: Case, engine: str, repeats: int, settings: Mapping[str, Any], again: bool = True) -> Row:
    """Return the row of one study on one engine; `again`: also how long a second start takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        who_runs = ALL if integrates(case, ENGINES[engine], folder) else WHO
        cold = {who: _start_only(case, engine, who, folder) for who in who_runs if again}
        workers = {who: Worker(case, engine, who, folder) for who in who_runs}
        runs: dict[str, list[Row]] = {who: [] for who in who_runs}
        draws: dict[str, list[Draws]] = {who: [] for who in who_runs}
        for repeat in range(repeats):
            for who in who_runs if repeat % 2 == 0 else reversed(who_runs):
                answer, found = workers[who].run({**settings, "seed": repeat + 1})
                ess = min(effective(found).values())
                runs[who].append({**answer, "ess": ess, "rate": ess / answer["wall"], "cpu_rate": ess / answer["cpu"]})
                draws[who].append(found)
        for worker in workers.values():
            worker.end()
    programs = {who: _medians(cold.get(who), workers[who].started, runs[who]) for who in who_runs}
    apart = {who: disagreement(draws[who], draws["hand"]) for who in who_runs if who != "hand"}
    role, distance = max(apart.values(), key=lambda each: each[1])
    return {
        "study": case.name,
        "backend": ENGINES[engine],
        "engine": engine,
        "repeats": repeats,
        **programs,
        "ratio": ratios(programs["generated"], programs["hand"]),
        "ratio_auto": ratios(programs.get("auto", programs["generated"]), programs["hand"]),
        "difference": {"role": role, "standard_errors": distance, "same": distance < DIFFERENT},
    }


def _start_only(case: Case, engine: str, who: str, folder: Path) -> Row:
    worker = Worker(case, engine, who, folder)
    worker.end()
    return worker.started


def _medians(cold: Row | None, warm: Row, runs: Sequence[Row]) -> Row:
    found = {name: median(run[name] for run in runs) for name in runs[0] if name != "memory"}
    first = warm if cold is None else cold
    starts = {"compile": first["compile"], "first_draw": first["first_draw"]}
    if cold is not None:
        starts["second_start"] = warm["first_draw"]
    return {**starts, **found, "memory": max(run["memory"] for run in runs)}


def ratios(ours: Row, hand: Row) -> Row:
    """Return ratios of medians, more than 1 in favour of hdsl."""
    rising = {name: ours[name] / hand[name] for name in ("rate", "cpu_rate")}
    falling = {
        name: hand[name] / ours[name]
        for name in ("compile", "first_draw", "second_start", "memory")
        if name in ours and ours[name] > 0
    }
    return {**rising, **falling}


def disagreement(one: Sequence[Draws], other: Sequence[Draws]) -> tuple[str, float]:
    """Return the quantity whose means differ most between the programs, in Monte Carlo standard errors."""
    found: dict[str, float] = {}
    for role in one[0]:
        means, variances = zip(*(_pooled([draws[role] for draws in program]) for program in (one, other)), strict=True)
        found[role] = abs(means[0] - means[1]) / float(np.sqrt(sum(variances)))
    worst = max(found, key=lambda role: found[role])
    return worst, found[worst]


def _pooled(runs: Sequence[Any]) -> tuple[float, float]:
    """Return the mean over runs and its Monte Carlo variance."""
    ess = [effective({"value": values})["value"] for values in runs]
    mean = float(np.average([np.mean(values) for values in runs], weights=ess))
    return mean, float(np.mean([np.var(values) for values in runs]) / sum(ess))


def machine() -> Row:
    """Return what the figures were measured on."""
    model = "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    versions = {name: _version(name) for name in PACKAGES}
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version(), "packages": versions}


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "not installed"


def table(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    head = (
        "| study | engine | runs | ESS/s: `hdsl run`, NUTS, by hand | `hdsl run` / by hand | NUTS / by hand | "
        "divergences | compile s | first draw s | peak MiB | means differ by |"
    )
    return "\n".join([head, "|---" * 11 + "|", *map(_line, results["rows"])])


def _line(row: Row) -> str:
    def each(name: str, digits: int = 0) -> str:
        return " / ".join(f"{row[who][name]:,.{digits}f}" if who in row else "=" for who in ALL)

    apart = row["difference"]
    agree = f"{apart['standard_errors']:.1f} MCSE" + ("" if apart["same"] else f" in {apart['role']}: **not the same**")
    cells = [
        row["study"],
        f"{row['backend']}, {row['engine']}",
        str(row["repeats"]),
        each("cpu_rate"),
        f"**{row['ratio_auto']['cpu_rate']:.2f}**",
        f"**{row['ratio']['cpu_rate']:.2f}**",
        each("divergences"),
        each("compile", 1),
        each("first_draw", 1),
        each("memory"),
        agree,
    ]
    return "| " + " | ".join(cells) + " |"


def merged(old: Mapping[str, Any], rows: Sequence[Row]) -> Row:
    """Return the results with rows replaced or added, in the order of the studies and engines."""
    found = {(row["study"], row["engine"]): row for row in (*old.get("rows", ()), *rows)}
    order = [(case.name, engine) for case in CASES for engine in ENGINES]
    return {"machine": machine(), "rows": [found[key] for key in order if key in found]}


def main() -> None:
    """Measure, write the results and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--studies", nargs="*", choices=[case.name for case in CASES], default=None)
    parser.add_argument("--engines", nargs="*", choices=list(ENGINES), default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--once", action="store_true", help="leave out how long a second start takes")
    parser.add_argument("--target-accept", type=float, default=0.9)
    parser.add_argument("--output", type=Path, default=HERE / "backends.json")
    arguments = parser.parse_args()
    settings = {"target_accept": arguments.target_accept}
    engines = arguments.engines or [engine for engine in ENGINES if engine != "cmdstan" or "CMDSTAN" in os.environ]
    for case in CASES:
        for engine in engines:
            if arguments.studies and case.name not in arguments.studies:
                continue
            row = measured(case, engine, arguments.repeats, settings, not arguments.once)
            old = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
            arguments.output.write_text(json.dumps(merged(old, [row]), indent=1) + "\n")
            print(table({"rows": [row]}).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(json.loads(arguments.output.read_text())))


if __name__ == "__main__":
    main()
