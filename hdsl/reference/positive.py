"""Continuous distributions of positive and bounded numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from hdsl.reference import special
from hdsl.reference.continuous import NORMAL
from hdsl.reference.rules import Array, Function, Rules, Shape, inside, required

_TINY = float(np.finfo(np.float64).tiny)


def _above(x: Array) -> Array:
    return np.maximum(x, 0)


EXPONENTIAL = Rules(
    log_density=lambda x, rate: inside(x >= 0, np.log(rate) - rate * x),
    draw=lambda rng, shape, rate: rng.standard_exponential(shape) / rate,
    mean=lambda rate: 1 / rate,
    variance=lambda rate: 1 / rate**2,
    cdf=lambda x, rate: -np.expm1(-rate * _above(x)),
    survival=lambda x, rate: np.exp(-rate * _above(x)),
    log_survival=lambda x, rate: -rate * _above(x),
    quantile=lambda p, rate: -np.log1p(-p) / rate,
)


def _of_log(function: Function | None) -> Function:
    known = required(function)
    return lambda x, meanlog, sdlog: known(np.log(_above(x)), meanlog, sdlog)


def _lognormal_log_density(x: Array, meanlog: Array, sdlog: Array) -> Array:
    logx = np.log(np.where(x > 0, x, np.nan))
    return inside(x > 0, NORMAL.log_density(logx, meanlog, sdlog) - logx)


LOGNORMAL = Rules(
    log_density=_lognormal_log_density,
    draw=lambda rng, shape, meanlog, sdlog: np.exp(meanlog + sdlog * rng.standard_normal(shape)),
    mean=lambda meanlog, sdlog: np.exp(meanlog + 0.5 * sdlog**2),
    variance=lambda meanlog, sdlog: np.expm1(sdlog**2) * np.exp(2 * meanlog + sdlog**2),
    cdf=_of_log(NORMAL.cdf),
    survival=_of_log(NORMAL.survival),
    log_survival=_of_log(NORMAL.log_survival),
    quantile=lambda p, meanlog, sdlog: np.exp(meanlog + sdlog * special.normal_quantile(p)),
)


def _gamma_log_density(x: Array, shape: Array, rate: Array) -> Array:
    y = np.where(x >= 0, x, np.nan)
    core = shape * np.log(rate) - special.gammaln(shape) + special.xlogy(shape - 1, y) - rate * y
    return inside(x >= 0, core)


def _gamma_draw(rng: Generator, size: Shape, shape: Array, rate: Array) -> Array:
    return np.maximum(rng.standard_gamma(np.broadcast_to(shape, size)), _TINY) / rate


GAMMA = Rules(
    log_density=_gamma_log_density,
    draw=_gamma_draw,
    mean=lambda shape, rate: shape / rate,
    variance=lambda shape, rate: shape / rate**2,
    cdf=lambda x, shape, rate: special.gamma_cdf(shape, rate * _above(x)),
    survival=lambda x, shape, rate: special.gamma_survival(shape, rate * _above(x)),
    quantile=lambda p, shape, rate: special.gamma_quantile(shape, p) / rate,
)


def _by_mean(function: Function | None) -> Function:
    known = required(function)
    return lambda x, mean, shape: known(x, shape, shape / mean)


GAMMA_MEAN = Rules(
    log_density=_by_mean(GAMMA.log_density),
    draw=lambda rng, size, mean, shape: _gamma_draw(rng, size, shape, shape / mean),
    mean=lambda mean, shape: mean + 0 * shape,
    variance=lambda mean, shape: mean**2 / shape,
    cdf=_by_mean(GAMMA.cdf),
    survival=_by_mean(GAMMA.survival),
    quantile=_by_mean(GAMMA.quantile),
)


def _inverse_gamma_log_density(x: Array, shape: Array, scale: Array) -> Array:
    y = np.where(x > 0, x, np.nan)
    core = shape * np.log(scale) - special.gammaln(shape) - (shape + 1) * np.log(y) - scale / y
    return inside(x > 0, core)


def _inverse_gamma_variance(shape: Array, scale: Array) -> Array:
    known = np.where(shape > 2, shape, np.nan)
    finite = scale**2 / ((known - 1) ** 2 * (known - 2))
    return np.where(shape > 2, finite, np.where(shape > 1, np.inf, np.nan))


def _inverse_gamma_mean(shape: Array, scale: Array) -> Array:
    return np.where(shape > 1, scale / np.where(shape > 1, shape - 1, np.nan), np.inf)


INVERSE_GAMMA = Rules(
    log_density=_inverse_gamma_log_density,
    draw=lambda rng, size, shape, scale: 1 / _gamma_draw(rng, size, shape, scale),
    mean=_inverse_gamma_mean,
    variance=_inverse_gamma_variance,
    cdf=lambda x, shape, scale: special.gamma_survival(shape, scale / _above(x)),
    survival=lambda x, shape, scale: special.gamma_cdf(shape, scale / _above(x)),
    quantile=lambda p, shape, scale: scale / special.gamma_upper_quantile(shape, p),
)


def _weibull_log_density(x: Array, shape: Array, scale: Array) -> Array:
    z = np.where(x >= 0, x, np.nan) / scale
    return inside(x >= 0, np.log(shape / scale) + special.xlogy(shape - 1, z) - z**shape)


def _weibull_variance(shape: Array, scale: Array) -> Array:
    first, second = special.gammaln(1 + 1 / shape), special.gammaln(1 + 2 / shape)
    return scale**2 * (np.exp(second) - np.exp(2 * first))


WEIBULL = Rules(
    log_density=_weibull_log_density,
    draw=lambda rng, size, shape, scale: scale * rng.standard_exponential(size) ** (1 / shape),
    mean=lambda shape, scale: scale * np.exp(special.gammaln(1 + 1 / shape)),
    variance=_weibull_variance,
    cdf=lambda x, shape, scale: -np.expm1(-((_above(x) / scale) ** shape)),
    survival=lambda x, shape, scale: np.exp(-((_above(x) / scale) ** shape)),
    log_survival=lambda x, shape, scale: -((_above(x) / scale) ** shape),
    quantile=lambda p, shape, scale: scale * (-np.log1p(-p)) ** (1 / shape),
)

UNIFORM = Rules(
    log_density=lambda x, low, high: inside((x >= low) & (x <= high), -np.log(high - low)),
    draw=lambda rng, shape, low, high: low + (high - low) * rng.random(shape),
    mean=lambda low, high: 0.5 * (low + high),
    variance=lambda low, high: (high - low) ** 2 / 12,
    cdf=lambda x, low, high: np.clip((x - low) / (high - low), 0, 1),
    survival=lambda x, low, high: np.clip((high - x) / (high - low), 0, 1),
    quantile=lambda p, low, high: low + p * (high - low),
)


def _beta_log_density(x: Array, a: Array, b: Array) -> Array:
    known = (x >= 0) & (x <= 1)
    y = np.where(known, x, np.nan)
    return inside(known, special.xlogy(a - 1, y) + special.xlog1py(b - 1, -y) - special.betaln(a, b))


def _beta_draw(rng: Generator, shape: Shape, a: Array, b: Array) -> Array:
    return rng.beta(np.broadcast_to(a, shape), np.broadcast_to(b, shape))


BETA = Rules(
    log_density=_beta_log_density,
    draw=_beta_draw,
    mean=lambda a, b: a / (a + b),
    variance=lambda a, b: a * b / ((a + b) ** 2 * (a + b + 1)),
    cdf=lambda x, a, b: special.beta_cdf(a, b, np.clip(x, 0, 1)),
    survival=lambda x, a, b: special.beta_cdf(b, a, 1 - np.clip(x, 0, 1)),
    quantile=lambda p, a, b: special.beta_quantile(a, b, p),
)


def _by_precision(function: Function | None) -> Function:
    known = required(function)
    return lambda x, mean, precision: known(x, mean * precision, (1 - mean) * precision)


def _beta_mean_draw(rng: Generator, shape: Shape, mean: Array, precision: Array) -> Array:
    return _beta_draw(rng, shape, mean * precision, (1 - mean) * precision)


BETA_MEAN = Rules(
    log_density=_by_precision(BETA.log_density),
    draw=_beta_mean_draw,
    mean=lambda mean, precision: mean + 0 * precision,
    variance=lambda mean, precision: mean * (1 - mean) / (1 + precision),
    cdf=_by_precision(BETA.cdf),
    survival=_by_precision(BETA.survival),
    quantile=_by_precision(BETA.quantile),
)


def _hurdle(base: Rules) -> Rules:
    """Return the mixture of a point mass at zero, of the last argument's probability, with `base`."""
    cdf, survival, quantile = required(base.cdf), required(base.survival), required(base.quantile)
    base_mean, base_variance = required(base.mean), required(base.variance)

    def log_density(x: Array, *args: Array) -> Array:
        *rest, zero = args
        above = np.log1p(-zero) + base.log_density(np.where(x > 0, x, 1.0), *rest)
        return np.where(x > 0, above, np.where(x == 0, np.log(zero), -np.inf))

    def draw(rng: Generator, shape: Shape, *args: Array) -> Array:
        *rest, zero = args
        return np.where(rng.random(shape) < zero, 0.0, base.draw(rng, shape, *rest))

    def mean(*args: Array) -> Array:
        *rest, zero = args
        return (1 - zero) * base_mean(*rest)

    def variance(*args: Array) -> Array:
        *rest, zero = args
        return (1 - zero) * (base_variance(*rest) + zero * base_mean(*rest) ** 2)

    def mixed_cdf(x: Array, *args: Array) -> Array:
        *rest, zero = args
        return np.where(x < 0, 0.0, zero + (1 - zero) * cdf(x, *rest))

    def mixed_survival(x: Array, *args: Array) -> Array:
        *rest, zero = args
        return np.where(x < 0, 1.0, (1 - zero) * survival(x, *rest))

    def mixed_quantile(p: Array, *args: Array) -> Array:
        *rest, zero = args
        return np.where(p <= zero, 0.0, quantile(np.clip((p - zero) / (1 - zero), 0, 1), *rest))

    return Rules(log_density, draw, mean, variance, mixed_cdf, mixed_survival, quantile=mixed_quantile)


POSITIVE: Mapping[str, Rules] = {
    "exponential": EXPONENTIAL,
    "lognormal": LOGNORMAL,
    "gamma": GAMMA,
    "gamma_mean": GAMMA_MEAN,
    "inverse_gamma": INVERSE_GAMMA,
    "weibull": WEIBULL,
    "uniform": UNIFORM,
    "beta": BETA,
    "beta_mean": BETA_MEAN,
    "hurdle_lognormal": _hurdle(LOGNORMAL),
    "hurdle_gamma": _hurdle(GAMMA_MEAN),
}
