"""Crossed, serial and heteroskedastic designs, and collinear covariates, at extreme scales: against exact arithmetic.

All inputs are binary numbers, so that the covariance of the outcome is known in fractions without rounding. Where
spreads are a million times apart the log density is right to a thousandth, with crossed groupings to a hundredth.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike

from hdsl.inference.exact.density import log_density
from hdsl.inference.exact.hyper import hyper_at, packed
from hdsl.inference.exact.marginal import Marginal, marginal_of
from tests.passes.shapes import HEAD, PANEL, SCHOOLS, SERIAL, model_of_text
from tests.passes.test_marginal_numerics import ROWS, SCHOOL, X, log_normal

Exact = np.ndarray
Parts = list[tuple[float, Exact]]
PLACE = np.arange(ROWS) - np.searchsorted(SCHOOL, SCHOOL)
MONTH = PLACE % 4
T = np.array([1, 2, 4, 1, 3, 1, 1, 2, 3, 5, 6, 10])
Z = np.array([0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1])
BIG, SMALL = 2.0**20, 2.0**-20
PRIORS = "priors { intercept ~ normal(0, 1024) effect(z) ~ normal(0, 2) slope(x) ~ normal(0, SX) MORE }"
WITHIN = "assign z to pupil within school by bernoulli(0.5)\n"


def within_person(design: str) -> str:
    """Return a design in which arms are drawn within persons."""
    return design.replace("by ignorable(x)", "by bernoulli(0.5)")


CROSSED = within_person(PANEL) + "analysis { adjust for x }\n"
AR1 = within_person(SERIAL) + "analysis { adjust for x  pool day completely  correlate y within person as ar1 }\n"
BY_ARM = SCHOOLS + WITHIN + "analysis { adjust for x  vary x across school uncorrelated  variance of y by z }\n"


def exact(values: np.ndarray) -> Exact:
    """Return numbers as fractions."""
    return np.vectorize(lambda value: Fraction(float(value)), otypes=[object])(values)


def square(column: np.ndarray) -> Exact:
    """Return the products of a column with itself."""
    return np.multiply.outer(exact(column), exact(column))


def same(code: np.ndarray) -> Exact:
    """Return one where two rows are of the same unit, else zero."""
    return exact(code[:, None] == code[None, :])


ALONE = same(np.arange(ROWS))


def coefficients(x: np.ndarray, sx: float) -> Parts:
    """Return the parts of the covariance that the fixed coefficients make."""
    return [(1024.0, square(np.ones(ROWS))), (2.0, square(Z)), (sx, square(x))]


def outcome(parts: Parts) -> np.ndarray:
    """Return an outcome that is the sum of draws of its parts, the intercept's less than its prior allows."""
    rng = np.random.default_rng(8)
    total = np.zeros(ROWS)
    for sd, matrix in [(1.0, parts[0][1]), *parts[1:]]:
        values, vectors = np.linalg.eigh(matrix.astype(float))
        total += sd * (vectors @ (np.sqrt(np.maximum(values, 0)) * rng.normal(size=ROWS)))
    return total


def agrees(
    text: str,
    folder: Path,
    spreads: Mapping[str, ArrayLike],
    parts: Parts,
    x: np.ndarray,
    close: float,
    far: float = 0.0,
) -> None:
    """Compare the marginal log likelihood at spreads with that of a normal outcome of a known covariance."""
    columns = {"school": SCHOOL, "month": MONTH, "t": T, "z": Z, "x": x, "w": 2 * x}
    y = outcome(parts) + far
    covariance = sum(Fraction(sd) ** 2 * matrix for sd, matrix in parts)
    found = marginal_of(*model_of_text(HEAD + text, folder, {**columns, "y": y}))
    assert isinstance(found, Marginal)
    hyper = {v.role: v.name for v in found.linear.hyper.variables}
    assert hyper.keys() == spreads.keys()
    point = packed(found.linear, {hyper[role]: np.asarray(value)[None] for role, value in spreads.items()})
    got = float(log_density(found, point)[0] - hyper_at(found.linear, point).log_prior[0])
    assert got == pytest.approx(log_normal(y, np.asarray(covariance).tolist()), rel=1e-12, abs=close)


