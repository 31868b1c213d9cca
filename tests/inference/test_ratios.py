"""Densities by polynomials in the ratios of spreads, against those computed exactly, and where they are not used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hdsl_numpyro import backend

from hdsl.backend import Settings
from hdsl.driver import derive
from hdsl.inference.exact import run
from hdsl.inference.exact.density import log_density
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.inference.exact.ratios import grids_of, log_density_by, two_crossed
from hdsl.inference.fit import Fit, fit
from hdsl.model.ir import Model, ModelData
from tests.inference.test_exact import agree
from tests.passes import shapes

STUDY = """study ratings
data "ratings.csv"
group student id student
group teacher id teacher
unit mark in student * teacher {{ covariate x : real  outcome rating : real }}
treatment service {{ no = 0, yes = 1 }}
assign service to mark by bernoulli(0.5)
analysis {{ adjust for x {more} }}
priors {{ {priors} }}
"""


def ratings(folder: Path, students: float = 0.5, more: str = "", priors: str = "") -> tuple[Model, ModelData]:
    """Return 900 ratings of 30 teachers by 60 students, whose intercepts vary with sds of 0.8 and `students`."""
    rng = np.random.default_rng(4)
    student, teacher = rng.integers(0, 60, 900), rng.integers(0, 30, 900)
    service, x = rng.integers(0, 2, 900), rng.normal(size=900)
    mean = 3 + students * rng.normal(size=60)[student] + 0.8 * rng.normal(size=30)[teacher] + 0.4 * x
    rating = mean - 0.1 * service + 1.2 * rng.normal(size=900)
    rows = zip(student, teacher, service, x.round(6), rating.round(6), strict=True)
    lines = ["student,teacher,service,x,rating", *(",".join(map(str, row)) for row in rows)]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    (folder / "ratings.hdm").write_text(STUDY.format(more=more, priors=priors))
    found = derive(folder / "ratings.hdm")
    assert found.model is not None
    assert found.data is not None
    return found.model, found.data


def marginal(made: tuple[Model, ModelData]) -> Marginal:
    found = marginal_of(*made)
    assert isinstance(found, Marginal)
    return found


def exact(made: tuple[Model, ModelData], draws: int = 500) -> Fit:
    found = fit(*made, backend, Settings(draws=draws, seed=3, inference="exact"))
    assert isinstance(found, Fit)
    return found


def test_polynomials_are_the_density(tmp_path: Path) -> None:
    """Differences around the mode fall fast from the coarser grid to the finer; spreads of 30 and 60 units."""
    made = marginal(ratings(tmp_path))
    errors: list[float] = []
    for grid in grids_of(made):
        rng, middle = np.random.default_rng(1), 0.5 * (grid.low + grid.high)
        spread = 1.2 * np.exp(0.05 * rng.normal(size=200))
        ratios = middle + 0.3 * (grid.high - grid.low) * (rng.uniform(size=(200, 2)) - 0.5)
        points = np.log(np.column_stack([spread * np.exp(ratios[:, 0]), spread * np.exp(ratios[:, 1]), spread]))
        right, near = log_density(made, points), log_density_by(made, grid, points)
        inside = np.isfinite(near)
        assert np.sum(inside) > 150
        errors.append(float(np.std((near - right)[inside])))
        assert np.mean((near - right)[inside]) == pytest.approx(0, abs=0.2)
    assert errors[0] < 0.3
    assert errors[1] < 0.005


def test_the_posterior_is_that_of_exact_densities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ratings(tmp_path)
    plain = exact(made, 2_000)
    monkeypatch.setattr(run, "EMULATED", 0)
    monkeypatch.setattr(run, "emulated", None)
    quick = exact(made, 2_000)
    assert "interpolated from" in quick.sampled.engine
    assert quick.sampled.quality["interpolation_error"] < 0.02
    agree(plain, quick)


def test_a_spread_near_zero_has_no_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logarithm has a long tail, which no box holds; the posterior comes from elsewhere."""
    made = ratings(tmp_path, students=0.0)
    assert list(grids_of(marginal(made))) == []
    plain = exact(made, 2_000)
    monkeypatch.setattr(run, "EMULATED", 0)
    agree(plain, exact(made, 2_000))


def test_a_prior_against_the_data_leads_out_of_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The box is where the likelihood is; where the prior draws the posterior out of it, it is not used."""
    made = ratings(tmp_path, priors="sd(intercept, student) ~ halfnormal(0.03)")
    assert len(list(grids_of(marginal(made)))) > 0
    plain = exact(made, 2_000)
    monkeypatch.setattr(run, "EMULATED", 0)
    agree(plain, exact(made, 2_000))


@pytest.mark.parametrize("more", ["variance of rating by service", "vary service across teacher"])
def test_other_models_have_no_grid(more: str, tmp_path: Path) -> None:
    made = marginal(ratings(tmp_path, more=more))
    assert not two_crossed(made)
    assert list(grids_of(made)) == []


@pytest.mark.parametrize("name", sorted(shapes.SHAPES))
def test_models_of_every_shape_are_told_apart(name: str, tmp_path: Path) -> None:
    """A grid is made of no shape but two crossed intercepts with one residual spread."""
    made = marginal(shapes.made(name, tmp_path))
    assert two_crossed(made) == (name == "crossed")
