"""Stan programs, what they generate, and the stanli engine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

pytest.importorskip("stanli")

from hdsl_stan import backend, engine_stanli, engines
from hdsl_stan.data import stan_data
from hdsl_stan.draws import complete
from hdsl_stan.engines import choose
from hdsl_stan.lower import lowered

from hdsl.backend import Draws, Progress, SamplingFailed, Settings
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import FUNCTIONS
from hdsl.model.ir import Model, ModelData
from hdsl.reference import density
from hdsl.reference import distributions as reference
from hdsl.reference.values import Value
from tests import models
from tests.conformance.cases import CASES, linear, moving_bounds, two_outcomes

pytestmark = pytest.mark.stan
_SHORT = Settings(chains=2, draws=40, warmup=60, seed=4)


def _run(case: models.Case, settings: Settings = _SHORT) -> Draws:
    model, data = case
    return backend.sample(backend.lower(model, data), model, data, settings)


def _predicted(case: models.Case, wanted: str, draws: int = 40) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Run a program with `predict` on; return the draws of its parameters and of one generated quantity."""
    model, data = case
    result = lowered(model)
    sizes = model.sizes
    shapes = {each.name: tuple(sizes[dim] for dim in each.dims) for each in result.parameters.values()}
    rows = tuple(sizes[dim] for dim in model.observations[0].dims)
    source = backend.lower(model, data).source
    items = stan_data(model, data, result, predict=True)
    settings = Settings(chains=1, draws=draws, warmup=100, seed=9)
    found = engine_stanli.sample(source, items, {**shapes, wanted: rows}, settings).values
    parameters = {name: found[each.name][0] for name, each in result.parameters.items()}
    return parameters, found[wanted][0]


def test_every_function_and_distribution_is_covered() -> None:
    capabilities = backend.capabilities()
    assert capabilities.functions == FUNCTIONS.keys()
    assert capabilities.distributions == DISTRIBUTIONS.keys() - {"bart"}


def test_the_program_does_not_depend_on_the_data() -> None:
    model, data = models.varying_slopes()
    other = ModelData(values={**data.values, "y": data.values["y"] * 3}, coords=data.coords)
    assert backend.lower(model, data).source == backend.lower(model, other).source


def test_a_program_is_what_a_stan_user_would_write() -> None:
    source = backend.lower(*models.varying_slopes_noncentred()).source
    for line in (
        "  vector<lower=0>[n_effects_school] sd_school; // sd(school)",
        "  cholesky_factor_corr[n_effects_school] corr_school; // corr(school)",
        "  corr_school ~ lkj_corr_cholesky(2);",
        "  to_vector(z) ~ std_normal();",
        "  residual ~ student_t(4, 0, 2);",
        "  y ~ normal(mu, residual);",
        "      y_rep[s] = normal_rng(mu[s], residual);",
    ):
        assert line in source.splitlines()
    assert "target +=" not in source


def test_several_slopes_become_a_design_matrix() -> None:
    source = backend.lower(*linear()).source
    assert "y ~ normal_id_glm(X, intercept + a[clinic_of_patient]," in source
    assert "X * [slope_age" in source
    assert "  X[:, 1] = age;" in source


def test_bounds_follow_parameters() -> None:
    source = backend.lower(*moving_bounds()).source
    assert "vector<lower=low, upper=low + 2>[n_row] theta;" in source


def test_several_observations_have_their_own_quantities() -> None:
    source = backend.lower(*two_outcomes()).source
    for name in ("log_lik_score", "log_lik_open", "score_rep", "open_rep"):
        assert f" {name};" in source


@pytest.mark.parametrize("case", ["design: ordinal", "weighted censored data: weibull", "weighted data: halfnormal"])
def test_generated_log_likelihood_is_the_references(case: str) -> None:
    model, data = CASES[case]()
    parameters, found = _predicted((model, data), "log_lik")
    expected = density.log_likelihood(model, data, parameters)[model.observations[0].name]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


