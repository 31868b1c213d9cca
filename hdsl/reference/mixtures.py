"""Finite mixtures of normals: `logits` of the components, their means and standard deviations along the last axis."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from hdsl.reference import special
from hdsl.reference.rules import Array, Rules, Shape

_LOG_2PI = float(np.log(2 * np.pi))


def _log_density(x: Array, logits: Array, means: Array, sds: Array) -> Array:
    each = -0.5 * ((x[..., None] - means) / sds) ** 2 - np.log(sds) - 0.5 * _LOG_2PI
    return special.log_sum_exp(special.log_softmax(logits, -1) + each, -1)


def _weights(logits: Array) -> Array:
    return np.exp(special.log_softmax(logits, -1))


def _mean(logits: Array, means: Array, sds: Array) -> Array:
    return np.sum(_weights(logits) * means + 0 * sds, -1)


def _variance(logits: Array, means: Array, sds: Array) -> Array:
    middle = _mean(logits, means, sds)[..., None]
    return np.sum(_weights(logits) * (sds**2 + (means - middle) ** 2), -1)


def _cdf(x: Array, logits: Array, means: Array, sds: Array) -> Array:
    return np.sum(_weights(logits) * special.normal_cdf((x[..., None] - means) / sds), -1)


def _survival(x: Array, logits: Array, means: Array, sds: Array) -> Array:
    return np.sum(_weights(logits) * special.normal_cdf((means - x[..., None]) / sds), -1)


def _draw(rng: Generator, shape: Shape, logits: Array, means: Array, sds: Array) -> Array:
    full = (*shape, max(each.shape[-1] for each in (logits, means, sds)))
    kind = np.argmax(np.broadcast_to(logits, full) + rng.gumbel(size=full), -1)[..., None]
    chosen = (np.take_along_axis(np.broadcast_to(each, full), kind, -1)[..., 0] for each in (means, sds))
    mean, sd = chosen
    return mean + sd * rng.standard_normal(shape)


MIXTURES = {"normal_mixture": Rules(_log_density, _draw, _mean, _variance, _cdf, _survival)}
