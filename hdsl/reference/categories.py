"""Distributions of ordered and unordered categories, numbered from 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.reference import special
from hdsl.reference.discrete import is_count
from hdsl.reference.rules import Array, Rules, Shape, inside


def _at(x: Array, table: Array) -> Array:
    """Return table[..., x] for whole x within range; the leading axes broadcast."""
    lead = np.broadcast_shapes(x.shape, table.shape[:-1])
    size = table.shape[-1]
    index = np.broadcast_to(np.clip(x, 0, size - 1), lead).astype(np.intp)
    full = np.broadcast_to(table, (*lead, size))
    return np.take_along_axis(full, index[..., None], axis=-1)[..., 0]


def _is_category(x: Array, size: int) -> NDArray[np.bool_]:
    return is_count(x) & (x < size)


def _logistic_between(low: Array, high: Array) -> Array:
    gap = np.where(np.isfinite(low) & np.isfinite(high), high - low, np.inf)
    return special.log_inv_logit(high) + special.log_inv_logit(-low) + special.log1mexp(gap)


def _normal_between(low: Array, high: Array) -> Array:
    flip = low > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    top = special.log_normal_cdf(high)
    gap = top - special.log_normal_cdf(low)
    return top + special.log1mexp(np.where(np.isnan(gap), 0.0, gap))


def _bounds(cutpoints: Array) -> tuple[Array, Array]:
    edge = np.full((*cutpoints.shape[:-1], 1), np.inf)
    return np.concatenate([-edge, cutpoints], -1), np.concatenate([cutpoints, edge], -1)


def _ordinal(
    cdf_of: Callable[[Array], Array],
    between: Callable[[Array, Array], Array],
    noise: Callable[[Generator, Shape], Array],
) -> Rules:
    def log_density(x: Array, location: Array, cutpoints: Array) -> Array:
        low, high = _bounds(cutpoints)
        known = _is_category(x, high.shape[-1])
        return inside(known, between(_at(x, low) - location, _at(x, high) - location))

    def survivals(location: Array, cutpoints: Array) -> Array:
        return cdf_of(location[..., None] - cutpoints)

    def mean(location: Array, cutpoints: Array) -> Array:
        return np.sum(survivals(location, cutpoints), -1)

    def variance(location: Array, cutpoints: Array) -> Array:
        above = survivals(location, cutpoints)
        odd = 2 * np.arange(cutpoints.shape[-1]) + 1
        return np.sum(odd * above, -1) - np.sum(above, -1) ** 2

    def cdf(x: Array, location: Array, cutpoints: Array) -> Array:
        _, high = _bounds(cutpoints)
        return np.where(x < 0, 0.0, cdf_of(_at(np.floor(x), high) - location))

    def survival(x: Array, location: Array, cutpoints: Array) -> Array:
        _, high = _bounds(cutpoints)
        return np.where(x < 0, 1.0, cdf_of(location - _at(np.floor(x), high)))

    def quantile(p: Array, location: Array, cutpoints: Array) -> Array:
        below = cdf_of(cutpoints - location[..., None]) < p[..., None]
        return np.sum(below, -1).astype(np.float64)

    def draw(rng: Generator, shape: Shape, location: Array, cutpoints: Array) -> Array:
        latent = location + noise(rng, shape)
        return np.sum(latent[..., None] > cutpoints, -1).astype(np.float64)

    return Rules(log_density, draw, mean, variance, cdf, survival, quantile=quantile)


def _categorical_log_density(x: Array, logits: Array) -> Array:
    known = _is_category(x, logits.shape[-1])
    return inside(known, _at(x, special.log_softmax(logits, -1)))


def _categorical_draw(rng: Generator, shape: Shape, logits: Array) -> Array:
    noise = rng.gumbel(size=(*shape, logits.shape[-1]))
    return np.argmax(logits + noise, -1).astype(np.float64)


CATEGORIES: Mapping[str, Rules] = {
    "ordinal_logit": _ordinal(
        special.inv_logit, _logistic_between, lambda rng, shape: np.asarray(rng.logistic(size=shape))
    ),
    "ordinal_probit": _ordinal(
        special.normal_cdf, _normal_between, lambda rng, shape: np.asarray(rng.standard_normal(shape))
    ),
    "categorical_logit": Rules(_categorical_log_density, _categorical_draw),
}
