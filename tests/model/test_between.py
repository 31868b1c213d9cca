"""Intercepts of unevenly informed units are sampled between centred and non-centred."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hdsl.backend import load
from hdsl.diagnostics import Diagnostic
from hdsl.driver import derive
from hdsl.model.ir import Model, ModelData, RandomVariable
from hdsl.passes import between, prepare
from hdsl.passes.between import BETWEEN, partly_centred
from hdsl.passes.informed import informed, informed_units
from hdsl.passes.noncentre import varying_effects
from hdsl.reference.density import log_density
from hdsl.reference.free import random_point
from tests.model.designs import DESIGNS
from tests.model.preserved import differences

Case = tuple[Model, ModelData]
EVEN, UNEVEN = (20,) * 12, (1, 1, 2, 2, 3, 4, 6, 10, 20, 40, 80, 160)
BACKENDS = ("numpyro", "pymc", "stan")
APPLIES = frozenset(["blocked", "summaries", "counted", "exposed", "overdispersed"])


def study(folder: Path, sizes: tuple[int, ...], kind: str = "real", sd: float = 1.0, more: str = "") -> Case:
    """Return the plain model of units of the given sizes, in groups that follow each other."""
    rng = np.random.default_rng(4)
    site = np.repeat(np.arange(len(sizes)), sizes)
    x, month = rng.normal(size=len(site)), rng.integers(0, 6, len(site))
    eta = sd * rng.normal(size=len(sizes))[site] + 0.5 * x
    y = {
        "real": eta + rng.normal(size=len(site)),
        "binary": (rng.random(len(site)) < 1 / (1 + np.exp(-eta))).astype(int),
        "count": rng.poisson(np.exp(np.clip(eta, None, 3))),
    }[kind]
    rows = [f"{s},{m},{a:.6g},{b:.6g}" for s, m, a, b in zip(site, month, x, y, strict=True)]
    (folder / "rows.csv").write_text("site,month,x,y\n" + "\n".join(rows) + "\n")
    text = (
        'study uneven data "rows.csv"\ngroup site id site\n'
        f"unit row in site {{ covariate x : real outcome y : {kind} }}\nanalysis {{ adjust for x {more} }}\n"
    )
    (folder / "uneven.hdm").write_text(text)
    derived = derive(folder / "uneven.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    return derived.model, derived.data


def parts(model: Model) -> list[RandomVariable]:
    """Return the variables in the form between."""
    return [v for v in model.variables if v.role.startswith(BETWEEN)]


@pytest.mark.parametrize("kind", ["real", "binary", "count"])
def test_used_where_units_are_unevenly_informed(kind: str, tmp_path: Path) -> None:
    model, data = prepare(*study(tmp_path, UNEVEN, kind))
    assert len(parts(model)) == 1
    (slot,) = [each.name for each in model.slots if each.name.endswith("_share")]
    shares = data.values[slot]
    assert np.corrcoef(shares, np.log(UNEVEN))[0, 1] > 0.9
    assert shares[0] < 0.5 < shares[-1] < 1


@pytest.mark.parametrize("kind", ["real", "binary"])
def test_not_used_where_units_are_alike(kind: str, tmp_path: Path) -> None:
    assert not parts(prepare(*study(tmp_path, EVEN, kind))[0])


def test_not_used_where_units_do_not_differ(tmp_path: Path) -> None:
    """No variance between the units: the ratio is 0 for all."""
    assert not parts(prepare(*study(tmp_path, (*UNEVEN[:-2], 30, 30), sd=0.0))[0])


@pytest.mark.parametrize("kind", ["real", "binary", "count"])
def test_log_density_is_kept(kind: str, tmp_path: Path) -> None:
    plain = study(tmp_path, UNEVEN, kind)
    prepared = prepare(*plain)
    assert parts(prepared[0])
    assert np.ptp(differences(prepared, plain, np.random.default_rng(5))) < 1e-5


@pytest.mark.parametrize("name", DESIGNS)
def test_log_density_is_kept_in_every_design(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With forms drawn at random where an intercept is all that varies; elsewhere the forms stay."""
    rng = np.random.default_rng(6)
    monkeypatch.setattr(
        between,
        "informed_units",
        lambda model, data, variable: (rng.uniform(0, 9, model.sizes[variable.dims[0]]), 0.7),
    )
    monkeypatch.setattr(between, "SPREAD_ABOVE", 0.0)
    monkeypatch.setattr(between, "FEWEST", 2)
    plain = DESIGNS[name](tmp_path).made
    prepared = prepare(*plain)
    assert bool(parts(prepared[0])) == (name in APPLIES)
    assert np.ptp(differences(prepared, plain, np.random.default_rng(5))) < 1e-5


