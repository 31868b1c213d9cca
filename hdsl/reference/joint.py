"""Distributions of vectors and matrices; the event axes come last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from hdsl.model.distributions import NESTED
from hdsl.reference import special
from hdsl.reference.continuous import NORMAL
from hdsl.reference.nested import MULTINORMAL_NESTED
from hdsl.reference.rules import Array, Rules, Shape, inside


def forward_substitute(cholesky: Array, x: Array) -> Array:
    """Return z with cholesky z = x, for lower-triangular (..., k, k) and (..., k); leading axes broadcast."""
    shape = np.broadcast_shapes(cholesky.shape[:-1], x.shape)
    z = np.empty(shape)
    for k in range(shape[-1]):
        done = np.einsum("...j,...j->...", cholesky[..., k, :k], z[..., :k])
        z[..., k] = (x[..., k] - done) / cholesky[..., k, k]
    return z


def _log_diagonal(cholesky: Array) -> Array:
    return np.log(np.abs(np.diagonal(cholesky, axis1=-2, axis2=-1)))


def _multinormal_log_density(x: Array, mean: Array, cholesky: Array) -> Array:
    z = forward_substitute(cholesky, x - mean)
    constant = 0.5 * z.shape[-1] * np.log(2 * np.pi)
    return -0.5 * np.sum(z**2, -1) - np.sum(_log_diagonal(cholesky), -1) - constant


def _multinormal_draw(rng: Generator, shape: Shape, mean: Array, cholesky: Array) -> Array:
    return mean + np.einsum("...ij,...j->...i", np.tril(cholesky), rng.standard_normal(shape))


def _multinormal_variance(mean: Array, cholesky: Array) -> Array:
    return np.sum(np.tril(cholesky) ** 2, -1) + 0 * mean


MULTINORMAL_CHOLESKY = Rules(
    log_density=_multinormal_log_density,
    draw=_multinormal_draw,
    mean=lambda mean, cholesky: mean + 0 * cholesky[..., 0],
    variance=_multinormal_variance,
)


def _lowrank_cholesky(x: Array, sd: Array, factor: Array) -> Array:
    """Return the Cholesky factor of diag(sd^2) + factor factor'."""
    size = x.shape[-1]
    return np.linalg.cholesky(factor @ np.swapaxes(factor, -1, -2) + np.eye(size) * (sd**2)[..., None])


def _lowrank_log_density(x: Array, mean: Array, sd: Array, factor: Array) -> Array:
    return _multinormal_log_density(x, mean, _lowrank_cholesky(x, sd, factor))


def _lowrank_draw(rng: Generator, shape: Shape, mean: Array, sd: Array, factor: Array) -> Array:
    shared = rng.standard_normal((*shape[:-1], factor.shape[-1]))
    return mean + sd * rng.standard_normal(shape) + np.einsum("...ij,...j->...i", factor, shared)


MULTINORMAL_LOWRANK = Rules(
    log_density=_lowrank_log_density,
    draw=_lowrank_draw,
    mean=lambda mean, sd, factor: mean + 0 * factor[..., 0],
    variance=lambda mean, sd, factor: np.sum(factor**2, -1) + sd**2 + 0 * mean,
)


def lkj_log_normaliser(eta: Array, size: int) -> Array:
    """Return the log integral of det(R)^(eta - 1) over correlation matrices (Lewandowski et al. 2009)."""
    k = np.arange(1, size)
    last = special.gammaln(eta + 0.5 * (size - 1))
    gammas = special.gammaln(eta[..., None] + 0.5 * (size - 1 - k))
    return np.sum(0.5 * k * np.log(np.pi) + gammas - last[..., None], -1)


def _lkj_log_density(x: Array, eta: Array) -> Array:
    """Return the density with respect to the entries below the diagonal."""
    size = x.shape[-1]
    powers = size - np.arange(2, size + 1) + 2 * eta[..., None] - 2
    return np.sum(powers * _log_diagonal(x)[..., 1:], -1) - lkj_log_normaliser(eta, size)


def cholesky_from_partial(partial: Array, size: int) -> Array:
    """Return the Cholesky factor (..., size, size) of the correlation matrix with given partial correlations.

    `partial` has the entries below the diagonal, row by row, on its last axis.
    """
    factor = np.zeros((*partial.shape[:-1], size, size))
    factor[..., 0, 0] = 1.0
    at = 0
    for i in range(1, size):
        left = np.ones(partial.shape[:-1])
        for j in range(i):
            factor[..., i, j] = partial[..., at] * np.sqrt(left)
            left = left * (1 - partial[..., at]) * (1 + partial[..., at])
            at += 1
        factor[..., i, i] = np.sqrt(left)
    return factor


def _lkj_draw(rng: Generator, shape: Shape, eta: Array) -> Array:
    size = shape[-1]
    columns = np.array([j for i in range(1, size) for j in range(i)], dtype=np.float64)
    power = eta[..., None] + 0.5 * (size - 2 - columns)
    power = np.broadcast_to(power, (*shape[:-2], len(columns)))
    return cholesky_from_partial(2 * rng.beta(power, power) - 1, size)


def _ordered_normal_log_density(x: Array, mean: Array, sd: Array) -> Array:
    count = np.asarray(float(x.shape[-1]))
    total = np.sum(NORMAL.log_density(x, mean, sd), -1) + special.gammaln(count + 1)
    return inside(np.all(np.diff(x, axis=-1) > 0, axis=-1), total)


def _ordered_normal_draw(rng: Generator, shape: Shape, mean: Array, sd: Array) -> Array:
    return np.sort(mean + sd * rng.standard_normal(shape), axis=-1)


def _dirichlet_full(x: Array, concentration: Array) -> Array:
    return np.broadcast_to(concentration, np.broadcast_shapes(x.shape, concentration.shape))


def _dirichlet_log_density(x: Array, concentration: Array) -> Array:
    a = _dirichlet_full(x, concentration)
    constant = special.gammaln(np.sum(a, -1)) - np.sum(special.gammaln(a), -1)
    return constant + np.sum(special.xlogy(a - 1, x), -1)


def _dirichlet_draw(rng: Generator, shape: Shape, concentration: Array) -> Array:
    a = np.broadcast_to(concentration, shape)
    log_gamma = np.log(rng.standard_gamma(a + 1)) - rng.standard_exponential(shape) / a
    return np.exp(special.log_softmax(log_gamma, -1))


def _trees_log_density(x: Array, *_: Array) -> Array:
    """Return zero: the prior is over trees, and the density that it gives to values has no closed form."""
    return np.zeros(x.shape[:-2])


def _trees_draw(*_: object) -> Array:
    raise ValueError("trees are drawn by the libraries of the backends alone")


JOINT: Mapping[str, Rules] = {
    "bart": Rules(_trees_log_density, _trees_draw),
    "multinormal_cholesky": MULTINORMAL_CHOLESKY,
    "multinormal_lowrank": MULTINORMAL_LOWRANK,
    **dict.fromkeys(NESTED.values(), MULTINORMAL_NESTED),
    "lkj_cholesky": Rules(_lkj_log_density, _lkj_draw),
    "ordered_normal": Rules(_ordered_normal_log_density, _ordered_normal_draw),
    "dirichlet": Rules(
        _dirichlet_log_density,
        _dirichlet_draw,
    ),
}
