"""Random models of every recognised shape: with effects integrated out they have the plain density, integrated."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings

from hdsl.inference.exact import marginal as module
from hdsl.inference.exact import together as together_module
from hdsl.inference.exact.density import log_density
from hdsl.inference.exact.hyper import hyper_at
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.inference.integrated import Integrated, integrated
from hdsl.model.ir import Model, ModelData
from hdsl.passes import suffice as suffice_module
from hdsl.reference import density as plain
from hdsl.reference.simulate import prior_draw
from tests import integrated as oracle
from tests.passes.drawn import Drawn, drawn
from tests.passes.drawn_equations import equations
from tests.passes.shapes import model_of_text
from tests.passes.test_marginal import by_reference, marginal, points_of

TOO_MANY_CLASSES = "the groups have too many variance classes"
OF_WEIGHTS = ("the weights are too small for sums of squares", "the outcome is known without error from its predictors")


def steps_of(model: Model, data: ModelData) -> dict[str, np.ndarray]:
    """Return the typical size of each random variable, by element, under its prior."""
    values = prior_draw(model, data, np.random.default_rng(2), draws=101)
    return {name: np.median(np.abs(value), axis=0) for name, value in values.items()}


def check(made: Drawn) -> None:
    """Compare every way to the density of a study with its effects integrated out."""
    with TemporaryDirectory() as folder:
        model, data = model_of_text(made.text, Path(folder), made.columns)
    found, steps = marginal(model, data), steps_of(model, data)
    points = points_of(found)[:2]
    references = [by_reference(found, model, data, point, steps) for point in points]
    expected = [reference.log_density + jacobian for reference, jacobian in references]
    np.testing.assert_allclose(log_density(found, points), expected, rtol=1e-7, atol=1e-5)
    with patch.object(module, "OUTER_AT_MOST", 0):
        np.testing.assert_allclose(log_density(marginal(model, data), points), expected, rtol=1e-7, atol=1e-5)
    with patch.object(suffice_module, "CELLS_AT_MOST", 0), patch.object(together_module, "LARGE", 1):
        sparse = marginal_of(model, data)
        if isinstance(sparse, Marginal):
            np.testing.assert_allclose(log_density(sparse, points), expected, rtol=1e-7, atol=1e-5)
    _check_written(model, data, steps, dict(hyper_at(found.linear, points).parameters))


def _check_written(model: Model, data: ModelData, steps: dict[str, np.ndarray], left: dict[str, np.ndarray]) -> None:
    """Compare the model that backends sample, up to a constant, at values of the hyperparameters."""
    found = integrated(model, data)
    if not isinstance(found, Integrated):
        weighted = model.observations[0].weight is not None
        assert found.reason in (TOO_MANY_CLASSES, *(OF_WEIGHTS if weighted else ()))
        return
    kept = {v.name for v in found.model.variables}
    gone = [v.name for v in model.variables if v.name not in kept]
    values = prior_draw(found.model, found.data, np.random.default_rng(3), draws=2)
    got, expected = [], []
    for k in range(2):
        point = {name: value[k] for name, value in {**values, **left}.items()}
        got.append(plain.log_density(found.model, found.data, point))
        whole = plain.log_density(model, data, point) if not gone else None
        expected.append(oracle.integrated(model, data, point, gone, steps).log_density if whole is None else whole)
    np.testing.assert_allclose(np.diff(got), np.diff(expected), rtol=1e-7, atol=1e-5)


@settings(max_examples=120, derandomize=True)
@given(drawn())
def test_density_is_the_plain_one_integrated(made: Drawn) -> None:
    check(made)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=1500, derandomize=True)
@given(drawn())
def test_density_is_the_plain_one_integrated_for_many(made: Drawn) -> None:
    check(made)


@settings(max_examples=60, derandomize=True)
@given(equations())
def test_density_of_equations_is_the_plain_one_integrated(made: Drawn) -> None:
    check(made)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=500, derandomize=True)
@given(equations())
def test_density_of_equations_is_the_plain_one_integrated_for_many(made: Drawn) -> None:
    check(made)
