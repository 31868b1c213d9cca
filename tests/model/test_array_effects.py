"""Effects over the cells of crossed factors: the covariance they have, what they recover, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from hdsl import Settings, run
from hdsl.driver import derive, explain
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import definitions, reported
from hdsl.reference.free import random_point
from tests.model.preserved import differences

Array = NDArray[np.float64]
HEAD = """study s data "d.csv"
group age id age
group town id town
group kind id kind
unit person id pid in age in town in kind { covariate x : real  outcome y : KIND }
treatment z { off = 0, on = 1 }
assign z to person by complete(0.5)
"""
TWO = "vary z across age * town as array"
THREE = "vary intercept across age * town * kind as array"
SIZES = (3, 4, 2)


def made(
    folder: Path,
    analysis: str,
    kind: str = "real",
    sizes: tuple[int, ...] = SIZES,
    per: int = 2,
    seed: int = 4,
    more: str = "",
) -> Path:
    """Write a study with `per` persons on each arm in each cell."""
    rng = np.random.default_rng(seed)
    cells = np.indices((*sizes, 2 * per)).reshape(4, -1)
    z = cells[3] % 2
    y = rng.normal(size=cells.shape[1]) + z + 0.5 * cells[0]
    y = (y > 1).astype(float) if kind == "binary" else y
    columns = {
        "pid": np.arange(len(z)),
        "age": cells[0],
        "town": cells[1],
        "kind": cells[2],
        "x": rng.normal(size=len(z)),
        "z": z,
        "y": y,
    }
    write(folder / "d.csv", columns)
    path = folder / "s.hdm"
    path.write_text(f"{HEAD.replace('KIND', kind)}analysis {{ {analysis} }}\n{more}")
    return path


def write(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns as a CSV file."""
    lines = [",".join(f"{v}" for v in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")


def model_of(path: Path) -> tuple[Model, ModelData]:
    """Return the derived model; fails where there is none."""
    found = derive(path)
    assert found.model is not None, found.diagnostics
    assert found.data is not None
    return found.model, found.data


def errors(path: Path) -> set[str]:
    """Return the codes of the errors."""
    return {d.code for d in derive(path).diagnostics if d.severity == "error"}


def by_role(model: Model, point: dict[str, Array]) -> dict[str, Array]:
    """Return values of random variables by role."""
    return {variable.role: point[variable.name] for variable in model.variables}


def at(model: Model, data: ModelData, point: dict[str, Array], role: str) -> Array:
    """Return the value of a definition by its role."""
    (name,) = (d.name for d in model.definitions if d.role == role)
    return definitions(model, data, point, [name])[name].real


def shown(model: Model, data: ModelData, point: dict[str, Array]) -> dict[str, Array]:
    """Return what is reported at one point."""
    found = reported(model, data, {name: np.asarray(value)[None, None] for name, value in point.items()})
    return {role: value[0, 0] for role, value in found.items()}


@pytest.mark.parametrize("across", [("age", "town"), ("age", "town", "kind"), ("town", "kind")])
def test_parts_are_kronecker_products_of_the_factors(tmp_path: Path, across: tuple[str, ...]) -> None:
    """Each part is sd (L1 x L2 x ...) z, in the order of numpy's Kronecker product."""
    model, data = model_of(made(tmp_path, f"vary intercept across {' * '.join(across)} as array"))
    point = random_point(model, data, np.random.default_rng(1))
    values = by_role(model, point)
    factors = [values[f"corr_cholesky(intercept, {level})"] for level in across]
    about = " * ".join(across)
    root = np.ones((1, 1))
    for factor in factors:
        root = np.kron(root, factor)
    z = values[f"standard(deviation(intercept, {about}))"]
    wanted = values[f"sd(intercept, {about})"] * root @ z.reshape(-1)
    found = at(model, data, point, f"deviation(intercept, {about})")
    assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)
    main = at(model, data, point, f"deviation(intercept, {across[0]})")
    own = values[f"standard(deviation(intercept, {across[0]}))"]
    assert_allclose(main, values[f"sd(intercept, {across[0]})"] * factors[0] @ own, rtol=1e-8)


def test_the_effect_in_a_cell_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    model, data = model_of(made(tmp_path, TWO))
    point = random_point(model, data, np.random.default_rng(2))
    values = by_role(model, point)
    age, town = (at(model, data, point, f"deviation(effect(z), {level})") for level in ("age", "town"))
    both = at(model, data, point, "deviation(effect(z), age * town)").reshape(3, 4)
    wanted = values["effect(z)"] + age[:, None] + town + both
    found = shown(model, data, point)["effect(z)[age * town]"]
    assert_allclose(found.reshape(3, 4), wanted, rtol=1e-8)
    rows = np.indices((*SIZES, 4)).reshape(4, -1)
    intercepts = sum(
        values[f"deviation(intercept, {level})"][rows[k]] for k, level in enumerate(("age", "town", "kind"))
    )
    mean = values["intercept"] + intercepts + wanted[rows[0], rows[1]] * (rows[3] % 2)
    law = model.observations[0].law
    (name,) = (arg.name for arg in law.args[:1])  # type: ignore[union-attr]
    assert_allclose(definitions(model, data, point, [name])[name].real, mean, rtol=1e-8)


def test_the_correlations_are_between_units(tmp_path: Path) -> None:
    model, data = model_of(made(tmp_path, TWO))
    point = random_point(model, data, np.random.default_rng(3))
    factor = by_role(model, point)["corr_cholesky(effect(z), town)"]
    found = shown(model, data, point)
    assert_allclose(found["corr(effect(z)[1], effect(z)[3], town)"], (factor @ factor.T)[1, 3], rtol=1e-8)


@pytest.mark.parametrize("kind", ["real", "binary"])
@pytest.mark.parametrize("analysis", [TWO, f"{THREE} {TWO}"])
def test_passes_keep_the_density(tmp_path: Path, analysis: str, kind: str) -> None:
    plain = model_of(made(tmp_path, analysis, kind, per=1))
    found = differences(prepare(*plain), plain, np.random.default_rng(3))
    assert_allclose(found - found[0], 0, atol=5e-5)


def test_priors_are_taken_up(tmp_path: Path) -> None:
    more = "priors { sd(effect(z), age * town) ~ halfnormal(0.25) corr(effect(z), age) ~ lkj(7) }"
    model, _ = model_of(made(tmp_path, TWO, more=more))
    laws = {v.role: v.law.args[-1] for v in model.variables}
    assert laws["sd(effect(z), age * town)"].value == 0.25  # type: ignore[union-attr]
    assert laws["corr_cholesky(effect(z), age)"].value == 7  # type: ignore[union-attr]


def test_reasons_and_intercepts(tmp_path: Path) -> None:
    path = made(tmp_path, THREE)
    model, _ = model_of(path)
    assert not [v.role for v in model.variables if v.role == "deviation(intercept, age)"]
    text = explain(path)[0]
    assert "corr(intercept, age) x corr(intercept, town) x corr(intercept, kind)" in text
    assert "the part of each cell of age * town" in text


@pytest.mark.parametrize(
    ("analysis", "code"),
    [
        ("vary z across age as array", "HDM629"),
        ("vary z across age * age as array", "HDM629"),
        ("vary z across age * person as array", "HDM406"),
        (f"{TWO} vary z across age", "HDM629"),
        ("vary z across age * town", "HDM272"),
        (f"pool age none {THREE}", "HDM422"),
        (f"{TWO} variance of z across age with mean(x, age)", "HDM629"),
    ],
)
def test_misuse_is_named(tmp_path: Path, analysis: str, code: str) -> None:
    assert code in errors(made(tmp_path, analysis))


def separable(folder: Path, seed: int) -> tuple[Path, Path, Array]:
    """Write a study whose cells are alike along both factors: as array, with independent cells; and the truth."""
    rng = np.random.default_rng(seed)
    places = np.arange(7)
    root = np.linalg.cholesky(0.9 ** np.abs(places[:, None] - places))
    mean = root @ rng.normal(size=7)
    cells = mean[:, None] + (root @ rng.normal(size=7)) + root @ rng.normal(size=(7, 7)) @ root.T
    age, town, _ = np.indices((7, 7, 2)).reshape(3, -1)
    y = cells[age, town] + rng.normal(0, 1.5, len(age))
    z = rng.permutation(np.arange(len(age)) % 2)
    columns = {"pid": np.arange(len(age)), "age": age, "town": town, "cell": 7 * age + town, "z": z, "y": y}
    write(folder / "d.csv", columns)
    head = """study s data "d.csv"
group age id age
group town id town
group cell id cell in age in town
unit person id pid in cell { outcome y : real }
treatment z { off = 0, on = 1 }
assign z to person by complete(0.5)
"""
    one, other = folder / "array.hdm", folder / "independent.hdm"
    one.write_text(f"{head}analysis {{ pool cell completely vary intercept across age * town as array }}\n")
    other.write_text(head)
    return one, other, cells


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_separable_cells_are_known_better_than_by_independent_interactions(tmp_path: Path) -> None:
    """Mean squared errors of the cells over simulated studies with two persons a cell."""
    squared: dict[str, list[float]] = {"array": [], "independent": []}
    for seed in range(4):
        one, other, truth = separable(tmp_path, seed)
        settings = Settings(draws=500, warmup=500, seed=1)
        array, independent = (run(path, settings=settings).posterior["posterior"] for path in (one, other))
        cells = np.asarray(array["intercept[age * town]"].mean(("chain", "draw")).values).reshape(7, 7)
        parts = {
            name: np.asarray(independent[f"intercept[{name}]"].mean(("chain", "draw")).values)
            for name in ("age", "town", "cell")
        }
        middle = float(np.mean(np.asarray(independent["intercept"].values)))
        rows = np.arange(49)
        whole = middle + parts["cell"] + parts["age"][rows // 7] + parts["town"][rows % 7]
        squared["array"].append(float(np.mean((cells - truth) ** 2)))
        squared["independent"].append(float(np.mean((whole.reshape(7, 7) - truth) ** 2)))
    assert np.mean(squared["array"]) < 0.75 * np.mean(squared["independent"]), squared