def _residuals(model: Model, data: ModelData, parameters: dict[str, np.ndarray], drawn: np.ndarray) -> np.ndarray:
    """Return randomised probability integral transforms of draws: uniform if they follow the law."""
    observation = model.observations[0]
    env = density.definitions(model, data, parameters, batch=("draw",))
    args = density.arguments(observation.law, env)
    discrete = DISTRIBUTIONS[observation.law.distribution].discrete
    shifted = observation.law.distribution.startswith(("ordinal", "categorical"))
    y = drawn - 1 if shifted else drawn
    dims = ("draw", *observation.dims)
    upper = reference.cdf(observation.law.distribution, Value(dims, y), args, dims).array
    lower = reference.cdf(observation.law.distribution, Value(dims, y - 1e-9), args, dims).array
    if not discrete and "hurdle" not in observation.law.distribution:
        return upper.ravel()
    lower = reference.cdf(observation.law.distribution, Value(dims, y - 1), args, dims).array if discrete else lower
    return (lower + np.random.default_rng(1).random(upper.shape) * (upper - lower)).ravel()


@pytest.mark.parametrize("distribution", [each for each in models.OBSERVABLE if each != "categorical_logit"])
def test_replicated_outcomes_follow_the_law(distribution: str) -> None:
    model, data = models.observed(distribution)
    parameters, drawn = _predicted((model, data), "y_rep", draws=400)
    uniform = _residuals(model, data, parameters, drawn)
    assert scipy.stats.kstest(uniform, "uniform").pvalue > 1e-4


def test_replicated_categories() -> None:
    model, data = models.observed("categorical_logit")
    parameters, drawn = _predicted((model, data), "y_rep", draws=600)
    env = density.definitions(model, data, parameters, batch=("draw",))
    args = density.arguments(model.observations[0].law, env)
    shares = reference.category_probabilities("categorical_logit", args, ("draw", "row"), "categories")
    expected = np.moveaxis(shares.array, shares.dims.index("categories"), -1).sum((0, 1))
    found = np.bincount(drawn.astype(int).ravel() - 1, minlength=4)
    assert scipy.stats.chisquare(found, expected).pvalue > 1e-4


def test_draws_have_the_models_names_and_shapes() -> None:
    case = models.varying_slopes()
    draws = _run(case)
    model = case[0]
    assert draws.values.keys() == {variable.name for variable in model.variables}
    for variable in model.variables:
        shape = tuple(model.sizes[dim] for dim in variable.dims)
        assert draws.values[variable.name].shape == (2, 40, *shape)
    corr = draws.values["corr_school"]
    np.testing.assert_allclose(np.sum(corr**2, axis=-1), 1.0, atol=1e-6)
    assert np.all(corr[..., 0, 1] == 0)
    assert draws.engine == "stanli 0.24.0"


def test_statistics_have_arvizs_names() -> None:
    statistics = _run(models.crossed()).statistics
    wanted = {"lp", "acceptance_rate", "step_size", "tree_depth", "n_steps", "diverging", "energy"}
    assert statistics.keys() == wanted
    assert all(array.shape == (2, 40) for array in statistics.values())
    assert statistics["diverging"].dtype == np.bool_
    assert np.all(statistics["n_steps"] >= 1)


def test_a_seed_repeats_the_draws() -> None:
    case = models.bernoulli()
    first, second = _run(case), _run(case)
    other = _run(case, Settings(chains=2, draws=40, warmup=60, seed=5))
    for name, array in first.values.items():
        np.testing.assert_array_equal(array, second.values[name])
        assert not np.array_equal(array, other.values[name])


def test_the_posterior_of_a_conjugate_model() -> None:
    """Normal mean with known sd and normal prior: the posterior is known."""
    rng = np.random.default_rng(3)
    y = rng.normal(1.5, 2.0, 25)
    sets = (models.level("row", 25),)
    model = Model(
        name="conjugate",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(models.random("mu", "mean", "normal", 1, 3),),
        observations=(models.observe(("row",), "normal", "mu", 2),),
    )
    data = ModelData(values={"y": y}, coords=models.labels(sets))
    draws = _run((model, data), Settings(chains=4, draws=1000, warmup=300, seed=2)).values["mu"]
    precision = 1 / 9 + 25 / 4
    mean, sd = (1 / 9 + y.sum() / 4) / precision, precision**-0.5
    assert abs(draws.mean() - mean) < 5 * sd / np.sqrt(1000)
    assert abs(draws.std() - sd) < 5 * sd / np.sqrt(2000)


