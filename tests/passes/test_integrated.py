"""A model whose largest grouping is integrated out is a Model with the density of the plain one, integrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.inference.exact.given import draw_given
from hdsl.inference.integrated import Integrated, integrated
from hdsl.passes.marginal.recognise import Unrecognised
from hdsl.reference.density import log_density
from hdsl.reference.simulate import prior_draw
from tests import integrated as oracle
from tests.passes import shapes

POINTS = 3
TOO_MANY_CLASSES = (
    "spread with a covariate",
    "serial, beside effects, two spreads",
)
WITHOUT_EFFECTS = ("no groups", "no pooling", "spreads of coefficients", "serial")


def found_in(name: str, folder: Path) -> tuple[Integrated, shapes.Model, shapes.ModelData]:
    """Return a shape with its effects integrated out, and the plain model."""
    model, data = shapes.made(name, folder)
    found = integrated(model, data)
    assert isinstance(found, Integrated), found
    return found, model, data


def gone(found: Integrated) -> list[str]:
    """Return the names of the effects that are integrated out, in the order of the plain model."""
    left = {variable.name for variable in found.model.variables}
    return [v.name for v in found.marginal.linear.model.variables if v.name not in left]


def drawn(found: Integrated, draws: int, seed: int = 5) -> dict[str, np.ndarray]:
    """Return values of what is left, from its prior."""
    rng = np.random.default_rng(seed)
    return {name: np.asarray(value) for name, value in prior_draw(found.model, found.data, rng, draws=draws).items()}


@pytest.mark.parametrize("name", [name for name in shapes.ALL if name not in TOO_MANY_CLASSES])
def test_density_is_the_plain_one_integrated(name: str, tmp_path: Path) -> None:
    """Up to a constant, for every shape."""
    found, model, data = found_in(name, tmp_path)
    assert bool(gone(found)) == (name not in WITHOUT_EFFECTS)
    points = drawn(found, POINTS)
    got, expected = [], []
    for k in range(POINTS):
        point = {name: value[k] for name, value in points.items()}
        got.append(log_density(found.model, found.data, point))
        expected.append(
            oracle.integrated(model, data, point, gone(found)).log_density
            if gone(found)
            else log_density(model, data, point)
        )
    np.testing.assert_allclose(np.diff(got), np.diff(expected), rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in shapes.ALL if n not in (*TOO_MANY_CLASSES, *WITHOUT_EFFECTS)])
def test_effects_are_drawn_from_their_conditional_law(name: str, tmp_path: Path) -> None:
    """Means and covariances of draws given everything else are those of the exact conditional law."""
    found, model, data = found_in(name, tmp_path)
    point = {name: value[0] for name, value in drawn(found, 1).items()}
    count = 4000
    sampled = {name: np.repeat(value[None], count, axis=0) for name, value in point.items()}
    effects = draw_given(found.marginal, sampled, seed=1)
    reference = oracle.integrated(model, data, point, gone(found))
    flat = np.concatenate([effects[name].reshape(count, -1) for name in gone(found)], axis=1)
    z = (flat - reference.mean) @ np.linalg.inv(np.linalg.cholesky(reference.covariance)).T
    size = z.shape[1]
    assert np.max(np.abs(z.mean(axis=0))) < 5 / np.sqrt(count)
    np.testing.assert_allclose(z.T @ z / count, np.eye(size), atol=6 / np.sqrt(count))
    for name, value in sampled.items():
        np.testing.assert_array_equal(effects[name], value)


@pytest.mark.parametrize("name", TOO_MANY_CLASSES)
def test_what_is_not_written_has_a_reason(name: str, tmp_path: Path) -> None:
    found = integrated(*shapes.made(name, tmp_path))
    assert isinstance(found, Unrecognised)
    assert "variance classes" in found.reason


def test_rows_of_groups_do_not_grow(tmp_path: Path) -> None:
    """Ten times the rows: the same numbers of numbers."""
    sizes = []
    for rows in (60, 600):
        found = integrated(*shapes.made("joint effects", tmp_path, shapes.table(rows=rows)))
        assert isinstance(found, Integrated)
        sizes.append(sum(np.size(value) for value in found.values.values.values()))
    assert sizes[0] == sizes[1]


def test_outcomes_far_from_zero_keep_their_digits(tmp_path: Path) -> None:
    """A shift of the outcome by a million, followed by that of the intercept, leaves the density as it is."""
    columns = shapes.table()
    densities = []
    for shift in (0.0, 1e6):
        moved = {**columns, "y": columns["y"] + shift}
        text = shapes.HEAD + shapes.EQUATIONS["means with predictors"].replace("normal(0, 2)", f"normal({shift}, 2)")
        found = integrated(*shapes.model_of_text(text, tmp_path, moved))
        assert isinstance(found, Integrated)
        points = {name: value[0] for name, value in drawn(found, 1).items()}
        other = {name: value * 1.1 for name, value in points.items() if name in ("sigma", "sa")}
        base = log_density(found.model, found.data, points)
        densities.append(log_density(found.model, found.data, {**points, **other}) - base)
    assert densities[1] == pytest.approx(densities[0], rel=1e-6)


def test_units_above_the_largest_grouping_are_no_columns(tmp_path: Path) -> None:
    """Five hundred districts of two schools each are more than may stand side by side as columns."""
    columns = shapes.table(rows=3000)
    school = np.arange(3000) % 1000
    columns |= {"school": school, "district": school // 2}
    found = integrated(*shapes.model_of_text(shapes.HEAD + shapes.SHAPES["nested"], tmp_path, columns))
    assert isinstance(found, Integrated), found
    assert max(np.size(value) for value in found.values.values.values()) <= 5000
