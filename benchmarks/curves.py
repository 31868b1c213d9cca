"""What rows cost and what groups cost: the stages of an exact fit as one of both grows, in this process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.shapes import SHAPES, Shape

ROWS = tuple(("multisite", rows, 1_000) for rows in (10_000, 30_000, 100_000, 300_000, 1_000_000))
GROUPS = tuple(("nested", 20 * rooms, rooms) for rooms in (300, 1_000, 3_000, 10_000, 30_000))
REPEATS, DRAWS = 5, 350


def curves() -> Iterator[Mapping[str, Any]]:
    """Yield for each size the median seconds of the statistics, the hyperparameters and the groups' effects."""
    shapes = {shape.name: shape for shape in SHAPES}
    for grows, sizes in (("rows", ROWS), ("groups", GROUPS)):
        for name, rows, groups in sizes:
            yield {"grows": grows, "shape": name, "rows": rows, "groups": groups, **stages(shapes[name], rows, groups)}


def stages(shape: Shape, rows: int, groups: int) -> Mapping[str, float]:
    """Return the median seconds of each stage of an exact fit, after a fit that is not counted."""
    from hdsl.backend import Draws, Settings
    from hdsl.driver import derive
    from hdsl.inference.exact.marginal import Marginal, marginal_of
    from hdsl.inference.exact.run import exact_draws

    with tempfile.TemporaryDirectory() as folder:
        derived = derive(shape.write(Path(folder), rows, groups))
    assert derived.model is not None and derived.data is not None, derived.diagnostics
    found: list[Mapping[str, float]] = []
    for seed in range(REPEATS + 1):
        began = time.perf_counter()
        marginal = marginal_of(derived.model, derived.data)
        assert isinstance(marginal, Marginal), marginal
        spent = time.perf_counter() - began
        drawn = exact_draws(marginal, Settings(draws=DRAWS, seed=seed))
        assert isinstance(drawn, Draws), drawn
        found.append({"statistics": spent, **drawn.seconds})
    return {stage: median(each[stage] for each in found[1:]) for stage in found[0]}
