"""How long a check, a first fit and a second take, and effective draws per second against a program by hand in NumPyro.

Times of commands are of new processes, medians: the first fit with an empty cache folder, the second with what the
first left there, the recall with the run that was kept; Python's bytecode is there, as in an installed package.

Both programs have the same model, priors, data, sampler settings and number of effective draws counted (the
least of the shared parameters, bulk). They run alternately in one process after both are compiled; the ratio
of medians is printed.

    python -m benchmarks.first_fit [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.measures import Clock, in_parallel

CACHES = {"PYTHONDONTWRITEBYTECODE", "JAX_COMPILATION_CACHE_DIR"}
STUDY = """study bench "A simulated multi-site trial"
data "bench.csv"
group site id site
unit pupil in site { covariate pretest : real  outcome score : real }
treatment tutor { none = 0, tutored = 1 }
assign tutor to pupil within site by bernoulli(0.5)
analysis { adjust for pretest  vary tutor across site }
priors {
  intercept ~ normal(50, 10)            effect(tutor) ~ normal(0, 5)    slope(pretest) ~ normal(0, 2)
  sd(intercept, site) ~ halfnormal(5)   sd(effect(tutor), site) ~ halfnormal(5)
  corr(site) ~ lkj(2)                   residual ~ halfnormal(10)
}
"""
SHARED = {
    "effect(tutor)": "tau",
    "slope(pretest)": "beta",
    "sd(intercept, site)": "sd_alpha",
    "sd(effect(tutor), site)": "sd_tau",
    "residual": "sigma",
}


def write_study(folder: Path, rows: int, sites: int) -> Path:
    """Write the study with simulated data and return its path."""
    rng = np.random.default_rng(20)
    site = np.repeat(np.arange(sites), rows // sites)
    tutor, pretest = rng.integers(0, 2, len(site)), rng.normal(size=len(site))
    alpha, tau = 50 + 4 * rng.normal(size=sites), 2 + rng.normal(size=sites)
    score = alpha[site] + tau[site] * tutor + 3 * pretest + 6 * rng.normal(size=len(site))
    table = np.column_stack([site, tutor, pretest, score])
    np.savetxt(folder / "bench.csv", table, "%.10g", ",", header="site,tutor,pretest,score", comments="")
    (folder / "bench.hdm").write_text(STUDY)
    return folder / "bench.hdm"


def by_hand(site: Any, tutor: Any, pretest: Any, score: Any, sites: int) -> None:
    """The same model as a careful analyst writes it: non-centred, one matrix product."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    mu = numpyro.sample("mu", dist.Normal(50, 10))
    tau = numpyro.sample("tau", dist.Normal(0, 5))
    beta = numpyro.sample("beta", dist.Normal(0, 2))
    sds = jnp.stack([numpyro.sample(name, dist.HalfNormal(5)) for name in ("sd_alpha", "sd_tau")])
    sigma = numpyro.sample("sigma", dist.HalfNormal(10))
    cholesky = numpyro.sample("cholesky", dist.LKJCholesky(2, 2))
    z = numpyro.sample("z", dist.Normal(0, 1).expand([sites, 2]))
    effects = z @ (sds[:, None] * cholesky).T
    mean = mu + effects[site, 0] + (tau + effects[site, 1]) * tutor + beta * pretest
    numpyro.sample("score", dist.Normal(mean, sigma), obs=score)


class Generated:
    """The program that hdsl makes."""

    name = "hdsl"

    def __init__(self, study: Path) -> None:
        from hdsl import backend
        from hdsl.driver import derive
        from hdsl.passes import prepare

        derived = derive(study)
        assert derived.model is not None and derived.data is not None
        self.plain, self.plain_data = derived.model, derived.data
        self.model, self.data = prepare(derived.model, derived.data)
        self.backend: Any = backend.load("numpyro")
        self.program = self.backend.lower(self.model, self.data)

    def run(self, seed: int) -> tuple[Mapping[str, Any], float]:
        """Sample; return the shared parameters and the seconds of warm-up and sampling."""
        from hdsl.backend import Settings
        from hdsl.inference.recover import recover
        from hdsl.reference.density import reported

        draws = self.backend.sample(self.program, self.model, self.data, Settings(seed=seed, target_accept=0.9))
        recovered = recover(self.model, self.data, self.plain, draws.values)
        roles = reported(self.plain, self.plain_data, recovered)
        return {role: roles[role] for role in SHARED}, draws.seconds["warmup"] + draws.seconds["sampling"]


