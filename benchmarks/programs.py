"""The programs that are compared: what hdsl makes of a study, and the one written by hand, ready to run.

Both run on the same sampler with the same settings. NumPyro's is the exception: hdsl has its own driver there, and the
hand-written program runs with NumPyro's `MCMC`, chains in parallel.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measures import Clock, in_parallel
from benchmarks.studies import HERE, Case
from hdsl.backend import Settings

ENGINES: Mapping[str, tuple[str, ...]] = {
    "numpyro": ("nuts",),
    "pymc": ("nutpie", "pymc"),
    "stan": ("stanli", "cmdstan"),
}
SHORT = Settings(chains=1, warmup=10, draws=1)


@dataclass
class Fit:
    """Draws of the shared quantities, (chain, draw) each, and what they cost; compiling is not counted."""

    values: Mapping[str, Any]
    clock: Clock = field(default_factory=Clock)
    gradients: int = 0
    divergences: int = 0


Run = Callable[[Settings], Fit]
Roles = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def prepared(case: Case, language: str, engine: str, who: str, folder: Path) -> Run:
    """Return the function that samples a program; what it compiles once for all runs is compiled in its first."""
    if who == "hand":
        return _by_hand(case, language, engine, folder)
    from hdsl import backend as backends
    from hdsl.driver import derive

    derived = derive(folder / f"{case.name}.hdm")
    assert derived.model is not None and derived.data is not None, derived.diagnostics
    backend: Any = backends.load(language)
    made = _exact if who == "auto" and language == "numpyro" else _integrated if who == "auto" else _generated
    return made(case, backend, engine, derived.model, derived.data, folder / who)


def _generated(case: Case, backend: Any, engine: str, plain: Any, plain_data: Any, folder: Path) -> Run:
    """Return NUTS on the program of the whole model."""
    from hdsl.inference.recover import recover
    from hdsl.passes import prepare
    from hdsl.reference.density import reported

    model, data = prepare(plain, plain_data)
    program = backend.lower(model, data)

    def roles(values: Mapping[str, Any]) -> Mapping[str, Any]:
        own = {name: np.asarray(values[source], dtype=np.float64) for name, source in program.parameters.items()}
        return _shared(case, reported(plain, plain_data, recover(model, data, plain, own)))

    return _lowered(backend, engine, program, model, data, roles, folder)


def _integrated(case: Case, backend: Any, engine: str, plain: Any, plain_data: Any, folder: Path) -> Run:
    """Return NUTS on the model with effects integrated out, and their draws, which are on the clock too."""
    from hdsl.inference.integrated import Integrated, given_back, integrated
    from hdsl.reference.density import reported

    found = integrated(plain, plain_data)
    assert isinstance(found, Integrated), found
    program = backend.lower(found.prepared, found.values)
    returned = Clock()

    def roles(values: Mapping[str, Any]) -> Mapping[str, Any]:
        own = {name: np.asarray(values[source], dtype=np.float64) for name, source in program.parameters.items()}
        with returned.on():
            whole = given_back(found, own, 1)
        return _shared(case, reported(plain, plain_data, whole))

    sample = _lowered(backend, engine, program, found.prepared, found.values, roles, folder)

    def run(settings: Settings) -> Fit:
        returned.wall, returned.cpu = 0.0, 0.0
        fit = sample(settings)
        return replace(fit, clock=Clock(fit.clock.wall + returned.wall, fit.clock.cpu + returned.cpu))

    return run


def _exact(case: Case, backend: Any, engine: str, plain: Any, plain_data: Any, folder: Path) -> Run:
    """Return draws without a sampler, all on the clock: statistics, hyperparameters, effects."""
    from hdsl.inference.choose import choose, drawn
    from hdsl.reference.density import reported

    def run(settings: Settings) -> Fit:
        clock = Clock()
        with clock.on():
            draws, why = drawn(choose(plain, plain_data, backend.name, settings), settings)
        if draws is None:
            raise NotIntegrated(why)
        return Fit(_shared(case, reported(plain, plain_data, draws.values)), clock)

    return run


class NotIntegrated(Exception):
    """Effects were not integrated out, and why."""


def integrates(case: Case, language: str, folder: Path) -> bool:
    """Return whether hdsl, left to choose, integrates effects of the study out."""
    from hdsl.driver import derive
    from hdsl.inference.choose import choose
    from hdsl.inference.integrated import Integrated, integrated

    derived = derive(case.write(folder))
    assert derived.model is not None and derived.data is not None, derived.diagnostics
    if language == "numpyro":
        return choose(derived.model, derived.data, language, Settings()).exact
    return isinstance(integrated(derived.model, derived.data), Integrated)


def _shared(case: Case, found: Mapping[str, Any]) -> Mapping[str, Any]:
    return {role: found[role] for role in case.shared}


def _lowered(backend: Any, engine: str, program: Any, model: Any, data: Any, roles: Roles, folder: Path) -> Run:
    if backend.name == "numpyro":
        return _numpyro_backend(backend, program, model, data, roles)
    if backend.name == "pymc":
        from hdsl_pymc.runtime import frozen, model_of, starts

        study = model_of(program, data)
        study = frozen(study) if engine == "nutpie" else study
        return _pymc(engine, study, roles, list(program.parameters.values()), starts(study))
    from hdsl_stan.data import stan_data
    from hdsl_stan.lower import lowered

    return _stan(engine, program.source, stan_data(model, data, lowered(model)), roles, folder)


def _by_hand(case: Case, language: str, engine: str, folder: Path) -> Run:
    data = case.by_hand()

    def roles(values: Mapping[str, Any]) -> Mapping[str, Any]:
        return {role: np.asarray(values[name], dtype=np.float64) for role, name in case.shared.items()}

    if language == "numpyro":
        return _numpyro_mcmc(case.name, data, roles)
    if language == "pymc":
        from benchmarks.hand import with_pymc

        return _pymc(engine, getattr(with_pymc, case.name)(**data), roles)
    source = (HERE / "hand" / "stan" / f"{case.name}.stan").read_text()
    rows = max(len(value) for value in data.values() if isinstance(value, np.ndarray))
    items = {name: _stan_value(value, name in case.indexes) for name, value in data.items()}
    return _stan(engine, source, {"n": rows, **items}, roles, folder / "hand")


def _stan_value(value: Any, index: bool) -> Any:
    return (value + 1 if index else value).tolist() if isinstance(value, np.ndarray) else value


def _numpyro_backend(backend: Any, program: Any, model: Any, data: Any, roles: Roles) -> Run:
    from hdsl_numpyro import sample as driver

    def run(settings: Settings) -> Fit:
        clock = Clock()
        inner = driver._run

        def timed(*arguments: Any) -> Any:
            with clock.on():
                return inner(*arguments)

        driver._run = timed
        try:
            draws = backend.sample(program, model, data, settings)
        finally:
            driver._run = inner
        found = roles({source: draws.values[name] for name, source in program.parameters.items()})
        return Fit(found, clock, int(draws.statistics["n_steps"].sum()), int(draws.statistics["diverging"].sum()))

    return run


def _numpyro_mcmc(name: str, data: Mapping[str, Any], roles: Roles) -> Run:
    import numpyro

    numpyro.set_host_device_count(4)
    import jax
    import jax.numpy as jnp
    from numpyro.infer import MCMC, NUTS

    from benchmarks.hand import with_numpyro

    arguments = {key: jnp.asarray(value) if isinstance(value, np.ndarray) else value for key, value in data.items()}

    def run(settings: Settings) -> Fit:
        clock = Clock()
        kernel = NUTS(getattr(with_numpyro, name), target_accept_prob=settings.target_accept)
        counts = {"num_warmup": settings.warmup, "num_samples": settings.draws, "num_chains": settings.chains}
        mcmc = MCMC(kernel, **counts, chain_method=in_parallel(clock), progress_bar=False)
        mcmc.run(jax.random.key(settings.seed), **arguments, extra_fields=("num_steps",))
        values = {key: np.asarray(value) for key, value in mcmc.get_samples(group_by_chain=True).items()}
        extra = mcmc.get_extra_fields()
        return Fit(roles(values), clock, int(extra["num_steps"].sum()), int(extra["diverging"].sum()))

    return run


def _pymc(engine: str, study: Any, roles: Roles, names: list[str] | None = None, starts: Any = None) -> Run:
    compiled: list[Any] = []

    def run(settings: Settings) -> Fit:
        clock = Clock()
        if engine == "pymc":
            trace = _pymc_nuts(study, settings, clock, starts)
        else:
            import nutpie

            if not compiled:
                compiled.append(nutpie.compile_pymc_model(study, var_names=names, initial_points=starts))
            counts: dict[str, Any] = {"tune": settings.warmup, "draws": settings.draws, "chains": settings.chains}
            counts |= {"cores": min(settings.chains, os.cpu_count() or 1), "seed": settings.seed}
            how: dict[str, Any] = {"target_accept": settings.target_accept, "maxdepth": settings.max_tree_depth}
            with clock.on():
                trace: Any = nutpie.sample(compiled[0], **counts, **how, save_warmup=False, progress_bar=False)
        values = {str(name): each.values for name, each in trace.posterior.data_vars.items()}
        statistics = trace.sample_stats
        return Fit(roles(values), clock, int(statistics["n_steps"].sum()), int(statistics["diverging"].sum()))

    return run


def _pymc_nuts(study: Any, settings: Settings, clock: Clock, starts: Any) -> Any:
    """Sample with PyMC's NUTS, which compiles anew in each run: its own times of the draws are taken."""
    import pymc as pm

    trace: Any = pm.sample(
        settings.draws,
        tune=settings.warmup,
        chains=settings.chains,
        cores=min(settings.chains, os.cpu_count() or 1),
        random_seed=settings.seed,
        nuts_sampler="pymc",
        initvals=starts,
        nuts={"target_accept": settings.target_accept, "max_treedepth": settings.max_tree_depth},
        compile_kwargs={"mode": "NUMBA"},
        discard_tuned_samples=False,
        progressbar=False,
        quiet=True,
        compute_convergence_checks=False,
        model=study,
    )
    for part in (trace.sample_stats, trace.warmup_sample_stats):
        clock.wall += float(part["perf_counter_diff"].sum()) / min(settings.chains, os.cpu_count() or 1)
        clock.cpu += float(part["process_time_diff"].sum())
    return trace


