"""Sampling in a process of its own, so that one which crashes or runs out of memory is a finding and no crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Progress, SamplingFailed, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import ModelData
from hdsl_pymc.failures import ended

if TYPE_CHECKING:
    from hdsl_pymc.sample import Run

_WORKER = Path(__file__).with_name("worker.py")
_WAIT = 0.2
# Chains have a processor each; sums that BLAS splits among threads need not come out the same bit for bit.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Draws with data as constants differed between processes with other hash seeds, and not between those with the same.
_ONE_ORDER = {"PYTHONHASHSEED": "0"}
# Sums in any order come out otherwise where Numba takes a part from its cache than where it compiles it into the whole.
_SUMS_IN_ORDER = "numba__fastmath=False"


def run(
    source: str,
    data: ModelData,
    names: Sequence[str],
    settings: Settings,
    engine: str,
    cores: int,
    progress: Callable[[Progress], None] | None,
) -> Run:
    """Draw the variables `names` of a program. Raises SamplingFailed."""
    job = {"names": list(names), "settings": asdict(settings), "engine": engine, "cores": cores}
    with tempfile.TemporaryDirectory(prefix="hdsl-pymc-") as name:
        folder = Path(name)
        (folder / "program.py").write_text(source, encoding="utf-8")
        arrays: dict[str, Any] = {f"slot:{slot}": each for slot, each in data.values.items()}
        np.savez(folder / "data.npz", allow_pickle=False, **arrays)
        (folder / "job.json").write_text(json.dumps({**job, "talk": progress is not None}))
        _wait(folder, progress)
        with np.load(folder / "draws.npz") as arrays:
            return _result(dict(arrays))


def _environment() -> dict[str, str]:
    flags = ",".join(filter(None, [os.environ.get("PYTENSOR_FLAGS"), _SUMS_IN_ORDER]))
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, "PYTENSOR_FLAGS": flags, **_ONE_THREAD, **_ONE_ORDER}


def _wait(folder: Path, progress: Callable[[Progress], None] | None) -> None:
    """Start the process and pass on its progress; whatever interrupts that ends the process with all its children."""
    with (folder / "said.txt").open("w") as said:
        child = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env=_environment(),
            start_new_session=True,
        )
        try:
            for report in _reports(child):
                if progress is not None:
                    progress(report)
        finally:
            _end(child)
    refuse_incomplete(folder, child.returncode)


def refuse_incomplete(folder: Path, status: int) -> None:
    """Raise SamplingFailed unless the draws are there: what the process left tells, and not how it went afterwards."""
    if (folder / "draws.npz").exists():
        return
    if (folder / "failed.json").exists():
        told = json.loads((folder / "failed.json").read_text())
        raise SamplingFailed([Diagnostic(each["code"], each["message"], help=each["help"]) for each in told])
    raise ended(status, (folder / "said.txt").read_text(errors="replace"))


def _reports(child: subprocess.Popen[str]) -> Iterator[Progress]:
    """Yield the progress that a process reports until it has ended.

    Its own children may hold its output open for longer than it lives: the end is that of the process.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while reader.is_alive() or not lines.empty():
        try:
            line = lines.get(timeout=_WAIT)
        except Empty:
            if child.poll() is not None:
                return
            continue
        if line.startswith("{"):
            yield Progress(**json.loads(line))
    child.wait()


def _end(child: subprocess.Popen[str]) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
    child.wait()


def _result(arrays: Mapping[str, NDArray[Any]]) -> Run:
    from hdsl_pymc.sample import Run

    def of(kind: str) -> dict[str, NDArray[Any]]:
        return {name.partition(":")[2]: each for name, each in arrays.items() if name.startswith(f"{kind}:")}

    seconds = {name: float(each) for name, each in of("second").items()}
    return Run(of("value"), of("statistic"), str(arrays["engine"]), seconds)
