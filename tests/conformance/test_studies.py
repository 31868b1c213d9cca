"""The models of the example and case studies, plain and as passes prepare them, on every backend.

Sums of trees are left out: no backend has a density of them by a point of numbers.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hdsl import driver
from hdsl.backend import Backend, installed, load
from hdsl.diagnostics import Diagnostic
from hdsl.passes import prepare
from hdsl.reference import density, free
from tests.conformance.refused import assert_expressible

_ROOT = Path(__file__).resolve().parents[2]
_STUDIES = [
    path
    for path in sorted((*_ROOT.glob("examples/*/*.hdm"), *_ROOT.glob("tests/cases/*/*.hdm")))
    if " as bart" not in path.read_text()
]
_NAMES = os.environ.get("HDSL_BACKENDS", ",".join(sorted(installed()))).split(",")


def _backend(name: str) -> Backend:
    found = load(name)
    if isinstance(found, Diagnostic):
        pytest.skip(found.message)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("prepared", [False, True], ids=["plain", "prepared"])
@pytest.mark.parametrize("study", _STUDIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("name", _NAMES)
def test_log_density_of_a_study(name: str, study: Path, prepared: bool) -> None:
    backend = _backend(name)
    derived = driver.derive(study)
    assert derived.model is not None
    assert derived.data is not None
    model, data = prepare(derived.model, derived.data) if prepared else (derived.model, derived.data)
    assert_expressible(backend, model)
    function = backend.log_density(backend.lower(model, data), model, data)
    rng = np.random.default_rng(62)
    points = [free.random_point(model, data, rng, spread=0.5) for _ in range(2)]
    expected = np.diff([density.log_density(model, data, point) for point in points])
    found = np.diff([function(point)[0] for point in points])
    assert_allclose(found, expected, rtol=1e-8, atol=1e-6)
