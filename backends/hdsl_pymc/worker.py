"""The child process that samples: reads a folder, runs an engine, writes the draws back into it.

Run as a script with the folder as its argument. The folder holds `program.py`, `data.npz` and `job.json`;
`draws.npz` is there only when everything that was asked for is complete, `failed.json` where the sampling gave
a reason why there are no draws; each is written under another name and renamed. Progress goes to standard output, one
line a report. The process ends itself when its parent has gone.

Where one chain finds no start, nutpie's threads of the others go on: they would crash the interpreter while it winds
up. So the process leaves without that.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hdsl.backend import Program, Progress, SamplingFailed, Settings
from hdsl.model.ir import ModelData
from hdsl_pymc.failures import diagnosed
from hdsl_pymc.runtime import model_of, quiet

FAILED = 3


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _say(progress: Progress) -> None:
    sys.stdout.write(json.dumps(asdict(progress)) + "\n")
    sys.stdout.flush()


def main(folder: Path) -> int:
    """Sample as `job.json` says; return the exit status: 0 done, `FAILED` where `failed.json` says why not."""
    _end_with_parent()
    job = json.loads((folder / "job.json").read_text())
    try:
        with diagnosed(), quiet():
            _sample(folder, job, _say if job["talk"] else None)
    except SamplingFailed as failure:
        told = [{"code": d.code, "message": d.message, "help": d.help} for d in failure.diagnostics]
        (folder / "unfinished.json").write_text(json.dumps(told))
        (folder / "unfinished.json").rename(folder / "failed.json")
        return FAILED
    return 0


def _sample(folder: Path, job: dict[str, Any], progress: Callable[[Progress], None] | None) -> None:
    began = time.perf_counter()
    with np.load(folder / "data.npz") as arrays:
        data = ModelData({name.removeprefix("slot:"): arrays[name] for name in arrays}, {})
    program = Program("pymc", (folder / "program.py").read_text(encoding="utf-8"), {})
    study = model_of(program, data)
    built = time.perf_counter() - began
    if job["engine"] == "nutpie":
        from hdsl_pymc.engine_nutpie import run
    else:
        from hdsl_pymc.engine_pymc import run
    result = run(study, job["names"], Settings(**job["settings"]), job["cores"], progress)
    seconds = {**result.seconds, "compile": built + result.seconds.get("compile", 0.0)}
    parts = {"value": result.values, "statistic": result.statistics, "second": seconds}
    arrays = {f"{kind}:{name}": np.asarray(each) for kind, found in parts.items() for name, each in found.items()}
    np.savez(folder / "unfinished.npz", allow_pickle=False, engine=np.asarray(result.engine), **arrays)
    (folder / "unfinished.npz").rename(folder / "draws.npz")


def _leave(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _leave(main(Path(sys.argv[1])))
