"""A model whose nested groupings are integrated out is a Model with the density of the plain one, integrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.inference.exact.given import draw_given
from hdsl.inference.integrated import Integrated, integrated
from hdsl.model.distributions import NESTED
from hdsl.passes.marginal import lower
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


REGIONS = """group region id region group district id district in region group school id school in district
group room id room in school
unit pupil in room { covariate x : real covariate w : real outcome y : real }
treatment z { off = 0, on = 1 } assign z to pupil within room by bernoulli(0.5)
"""


def rooms(rows: int = 30) -> dict[str, np.ndarray]:
    """Return the columns of rooms in schools in districts in regions: some with one row, one school with one room."""
    columns = shapes.table(rows=rows)
    room = np.concatenate([np.arange(10), np.random.default_rng(4).integers(0, 8, rows - 10)])
    school = np.array([0, 0, 1, 1, 2, 3, 3, 4, 4, 5])[room]
    return columns | {"room": room, "school": school, "district": school // 2, "region": school // 4}


@pytest.mark.parametrize("levels", [3, 2, 1, 0])
@pytest.mark.parametrize("effects", ["", "vary x across school  vary z across district"])
def test_a_chain_of_four_levels(effects: str, levels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects are integrated out, whatever varies across them, and drawn back from their conditional law.

    Also where only some of the levels above the rooms are, and the others stay parameters.
    """
    monkeypatch.setattr(lower, "NESTED", {level: name for level, name in NESTED.items() if level <= levels} or {0: ""})
    text = f"{shapes.HEAD}{REGIONS}analysis {{ adjust for x  vary x across room  vary z across room  {effects} }}"
    model, data = shapes.model_of_text(text, tmp_path, rooms())
    found = integrated(model, data)
    assert isinstance(found, Integrated), found
    assert found.model.observations[0].law.distribution == NESTED.get(levels, "multinormal_lowrank")
    points = drawn(found, POINTS)
    at = [{name: value[k] for name, value in points.items()} for k in range(POINTS)]
    expected = [oracle.integrated(model, data, point, gone(found)) for point in at]
    got = [log_density(found.model, found.data, point) for point in at]
    np.testing.assert_allclose(np.diff(got), np.diff([e.log_density for e in expected]), rtol=1e-7, atol=1e-5)
    count = 4000
    sampled = {name: np.repeat(value[None], count, axis=0) for name, value in at[0].items()}
    effects_drawn = draw_given(found.marginal, sampled, seed=1)
    flat = np.concatenate([effects_drawn[name].reshape(count, -1) for name in gone(found)], axis=1)
    z = (flat - expected[0].mean) @ np.linalg.inv(np.linalg.cholesky(expected[0].covariance)).T
    np.testing.assert_allclose(z.T @ z / count, np.eye(z.shape[1]), atol=6 / np.sqrt(count))
    assert np.max(np.abs(z.mean(axis=0))) < 5 / np.sqrt(count)


def test_a_school_without_spread_is_none(tmp_path: Path) -> None:
    """As the spread across districts goes to zero, the density becomes that of a model without them."""
    columns = shapes.table()
    plain = integrated(*shapes.model_of_text(shapes.HEAD + shapes.SHAPES["intercepts"], tmp_path, columns))
    found = integrated(*shapes.model_of_text(shapes.HEAD + shapes.SHAPES["nested"], tmp_path, columns))
    assert isinstance(plain, Integrated)
    assert isinstance(found, Integrated)
    roles = {variable.role: variable.name for variable in found.model.variables}
    points = drawn(found, POINTS)
    points[roles["sd(intercept, district)"]] = np.full(POINTS, 1e-9)
    own = {variable.name: points[roles[variable.role]] for variable in plain.model.variables}
    got = [log_density(found.model, found.data, {n: v[k] for n, v in points.items()}) for k in range(POINTS)]
    expected = [log_density(plain.model, plain.data, {n: v[k] for n, v in own.items()}) for k in range(POINTS)]
    np.testing.assert_allclose(np.diff(got), np.diff(expected), rtol=1e-7, atol=1e-6)


def test_what_crosses_a_chain_stays_a_parameter(tmp_path: Path) -> None:
    """Its units are columns side by side, and the chain is integrated out."""
    columns = rooms() | {"month": np.arange(30) % 3}
    text = shapes.HEAD + """group school id school group room id room in school group month id month
unit pupil in room * month { covariate x : real covariate w : real outcome y : real }
treatment z { off = 0, on = 1 } assign z to pupil within room by bernoulli(0.5) analysis { adjust for x }"""
    found = integrated(*shapes.model_of_text(text, tmp_path, columns))
    assert isinstance(found, Integrated), found
    roles = {v.role for v in found.model.variables}
    assert any("month" in role and role.startswith("deviation") for role in roles)
    assert not any("school" in role and role.startswith("deviation") for role in roles)


FEW = shapes.PANEL + "analysis { vary z across person  vary x across person  vary z across month  vary z with x }"


def few() -> dict[str, np.ndarray]:
    """Return the columns of seven persons of one to five rows, hardly more rows than the persons' own effects take."""
    person = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 5, 6]
    month = [0, 1, 2, 3, 0, 0, 1, 2, 0, 1, 2, 3, 0, 1, 0, 1, 2, 0, 0]
    z = [0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0]
    x = [0.34, 0.27, -0.54, 0.31, -1.43, 0.516, 0.467, 1.334, -0.0437, -1.528, 0.233, 1.005, -0.628, -1.034]
    x += [0.674, -0.555, -0.13, -2.372, 0.594]
    y = np.random.default_rng(6).normal(size=19)
    return {"school": np.array(person), "month": np.array(month), "z": np.array(z), "x": np.array(x), "y": y}


def test_what_rounding_leaves_is_no_row(tmp_path: Path) -> None:
    """Where groups take up nearly all rows, no more rows are left than there are."""
    model, data = shapes.model_of_text(shapes.HEAD + FEW, tmp_path, few())
    found = integrated(model, data)
    assert isinstance(found, Integrated), found
    points = drawn(found, POINTS)
    at = [{name: value[k] for name, value in points.items()} for k in range(POINTS)]
    expected = [oracle.integrated(model, data, point, gone(found)).log_density for point in at]
    got = [log_density(found.model, found.data, point) for point in at]
    np.testing.assert_allclose(np.diff(got), np.diff(expected), rtol=1e-7, atol=1e-5)
