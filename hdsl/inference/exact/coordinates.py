"""Coordinates in which a posterior of spreads, shares and correlations is nearly normal.

A spread that may be zero has, on the log scale, an exponential tail to the left, and of few groups one to the right;
so has a correlation towards its ends on the scale of Fisher's z. With y = c + a (log Phi(u) - log Phi(-u)) such tails
become normal ones in u, and near c the map is linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, prod

import numpy as np

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Model
from hdsl.reference.free import free_shapes
from hdsl.reference.values import Array

RATES = {"positive": 1.0, "unit": 1.0, "interval": 1.0, "cholesky_corr": 0.5}
CENTRED = frozenset({"positive"})


@dataclass(frozen=True)
class Coordinates:
    """The map from coordinates u to unconstrained hyperparameters y, each by itself.

    Attributes
    ----------
    rates : array, shape (d,)
        The a of each, 0 where y = u.
    centres : array, shape (d,)
    """

    rates: Array
    centres: Array

    def free(self, points: Array) -> Array:
        """Return the unconstrained hyperparameters of points (n, d)."""
        curved = self.centres + self.rates * (_log_phi(points) - _log_phi(-points))
        return np.where(self.rates > 0, curved, points)

    def log_slope(self, points: Array) -> Array:
        """Return the log Jacobian determinant of `free`, shape (n,)."""
        density = -0.5 * points**2 - 0.5 * log(2 * pi)
        slope = density - _log_phi(points) - _log_phi(-points) + np.log(np.where(self.rates > 0, self.rates, 1.0))
        return np.sum(np.where(self.rates > 0, slope, 0.0), axis=1)

    def of(self, free: Array) -> Array:
        """Return the points (n, d) of unconstrained hyperparameters; the inverse of `free`."""
        from scipy.special import ndtri_exp

        scaled = (free - self.centres) / np.where(self.rates > 0, self.rates, 1.0)
        size = -np.abs(scaled)
        below = ndtri_exp(size - np.log1p(np.exp(size)))
        return np.where(self.rates > 0, -np.sign(scaled) * below, free)


def _log_phi(points: Array) -> Array:
    from scipy.special import log_ndtr

    return np.asarray(log_ndtr(points))


def coordinates_of(model: Model, centre: Array | None = None) -> Coordinates:
    """Return coordinates for the hyperparameters of a model; spreads are centred where `centre` (d,) has them."""
    rates: list[float] = []
    moved: list[bool] = []
    shapes = free_shapes(model)
    for variable in model.variables:
        support = DISTRIBUTIONS[variable.law.distribution].support
        count = prod(shapes[variable.name])
        rates += [RATES.get(support, 0.0)] * count
        moved += [support in CENTRED] * count
    centres = np.zeros(len(rates)) if centre is None else np.where(moved, centre, 0.0)
    return Coordinates(np.array(rates), centres)
