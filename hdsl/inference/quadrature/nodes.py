"""Gauss-Hermite nodes in a few dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from hdsl.reference.values import Array

NEGLIGIBLE = 1e-13


@dataclass(frozen=True)
class Nodes:
    """Nodes (n, q) in units of the curvature's standard deviations, and log weights (n,) of the integrand there."""

    points: Array
    log_weights: Array


@cache
def nodes(count: int, size: int) -> Nodes:
    """Return the product rule of `count` nodes along each of `size` dimensions, without nodes of no weight.

    The weights are those of the integral of f(x) dx / (2 pi)^(size / 2).
    Source: Liu & Pierce (1994), Biometrika 81.
    """
    x, w = np.polynomial.hermite.hermgauss(count)
    grid = np.stack(np.meshgrid(*[x] * size, indexing="ij"), axis=-1).reshape(-1, size)
    log_w = np.sum(np.stack(np.meshgrid(*[np.log(w)] * size, indexing="ij"), axis=-1).reshape(-1, size), axis=1)
    kept = (log_w > log_w.max() + np.log(NEGLIGIBLE)) | (size == 1)
    log_weights = log_w + np.sum(grid**2, axis=1) - 0.5 * size * np.log(np.pi)
    return Nodes(np.sqrt(2.0) * grid[kept], log_weights[kept])
