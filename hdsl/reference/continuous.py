"""Continuous distributions of a real number (Johnson, Kotz & Balakrishnan 1994, 1995, unless said)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from hdsl.reference import special
from hdsl.reference.rules import Array, Rules, Shape, bisect, inside

_LOG_2PI = float(np.log(2 * np.pi))


def _normal_log_density(x: Array, mean: Array, sd: Array) -> Array:
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * _LOG_2PI


def _normal_draw(rng: Generator, shape: Shape, mean: Array, sd: Array) -> Array:
    return mean + sd * rng.standard_normal(shape)


NORMAL = Rules(
    log_density=_normal_log_density,
    draw=_normal_draw,
    mean=lambda mean, sd: mean + 0 * sd,
    variance=lambda mean, sd: sd**2 + 0 * mean,
    cdf=lambda x, mean, sd: special.normal_cdf((x - mean) / sd),
    survival=lambda x, mean, sd: special.normal_cdf((mean - x) / sd),
    log_survival=lambda x, mean, sd: special.log_normal_cdf((mean - x) / sd),
    quantile=lambda p, mean, sd: mean + sd * special.normal_quantile(p),
)


def _student_log_density(x: Array, df: Array, mean: Array, scale: Array) -> Array:
    z = (x - mean) / scale
    constant = -special.betaln(0.5 * df, np.asarray(0.5)) - 0.5 * np.log(df)
    return constant - np.log(scale) - 0.5 * (df + 1) * np.log1p(z**2 / df)


def _student_variance(df: Array, mean: Array, scale: Array) -> Array:
    finite = scale**2 * df / np.where(df > 2, df - 2, np.nan)
    return np.where(df > 2, finite, np.where(df > 1, np.inf, np.nan)) + 0 * mean


def _student_draw(rng: Generator, shape: Shape, df: Array, mean: Array, scale: Array) -> Array:
    return mean + scale * rng.standard_t(np.broadcast_to(df, shape))


STUDENT = Rules(
    log_density=_student_log_density,
    draw=_student_draw,
    mean=lambda df, mean, scale: np.where(df > 1, mean, np.nan) + 0 * scale,
    variance=_student_variance,
    cdf=lambda x, df, mean, scale: special.student_cdf(df, (x - mean) / scale),
    survival=lambda x, df, mean, scale: special.student_cdf(df, (mean - x) / scale),
    quantile=lambda p, df, mean, scale: mean + scale * special.student_quantile(df, p),
)


def _cauchy_log_density(x: Array, location: Array, scale: Array) -> Array:
    return -np.log(np.pi * scale) - np.log1p(((x - location) / scale) ** 2)


def _cauchy_cdf(x: Array, location: Array, scale: Array) -> Array:
    return np.arctan2(scale, location - x) / np.pi


CAUCHY = Rules(
    log_density=_cauchy_log_density,
    draw=lambda rng, shape, location, scale: location + scale * rng.standard_cauchy(shape),
    mean=lambda location, scale: np.nan * (location + scale),
    variance=lambda location, scale: np.nan * (location + scale),
    cdf=_cauchy_cdf,
    survival=lambda x, location, scale: _cauchy_cdf(-x, -location, scale),
    quantile=lambda p, location, scale: location + scale * np.tan(np.pi * (p - 0.5)),
)


def _laplace_cdf(x: Array, mean: Array, scale: Array) -> Array:
    z = (x - mean) / scale
    half = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, half, 1 - half)


def _laplace_quantile(p: Array, mean: Array, scale: Array) -> Array:
    low = p < 0.5
    tail = np.where(low, p, 1 - p)
    return mean + scale * np.where(low, 1, -1) * np.log(2 * tail)


LAPLACE = Rules(
    log_density=lambda x, mean, scale: -np.abs(x - mean) / scale - np.log(2 * scale),
    draw=lambda rng, shape, mean, scale: mean + scale * rng.laplace(size=shape),
    mean=lambda mean, scale: mean + 0 * scale,
    variance=lambda mean, scale: 2 * scale**2 + 0 * mean,
    cdf=_laplace_cdf,
    survival=lambda x, mean, scale: _laplace_cdf(-x, -mean, scale),
    quantile=_laplace_quantile,
)


def _logistic_log_density(x: Array, mean: Array, scale: Array) -> Array:
    z = np.abs(x - mean) / scale
    return -z - 2 * np.log1p(np.exp(-z)) - np.log(scale)


LOGISTIC = Rules(
    log_density=_logistic_log_density,
    draw=lambda rng, shape, mean, scale: mean + scale * rng.logistic(size=shape),
    mean=lambda mean, scale: mean + 0 * scale,
    variance=lambda mean, scale: (np.pi * scale) ** 2 / 3 + 0 * mean,
    cdf=lambda x, mean, scale: special.inv_logit((x - mean) / scale),
    survival=lambda x, mean, scale: special.inv_logit((mean - x) / scale),
    log_survival=lambda x, mean, scale: special.log_inv_logit((mean - x) / scale),
    quantile=lambda p, mean, scale: mean + scale * special.logit(p),
)


def _skewnormal_log_density(x: Array, location: Array, scale: Array, shape: Array) -> Array:
    z = (x - location) / scale
    return np.log(2) - 0.5 * _LOG_2PI - np.log(scale) - 0.5 * z**2 + special.log_normal_cdf(shape * z)


def _skewnormal_mean(location: Array, scale: Array, shape: Array) -> Array:
    return location + scale * np.sqrt(2 / np.pi) * shape / np.sqrt(1 + shape**2)


def _skewnormal_variance(location: Array, scale: Array, shape: Array) -> Array:
    return scale**2 * (1 - 2 / np.pi * shape**2 / (1 + shape**2)) + 0 * location


def _skewnormal_cdf(x: Array, location: Array, scale: Array, shape: Array) -> Array:
    z = (x - location) / scale
    return np.clip(special.normal_cdf(z) - 2 * special.owens_t(z, shape), 0, 1)


def _skewnormal_survival(x: Array, location: Array, scale: Array, shape: Array) -> Array:
    return _skewnormal_cdf(-x, -location, scale, -shape)


def _skewnormal_quantile(p: Array, location: Array, scale: Array, shape: Array) -> Array:
    p, location, scale, shape = np.broadcast_arrays(p, location, scale, shape)
    root = bisect(lambda x: _skewnormal_cdf(x, location, scale, shape), p, location - 8 * scale, location + 8 * scale)
    return np.where(p <= 0, -np.inf, np.where(p >= 1, np.inf, root))


def _skewnormal_draw(rng: Generator, size: Shape, location: Array, scale: Array, shape: Array) -> Array:
    delta = shape / np.sqrt(1 + shape**2)
    half, other = np.abs(rng.standard_normal(size)), rng.standard_normal(size)
    return location + scale * (delta * half + np.sqrt(1 - delta**2) * other)


SKEWNORMAL = Rules(
    log_density=_skewnormal_log_density,
    draw=_skewnormal_draw,
    mean=_skewnormal_mean,
    variance=_skewnormal_variance,
    cdf=_skewnormal_cdf,
    survival=_skewnormal_survival,
    quantile=_skewnormal_quantile,
)


def _asymmetric_laplace_log_density(x: Array, quantile: Array, scale: Array, p: Array) -> Array:
    """Return the log density of Yu & Moyeed (2001), whose p-quantile is `quantile`."""
    z = (x - quantile) / scale
    return np.log(p) + np.log1p(-p) - np.log(scale) - z * (p - (z < 0))


def _asymmetric_laplace_cdf(x: Array, quantile: Array, scale: Array, p: Array) -> Array:
    z = (x - quantile) / scale
    low, high = np.minimum(z, 0), np.maximum(z, 0)
    return np.where(z < 0, p * np.exp((1 - p) * low), 1 - (1 - p) * np.exp(-p * high))


def _asymmetric_laplace_quantile(q: Array, quantile: Array, scale: Array, p: Array) -> Array:
    low, high = np.minimum(q / p, 1), np.minimum((1 - q) / (1 - p), 1)
    return quantile + scale * (np.log(low) / (1 - p) - np.log(high) / p)


def _asymmetric_laplace_variance(quantile: Array, scale: Array, p: Array) -> Array:
    return scale**2 * (1 - 2 * p + 2 * p**2) / (p * (1 - p)) ** 2 + 0 * quantile


def _asymmetric_laplace_draw(rng: Generator, shape: Shape, quantile: Array, scale: Array, p: Array) -> Array:
    up, down = rng.standard_exponential(shape), rng.standard_exponential(shape)
    return quantile + scale * (up / p - down / (1 - p))


ASYMMETRIC_LAPLACE = Rules(
    log_density=_asymmetric_laplace_log_density,
    draw=_asymmetric_laplace_draw,
    mean=lambda quantile, scale, p: quantile + scale * (1 - 2 * p) / (p * (1 - p)),
    variance=_asymmetric_laplace_variance,
    cdf=_asymmetric_laplace_cdf,
    survival=lambda x, quantile, scale, p: _asymmetric_laplace_cdf(-x, -quantile, scale, 1 - p),
    quantile=_asymmetric_laplace_quantile,
)

_ZERO = np.asarray(0.0)


def _positive_part(x: Array) -> Array:
    return np.maximum(x, 0)


HALFNORMAL = Rules(
    log_density=lambda x, sd: inside(x >= 0, np.log(2) + _normal_log_density(x, _ZERO, sd)),
    draw=lambda rng, shape, sd: sd * np.abs(rng.standard_normal(shape)),
    mean=lambda sd: sd * np.sqrt(2 / np.pi),
    variance=lambda sd: sd**2 * (1 - 2 / np.pi),
    cdf=lambda x, sd: 1 - 2 * special.normal_cdf(-_positive_part(x) / sd),
    survival=lambda x, sd: 2 * special.normal_cdf(-_positive_part(x) / sd),
    log_survival=lambda x, sd: np.log(2) + special.log_normal_cdf(-_positive_part(x) / sd),
    quantile=lambda p, sd: -sd * special.normal_quantile(0.5 * (1 - p)),
)


def _halfstudent_mean(df: Array, scale: Array) -> Array:
    log_ratio = -special.betaln(0.5 * df, np.asarray(0.5)) + 0.5 * np.log(df)
    finite = 2 * scale * np.exp(log_ratio) / np.where(df > 1, df - 1, np.nan)
    return np.where(df > 1, finite, np.inf)


def _halfstudent_variance(df: Array, scale: Array) -> Array:
    second = scale**2 * df / np.where(df > 2, df - 2, np.nan)
    finite = second - _halfstudent_mean(np.where(df > 2, df, np.nan), scale) ** 2
    return np.where(df > 2, finite, np.where(df > 1, np.inf, np.nan))


HALFSTUDENT = Rules(
    log_density=lambda x, df, scale: inside(x >= 0, np.log(2) + _student_log_density(x, df, _ZERO, scale)),
    draw=lambda rng, shape, df, scale: scale * np.abs(rng.standard_t(np.broadcast_to(df, shape))),
    mean=_halfstudent_mean,
    variance=_halfstudent_variance,
    cdf=lambda x, df, scale: 1 - 2 * special.student_cdf(df, -_positive_part(x) / scale),
    survival=lambda x, df, scale: 2 * special.student_cdf(df, -_positive_part(x) / scale),
    quantile=lambda p, df, scale: -scale * special.student_quantile(df, 0.5 * (1 - p)),
)

HALFCAUCHY = Rules(
    log_density=lambda x, scale: inside(x >= 0, np.log(2) + _cauchy_log_density(x, _ZERO, scale)),
    draw=lambda rng, shape, scale: scale * np.abs(rng.standard_cauchy(shape)),
    mean=lambda scale: np.inf + 0 * scale,
    variance=lambda scale: np.nan * scale,
    cdf=lambda x, scale: 2 / np.pi * np.arctan(_positive_part(x) / scale),
    survival=lambda x, scale: 2 / np.pi * np.arctan2(scale, _positive_part(x)),
    quantile=lambda p, scale: scale * np.tan(0.5 * np.pi * p),
)

LOCATED: Mapping[str, Rules] = {
    "normal": NORMAL,
    "student": STUDENT,
    "cauchy": CAUCHY,
    "laplace": LAPLACE,
    "logistic": LOGISTIC,
    "skewnormal": SKEWNORMAL,
    "asymmetric_laplace": ASYMMETRIC_LAPLACE,
    "halfnormal": HALFNORMAL,
    "halfstudent": HALFSTUDENT,
    "halfcauchy": HALFCAUCHY,
}
