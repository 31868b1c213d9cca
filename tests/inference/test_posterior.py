"""The DataTree of a fit, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hdsl_numpyro import backend
from scipy import stats

from hdsl.backend import Settings
from hdsl.inference import posterior as module
from hdsl.inference.fit import Fit, fit
from hdsl.inference.groups import Posterior
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
    tree = posterior(fitted, {"study": "schools"}).tree
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
    tree = posterior(fitted, {}).tree
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

    tree = posterior(fitted, {}).tree
    assert np.isfinite(az.loo(tree, var_name="y_observed").elpd)
    assert "sd(intercept, school)" in az.summary(tree, kind="stats").index


def test_large_log_likelihood_is_left_out(fitted: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit there is no log likelihood, and the tree says so."""
    monkeypatch.setattr(module, "LIKELIHOOD_CELLS", 2 * 30 * 48 - 1)
    tree = posterior(fitted, {}).tree
    assert "log_likelihood" not in tree.children
    assert "left out" in tree.attrs["log_likelihood"]


def _same(one: Any, other: Any) -> None:
    assert one.identical(other)
    for node, copy in zip(one.subtree, other.subtree, strict=True):
        for name, variable in node.data_vars.items():
            assert variable.dtype == copy[name].dtype, name


def test_file_round_trip(fitted: Fit, tmp_path: Path) -> None:
    """A reloaded posterior is identical: values, names, coordinates, types and attributes."""
    found = posterior(fitted, {"study": "schools", "seed": "1"})
    save(found, tmp_path / "posterior.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["posterior.nc"]
    _same(found.tree, load(tmp_path / "posterior.nc").tree)


def test_xarray_reads_and_writes_the_same(fitted: Fit, tmp_path: Path) -> None:
    """What xarray reads of a file is the tree, and a tree that xarray wrote is read."""
    found = posterior(fitted, {"study": "schools"})
    save(found, tmp_path / "ours.nc")
    with xr.open_datatree(tmp_path / "ours.nc", engine="netcdf4") as theirs:
        _same(found.tree, theirs)
    found.tree.to_netcdf(tmp_path / "theirs.nc", engine="netcdf4")
    _same(found.tree, load(tmp_path / "theirs.nc").tree)


def test_a_changed_tree_is_saved_as_it_is(fitted: Fit, tmp_path: Path) -> None:
    """Groups, arrays, labels and notes that a user adds to the tree are in the file."""
    found = posterior(fitted, {})
    tree = found.tree
    tree["mine/inner"] = xr.DataTree(xr.Dataset({"x": ("row", [1.0, np.nan], {"units": "points"})}))
    tree["labelled"] = xr.DataTree(xr.Dataset({"y": ("row", [True, False])}, {"word": ("row", ["a", "b"])}))
    tree["of_all"] = 3
    tree.attrs["note"] = "mine"
    save(found.now(), tmp_path / "posterior.nc")
    _same(tree, load(tmp_path / "posterior.nc").tree)


def test_any_role_and_any_id_can_be_stored(fitted: Fit, tmp_path: Path) -> None:
    """A slash in a role becomes a division slash; ids of any script survive the file."""
    ids = ["St. John's / A", "Ω", "", "学校", "a\nb", "école"]
    roles = {"slope(x / y)": fitted.roles["effect(tutor)"], **fitted.roles}
    data = replace(fitted.data, coords={**fitted.data.coords, "school": ids})
    found = posterior(replace(fitted, roles=roles, data=data), {})
    save(found, tmp_path / "posterior.nc")
    again = load(tmp_path / "posterior.nc").tree
    _same(found.tree, again)
    assert again["posterior"]["slope(x ∕ y)"].shape == (2, 30)
    assert again["posterior"]["effect(tutor)[school]"].coords["school"].values.tolist() == ids


def test_failed_write_leaves_the_old_file(fitted: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that breaks off leaves the file that was there, and nothing beside it."""
    path = tmp_path / "posterior.nc"
    path.write_bytes(b"old")

    def broken(found: Posterior, where: Path) -> None:
        where.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write", broken)
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
    assert (first.notes["study"], load(path).notes["study"]) == ("one", "two")
