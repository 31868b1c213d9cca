"""The DataTree of a fit, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdsl_numpyro import backend
from scipy import stats

from hdsl.backend import Settings
from hdsl.inference import posterior as module
from hdsl.inference.fit import Fit, fit
from hdsl.inference.posterior import load, posterior, save
from tests import models


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """Return a short fit of the schools."""
    found = fit(*models.varying_slopes(), backend, Settings(chains=2, draws=30, warmup=60, seed=1, inference="nuts"))
    assert isinstance(found, Fit)
    return found


def test_groups_and_coordinates(fitted: Fit) -> None:
    """Draws by role with the levels' ids, the variables, the data and the sampler's statistics."""
    tree = posterior(fitted, {"study": "schools"})
    assert set(tree.children) == {
        "posterior",
        "parameters",
        "sample_stats",
        "observed_data",
        "constant_data",
        "log_likelihood",
    }
    effect = tree["posterior"]["effect(tutor)[school]"]
    assert effect.dims == ("chain", "draw", "school")
    assert effect.coords["school"].values.tolist() == [f"school{i}" for i in range(6)]
    np.testing.assert_array_equal(effect.sel(school="school4").values, fitted.roles["effect(tutor)[school]"][:, :, 4])
    assert tree["parameters"]["corr_school"].dims == ("chain", "draw", "effects_school", "effects_school_2")
    assert set(tree["observed_data"].data_vars) == {"y"}
    assert set(tree["constant_data"].data_vars) == {"pretest", "school_of_student", "tutor"}
    assert tree["constant_data"]["pretest"].dims == ("student",)
    assert tree["sample_stats"]["diverging"].dtype == bool
    assert tree.attrs["study"] == "schools"
    assert tree.attrs["max_tree_depth"] == 10


def test_log_likelihood(fitted: Fit) -> None:
    """The log likelihood of a row is the normal log density at its mean."""
    tree = posterior(fitted, {})
    data, v = fitted.data.values, {name: values[1, 17] for name, values in fitted.parameters.items()}
    school = data["school_of_student"]
    mu = v["u"][school, 0] + v["slope_pretest"] * data["pretest"] + v["u"][school, 1] * data["tutor"]
    found = tree["log_likelihood"]["y_observed"]
    assert found.dims == ("chain", "draw", "student")
    np.testing.assert_allclose(found.values[1, 17], stats.norm.logpdf(data["y"], mu, v["residual"]))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_arviz_understands_it(fitted: Fit) -> None:
    """ArviZ computes a cross-validation score and a summary from the tree."""
    import arviz as az

    tree = posterior(fitted, {})
    assert np.isfinite(az.loo(tree, var_name="y_observed").elpd)
    assert "sd(intercept, school)" in az.summary(tree, kind="stats").index


def test_large_log_likelihood_is_left_out(fitted: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit there is no log likelihood, and the tree says so."""
    monkeypatch.setattr(module, "LIKELIHOOD_CELLS", 2 * 30 * 48 - 1)
    tree = posterior(fitted, {})
    assert "log_likelihood" not in tree.children
    assert "left out" in tree.attrs["log_likelihood"]


def _same(one: Any, other: Any) -> None:
    assert one.identical(other)
    for node, copy in zip(one.subtree, other.subtree, strict=True):
        for name, variable in node.data_vars.items():
            assert variable.dtype == copy[name].dtype, name


def test_file_round_trip(fitted: Fit, tmp_path: Path) -> None:
    """A reloaded posterior is identical: values, names, coordinates, types and attributes."""
    tree = posterior(fitted, {"study": "schools", "seed": "1"})
    save(tree, tmp_path / "posterior.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["posterior.nc"]
    _same(tree, load(tmp_path / "posterior.nc"))


def test_any_role_and_any_id_can_be_stored(fitted: Fit, tmp_path: Path) -> None:
    """A slash in a role becomes a division slash; ids of any script survive the file."""
    ids = ["St. John's / A", "Ω", "", "学校", "a\nb", "école"]
    roles = {"slope(x / y)": fitted.roles["effect(tutor)"], **fitted.roles}
    data = replace(fitted.data, coords={**fitted.data.coords, "school": ids})
    tree = posterior(replace(fitted, roles=roles, data=data), {})
    save(tree, tmp_path / "posterior.nc")
    again = load(tmp_path / "posterior.nc")
    _same(tree, again)
    assert again["posterior"]["slope(x ∕ y)"].shape == (2, 30)
    assert again["posterior"]["effect(tutor)[school]"].coords["school"].values.tolist() == ids


def test_failed_write_leaves_the_old_file(fitted: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that breaks off leaves the file that was there, and nothing beside it."""
    import xarray as xr

    path = tmp_path / "posterior.nc"
    path.write_bytes(b"old")

    def broken(self: object, where: Path, **options: object) -> None:
        Path(where).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.DataTree, "to_netcdf", broken)
    with pytest.raises(KeyboardInterrupt):
        save(posterior(fitted, {}), path)
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["posterior.nc"]


def test_overwriting(fitted: Fit, tmp_path: Path) -> None:
    """A saved posterior can be replaced, also while the old one was read before."""
    path = tmp_path / "posterior.nc"
    save(posterior(fitted, {"study": "one"}), path)
    first = load(path)
    save(posterior(fitted, {"study": "two"}), path)
    assert (first.attrs["study"], load(path).attrs["study"]) == ("one", "two")
