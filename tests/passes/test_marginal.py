"""A model with its effects integrated out has the density of the plain model, integrated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from hdsl.inference.exact import effects as effects_module
from hdsl.inference.exact import marginal as module
from hdsl.inference.exact import together as together_module
from hdsl.inference.exact.density import log_density
from hdsl.inference.exact.effects import draw_effects
from hdsl.inference.exact.hyper import hyper_at, packed, unpacked
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import suffice as suffice_module
from hdsl.passes.marginal.recognise import Unrecognised
from hdsl.reference.free import constrain
from hdsl.reference.simulate import prior_draw
from tests import models
from tests.integrated import Integrated, integrated
from tests.passes import shapes

POINTS = 3


def marginal(model: Model, data: ModelData) -> Marginal:
    """Return the marginal model of one that must be recognised."""
    found = marginal_of(model, data)
    assert isinstance(found, Marginal), found
    return found


def points_of(found: Marginal, seed: int = 5) -> np.ndarray:
    """Return hyperparameters from their prior, unconstrained."""
    if found.size == 0:
        return np.zeros((POINTS, 0))
    linear = found.linear
    return packed(linear, prior_draw(linear.hyper, linear.data, np.random.default_rng(seed), draws=POINTS))


def by_reference(
    found: Marginal,
    model: Model,
    data: ModelData,
    point: np.ndarray,
    steps: Mapping[str, np.ndarray] | None = None,
) -> tuple[Integrated, float]:
    """Return the plain model integrated by quadratics at a point, and the log Jacobian there."""
    hyper = hyper_at(found.linear, point[None])
    others = {name: value[0] for name, value in hyper.parameters.items()}
    effects = [effect.name for effect in found.linear.effects]
    jacobian = 0.0
    if found.size:
        free = unpacked(found.linear.hyper, point[None])
        jacobian = float(constrain(found.linear.hyper, found.linear.data, free, ("draw",))[1][0])
    return integrated(model, data, others, effects, steps), jacobian


@pytest.mark.parametrize("outer", [True, False], ids=["by pattern", "by group"])
@pytest.mark.parametrize("name", shapes.ALL)
def test_density_is_the_plain_one_integrated(
    name: str, outer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not outer:
        monkeypatch.setattr(module, "OUTER_AT_MOST", 0)
    model, data = shapes.made(name, tmp_path)
    found = marginal(model, data)
    assert (found.patterns is None) or outer
    points = points_of(found)
    expected = []
    for point in points:
        reference, jacobian = by_reference(found, model, data, point)
        expected.append(reference.log_density + jacobian)
    np.testing.assert_allclose(log_density(found, points), expected, rtol=1e-7, atol=1e-5)


UNGROUPED = ("no groups", "summaries", "spreads of coefficients", "no pooling", "serial")
GROUPED = [name for name in shapes.ALL if name not in UNGROUPED]
MANY_ROWS_A_GROUP = (
    "spread across schools",
    "spread with a covariate",
    "serial, beside intercepts",
    "serial, beside effects, two spreads",
)


def _sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every model for one whose columns are too many, and every system of equations for a large one."""
    monkeypatch.setattr(suffice_module, "CELLS_AT_MOST", 0)
    monkeypatch.setattr(together_module, "LARGE", 1)
    monkeypatch.setattr(effects_module, "LARGE", 1)


@pytest.mark.parametrize("name", GROUPED)
def test_sparse_columns_give_the_same_density(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crossed groupings of many units: the same numbers from sparse columns."""
    model, data = shapes.made(name, tmp_path)
    dense = marginal(model, data)
    points = points_of(dense)
    expected = log_density(dense, points)
    _sparse(monkeypatch)
    found = marginal_of(model, data)
    if isinstance(found, Unrecognised):
        assert name in MANY_ROWS_A_GROUP, found.reason
        return
    assert found.statistics.finest is not None
    assert found.statistics.finest.sparse
    np.testing.assert_allclose(log_density(found, points), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["varying_slopes", "varying_slopes_noncentred", "crossed"])
def test_hand_written_models(name: str) -> None:
    """Centred, non-centred and crossed effects are recognised from their expressions alone."""
    model, data = models.MODELS[name]()
    found = marginal(model, data)
    left = {"varying_slopes": 4, "varying_slopes_noncentred": 4, "crossed": 3}[name]
    assert found.size == left
    (point, *_) = points_of(found)
    reference, jacobian = by_reference(found, model, data, point)
    np.testing.assert_allclose(log_density(found, point[None])[0], reference.log_density + jacobian, rtol=1e-8)


SPARSE_TOO = ["nested, effects at both levels", "crossed, slopes by month", "spread by arm", "weighted"]


@pytest.mark.parametrize(
    ("name", "sparse"), [*((name, False) for name in shapes.ALL), *((name, True) for name in SPARSE_TOO)]
)
def test_effects_are_drawn_from_their_conditional_law(
    name: str, sparse: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means and covariances of draws at fixed hyperparameters are those of the exact conditional law."""
    if sparse:
        _sparse(monkeypatch)
    model, data = shapes.made(name, tmp_path)
    found = marginal(model, data)
    point = points_of(found)[0]
    count = 4000
    drawn = draw_effects(found, np.repeat(point[None], count, axis=0), seed=1)
    reference, _ = by_reference(found, model, data, point)
    flat = np.concatenate([drawn[effect.name].reshape(count, -1) for effect in found.linear.effects], axis=1)
    sd = np.sqrt(np.diag(reference.covariance))
    away = (flat.mean(axis=0) - reference.mean) / sd * np.sqrt(count)
    assert np.max(np.abs(away)) < 5
    z = (flat - reference.mean) @ np.linalg.inv(np.linalg.cholesky(reference.covariance)).T
    size = z.shape[1]
    assert np.sum(z**2) / (count * size) == pytest.approx(1, abs=6 * np.sqrt(2 / (count * size)))
    np.testing.assert_allclose(z.T @ z / count, np.eye(size), atol=6 / np.sqrt(count))


REFUSED = {
    "bernoulli": "bernoulli_logit",
    "student_by_arm": "student",
    "censored_weibull": "weibull",
    "categorical": "categorical_logit",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_gaussian_is_named(name: str) -> None:
    found = marginal_of(*models.MODELS[name]())
    assert isinstance(found, Unrecognised)
    assert REFUSED[name] in found.reason


def test_coefficients_without_a_normal_law_are_left(tmp_path: Path) -> None:
    """A Student slope stays a hyperparameter; the spread that multiplies an effect does, too."""
    found = marginal(*shapes.made("products of spreads and standard effects", tmp_path))
    left = [variable.name for variable in found.linear.hyper.variables]
    assert set(left) == {"spread", "beta_", "sigma"}


def test_groups_of_the_same_shape_are_taken_together(tmp_path: Path) -> None:
    """Balanced groups make one pattern."""
    columns = shapes.table(rows=24)
    columns["school"], columns["z"] = np.repeat(np.arange(6), 4), np.tile([0, 1], 12)
    found = marginal(*shapes.made("joint effects", tmp_path, columns))
    assert found.patterns is not None
    assert len(found.patterns.own) == 1
