"""Both engines of Stan run the same program: its density with Jacobians and gradient are the reference's.

Over Stan's own unconstrained coordinates. The CmdStan half needs an installation in CMDSTAN; it compiles a
program for each case, which takes a while the first time.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

pytest.importorskip("hdsl_stan")

from hdsl_stan import backend, density, engine_cmdstan
from hdsl_stan.data import stan_data
from hdsl_stan.lower import lowered
from hdsl_stan.values import RANK, Stored

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Model, ModelData
from hdsl.reference import density as reference
from hdsl.reference import free
from tests.conformance.cases import CASES
from tests.conformance.gaps import GAPS

Array = NDArray[np.float64]
Point = dict[str, Array]
pytestmark = pytest.mark.stan


def _marked(case: str) -> object:
    gap = GAPS.get(("stan", "gradient", case))
    marks = [pytest.mark.xfail(strict=True, reason=gap.reason, raises=AssertionError)] if gap else []
    return pytest.param(case, marks=marks, id=case.replace(" ", "_"))


_GRADIENT_CASES = [_marked(case) for case in CASES]


def cmdstan(model: Model, data: ModelData, jacobian: bool) -> Callable[[Point], tuple[float, Array]]:
    """Return CmdStan's log density at parameters, and its gradient by Stan's unconstrained coordinates."""
    result = lowered(model)
    source = backend.lower(model, data).source
    items = stan_data(model, data, result)

    def evaluate(point: Point) -> tuple[float, Array]:
        named = {result.parameters[name].name: array.tolist() for name, array in point.items()}
        return engine_cmdstan.log_prob(source, items, named, jacobian)

    return evaluate


def _points(model: Model, data: ModelData, count: int) -> list[Point]:
    rng = np.random.default_rng(61)
    return [free.random_point(model, data, rng, spread=0.8) for _ in range(count)]


def _ordered(variable: Stored, coordinates: Array) -> Array:
    """Return a parameter's coordinates in Stan's order: arrays row by row, matrices column by column."""
    if coordinates.ndim < len(variable.dims):
        return np.ravel(coordinates)
    arrays, rank = variable.arrays, RANK[variable.base]
    order = (*range(arrays), *reversed(range(arrays, arrays + rank)))
    return np.ravel(np.transpose(coordinates, order))


def reference_gradient(model: Model, data: ModelData, point: Point) -> Array:
    """Return the reference's gradient by Stan's unconstrained coordinates, in Stan's order."""
    slopes = free.unconstrained_gradient(model, data, free.unconstrain(model, data, point))
    parameters = lowered(model).parameters
    return np.concatenate([_ordered(parameters[name], slope) for name, slope in slopes.items()])


def has_simplex(model: Model) -> bool:
    """Tell whether a parameter is a simplex, whose coordinates differ between versions of Stan."""
    return any(DISTRIBUTIONS[each.law.distribution].support == "simplex" for each in model.variables)


def _check_gradient(model: Model, data: ModelData, function: Callable[[Point], tuple[float, Array]]) -> None:
    for point in _points(model, data, 2):
        found = function(point)[1]
        expected = reference_gradient(model, data, point)
        assert found.shape == expected.shape
        assert_allclose(found, expected, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("case", _GRADIENT_CASES)
def test_stanli_gradient(case: str) -> None:
    pytest.importorskip("stanli")
    model, data = CASES[case]()
    if has_simplex(model):
        assert case == "parameter: dirichlet"
        return
    _check_gradient(model, data, density.unconstrained(model, data)[0])


needs_cmdstan = pytest.mark.skipif(not os.environ.get("CMDSTAN"), reason="CMDSTAN names no CmdStan installation")


@pytest.mark.slow
@needs_cmdstan
@pytest.mark.parametrize("case", CASES)
def test_cmdstan_value(case: str) -> None:
    model, data = CASES[case]()
    points = _points(model, data, 2)
    plain, whole = cmdstan(model, data, jacobian=False), cmdstan(model, data, jacobian=True)
    expected = np.array([reference.log_density(model, data, point) for point in points])
    assert_allclose(np.diff([plain(point)[0] for point in points]), np.diff(expected), rtol=1e-8, atol=1e-8)
    coordinates = [free.unconstrain(model, data, point) for point in points]
    with_jacobian = [float(free.unconstrained_log_densities(model, data, each, ())) for each in coordinates]
    assert_allclose(np.diff([whole(point)[0] for point in points]), np.diff(with_jacobian), rtol=1e-8, atol=1e-8)


@pytest.mark.slow
@needs_cmdstan
@pytest.mark.parametrize("case", _GRADIENT_CASES)
def test_cmdstan_gradient(case: str) -> None:
    model, data = CASES[case]()
    if has_simplex(model):
        assert case == "parameter: dirichlet"
        return
    _check_gradient(model, data, cmdstan(model, data, jacobian=True))
