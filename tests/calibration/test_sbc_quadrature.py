"""Simulation-based calibration of quadrature: ranks of true values among its draws are uniform.

As in `test_sbc_exact`, for outcomes that are not Gaussian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdsl.backend import Settings
from hdsl.inference.exact.accept import NotAccepted
from hdsl.inference.quadrature.groups import grouped
from hdsl.inference.quadrature.recognise import Predicted, predicted
from hdsl.inference.quadrature.run import quadrature_draws
from hdsl.model.ir import Model, ModelData
from hdsl.reference.simulate import prior_draw, simulate
from tests.calibration.test_sbc import BINARY, COUNTS, plain_model, ranks_of, uneven

REPLICATES = 200
SETTINGS = Settings(chains=1, draws=495)
DESIGNS = {
    "binary, multi-site, joint effects": BINARY.replace("adjust for x", "adjust for x  vary z across school"),
    "counts, separate effects": COUNTS,
}


def ranks(model: Model, data: ModelData, seed: int) -> Mapping[str, int] | None:
    """Return the rank of each scalar truth among thinned draws; None where the weights were not accepted."""
    rng = np.random.default_rng(seed)
    truth = prior_draw(model, data, rng)
    found = predicted(model, simulate(model, data, truth, rng))
    assert isinstance(found, Predicted)
    drawn = quadrature_draws(grouped(found), replace(SETTINGS, seed=seed))
    if isinstance(drawn, NotAccepted):
        return None
    return ranks_of(model, data, drawn.values, truth)


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", DESIGNS)
def test_ranks_are_uniform(name: str, tmp_path: Path) -> None:
    """Data sets whose weights are not accepted go to NUTS: they are few, and do not bend the ranks."""
    model, data = plain_model(tmp_path, DESIGNS[name])
    every = [ranks(model, data, seed) for seed in range(1, REPLICATES + 1)]
    found = [each for each in every if each is not None]
    assert len(found) >= 0.9 * REPLICATES
    assert not uneven(found)
