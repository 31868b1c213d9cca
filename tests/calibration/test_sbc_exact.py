"""Simulation-based calibration of exact inference: ranks of true values among its draws are uniform.

As in `test_sbc`, with the plain model fixed: only the outcome is new in each replicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdsl.backend import Settings
from hdsl.inference.exact.accept import NotAccepted
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.inference.exact.run import exact_draws
from hdsl.model.ir import Model, ModelData
from hdsl.reference.simulate import prior_draw, simulate
from tests.calibration.test_sbc import (
    CLUSTERED,
    MULTISITE,
    NESTED,
    PANEL,
    SERIAL,
    SPREAD_BY_ARM,
    plain_model,
    ranks_of,
    uneven,
)

REPLICATES = 200
SETTINGS = Settings(chains=1, draws=495)
DESIGNS = {
    "multi-site, joint effects": MULTISITE,
    "cluster-randomised, variance by arm": CLUSTERED,
    "panel, crossed": PANEL,
    "nested": NESTED,
    "serial, AR(1) within persons": SERIAL,
    "multi-site, spread by arm": SPREAD_BY_ARM,
}


def ranks(model: Model, data: ModelData, seed: int) -> Mapping[str, int] | None:
    """Return the rank of each scalar truth among thinned draws; None where the weights were not accepted."""
    rng = np.random.default_rng(seed)
    truth = prior_draw(model, data, rng)
    found = marginal_of(model, simulate(model, data, truth, rng))
    assert isinstance(found, Marginal)
    drawn = exact_draws(found, replace(SETTINGS, seed=seed))
    if isinstance(drawn, NotAccepted):
        return None
    return ranks_of(model, data, drawn.values, truth)


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", DESIGNS)
def test_ranks_are_uniform(name: str, tmp_path: Path) -> None:
    """Data sets whose weights are not accepted go to NUTS: they are few, and do not bend the ranks."""
    model, data = plain_model(tmp_path, DESIGNS[name])
    every = [ranks(model, data, seed) for seed in range(1, REPLICATES + 1)]
    found = [each for each in every if each is not None]
    assert len(found) >= 0.9 * REPLICATES
    assert not uneven(found)