def _stan(engine: str, source: str, data: Mapping[str, Any], roles: Roles, folder: Path) -> Run:
    folder.mkdir(exist_ok=True)
    program, items = folder / "program.stan", folder / "data.json"
    program.write_text(source)
    items.write_text(json.dumps(data))
    return _cmdstan(program, items, roles) if engine == "cmdstan" else _stanli(program, items, roles)


def _stanli(program: Path, items: Path, roles: Roles) -> Run:
    os.environ["STANLI_NO_INTERPRETER"] = "1"
    import stanli

    compiled: list[Any] = []

    def run(settings: Settings) -> Fit:
        if not compiled:
            compiled.append(stanli.Model(stan_file=str(program), data=str(items)))
        clock = Clock()
        with clock.on():
            fit = compiled[0].sample(
                chains=settings.chains,
                seed=settings.seed,
                warmup=settings.warmup,
                samples=settings.draws,
                delta=settings.target_accept,
                max_depth=settings.max_tree_depth,
                refresh=0,
            )
        columns = {name: place for place, name in enumerate(stanli.SAMPLER_COLUMNS)}
        steps, diverging = (fit.sampler_stats[:, :, columns[name]] for name in ("n_leapfrog__", "divergent__"))
        values = {name: fit.draws(name) for name in fit.variables}
        return Fit(roles(values), clock, int(steps.sum()), int(diverging.sum()))

    return run


