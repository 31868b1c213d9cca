"""Pareto-smoothed importance sampling's diagnostic.

Source: Vehtari, Simpson, Gelman, Yao & Gabry (2024), Journal of Machine Learning Research 25; the generalised
Pareto distribution is fitted by Zhang & Stephens (2009), Technometrics 51. The numbers are those of ArviZ, whose
import takes longer than the whole inference.
"""

from __future__ import annotations

import numpy as np

from hdsl.reference.values import Array

LEAST_TAIL = 5


def khat(log_weights: Array) -> float:
    """Return the shape of the generalised Pareto distribution of the largest of importance weights, shape (n,).

    Infinite where there are too few weights to tell, minus infinity where they are all the same.
    """
    ordered = np.sort(log_weights - np.max(log_weights))
    count = len(ordered)
    tail = int(min(0.2 * count, 3 * np.sqrt(count)))
    if tail < LEAST_TAIL or count <= tail:
        return float("inf")
    cut = max(float(ordered[-tail - 1]), float(np.log(np.finfo(float).tiny)))
    if cut > -1e-12:
        return float("-inf")
    excess = np.exp(ordered[ordered > cut]) - np.exp(cut)
    return float("inf") if len(excess) < LEAST_TAIL else _shape(excess)


def _shape(excess: Array) -> float:
    """Return the shape of a generalised Pareto distribution of increasing positive numbers, shrunk towards 1/2."""
    count = len(excess)
    grid = 30 + int(count**0.5)
    places = np.arange(1, grid + 1, dtype=np.float64)
    quartile = excess[int(count / 4 + 0.5) - 1]
    theta = (1 - np.sqrt(grid / (places - 0.5))) / (3 * quartile) + 1 / excess[-1]
    shapes = np.mean(np.log1p(-theta[:, None] * excess), axis=1)
    likelihood = count * (np.log(-theta / shapes) - shapes - 1)
    with np.errstate(over="ignore"):
        weights = 1 / np.sum(np.exp(likelihood - likelihood[:, None]), axis=1)
    weights = np.where(weights >= 10 * np.finfo(float).eps, weights, 0.0)
    mean = np.sum(theta * weights) / np.sum(weights)
    shape = float(np.mean(np.log1p(-mean * excess)))
    return (count * shape + 10 * 0.5) / (count + 10)
