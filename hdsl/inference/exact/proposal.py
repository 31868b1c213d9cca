"""Mixtures of multivariate t distributions: what importance sampling draws from, and how it is fitted.

Source: Cappé, Douc, Guillin, Marin & Robert (2008), Statistics and Computing 18, for the adaptation; every mixture
keeps a wide component, so that weights stay bounded where the posterior has light tails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from hdsl.inference.exact.mode import Mode
from hdsl.reference.values import Array

DF = 5.0
WIDE_SHARE = 0.1
WIDER = 4.0
EM_STEPS = 25
RIDGE = 1e-6


@dataclass(frozen=True)
class Component:
    """One t distribution: its share of the mixture, centre and Cholesky factor of the scale matrix."""

    share: float
    centre: Array
    factor: Array


@dataclass(frozen=True)
class Proposal:
    """A mixture of t distributions with `DF` degrees of freedom."""

    components: tuple[Component, ...]

    def draw(self, count: int, rng: Generator) -> Array:
        """Return draws, shape (count, d); the numbers from each component are as even as can be."""
        size = len(self.components[0].centre)
        edges = np.cumsum([c.share for c in self.components])
        which = np.searchsorted(edges / edges[-1], (np.arange(count) + rng.uniform()) / count, side="right")
        which = np.minimum(which, len(self.components) - 1)
        normal = rng.standard_normal((count, size))
        stretch = np.sqrt(DF / rng.chisquare(DF, count))
        found = np.empty((count, size))
        for place, component in enumerate(self.components):
            own = which == place
            found[own] = component.centre + stretch[own, None] * (normal[own] @ component.factor.T)
        return found[rng.permutation(count)]

    def log_density(self, points: Array) -> Array:
        """Return the log density at points (n, d)."""
        parts = np.stack([np.log(c.share) + _log_t(points, c) for c in self.components])
        top = np.max(parts, axis=0)
        return top + np.log(np.sum(np.exp(parts - top), axis=0))


def _log_t(points: Array, component: Component) -> Array:
    from math import lgamma, log, pi

    size = points.shape[1]
    z = np.linalg.solve(component.factor, (points - component.centre).T)
    constant = lgamma((DF + size) / 2) - lgamma(DF / 2) - size / 2 * log(DF * pi)
    constant -= float(np.sum(np.log(np.diag(component.factor))))
    return constant - (DF + size) / 2 * np.log1p(np.sum(z**2, axis=0) / DF)


def around(modes: Sequence[Mode]) -> Proposal:
    """Return the mixture around modes, each with its share of the mass by Laplace's approximation."""
    masses = np.array([m.height + 0.5 * np.linalg.slogdet(m.covariance)[1] for m in modes])
    shares = np.exp(masses - masses.max())
    shares = np.maximum(shares / shares.sum(), 0.05)
    factors = [np.linalg.cholesky(m.covariance) for m in modes]
    wide = [Component(WIDE_SHARE * s, m.point, WIDER**0.5 * f) for s, m, f in zip(shares, modes, factors, strict=True)]
    near = [Component((1 - WIDE_SHARE) * s, m.point, f) for s, m, f in zip(shares, modes, factors, strict=True)]
    return _whole([*near, *wide])


def _whole(components: Sequence[Component]) -> Proposal:
    total = sum(c.share for c in components)
    return Proposal(tuple(Component(c.share / total, c.centre, c.factor) for c in components))


def fitted(points: Array, log_weights: Array, count: int, rng: Generator) -> Proposal:
    """Return a mixture of `count` components fitted to weighted points (n, d), and a wide one around all."""
    weights = np.exp(log_weights - log_weights.max())
    weights = np.minimum(weights, np.sqrt(len(weights)) * weights.mean())
    weights = weights / weights.sum()
    mean = weights @ points
    covariance = _covariance(points, weights, mean)
    scale = np.linalg.cholesky(covariance)
    z = np.linalg.solve(scale, (points - mean).T).T
    made = _em(z, weights, count, rng)
    near = [Component(0.85 * s, mean + scale @ c, scale @ np.linalg.cholesky(v)) for s, c, v in made]
    return _whole([*near, Component(0.15, mean, WIDER**0.5 * scale)])


def _covariance(points: Array, weights: Array, mean: Array) -> Array:
    away = points - mean
    found = (away * weights[:, None]).T @ away
    return found + np.diag(RIDGE * np.diag(found) + 1e-14)


def _em(z: Array, weights: Array, count: int, rng: Generator) -> list[tuple[float, Array, Array]]:
    """Return shares, centres and covariances of a normal mixture of weighted standardised points."""
    size = z.shape[1]
    centres = _spread_centres(z, weights, count, rng)
    shares, covariances = np.full(count, 1 / count), np.repeat(np.eye(size)[None], count, axis=0)
    for _ in range(EM_STEPS):
        logs = np.stack(
            [np.log(s) + _log_normal(z, c, v) for s, c, v in zip(shares, centres, covariances, strict=True)]
        )
        logs -= logs.max(axis=0)
        belongs = np.exp(logs)
        belongs = belongs / belongs.sum(axis=0) * weights
        shares = np.maximum(belongs.sum(axis=1), 1e-3)
        centres = (belongs @ z) / shares[:, None]
        covariances = np.stack([_covariance(z, b / s, c) for b, s, c in zip(belongs, shares, centres, strict=True)])
        covariances = covariances + 1e-3 * np.eye(size)
    return list(zip(shares.tolist(), centres, covariances, strict=True))


def _spread_centres(z: Array, weights: Array, count: int, rng: Generator) -> Array:
    """Return points far from each other, drawn by weight times squared distance (Arthur & Vassilvitskii 2007)."""
    found = [np.zeros(z.shape[1])]
    while len(found) < count:
        away = np.min([np.sum((z - centre) ** 2, axis=1) for centre in found], axis=0) * weights
        total = away.sum()
        found.append(z[rng.choice(len(z), p=away / total if total > 0 else None)])
    return np.stack(found)


def _log_normal(z: Array, centre: Array, covariance: Array) -> Array:
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, (z - centre).T)
    return -0.5 * np.sum(white**2, axis=0) - float(np.sum(np.log(np.diag(factor))))
