"""NumPyro programs, and what NUTS draws from them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest
from hdsl_numpyro import backend
from hdsl_numpyro.functions import DIALECT
from hdsl_numpyro.kernel import EARLY, EARLY_DEPTH, build
from hdsl_numpyro.runtime import device_data, model_function, prepare
from numpy.typing import NDArray
from scipy import stats

from hdsl.backend import Draws, Program, Progress, SamplingFailed, Settings
from hdsl.model.array_source import Scope, lower
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import FUNCTIONS
from hdsl.model.ir import Expr, Model, ModelData, RandomVariable, apply, column, const, dot, gather, stack, var
from hdsl.reference import free
from hdsl.reference.values import Value, evaluate, expand
from tests import models

Values = Mapping[str, NDArray[np.float64]]
_SHORT = Settings(chains=2, draws=60, warmup=80, seed=4)


def _run(case: models.Case, settings: Settings = _SHORT, progress: Callable[[Progress], None] | None = None) -> Draws:
    model, data = case
    return backend.sample(backend.lower(model, data), model, data, settings, progress)


def _points(case: models.Case, number: int = 3) -> list[Values]:
    rng = np.random.default_rng(8)
    return [free.random_point(*case, rng, spread=0.7) for _ in range(number)]


# Log densities written with SciPy, by hand.


def _group_prior(v: Values) -> float:
    """The prior of the models with sites and three arms."""
    return float(
        stats.norm.logpdf(v["intercept"], 0, 2)
        + np.sum(stats.norm.logpdf(v["effect_z"], 0, 1))
        + stats.t.logpdf(v["slope_x"], 3, 0, 1)
        + stats.halfcauchy.logpdf(v["sd_site"], 0, 1)
        + np.sum(stats.norm.logpdf(v["a"], 0, v["sd_site"]))
    )


def _eta(v: Values, d: ModelData) -> NDArray[np.float64]:
    x = d.values
    return v["intercept"] + v["a"][x["site_of_person"]] + v["effect_z"][x["z"]] + v["slope_x"] * x["x"]


def _varying_slopes(v: Values, d: ModelData) -> float:
    x = d.values
    mean = np.array([v["intercept"], v["effect_tutor"]])
    factor = v["sd_school"][:, None] * v["corr_school"]
    correlation = v["corr_school"] @ v["corr_school"].T
    mu = v["u"][x["school_of_student"], 0] + v["slope_pretest"] * x["pretest"]
    mu = mu + v["u"][x["school_of_student"], 1] * x["tutor"]
    # LKJ(2) in two dimensions: the correlation r has density 3/4 (1 - r^2), and r is the free entry of the factor.
    return float(
        stats.norm.logpdf(v["intercept"], 0, 5)
        + stats.norm.logpdf(v["effect_tutor"], 0, 2)
        + stats.norm.logpdf(v["slope_pretest"], 0, 2)
        + np.sum(stats.halfnorm.logpdf(v["sd_school"], 0, 1.5))
        + np.log(0.75 * (1 - correlation[1, 0] ** 2))
        + np.log(2) + stats.t.logpdf(v["residual"], 4, 0, 2)
        + np.sum(stats.multivariate_normal.logpdf(v["u"], mean, factor @ factor.T))
        + np.sum(stats.norm.logpdf(x["y"], mu, v["residual"]))
    )  # fmt: skip


def _negbinomial(v: Values, d: ModelData) -> float:
    mean = np.exp(_eta(v, d) + d.values["log_exposure"])
    share = v["shape"] / (v["shape"] + mean)
    prior = stats.gamma.logpdf(v["shape"], 2, scale=2)
    return _group_prior(v) + float(prior + np.sum(stats.nbinom.logpmf(d.values["y"], v["shape"], share)))


def _ordinal(v: Values, d: ModelData) -> float:
    cuts = np.concatenate([[-np.inf], v["cutpoints"], [np.inf]])
    y, eta = d.values["y"], _eta(v, d)
    inside = stats.logistic.cdf(cuts[y + 1] - eta) - stats.logistic.cdf(cuts[y] - eta)
    prior = np.sum(stats.norm.logpdf(v["cutpoints"], 0, 2.5)) + np.log(6)
    return _group_prior(v) + float(prior + np.sum(np.log(inside)))


def _censored_weibull(v: Values, d: ModelData) -> float:
    x, scale = d.values, np.exp(_eta(v, d))
    died = stats.weibull_min.logpdf(x["y"], v["shape"], scale=scale)
    lasted = stats.weibull_min.logsf(x["y"], v["shape"], scale=scale)
    prior = stats.halfnorm.logpdf(v["shape"], 0, 2)
    return _group_prior(v) + float(prior + np.sum(x["weight"] * np.where(x["ended"] == 1, died, lasted)))


def _categorical(v: Values, d: ModelData) -> float:
    eta = _eta(v, d)
    logits = np.stack([0 * eta, v["base"][0] + eta, v["base"][1] - eta], axis=1)
    share = np.exp(logits) / np.sum(np.exp(logits), axis=1, keepdims=True)
    chosen = share[np.arange(len(eta)), d.values["y"]]
    return _group_prior(v) + float(np.sum(stats.norm.logpdf(v["base"])) + np.sum(np.log(chosen)))


_BY_HAND: dict[str, Callable[[Values, ModelData], float]] = {
    "varying_slopes": _varying_slopes,
    "negbinomial": _negbinomial,
    "ordinal": _ordinal,
    "censored_weibull": _censored_weibull,
    "categorical": _categorical,
}


@pytest.mark.parametrize("name", _BY_HAND)
def test_density_is_that_of_scipy(name: str) -> None:
    """The program's log density equals one written by hand, constants included."""
    model, data = models.MODELS[name]()
    function = backend.log_density(backend.lower(model, data), model, data)
    for point in _points((model, data)):
        assert function(point)[0] == pytest.approx(_BY_HAND[name](point, data), rel=1e-9)


