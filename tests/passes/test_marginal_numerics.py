"""The marginal density at extreme scales, against exact rational arithmetic.

With spreads a million times apart the log density is right to a thousandth: far below what sampling can tell.
"""

from __future__ import annotations

from fractions import Fraction
from math import log, pi
from pathlib import Path

import numpy as np
import pytest

from hdsl.inference.exact.density import log_density
from hdsl.inference.exact.effects import draw_effects
from hdsl.inference.exact.hyper import hyper_at, packed
from hdsl.inference.exact.marginal import Marginal, marginal_of
from tests.passes.shapes import model_of_text

Matrix = list[list[Fraction]]
ROWS = 12
SCHOOL = np.array([0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3, 3])
DISTRICT = SCHOOL // 2
X = np.array([0.5, -1.25, 2.0, 0.0, 1.5, -0.75, 1.0, 0.25, -2.0, 0.5, 1.75, -1.0])

VARYING = """study s data "rows.csv" group school id school
unit pupil in school { covariate x : real outcome y : real }
model {
  y[pupil] ~ normal(mu + a[school] + b[school] * x + beta * x, sigma)
  a[school] ~ normal(0, ta)  b[school] ~ normal(0, tb)  mu ~ normal(0, 1024)  beta ~ normal(0, 64)
  ta ~ halfnormal(1)  tb ~ halfnormal(1)  sigma ~ halfnormal(1)
}"""
NESTED = """study s data "rows.csv" group district id district group school id school in district
unit pupil in school { covariate x : real outcome y : real }
model {
  y[pupil] ~ normal(mu + a[school] + b[district] + beta * x, sigma)
  a[school] ~ normal(0, ta)  b[district] ~ normal(0, tb)  mu ~ normal(0, 1024)  beta ~ normal(0, 64)
  ta ~ halfnormal(1)  tb ~ halfnormal(1)  sigma ~ halfnormal(1)
}"""


def _same(one: np.ndarray) -> np.ndarray:
    return (one[:, None] == one[None, :]).astype(float)


def covariance(ta: float, tb: float, sigma: float, x: np.ndarray, nested: bool) -> Matrix:
    """Return the outcome's covariance as fractions: every input is a binary number, so nothing is rounded."""
    parts = [
        (ta, _same(SCHOOL)),
        (tb, _same(DISTRICT) if nested else None),
        (1024.0, np.ones((ROWS, ROWS))),
        (64.0, None),
        (sigma, np.eye(ROWS)),
    ]
    found = [[Fraction(0)] * ROWS for _ in range(ROWS)]
    exact = [Fraction(float(v)) for v in x]
    for place, (scale, same) in enumerate(parts):
        for i in range(ROWS):
            for j in range(ROWS):
                weight = Fraction(1) if same is None else Fraction(float(same[i, j]))
                if place == 1 and same is None:
                    weight = Fraction(int(SCHOOL[i] == SCHOOL[j])) * exact[i] * exact[j]
                if place == 3:
                    weight = exact[i] * exact[j]
                found[i][j] += Fraction(scale) ** 2 * weight
    return found


def log_normal(y: np.ndarray, matrix: Matrix) -> float:
    """Return the log density of a normal vector of mean zero, by elimination without rounding."""
    rows = [[*row, Fraction(float(value))] for row, value in zip(matrix, y, strict=True)]
    determinant, quadratic = Fraction(1), Fraction(0)
    for i in range(len(rows)):
        pivot = rows[i][i]
        determinant *= pivot
        quadratic += rows[i][-1] ** 2 / pivot
        for j in range(i + 1, len(rows)):
            factor = rows[j][i] / pivot
            rows[j] = [b - factor * a for a, b in zip(rows[i], rows[j], strict=True)]
    logs = log(determinant.numerator) - log(determinant.denominator)
    return -0.5 * (len(y) * log(2 * pi) + logs + float(quadratic))


def made(text: str, folder: Path, y: np.ndarray, x: np.ndarray = X) -> Marginal:
    """Return the marginal model of a text on the rows of this module."""
    columns = {"school": SCHOOL, "district": DISTRICT, "x": x, "y": y}
    found = marginal_of(*model_of_text(text, folder, columns))
    assert isinstance(found, Marginal)
    return found


