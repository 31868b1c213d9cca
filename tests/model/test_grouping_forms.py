"""Groupings of which the data tell enough are partly centred; those whose spread may be near zero are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hdsl.backend import load
from hdsl.diagnostics import Diagnostic
from hdsl.driver import derive
from hdsl.model.ir import Model, ModelData, RandomVariable
from hdsl.passes import noncentre, prepare
from hdsl.passes.grouping_forms import Form, grouping_forms
from hdsl.passes.noncentre import varying_effects
from hdsl.reference.density import log_density
from hdsl.reference.free import random_point
from tests.model.designs import DESIGNS
from tests.model.preserved import differences

Case = tuple[Model, ModelData]
SCHOOLS, DISTRICTS, PUPILS = 60, 15, 8


def study(
    folder: Path, kind: str = "real", school: float = 0.8, district: float = 1.2, districts: int = DISTRICTS
) -> Case:
    """Return the plain model of pupils in schools in districts, with the given standard deviations between them."""
    rng = np.random.default_rng(3)
    of_pupil = np.repeat(np.arange(SCHOOLS), PUPILS)
    of_school = np.arange(SCHOOLS) * districts // SCHOOLS
    eta = (school * scores(rng, SCHOOLS) + (district * scores(rng, districts))[of_school])[of_pupil]
    y = eta + rng.normal(size=len(eta)) if kind == "real" else rng.random(len(eta)) < 1 / (1 + np.exp(-2 * eta))
    rows = [f"{of_school[s]},{s},{float(value):.6g}" for s, value in zip(of_pupil, y, strict=True)]
    (folder / "rows.csv").write_text("district,school,y\n" + "\n".join(rows) + "\n")
    (folder / "nested.hdm").write_text(
        'study nested data "rows.csv"\ngroup district id district\ngroup school id school in district\n'
        f"unit pupil in school {{ outcome y : {kind} }}\n"
    )
    derived = derive(folder / "nested.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    return derived.model, derived.data


def scores(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return normal scores in an order drawn at random."""
    from scipy.stats import norm

    return rng.permutation(norm.ppf((np.arange(size) + 0.5) / size))


def forms(case: Case) -> dict[str, Form]:
    """Return the forms found, by level."""
    found = grouping_forms(*case, varying_effects(case[0]))
    return {variable.dims[0]: found[variable.name] for variable in varying_effects(case[0]) if variable.name in found}


def partly(model: Model) -> list[RandomVariable]:
    """Return the standard deviations whose own law rests on their spread."""
    return [v for v in model.variables if v.role.startswith("standard(deviation(") and "pow" in str(v.law.args[1])]


@pytest.mark.parametrize(("kind", "school"), [("real", 0.8), ("binary", 1.0)])
def test_used_where_all_groupings_surely_vary(kind: str, school: float, tmp_path: Path) -> None:
    found = forms(study(tmp_path, kind, school))
    assert found.keys() == {"school", "district"}
    assert all(0.25 <= form.share < 1 for form in found.values())


def test_spreads_are_those_of_the_data(tmp_path: Path) -> None:
    """Truth 0.8 and 1.2: what varies between schools is not taken for what varies between districts."""
    found = forms(study(tmp_path))
    assert_allclose([found["school"].typical, found["district"].typical], [0.8, 1.2], rtol=0.35)


@pytest.mark.parametrize("nothing", ["school", "district"])
def test_not_used_where_a_spread_may_be_zero(nothing: str, tmp_path: Path) -> None:
    found = forms(study(tmp_path, school=float(nothing != "school"), district=1.5 * (nothing != "district")))
    assert found.keys() == ({"district"} if nothing == "school" else set())


def test_not_used_for_few_units_nor_for_what_lies_in_them(tmp_path: Path) -> None:
    assert not forms(study(tmp_path, districts=3))


def test_share_by_hand(tmp_path: Path) -> None:
    """Closed form in a balanced grouping: w = r / (1 + r), r = F (k - 1) / chi2(0.995, k - 1) - 1."""
    from scipy.stats import chi2

    study(tmp_path)
    (tmp_path / "flat.hdm").write_text(
        'study flat data "rows.csv"\ngroup school id school\nunit pupil in school { outcome y : real }\n'
    )
    derived = derive(tmp_path / "flat.hdm")
    assert derived.model is not None
    assert derived.data is not None
    y = np.loadtxt(tmp_path / "rows.csv", delimiter=",", skiprows=1)[:, 2].reshape(SCHOOLS, PUPILS)
    freedom = SCHOOLS - 1
    ratio = PUPILS * np.var(y.mean(axis=1), ddof=1) / np.mean(np.var(y, axis=1, ddof=1))
    low = ratio * freedom / chi2.ppf(0.995, freedom) - 1
    (form,) = forms((derived.model, derived.data)).values()
    assert_allclose(form.share, low / (1 + low), atol=0.006)


@pytest.mark.parametrize("kind", ["real", "binary"])
def test_log_density_and_roles_are_kept(kind: str, tmp_path: Path) -> None:
    plain = study(tmp_path, kind, school=0.6)
    prepared = prepare(*plain)
    assert len(partly(prepared[0])) >= 1
    assert np.ptp(differences(prepared, plain, np.random.default_rng(5))) < 1e-5
    kept = {v.role for v in plain[0].variables}
    assert kept <= {s.role for s in prepared[0].statements}


@pytest.mark.parametrize("name", DESIGNS)
def test_log_density_is_kept_in_every_design(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever form the scalar effects have, of normal and other laws."""
    rng = np.random.default_rng(6)

    def drawn(_model: Model, _data: ModelData, varying: list[RandomVariable]) -> dict[str, Form]:
        scalar = [v for v in varying if v.law.distribution == "normal"]
        return {v.name: Form(round(rng.uniform(), 2), float(rng.uniform(0.1, 9))) for v in scalar}

    monkeypatch.setattr(noncentre, "grouping_forms", drawn)
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", np.inf)
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", np.inf)
    plain = DESIGNS[name](tmp_path).made
    assert np.ptp(differences(prepare(*plain), plain, np.random.default_rng(5))) < 1e-5


@pytest.mark.parametrize("name", ["numpyro", "pymc", "stan"])
def test_backends_have_the_log_density_of_the_reference(name: str, tmp_path: Path) -> None:
    backend = load(name)
    if isinstance(backend, Diagnostic):
        pytest.skip(backend.message)
    model, data = prepare(*study(tmp_path, "binary"))
    assert partly(model)
    function = backend.log_density(backend.lower(model, data), model, data)
    rng = np.random.default_rng(3)
    points = [random_point(model, data, rng, 0.8) for _ in range(3)]
    expected = [log_density(model, data, point) for point in points]
    assert_allclose(np.diff([function(point)[0] for point in points]), np.diff(expected), rtol=1e-8, atol=1e-8)