# Source.


def test_program_as_written() -> None:
    """A hierarchical model reads as a person would have written it."""
    program = backend.lower(*models.varying_slopes_noncentred())
    written = program.source[program.source.index("def model") : program.source.index("\n\n\nif __name__")]
    assert (
        written
        == """def model(data):
    y = data["y"]
    pretest = data["pretest"]
    school_of_student = data["school_of_student"]
    tutor = data["tutor"]
    # intercept
    intercept = numpyro.sample("intercept", dist.Normal(0.0, 5.0))
    # effect(tutor)
    effect_tutor = numpyro.sample("effect_tutor", dist.Normal(0.0, 2.0))
    # slope(pretest)
    slope_pretest = numpyro.sample("slope_pretest", dist.Normal(0.0, 2.0))
    # sd(school)
    sd_school = numpyro.sample("sd_school", dist.HalfNormal(1.5).expand([n_effects_school]))
    # corr(school)
    corr_school = numpyro.sample("corr_school", dist.LKJCholesky(n_effects_school_2, 2.0))
    # residual
    residual = numpyro.sample("residual", dist.FoldedDistribution(dist.StudentT(4.0, 0.0, 2.0)))
    # deviations[school]
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([n_school, n_effects_school_2]))
    u = z @ (sd_school[:, None] * corr_school).T + jnp.stack([intercept, effect_tutor], axis=-1)
    mu = u[school_of_student, 0] + slope_pretest * pretest + u[school_of_student, 1] * tutor
    # y
    numpyro.sample("y_observed", dist.Normal(mu, residual), obs=y)"""
    )


def test_program_holds_no_data() -> None:
    """Other data of the same sizes give the same program."""
    model, data = models.censored_weibull()
    other = ModelData({name: values[::-1] * 1 for name, values in data.values.items()}, data.coords)
    assert backend.lower(model, data).source == backend.lower(model, other).source
    assert "import hdsl" not in backend.lower(model, data).source


