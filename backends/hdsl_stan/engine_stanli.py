"""The stanli engine: Stan programs interpreted with Stan's own maths and sampler, no C++ toolchain.

stanli is an alpha: it is held at one version, run in a child process (some errors abort it), in its strict
mode (else it drops generated quantities it cannot compile with only a warning), without its rerolling of loops
(which gives wrong densities for loops of eight steps and more that gather by an index), with settings checked
before and every expected array after.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Draws, Progress, Settings
from hdsl_stan import chains, options
from hdsl_stan.draws import STATISTICS, Shapes, complete_statistics, complete_values, report
from hdsl_stan.failures import ended, refused

VERSION = "0.24.0"
OPTIONS: Mapping[str, options.Option] = {
    "parallel_chains": options.PARALLEL,
    "metric": options.METRIC,
    "init_radius": options.Option(float, least=0),
}
GUARDS: Mapping[str, str] = {"STANLI_NO_INTERPRETER": "1", "STANLI_NO_REROLL": "1"}
_WORKER = Path(__file__).with_name("stanli_worker.py")


def installed() -> str | None:
    """Return the version of stanli that is installed, or None."""
    try:
        return version("stanli")
    except PackageNotFoundError:
        return None


def sample(
    source: str,
    data: Mapping[str, object],
    shapes: Shapes,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Draws:
    """Draw from the posterior.

    `shapes` gives the parameters wanted, by their names in the program, with the shape of one draw. The values
    of the result have those names. Raises SamplingFailed.
    """
    options.check(settings, OPTIONS, "stanli")
    with tempfile.TemporaryDirectory(prefix="hdsl-stan-") as name:
        folder = Path(name)
        (folder / "program.stan").write_text(source)
        (folder / "data.json").write_text(json.dumps(data))
        job = {"settings": _arguments(settings, progress is not None), "columns": list(shapes)}
        (folder / "job.json").write_text(json.dumps(job))
        _run(folder, progress)
        with np.load(folder / "draws.npz") as arrays:
            return _draws(dict(arrays), shapes, settings)


def _arguments(settings: Settings, talk: bool) -> dict[str, object]:
    total = settings.draws + settings.warmup
    return {
        "chains": settings.chains,
        "seed": settings.seed,
        "warmup": settings.warmup,
        "samples": settings.draws,
        "delta": settings.target_accept,
        "max_depth": settings.max_tree_depth,
        "refresh": max(total // 50, 1) if talk else 0,
        **settings.options,
    }


def _run(folder: Path, progress: Callable[[Progress], None] | None) -> None:
    environment = {**GUARDS, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-P", str(_WORKER), str(folder)]
    try:
        chains.run([command], 1, environment, lambda _, line: report(line, progress))
    except chains.ChainFailed as failure:
        refuse_incomplete(folder, failure.status, failure.said)
    else:
        refuse_incomplete(folder, 0, "")


def refuse_incomplete(folder: Path, status: int, said: str) -> None:
    """Raise SamplingFailed unless the draws are there: what the process left tells, and not how it went afterwards."""
    if (folder / "draws.npz").exists():
        return
    if (folder / "error.txt").exists():
        raise refused("stanli", (folder / "error.txt").read_text())
    raise ended("stanli", status, said)


def _draws(arrays: Mapping[str, NDArray[np.generic]], shapes: Shapes, settings: Settings) -> Draws:
    lead = (settings.chains, settings.draws)
    found = {name: arrays.get(f"value:{name}") for name in shapes}
    statistics = {name: arrays.get(f"statistic:{name}") for name in STATISTICS}
    compiled, took = (float(each) for each in np.asarray(arrays["seconds"], dtype=np.float64))
    return Draws(
        values=complete_values("stanli", found, shapes, lead),
        statistics=complete_statistics("stanli", statistics, lead),
        engine=f"stanli {installed()}",
        seconds={"compile": compiled, "sampling": took},
        max_tree_depth=settings.max_tree_depth,
    )