def _cmdstan(program: Path, items: Path, roles: Roles) -> Run:
    import logging

    import cmdstanpy

    logging.getLogger("cmdstanpy").disabled = True
    compiled: list[Any] = []

    def run(settings: Settings) -> Fit:
        if not compiled:
            compiled.append(cmdstanpy.CmdStanModel(stan_file=str(program)))
        clock = Clock()
        with clock.on():
            fit = compiled[0].sample(
                data=str(items),
                chains=settings.chains,
                parallel_chains=min(settings.chains, os.cpu_count() or 1),
                seed=settings.seed,
                iter_warmup=settings.warmup,
                iter_sampling=settings.draws,
                adapt_delta=settings.target_accept,
                max_treedepth=settings.max_tree_depth,
                show_progress=False,
                force_one_process_per_chain=True,
            )
        lead = (settings.chains, settings.draws)
        values = {name: (each := fit.stan_variable(name)).reshape(*lead, *each.shape[1:]) for name in _names(fit)}
        statistics = fit.method_variables()
        steps, diverging = statistics["n_leapfrog__"].sum(), statistics["divergent__"].sum()
        return Fit(roles(values), clock, int(steps), int(diverging))

    return run


def _names(fit: Any) -> list[str]:
    return [name for name in fit.metadata.stan_vars if np.size(fit.stan_variable(name))]