class ByHand:
    """The hand-written program, its four chains in parallel on four host devices."""

    name = "by hand"

    def __init__(self, study: Path) -> None:
        import jax
        import jax.numpy as jnp
        from numpyro.infer import MCMC, NUTS

        table = np.loadtxt(study.with_name("bench.csv"), delimiter=",", skiprows=1)
        site = jnp.asarray(table[:, 0].astype(int))
        self.arguments = (site, *(jnp.asarray(table[:, k]) for k in (1, 2, 3)), int(site.max()) + 1)
        self.jax = jax
        self.sampler, self.mcmc = NUTS(by_hand, target_accept_prob=0.9), MCMC

    def run(self, seed: int) -> tuple[Mapping[str, Any], float]:
        """Sample; return the shared parameters and the seconds of warm-up and sampling."""
        clock = Clock()
        counts = {"num_warmup": 1000, "num_samples": 1000, "num_chains": 4}
        mcmc = self.mcmc(self.sampler, **counts, chain_method=in_parallel(clock), progress_bar=False)
        mcmc.run(self.jax.random.key(seed), *self.arguments)
        draws = {k: np.asarray(v) for k, v in mcmc.get_samples(group_by_chain=True).items()}
        return {role: draws[name] for role, name in SHARED.items()}, clock.wall


def effective(draws: Mapping[str, Any]) -> float:
    """Return the least bulk effective sample size of the shared parameters."""
    from arviz_stats.base import array_stats

    columns = np.stack([np.asarray(value) for value in draws.values()], axis=-1)
    return float(np.min(array_stats.ess(columns, chain_axis=0, draw_axis=1, method="bulk")))


def compare(study: Path, repeats: int) -> dict[str, Any]:
    """Run both programs alternately and return effective draws per second and their ratio."""
    programs = [Generated(study), ByHand(study)]
    for program in programs:
        program.run(0)
    rates: dict[str, list[float]] = {program.name: [] for program in programs}
    for repeat in range(1, repeats + 1):
        for program in programs:
            draws, seconds = program.run(repeat)
            rates[program.name].append(effective(draws) / seconds)
    medians = {name: median(found) for name, found in rates.items()}
    return {"ess_per_second": medians, "ratio": medians["hdsl"] / medians["by hand"]}


def timed(cache: Path, *arguments: str) -> float:
    """Return the seconds that a command takes in a new process; its caches are in a folder."""
    plain = {name: value for name, value in os.environ.items() if name not in CACHES}
    environment = {**plain, "XDG_CACHE_HOME": str(cache), "PYTHONPYCACHEPREFIX": str(cache.with_name("bytecode"))}
    start = time.perf_counter()
    subprocess.run((sys.executable, "-m", "hdsl", *arguments), check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def commands(study: Path, repeats: int) -> dict[str, float]:
    """Return the median seconds of commands."""
    run = ("run", str(study))
    ways = {"exact": (), "nuts, numpyro": ("--inference", "nuts")}
    if find_spec("stanli") is not None:
        ways["nuts, stan"] = ("--inference", "nuts", "--backend", "stan")
    found: dict[str, list[float]] = {}
    for repeat in range(repeats + 1):
        taken = {"help": timed(study.parent / "kept", "--help"), "check": timed(study.parent / "kept", "check", run[1])}
        for name, options in ways.items():
            cache = study.parent / f"cache {name} {repeat}"
            taken[f"{name}: first fit"] = timed(cache, *run, "--fresh", *options)
            taken[f"{name}: second fit"] = timed(cache, *run, "--fresh", *options)
        taken["recall"] = timed(study.parent / "kept", *run)
        for name, seconds in taken.items() if repeat else ():
            found.setdefault(name, []).append(seconds)
    return {name: median(seconds) for name, seconds in found.items()}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = write_study(Path(folder), rows=1000, sites=20)
        figures: dict[str, Any] = {"seconds": commands(study, arguments.repeats)}
        import numpyro

        numpyro.set_host_device_count(4)
        numpyro.enable_x64()
        for rows, sites in ((1000, 20), (4000, 40)):
            place = Path(folder) / f"r{rows}"
            place.mkdir()
            figures[f"{rows} rows, {sites} sites"] = compare(write_study(place, rows, sites), arguments.repeats)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
