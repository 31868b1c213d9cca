"""How each distribution is written with PyMC.

Templates name the parameters of `hdsl.model.distributions`; `{x:*}` puts parentheses around x where it is to
be a factor of a product. `{value}` is the observed variable and `{event}` the size of the last event dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hdsl.model.array_source import larger_units
from hdsl.model.distributions import NESTED


class Row(NamedTuple):
    """A class of PyMC with its arguments; or, where `logp` is set, a function of the program.

    Such a function gives the log probability of its first argument, the value, given `arguments`.
    `full` names parameters that must be given over the event dim; `signature` is that of a `pm.CustomDist`
    whose parameters are not all scalars.
    """

    target: str
    arguments: str
    logp: bool = False
    full: tuple[str, ...] = ()
    signature: str = ""


def _function(target: str, arguments: str, signature: str = "") -> Row:
    return Row(target, arguments, logp=True, signature=signature)


DISTRIBUTIONS: Mapping[str, Row] = {
    "normal": Row("pm.Normal", "mu={mean}, sigma={sd}"),
    "student": Row("pm.StudentT", "nu={df}, mu={mean}, sigma={scale}"),
    "cauchy": Row("pm.Cauchy", "alpha={location}, beta={scale}"),
    "laplace": Row("pm.Laplace", "mu={mean}, b={scale}"),
    "logistic": Row("pm.Logistic", "mu={mean}, s={scale}"),
    "skewnormal": _function("skewnormal_logp", "{location}, {scale}, {shape}"),
    "asymmetric_laplace": _function("asymmetric_laplace_logp", "{quantile}, {scale}, {probability}"),
    "normal_mixture": Row("pm.NormalMixture", "w=pt.special.softmax({logits}, axis=-1), mu={means}, sigma={sds}"),
    "halfnormal": Row("pm.HalfNormal", "sigma={sd}"),
    "halfstudent": Row("pm.HalfStudentT", "nu={df}, sigma={scale}"),
    "halfcauchy": Row("pm.HalfCauchy", "beta={scale}"),
    "exponential": Row("pm.Exponential", "lam={rate}"),
    "lognormal": Row("pm.LogNormal", "mu={meanlog}, sigma={sdlog}"),
    "gamma": Row("pm.Gamma", "alpha={shape}, beta={rate}"),
    "gamma_mean": Row("pm.Gamma", "alpha={shape}, beta={shape:*} / {mean:*}"),
    "inverse_gamma": Row("pm.InverseGamma", "alpha={shape}, beta={scale}"),
    "weibull": Row("pm.Weibull", "alpha={shape}, beta={scale}"),
    "uniform": Row("pm.Uniform", "lower={low}, upper={high}"),
    "beta": Row("pm.Beta", "alpha={a}, beta={b}"),
    "beta_mean": Row("pm.Beta", "mu={mean}, nu={precision}"),
    "bernoulli_logit": Row("pm.Bernoulli", "logit_p={logit}"),
    "bernoulli": Row("pm.Bernoulli", "p={probability}"),
    "binomial_logit": Row("pm.Binomial", "n={trials}, logit_p={logit}"),
    "binomial": Row("pm.Binomial", "n={trials}, p={probability}"),
    "betabinomial_logit": Row(
        "pm.BetaBinomial",
        "alpha={precision:*} * pt.sigmoid({logit}), beta={precision:*} * pt.sigmoid(-{logit:*}), n={trials}",
    ),
    "poisson_log": Row("pm.Poisson", "mu=pt.exp({logmean})"),
    "negbinomial_log": _function("negbinomial_logp", "{logmean}, {shape}"),
    "zipoisson_log": Row("pm.ZeroInflatedPoisson", "psi=1 - {zero:*}, mu=pt.exp({logmean})"),
    "hurdle_poisson_log": _function("hurdle_poisson_logp", "{logmean}, {zero}"),
    "hurdle_negbinomial_log": _function("hurdle_negbinomial_logp", "{logmean}, {shape}, {zero}"),
    "hurdle_lognormal": _function("hurdle_lognormal_logp", "{meanlog}, {sdlog}, {zero}"),
    "hurdle_gamma": _function("hurdle_gamma_logp", "{mean}, {shape}, {zero}"),
    "ordinal_logit": _function("ordinal_logit_logp", "{location}, {cutpoints}", "(),(c)->()"),
    "ordinal_probit": _function("ordinal_probit_logp", "{location}, {cutpoints}", "(),(c)->()"),
    "categorical_logit": _function("categorical_logp", "{logits}", "(c)->()"),
    "multinormal_cholesky": Row("pm.MvNormal", "mu={mean}, chol={cholesky}"),
    "multinormal_lowrank": Row("pm.MvNormal", "mu={mean}, cov=lowrank_covariance({sd}, {factor})", full=("mean", "sd")),
    **dict.fromkeys(NESTED.values(), Row("nested_logp", "", logp=True, full=("mean", "sd"))),
    "lkj_cholesky": Row("pm.LKJCorr", "n={event}, eta={eta}"),
    "ordered_normal": Row("pm.Normal", "mu={mean}, sigma={sd}"),
    "dirichlet": Row("pm.Dirichlet", "a={concentration}", full=("concentration",)),
}

# Of data: the log density of {value} in place of a law that is slow for many small vectors.
WRITTEN_OUT: Mapping[str, str] = {
    "multinormal_lowrank": "groups_logp({event}, {value}, {mean}, {sd}, {factor})",
    **{
        name: f"nested_logp({{event}}, {{value}}, {{mean}}, {{sd}}, {{factor}}, {larger_units(name)})"
        for name in NESTED.values()
    },
}

# The log probability of lasting beyond {value}, for censored durations.
SURVIVAL: Mapping[str, str] = {
    "normal": "log_ndtr(({mean:*} - {value}) / {sd:*})",
    "cauchy": "pt.log(pt.arctan2({scale}, {value} - {location:*}) / np.pi)",
    "logistic": "-pt.softplus(({value} - {mean:*}) / {scale:*})",
    "halfnormal": "np.log(2.0) + log_ndtr(-{value} / {sd:*})",
    "halfcauchy": "pt.log(2.0 / np.pi * pt.arctan2({scale}, {value}))",
    "exponential": "-{rate:*} * {value}",
    "lognormal": "log_ndtr(({meanlog:*} - pt.log({value})) / {sdlog:*})",
    "gamma": "pt.log(pt.gammaincc({shape}, {rate:*} * {value}))",
    "gamma_mean": "pt.log(pt.gammaincc({shape}, {shape:*} / {mean:*} * {value}))",
    "inverse_gamma": "pt.log(pt.gammainc({shape}, {scale:*} / {value}))",
    "weibull": "-(({value} / {scale:*}) ** {shape:*})",
    "uniform": "pt.log(({high:*} - {value}) / ({high:*} - {low:*}))",
}
