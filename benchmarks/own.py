"""hdsl's own part in a comparison, in a process of its own: python -m benchmarks.own FOLDER REPEATS INFERENCE DRAWS.

Derives the study, fits it, fits it again and again, and answers with one line of JSON. A fit is from rows in memory to
draws of all parameters and group effects: statistics, inference, effects.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measures import Clock, least_effective, memory


def main() -> None:
    """Derive, fit and answer."""
    from hdsl import backend as backends
    from hdsl.backend import Settings
    from hdsl.diagnostics import Diagnostic
    from hdsl.driver import derive
    from hdsl.inference.fit import Fit, fit

    folder, repeats, inference, draws = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    began = time.perf_counter()
    derived = derive(folder / "bench.hdm")
    assert derived.model is not None and derived.data is not None, derived.diagnostics
    answer: dict[str, Any] = {"derive": time.perf_counter() - began, "wall": [], "cpu": [], "ess": []}
    backend = backends.load("numpyro")
    assert not isinstance(backend, Diagnostic), backend
    for seed in range(1, repeats + 1):
        clock = Clock()
        with clock.on():
            found = fit(derived.model, derived.data, backend, Settings(inference=inference, draws=draws, seed=seed))
        assert isinstance(found, Fit), found
        answer["wall"].append(clock.wall)
        answer["cpu"].append(clock.cpu)
        answer["ess"].append(least_effective(found.roles))
        answer["how"] = found.sampled.engine
        answer["khat"] = found.sampled.quality.get("khat")
        answer["fixed"] = {role: float(np.mean(values)) for role, values in found.roles.items() if values.ndim == 2}
        answer["sd"] = {role: float(np.std(values)) for role, values in found.roles.items() if values.ndim == 2}
    print("ANSWER " + json.dumps({**answer, "memory": memory()}), flush=True)


if __name__ == "__main__":
    main()
