"""What calibrated weights do to the covariance of estimates: a third set of equations beside those of both stages.

In each arm the weights depend on the tilt b, which solves h(b) = sum of w_i x_i = 0, x_i less its group's mean and w_i
of given sums in each group. With U the sum of the outcome rows' scores u_i and M = dh/db, u_i becomes u_i - dU/db M^-1
h_i. The part of the groups' sums is in the outcome's model, which has intercepts of groups. These are pulled towards
each row, most to the only unit of an arm, whose weight is large: scores are divided by the root of one minus the
leverage, which undoes this in expectation where spreads are alike (MacKinnon & White 1985, HC2). Sources: Newey &
McFadden (1994, section 6); Yang (2018).
"""

from __future__ import annotations

import numpy as np

from hdsl.data.bound import Reals
from hdsl.model.derive.calibration import Calibration, centred

MOST_LEVERAGE = 0.95


def unpulled(score: Reals, design: Reals, curvature: Reals, covariance: Reals) -> Reals:
    """Return rows' scores with the variance that they would have about the truth, shape (rows, coefficients).

    Parameters
    ----------
    score, design : float array, shape (rows, coefficients)
    curvature : float array, shape (rows,)
        Minus the second derivative of each row's weighted log likelihood by its location.
    covariance : float array, shape (coefficients, coefficients)
        The inverse curvature of the whole.
    """
    leverage = curvature * np.einsum("ij,jk,ik->i", design, covariance, design, optimize=True)
    return score / np.sqrt(1 - np.clip(leverage, 0.0, MOST_LEVERAGE))[:, None]


def tilting(score: Reals, weights: Reals, treated: Reals, to: Calibration) -> Reals:
    """Return what the tilt of the weights adds to each unit's score, shape (units, coefficients)."""
    found = np.zeros_like(score)
    if not to.columns.shape[1]:
        return found
    for arm in (0.0, 1.0):
        own = to.compared & (treated == arm)
        w, plain = weights[own], weights[own] / to.base[own]
        within = centred(to.columns[own], w, to.groups[own], to.number)
        scale = -2 * (plain**2 @ within) / (plain**2).sum()
        slope = score[own].T @ within + np.outer(score[own].sum(axis=0), scale)
        carried = slope @ np.linalg.pinv(within.T @ (within * w[:, None]))
        found[own] -= (to.columns[own] * w[:, None]) @ carried.T
        size = w.sum() / to.base[to.compared].sum()
        found[to.compared] += size * (to.columns * to.base[:, None])[to.compared] @ carried.T
    return found
