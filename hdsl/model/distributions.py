"""The distributions of Model laws: names, parameters in order, supports and event shapes.

Standard deviations, never variances. Log densities, means, quantiles and draws are defined by the NumPy
reference (`hdsl.reference`); each backend has one row per distribution in its lowering table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Support = Literal[
    "real",
    "positive",
    "unit",
    "interval",
    "count",
    "binary",
    "category",
    "simplex",
    "ordered",
    "cholesky_corr",
    "vector",
]


@dataclass(frozen=True)
class Distribution:
    """A distribution.

    `location` and `scale` name the parameters that make it a location (and scale) family, which is what
    allows a law with a moving mean to be written as mean + deviation; `event` counts the event dims.
    """

    name: str
    parameters: tuple[str, ...]
    support: Support
    event: int = 0
    location: str | None = None
    scale: str | None = None
    discrete: bool = False


def _real(name: str, *parameters: str, location: str = "mean", scale: str = "sd") -> Distribution:
    return Distribution(name, parameters, "real", location=location, scale=scale)


def _nested(levels: int) -> Distribution:
    """Return the law of the rows of all groups, (group, row), that lie in units of one level or of several.

    Rows of a group have the covariance diag(sd^2) + factor factor', those of a unit share columns columns' besides.
    `unit`: the unit of each group; `columns_2` and `unit_2`, the larger unit of each unit, are of the next level.
    """
    more = [f"{name}_{level}" for level in range(2, levels + 1) for name in ("columns", "unit")]
    name = "multinormal_nested" if levels == 1 else f"multinormal_nested_{levels}"
    return Distribution(name, ("mean", "sd", "factor", "columns", "unit", *more), "vector", event=2, location="mean")


_ALL = (
    _real("normal", "mean", "sd"),
    _real("student", "df", "mean", "scale", scale="scale"),
    _real("cauchy", "location", "scale", location="location", scale="scale"),
    _real("laplace", "mean", "scale", scale="scale"),
    _real("logistic", "mean", "scale", scale="scale"),
    _real("skewnormal", "location", "scale", "shape", location="location", scale="scale"),
    _real("asymmetric_laplace", "quantile", "scale", "probability", location="quantile", scale="scale"),
    Distribution("normal_mixture", ("logits", "means", "sds"), "real"),
    Distribution("halfnormal", ("sd",), "positive", scale="sd"),
    Distribution("halfstudent", ("df", "scale"), "positive", scale="scale"),
    Distribution("halfcauchy", ("scale",), "positive", scale="scale"),
    Distribution("exponential", ("rate",), "positive"),
    Distribution("lognormal", ("meanlog", "sdlog"), "positive"),
    Distribution("gamma", ("shape", "rate"), "positive"),
    Distribution("gamma_mean", ("mean", "shape"), "positive"),
    Distribution("inverse_gamma", ("shape", "scale"), "positive"),
    Distribution("weibull", ("shape", "scale"), "positive"),
    Distribution("uniform", ("low", "high"), "interval"),
    Distribution("beta", ("a", "b"), "unit"),
    Distribution("beta_mean", ("mean", "precision"), "unit"),
    Distribution("bernoulli_logit", ("logit",), "binary", discrete=True),
    Distribution("bernoulli", ("probability",), "binary", discrete=True),
    Distribution("binomial_logit", ("trials", "logit"), "count", discrete=True),
    Distribution("binomial", ("trials", "probability"), "count", discrete=True),
    Distribution("betabinomial_logit", ("trials", "logit", "precision"), "count", discrete=True),
    Distribution("poisson_log", ("logmean",), "count", discrete=True),
    Distribution("negbinomial_log", ("logmean", "shape"), "count", discrete=True),
    Distribution("zipoisson_log", ("logmean", "zero"), "count", discrete=True),
    Distribution("hurdle_poisson_log", ("logmean", "zero"), "count", discrete=True),
    Distribution("hurdle_negbinomial_log", ("logmean", "shape", "zero"), "count", discrete=True),
    Distribution("hurdle_lognormal", ("meanlog", "sdlog", "zero"), "positive"),
    Distribution("hurdle_gamma", ("mean", "shape", "zero"), "positive"),
    Distribution("ordinal_logit", ("location", "cutpoints"), "category", discrete=True),
    Distribution("ordinal_probit", ("location", "cutpoints"), "category", discrete=True),
    Distribution("categorical_logit", ("logits",), "category", discrete=True),
    Distribution("multinormal_cholesky", ("mean", "cholesky"), "vector", event=1, location="mean"),
    # Covariance diag(sd^2) + factor factor'; the columns of `factor` are a dim of its own.
    Distribution("multinormal_lowrank", ("mean", "sd", "factor"), "vector", event=1, location="mean"),
    *(_nested(levels) for levels in (1, 2, 3)),
    Distribution("lkj_cholesky", ("eta",), "cholesky_corr", event=2),
    Distribution("ordered_normal", ("mean", "sd"), "ordered", event=1),
    Distribution("dirichlet", ("concentration",), "simplex", event=1),
    # A sum of regression trees, with its sd, at each row under each arm (arms, rows); `arm`: the arm of each row.
    Distribution("bart", ("covariates", "arm", "sd"), "real", event=2),
)

DISTRIBUTIONS: Mapping[str, Distribution] = {distribution.name: distribution for distribution in _ALL}
# Laws of data that are no outcomes of rows, by the number of levels above the groups.
NESTED: Mapping[int, str] = {levels: _nested(levels).name for levels in (1, 2, 3)}
