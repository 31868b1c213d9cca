"""Binary outcomes with discrete covariates: effects integrated out by quadrature against NUTS on cells and on rows.

Each way draws from the posterior of the same study in one process. Counted are the fewest bulk effective draws
among the parameters, and among 20 groups' effects, by second of processor time, compiling left out. NUTS on rows is run
where it takes minutes; elsewhere its time is extrapolated: steps of the run on cells times the measured time of a
gradient over the rows. Its effective draws are then those of the run on cells, whose posterior is the same.

    python -m benchmarks.cells [--size small|large] [--draws 1000] [--repeats 3] [--rows run|extrapolate]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIZES = {"small": (10_000, 1_000), "large": (1_000_000, 2_000)}
STUDY = """study bench "A simulated multi-site trial with a binary outcome"
data "bench.parquet"
group site id site
unit person in site { covariate grade : real  outcome passed : binary }
treatment tutor { none = 0, tutored = 1 }
assign tutor to person within site by bernoulli(0.5)
analysis { adjust for grade }
"""
SHOWN_GROUPS = 20
GRADIENTS = 30


def write_study(folder: Path, rows: int, sites: int) -> Path:
    """Write the study with simulated data and return its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(20)
    site, tutor, grade = rng.integers(0, sites, rows), rng.integers(0, 2, rows), rng.integers(0, 4, rows)
    logit = -0.5 + 0.7 * rng.normal(size=sites)[site] + 0.5 * tutor + 0.3 * (grade - 1.5)
    passed = (rng.uniform(size=rows) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    pq.write_table(pa.table({"site": site, "tutor": tutor, "grade": grade, "passed": passed}), folder / "bench.parquet")
    (folder / "bench.hdm").write_text(STUDY)
    return folder / "bench.hdm"


def least_effective(model: Any, values: Mapping[str, Any]) -> float:
    """Return the fewest effective draws among the parameters and some groups' effects."""
    from hdsl.inference.convergence import convergence

    found: list[float] = []
    for variable in model.variables:
        drawn = np.asarray(values[variable.name])
        flat = drawn.reshape(*drawn.shape[:2], -1)[..., :SHOWN_GROUPS]
        found.append(float(np.nanmin(convergence(flat).bulk)))
    return min(found)


def by_quadrature(model: Any, data: Any, settings: Any) -> dict[str, float]:
    """Measure exact inference, the making of cells included."""
    from hdsl.inference.quadrature.groups import grouped
    from hdsl.inference.quadrature.recognise import Predicted, predicted
    from hdsl.inference.quadrature.run import quadrature_draws

    wall, cpu = time.perf_counter(), time.process_time()
    found = predicted(model, data)
    assert isinstance(found, Predicted)
    drawn: Any = quadrature_draws(grouped(found), settings)
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    khat = drawn.quality["khat"]
    return {**spent, "ess": least_effective(model, drawn.values), "khat": khat, "cells": len(found.known)}


def by_nuts(model: Any, data: Any, settings: Any, *, over_cells: bool) -> dict[str, float]:
    """Measure NUTS on the prepared model; compiling is left out, by a run of a few draws before."""
    from hdsl_numpyro import backend

    from hdsl.inference.recover import recover

    prepared, values = prepared_of(model, data, over_cells=over_cells)
    program = backend.lower(prepared, values)
    backend.sample(program, prepared, values, replace(settings, warmup=2, draws=2))
    wall, cpu = time.perf_counter(), time.process_time()
    drawn = backend.sample(program, prepared, values, settings)
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    own = recover(prepared, values, model, drawn.values)
    steps = float(np.sum(np.asarray(drawn.statistics["n_steps"], dtype=np.float64)))
    return {**spent, "ess": least_effective(model, own), "steps": steps, "gradient": gradient_seconds(prepared, values)}


def prepared_of(model: Any, data: Any, *, over_cells: bool) -> Any:
    """Return the model after the passes, with or without that which makes cells."""
    from hdsl import passes

    lean = passes.precompute(model, data)
    whole = passes.cells(*lean) if over_cells else lean
    moved = passes.reparameterise(passes.centre(whole[0]), whole[1])
    return passes.standardise(moved, whole[1]), whole[1]


def gradient_seconds(model: Any, data: Any) -> float:
    """Return the processor time of one gradient of the sampled density, the median of some."""
    import jax
    from hdsl_numpyro import backend
    from hdsl_numpyro.runtime import device_data, model_function
    from hdsl_numpyro.runtime import prepare as set_up
    from numpyro.infer.util import initialize_model

    set_up()
    program = backend.lower(model, data)
    arrays = device_data(data)
    made = initialize_model(
        jax.random.PRNGKey(1), model_function(program), model_args=(arrays,), dynamic_args=True, validate_grad=False
    )
    potential = made.potential_fn
    slope = jax.jit(lambda at, given: jax.value_and_grad(potential(given))(at))
    point = made.param_info.z
    jax.block_until_ready(slope(point, arrays))
    spent: list[float] = []
    for _ in range(GRADIENTS):
        cpu = time.process_time()
        jax.block_until_ready(slope(point, arrays))
        spent.append(time.process_time() - cpu)
    return median(spent)


def extrapolated(model: Any, data: Any, cells: Mapping[str, float]) -> dict[str, float]:
    """Return NUTS on rows by the cost of its gradients, all else as in the run on cells."""
    gradient = gradient_seconds(*prepared_of(model, data, over_cells=False))
    ratio = gradient / cells["gradient"]
    return {"cpu": cells["cpu"] * ratio, "ess": cells["ess"], "gradient": gradient, "extrapolated": 1.0}


def measured(size: str, draws: int, repeats: int, rows: str) -> dict[str, Any]:
    """Return the figures of each way: medians of repeated runs with different seeds."""
    from hdsl.backend import Settings
    from hdsl.driver import derive

    count, sites = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        derived = derive(write_study(Path(folder), count, sites))
    assert derived.model is not None
    assert derived.data is not None
    model, data = derived.model, derived.data
    exact, cells = [], []
    for seed in range(1, repeats + 1):
        exact.append(by_quadrature(model, data, Settings(draws=draws, seed=seed)))
    settings = Settings(draws=draws, warmup=500, seed=1, inference="nuts")
    cells = by_nuts(model, data, settings, over_cells=True)
    over_rows = by_nuts(model, data, settings, over_cells=False) if rows == "run" else extrapolated(model, data, cells)
    middle = {key: median(each[key] for each in exact) for key in exact[0]}
    found: dict[str, Any] = {"rows": count, "groups": sites, "quadrature": middle, "nuts on cells": cells}
    found["nuts on rows"] = over_rows
    for way in ("quadrature", "nuts on cells", "nuts on rows"):
        found[way]["ess per cpu second"] = found[way]["ess"] / found[way]["cpu"]
    return found


def main() -> None:
    """Measure and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", choices=("run", "extrapolate"), default="extrapolate")
    given = parser.parse_args()
    print(json.dumps(measured(given.size, given.draws, given.repeats, given.rows), indent=1))


if __name__ == "__main__":
    main()
