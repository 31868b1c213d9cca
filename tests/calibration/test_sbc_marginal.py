"""Simulation-based calibration of NUTS on models with their groupings integrated out: ranks are uniform.

As in `test_sbc_exact`, with the effects that were integrated out drawn back afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdsl import backend as backends
from hdsl.backend import Backend
from hdsl.inference.fit import INTEGRATED, Fit, fit
from hdsl.model.ir import Model, ModelData
from hdsl.reference.simulate import prior_draw, simulate
from tests.calibration.test_sbc import MULTISITE, NESTED, SETTINGS, plain_model, ranks_of, uneven

REPLICATES = 200
DESIGNS = {"multi-site, joint effects": MULTISITE, "nested": NESTED}


def ranks(model: Model, data: ModelData, backend: Backend, seed: int) -> Mapping[str, int]:
    """Return the rank of each scalar truth among thinned draws."""
    rng = np.random.default_rng(seed)
    truth = prior_draw(model, data, rng)
    simulated = simulate(model, data, truth, rng)
    found = fit(model, simulated, backend, replace(SETTINGS, inference="marginal", seed=seed))
    assert isinstance(found, Fit), found
    assert INTEGRATED in found.sampled.engine
    return ranks_of(model, data, found.parameters, truth)


@pytest.mark.slow
@pytest.mark.stan
@pytest.mark.calibration
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", DESIGNS)
def test_ranks_are_uniform(name: str, tmp_path: Path) -> None:
    model, data = plain_model(tmp_path, DESIGNS[name])
    backend = backends.load("stan")
    assert not isinstance(backend, backends.Diagnostic)
    found = [ranks(model, data, backend, seed) for seed in range(1, REPLICATES + 1)]
    assert not uneven(found)
