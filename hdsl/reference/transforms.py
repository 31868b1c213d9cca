"""Maps between unconstrained numbers and the supports of distributions, with the log Jacobian determinants.

The transforms are those of Stan's reference manual: log for positive, (scaled) logit for bounded, log
increments for ordered, stick breaking for simplexes, and tanh of partial correlations for Cholesky factors of
correlation matrices. Event axes come last; leading axes are free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.model.distributions import Support
from hdsl.reference import special
from hdsl.reference.joint import cholesky_from_partial

Array = NDArray[np.float64]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Transform:
    """A bijection.

    Attributes
    ----------
    constrain : callable
        Unconstrained array to constrained array and the log absolute Jacobian determinant, summed over the
        event axes (elementwise where there are none).
    unconstrain : callable
        The inverse.
    free_shape : callable
        Shape of the constrained array to that of the unconstrained one.
    """

    constrain: Callable[[Array], tuple[Array, Array]]
    unconstrain: Callable[[Array], Array]
    free_shape: Callable[[Shape], Shape]


def _same_shape(shape: Shape) -> Shape:
    return shape


def _identity(free: Array) -> tuple[Array, Array]:
    return free, np.zeros(free.shape)


def _exp(free: Array) -> tuple[Array, Array]:
    return np.exp(free), free


def _ordered(free: Array) -> tuple[Array, Array]:
    steps = np.concatenate([free[..., :1], np.exp(free[..., 1:])], axis=-1)
    return np.cumsum(steps, axis=-1), np.sum(free[..., 1:], axis=-1)


def _ordered_inverse(x: Array) -> Array:
    return np.concatenate([x[..., :1], np.log(np.diff(x, axis=-1))], axis=-1)


def _sticks(count: int) -> Array:
    return np.log(np.arange(count, 0, -1, dtype=np.float64))


def _simplex(free: Array) -> tuple[Array, Array]:
    count = free.shape[-1]
    logit = free - _sticks(count)
    taken, kept = special.log_inv_logit(logit), special.log_inv_logit(-logit)
    left = np.cumsum(kept, axis=-1)
    before = np.concatenate([np.zeros_like(left[..., :1]), left[..., :-1]], axis=-1)
    x = np.concatenate([np.exp(before + taken), np.exp(left[..., -1:])], axis=-1)
    return x, np.sum(taken + kept + before, axis=-1)


def _simplex_inverse(x: Array) -> Array:
    rest = np.cumsum(x[..., ::-1], axis=-1)[..., ::-1]
    return np.log(x[..., :-1]) - np.log(rest[..., 1:]) + _sticks(x.shape[-1] - 1)


def _corr_size(count: int) -> int:
    return round(0.5 * (1 + np.sqrt(1 + 8 * count)))


def _cholesky(free: Array) -> tuple[Array, Array]:
    partial = np.tanh(free)
    size = _corr_size(free.shape[-1])
    factor = cholesky_from_partial(partial, size)
    log_slope = 2 * (np.log(2.0) - free - special.softplus(-2 * free))
    return factor, np.sum(log_slope, axis=-1) + _log_left(log_slope, size)


def _log_left(log_slope: Array, size: int) -> Array:
    """Return the log of the factors sqrt(what is left of each row's unit length before each entry)."""
    total = np.zeros(log_slope.shape[:-1])
    start = 0
    for i in range(1, size):
        left = np.cumsum(log_slope[..., start : start + i - 1], axis=-1)
        total = total + 0.5 * np.sum(left, axis=-1)
        start += i
    return total


def _cholesky_inverse(x: Array) -> Array:
    size = x.shape[-1]
    free: list[Array] = []
    for i in range(1, size):
        for j in range(i):
            left = np.sqrt(np.sum(x[..., i, j : i + 1] ** 2, axis=-1))
            free.append(np.arctanh(x[..., i, j] / left))
    return np.stack(free, axis=-1) if free else np.zeros((*x.shape[:-2], 0))


def interval(low: Array, high: Array) -> Transform:
    """Return the transform onto the interval from `low` to `high`, which broadcast against the value."""

    def constrain(free: Array) -> tuple[Array, Array]:
        width = high - low
        log_slope = special.log_inv_logit(free) + special.log_inv_logit(-free)
        return low + width * special.inv_logit(free), np.log(width) + log_slope

    def unconstrain(x: Array) -> Array:
        return np.log(x - low) - np.log(high - x)

    return Transform(constrain, unconstrain, _same_shape)


_REAL = Transform(_identity, lambda x: x, _same_shape)

TRANSFORMS: Mapping[Support, Transform] = {
    "real": _REAL,
    "vector": _REAL,
    "positive": Transform(_exp, np.log, _same_shape),
    "unit": interval(np.asarray(0.0), np.asarray(1.0)),
    "ordered": Transform(_ordered, _ordered_inverse, _same_shape),
    "simplex": Transform(_simplex, _simplex_inverse, lambda shape: (*shape[:-1], shape[-1] - 1)),
    "cholesky_corr": Transform(
        _cholesky, _cholesky_inverse, lambda shape: (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)
    ),
}