def integral(found: Marginal, ta: float, tb: float, sigma: float) -> float:
    """Return the marginal log likelihood at spreads."""
    values = {"ta": ta, "tb": tb, "sigma": sigma}
    names = {v.name: values[v.role] for v in found.linear.hyper.variables}
    point = packed(found.linear, {name: np.array([value]) for name, value in names.items()})
    return float(log_density(found, point)[0] - hyper_at(found.linear, point).log_prior[0])


SCALES = [
    (1.0, 1.0, 1.0),
    (2.0**20, 1.0, 1.0),
    (1.0, 2.0**20, 1.0),
    (2.0**20, 2.0**20, 1.0),
    (2.0**-20, 2.0**-20, 1.0),
    (2.0**-40, 1.0, 1.0),
    (1.0, 1.0, 2.0**-20),
    (1.0, 2.0**-20, 2.0**20),
    (2.0**10, 2.0**-10, 2.0**-10),
]


@pytest.mark.parametrize("nested", [False, True], ids=["slopes", "nested"])
@pytest.mark.parametrize("scales", SCALES)
def test_spreads_a_million_times_apart(scales: tuple[float, float, float], nested: bool, tmp_path: Path) -> None:
    ta, tb, sigma = scales
    rng = np.random.default_rng(8)
    second = tb * rng.normal(size=2)[DISTRICT] if nested else tb * rng.normal(size=4)[SCHOOL] * X
    y = 3 + ta * rng.normal(size=4)[SCHOOL] + second + sigma * rng.normal(size=ROWS)
    found = made(NESTED if nested else VARYING, tmp_path, y)
    expected = log_normal(y, covariance(ta, tb, sigma, X, nested))
    near = max(scales) / min(scales) < 2**15
    assert integral(found, ta, tb, sigma) == pytest.approx(expected, rel=1e-12, abs=1e-9 if near else 1e-3)


@pytest.mark.parametrize("size", [2.0**-20, 2.0**20])
def test_covariates_of_any_size(size: float, tmp_path: Path) -> None:
    y = np.random.default_rng(9).normal(size=ROWS)
    found = made(VARYING, tmp_path, y, X * size)
    expected = log_normal(y, covariance(1.0, 1 / size, 1.0, X * size, False))
    assert integral(found, 1.0, 1 / size, 1.0) == pytest.approx(expected, rel=1e-12, abs=1e-5)


def test_outcomes_far_from_zero(tmp_path: Path) -> None:
    """A mean of a million and a spread of one keep their digits."""
    y = 2.0**20 + np.random.default_rng(10).normal(size=ROWS)
    text = VARYING.replace("mu ~ normal(0, 1024)", "mu ~ normal(0, 1048576)")
    found = made(text, tmp_path, y)
    wide = covariance(1.0, 1.0, 1.0, X, False)
    extra = Fraction(1048576) ** 2 - Fraction(1024) ** 2
    expected = log_normal(y, [[value + extra for value in row] for row in wide])
    assert integral(found, 1.0, 1.0, 1.0) == pytest.approx(expected, rel=1e-12, abs=1e-5)


def test_draws_where_spreads_vanish(tmp_path: Path) -> None:
    """Effects with a spread of nearly zero are nearly zero, and those beside a tiny residual fit the rows."""
    y = 3 + np.random.default_rng(11).normal(size=4)[SCHOOL]
    found = made(VARYING, tmp_path, y)
    names = {v.role: v.name for v in found.linear.hyper.variables}
    for ta, sigma in ((2.0**-40, 1.0), (1.0, 2.0**-20)):
        values = {names["ta"]: ta, names["tb"]: 2.0**-30, names["sigma"]: sigma}
        point = packed(found.linear, {name: np.array([value]) for name, value in values.items()})
        drawn = draw_effects(found, np.repeat(point, 200, axis=0), seed=1)
        assert all(np.all(np.isfinite(array)) for array in drawn.values())
        a, mu = (drawn[_named(found, role)] for role in ("deviation(a, school)", "mu"))
        if sigma < 1:
            slope = drawn[_named(found, "beta")]
            fitted = mu[:, None] + a[:, SCHOOL] + slope[:, None] * X
            np.testing.assert_allclose(fitted, np.broadcast_to(y, fitted.shape), atol=1e-5)
        else:
            assert np.max(np.abs(a)) < 1e-11


def _named(found: Marginal, role: str) -> str:
    return next(v.name for v in found.linear.effects if v.role == role)
