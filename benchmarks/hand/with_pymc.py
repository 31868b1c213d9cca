"""The six studies in PyMC: named coordinates, varying effects non-centred."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm


def multisite(site: Any, tutor: Any, pretest: Any, score: Any, n_site: int) -> pm.Model:
    with pm.Model(coords={"site": range(n_site), "effect": ["level", "tutor"], "pupil": range(len(score))}) as model:
        mu = pm.Normal("mu", 50, 10)
        tau = pm.Normal("tau", 0, 5)
        beta = pm.Normal("beta", 0, 2)
        sigma = pm.HalfNormal("sigma", 10)
        cholesky, corr, sds = pm.LKJCholeskyCov("covariance", n=2, eta=2, sd_dist=pm.HalfNormal.dist(5, shape=2))
        pm.Deterministic("sd_alpha", sds[0])
        pm.Deterministic("sd_tau", sds[1])
        pm.Deterministic("rho", corr[0, 1])
        effects = pm.Normal("z", 0, 1, dims=("site", "effect")) @ cholesky.T
        mean = mu + effects[site, 0] + (tau + effects[site, 1]) * tutor + beta * pretest
        pm.Normal("score", mean, sigma, observed=score, dims="pupil")
    return model


def clusters(
    district: Any, school: Any, curriculum: Any, before: Any, passed: Any, n_district: int, n_school: int
) -> pm.Model:
    coords = {"district": range(n_district), "school": range(n_school), "student": range(len(passed))}
    with pm.Model(coords=coords) as model:
        mu = pm.Normal("mu", 0, 2)
        tau = pm.Normal("tau", 0, 2)
        beta = pm.Normal("beta", 0, 2)
        sd_district = pm.HalfNormal("sd_district", 1)
        sd_school = pm.HalfNormal("sd_school", 1)
        a_district = sd_district * pm.Normal("z_district", 0, 1, dims="district")
        z_school = pm.Normal("z_school", 0, 1, dims="school")
        a_school = mu + a_district[district] + tau * curriculum + sd_school * z_school
        pm.Bernoulli("passed", logit_p=a_school[school] + beta * before, observed=passed, dims="student")
    return model


def panel(
    person: Any, year: Any, schooling: Any, exper: Any, union: Any, wage: Any, n_person: int, n_year: int
) -> pm.Model:
    coords = {"person": range(n_person), "year": range(n_year), "record": range(len(wage))}
    with pm.Model(coords=coords) as model:
        mu = pm.Normal("mu", 1, 5)
        tau = pm.Normal("tau", 0, 1)
        beta_exper = pm.Normal("beta_exper", 0, 1)
        beta_schooling = pm.Normal("beta_schooling", 0, 1)
        sd_person = pm.HalfNormal("sd_person", 1)
        sd_year = pm.HalfNormal("sd_year", 0.5)
        sigma = pm.HalfNormal("sigma", 1)
        a_person = mu + beta_schooling * schooling + sd_person * pm.Normal("z_person", 0, 1, dims="person")
        a_year = sd_year * pm.Normal("z_year", 0, 1, dims="year")
        mean = a_person[person] + a_year[year] + tau * union + beta_exper * exper
        pm.Normal("wage", mean, sigma, observed=wage, dims="record")
    return model


def counts(building: Any, control: Any, before: Any, days: Any, caught: Any, n_building: int) -> pm.Model:
    with pm.Model(coords={"building": range(n_building), "flat": range(len(caught))}) as model:
        mu = pm.Normal("mu", 0, 3)
        tau = pm.Normal("tau", 0, 2)
        beta = pm.Normal("beta", 0, 2)
        sd_building = pm.HalfNormal("sd_building", 1)
        shape = pm.Gamma("shape", 2, 0.5)
        a_building = mu + sd_building * pm.Normal("z_building", 0, 1, dims="building")
        eta = a_building[building] + tau * control + beta * before + np.log(days)
        pm.NegativeBinomial("caught", mu=pm.math.exp(eta), alpha=shape, observed=caught, dims="flat")
    return model


def splitplot(
    block: Any, plot: Any, irrigation: Any, nitrogen: Any, harvest: Any, n_block: int, n_plot: int
) -> pm.Model:
    is_low, is_high, is_wet = nitrogen == 1, nitrogen == 2, irrigation[plot] == 1
    with pm.Model(coords={"block": range(n_block), "plot": range(n_plot), "subplot": range(len(harvest))}) as model:
        mu = pm.Normal("mu", 50, 20)
        wet = pm.Normal("wet", 0, 10)
        low = pm.Normal("low", 0, 10)
        high = pm.Normal("high", 0, 10)
        wet_low = pm.Normal("wet_low", 0, 10)
        wet_high = pm.Normal("wet_high", 0, 10)
        sd_block = pm.HalfNormal("sd_block", 10)
        sd_plot = pm.HalfNormal("sd_plot", 10)
        sigma = pm.HalfNormal("sigma", 10)
        a_block = mu + sd_block * pm.Normal("z_block", 0, 1, dims="block")
        a_plot = a_block[block] + wet * irrigation + sd_plot * pm.Normal("z_plot", 0, 1, dims="plot")
        gain = low * is_low + high * is_high + wet_low * (is_low & is_wet) + wet_high * (is_high & is_wet)
        pm.Normal("harvest", a_plot[plot] + gain, sigma, observed=harvest, dims="subplot")
    return model


def growth(school: Any, child: Any, year: Any, programme: Any, score: Any, n_school: int, n_child: int) -> pm.Model:
    coords = {
        "school": range(n_school),
        "child": range(n_child),
        "test": range(len(score)),
        "effect": ["level", "growth"],
    }
    with pm.Model(coords=coords) as model:
        mu = pm.Normal("mu", 50, 20)
        tau = pm.Normal("tau", 0, 10)
        beta = pm.Normal("beta", 0, 10)
        sigma = pm.HalfNormal("sigma", 10)
        effects: dict[str, Any] = {}
        for group in ("school", "child"):
            spreads = pm.HalfNormal.dist(np.array([10.0, 3.0]), shape=2)
            cholesky, corr, sds = pm.LKJCholeskyCov(f"covariance_{group}", n=2, eta=2, sd_dist=spreads)
            pm.Deterministic(f"sd_level_{group}", sds[0])
            pm.Deterministic(f"sd_growth_{group}", sds[1])
            pm.Deterministic(f"rho_{group}", corr[0, 1])
            effects[group] = pm.Normal(f"z_{group}", 0, 1, dims=(group, "effect")) @ cholesky.T
        of_child = effects["school"][school] + effects["child"]
        level = mu + tau * programme + of_child[:, 0]
        slope = beta + of_child[:, 1]
        pm.Normal("score", level[child] + slope[child] * year, sigma, observed=score, dims="test")
    return model
