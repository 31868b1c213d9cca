"""Weights that balance groups: inverse probabilities moved as little as may be until both arms are alike.

Scores of small groups are drawn towards those of all groups, so that inverse probabilities leave differences between
groups in the arms, and few units of an arm do not balance the terms of the score. Weights are therefore tilted: in
each arm they sum in every group to the group's number of units, and over all groups to the units' own totals of each
term. Sources: Yang (2018, Journal of Causal Inference 6) on calibrated weights of clustered data; Hainmueller (2012) on
tilting; Li, Zaslavsky & Landrum (2013) on groups that have one arm only, which compare nothing and get no weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Reals

TOLERANCE = 1e-6
SMALL = 1e-9
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """What weights have to balance.

    Attributes
    ----------
    groups : int array, shape (units,)
    columns : float array, shape (units, columns)
        The terms of the score less their means in each group; independent, of length one.
    compared : bool array, shape (units,)
        Whether the unit's group has units of both arms.
    base : float array, shape (units,)
        The number of units for which each stands.
    """

    groups: Codes
    columns: Reals
    compared: NDArray[np.bool_]
    base: Reals

    @property
    def number(self) -> int:
        """The number of groups."""
        return int(self.groups.max()) + 1

    def sums(self, values: Reals, chosen: NDArray[np.bool_]) -> Reals:
        """Return sums of values over the chosen units of each group."""
        return np.bincount(self.groups[chosen], values[chosen], minlength=self.number)


def calibration(treated: Reals, groups: Codes, columns: list[Reals], base: Reals) -> Calibration:
    """Return what weights of units have to balance in their groups."""
    size = int(groups.max()) + 1
    on, all_ = np.bincount(groups, treated == 1, minlength=size), np.bincount(groups, minlength=size)
    compared = ((on > 0) & (on < all_))[groups]
    inner = np.where(compared, base, 0.0)
    total = np.maximum(np.bincount(groups, inner, minlength=size), SMALL)
    within = [
        np.where(compared, x - (np.bincount(groups, inner * x, minlength=size) / total)[groups], 0.0) for x in columns
    ]
    return Calibration(groups, _independent(within, columns, len(treated)), compared, base)


def _independent(within: list[Reals], columns: list[Reals], units: int) -> Reals:
    """Return an orthogonal basis of the columns within groups; those of groups are balanced with the groups."""
    if not within:
        return np.zeros((units, 0))
    spreads = [float(np.std(x)) or 1.0 for x in columns]
    matrix = np.column_stack([x / spread for x, spread in zip(within, spreads, strict=True)])
    basis, lengths, _ = np.linalg.svd(matrix, full_matrices=False)
    return basis[:, lengths > TOLERANCE * np.sqrt(units)]


def calibrated(raw: Reals, treated: Reals, to: Calibration) -> Reals:
    """Return weights of units near `raw`, shape (units,), zero in groups with one arm.

    Times `base` they sum in each arm to each group's sum of `base`. So they do to the sums of the columns, unless no
    weights do both: then to those of the groups alone.
    """
    found = np.zeros_like(raw)
    sizes = to.sums(to.base, to.compared)
    for arm in (0.0, 1.0):
        own = to.compared & (treated == arm)
        if own.any():
            found[own] = _tilted(np.log(raw[own] * to.base[own]), to.columns[own], to.groups[own], sizes) / to.base[own]
    return found


def _tilted(log_raw: Reals, columns: Reals, groups: Codes, sizes: Reals) -> Reals:
    """Return raw weights tilted by the columns to totals of zero, summing to the size of each group."""
    from scipy.optimize import minimize

    def shares(tilt: Reals) -> tuple[Reals, Reals]:
        eta = log_raw + columns @ tilt
        largest = np.full(len(sizes), -np.inf)
        np.maximum.at(largest, groups, eta)
        raised = np.exp(eta - largest[groups])
        total = np.bincount(groups, raised, minlength=len(sizes))
        there = sizes > 0
        level = np.where(there, np.where(there, largest, 0.0) + np.log(np.where(there, total, 1.0)), 0.0)
        return sizes[groups] * raised / total[groups], level

    def loss(tilt: Reals) -> tuple[float, Reals]:
        weights, level = shares(tilt)
        return float(sizes @ level), columns.T @ weights

    def hessian(tilt: Reals) -> Reals:
        weights, _ = shares(tilt)
        within = centred(columns, weights, groups, len(sizes))
        return within.T @ (within * weights[:, None])

    if not columns.shape[1]:
        return shares(np.zeros(0))[0]
    start = np.zeros(columns.shape[1])
    best = minimize(loss, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": TOLERANCE / 10}).x
    left = np.max(np.abs(loss(best)[1]))
    return shares(best if left < TOLERANCE * np.sqrt(sizes.sum()) else start)[0]


def centred(values: Reals, weights: Reals, groups: Codes, size: int) -> Reals:
    """Return values, (units, columns), less their weighted means in each group."""
    total = np.maximum(np.bincount(groups, weights, minlength=size), SMALL)
    means = [np.bincount(groups, weights * column, minlength=size) / total for column in values.T]
    return values - np.column_stack(means)[groups] if means else values
