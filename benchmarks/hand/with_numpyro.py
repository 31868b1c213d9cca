"""The six studies in NumPyro: vectorised, varying effects non-centred."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro import deterministic, sample


def standard(name: str, *shape: int) -> Any:
    return sample(name, dist.Normal(0, 1).expand(shape).to_event(len(shape)))


def multisite(site: Any, tutor: Any, pretest: Any, score: Any, n_site: int) -> None:
    mu = sample("mu", dist.Normal(50, 10))
    tau = sample("tau", dist.Normal(0, 5))
    beta = sample("beta", dist.Normal(0, 2))
    sd_alpha = sample("sd_alpha", dist.HalfNormal(5))
    sd_tau = sample("sd_tau", dist.HalfNormal(5))
    sigma = sample("sigma", dist.HalfNormal(10))
    cholesky = sample("cholesky", dist.LKJCholesky(2, 2))
    deterministic("rho", cholesky[1, 0])
    effects = standard("z", n_site, 2) @ (jnp.stack([sd_alpha, sd_tau])[:, None] * cholesky).T
    mean = mu + effects[site, 0] + (tau + effects[site, 1]) * tutor + beta * pretest
    sample("score", dist.Normal(mean, sigma), obs=score)


def clusters(
    district: Any, school: Any, curriculum: Any, before: Any, passed: Any, n_district: int, n_school: int
) -> None:
    mu = sample("mu", dist.Normal(0, 2))
    tau = sample("tau", dist.Normal(0, 2))
    beta = sample("beta", dist.Normal(0, 2))
    sd_district = sample("sd_district", dist.HalfNormal(1))
    sd_school = sample("sd_school", dist.HalfNormal(1))
    a_district = sd_district * standard("z_district", n_district)
    a_school = mu + a_district[district] + tau * curriculum + sd_school * standard("z_school", n_school)
    sample("passed", dist.Bernoulli(logits=a_school[school] + beta * before), obs=passed)


def panel(
    person: Any, year: Any, schooling: Any, exper: Any, union: Any, wage: Any, n_person: int, n_year: int
) -> None:
    mu = sample("mu", dist.Normal(1, 5))
    tau = sample("tau", dist.Normal(0, 1))
    beta_exper = sample("beta_exper", dist.Normal(0, 1))
    beta_schooling = sample("beta_schooling", dist.Normal(0, 1))
    sd_person = sample("sd_person", dist.HalfNormal(1))
    sd_year = sample("sd_year", dist.HalfNormal(0.5))
    sigma = sample("sigma", dist.HalfNormal(1))
    a_person = mu + beta_schooling * schooling + sd_person * standard("z_person", n_person)
    a_year = sd_year * standard("z_year", n_year)
    mean = a_person[person] + a_year[year] + tau * union + beta_exper * exper
    sample("wage", dist.Normal(mean, sigma), obs=wage)


def counts(building: Any, control: Any, before: Any, days: Any, caught: Any, n_building: int) -> None:
    mu = sample("mu", dist.Normal(0, 3))
    tau = sample("tau", dist.Normal(0, 2))
    beta = sample("beta", dist.Normal(0, 2))
    sd_building = sample("sd_building", dist.HalfNormal(1))
    shape = sample("shape", dist.Gamma(2, 0.5))
    a_building = mu + sd_building * standard("z_building", n_building)
    eta = a_building[building] + tau * control + beta * before + jnp.log(days)
    sample("caught", dist.NegativeBinomial2(jnp.exp(eta), shape), obs=caught)


def splitplot(block: Any, plot: Any, irrigation: Any, nitrogen: Any, harvest: Any, n_block: int, n_plot: int) -> None:
    mu = sample("mu", dist.Normal(50, 20))
    wet = sample("wet", dist.Normal(0, 10))
    low, high = (sample(name, dist.Normal(0, 10)) for name in ("low", "high"))
    wet_low, wet_high = (sample(name, dist.Normal(0, 10)) for name in ("wet_low", "wet_high"))
    sd_block = sample("sd_block", dist.HalfNormal(10))
    sd_plot = sample("sd_plot", dist.HalfNormal(10))
    sigma = sample("sigma", dist.HalfNormal(10))
    a_block = mu + sd_block * standard("z_block", n_block)
    a_plot = a_block[block] + wet * irrigation + sd_plot * standard("z_plot", n_plot)
    dry_gain = jnp.stack([jnp.zeros(()), low, high])
    wet_gain = jnp.stack([jnp.zeros(()), low + wet_low, high + wet_high])
    gain = jnp.where(irrigation[plot] == 1, wet_gain[nitrogen], dry_gain[nitrogen])
    sample("harvest", dist.Normal(a_plot[plot] + gain, sigma), obs=harvest)


def growth(school: Any, child: Any, year: Any, programme: Any, score: Any, n_school: int, n_child: int) -> None:
    mu = sample("mu", dist.Normal(50, 20))
    tau = sample("tau", dist.Normal(0, 10))
    beta = sample("beta", dist.Normal(0, 10))
    sigma = sample("sigma", dist.HalfNormal(10))
    effects: dict[str, Any] = {}
    for level, size in (("school", n_school), ("child", n_child)):
        sd_level = sample(f"sd_level_{level}", dist.HalfNormal(10))
        sd_growth = sample(f"sd_growth_{level}", dist.HalfNormal(3))
        cholesky = sample(f"cholesky_{level}", dist.LKJCholesky(2, 2))
        deterministic(f"rho_{level}", cholesky[1, 0])
        sds = jnp.stack([sd_level, sd_growth])
        effects[level] = standard(f"z_{level}", size, 2) @ (sds[:, None] * cholesky).T
    of_child = effects["school"][school] + effects["child"]
    level = mu + tau * programme + of_child[:, 0]
    slope = beta + of_child[:, 1]
    sample("score", dist.Normal(level[child] + slope[child] * year, sigma), obs=score)


numpyro.enable_x64()