def priors(sx: float, more: str = "", given: str = PRIORS) -> str:
    """Return the priors of the coefficients, with that of the slope."""
    return given.replace("SX", f"{sx:.20f}").replace("MORE", more)


SIZES = [1.0, BIG, SMALL]
WIDE = [(BIG, 1.0, 1.0), (1.0, BIG, 1.0), (BIG, BIG, 1.0)]
THREE = [*WIDE, (SMALL**2, SMALL, 1.0), (1.0, 1.0, SMALL), (1.0, SMALL, BIG)]
CASES = [*((three, 1.0) for three in THREE), *(((1.0, 1.0, 1.0), size) for size in SIZES)]


def closeness(*scales: float) -> float:
    """Return how near is near enough: a thousandth where spreads are a million times apart."""
    return 1e-5 if max(scales) / min(scales) < 2**15 else 1e-3


@pytest.mark.parametrize(("spreads", "size"), CASES)
def test_crossed(spreads: tuple[float, float, float], size: float, tmp_path: Path) -> None:
    """A grouping that crosses the chain is a block of columns: a digit less than where it is part of the chain."""
    person, month, residual = spreads
    parts = [*coefficients(X * size, 2 / size), (person, same(SCHOOL)), (month, same(MONTH)), (residual, ALONE)]
    values = {"sd(intercept, person)": person, "sd(intercept, month)": month, "residual": residual}
    agrees(CROSSED + priors(2 / size), tmp_path, values, parts, X * size, 10 * closeness(*spreads))


SERIES = [
    *((1.0, 1.0, 0.5), (BIG, 1.0, 0.5), (SMALL**2, 1.0, 0.5), (1.0, 2.0**-16, 0.5), (1.0, SMALL, 0.5)),
    *((1.0, BIG, -0.5), (1.0, 1.0, 0.0), (1.0, 1.0, 1 - 2.0**-10), (1.0, 1.0, 2.0**-10 - 1)),
]


@pytest.mark.parametrize(
    ("spreads", "size"), [*((three, 1.0) for three in SERIES), *((SERIES[0], size) for size in SIZES[1:])]
)
def test_serial(spreads: tuple[float, float, float], size: float, tmp_path: Path) -> None:
    """The row before is a column, too, and a person's own level is not taken from it before products are summed."""
    text, values, parts = serial(*spreads, size)
    agrees(text, tmp_path, values, parts, X * size, closeness(*spreads[:2]))


def serial(
    person: float, residual: float, rho: float, size: float, given: str = PRIORS
) -> tuple[str, dict[str, ArrayLike], Parts]:
    """Return a design of serial correlation, its hyperparameters, and the parts of the covariance."""
    apart = np.abs(T[:, None] - T[None, :])
    decay = np.vectorize(lambda gap: Fraction(rho) ** int(gap), otypes=[object])(apart)
    parts = [*coefficients(X * size, 2 / size), (person, same(SCHOOL)), (residual, same(SCHOOL) * decay)]
    values: dict[str, ArrayLike] = {"sd(intercept, person)": person, "residual": residual}
    values["(corr(residual, person) + 1) / 2"] = (rho + 1) / 2
    return AR1 + priors(2 / size, given=given), values, parts


