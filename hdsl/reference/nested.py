"""Normal vectors of groups that lie in units, these in larger ones: all share effects that are integrated out.

The covariance of the rows (group, row) is diag(sd^2) + factor factor' within a group, to which every level adds
columns columns' within its units. Of each group the rows are whitened; then, level by level, what the rows of a unit
say about its effects is added up, and the effects are integrated out, from the innermost to the outermost.
Source: Harville (1977), JASA 72; Bates et al. (2015), Journal of Statistical Software 67.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.reference.rules import Array, Rules, Shape

Codes = NDArray[np.int64]


def _levels(columns: Array, unit: Array, above: tuple[Array, ...]) -> Iterator[tuple[Array, Codes]]:
    """Yield of each level the columns, and the unit of each group or unit of the level below."""
    every = (columns, unit, *above)
    for own, codes in zip(every[::2], every[1::2], strict=True):
        yield own, codes.reshape(-1).astype(np.int64)


def _log_density(
    x: Array, mean: Array, sd: Array, factor: Array, columns: Array, unit: Array, *above: Array
) -> Array:
    levels = list(_levels(columns, unit, above))
    lead = np.broadcast_shapes(x.shape, mean.shape, *(own.shape[:-1] for own, _ in levels))
    left = np.concatenate([np.broadcast_to(own, (*lead, own.shape[-1])) for own, _ in levels], axis=-1)
    left = np.concatenate([left, np.broadcast_to(x - mean, lead)[..., None]], axis=-1)
    covariance = factor @ np.swapaxes(factor, -1, -2) + np.eye(lead[-1]) * (sd**2)[..., None]
    half = np.linalg.cholesky(np.broadcast_to(covariance, (*covariance.shape[:-3], lead[-2], lead[-1], lead[-1])))
    total = -0.5 * lead[-2] * lead[-1] * np.log(2 * np.pi) - _half_log_determinants(half)
    gram = _squared(np.linalg.solve(half, left))
    present = np.arange(lead[-2])
    for own, codes in levels:
        size = own.shape[-1]
        gram, present = _summed(gram, codes[present])
        half = np.linalg.cholesky(gram[..., :size, :size] + np.eye(size))
        total = total - _half_log_determinants(half)
        gram = gram[..., size:, size:] - _squared(np.linalg.solve(half, gram[..., :size, size:]))
    return total - 0.5 * np.sum(gram[..., 0, 0], axis=-1)


def _half_log_determinants(half: Array) -> Array:
    """Return half the sum over groups of the log determinants of L L'."""
    return np.sum(np.log(np.diagonal(half, axis1=-2, axis2=-1)), axis=(-2, -1))


def _squared(rows: Array) -> Array:
    return np.swapaxes(rows, -1, -2) @ rows


def _summed(gram: Array, codes: Codes) -> tuple[Array, Codes]:
    """Return (..., groups, q, q) summed over the groups of each unit that has any, and these units."""
    order = np.argsort(codes, kind="stable")
    present, first = np.unique(codes[order], return_index=True)
    return np.add.reduceat(gram[..., order, :, :], first, axis=-3), present


def _draw(
    rng: Generator, shape: Shape, mean: Array, sd: Array, factor: Array, columns: Array, unit: Array, *above: Array
) -> Array:
    shared = rng.standard_normal((*shape[:-1], factor.shape[-1]))
    total = mean + sd * rng.standard_normal(shape) + np.einsum("...ij,...j->...i", factor, shared)
    of_group = np.arange(shape[-2])
    for own, codes in _levels(columns, unit, above):
        of_group = codes[of_group]
        drawn = rng.standard_normal((*shape[:-2], int(of_group.max(initial=-1)) + 1, own.shape[-1]))
        total = total + np.einsum("...ij,...j->...i", own, drawn[..., of_group, :])
    return total


def _variance(mean: Array, sd: Array, factor: Array, columns: Array, unit: Array, *above: Array) -> Array:
    shared = sum((np.sum(own**2, -1) for own, _ in _levels(columns, unit, above)), np.zeros(()))
    return np.sum(factor**2, -1) + sd**2 + shared + 0 * mean


MULTINORMAL_NESTED = Rules(
    log_density=_log_density,
    draw=_draw,
    mean=lambda mean, sd, factor, *larger: mean + 0 * factor[..., 0],
    variance=_variance,
)
