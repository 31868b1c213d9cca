"""Every backend has the reference's log density and gradient, on every case.

A third-party backend runs these tests by being installed (`HDSL_BACKENDS=its_name` leaves out the others).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from hdsl.backend import Backend
from hdsl.model.ir import Model, ModelData
from hdsl.reference import density, free
from tests.conformance.cases import CASES
from tests.conformance.jacobian import pushed_forward
from tests.conformance.refused import assert_expressible

Point = Mapping[str, NDArray[np.float64]]
_POINTS = 3
_OFFERED = ("unconstrained_log_density", "sampled_density")


def _points(model: Model, data: ModelData) -> list[dict[str, NDArray[np.float64]]]:
    rng = np.random.default_rng(60)
    return [free.random_point(model, data, rng, spread=0.8) for _ in range(_POINTS)]


def _built(backend: Backend, case: str) -> tuple[Model, ModelData]:
    model, data = CASES[case]()
    assert_expressible(backend, model)
    return model, data


def test_value(backend: Backend, case: str) -> None:
    """Differences of the log density between random points are the reference's."""
    model, data = _built(backend, case)
    function = backend.log_density(backend.lower(model, data), model, data)
    points = _points(model, data)
    expected = np.array([density.log_density(model, data, point) for point in points])
    found = np.array([function(point)[0] for point in points])
    assert np.all(np.isfinite(found))
    assert_allclose(np.diff(found), np.diff(expected), rtol=1e-8, atol=1e-8)


def test_gradient(backend: Backend, case: str) -> None:
    """The derivatives by the entries of each parameter are the reference's finite differences."""
    model, data = _built(backend, case)
    function = backend.log_density(backend.lower(model, data), model, data)
    for point in _points(model, data):
        expected = free.gradient(model, data, point)
        _, found = function(point)
        assert found.keys() == expected.keys()
        varying = free.free_entries(model)
        for name, slope in expected.items():
            assert np.shape(found[name]) == slope.shape, name
            masked = np.where(varying[name], found[name], 0.0)
            assert_allclose(masked, slope, rtol=1e-5, atol=2e-6, err_msg=name)


def test_transformed(backend: Backend, case: str) -> None:
    """The density that is sampled, over unconstrained coordinates and with its Jacobians, is the reference's.

    A backend offers one of two functions. `unconstrained_log_density(program, model, data)` gives that density at
    values of the random variables, for coordinates whose Jacobians are the reference's up to a constant.
    `sampled_density(program, model, data)` gives the number of coordinates, whatever they are, and a function
    from a vector of them to the density and the values: then the Jacobian is that of this very map.
    """
    model, data = _built(backend, case)
    program = backend.lower(model, data)
    at_values, at_coordinates = (getattr(backend, name, None) for name in _OFFERED)
    if at_values is not None:
        points = _points(model, data)
        coordinates = [free.unconstrain(model, data, point) for point in points]
        expected = [float(free.unconstrained_log_densities(model, data, each, ())) for each in coordinates]
        density_at = at_values(program, model, data)
        assert_allclose(np.diff([density_at(point) for point in points]), np.diff(expected), rtol=1e-8, atol=1e-8)
    elif at_coordinates is not None:
        size, function = at_coordinates(program, model, data)
        points = np.random.default_rng(60).uniform(-0.8, 0.8, (_POINTS, size))
        expected = [pushed_forward(model, data, lambda flat: function(flat)[1], point) for point in points]
        assert_allclose(np.diff([function(point)[0] for point in points]), np.diff(expected), rtol=1e-7, atol=1e-7)
    else:
        pytest.skip(f"the backend offers neither {' nor '.join(_OFFERED)}")