@pytest.mark.parametrize(
    ("spreads", "size"),
    [*((three, 1.0) for three in THREE), ((1.0, BIG, SMALL), 1.0), *(((1.0, 1.0, 2.0), size) for size in SIZES)],
)
def test_spread_by_arm(spreads: tuple[float, float, float], size: float, tmp_path: Path) -> None:
    school, off, on = spreads
    slopes = school / size
    parts = [*coefficients(X * size, 2 / size), (school, same(SCHOOL)), (slopes, same(SCHOOL) * square(X * size))]
    parts += [(off, exact(np.diag(1 - Z))), (on, exact(np.diag(Z)))]
    values = {"sd(intercept, school)": school, "sd(slope(x), school)": slopes}
    values |= {"residual[off]": off, "residual[on]": on}
    agrees(BY_ARM + priors(2 / size), tmp_path, values, parts, X * size, closeness(*spreads))


COLLINEAR = [
    ("adjust for x, w  vary x across school uncorrelated", (1.0,)),
    ("adjust for x, w  vary x across school uncorrelated  vary w across school uncorrelated", (1.0, 0.5)),
    ("adjust for x, w  vary x across school uncorrelated  vary w across school uncorrelated", (BIG, SMALL)),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("varying", "spreads"), COLLINEAR)
def test_a_covariate_that_doubles_another(
    varying: str, spreads: tuple[float, ...], size: float, tmp_path: Path
) -> None:
    """As fixed coefficients and as effects that vary: w = 2 x."""
    slopes = dict(zip(("x", "w"), (spread / size for spread in spreads), strict=False))
    parts = [*coefficients(X * size, 2 / size), (1 / size, square(2 * X * size)), (1.0, same(SCHOOL)), (1.0, ALONE)]
    parts += [(sd, same(SCHOOL) * square({"x": X, "w": 2 * X}[v] * size)) for v, sd in slopes.items()]
    values = {"sd(intercept, school)": 1.0, **{f"sd(slope({v}), school)": sd for v, sd in slopes.items()}}
    text = SCHOOLS + WITHIN + f"analysis {{ {varying} }}\n" + priors(2 / size, f"slope(w) ~ normal(0, {1 / size:.20f})")
    agrees(text, tmp_path, {**values, "residual": 1.0}, parts, X * size, closeness(*spreads, 1.0))


@pytest.mark.parametrize("size", SIZES)
def test_effects_of_a_covariate_and_its_double_that_vary_together(size: float, tmp_path: Path) -> None:
    """Correlated, so that the covariance of a group's effects is full."""
    factor = np.array([[1, 0, 0], [0.6, 0.8, 0], [-0.28, 0.576, np.sqrt(1 - 0.28**2 - 0.576**2)]])
    spreads = np.array([1.0, 0.5 / size, 2.0 / size])
    loads = exact(spreads[:, None] * factor)
    columns = exact(np.column_stack([np.ones(ROWS), X * size, 2 * X * size])) @ loads
    parts = [*coefficients(X * size, 2 / size), (1 / size, square(2 * X * size))]
    parts += [(1.0, same(SCHOOL) * (columns @ columns.T)), (1.0, ALONE)]
    values = dict(zip(("sd(intercept, school)", "sd(slope(x), school)", "sd(slope(w), school)"), spreads, strict=True))
    text = SCHOOLS + WITHIN + "analysis { adjust for x, w  vary x across school  vary w across school }\n"
    text += priors(2 / size, f"slope(w) ~ normal(0, {1 / size:.20f})")
    values |= {"residual": 1.0, "corr_cholesky(school)": factor}
    agrees(text, tmp_path, values, parts, X * size, 1e-6)


FAR = 2.0**24
DISTANT = PRIORS.replace("normal(0, 1024)", "normal(0, 33554432)")


@pytest.mark.parametrize("rho", [0.5, -0.5, 1 - 2.0**-10])
@pytest.mark.parametrize("far", [FAR, -64 * FAR])
def test_serial_far_from_zero(rho: float, far: float, tmp_path: Path) -> None:
    """An outcome whose mean is 17 million, or a thousand million, times its residual spread loses no digits."""
    text, values, parts = serial(1.0, 1.0, rho, 1.0, DISTANT)
    agrees(text, tmp_path, values, [(2 * FAR, parts[0][1]), *parts[1:]], X, 1e-5, far)
