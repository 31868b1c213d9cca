"""Where the data put parameters, against least squares and maximum likelihood, and the units taken from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from hdsl.driver import derive
from hdsl.model.ir import Const, Model, ModelData
from hdsl.passes import centre, precompute, prepare, reparameterise
from hdsl.passes.standardise import rounded
from hdsl.passes.whereabouts import Whereabouts, whereabouts

Array = NDArray[np.float64]

STUDY = """study s
data "s.csv"
unit row {{ covariate x : real  covariate w : real  outcome y : {kind} }}
treatment z {{ off = 0, on = 1 }}
assign z to row by complete(0.5)
analysis {{ adjust for x, w {family} }}
"""


def made(folder: Path, kind: str, y: Array, design: Array, family: str = "") -> tuple[Model, ModelData]:
    """Return the derived model of an outcome given columns 1, z, x and w."""
    table = np.column_stack([design[:, 1:], y])
    np.savetxt(folder / "s.csv", table, "%.12g", ",", header="z,x,w,y", comments="")
    (folder / "s.hdm").write_text(STUDY.format(kind=kind, family=family))
    derived = derive(folder / "s.hdm")
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    return derived.model, derived.data


def found(model: Model, data: ModelData) -> dict[str, Whereabouts]:
    model, data = precompute(model, data)
    return whereabouts(reparameterise(centre(model), data), data)


def columns(rows: int = 400) -> Array:
    rng = np.random.default_rng(3)
    x = rng.normal(5, 2, rows)
    return np.column_stack([np.ones(rows), np.arange(rows) % 2, x, 0.7 * x + rng.normal(100, 10, rows)])


def coefficients(where: dict[str, Whereabouts]) -> Array:
    return np.array([where[name].middle for name in ("effect_z", "slope_x", "slope_w")])


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e6])
def test_least_squares(size: float, tmp_path: Path) -> None:
    design = columns()
    y = size * (design @ [20.0, 3.0, -2.0, 0.5] + 4.0 * np.random.default_rng(4).normal(size=len(design)))
    where = found(*made(tmp_path, "real", y, design))
    beta, residues, *_ = np.linalg.lstsq(design, y, rcond=None)
    sigma = np.sqrt(residues[0] / len(y))
    centred = design[:, 1:] - design[:, 1:].mean(axis=0)
    assert coefficients(where) == pytest.approx(beta[1:], abs=0.3 * sigma / np.sqrt(len(y)))
    assert where["intercept_centred"].middle == pytest.approx(y.mean(), abs=0.1 * sigma)
    spreads = [where[name].spread for name in ("effect_z", "slope_x", "slope_w")]
    assert spreads == pytest.approx(sigma / np.sqrt(np.sum(centred**2, axis=0)), rel=0.5)
    assert where["residual"].middle == pytest.approx(sigma, rel=0.5)


Simulated = Callable[[Array, np.random.Generator], Array]
Of = Callable[[Array, Array], Array]
FAMILIES: dict[str, tuple[str, str, Simulated, Of, Of]] = {  # log likelihood and its curvature in eta
    "bernoulli": (
        "binary",
        "",
        lambda eta, rng: (rng.random(len(eta)) < 1 / (1 + np.exp(-eta))).astype(float),
        lambda eta, y: y * eta - np.logaddexp(0, eta),
        lambda eta, y: np.exp(eta) / (1 + np.exp(eta)) ** 2,
    ),
    "poisson": (
        "count",
        "family y poisson",
        lambda eta, rng: rng.poisson(np.exp(eta)).astype(float),
        lambda eta, y: y * eta - np.exp(eta),
        lambda eta, y: np.exp(eta),
    ),
    "gamma": (
        "positive",
        "family y gamma",
        lambda eta, rng: rng.gamma(3.0, np.exp(eta) / 3.0),
        lambda eta, y: -3.0 * (eta + y * np.exp(-eta)),
        lambda eta, y: 3.0 * y * np.exp(-eta),
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_maximum_likelihood(family: str, tmp_path: Path) -> None:
    kind, statement, simulate, likelihood, curvature = FAMILIES[family]
    design = columns()
    design[:, 3] -= 100
    y = simulate(design @ [0.5, 0.6, 0.2, -0.03], np.random.default_rng(5))
    where = found(*made(tmp_path, kind, y, design, statement))
    best = minimize(lambda beta: -np.sum(likelihood(design @ beta, y)), np.zeros(4)).x
    centred = design[:, 1:] - design[:, 1:].mean(axis=0)
    sds = 1 / np.sqrt(curvature(design @ best, y) @ centred**2)
    assert np.all(np.abs(coefficients(where) - best[1:]) < 0.5 * sds)
    assert [where[name].spread for name in ("effect_z", "slope_x", "slope_w")] == pytest.approx(sds, rel=0.5)


def test_samplers_start_near_the_posterior_in_its_units(tmp_path: Path) -> None:
    design = columns()
    y = design @ [20.0, 3.0, -2.0, 0.5] + 4.0 * np.random.default_rng(4).normal(size=len(design))
    model, _ = prepare(*made(tmp_path, "real", y, design))
    laws = {variable.name: variable.law for variable in model.variables}
    middle, scale = laws["slope_x_std"].args
    assert isinstance(middle, Const)
    assert isinstance(scale, Const)
    assert scale.value > 10
    assert middle.value / scale.value == pytest.approx(2.0 / (2.5 * np.std(y, ddof=1) / np.std(design[:, 2])), rel=0.2)


@pytest.mark.parametrize("value", [1e-9, 0.00314, 0.7, 0.999, 1.0, 1.7, 3.1, 7.2, 123456.0])
def test_units_are_round_and_near(value: float) -> None:
    unit = rounded(value)
    assert max(unit / value, value / unit) < 1.6
    assert f"{unit:.0e}"[0] in "125"
    assert unit == float(f"{unit:.0e}")
