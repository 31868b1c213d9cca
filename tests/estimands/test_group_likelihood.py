"""The likelihood of whole groups against closed forms and dense quadrature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from hdsl import Study, complete, outcome
from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.estimands.group_likelihood import NotIntegrable, group_log_likelihood
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData

Array = NDArray[np.float64]
SCHOOLS, ROOMS, PUPILS, DRAWS = 6, 3, 4, 7


def made(folder: Path, study: Study) -> tuple[Model, ModelData, Bound]:
    """Bind a study to six schools of three rooms of four pupils, and derive its model."""
    rng = np.random.default_rng(3)
    room = np.repeat(np.arange(SCHOOLS * ROOMS), PUPILS)
    z, y = np.tile([0, 1, 0, 1], SCHOOLS * ROOMS), rng.normal(size=len(room)).round(3)
    rows = np.column_stack((room // ROOMS, room, z, y, y > 0.3))
    np.savetxt(folder / "d.csv", rows, ["%d", "%d", "%d", "%.3f", "%d"], ",", header="school,room,z,y,b", comments="")
    bound, problems = bind(study.data("d.csv"), folder)
    assert bound is not None, problems
    found, _ = model_of(bound)
    assert found is not None
    return *found, bound


def design(kind: str = "real", rooms: bool = False) -> Study:
    study = Study("s").group("school", id="school")
    if rooms:
        study = study.group("room", id="room", within="school")
    parent = "room" if rooms else "school"
    name = "y" if kind == "real" else "b"
    study = study.unit("pupil", within=parent, variables=[outcome(name, kind)])  # pyright: ignore[reportArgumentType]
    return study.treatment("z", off=0, on=1).assign("z", to="pupil", within=[parent], by=complete(0.5))


def drawn(model: Model, spread: float = 1.0) -> dict[str, Array]:
    """Return arbitrary draws: positive where they must be, a correlation's factor for what is one."""
    rng = np.random.default_rng(8)
    sizes, found = model.sizes, {}
    for variable in model.variables:
        shape = (DRAWS, *(sizes[dim] for dim in variable.dims))
        if variable.law.distribution == "lkj_cholesky":
            r = rng.uniform(-0.8, 0.8, DRAWS)
            found[variable.name] = np.stack(
                [np.stack([np.ones(DRAWS), np.zeros(DRAWS)], 1), np.stack([r, np.sqrt(1 - r**2)], 1)], 1
            )
        elif variable.law.distribution.startswith("half"):
            found[variable.name] = rng.uniform(0.3, 1.5, shape)
        else:
            found[variable.name] = spread * rng.normal(size=shape)
    return found


def role(model: Model, draws: dict[str, Array], name: str) -> Array:
    return next(draws[v.name] for v in model.variables if v.role == name)


def means(model: Model, draws: dict[str, Array], bound: Bound) -> Array:
    z = bound.treatments["z"].values
    return role(model, draws, "intercept")[:, None] + role(model, draws, "effect(z)")[:, None] * z


def test_joint_effects_of_a_normal_outcome_are_multivariate_normal(tmp_path: Path) -> None:
    model, data, bound = made(tmp_path, design().vary("z", across="school"))
    draws = drawn(model)
    found = group_log_likelihood(model, data, bound, draws, "school")
    z, y = bound.treatments["z"].values, bound.variables["y"].values
    mean, residual = means(model, draws, bound), role(model, draws, "residual")
    sd = [role(model, draws, f"sd({name}, school)") for name in ("intercept", "effect(z)")]
    factor = role(model, draws, "corr_cholesky(school)")
    for s in range(DRAWS):
        root = np.diag([sd[0][s], sd[1][s]]) @ factor[s]
        for school in range(SCHOOLS):
            here = bound.levels["school"].rows == school
            x = np.column_stack((np.ones(here.sum()), z[here]))
            covariance = x @ root @ root.T @ x.T + residual[s] ** 2 * np.eye(here.sum())
            expected = multivariate_normal(mean[s, here], covariance).logpdf(y[here])
            assert found[s, school] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("level", ["school", "room"])
def test_units_within_a_group_are_integrated_out_with_it(tmp_path: Path, level: str) -> None:
    model, data, bound = made(tmp_path, design(rooms=True))
    draws = drawn(model)
    found = group_log_likelihood(model, data, bound, draws, level)
    y, mean = bound.variables["y"].values, means(model, draws, bound)
    residual, room_sd, school_sd = (
        role(model, draws, name) for name in ("residual", "sd(intercept, room)", "sd(intercept, school)")
    )
    school = role(model, draws, "deviation(intercept, school)")
    rooms = bound.levels["room"].rows
    for s in range(DRAWS):
        for unit in range(bound.levels[level].size):
            here = bound.levels[level].rows == unit
            same = rooms[here][:, None] == rooms[here]
            covariance = residual[s] ** 2 * np.eye(here.sum()) + room_sd[s] ** 2 * same
            middle = mean[s, here]
            if level == "school":
                covariance = covariance + school_sd[s] ** 2
            else:
                middle = middle + school[s, bound.levels["school"].rows[here]]
            expected = multivariate_normal(middle, covariance).logpdf(y[here])
            assert found[s, unit] == pytest.approx(expected, abs=1e-8)


def test_a_binary_outcome_agrees_with_dense_quadrature(tmp_path: Path) -> None:
    model, data, bound = made(tmp_path, design("binary"))
    draws = drawn(model, 0.7)
    found = group_log_likelihood(model, data, bound, draws, "school")
    b, mean, sd = bound.variables["b"].values, means(model, draws, bound), role(model, draws, "sd(intercept, school)")
    u = np.linspace(-12, 12, 4001)
    for s in range(DRAWS):
        for school in range(SCHOOLS):
            here = bound.levels["school"].rows == school
            eta = mean[s, here][:, None] + u
            rows = np.where(b[here][:, None] == 1, -np.logaddexp(0, -eta), -np.logaddexp(0, eta)).sum(axis=0)
            density = np.exp(rows - 0.5 * (u / sd[s]) ** 2) / (sd[s] * np.sqrt(2 * np.pi))
            assert found[s, school] == pytest.approx(np.log(np.trapezoid(density, u)), abs=2e-4)


def test_without_effects_rows_are_added_up(tmp_path: Path) -> None:
    model, data, bound = made(tmp_path, design().pool("school", "completely"))
    draws = drawn(model)
    found = group_log_likelihood(model, data, bound, draws, "school")
    assert found.shape == (DRAWS, SCHOOLS)
    residual, y = role(model, draws, "residual")[:, None], bound.variables["y"].values
    rows = -0.5 * ((y - means(model, draws, bound)) / residual) ** 2 - np.log(residual * np.sqrt(2 * np.pi))
    expected = np.stack([rows[:, bound.levels["school"].rows == k].sum(axis=1) for k in range(SCHOOLS)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_groups_without_pooling_have_no_law_of_a_new_one(tmp_path: Path) -> None:
    model, data, bound = made(tmp_path, design().pool("school", "none"))
    with pytest.raises(NotIntegrable, match="no new one"):
        group_log_likelihood(model, data, bound, drawn(model), "school")
