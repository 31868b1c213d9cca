"""Simulation-based calibration: over data simulated from the prior, posterior ranks of the truth are uniform.

Source: Talts et al. (2018). The Model is fixed (priors scaled to one first data set); for each replicate
parameters are drawn from their priors and an outcome from the reference, the prepared model is sampled, and
the rank of each true value among 99 thinned draws is recorded. Uniformity: a chi-squared test on ten bins per
quantity, at 0.001 divided by the number of quantities of the design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdsl import backend as backends
from hdsl.backend import Backend, Settings
from hdsl.driver import derive
from hdsl.inference.recover import recover
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import reported
from hdsl.reference.simulate import prior_draw, simulate

REPLICATES = 100
RANKS = 100
SETTINGS = Settings(chains=1, draws=495, warmup=500, target_accept=0.9)
Array = np.ndarray
Columns = dict[str, Array]

MULTISITE = """study sbc data "d.csv"
group school id school
unit student in school { covariate x : real  outcome y : real }
treatment z { off = 0, on = 1 }
assign z to student within school by bernoulli(0.5)
analysis { adjust for x  vary z across school }
"""
CLUSTERED = """study sbc data "d.csv"
group school id school
unit student in school { covariate x : real  outcome y : real }
treatment z column zs { off = 0, on = 1 }
assign z to school by complete(0.5)
analysis { adjust for x  variance of y by z }
"""
PANEL = """study sbc data "d.csv"
unit person id school
wave month id wave
unit visit in person * month { covariate x : real  outcome y : real }
treatment z column zs { off = 0, on = 1 }
assign z to person by complete(0.5)
analysis { adjust for x }
"""
BINARY = """study sbc data "d.csv"
group school id school
unit student in school { covariate x : real  outcome b : binary }
treatment z { off = 0, on = 1 }
assign z to student within school by bernoulli(0.5)
analysis { adjust for x }
"""
COUNTS = """study sbc data "d.csv"
group school id school
unit student in school { outcome k : count }
treatment z { off = 0, on = 1 }
assign z to student within school by bernoulli(0.5)
analysis { vary z across school uncorrelated }
priors { intercept ~ normal(1, 0.5)  effect(z) ~ normal(0, 0.5)  sd(intercept, school) ~ halfnormal(0.3)
         sd(effect(z), school) ~ halfnormal(0.3)  shape ~ gamma(4, 1) }
"""
NESTED = """study sbc data "d.csv"
group district id district
group school id school in district
unit student in school { covariate x : real  outcome y : real }
treatment z { off = 0, on = 1 }
assign z to student within school by bernoulli(0.5)
analysis { adjust for x }
"""
SERIAL = """study sbc data "d.csv"
group person id school
wave day id wave
unit visit in person * day { covariate x : real  outcome y : real }
treatment z { off = 0, on = 1 }
assign z to visit within person by bernoulli(0.5)
analysis { adjust for x  pool day completely  correlate y within person as ar1 }
"""
SPREAD_BY_ARM = MULTISITE.replace("vary z across school", "variance of y by z")
DESIGNS = {
    "multi-site, joint effects": MULTISITE,
    "cluster-randomised, variance by arm": CLUSTERED,
    "panel, crossed": PANEL,
    "blocked, binary": BINARY,
    "blocked, counts": COUNTS,
}


def columns(rng: np.random.Generator) -> Columns:
    """Return the columns of a small data set: 8 schools (or persons) of 6 rows (or months)."""
    school, wave = np.repeat(np.arange(8), 6), np.tile(np.arange(6), 8)
    x = rng.normal(size=48)
    return {
        "school": school,
        "district": school // 2,
        "wave": wave,
        "x": x,
        "z": wave % 2,
        "zs": school % 2,
        "y": x + 2 * rng.normal(size=48),
        "b": rng.integers(0, 2, 48),
        "k": rng.poisson(3, 48),
    }


def write(folder: Path, text: str, table: Columns) -> Path:
    """Write a study with its data."""
    rows = zip(*(values.tolist() for values in table.values()), strict=True)
    lines = [",".join(table), *(",".join(str(value) for value in row) for row in rows)]
    (folder / "d.csv").write_text("\n".join(lines) + "\n")
    (folder / "s.hdm").write_text(text)
    return folder / "s.hdm"


def ranks(model: Model, data: ModelData, backend: Backend, seed: int) -> Mapping[str, int]:
    """Return the rank of each scalar truth among thinned posterior draws of one replicate."""
    rng = np.random.default_rng(seed)
    truth = prior_draw(model, data, rng)
    drawn = simulate(model, data, truth, rng)
    prepared, values = prepare(model, data)
    slot = model.observations[0].slot
    values = replace(values, values={**values.values, slot: drawn.values[slot]})
    sampled = backend.sample(backend.lower(prepared, values), prepared, values, replace(SETTINGS, seed=seed))
    return ranks_of(model, data, recover(prepared, values, model, sampled.values), truth)


def ranks_of(model: Model, data: ModelData, drawn: Mapping[str, Array], truth: Mapping[str, Array]) -> dict[str, int]:
    """Return the rank of the first two elements of each reported quantity's true value among every fifth draw."""
    draws = reported(model, data, drawn)
    true = reported(model, data, {name: value[None, None] for name, value in truth.items()})
    found: dict[str, int] = {}
    for role, value in true.items():
        flat, right = draws[role].reshape(draws[role].shape[1], -1), value.reshape(-1)
        for place in range(min(len(right), 2)):
            found[f"{role} {place}"] = int(np.sum(flat[::5, place] < right[place]))
    return found


def p_value(found: list[int]) -> float:
    """Return the p-value of uniformity of ranks 0 to 99 on ten bins."""
    from scipy.stats import chisquare

    return float(chisquare(np.bincount(np.asarray(found) * 10 // RANKS, minlength=10)).pvalue)


def uneven(found: Sequence[Mapping[str, int]]) -> dict[str, float]:
    """Return the p-values of the quantities whose ranks, one for each replicate, are not uniform."""
    p_values = {quantity: p_value([replicate[quantity] for replicate in found]) for quantity in found[0]}
    return {quantity: p for quantity, p in p_values.items() if p < 0.001 / len(p_values)}


def plain_model(folder: Path, text: str) -> tuple[Model, ModelData]:
    """Return the plain model of a design with its first data set."""
    derived = derive(write(folder, text, columns(np.random.default_rng(1))))
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    return derived.model, derived.data


@pytest.mark.slow
@pytest.mark.calibration
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", DESIGNS)
def test_ranks_are_uniform(name: str, tmp_path: Path) -> None:
    model, data = plain_model(tmp_path, DESIGNS[name])
    backend = backends.load("numpyro")
    assert not isinstance(backend, backends.Diagnostic)
    found = [ranks(model, data, backend, seed) for seed in range(1, REPLICATES + 1)]
    assert not uneven(found)


def test_the_yardstick_finds_a_wrong_posterior() -> None:
    """Ranks of draws that are too narrow or shifted are told from uniform ones."""
    rng = np.random.default_rng(4)
    truth, draws = rng.normal(size=REPLICATES), rng.normal(size=(REPLICATES, RANKS - 1))

    def rank(sample: Array) -> list[int]:
        return np.sum(sample < truth[:, None], axis=1).tolist()

    assert p_value(rank(draws)) > 0.001
    assert p_value(rank(0.6 * draws)) < 0.001
    assert p_value(rank(draws + 0.5)) < 0.001
