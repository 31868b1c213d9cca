"""Checks of a fit where the answer is known: a wrong likelihood of real data, and how often right models are blamed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl import Settings, run
from hdsl.report.predictive import FitCheck

CASES = Path(__file__).resolve().parents[1] / "cases"
QUICK = Settings(chains=2, draws=400, warmup=400, seed=4)
STUDY = """study made
data "made.csv"
group school id school
unit student in school { covariate pretest : real  outcome score : real }
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by complete(0.5)
analysis { adjust for pretest  vary tutor across school }
"""


def failed(found: FitCheck) -> set[str]:
    return {check.name for check in found.checks if not check.passed}


@pytest.mark.slow
def test_poisson_counts_of_roaches_are_overdispersed() -> None:
    """Gelman & Hill (2007), chapter 8: the Poisson model has too few zeros and too little spread for these data."""
    poisson = failed(run(CASES / "roaches" / "poisson.hdm", settings=QUICK).check_fit())
    assert {"share of zeros", "variance over mean"} <= poisson
    assert not failed(run(CASES / "roaches" / "negative-binomial.hdm", settings=QUICK).check_fit())


@pytest.mark.slow
def test_growth_of_rats_bends() -> None:
    """The truth: a parabola for each rat by least squares, whose bends are tested against zero over rats."""
    found = run(CASES / "rats" / "reml.hdm", settings=QUICK)
    rats, y = found.bound.levels["rat"].rows, found.bound.variables["weight"].values
    days = found.bound.at_rows(found.bound.variables["day"].level, found.bound.variables["day"].values)
    bends = np.array([np.polyfit(days[rats == rat], y[rats == rat], 2)[0] for rat in range(rats.max() + 1)])
    assert abs(bends.mean()) > 4 * bends.std(ddof=1) / np.sqrt(len(bends))
    assert "bend along day" in failed(found.check_fit())


@pytest.mark.slow
@pytest.mark.calibration
def test_right_models_are_seldom_blamed(tmp_path: Path) -> None:
    """At 0.5% a check, 25 studies of 11 checks give 1.4 failures if replicates were independent of the data."""
    blamed: list[str] = []
    shares: list[float] = []
    for seed in range(25):
        path = simulated(tmp_path, seed)
        found = run(path, settings=Settings(chains=2, draws=500, warmup=300, seed=seed)).check_fit()
        blamed += failed(found)
        shares += [check.p for check in found.checks if check.name == "bend along pretest"]
    assert len(blamed) <= 4, blamed
    assert 0.3 < np.mean(shares) < 0.7
    assert np.ptp(shares) > 0.5


def simulated(folder: Path, seed: int) -> Path:
    """Write data drawn from the study's model and return the path of the study."""
    random = np.random.default_rng(seed)
    school = np.repeat(np.arange(20), 16)
    tutor = np.tile(np.arange(16) % 2, 20)
    pretest = random.normal(size=320)
    level, effect = 0.7 * random.normal(size=20)[school], 1 + 0.4 * random.normal(size=20)[school]
    score = level + 0.5 * pretest + effect * tutor + random.normal(size=320)
    lines = [f"s{s},{t},{x},{y}" for s, t, x, y in zip(school, tutor, pretest, score, strict=True)]
    (folder / "made.csv").write_text("\n".join(["school,tutor,pretest,score", *lines]) + "\n")
    path = folder / "made.hdm"
    path.write_text(STUDY)
    return path
