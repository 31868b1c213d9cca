"""A Stan program on CmdStan: python -m benchmarks.cmdstan PROGRAM DATA CHAINS DRAWS SEED, one line of JSON."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measures import Clock, least_effective, memory


def main() -> None:
    """Compile, draw, and answer; compiling is told apart."""
    import cmdstanpy

    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    program, data, chains, draws = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    compiling, clock = Clock(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(program, Path(folder) / program.name)
        with compiling.on():
            model = cmdstanpy.CmdStanModel(stan_file=str(copy))
        options: Any = {"chains": chains, "parallel_chains": 2, "iter_warmup": 1000, "iter_sampling": draws}
        with clock.on():
            found = model.sample(data=data, show_progress=False, seed=int(sys.argv[5]), **options)
        values = {name: np.swapaxes(np.asarray(found.draws_xr([name])[name]), 0, 0) for name in wanted(found)}
    answer = {"wall": clock.wall, "cpu": clock.cpu, "ess": least_effective(values), "compile": compiling.wall}
    print("ANSWER " + json.dumps({**answer, "memory": memory()}), flush=True)


def wanted(found: object) -> list[str]:
    """Return the parameters and effects; raw standard normals and copies of the likelihood are no quantities."""
    names = list(found.metadata.stan_vars)  # type: ignore[attr-defined]
    raw = ("z", "L", "lprior", "y_rep", "log_lik")
    return [name for name in names if name not in raw and not name.startswith(("z_", "L_", "Cor_"))]


if __name__ == "__main__":
    main()