def test_progress_is_reported_for_every_chain() -> None:
    seen: list[Progress] = []
    model, data = models.crossed()
    backend.sample(backend.lower(model, data), model, data, _SHORT, seen.append)
    assert {each.chain for each in seen} == {0, 1}
    assert any(each.warming_up for each in seen)
    last = [each for each in seen if each.done == each.total]
    assert len(last) == 2
    assert not any(each.warming_up for each in last)


def _children() -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    mine = [int(pid) for pid in found.stdout.split()]
    return [pid for pid in mine if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and b"stanli_worker" in command.read_bytes()


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the child process in /proc")
def test_a_killed_process_is_a_diagnostic_and_never_hangs() -> None:
    model, data = models.varying_slopes()
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        if not killed:
            (pid,) = _children()
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    began = time.monotonic()
    with pytest.raises(SamplingFailed) as failure:
        backend.sample(backend.lower(model, data), model, data, Settings(draws=100_000), kill)
    assert time.monotonic() - began < 20
    (diagnostic,) = failure.value.diagnostics
    assert diagnostic.code == "HDM712"
    assert "signal 9" in diagnostic.message
    assert diagnostic.help


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the child process in /proc")
def test_an_interrupt_ends_the_child() -> None:
    model, data = models.varying_slopes()

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backend.sample(backend.lower(model, data), model, data, Settings(draws=100_000), interrupt)
    assert _children() == []


@pytest.mark.parametrize(
    "settings",
    [
        Settings(chains=0),
        Settings(draws=0),
        Settings(warmup=-1),
        Settings(seed=-1),
        Settings(target_accept=1.0),
        Settings(max_tree_depth=0),
        Settings(options={"colour": 1}),
        Settings(options={"parallel_chains": "two"}),
        Settings(options={"metric": "round_e"}),
        Settings(options={"parallel_chains": 0}),
    ],
)
def test_bad_settings_are_refused_before_they_reach_the_engine(settings: Settings) -> None:
    with pytest.raises(SamplingFailed) as failure:
        _run(models.crossed(), settings)
    assert failure.value.diagnostics[0].code == "HDM713"


def test_a_model_that_cannot_start_says_so() -> None:
    model, data = models.observed("normal")
    bad = ModelData(values={**data.values, "y": data.values["y"] * np.inf}, coords=data.coords)
    with pytest.raises(SamplingFailed) as failure:
        _run((model, bad))
    assert failure.value.diagnostics[0].code == "HDM711"
    assert "initialization failed" in failure.value.diagnostics[0].message


def test_data_outside_the_support_are_named() -> None:
    model, data = models.observed("lognormal")
    bad = ModelData(values={**data.values, "y": -data.values["y"]}, coords=data.coords)
    with pytest.raises(SamplingFailed) as failure:
        _run((model, bad))
    assert "greater than or equal to 0" in failure.value.diagnostics[0].message


@pytest.mark.parametrize("found", [None, np.zeros((2, 3)), np.array([[0.0, np.nan], [1, 2]])])
def test_incomplete_draws_are_refused(found: np.ndarray | None) -> None:
    with pytest.raises(SamplingFailed) as failure:
        complete("stanli", "mu", found, (2, 2))
    assert failure.value.diagnostics[0].code == "HDM715"


def test_engines_are_listed_with_hints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CMDSTAN", str(tmp_path))
    by_name = {engine.name: engine for engine in engines()}
    assert not by_name["cmdstan"].available
    wrong, install, existing = by_name["cmdstan"].hint.splitlines()
    assert str(tmp_path) in wrong
    assert "cmdstanpy.install_cmdstan()" in install
    assert "export CMDSTAN=" in existing
    assert by_name["stanli"].available
    assert choose(None) == "stanli"


def test_an_engine_that_is_asked_for_is_never_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CMDSTAN", str(tmp_path))
    for wanted in ("cmdstan", "rstan"):
        with pytest.raises(SamplingFailed) as failure:
            _run(models.crossed(), Settings(engine=wanted))
        assert failure.value.diagnostics[0].code == "HDM714"


def test_a_cmdstan_installation_is_preferred_and_versioned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "stanc").touch()
    (tmp_path / "makefile").write_text("# CmdStan\nCMDSTAN_VERSION := 2.99.1\n")
    monkeypatch.setenv("CMDSTAN", str(tmp_path))
    assert engines()[0] == ("cmdstan", True, "2.99.1", "")
    assert choose(None) == "cmdstan"
