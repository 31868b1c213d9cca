"""Distributions of counts and binary outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.reference import special
from hdsl.reference.rules import Array, Rules, Shape, inside, required, search_count

_MOST = 1e15


def is_count(x: Array) -> NDArray[np.bool_]:
    """Return whether x is a whole number not below zero."""
    return (x >= 0) & (x == np.floor(x))


def _count(x: Array) -> Array:
    return np.maximum(np.floor(x), 0)


def _at_count(x: Array, log_mass: Callable[[Array], Array]) -> Array:
    known = is_count(x)
    return inside(known, log_mass(np.where(known, x, 0)))


def _bernoulli(probability: Callable[[Array], Array], log_mass: Callable[[Array, Array], Array]) -> Rules:
    return Rules(
        log_density=lambda x, a: inside((x == 0) | (x == 1), log_mass(np.where(x == 1, 1.0, 0.0), a)),
        draw=lambda rng, shape, a: (rng.random(shape) < probability(a)).astype(np.float64),
        mean=probability,
        variance=lambda a: probability(a) * (1 - probability(a)),
        cdf=lambda x, a: np.where(x < 0, 0.0, np.where(x < 1, 1 - probability(a), 1.0)),
        survival=lambda x, a: np.where(x < 0, 1.0, np.where(x < 1, probability(a), 0.0)),
        quantile=lambda p, a: np.where(p <= 1 - probability(a), 0.0, 1.0),
    )


def _identity(x: Array) -> Array:
    return x


def _bernoulli_log_mass(x: Array, p: Array) -> Array:
    return special.xlogy(x, p) + special.xlog1py(1 - x, -p)


BERNOULLI = _bernoulli(_identity, _bernoulli_log_mass)
BERNOULLI_LOGIT = _bernoulli(special.inv_logit, lambda x, a: special.log_inv_logit((2 * x - 1) * a))


def _log_choose(n: Array, k: Array) -> Array:
    return -np.log1p(n) - special.betaln(n - k + 1, k + 1)


def _binomial_cdf(x: Array, n: Array, p: Array) -> Array:
    k = np.minimum(_count(x), np.maximum(n - 1, 0))
    inner = special.beta_cdf(np.maximum(n - k, 1), k + 1, 1 - p)
    return np.where(x < 0, 0.0, np.where(x >= n, 1.0, inner))


def _binomial_survival(x: Array, n: Array, p: Array) -> Array:
    k = np.minimum(_count(x), np.maximum(n - 1, 0))
    inner = special.beta_cdf(k + 1, np.maximum(n - k, 1), p)
    return np.where(x < 0, 1.0, np.where(x >= n, 0.0, inner))


def _quantile_of_trials(cdf: Callable[..., Array]) -> Callable[..., Array]:
    def quantile(q: Array, n: Array, *args: Array) -> Array:
        q, n, *rest = np.broadcast_arrays(q, n, *args)
        return np.minimum(search_count(lambda k: cdf(k, n, *rest), q), n)

    return quantile


_binomial_quantile = _quantile_of_trials(_binomial_cdf)


def _binomial(probability: Callable[[Array], Array], log_mass: Callable[[Array, Array, Array], Array]) -> Rules:
    def log_density(x: Array, n: Array, a: Array) -> Array:
        known = is_count(x) & (x <= n)
        k = np.where(known, x, 0)
        return inside(known, _log_choose(n, k) + log_mass(k, n, a))

    def draw(rng: Generator, shape: Shape, n: Array, a: Array) -> Array:
        return rng.binomial(np.broadcast_to(n, shape).astype(np.int64), probability(a)).astype(np.float64)

    return Rules(
        log_density,
        draw,
        mean=lambda n, a: n * probability(a),
        variance=lambda n, a: n * probability(a) * (1 - probability(a)),
        cdf=lambda x, n, a: _binomial_cdf(x, n, probability(a)),
        survival=lambda x, n, a: _binomial_survival(x, n, probability(a)),
        quantile=lambda q, n, a: _binomial_quantile(q, n, probability(a)),
    )


def _binomial_log_mass(x: Array, n: Array, p: Array) -> Array:
    return special.xlogy(x, p) + special.xlog1py(n - x, -p)


def _binomial_logit_log_mass(x: Array, n: Array, logit: Array) -> Array:
    return x * special.log_inv_logit(logit) + (n - x) * special.log_inv_logit(-logit)


def _betabinomial_shapes(logit: Array, precision: Array) -> tuple[Array, Array]:
    return precision * special.inv_logit(logit), precision * special.inv_logit(-logit)


def _betabinomial_log_density(x: Array, n: Array, logit: Array, precision: Array) -> Array:
    known = is_count(x) & (x <= n)
    k = np.where(known, x, 0)
    a, b = _betabinomial_shapes(logit, precision)
    return inside(known, _log_choose(n, k) + special.betaln(k + a, n - k + b) - special.betaln(a, b))


def _betabinomial_draw(rng: Generator, shape: Shape, n: Array, logit: Array, precision: Array) -> Array:
    a, b = _betabinomial_shapes(logit, precision)
    share = rng.beta(np.broadcast_to(a, shape), np.broadcast_to(b, shape))
    return rng.binomial(np.broadcast_to(n, shape).astype(np.int64), share).astype(np.float64)


def _betabinomial_mean(n: Array, logit: Array, precision: Array) -> Array:
    return n * special.inv_logit(logit) + 0 * precision


def _betabinomial_variance(n: Array, logit: Array, precision: Array) -> Array:
    return n * special.inv_logit(logit) * special.inv_logit(-logit) * (n + precision) / (1 + precision)


def _betabinomial_cdf(x: Array, n: Array, logit: Array, precision: Array) -> Array:
    """Return the sum of the probabilities up to x, one count after another: there is no closed form."""
    x, n, logit, precision = np.broadcast_arrays(np.floor(x), n, logit, precision)
    total = np.zeros(x.shape)
    for k in range(int(np.max(np.minimum(x, n), initial=-1)) + 1):
        total += np.where(k <= x, np.exp(_betabinomial_log_density(np.asarray(float(k)), n, logit, precision)), 0.0)
    return np.where(x >= n, 1.0, np.minimum(total, 1.0))


BETABINOMIAL = Rules(
    log_density=_betabinomial_log_density,
    draw=_betabinomial_draw,
    mean=_betabinomial_mean,
    variance=_betabinomial_variance,
    cdf=_betabinomial_cdf,
    survival=lambda x, n, logit, precision: 1 - _betabinomial_cdf(x, n, logit, precision),
    quantile=_quantile_of_trials(_betabinomial_cdf),
)


def _count_quantile(cdf: Callable[..., Array]) -> Callable[..., Array]:
    def quantile(p: Array, *args: Array) -> Array:
        p, *rest = np.broadcast_arrays(p, *args)
        return search_count(lambda k: cdf(k, *rest), p)

    return quantile


def _poisson_log_density(x: Array, logmean: Array) -> Array:
    return _at_count(x, lambda k: k * logmean - np.exp(logmean) - special.gammaln(k + 1))


def _poisson_draw(rng: Generator, shape: Shape, logmean: Array) -> Array:
    mean = np.minimum(np.exp(logmean), _MOST)
    return rng.poisson(np.broadcast_to(mean, shape)).astype(np.float64)


def _poisson_cdf(x: Array, logmean: Array) -> Array:
    return np.where(x < 0, 0.0, special.gamma_survival(_count(x) + 1, np.exp(logmean)))


def _poisson_survival(x: Array, logmean: Array) -> Array:
    return np.where(x < 0, 1.0, special.gamma_cdf(_count(x) + 1, np.exp(logmean)))


POISSON = Rules(
    log_density=_poisson_log_density,
    draw=_poisson_draw,
    mean=np.exp,
    variance=np.exp,
    cdf=_poisson_cdf,
    survival=_poisson_survival,
    quantile=_count_quantile(_poisson_cdf),
)


def _negbinomial_log_zero(logmean: Array, shape: Array) -> Array:
    return -shape * special.softplus(logmean - np.log(shape))


def _negbinomial_log_density(x: Array, logmean: Array, shape: Array) -> Array:
    def log_mass(k: Array) -> Array:
        positive = np.maximum(k, 1)
        constant = np.where(k > 0, -special.betaln(shape, positive) - np.log(positive), 0.0)
        return constant + _negbinomial_log_zero(logmean, shape) - k * special.softplus(np.log(shape) - logmean)

    return _at_count(x, log_mass)


def _negbinomial_draw(rng: Generator, size: Shape, logmean: Array, shape: Array) -> Array:
    rate = rng.standard_gamma(np.broadcast_to(shape, size)) / shape * np.exp(logmean)
    return rng.poisson(np.minimum(rate, _MOST)).astype(np.float64)


def _negbinomial_cdf(x: Array, logmean: Array, shape: Array) -> Array:
    inner = special.beta_cdf(shape, _count(x) + 1, special.inv_logit(np.log(shape) - logmean))
    return np.where(x < 0, 0.0, inner)


def _negbinomial_survival(x: Array, logmean: Array, shape: Array) -> Array:
    inner = special.beta_cdf(_count(x) + 1, shape, special.inv_logit(logmean - np.log(shape)))
    return np.where(x < 0, 1.0, inner)


NEGBINOMIAL = Rules(
    log_density=_negbinomial_log_density,
    draw=_negbinomial_draw,
    mean=lambda logmean, shape: np.exp(logmean) + 0 * shape,
    variance=lambda logmean, shape: np.exp(logmean) + np.exp(2 * logmean) / shape,
    cdf=_negbinomial_cdf,
    survival=_negbinomial_survival,
    quantile=_count_quantile(_negbinomial_cdf),
)


def _zipoisson_log_density(x: Array, logmean: Array, zero: Array) -> Array:
    rest = np.log1p(-zero) + _poisson_log_density(x, logmean)
    return np.where(x == 0, np.logaddexp(np.log(zero), rest), rest)


def _zipoisson_draw(rng: Generator, shape: Shape, logmean: Array, zero: Array) -> Array:
    return np.where(rng.random(shape) < zero, 0.0, _poisson_draw(rng, shape, logmean))


def _zipoisson_cdf(x: Array, logmean: Array, zero: Array) -> Array:
    return np.where(x < 0, 0.0, zero + (1 - zero) * _poisson_cdf(x, logmean))


ZIPOISSON = Rules(
    log_density=_zipoisson_log_density,
    draw=_zipoisson_draw,
    mean=lambda logmean, zero: (1 - zero) * np.exp(logmean),
    variance=lambda logmean, zero: (1 - zero) * (np.exp(logmean) + zero * np.exp(2 * logmean)),
    cdf=_zipoisson_cdf,
    survival=lambda x, logmean, zero: np.where(x < 0, 1.0, (1 - zero) * _poisson_survival(x, logmean)),
    quantile=_count_quantile(_zipoisson_cdf),
)


def _hurdle(base: Rules, log_zero: Callable[..., Array]) -> Rules:
    """Return the law that is 0 with the last argument's probability, else `base` given that it is not 0.

    `log_zero` gives the log probability of 0 under `base`.
    """
    base_mean, base_variance = required(base.mean), required(base.variance)
    base_survival = required(base.survival)

    def above_zero(*args: Array) -> Array:
        return -np.expm1(log_zero(*args))

    def log_density(x: Array, *args: Array) -> Array:
        *rest, zero = args
        positive = np.log1p(-zero) + base.log_density(x, *rest) - special.log1mexp(-log_zero(*rest))
        return np.where(x == 0, np.log(zero), positive)

    def draw(rng: Generator, shape: Shape, *args: Array) -> Array:
        *rest, zero = np.broadcast_arrays(*args, np.empty(shape))[:-1]
        tail = rng.random(shape) * above_zero(*rest)
        positive = search_count(lambda k: -base_survival(np.maximum(k, 0), *rest), -tail)
        return np.where(rng.random(shape) < zero, 0.0, np.clip(positive, 1, _MOST))

    def mean(*args: Array) -> Array:
        *rest, zero = args
        return (1 - zero) * base_mean(*rest) / above_zero(*rest)

    def variance(*args: Array) -> Array:
        *rest, zero = args
        second = (base_variance(*rest) + base_mean(*rest) ** 2) / above_zero(*rest)
        return (1 - zero) * second - mean(*args) ** 2

    def survival(x: Array, *args: Array) -> Array:
        *rest, zero = args
        return np.where(x < 0, 1.0, (1 - zero) * base_survival(x, *rest) / above_zero(*rest))

    def cdf(x: Array, *args: Array) -> Array:
        return np.where((x >= 0) & (x < 1), args[-1], 1 - survival(x, *args))

    return Rules(log_density, draw, mean, variance, cdf, survival, quantile=_count_quantile(cdf))


def _poisson_log_zero(logmean: Array) -> Array:
    return -np.exp(logmean)


COUNTS: Mapping[str, Rules] = {
    "bernoulli_logit": BERNOULLI_LOGIT,
    "bernoulli": BERNOULLI,
    "binomial_logit": _binomial(special.inv_logit, _binomial_logit_log_mass),
    "binomial": _binomial(_identity, _binomial_log_mass),
    "betabinomial_logit": BETABINOMIAL,
    "poisson_log": POISSON,
    "negbinomial_log": NEGBINOMIAL,
    "zipoisson_log": ZIPOISSON,
    "hurdle_poisson_log": _hurdle(POISSON, _poisson_log_zero),
    "hurdle_negbinomial_log": _hurdle(NEGBINOMIAL, _negbinomial_log_zero),
}
