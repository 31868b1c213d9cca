"""Exploratory interactions: the laws of their common priors, their units, and what they are told apart from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hdsl.data.bind import bind
from hdsl.design.parts import bernoulli, covariate, outcome
from hdsl.design.study import Study
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import definitions, reported
from hdsl.reference.simulate import prior_draw
from tests.model.designs import Column, write
from tests.model.preserved import differences

Array = np.ndarray
Rng = np.random.Generator
MODERATORS = ("a", "b", "c", "d")
DRAWS = 4000
PRIORS = ("halft", "horseshoe", "r2d2", "lasso", "heredity")


def _data(rows: int = 120, arms: int = 2) -> dict[str, Column]:
    g = np.random.default_rng(2)
    columns: dict[str, Column] = {name: (2 * g.normal(size=rows) + 5).round(3) for name in MODERATORS}
    columns["site"], columns["kind"] = np.arange(rows) % 6, np.array(["x", "y", "z"])[g.integers(0, 3, rows)]
    columns["z"], columns["y"] = g.integers(0, arms, rows), g.normal(size=rows).round(3)
    return columns


def _study(prior: Any, *terms: str, arms: int = 2) -> Study:
    variables = [*(covariate(name, "real") for name in MODERATORS), covariate("kind", "category"), outcome("y", "real")]
    study = Study("shr").data("d.csv").group("site", id="site").unit("person", within="site", variables=variables)
    study = study.treatment("z", off=0, on=1) if arms == 2 else study.treatment("z", off=0, on=1, more=2)
    study = study.assign("z", to="person", within="site", by=bernoulli(*([0.5] if arms == 2 else [0.4, 0.3, 0.3])))
    return study.vary("z", moderator=terms, prespecified=False).shrink(prior)


def _made(study: Study, folder: Path) -> tuple[Model, ModelData]:
    write(folder / "d.csv", _data(arms=len(study.treatments[0].arms)))
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    return made


def _halft(g: Rng, s: float, d: int) -> Array:
    return 0.5 * s * np.abs(stats.t(4).rvs((DRAWS, 1), random_state=g)) * g.normal(size=(DRAWS, d))


def _lasso(g: Rng, s: float, d: int) -> Array:
    return 0.5 * s * np.abs(stats.t(4).rvs((DRAWS, 1), random_state=g)) * g.laplace(0, np.sqrt(0.5), (DRAWS, d))


def _r2d2(g: Rng, s: float, d: int) -> Array:
    r2, phi = g.beta(1, 9, (DRAWS, 1)), g.dirichlet([0.5] * d, DRAWS)
    return s * np.sqrt(r2 / (1 - r2) * phi) * g.laplace(0, np.sqrt(0.5), (DRAWS, d))


def _horseshoe(g: Rng, s: float, d: int, tau: float) -> Array:
    tau_, local = tau * np.abs(g.standard_cauchy((DRAWS, 1))), np.abs(g.standard_cauchy((DRAWS, d)))
    slab = stats.invgamma(2, scale=2 * s**2).rvs((DRAWS, 1), random_state=g)
    return np.sqrt(slab / (slab + (tau_ * local) ** 2)) * tau_ * local * g.normal(size=(DRAWS, d))


LAWS: Mapping[str, Callable[[Rng, float, int], Array]] = {"halft": _halft, "lasso": _lasso, "r2d2": _r2d2}


def _prior_thetas(model: Model, data: ModelData) -> tuple[Array, Mapping[str, Array]]:
    """Return prior draws of the interactions for one standard deviation of each moderator, and of all reported."""
    drawn = prior_draw(model, data, np.random.default_rng(3), draws=DRAWS)
    thetas = definitions(model, data, drawn, ["interactions"], ("draw",))["interactions"].real
    return thetas, reported(model, data, {name: value[None] for name, value in drawn.items()})


@pytest.mark.parametrize("prior", [*LAWS, "horseshoe"])
def test_the_prior_is_the_published_one(prior: str, tmp_path: Path) -> None:
    """Sizes of all and of the largest interaction, against draws made from the formulas."""
    model, data = _made(_study(prior, *MODERATORS), tmp_path)
    thetas, _ = _prior_thetas(model, data)
    columns = _data()
    s = float(np.std(np.asarray(columns["y"], dtype=float), ddof=1))
    g, d = np.random.default_rng(4), len(MODERATORS)
    if prior == "horseshoe":
        z = np.asarray(columns["z"], dtype=float)
        expected = _horseshoe(g, s, d, tau=1 / 3 * s / np.sqrt(120) / np.std(z))
    else:
        expected = LAWS[prior](g, s, d)
    for ours, theirs in ((np.abs(thetas[:, 0]), np.abs(expected[:, 0])), (_largest(thetas), _largest(expected))):
        found: Any = stats.ks_2samp(ours, theirs)
        assert found.pvalue > 1e-3


def _largest(thetas: Array) -> Array:
    return np.abs(thetas).max(axis=1)


def test_heredity_scales_with_the_main_effects(tmp_path: Path) -> None:
    """theta / (sd sqrt(|effect| |slope of one sd|)) is standard normal, sizes smoothed at a twentieth of the scale."""
    model, data = _made(_study("heredity", *MODERATORS), tmp_path)
    thetas, every = _prior_thetas(model, data)
    columns = _data()
    floor = 0.05 * float(np.std(np.asarray(columns["y"], dtype=float), ddof=1))
    effect = np.sqrt(every["effect(z)"][0] ** 2 + floor**2)
    for place, name in enumerate(MODERATORS):
        slope = every[f"slope({name})"][0] * np.std(np.asarray(columns[name], dtype=float))
        size = every["sd(interactions)"][0] * np.sqrt(effect * np.sqrt(slope**2 + floor**2))
        found: Any = stats.kstest(thetas[:, place] / size, "norm")
        assert found.pvalue > 1e-3


@pytest.mark.parametrize("prior", PRIORS)
def test_passes_keep_the_density(prior: str, tmp_path: Path) -> None:
    made = _made(_study(prior, *MODERATORS), tmp_path)
    assert np.ptp(differences(prepare(*made), made, np.random.default_rng(5))) < 1e-6


@pytest.mark.parametrize("prior", PRIORS)
def test_arms_and_categories_have_an_interaction_each(prior: str, tmp_path: Path) -> None:
    model, _ = _made(_study(prior, "kind", "a", arms=3), tmp_path)
    found = [r.role for r in model.reported if r.role.startswith("interaction(")]
    of_kind = [f"interaction(z * kind)[{arm}, {kind}]" for arm in ("on", "more") for kind in ("y", "z")]
    assert sorted(found) == sorted([*of_kind, "interaction(z * a)[on]", "interaction(z * a)[more]"])
    assert next(i.size for i in model.index_sets if i.name == "exploratory") == 6


def test_a_prior_of_ones_own_takes_an_interaction_out(tmp_path: Path) -> None:
    study = _study("horseshoe", *MODERATORS).prior("interaction(z * a)", "normal(0, 0.3)")
    model, _ = _made(study, tmp_path)
    assert next(i.size for i in model.index_sets if i.name == "exploratory") == 3
    (own,) = [v for v in model.variables if v.role == "interaction(z * a)"]
    assert own.law.distribution == "normal"


def test_interactions_do_not_depend_on_the_units_of_a_moderator(tmp_path: Path) -> None:
    """The effect is that at average moderators, and theta is for one standard deviation."""
    model, data = _made(_study("halft", "a"), tmp_path)
    thetas, every = _prior_thetas(model, data)
    a = np.asarray(_data()["a"], dtype=float)
    np.testing.assert_allclose(every["interaction(z * a)"][0] * np.std(a), thetas[:, 0], rtol=1e-9)
