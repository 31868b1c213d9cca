"""From a plain model to draws of it, and back from the rewritten model."""

from __future__ import annotations

import numpy as np
import pytest
from hdsl_numpyro import backend
from numpy.typing import NDArray

from hdsl import backend as backends
from hdsl.backend import Capabilities, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.inference import recover as recovery
from hdsl.inference.fit import Fit, fit
from hdsl.inference.recover import recover
from hdsl.model.ir import Model, ModelData, RandomVariable, gather, mul, var
from hdsl.reference.simulate import prior_draw
from tests import models

_SHORT = Settings(chains=2, draws=50, warmup=100, seed=1, inference="nuts")


def _prior(model: Model, data: ModelData, chains: int, draws: int) -> dict[str, NDArray[np.float64]]:
    flat = prior_draw(model, data, np.random.default_rng(7), draws=chains * draws)
    return {name: values.reshape(chains, draws, *values.shape[1:]) for name, values in flat.items()}


@pytest.mark.parametrize("cells", [20_000_000, 60, 1])
def test_recover_by_hand(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws of the non-centred model give the centred one's by u = mean + z L', in chunks of any length."""
    monkeypatch.setattr(recovery, "CELLS", cells)
    rewritten, data = models.varying_slopes_noncentred()
    plain, _ = models.varying_slopes()
    draws = _prior(rewritten, data, 2, 7)
    found = recover(rewritten, data, plain, draws)
    assert set(found) == {variable.name for variable in plain.variables}
    mean = np.stack([draws["intercept"], draws["effect_tutor"]], axis=-1)
    factor = draws["sd_school"][..., :, None] * draws["corr_school"]
    expected = mean[:, :, None, :] + np.einsum("cdsk,cdek->cdse", draws["z"], factor)
    np.testing.assert_allclose(found["u"], expected, rtol=1e-12)
    np.testing.assert_array_equal(found["residual"], draws["residual"])


@pytest.fixture(scope="module")
def fitted() -> Fit:
    """Return a short fit of the schools."""
    found = fit(*models.varying_slopes(), backend, _SHORT)
    assert isinstance(found, Fit)
    return found


def test_fit_is_of_the_plain_model(fitted: Fit) -> None:
    """A fit gives draws of the plain model's variables and of its roles, whatever was sampled."""
    model = fitted.model
    sizes = model.sizes
    shapes = {v.name: (2, 50, *(sizes[dim] for dim in v.dims)) for v in model.variables}
    assert {name: values.shape for name, values in fitted.parameters.items()} == shapes
    roles = fitted.roles
    np.testing.assert_array_equal(roles["effect(tutor)[school]"], fitted.parameters["u"][..., 1])
    np.testing.assert_array_equal(roles["sd(intercept, school)"], fitted.parameters["sd_school"][..., 0])
    assert fitted.backend == "numpyro"
    assert set(fitted.sampled.seconds) >= {"compile", "sampling"}


def test_fit_reproduces(fitted: Fit) -> None:
    """The same seed gives the same fit, roles included."""
    again = fit(*models.varying_slopes(), backend, _SHORT)
    assert isinstance(again, Fit)
    for one, other in ((fitted.parameters, again.parameters), (fitted.roles, again.roles)):
        for name, values in one.items():
            np.testing.assert_array_equal(values, other[name])


def _pairs(centred: bool) -> models.Case:
    """Means of pairs of observations with known spreads: the group means have a closed form."""
    sets = (models.level("group", 3), models.level("row", 6))
    name = "theta" if centred else "z"
    theta = var("theta") if centred else mul(var("z"), var("scale"))
    model = Model(
        name="pairs",
        unit="row",
        index_sets=sets,
        slots=(
            models.real_slot("y", ("row",)),
            models.real_slot("scale", ()),
            models.int_slot("group_of_row", ("row",), indexes="group"),
        ),
        statements=(models.random(name, "intercept[group]", "normal", 0, 2 if centred else 1, dims=("group",)),),
        observations=(models.observe(("row",), "normal", gather(theta, var("group_of_row"), "group"), 1),),
    )
    values = {
        "y": np.array([1.0, 2.0, -1.0, 0.0, 4.0, 6.0]),
        "scale": np.array(2.0),
        "group_of_row": np.array([0, 0, 1, 1, 2, 2]),
    }
    return model, ModelData(values, models.labels(sets))


@pytest.mark.parametrize("centred", [True, False])
def test_centred_and_noncentred_agree_with_the_closed_form(centred: bool) -> None:
    """Shrunken group means: precision 1/4 + 2, mean the precision-weighted sum."""
    model, data = _pairs(centred)
    fitted = fit(model, data, backend, Settings(chains=4, draws=1000, warmup=400, seed=9, inference="nuts"))
    assert isinstance(fitted, Fit)
    theta = fitted.parameters["theta"] if centred else 2 * fitted.parameters["z"]
    precision = 1 / 4 + 2
    # More than 2000 effective draws: four standard errors.
    limit = 4 * precision**-0.5 / np.sqrt(2000)
    np.testing.assert_allclose(np.mean(theta, axis=(0, 1)), np.array([3, -1, 10]) / precision, atol=limit)
    np.testing.assert_allclose(np.std(theta, axis=(0, 1)), precision**-0.5, rtol=0.08)


class _Narrow:
    """A backend without the gamma distribution."""

    name = "narrow"

    def __getattr__(self, name: str) -> object:
        return getattr(backend, name)

    def capabilities(self) -> Capabilities:
        able = backend.capabilities()
        return Capabilities(able.functions, able.distributions - {"gamma"}, able.censored)


def test_what_a_backend_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """HDM604 names the distribution and a backend that has it; nothing is sampled."""
    entries = backends.installed()
    monkeypatch.setattr(backends, "installed", lambda: {"numpyro": entries["numpyro"]})
    model, data = models.negbinomial()
    refused = fit(model, data, _Narrow(), _SHORT)  # pyright: ignore[reportArgumentType]
    assert isinstance(refused, Diagnostic)
    assert refused.code == "HDM604"
    assert "gamma" in refused.message
    assert refused.help == "Use --backend numpyro."


@pytest.mark.parametrize("weight", [False, True])
def test_censored_outcomes_of_a_law_without_survival_function_are_refused(weight: bool) -> None:
    """HDM604 says that it is the censoring, and names the backend that can."""
    pytest.importorskip("hdsl_stan")
    model, data = models.observed("student", weight=weight, event=True)
    refused = fit(model, data, backend, _SHORT)
    assert isinstance(refused, Diagnostic)
    assert refused.code == "HDM604"
    assert "censored values of y" in refused.message
    assert "law 'student'" in refused.message
    assert refused.help == "Use --backend stan."
    assert backends.refusal(models.observed("student", weight=weight)[0], backend) is None


def test_plain_variables_survive_every_pass() -> None:
    """Each plain variable of each test model can be recovered from the prepared model."""
    from hdsl.passes import prepare

    for name, build in models.MODELS.items():
        model, data = build()
        prepared, values = prepare(model, data)
        draws = _prior(prepared, values, 1, 2)
        found = recover(prepared, values, model, draws)
        sizes = model.sizes
        for variable in model.variables:
            assert isinstance(variable, RandomVariable)
            assert found[variable.name].shape == (1, 2, *(sizes[dim] for dim in variable.dims)), name
            assert np.all(np.isfinite(found[variable.name])), name
