"""The child process that runs stanli: reads a folder, samples, writes the draws back into it.

Run as a script with the folder as its argument. The folder holds `program.stan`, `data.json` and `job.json`;
`draws.npz` is written there only when everything that was asked for is complete. Progress lines go to standard
output. The process ends itself when its parent has gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(folder: Path) -> int:
    """Sample as `job.json` says; return the exit status: 0 done, 3 the engine gave a reason in `error.txt`."""
    _end_with_parent()
    import stanli

    job = json.loads((folder / "job.json").read_text())
    began = time.perf_counter()
    try:
        model = stanli.Model(stan_file=str(folder / "program.stan"), data=str(folder / "data.json"))
        compiled = time.perf_counter() - began
        fit = model.sample(**job["settings"])
    except (RuntimeError, ValueError) as failure:
        (folder / "unfinished.txt").write_text(str(failure))
        (folder / "unfinished.txt").rename(folder / "error.txt")
        return 3
    took = time.perf_counter() - began - compiled
    arrays = {f"value:{name}": fit.draws(name) for name in job["columns"] if name in fit.variables}
    for position, column in enumerate(stanli.SAMPLER_COLUMNS):
        arrays[f"statistic:{column}"] = fit.sampler_stats[:, :, position]
    arrays["seconds"] = np.array([compiled, took])
    np.savez(folder / "unfinished.npz", allow_pickle=False, **arrays)
    (folder / "unfinished.npz").rename(folder / "draws.npz")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
