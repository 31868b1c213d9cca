"""The log density of derived models equals one that is written here, by hand, with SciPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, gammaln, logit

from hdsl.reference.density import log_density
from hdsl.reference.free import random_point
from tests.model import designs
from tests.model.designs import Design

Array = NDArray[np.float64]
Point = Mapping[str, Any]
Columns = Mapping[str, NDArray[Any]]


def four(value: float) -> float:
    """Return a number to four significant digits, as priors are printed."""
    return float(f"{value:.4g}")


def normal(x: Any, mean: Any, sd: Any) -> float:
    """Return the sum of normal log densities."""
    return float(np.sum(stats.norm.logpdf(x, mean, sd)))


def halfnormal(x: Any, scale: float) -> float:
    """Return the log density of a half-normal law."""
    return float(stats.halfnorm.logpdf(x, scale=four(scale)))


def slope_prior(x: float, scale: float) -> float:
    """Return the log density of a normal law around zero."""
    return normal(x, 0, four(scale))


def intercept_prior(x: float, middle: float, scale: float, shift: float = 0.0) -> float:
    """Return the log density of an intercept whose prior is about average predictors."""
    return normal(x + shift, four(middle), four(scale))


def lkj2(rho: float) -> float:
    """Return the log density of an LKJ(2) correlation of two effects: a beta(2, 2) on (-1, 1)."""
    return float(stats.beta.logpdf((rho + 1) / 2, 2, 2) - np.log(2))


def randomised(p: Point, c: Columns) -> float:
    y, x, z = c["pay"], c["age"], c["coach"]
    s = y.std(ddof=1)
    b, tau, a, sigma = p["slope(age)"], p["effect(coach)"], p["intercept"], p["residual"]
    return (
        normal(y, a + tau * z + b * x, sigma)
        + slope_prior(tau, 2.5 * s)
        + slope_prior(b, 2.5 * s / x.std())
        + intercept_prior(a, y.mean(), 2.5 * s, tau * four(z.mean()) + b * four(x.mean()))
        + halfnormal(sigma, 2 * s)
    )


def blocked(p: Point, c: Columns) -> float:
    y, z, g = c["score"], c["tutor"], c["school"]
    s = y.std(ddof=1)
    share = np.array([z[g == k].mean() for k in range(6)])
    share -= share[g].mean()
    d, sd = p["deviation(intercept, school)"], p["sd(intercept, school)"]
    a, tau, delta = p["intercept"], p["effect(tutor)"], p["slope(mean(tutor, school))"]
    return (
        normal(y, (a + delta * share + d)[g] + tau * z, p["residual"])
        + normal(d, 0, sd)
        + halfnormal(sd, s)
        + slope_prior(tau, 2.5 * s)
        + slope_prior(delta, 2.5 * s / share[g].std())
        + intercept_prior(a, y.mean(), 2.5 * s, 0.5 * tau)
        + halfnormal(p["residual"], 2 * s)
    )


def clustered(p: Point, c: Columns) -> float:
    y, x, school = c["score"], c["pretest"], c["school"]
    size, z, district = np.log(c["size"]), c["reform"], np.arange(12) // 4
    s = y.std(ddof=1)
    a, b, gamma, tau = p["intercept"], p["slope(pretest)"], p["slope(log(size))"], p["effect(reform)"]
    delta, e = p["deviation(intercept, district)"], p["deviation(intercept, school)"]
    sd_d, sd_s = p["sd(intercept, district)"], p["sd(intercept, school)"]
    alpha = a + delta[district] + gamma * size + tau * z + e
    at_rows = size[school]
    return (
        normal(y, alpha[school] + b * x, p["residual"])
        + normal(e, 0, sd_s)
        + normal(delta, 0, sd_d)
        + halfnormal(sd_s, s)
        + halfnormal(sd_d, s)
        + slope_prior(tau, 2.5 * s)
        + slope_prior(b, 2.5 * s / x.std())
        + slope_prior(gamma, 2.5 * s / at_rows.std())
        + intercept_prior(a, y.mean(), 2.5 * s, 0.5 * tau + b * four(x.mean()) + gamma * four(at_rows.mean()))
        + halfnormal(p["residual"], 2 * s)
    )


def split_split_plot(p: Point, c: Columns) -> float:
    y = c["y"]
    s = y.std(ddof=1)
    d = {level: p[f"deviation(intercept, {level})"] for level in ("rep", "plot", "sub")}
    b, v = c["variety"] == 2, c["variety"] == 3
    tau_b, tau_c = p["effect(variety)[b]"], p["effect(variety)[c]"]
    fixed = p["intercept"] + p["effect(water)"] * c["water"] + p["effect(feed)"] * c["feed"] + tau_b * b + tau_c * v
    mean = fixed + sum(d[level][c[level]] for level in d)
    shift = 0.5 * p["effect(water)"] + 0.5 * p["effect(feed)"] + four(1 / 3) * (tau_b + tau_c)
    total = normal(y, mean, p["residual"]) + halfnormal(p["residual"], 2 * s)
    for level, deviation in d.items():
        sd = p[f"sd(intercept, {level})"]
        total += normal(deviation, 0, sd) + halfnormal(sd, s)
    for effect in (p["effect(water)"], p["effect(feed)"], tau_b, tau_c):
        total += slope_prior(effect, 2.5 * s)
    return total + intercept_prior(p["intercept"], y.mean(), 2.5 * s, shift)


def split_plot(p: Point, c: Columns) -> float:
    y, postcode, home = c["voted"], c["zip"], c["home"]
    mail, call = c["mailing"], c["call"]
    d_zip, d_home = p["deviation(intercept, postcode)"], p["deviation(intercept, household)"]
    m, k = p["effect(mailing)"], p["effect(call)"]
    eta = p["intercept"] + m * mail + k * call + d_zip[postcode] + d_home[home]
    total = float(np.sum(stats.bernoulli.logpmf(y, expit(eta))))
    for deviation, level in ((d_zip, "postcode"), (d_home, "household")):
        sd = p[f"sd(intercept, {level})"]
        total += normal(deviation, 0, sd) + halfnormal(sd, 1.5)
    shift = m * four(mail.mean()) + k * four(call.mean())
    return (
        total
        + slope_prior(m, 2.5)
        + slope_prior(k, 2.5)
        + intercept_prior(p["intercept"], float(logit(y.mean())), 2.5, shift)
    )


def _bivariate(deviation: Array, sd: Array, corr: float) -> float:
    covariance = np.outer(sd, sd) * np.array([[1, corr], [corr, 1]])
    return float(np.sum(stats.multivariate_normal.logpdf(deviation, np.zeros(2), covariance)))


def panel(p: Point, c: Columns) -> float:
    y, person, month, z = c["cortisol"], c["pid"], c["wave"], c["therapy"]
    s, scale = y.std(ddof=1), month.std()
    d, m, rho = p["deviation(person)"], p["deviation(intercept, month)"], p["corr_cholesky(person)"][1, 0]
    sd = np.array([p["sd(intercept, person)"], p["sd(slope(month), person)"]])
    a, tau, b = p["intercept"], p["effect(therapy)"], p["slope(month)"]
    mean = a + tau * z + d[person, 0] + m[month - 1] + (b + d[person, 1]) * month
    return (
        normal(y, mean, p["residual"])
        + _bivariate(d, sd, rho)
        + lkj2(rho)
        + normal(m, 0, p["sd(intercept, month)"])
        + halfnormal(sd[0], s)
        + halfnormal(sd[1], s / scale)
        + halfnormal(p["sd(intercept, month)"], s)
        + halfnormal(p["residual"], 2 * s)
        + slope_prior(tau, 2.5 * s)
        + slope_prior(b, 2.5 * s / scale)
        + intercept_prior(a, y.mean(), 2.5 * s, 0.5 * tau + 2.5 * b)
    )


def multisite(p: Point, c: Columns) -> float:
    y, g, z, x, w = c["score"], c["school"], c["tutor"], c["pretest"], c["poverty"]
    s = y.std(ddof=1)
    d, rho = p["deviation(school)"], p["corr_cholesky(school)"][1, 0]
    sd = np.array([p["sd(intercept, school)"], p["sd(effect(tutor), school)"]])
    a, tau, b, gamma = p["intercept"], p["effect(tutor)"], p["slope(pretest)"], p["slope(poverty)"]
    delta = p["interaction(tutor * poverty)"]
    mean = a + d[g, 0] + b * x + gamma * w + (tau + delta * w + d[g, 1]) * z
    spread = np.sqrt(p["residual"] ** 2 + p["residual(tutor)"] ** 2 * z)
    shift = 0.5 * tau + delta * four((z * w).mean()) + b * four(x.mean()) + gamma * four(w.mean())
    return (
        normal(y, mean, spread)
        + _bivariate(d, sd, rho)
        + lkj2(rho)
        + halfnormal(sd[0], s)
        + halfnormal(sd[1], s)
        + halfnormal(p["residual"], 2 * s)
        + halfnormal(p["residual(tutor)"], s)
        + normal(tau + delta * w.mean(), 0, four(2.5 * s))
        + slope_prior(delta, 2.5 * s / w.std())
        + slope_prior(b, 2.5 * s / x.std())
        + slope_prior(gamma, 2.5 * s / w.std())
        + intercept_prior(a, y.mean(), 2.5 * s, shift)
    )


def summaries(p: Point, c: Columns) -> float:
    y, s = c["gain"], c["gain"].std(ddof=1)
    d, sd = p["deviation(intercept, site)"], p["sd(intercept, site)"]
    return (
        normal(y, p["intercept"] + d, c["se"])
        + normal(d, 0, sd)
        + halfnormal(sd, s)
        + intercept_prior(p["intercept"], y.mean(), 2.5 * s)
    )


def counted(p: Point, c: Columns) -> float:
    y, n, z = c["sprouted"], c["sown"], c["extract"]
    d, sd, tau = p["deviation(intercept, plate)"], p["sd(intercept, plate)"], p["effect(extract)"]
    chance = expit(p["intercept"] + tau * z + d)
    return (
        float(np.sum(stats.binom.logpmf(y, n, chance)))
        + normal(d, 0, sd)
        + halfnormal(sd, 1.5)
        + slope_prior(tau, 2.5)
        + intercept_prior(p["intercept"], float(logit(y.sum() / n.sum())), 2.5, 0.5 * tau)
    )


def _counts(p: Point, c: Columns) -> tuple[Array, float]:
    y, days, z, g = c["roaches"], c["days"], c["pest"], c["building"]
    d, sd, tau = p["deviation(intercept, building)"], p["sd(intercept, building)"], p["effect(pest)"]
    mean = days * np.exp(p["intercept"] + tau * z + d[g])
    prior = normal(d, 0, sd) + halfnormal(sd, 1) + slope_prior(tau, 2.5)
    return mean, prior + intercept_prior(p["intercept"], np.log(y.mean() / days.mean()), 2.5, 0.5 * tau)


def exposed(p: Point, c: Columns) -> float:
    mean, prior = _counts(p, c)
    return prior + float(np.sum(stats.poisson.logpmf(c["roaches"], mean)))


def overdispersed(p: Point, c: Columns) -> float:
    (mean, prior), k = _counts(p, c), p["shape"]
    likelihood = float(np.sum(stats.nbinom.logpmf(c["roaches"], k, k / (k + mean))))
    return prior + likelihood + float(stats.gamma.logpdf(k, 1, scale=10))


def graded(p: Point, c: Columns) -> float:
    x, z, y = c["age"], c["drug"], c["pain"] - 1
    tau, b, cut = p["effect(drug)"], p["slope(age)"], p["cutpoint"]
    eta = tau * z + b * x - (0.5 * tau + four(x.mean()) * b)
    above = np.concatenate([np.ones((30, 1)), expit(eta[:, None] - cut), np.zeros((30, 1))], axis=1)
    chance = (above[:, :-1] - above[:, 1:])[np.arange(30), y]
    return (
        float(np.sum(np.log(chance)))
        + normal(cut, 0, 5)
        + float(gammaln(4))
        + slope_prior(tau, 2.5)
        + slope_prior(b, 2.5 / x.std())
    )


def survival(p: Point, c: Columns) -> float:
    y, z, died = c["months"], c["drug"], c["left"] == 0
    k, tau = p["shape"], p["effect(drug)"]
    law = stats.weibull_min(k, scale=np.exp(p["intercept"] + tau * z))
    return (
        float(np.sum(np.where(died, law.logpdf(y), law.logsf(y))))
        + float(stats.gamma.logpdf(k, 1, scale=10))
        + slope_prior(tau, 2.5)
        + intercept_prior(p["intercept"], np.log(y.mean()), 2.5, tau * four(z.mean()))
    )


def weighted(p: Point, c: Columns) -> float:
    y, z, s = c["pay"], c["coach"], c["pay"].std(ddof=1)
    tau, df, sigma = p["effect(coach)"], p["df"], p["residual"]
    rows = stats.t.logpdf(y, df, p["intercept"] + tau * z, sigma)
    return (
        float(np.sum(c["w"] * rows))
        + float(stats.gamma.logpdf(df, 2, scale=10))
        + halfnormal(sigma, 2 * s)
        + slope_prior(tau, 2.5 * s)
        + intercept_prior(p["intercept"], y.mean(), 2.5 * s, 0.5 * tau)
    )


def heavy_tailed(p: Point, c: Columns) -> float:
    without = {name: value for name, value in p.items() if "effect(tutor), school" not in name}
    g, z, s = c["school"], c["tutor"], c["score"].std(ddof=1)
    d, sd, df = (p[f"{word}(effect(tutor), school)"] for word in ("deviation", "sd", "df"))
    moved = {**c, "score": c["score"] - d[g] * z}
    base = blocked(without, {**c}) - normal(c["score"], _blocked_mean(without, c), p["residual"])
    return (
        base
        + normal(moved["score"], _blocked_mean(without, c), p["residual"])
        + float(np.sum(stats.t.logpdf(d, df, 0, sd)))
        + halfnormal(sd, s)
        + float(stats.gamma.logpdf(df, 2, scale=10))
    )


def _blocked_mean(p: Point, c: Columns) -> Array:
    z, g = c["tutor"], c["school"]
    share = np.array([z[g == k].mean() for k in range(6)])
    share -= share[g].mean()
    group = p["intercept"] + p["slope(mean(tutor, school))"] * share + p["deviation(intercept, school)"]
    return group[g] + p["effect(tutor)"] * z


BY_HAND: Mapping[str, Callable[[Point, Columns], float]] = {
    function.__name__: function
    for function in (
        randomised,
        blocked,
        clustered,
        split_plot,
        split_split_plot,
        panel,
        multisite,
        summaries,
        counted,
        exposed,
        overdispersed,
        graded,
        survival,
        weighted,
        heavy_tailed,
    )
}


@pytest.mark.parametrize("name", BY_HAND)
def test_log_density(name: str, tmp_path: Path) -> None:
    design: Design = designs.DESIGNS[name](tmp_path)
    model, data = design.made
    rng = np.random.default_rng(11)
    for _ in range(3):
        point = random_point(model, data, rng, 0.7)
        by_role = {variable.role: np.asarray(point[variable.name]) for variable in model.variables}
        expected = BY_HAND[name](by_role, design.columns)
        assert log_density(model, data, point) == pytest.approx(expected, rel=1e-9, abs=1e-8)
