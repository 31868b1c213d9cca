"""NUTS on a model with effects integrated out: the same posterior as by the other ways, under the same names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdsl.backend import Settings, load
from hdsl.diagnostics import Diagnostic
from hdsl.driver import emit, emit_data
from hdsl.inference.fit import Fit, fit
from hdsl.inference.integrated import Integrated, to_sample
from hdsl.passes.marginal.recognise import Unrecognised
from hdsl.report.explain import inference_words
from tests import models
from tests.inference.test_exact import agree
from tests.passes import shapes

SAME_EFFECTS = "nested, the same effects at both levels"
SMALL = Settings(chains=2, draws=60, warmup=60, seed=4)


def fitted(name: str, folder: Path, backend: str, settings: Settings) -> Fit:
    """Return the fit of a shape."""
    loaded = load(backend)
    if isinstance(loaded, Diagnostic):
        pytest.skip(loaded.message)
    found = fit(*shapes.made(name, folder), loaded, settings)
    assert isinstance(found, Fit)
    return found


def test_stan_runs_on_the_integrated_model_by_default(tmp_path: Path) -> None:
    """Unless the whole model is asked for; the names that users see are the same."""
    found = fitted("joint effects", tmp_path, "stan", SMALL)
    whole = fitted("joint effects", tmp_path, "stan", replace(SMALL, inference="nuts"))
    assert "effects integrated out" in found.sampled.engine
    assert "effects integrated out" not in whole.sampled.engine
    assert "integrated out: deviation(school)" in found.how
    assert list(found.roles) == list(whole.roles)
    assert {name: value.shape for name, value in found.parameters.items()} == {
        name: value.shape for name, value in whole.parameters.items()
    }
    assert found.sampled.statistics.keys() == whole.sampled.statistics.keys()


def test_the_seed_decides(tmp_path: Path) -> None:
    first, second = (fitted("joint effects", tmp_path, "stan", SMALL) for _ in range(2))
    other = fitted("joint effects", tmp_path, "stan", replace(SMALL, seed=5))
    for name, values in first.parameters.items():
        np.testing.assert_array_equal(values, second.parameters[name])
    assert any(np.any(values != other.parameters[name]) for name, values in first.parameters.items())


def test_what_cannot_be_integrated_out_is_refused_or_sampled_whole() -> None:
    """Asked for, it is an error with the reason; by default the whole model is sampled."""
    backend = load("stan")
    assert not isinstance(backend, Diagnostic)
    model, data = models.bernoulli()
    found = fit(model, data, backend, Settings(inference="marginal"))
    assert isinstance(found, Diagnostic)
    assert found.code == "HDM716"
    assert "bernoulli_logit" in found.message
    assert isinstance(to_sample(model, data, Settings(), backend), Unrecognised)


def test_a_backend_without_the_law_has_the_whole_model() -> None:
    class Poor:
        name = "poor"

        def capabilities(self) -> object:
            full = load("stan").capabilities()  # pyright: ignore[reportAttributeAccessIssue]
            return replace(full, distributions=full.distributions - {"multinormal_lowrank"})

    model, data = models.varying_slopes()
    assert isinstance(to_sample(model, data, Settings(), None), Integrated)
    found = to_sample(model, data, Settings(), Poor())  # pyright: ignore[reportArgumentType]
    assert isinstance(found, Unrecognised)
    assert "poor" in found.reason


def test_what_is_emitted_is_what_runs(tmp_path: Path) -> None:
    """The program and its data have no rows, unless the whole model is asked for."""
    shapes.made("joint effects", tmp_path)
    study = tmp_path / "shape.hdm"
    text, _ = emit(study, "stan")
    data, _ = emit_data(study, "stan")
    whole, _ = emit(study, "stan", inference="nuts")
    assert "multi_normal_groups_lpdf" in text
    assert b"y_by_school" in data
    assert b"school_of_pupil" not in data
    assert "multi_normal_groups_lpdf" not in whole
    assert "n_pupil" in whole
    assert "n_pupil" not in text


def test_explain_tells_all_levels(tmp_path: Path) -> None:
    words = inference_words(*shapes.made("nested", tmp_path))
    gone = "deviation(intercept, district), deviation(intercept, school)"
    assert f"integrated out: {gone}; sampled" in words or f"integrated out: {gone}" in words.split("named")[-1]


def test_explain_tells_how(tmp_path: Path) -> None:
    words = inference_words(*shapes.made("joint effects", tmp_path))
    assert "NUTS with effects integrated out" in words
    assert "integrated out: deviation(school)" in words
    whole = inference_words(*shapes.made("spread with a covariate", tmp_path))
    assert "because the groups have too many variance classes" in whole


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joint effects", SAME_EFFECTS, "spread by arm", "crossed"])
@pytest.mark.parametrize("backend", ["stan", "pymc", "numpyro"])
def test_posteriors_agree(name: str, backend: str, tmp_path: Path) -> None:
    """With exact draws, and with NUTS on the whole model, within Monte Carlo error."""
    settings = Settings(draws=1500, warmup=700, seed=3, target_accept=0.98)
    found = fitted(name, tmp_path, backend, replace(settings, inference="marginal"))
    agree(fitted(name, tmp_path, "numpyro", replace(settings, inference="exact")), found)
    agree(fitted(name, tmp_path, "stan", replace(settings, inference="nuts")), found)
