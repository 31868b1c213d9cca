"""A process that holds one program of one study and samples it on demand.

    python -m benchmarks.worker CASE LANGUAGE ENGINE auto|generated|hand FOLDER

It first builds the program and makes a run of one draw, then obeys lines on standard input: a JSON object of sampler
settings makes a run, whose draws go to FOLDER/draws.npz; an empty line ends it. Each answer is one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any


def main() -> None:
    """Build, make the short run, and then what is asked for."""
    began = float(sys.argv[6])
    name, language, engine, who, folder = sys.argv[1:6]
    from benchmarks.measures import cpu_seconds, memory
    from benchmarks.programs import SHORT, prepared
    from benchmarks.studies import CASES
    from hdsl.backend import Settings

    (case,) = (each for each in CASES if each.name == name)
    run = prepared(case, language, engine, who, Path(folder))
    built, cpu = time.time(), cpu_seconds()
    run(SHORT)
    ended = time.time()
    say({"first_draw": ended - began, "compile": ended - built, "compile_cpu": cpu_seconds() - cpu, "memory": memory()})
    for line in sys.stdin:
        if not line.strip():
            break
        fit = run(replace(Settings(), **json.loads(line)))
        save(Path(folder) / "draws.npz", fit.values)
        clock = fit.clock
        counts = {"gradients": fit.gradients, "divergences": fit.divergences}
        say({"wall": clock.wall, "cpu": clock.cpu, **counts, "memory": memory()})


def say(answer: dict[str, Any]) -> None:
    """Write a line to the parent; what libraries print goes elsewhere."""
    print("ANSWER " + json.dumps(answer), flush=True)


def save(path: Path, values: Any) -> None:
    """Write the draws."""
    import numpy as np

    np.savez(path, **values)


if __name__ == "__main__":
    main()
