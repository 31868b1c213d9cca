"""Integrals over the effects of single groups: modes by Newton's method, then Gauss-Hermite nodes around them.

Source: Pinheiro & Bates (1995), Journal of Computational and Graphical Statistics 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hdsl.inference.exact import small
from hdsl.inference.quadrature.groups import Here
from hdsl.inference.quadrature.nodes import nodes
from hdsl.reference.values import Array

FEW_STEPS, MOST_STEPS = 5, 40
SHORT_STEP = 0.1
LONG_STEP = 3.0


@dataclass(frozen=True)
class Modes:
    """Modes (b, groups, q) of the effects' densities, and the inverses of the Cholesky factors of the curvatures."""

    u: Array
    inverse: small.Rows


def log_integrals(here: Here, size: int, count: int, start: Array | None) -> Array:
    """Return the log marginal likelihoods of groups, (b, groups)."""
    if size == 0:
        return here.log_likelihood(np.zeros((len(here.fixed), here.groups, 0)))
    found = modes_of(here, size, start)
    rule = nodes(count, size)
    heights = np.empty((len(rule.log_weights), *found.u.shape[:2]))
    for place, (x, log_weight) in enumerate(zip(rule.points, rule.log_weights, strict=True)):
        u = found.u + spread(found.inverse, x)
        heights[place] = here.log_likelihood(u) - 0.5 * np.sum(u**2, axis=2) + log_weight
    top = np.max(heights, axis=0)
    found_sum = top + np.log(np.sum(np.exp(heights - top), axis=0))
    return found_sum + sum(np.log(found.inverse[place][place]) for place in range(size))


def spread(inverse: small.Rows, x: Array) -> Array:
    """Return L^-T x for the inverses of lower factors L and x (..., q): shape (b, groups, q)."""
    size = len(inverse)
    parts = [sum(inverse[i][j] * x[..., i] for i in range(j, size)) for j in range(size)]
    return np.stack([np.asarray(part) for part in parts], axis=-1)


def modes_of(here: Here, size: int, start: Array | None = None, steps: int = FEW_STEPS) -> Modes:
    """Return the modes of groups' effects by Newton's method; steps are at most `LONG_STEP` curvature sds long.

    Points that are not there after `steps` go on by themselves, up to `MOST_STEPS`.
    """
    u = np.zeros((len(here.fixed), here.groups, size)) if start is None else start
    inverse: small.Rows = []
    late = np.zeros(len(here.fixed), np.bool_)
    for _ in range(steps):
        slope, information = here.slopes(u)
        sums = [here.sums.of(slope * here.load[:, j]) - u[:, :, j] for j in range(size)]
        rows: small.Rows = []
        for i in range(size):
            weighted = information * here.load[:, i]
            rows.append([here.sums.of(weighted * here.load[:, j]) for j in range(i + 1)])
            rows[i][i] = rows[i][i] + 1.0
        inverse = small.inverse_factor(small.cholesky(rows)[0])
        half = np.stack([np.asarray(sum(inverse[i][k] * sums[k] for k in range(i + 1))) for i in range(size)], axis=-1)
        length = np.sqrt(np.sum(half**2, axis=-1))
        half *= np.minimum(1.0, LONG_STEP / np.maximum(length, 1e-300))[..., None]
        u = u + spread(inverse, half)
        late = np.any(length > SHORT_STEP, axis=1)
        if not np.any(late):
            break
    if steps < MOST_STEPS and np.any(late):
        points = np.flatnonzero(late)
        rest = modes_of(here.only(points), size, u[points], MOST_STEPS)
        u[points] = rest.u
        for row, own in zip(inverse, rest.inverse, strict=True):
            for entry, value in zip(row, own, strict=True):
                entry[points] = value
    return Modes(u, inverse)
