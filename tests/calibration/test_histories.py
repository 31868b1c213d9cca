"""Coverage of the effect of a treatment history: last year's outcome decides the treatment and carries its effect."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import hdsl
from hdsl import Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REPLICATES = 40


def write(path: Path, rng: np.random.Generator, pupils: int = 120) -> None:
    """Write data of the design of examples/tracking: an effect of 3 of which 0.6 is carried to the next year."""
    ability = rng.normal(20, 2.5, pupils)
    score, lessons = ability / 0.4 + rng.normal(0, 5, pupils), np.zeros(pupils, int)
    lines = ["pupil,year,lessons,score"]
    for year in range(1, 6):
        if year > 1:
            lessons = (rng.random(pupils) < 1 / (1 + np.exp((score - 50) / 5))).astype(int)
            score = ability + 0.6 * score + 3.0 * lessons + rng.normal(0, 4, pupils)
        lines += [f"{i},{year},{z},{y:.2f}" for i, (z, y) in enumerate(zip(lessons, score, strict=True))]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.timeout(600)
def test_a_history_has_its_coverage(tmp_path: Path) -> None:
    study = runpy.run_path(str(EXAMPLES / "tracking" / "tracking.py"))["study"]
    study = study.model_copy(update={"estimands": ()}).estimand(
        "early",
        "average over record where year = 5 of "
        "score(lessons = extra at year 2..4) - score(lessons = none at year 2..4)",
    )
    truth = 3.0 * (0.6 + 0.6**2 + 0.6**3)
    rng = np.random.default_rng(18)
    inside, errors = 0, list[float]()
    for replicate in range(REPLICATES):
        write(tmp_path / "d.csv", rng)
        settings = Settings(draws=300, warmup=300, chains=2, seed=replicate)
        result = hdsl.run(study, data=str(tmp_path / "d.csv"), settings=settings)
        (found,) = result.estimand_summaries
        inside += found.q5 <= truth <= found.q95
        errors.append((found.mean - truth) / found.sd)
    assert inside >= 31, inside
    assert abs(np.mean(errors)) < 0.5, np.mean(errors)