def test_hostile_text_stays_in_comments() -> None:
    """Roles, reasons and the study's name cannot end a comment or a string."""
    model, data = models.crossed()
    hostile = 'x"""\n\r\x00\x0c\u2028import os\\'
    first = model.statements[0].model_copy(update={"role": hostile, "reason": hostile})
    changed = model.model_copy(update={"name": hostile, "statements": (first, *model.statements[1:])})
    source = backend.lower(changed, data).source
    compile(source, "program", "exec")
    assert [line for line in source.splitlines() if line.strip().startswith("import os")] == []


def test_names_of_the_program_are_free() -> None:
    """A model may use the program's own words as names."""
    model, data = models.crossed()
    text = model.model_dump_json()
    for old, new in (("residual", "jnp"), ("sd_person", "dist"), ("sd_item", "n_person"), ("y", "numpyro")):
        text = text.replace(f'"{old}"', f'"{new}"')
    renamed = Model.model_validate_json(text)
    values = {"numpyro" if name == "y" else name: array for name, array in data.values.items()}
    function = backend.log_density(backend.lower(renamed, data), renamed, ModelData(values, data.coords))
    plain = backend.log_density(backend.lower(model, data), model, data)
    point = _points((model, data), 1)[0]
    words = {"residual": "jnp", "sd_person": "dist", "sd_item": "n_person"}
    assert function({words.get(name, name): value for name, value in point.items()})[0] == plain(point)[0]


def _without_hdsl(folder: Path) -> dict[str, str]:
    """Return an environment in which importing hdsl fails."""
    import os

    for name in ("hdsl", "hdsl_numpyro"):
        (folder / f"{name}.py").write_text("raise ImportError('not here')")
    return {**os.environ, "PYTHONPATH": str(folder), "JAX_ENABLE_X64": "0"}


_ALONE = """
import json, runpy, sys
import numpy as np
from numpyro.infer.util import log_density
model = runpy.run_path("program.py")["model"]
data, point = dict(np.load("data.npz")), dict(np.load("point.npz"))
print(float(log_density(model, (data,), {}, point)[0]))
try:
    import hdsl
except ImportError:
    print("alone")
"""


def test_program_runs_without_hdsl(tmp_path: Path) -> None:
    """The printed program alone, with data from a file, has the same density, in double precision."""
    model, data = models.varying_slopes()
    program = backend.lower(model, data)
    (point,) = _points((model, data), 1)
    (tmp_path / "program.py").write_text(program.source)
    np.savez(tmp_path / "data.npz", **data.values)  # pyright: ignore[reportArgumentType]
    np.savez(tmp_path / "point.npz", **point)  # pyright: ignore[reportArgumentType]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE], cwd=tmp_path, env=_without_hdsl(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    density, alone = done.stdout.split()
    assert alone == "alone"
    assert float(density) == pytest.approx(_varying_slopes(point, data), rel=1e-9)


