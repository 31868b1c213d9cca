"""The law of nested groups is a multivariate normal one: of the dense covariance, and in its draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from hdsl.model.distributions import NESTED
from hdsl.reference import distributions
from hdsl.reference.density import arguments, definitions, log_likelihood
from hdsl.reference.values import Value
from tests import models

Array = np.ndarray


def dense(values: Mapping[str, Array], s: float, t: float, levels: int) -> Array:
    """Return the covariance of all rows, group by group, from who shares what."""
    groups, rows = values["y"].shape
    total = (0.2 + s) ** 2 * np.eye(groups * rows)
    unit = np.arange(groups)
    for level in range(-1, levels):
        name, scale = ("Z", s) if level < 0 else (f"W_{level}", (level + 0.5) * t)
        unit = unit if level < 0 else values[f"unit_{level}_of"][unit]
        columns = scale * values[name].swapaxes(0, 1).reshape(groups * rows, -1)
        same = np.repeat(np.repeat(unit[:, None] == unit[None, :], rows, axis=0), rows, axis=1)
        total += columns @ columns.T * same
    return total


@pytest.mark.parametrize("levels", list(NESTED))
@pytest.mark.parametrize("spreads", [(1.0, 0.7), (0.3, 1e-8), (1e-6, 2.0), (0.01, 1000.0)])
def test_density_is_that_of_the_dense_covariance(levels: int, spreads: tuple[float, float]) -> None:
    """Also where a level hardly varies, and where it varies far more than all below it."""
    model, data = models.nested_units(levels)
    s, t = spreads
    found = log_likelihood(model, data, {name: np.array([v]) for name, v in (("b", 0.4), ("s", s), ("t", t))})
    values = {name: np.asarray(array) for name, array in data.values.items()}
    mean = (0.4 * values["x"]).T.ravel()
    covariance = dense(values, s, t, levels)
    left = values["y"].ravel() - mean
    logs = np.linalg.slogdet(2 * np.pi * covariance)[1]
    expected = -0.5 * (left @ np.linalg.solve(covariance, left) + logs)
    (got,) = found.values()
    assert float(np.sum(got)) == pytest.approx(float(expected), rel=1e-8)


def test_draws_have_its_covariance() -> None:
    model, data = models.nested_units(2)
    env = definitions(model, data, {"b": 0.4, "s": 1.0, "t": 0.7})
    args = arguments(model.observations[0].law, env)
    name, count = NESTED[2], 40_000
    sizes = {**model.sizes, "draw": count}
    drawn = distributions.draw(name, np.random.default_rng(2), args, ("draw", "group", "row"), sizes)
    flat = drawn.real.reshape(count, -1)
    values = {key: np.asarray(array) for key, array in data.values.items()}
    expected = dense(values, 1.0, 0.7, 2)
    scale = np.sqrt(np.diag(expected))
    assert np.max(np.abs((np.cov(flat.T) - expected) / np.outer(scale, scale))) < 5 * np.sqrt(2 / count)
    own = distributions.variance(name, args, ("group", "row"))
    np.testing.assert_allclose(own.real.ravel(), np.diag(expected))
    np.testing.assert_allclose(distributions.mean(name, args, ("group", "row")).real, 0.4 * values["x"].T)
    assert isinstance(own, Value)
