"""Integrals over the effects of groups that lie in coarser units with an effect of their own.

Given the coarser unit's effect its groups are independent: their integrals multiply, and the product is integrated over
that effect at Gauss-Hermite nodes around the joint mode of all the unit's effects (Rabe-Hesketh, Skrondal & Pickles
2005, Journal of Econometrics 128).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.exact import small
from hdsl.inference.quadrature.groups import Here
from hdsl.inference.quadrature.integrals import FEW_STEPS, LONG_STEP, MOST_STEPS, SHORT_STEP, log_integrals, spread
from hdsl.inference.quadrature.nodes import nodes
from hdsl.reference.values import Array

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class JointModes:
    """The joint modes of coarser units.

    Attributes
    ----------
    u : array, shape (b, groups, q)
    v : array, shape (b, coarser units)
    lean : array, shape (b, groups, q)
        By how much the modes of the groups' effects fall for each unit of v.
    sd : array, shape (b, coarser units)
        The standard deviation of v by the curvature.
    """

    u: Array
    v: Array
    lean: Array
    sd: Array

    def groups_at(self, v: Array, parent: Codes) -> Array:
        """Return roughly the modes of the groups' effects, given those of the coarser units."""
        return self.u - self.lean * np.take(v - self.v, parent, axis=1)[..., None]


def firsts(parent: Codes) -> Codes:
    """Return the first group of each coarser unit."""
    return np.concatenate([[0], np.flatnonzero(np.diff(parent)) + 1]).astype(np.int64)


def joint_modes(
    here: Here, times: Array, size: int, u: Array | None = None, v: Array | None = None, steps: int = FEW_STEPS
) -> JointModes:
    """Return the joint modes by Newton's method, in which the groups' effects are solved for first.

    Points that are not there after `steps` go on by themselves, up to `MOST_STEPS`.
    """
    count, first = len(here.fixed), firsts(here.parent)
    u = np.zeros((count, here.groups, size)) if u is None else u
    v = np.zeros((count, len(first))) if v is None else v
    lean, sd, late = np.zeros_like(u), np.ones_like(v), np.zeros(count, np.bool_)
    for _ in range(steps):
        shifted = here.shifted(v)
        slope, information = shifted.slopes(u)
        inverse, pull, cross, up = _groups(shifted, slope, information, u)
        lean = _solved(inverse, cross)
        ahead = _solved(inverse, pull)
        own = here.sums.of(information * here.above**2) - np.sum(cross * lean, axis=2)
        precision = 1.0 + np.add.reduceat(times * own, first, axis=1)
        gain = np.add.reduceat(times * (up - np.sum(cross * ahead, axis=2)), first, axis=1) - v
        sd = 1.0 / np.sqrt(precision)
        length = np.abs(gain) * sd
        move = gain / precision * np.minimum(1.0, LONG_STEP / np.maximum(length, 1e-300))
        moved = _forward(inverse, pull - cross * np.take(move, here.parent, axis=1)[..., None])
        long = np.sqrt(np.sum(moved**2, axis=2))
        moved *= np.minimum(1.0, LONG_STEP / np.maximum(long, 1e-300))[..., None]
        u, v = u + spread(inverse, moved), v + move
        late = np.any(length > SHORT_STEP, axis=1) | np.any(long > SHORT_STEP, axis=1)
        if not np.any(late):
            break
    if steps < MOST_STEPS and np.any(late):
        points = np.flatnonzero(late)
        rest = joint_modes(here.only(points), times, size, u[points], v[points], MOST_STEPS)
        u[points], v[points], lean[points], sd[points] = rest.u, rest.v, rest.lean, rest.sd
    return JointModes(u, v, lean, sd)


def _groups(here: Here, slope: Array, information: Array, u: Array) -> tuple[small.Rows, Array, Array, Array]:
    """Return of the groups: the inverse factors of the information on u, its slope, that with v, and the slope of v."""
    size, sums = u.shape[2], here.sums
    pull = [sums.of(slope * here.load[:, j]) - u[:, :, j] for j in range(size)]
    cross = [sums.of(information * here.load[:, j] * here.above) for j in range(size)]
    rows: small.Rows = []
    for i in range(size):
        weighted = information * here.load[:, i]
        rows.append([sums.of(weighted * here.load[:, j]) for j in range(i + 1)])
        rows[i][i] = rows[i][i] + 1.0
    inverse = small.inverse_factor(small.cholesky(rows)[0])
    up = sums.of(slope * here.above)
    return inverse, np.stack(pull, axis=-1), np.stack(cross, axis=-1), up


def _forward(inverse: small.Rows, x: Array) -> Array:
    """Return L^-1 x for the inverses of lower factors L and x (b, groups, q)."""
    parts = [sum(inverse[i][k] * x[..., k] for k in range(i + 1)) for i in range(len(inverse))]
    return np.stack([np.asarray(part) for part in parts], axis=-1)


def _solved(inverse: small.Rows, x: Array) -> Array:
    return spread(inverse, _forward(inverse, x))


def given_coarse(here: Here, times: Array, modes: JointModes, v: Array, size: int, count: int) -> Array:
    """Return the log density of the coarser units' standard normal effects v, (b, units), up to log(2 pi) / 2."""
    each = log_integrals(here.shifted(v), size, count, modes.groups_at(v, here.parent))
    return np.add.reduceat(times * each, firsts(here.parent), axis=1) - 0.5 * v**2


def log_integrals_nested(here: Here, times: Array, size: int, count: int, modes: JointModes) -> Array:
    """Return the log marginal likelihoods of coarser units, (b, units)."""
    rule = nodes(count, 1)
    heights = np.empty((count, *modes.v.shape))
    for place, (x, log_weight) in enumerate(zip(rule.points[:, 0], rule.log_weights, strict=True)):
        heights[place] = given_coarse(here, times, modes, modes.v + modes.sd * x, size, count) + log_weight
    top = np.max(heights, axis=0)
    return top + np.log(np.sum(np.exp(heights - top), axis=0)) + np.log(modes.sd)