@pytest.mark.slow
def test_program_samples_without_hdsl(tmp_path: Path) -> None:
    """The program's own main block prints a summary of its parameters."""
    model, data = models.crossed()
    (tmp_path / "program.py").write_text(backend.lower(model, data).source)
    np.savez(tmp_path / "data.npz", **data.values)  # pyright: ignore[reportArgumentType]
    done = subprocess.run(
        [sys.executable, "program.py", "data.npz"],
        cwd=tmp_path,
        env=_without_hdsl(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "sd_person" in done.stdout
    assert "r_hat" in done.stdout


def test_capabilities_are_everything() -> None:
    """Every function and distribution of the Model has a row."""
    able = backend.capabilities()
    assert able.functions == set(FUNCTIONS)
    assert able.distributions == set(DISTRIBUTIONS)


# Expressions.

_BINARY = ("add", "sub", "mul", "div", "pow", "min", "max")
_UNARY = ("neg", "abs", "square", "tanh", "inv_cloglog", "exp")
_NAMES: dict[str, tuple[str, ...]] = {
    "s": (),
    "r": ("row",),
    "g": ("group",),
    "rg": ("row", "group"),
    "gr": ("group", "row"),
    "gt": ("group", "term"),
    "t": ("term",),
}
_SIZES = {"row": 4, "group": 3, "term": 2}
_SLOTS = {"group_of_row": np.array([2, 0, 1, 1]), "term_of_row": np.array([1, 0, 0, 1])}


def _tree(rng: np.random.Generator, depth: int) -> Expr:
    kind = rng.integers(5) if depth else rng.integers(3)
    if kind < 2:
        return var(str(rng.choice(list(_NAMES))))
    if kind == 2:
        return const(float(rng.choice([-2.5, -1.0, 0.5, 3.0])))
    if kind == 3:
        return apply(str(rng.choice(_UNARY)), _tree(rng, depth - 1))
    return apply(str(rng.choice(_BINARY)), _tree(rng, depth - 1), _tree(rng, depth - 1))


_STRUCTURED: tuple[Expr, ...] = (
    gather(var("g"), var("group_of_row"), "group"),
    gather(gather(var("gt"), var("group_of_row"), "group"), var("term_of_row"), "term"),
    gather(gather(var("gt"), var("term_of_row"), "term"), var("group_of_row"), "group"),
    gather(var("rg"), var("group_of_row"), "group"),
    gather(var("gr"), var("group_of_row"), "group"),
    column(gather(var("gt"), var("group_of_row"), "group"), "term", 1),
    column(var("gr"), "group", 2),
    gather(apply("add", var("gt"), var("g")), var("group_of_row"), "group"),
    column(stack((var("r"), var("s"), const(2)), "new"), "new", 1),
    column(stack((var("r"), var("r")), "new"), "new", 1),
    stack((var("rg"), var("g"), var("s")), "new"),
    dot(var("rg"), var("g"), "group"),
    dot(var("g"), var("rg"), "group"),
    dot(var("gr"), var("gt"), "group"),
    dot(var("rg"), var("gr"), "group"),
    dot(apply("mul", var("rg"), var("t")), var("gt"), "term"),
    dot(var("t"), apply("mul", var("t"), var("s")), "term"),
    apply("sum", apply("add", var("gr"), var("t")), static=("row",)),
    apply("mean", var("gr"), static=("group",)),
    apply("log_sum_exp", apply("sub", var("t"), var("gr")), static=("group",)),
    apply("log_softmax", var("gt"), static=("group",)),
    apply("cumulative_sum", var("gr"), static=("row",)),
)


def _equal_to_reference(expr: Expr, module: ModuleType) -> None:
    """Compare the code, evaluated with `module` for jax.numpy, with the reference."""
    import jax

    rng = np.random.default_rng(3)
    values = {name: rng.uniform(0.4, 1.6, [_SIZES[dim] for dim in dims]) for name, dims in _NAMES.items()}
    values |= _SLOTS
    dims = {**_NAMES, **dict.fromkeys(_SLOTS, ("row",))}
    scope = Scope({name: name for name in dims}, dims, {dim: f"n_{dim}" for dim in _SIZES}, DIALECT)
    code = lower(expr, scope)
    arrays = {name: module.asarray(value) for name, value in values.items()}
    sizes = {f"n_{dim}": size for dim, size in _SIZES.items()}
    found = np.asarray(eval(code.text, {"jnp": module, "jax": jax, **arrays, **sizes}))
    expected = evaluate(expr, {name: Value(dims[name], np.asarray(value)) for name, value in values.items()})
    assert set(code.dims) == set(expected.dims), code.text
    np.testing.assert_allclose(found, expand(expected, code.dims), rtol=1e-10, atol=1e-12, err_msg=code.text)


def test_random_expressions() -> None:
    """Operators bind and broadcast in Python as the reference computes."""
    rng = np.random.default_rng(11)
    with np.errstate(all="ignore"):
        for _ in range(400):
            _equal_to_reference(_tree(rng, 5), np)


@pytest.mark.parametrize("place", range(len(_STRUCTURED)))
def test_structured_expressions(place: int) -> None:
    """Gathers, columns, stacks, sums and products along dims."""
    from hdsl_numpyro.runtime import prepare

    prepare()
    import jax.numpy as jnp

    _equal_to_reference(_STRUCTURED[place], jnp)


def test_long_sums_are_broken_over_lines() -> None:
    """A predictor of many terms stands on several lines, and no line of the model is too long."""
    model, data = models.bernoulli()
    terms = [apply("mul", var("slope_x"), var("x")) for _ in range(12)]
    total = var("intercept")
    for term in terms:
        total = apply("add", total, term)
    statements = [
        s if isinstance(s, RandomVariable) else s.model_copy(update={"value": total}) for s in model.statements
    ]
    source = backend.lower(model.model_copy(update={"statements": tuple(statements)}), data).source
    assert source.count("\n    + slope_x * x") == 0
    assert source.count("\n        + slope_x * x") == 12
    assert max(len(line) for line in source.splitlines()) <= 104


# Sampling.


def _conjugate(y: NDArray[np.float64]) -> models.Case:
    sets = (models.level("row", len(y)),)
    model = Model(
        name="conjugate",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(models.random("mu", "intercept", "normal", 1, 2),),
        observations=(models.observe(("row",), "normal", "mu", 1.5),),
    )
    return model, ModelData({"y": y}, models.labels(sets))


def test_conjugate_posterior() -> None:
    """The mean of normal data with known spread has its closed form."""
    y = np.random.default_rng(1).normal(3, 1.5, 8)
    draws = _run(_conjugate(y), Settings(chains=4, draws=1000, warmup=300, seed=2)).values["mu"]
    precision = 1 / 2**2 + len(y) / 1.5**2
    mean, sd = (1 / 2**2 + np.sum(y) / 1.5**2) / precision, precision**-0.5
    # NUTS gives about 1500 effective draws here: four standard errors.
    assert np.mean(draws) == pytest.approx(mean, abs=4 * sd / np.sqrt(1000))
    assert np.std(draws) == pytest.approx(sd, rel=0.1)
    assert stats.kstest(draws[:, ::10].ravel(), stats.norm(mean, sd).cdf).pvalue > 1e-3


@pytest.fixture(scope="module")
def drawn() -> Draws:
    """Return draws of the hierarchical model."""
    return _run(models.varying_slopes_noncentred())


def test_draws_of_random_variables_only(drawn: Draws) -> None:
    """Draws are of the Model's random variables, of their shapes and within their supports."""
    model, _ = models.varying_slopes_noncentred()
    sizes = model.sizes
    shapes = {v.name: (2, 60, *(sizes[dim] for dim in v.dims)) for v in model.variables}
    assert {name: values.shape for name, values in drawn.values.items()} == shapes
    assert np.all(drawn.values["sd_school"] > 0)
    np.testing.assert_allclose(np.sum(drawn.values["corr_school"] ** 2, axis=-1), 1)


def test_statistics(drawn: Draws) -> None:
    """Sampler statistics bear ArviZ's names and agree with each other."""
    found = drawn.statistics
    names = {"diverging", "tree_depth", "energy", "n_steps", "acceptance_rate", "step_size", "lp"}
    assert set(found) == names
    assert all(values.shape == (2, 60) for values in found.values())
    assert found["diverging"].dtype == bool
    steps, depth = found["n_steps"], found["tree_depth"]
    assert np.all((2.0 ** (depth - 1) <= steps) & (steps < 2.0**depth))
    assert np.all(found["energy"] >= -found["lp"])
    assert drawn.engine.startswith("NumPyro")
    assert set(drawn.seconds) == {"compile", "warmup", "sampling"}


def test_lp_is_the_density_that_is_sampled(drawn: Draws) -> None:
    """`lp` is the log density over unconstrained coordinates."""
    model, data = models.varying_slopes_noncentred()
    function = backend.unconstrained_log_density(backend.lower(model, data), model, data)
    point = {name: values[1, 7] for name, values in drawn.values.items()}
    assert function(point) == pytest.approx(float(drawn.statistics["lp"][1, 7]), rel=1e-9)


def test_seeds_reproduce(drawn: Draws) -> None:
    """The same seed gives the same draws bit for bit; another seed, and each chain, gives others."""
    again = _run(models.varying_slopes_noncentred())
    other = _run(models.varying_slopes_noncentred(), Settings(chains=2, draws=60, warmup=80, seed=5))
    for name, values in drawn.values.items():
        np.testing.assert_array_equal(values, again.values[name])
    for name, values in drawn.statistics.items():
        np.testing.assert_array_equal(values, again.statistics[name])
    assert not np.any(drawn.values["residual"] == other.values["residual"])
    assert not np.any(drawn.values["residual"][0] == drawn.values["residual"][1])


def test_a_chain_does_not_depend_on_the_others(drawn: Draws) -> None:
    """Chain 1 of two is chain 1 of three."""
    more = _run(models.varying_slopes_noncentred(), Settings(chains=3, draws=60, warmup=80, seed=4))
    np.testing.assert_array_equal(drawn.values["z"], more.values["z"][:2])


def test_progress(drawn: Draws) -> None:
    """Progress of every chain arrives in the calling thread, and ends at the total."""
    seen: list[tuple[Progress, int]] = []
    _run(models.varying_slopes_noncentred(), progress=lambda p: seen.append((p, threading.get_ident())))
    assert {thread for _, thread in seen} == {threading.get_ident()}
    for chain in range(2):
        own = [p for p, _ in seen if p.chain == chain]
        assert [p.done for p in own] == sorted(p.done for p in own)
        assert own[0].warming_up
        assert (own[-1].done, own[-1].total, own[-1].warming_up) == (140, 140, False)
        assert all(p.seconds_left is not None and p.seconds_left >= 0 for p in own)


def test_interrupt_ends_all_chains() -> None:
    """An interrupt passes through, and no thread is left behind."""

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        _run(models.varying_slopes_noncentred(), Settings(chains=4, draws=10**6, warmup=80), interrupt)
    assert threading.active_count() == before


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_no_finite_start(bad: float) -> None:
    """Data that no parameter can have produced end in HDM711."""
    model, data = _conjugate(np.array([0.0, bad]))
    with pytest.raises(SamplingFailed) as failure:
        _run((model, data))
    assert [d.code for d in failure.value.diagnostics] == ["HDM711"]
    assert failure.value.diagnostics[0].help


@pytest.mark.parametrize(
    "settings",
    [
        Settings(chains=0),
        Settings(draws=0),
        Settings(warmup=-1),
        Settings(seed=-1),
        Settings(target_accept=1.0),
        Settings(max_tree_depth=0),
        Settings(options={"dense_mas": True}),
    ],
    ids=lambda settings: str(settings.options or settings),
)
def test_bad_settings(settings: Settings) -> None:
    """Settings that cannot be used end in HDM713 before anything is compiled."""
    with pytest.raises(SamplingFailed) as failure:
        _run(models.crossed(), settings)
    assert [d.code for d in failure.value.diagnostics] == ["HDM713"]


def test_an_engine_that_is_not_there() -> None:
    with pytest.raises(SamplingFailed) as failure:
        _run(models.crossed(), Settings(engine="gibbs"))
    assert [d.code for d in failure.value.diagnostics] == ["HDM714"]
    assert "nuts" in failure.value.diagnostics[0].help


def test_broken_program() -> None:
    """Whatever breaks in JAX is HDM712, in words."""
    model, data = models.crossed()
    program = backend.lower(model, data)
    broken = Program("numpyro", program.source.replace("residual)", "residual + jnp.ones(3))"), program.parameters)
    with pytest.raises(SamplingFailed) as failure:
        backend.sample(broken, model, data, _SHORT)
    (diagnostic,) = failure.value.diagnostics
    assert diagnostic.code == "HDM712"
    assert "\n" not in diagnostic.message


def test_dense_mass() -> None:
    """With a dense mass matrix strongly correlated parameters are sampled in fewer steps."""
    x = np.linspace(10, 11, 20)
    y = 1 + 2 * x + np.random.default_rng(0).normal(0, 0.1, 20)
    sets = (models.level("row", 20),)
    mean = apply("add", var("a"), apply("mul", var("b"), var("x")))
    model = Model(
        name="line",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)), models.real_slot("x", ("row",))),
        statements=(models.random("a", "intercept", "normal", 0, 10), models.random("b", "slope(x)", "normal", 0, 10)),
        observations=(models.observe(("row",), "normal", mean, 0.1),),
    )
    case = model, ModelData({"y": y, "x": x}, models.labels(sets))
    settings = Settings(chains=2, draws=200, warmup=400, seed=1)
    plain = _run(case, settings)
    dense = _run(case, Settings(chains=2, draws=200, warmup=400, seed=1, options={"dense_mass": True}))
    assert np.mean(dense.statistics["n_steps"]) < 0.5 * np.mean(plain.statistics["n_steps"])


