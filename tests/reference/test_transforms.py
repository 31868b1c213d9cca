"""The transforms: bijections whose Jacobians agree with finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray

from hdsl.reference.transforms import TRANSFORMS, Transform, interval

Array = NDArray[np.float64]
INTERVAL = interval(np.asarray(-1.5), np.asarray(4.0))


def _below(x: Array) -> Array:
    return x[np.tril_indices(x.shape[-1], -1)]


# Name, transform, constrained shape, and which constrained entries are coordinates.
CASES: list[tuple[str, Transform, tuple[int, ...], Callable[[Array], Array]]] = [
    ("real", TRANSFORMS["real"], (3,), np.ravel),
    ("positive", TRANSFORMS["positive"], (3,), np.ravel),
    ("unit", TRANSFORMS["unit"], (3,), np.ravel),
    ("interval", INTERVAL, (3,), np.ravel),
    ("ordered", TRANSFORMS["ordered"], (4,), np.ravel),
    ("simplex", TRANSFORMS["simplex"], (4,), lambda x: x[:-1]),
    ("cholesky_corr 2", TRANSFORMS["cholesky_corr"], (2, 2), _below),
    ("cholesky_corr 3", TRANSFORMS["cholesky_corr"], (3, 3), _below),
    ("cholesky_corr 4", TRANSFORMS["cholesky_corr"], (4, 4), _below),
]
IDS = [name for name, *_ in CASES]


def _jacobian(transform: Transform, coordinates: Callable[[Array], Array], free: Array) -> Array:
    columns = []
    for i in range(free.size):
        step = np.zeros(free.shape)
        step[i] = 1e-5
        up, down = transform.constrain(free + step)[0], transform.constrain(free - step)[0]
        columns.append((coordinates(up) - coordinates(down)) / 2e-5)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("name", "transform", "shape", "coordinates"), CASES, ids=IDS)
@settings(max_examples=25, deadline=None)
@given(data=some.data())
def test_jacobian_and_inverse(
    name: str,
    transform: Transform,
    shape: tuple[int, ...],
    coordinates: Callable[[Array], Array],
    data: some.DataObject,
) -> None:
    (size,) = transform.free_shape(shape)
    free = np.array(data.draw(some.lists(some.floats(-2, 2), min_size=size, max_size=size)))
    x, log_jacobian = transform.constrain(free)
    assert x.shape == shape
    np.testing.assert_allclose(transform.unconstrain(x), free, atol=1e-8)
    _, expected = np.linalg.slogdet(_jacobian(transform, coordinates, free))
    assert float(np.sum(log_jacobian)) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize(("name", "transform", "shape", "coordinates"), CASES, ids=IDS)
def test_leading_axes_are_free(
    name: str, transform: Transform, shape: tuple[int, ...], coordinates: Callable[[Array], Array]
) -> None:
    free = np.random.default_rng(1).normal(0, 1, transform.free_shape((2, 5, *shape)))
    x, log_jacobian = transform.constrain(free)
    assert x.shape == (2, 5, *shape)
    assert log_jacobian.shape[:2] == (2, 5)
    one, log_one = transform.constrain(free[1, 3])
    np.testing.assert_allclose(x[1, 3], one)
    np.testing.assert_allclose(log_jacobian[1, 3], log_one)


def test_results_lie_in_their_supports() -> None:
    free = np.random.default_rng(2).normal(0, 3, (50, 6))
    assert np.all(TRANSFORMS["positive"].constrain(free)[0] > 0)
    bounded = INTERVAL.constrain(free)[0]
    assert np.all((bounded > -1.5) & (bounded < 4))
    assert np.all(np.diff(TRANSFORMS["ordered"].constrain(free)[0], axis=-1) > 0)
    simplex = TRANSFORMS["simplex"].constrain(free)[0]
    np.testing.assert_allclose(np.sum(simplex, -1), 1)
    factor = TRANSFORMS["cholesky_corr"].constrain(free)[0]
    np.testing.assert_allclose(np.sum(factor**2, -1), 1)
    assert np.all(np.diagonal(factor, axis1=-2, axis2=-1) > 0)
    assert np.all(factor == np.tril(factor))


def test_the_origin_is_the_middle() -> None:
    np.testing.assert_allclose(TRANSFORMS["simplex"].constrain(np.zeros(3))[0], 0.25)
    np.testing.assert_allclose(TRANSFORMS["cholesky_corr"].constrain(np.zeros(3))[0], np.eye(3))
