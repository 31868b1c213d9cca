"""What a run leaves behind does not depend on the backend: names, dims, labels, types and notes. Seeds repeat it."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hdsl import driver
from hdsl.backend import Settings
from hdsl.inference.posterior import load

if TYPE_CHECKING:
    from xarray import DataTree

    from hdsl.report.result import Result

_STUDY = """\
study reading "Reading, within schools"
data "reading.csv"
group school id school
unit pupil id pupil in school {
  covariate before : real "points"
  outcome   after  : real "points"
}
treatment tutor { none = 0, tutored = 1 }
assign tutor to pupil within school by complete(0.5)
analysis {
  adjust for before
  vary tutor across school
}
estimand here = average over pupil of after(tutor = tutored) - after(tutor = none)
estimand site[school] = average over pupil of after(tutor = tutored) - after(tutor = none)
estimand there = average over population school of after(tutor = tutored) - after(tutor = none)
"""
# Of the notes on a file these say which backend made it.
_OWN_NOTES = {"backend", "inference", "inference_reason"}
_BACKENDS = [
    pytest.param("numpyro"),
    pytest.param("stan", marks=pytest.mark.stan),
    pytest.param("pymc", marks=pytest.mark.slow),
]
each_backend = pytest.mark.parametrize("backend", _BACKENDS)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study of ten schools with its data."""
    folder = tmp_path_factory.mktemp("reading")
    rng = np.random.default_rng(12)
    schools = np.repeat(np.arange(10), 8)
    tutor = np.tile([0, 1], 40)
    before = rng.normal(50, 10, 80)
    after = before + rng.normal(0, 3, 10)[schools] + (4 + rng.normal(0, 2, 10)[schools]) * tutor + rng.normal(0, 5, 80)
    rows = zip(np.arange(80), schools, tutor, before.round(2), after.round(2), strict=True)
    lines = [f"{pupil},school {school},{t},{x},{y}" for pupil, school, t, x, y in rows]
    (folder / "reading.csv").write_text("\n".join(["pupil,school,tutor,before,after", *lines]) + "\n")
    (folder / "reading.hdm").write_text(_STUDY)
    return folder / "reading.hdm"


@cache
def _run(study: Path, backend: str, seed: int = 3, again: bool = False) -> Result:
    if find_spec(f"hdsl_{backend}") is None or (backend == "stan" and find_spec("stanli") is None):
        pytest.skip(f"the backend {backend} is not installed")
    engine = {"stan": "stanli"}.get(backend)
    settings = Settings(chains=2, draws=40, warmup=60, seed=seed, engine=engine, inference="nuts")
    return driver.run(study, backend=backend, settings=settings)


def _saved(study: Path, backend: str, folder: Path) -> DataTree:
    path = folder / f"{backend}.nc"
    _run(study, backend).save(path)
    return load(path).tree


def _description(tree: DataTree) -> dict[str, Any]:
    """Return everything about a file but its numbers."""
    found: dict[str, Any] = {}
    for group, node in tree.children.items():
        found |= {f"{group}: {name}": (each.dims, each.shape, each.dtype.kind) for name, each in node.data_vars.items()}
        found |= {f"{group}, labels: {name}": each.values.tolist() for name, each in node.coords.items()}
    return found


@pytest.mark.parametrize("backend", _BACKENDS[1:])
def test_files_have_the_same_contents(study: Path, backend: str, tmp_path: Path) -> None:
    first, second = _saved(study, "numpyro", tmp_path), _saved(study, backend, tmp_path)
    assert _description(first) == _description(second)
    assert "posterior: effect(tutor)[school]" in _description(first)
    assert _description(first)["posterior, labels: school"] == [f"school {i}" for i in range(10)]
    assert "sample_stats: diverging" in _description(first)
    assert first.attrs.keys() == second.attrs.keys()
    plain = first.attrs.keys() - _OWN_NOTES - {"result_json"}
    assert {name: first.attrs[name] for name in plain} == {name: second.attrs[name] for name in plain}
    assert second.attrs["backend"] == backend


@each_backend
def test_results_have_the_same_form(study: Path, backend: str) -> None:
    """The JSON of a result has the same keys, and names the same quantities."""

    def form(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: form(each) for key, each in value.items()}
        if isinstance(value, list):
            return [form(each) for each in value]
        return type(value).__name__ if not isinstance(value, int | float) else "number"

    first, second = _run(study, "numpyro").to_json(), _run(study, backend).to_json()
    for each in (first, second):
        each.pop("warnings", None)
        assert {"compile", "sampling"} <= each.pop("seconds").keys()
    assert form(first) == form(second)
    for part in ("estimands", "parameters"):
        ours, theirs = ([_name(each) for each in found[part]] for found in (first, second))
        assert ours == theirs


def _name(quantity: dict[str, Any]) -> tuple[Any, ...]:
    return quantity.get("name"), quantity.get("role"), quantity.get("index")


@each_backend
def test_a_seed_repeats_everything(study: Path, backend: str) -> None:
    """Draws, and estimands that draw new schools; another seed gives others."""
    first, again, other = _run(study, backend), _run(study, backend, again=True), _run(study, backend, seed=4)
    for name, each in first.posterior["posterior"].data_vars.items():
        np.testing.assert_array_equal(each.values, again.posterior["posterior"][name].values, err_msg=str(name))
        assert not np.array_equal(each.values, other.posterior["posterior"][name].values), name
    means = [[each["mean"] for each in result.to_json()["estimands"]] for result in (first, again, other)]
    assert means[0] == means[1]
    assert not set(means[0]) & set(means[2])