@given(st.lists(st.floats(0, 1), min_size=12, max_size=12), st.floats(0.05, 20))
@settings(max_examples=10, deadline=None)
def test_any_shares_keep_the_log_density(
    tmp_path_factory: pytest.TempPathFactory, shares: list[float], typical: float
) -> None:
    plain = study(tmp_path_factory.mktemp("any"), UNEVEN)
    (variable,) = varying_effects(plain[0])
    moved = partly_centred(*plain, variable, np.array(shares), typical)
    assert np.ptp(differences(moved, plain, np.random.default_rng(7), 2)) < 1e-5


def test_units_are_independent_of_the_mean(tmp_path: Path) -> None:
    """Closed form: with w = r / (1 + r), r = n s^2 / sigma^2, the mixed derivative by a unit and the mean is zero."""
    plain = study(tmp_path, UNEVEN)
    (variable,) = varying_effects(plain[0])
    typical, sigma = 2.5, 1.7
    ratio = np.array(UNEVEN) * typical**2 / sigma**2
    point = random_point(*plain, np.random.default_rng(8))
    names = {v.role: v.name for v in plain[0].variables}

    def mixed(shares: np.ndarray) -> np.ndarray:
        model, data = partly_centred(*plain, variable, shares, typical)
        (part,) = parts(model)
        at = {**point, names["sd(intercept, site)"]: np.array(typical), names["residual"]: np.array(sigma)}
        at[part.name] = point[variable.name]
        mean = names["intercept"]
        found = []
        for unit in range(len(UNEVEN)):
            step = np.eye(len(UNEVEN))[unit] * 0.1
            corners = [
                log_density(model, data, {**at, part.name: at[part.name] + a * step, mean: at[mean] + b * 0.1})
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            found.append((corners[0] - corners[1] - corners[2] + corners[3]) / 0.04)
        return np.array(found)

    assert_allclose(mixed(ratio / (1 + ratio)), 0.0, atol=1e-6)
    assert np.min(np.abs(mixed(np.full(len(UNEVEN), 0.5)))) > 1e-3


def test_information_of_units_adds_up(tmp_path: Path) -> None:
    """A larger unit has as much more as it has rows; the average is what is said of all, or less."""
    plain = study(tmp_path, UNEVEN, "binary")
    (variable,) = varying_effects(plain[0])
    found = informed_units(*plain, variable)
    assert found is not None
    ratios, _ = found
    assert 0 < np.mean(ratios) <= informed(*plain, variable) * (1 + 1e-6)
    assert_allclose(ratios / ratios[0], np.array(UNEVEN), rtol=0.05)


@pytest.mark.parametrize("kind", ["real", "binary"])
@pytest.mark.parametrize("name", BACKENDS)
def test_backends_have_the_log_density_of_the_reference(name: str, kind: str, tmp_path: Path) -> None:
    backend = load(name)
    if isinstance(backend, Diagnostic):
        pytest.skip(backend.message)
    model, data = prepare(*study(tmp_path, UNEVEN, kind))
    assert parts(model)
    function = backend.log_density(backend.lower(model, data), model, data)
    rng = np.random.default_rng(3)
    points = [random_point(model, data, rng, 0.8) for _ in range(3)]
    expected = [log_density(model, data, point) for point in points]
    assert_allclose(np.diff([function(point)[0] for point in points]), np.diff(expected), rtol=1e-8, atol=1e-8)
