"""Quantile families: the check loss, several quantiles at once, groups, and quantiles that cross."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from hdsl import driver
from hdsl.backend import Settings
from hdsl.data.bind import bind
from hdsl.design.parts import complete, covariate, outcome, weight
from hdsl.design.study import Study
from hdsl.estimands.crossing import crossing
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import log_density, log_likelihood
from hdsl.reference.free import random_point
from tests.model.designs import Column, write
from tests.model.preserved import differences

PROBABILITIES = (0.2, 0.5, 0.9)
Array = np.ndarray


def _data(rows: int, seed: int) -> dict[str, Column]:
    g = np.random.default_rng(seed)
    x, z = g.uniform(0, 3, rows).round(3), g.integers(0, 2, rows)
    y = 1 + x + z * (1 + x) + (0.5 + 0.5 * x) * g.standard_exponential(rows)
    return {"site": np.arange(rows) % 6, "z": z, "x": x, "w": g.integers(1, 4, rows), "y": y.round(4)}


def _study(*probabilities: float, grouped: bool = True, weighted: bool = False) -> Study:
    variables = [covariate("x", "real"), outcome("y", "real"), *([weight("w", "count")] if weighted else [])]
    study = Study("pay").data("d.csv")
    if grouped:
        study = study.group("site", id="site")
    study = study.unit("person", within="site" if grouped else (), variables=variables)
    study = study.treatment("z", off=0, on=1).assign("z", to="person", by=complete(0.5)).adjust("x")
    study = study.family("y", f"quantile({', '.join(map(str, probabilities))})")
    return study.vary("z", across="site", uncorrelated=True) if grouped else study


def _made(study: Study, folder: Path, data: dict[str, Column]) -> tuple[Model, ModelData]:
    write(folder / "d.csv", data)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    return made


def check_loss(y: Array, fitted: Array, p: float) -> Array:
    """Return Koenker and Bassett's loss of each row."""
    return (y - fitted) * (p - (y < fitted))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_likelihood_is_that_of_the_check_loss(weighted: bool, tmp_path: Path) -> None:
    """Rows times quantiles, each p (1 - p) / s exp(-loss / s), with effects that vary across sites by quantile."""
    data = _data(60, 3)
    model, values = _made(_study(*PROBABILITIES, weighted=weighted), tmp_path, data)
    raw = random_point(model, values, np.random.default_rng(4))
    at = {v.role: raw[v.name] for v in model.variables}
    x, z, y, w = (np.asarray(data[name], dtype=float) for name in ("x", "z", "y", "w"))
    site = np.asarray(data["site"], dtype=int)
    (found,) = log_likelihood(model, values, {name: value[None] for name, value in raw.items()}).values()
    for place, p in enumerate(PROBABILITIES):
        of_site = at["deviation(intercept, site)"][site, place] + z * at["deviation(effect(z), site)"][site, place]
        fitted = at["intercept"][place] + at["effect(z)"][place] * z + at["slope(x)"][place] * x + of_site
        spread = at["residual"][place]
        expected = np.log(p * (1 - p) / spread) - check_loss(y, fitted, p) / spread
        np.testing.assert_allclose(found[0][:, place], expected * (w if weighted else 1), rtol=1e-9)


def test_passes_keep_the_density(tmp_path: Path) -> None:
    made = _made(_study(*PROBABILITIES), tmp_path, _data(60, 3))
    assert np.ptp(differences(prepare(*made), made, np.random.default_rng(5))) < 1e-6


def test_a_residual_spread_beside_quantiles_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d.csv", _data(60, 3))
    derived = driver.derive(_study(*PROBABILITIES).variance("y", by="z"), data=str(tmp_path / "d.csv"))
    assert "HDM628" in [d.code for d in derived.diagnostics]


def test_one_quantile_is_the_same_quantile_among_several(tmp_path: Path) -> None:
    """Quantiles do not bear on each other: the joint density is the product of those of single quantiles."""
    data = _data(60, 6)
    whole = _made(_study(*PROBABILITIES), tmp_path, data)
    point = random_point(*whole, np.random.default_rng(7))
    total = 0.0
    for place, p in enumerate(PROBABILITIES):
        single = _made(_study(p), tmp_path, data)
        own = {name: value[..., place] for name, value in point.items()}
        total += float(log_density(*single, own))
    assert float(log_density(*whole, point)) == pytest.approx(total)


def by_linear_programming(design: Array, y: Array, p: float) -> Array:
    """Return the coefficients that minimise the check loss."""
    rows, columns = design.shape
    cost = np.concatenate([np.zeros(2 * columns), np.full(rows, p), np.full(rows, 1 - p)])
    equal = np.hstack([design, -design, np.eye(rows), -np.eye(rows)])
    found = linprog(cost, A_eq=equal, b_eq=y, bounds=(0, None)).x
    return found[:columns] - found[columns : 2 * columns]


def test_estimates_are_those_of_quantile_regression(tmp_path: Path) -> None:
    data = _data(1500, 8)
    write(tmp_path / "d.csv", data)
    study = _study(0.25, 0.75, grouped=False)
    result = driver.run(study, data=str(tmp_path / "d.csv"), settings=Settings(chains=2, draws=500, warmup=500))
    assert [(s.name, s.index["quantile"]) for s in result.estimand_summaries] == [
        ("quantile_effect_z", "0.25"),
        ("quantile_effect_z", "0.75"),
    ]
    x, z, y = (np.asarray(data[name], dtype=float) for name in ("x", "z", "y"))
    design = np.column_stack([np.ones(len(y)), z, x])
    for p in (0.25, 0.75):
        expected = by_linear_programming(design, y, p)
        found = {s.name: s for s in result.parameter_summaries if s.index == {"quantile": f"{p:g}"}}
        for role, value in zip(("intercept", "effect(z)", "slope(x)"), expected, strict=True):
            assert abs(found[role].mean - value) < found[role].sd, role


@pytest.mark.parametrize(("slopes", "rows"), [((0.0, 0.1, 0.2), 0), ((0.0, -1.0, 0.2), 27)])
def test_quantiles_that_cross_are_told(slopes: tuple[float, ...], rows: int, tmp_path: Path) -> None:
    """With intercepts 0, 1, 2 a slope of -1 takes the median below the lowest quantile where x is above 1."""
    data = _data(40, 9)
    model, values = _made(_study(*PROBABILITIES, grouped=False), tmp_path, data)
    made = {"intercept": [0.0, 1.0, 2.0], "slope(x)": list(slopes), "effect(z)": [0.0] * 3, "residual": [1.0] * 3}
    draws = {v.name: np.tile(made[v.role], (2, 5, 1)) for v in model.variables}
    assert int(np.sum(np.asarray(data["x"]) > 1)) == 27
    found = crossing(model, values, draws)
    message = (
        f"The fitted quantiles of y cross in {rows} of 40 rows. For effects and predictions they were put in order, in "
        "68% of rows and draws."
    )
    assert [d.message for d in found] == ([message] if rows else [])
