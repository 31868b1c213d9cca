"""Rule 3: where treated shares differ between blocks, leaving the share out biases the effect, and keeping it mends it.

Source: Feller & Gelman (2015), stratified experiments. With the share among the predictors of the block's intercept the
estimate is the one within blocks (Mundlak 1978), whatever partial pooling does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hdsl import Settings, Study, bernoulli, complete, outcome, run
from hdsl.design.ir import Mechanism

TRUTH = 2.0
SCHOOLS, SIZE = 50, 8


@dataclass(frozen=True)
class Trial:
    """A simulated trial and its estimate within blocks, by least squares."""

    study: Study
    within: float

    def effect(self, mechanism: Mechanism, folder: Path) -> tuple[float, float, float]:
        """Return the mean and the 90% interval of the average effect under a stated assignment."""
        study = self.study.data(str(folder / "trial.csv")).assign("z", to="pupil", within=["school"], by=mechanism)
        (found,) = run(study, settings=Settings(draws=250)).estimand_summaries
        return found.mean, found.q5, found.q95


def trial(folder: Path, seed: int) -> Trial:
    """Draw 50 schools of 8 pupils; schools with better pupils have lower odds."""
    rng = np.random.default_rng(seed)
    school, count = np.repeat(np.arange(SCHOOLS), SIZE), rng.choice([1, 2, 4, 6, 7], SCHOOLS)
    z = np.concatenate([rng.permutation(np.arange(SIZE) < k) for k in count]).astype(int)
    base = 50 - 14 * (count / SIZE - 0.5) + rng.normal(0, 1.5, SCHOOLS)
    y = base[school] + TRUTH * z + rng.normal(0, 6, len(z))
    rows = np.column_stack((school, z, y))
    np.savetxt(folder / "trial.csv", rows, ["%d", "%d", "%.9g"], ",", header="school,z,y", comments="")
    y, z = (values - np.bincount(school, values)[school] / SIZE for values in (y, z))
    study = (
        Study("shares")
        .group("school", id="school")
        .unit("pupil", within="school", variables=[outcome("y", "real")])
        .treatment("z", lost=0, won=1)
        .estimand("ate", "average over pupil of y(z = won) - y(z = lost)")
    )
    return Trial(study, float(z @ y / (z @ z)))


def test_with_the_share_the_estimate_is_the_one_within_blocks(tmp_path: Path) -> None:
    for seed in range(3):
        found = trial(tmp_path, seed)
        mean, low, high = found.effect(complete(), tmp_path)
        assert abs(mean - found.within) < 0.06 * (high - low)


@pytest.mark.slow
def test_leaving_the_share_out_biases_the_effect_and_the_share_removes_the_bias(tmp_path: Path) -> None:
    kept, out = [], []
    for seed in range(100, 140):
        found = trial(tmp_path, seed)
        kept.append(found.effect(complete(), tmp_path))
        out.append(found.effect(bernoulli(0.5), tmp_path))
    with_share, without = np.array(kept), np.array(out)
    error = with_share[:, 0].std(ddof=1) / np.sqrt(len(kept))
    assert abs(with_share[:, 0].mean() - TRUTH) < 3.5 * error
    assert without[:, 0].mean() < TRUTH - 1.0
    covered = [float(np.mean((low < TRUTH) & (high > TRUTH))) for _, low, high in (with_share.T, without.T)]
    assert covered[0] > 0.75
    assert covered[1] < 0.6