def test_warmup_finds_scales() -> None:
    """Independent parameters a million times wider than others are sampled in short trajectories."""
    sets = (models.level("row", 1), models.level("part", 7))
    scale = 10.0 ** np.arange(-3, 4)
    model = Model(
        name="scales",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)), models.real_slot("scale", ("part",))),
        statements=(models.random("x", "x[part]", "normal", 0, "scale", dims=("part",)),),
        observations=(models.observe(("row",), "normal", 0, 1),),
    )
    case = model, ModelData({"y": np.zeros(1), "scale": scale}, models.labels(sets))
    drawn = _run(case, Settings(chains=2, draws=500, warmup=300, seed=1, target_accept=0.9))
    assert np.mean(drawn.statistics["n_steps"]) < 12
    np.testing.assert_allclose(np.std(drawn.values["x"], axis=(0, 1)) / scale, 1, atol=0.25)
    assert np.mean(drawn.statistics["acceptance_rate"]) == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize("depth", [3, 7])
def test_trees_are_shallow_until_scales_are_known(depth: int) -> None:
    """The first transitions stay below 2**5 steps where all others may take more: nearly all are accepted."""
    model, data = models.varying_slopes()
    settings = Settings(warmup=200, max_tree_depth=depth, target_accept=0.9999)
    prepare()
    arrays = device_data(data)
    kernel = build(model_function(backend.lower(model, data)), arrays, settings)
    state = kernel.start(jax.random.key(1), np.random.default_rng(1).uniform(-1, 1, kernel.size), arrays)
    state, _, early = kernel.advance(state, arrays, np.int64(EARLY))
    steps = np.asarray(early["n_steps"])[:EARLY]
    assert steps.max() <= 2 ** min(EARLY_DEPTH, depth) - 1
    _, _, later = kernel.advance(state, arrays, np.int64(50))
    steps = np.asarray(later["n_steps"])[:50]
    assert steps.max() == 2**depth - 1


def test_no_warmup_is_possible() -> None:
    """Without warm-up the step size stays as it began."""
    drawn = _run(_conjugate(np.zeros(2)), Settings(chains=1, draws=20, warmup=0))
    assert np.all(drawn.statistics["step_size"] == drawn.statistics["step_size"][0, 0])
    assert np.all(np.isfinite(drawn.values["mu"]))


def test_a_program_run_by_hand_samples_as_hdsl_does() -> None:
    """The acceptance rate that it asks for is that of the default settings."""
    source = backend.lower(*models.crossed()).source
    assert re.findall(r"target_accept_prob=([\d.]+)", source) == [str(Settings().target_accept)]
