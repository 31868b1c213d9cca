"""Special functions of arrays, SciPy's where NumPy has none, numerically careful ones where that matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _scipy(name: str, *args: Array | float) -> Array:
    import scipy.special

    return np.asarray(getattr(scipy.special, name)(*args), dtype=np.float64)


def gammaln(x: Array) -> Array:
    """Return log of the gamma function."""
    return _scipy("gammaln", x)


def betaln(a: Array, b: Array) -> Array:
    """Return log of the beta function."""
    return _scipy("betaln", a, b)


def xlogy(x: Array, y: Array) -> Array:
    """Return x log(y), 0 where x is 0."""
    return _scipy("xlogy", x, y)


def xlog1py(x: Array, y: Array) -> Array:
    """Return x log(1 + y), 0 where x is 0."""
    return _scipy("xlog1py", x, y)


def normal_cdf(x: Array) -> Array:
    """Return the standard normal distribution function."""
    return _scipy("ndtr", x)


def log_normal_cdf(x: Array) -> Array:
    """Return log of the standard normal distribution function, accurate in the tail."""
    return _scipy("log_ndtr", x)


def normal_quantile(p: Array) -> Array:
    """Return the standard normal quantile."""
    return _scipy("ndtri", p)


def student_cdf(df: Array, x: Array) -> Array:
    """Return the distribution function of Student's t."""
    return _scipy("stdtr", df, x)


def student_quantile(df: Array, p: Array) -> Array:
    """Return the quantile of Student's t."""
    return _scipy("stdtrit", df, p)


def owens_t(h: Array, a: Array) -> Array:
    """Return Owen's T function."""
    return _scipy("owens_t", h, a)


def gamma_cdf(shape: Array, x: Array) -> Array:
    """Return the distribution function of a gamma of rate one (regularised lower incomplete gamma)."""
    return _scipy("gammainc", shape, x)


def gamma_survival(shape: Array, x: Array) -> Array:
    """Return the survival function of a gamma of rate one."""
    return _scipy("gammaincc", shape, x)


def gamma_quantile(shape: Array, p: Array) -> Array:
    """Return the quantile of a gamma of rate one."""
    return _scipy("gammaincinv", shape, p)


def gamma_upper_quantile(shape: Array, p: Array) -> Array:
    """Return the point that a gamma of rate one exceeds with probability p."""
    return _scipy("gammainccinv", shape, p)


def beta_cdf(a: Array, b: Array, x: Array) -> Array:
    """Return the distribution function of a beta (regularised incomplete beta)."""
    return _scipy("betainc", a, b, x)


def beta_quantile(a: Array, b: Array, p: Array) -> Array:
    """Return the quantile of a beta."""
    return _scipy("betaincinv", a, b, p)


def inv_logit(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return _scipy("expit", x)


def logit(x: Array) -> Array:
    """Return log(x / (1 - x))."""
    return np.log(x) - np.log1p(-x)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) without overflow."""
    return np.logaddexp(0.0, x)


def log_inv_logit(x: Array) -> Array:
    """Return log(1 / (1 + exp(-x))) without underflow."""
    return -np.logaddexp(0.0, -x)


def log1mexp(x: Array) -> Array:
    """Return log(1 - exp(-x)) for x >= 0 (Maechler 2012)."""
    return np.where(x > np.log(2.0), np.log1p(-np.exp(-x)), np.log(-np.expm1(-x)))


def log_sum_exp(x: Array, axis: int) -> Array:
    """Return log of the sum of exponentials along `axis`, -inf where all are -inf."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis=axis)


def log_softmax(x: Array, axis: int) -> Array:
    """Return x minus its log_sum_exp along `axis`."""
    return x - np.expand_dims(log_sum_exp(x, axis), axis)
