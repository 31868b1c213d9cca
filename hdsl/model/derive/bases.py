"""Bases of smooth curves: penalised cubic splines as random effects, and Hilbert-space Gaussian processes.

Sources: Wood (2017), Generalized Additive Models, sections 5.3 and 5.5 (natural cubic splines are thin plate splines
in one dimension; a smooth as a random effect); Wand & Ormerod (2008); Riutort-Mayol, Bürkner, Andersen, Solin &
Vehtari (2023), Statistics and Computing 33:17 (the approximation and its accuracy).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hdsl.data.bound import Reals

KNOTS = 20
FEWEST_VALUES = 4
MOST_FUNCTIONS = 100
MOST_PRODUCTS = 400
BOUNDARY = 1.2
BOUNDARY_PER_LENGTH = 3.2
FUNCTIONS_PER_LENGTH = 1.75
NEGLIGIBLE = 1e-7


@dataclass(frozen=True)
class SplineBasis:
    """What a natural cubic spline adds to a straight line.

    Column k at x, with u = (x - low) / width, is sum_j |u - knots[j]|^3 cubes[j, k] + level[k] + slope[k] u. Over the
    rows the columns have mean zero, are uncorrelated with x and with each other, and the sum of their squares has
    the mean 1. With independent coefficients of one standard deviation that standard deviation is the typical
    distance of the curve from the straight line, and the log prior is the usual penalty, the integral of the squared
    second derivative.

    Attributes
    ----------
    knots : float array, shape (knots,)
        From 0 to 1.
    cubes : float array, shape (knots, terms)
    level, slope : float array, shape (terms,)
    """

    low: float
    width: float
    knots: Reals
    cubes: Reals
    level: Reals
    slope: Reals

    def at(self, x: Reals) -> Reals:
        """Return the basis at x, shape (len(x), terms)."""
        u = (np.asarray(x) - self.low) / self.width
        cubed = np.abs(u[:, None] - self.knots) ** 3
        return cubed @ self.cubes + self.level + u[:, None] * self.slope


def spline_basis(rows: Reals, knots: int | None = None) -> SplineBasis:
    """Return the basis for the values of the rows, with knots at quantiles of the distinct values.

    Raises
    ------
    ValueError
        Fewer than four distinct values.
    """
    distinct = np.unique(rows)
    if len(distinct) < FEWEST_VALUES:
        raise ValueError("too few distinct values")
    low, width = float(distinct[0]), float(distinct[-1] - distinct[0])
    number = min(knots or KNOTS, len(distinct))
    places = (np.quantile(distinct, np.linspace(0, 1, number)) - low) / width
    cubes = _wiggles(places)
    u = (rows - low) / width
    line = np.column_stack([np.ones(len(u)), u])
    raw = np.abs(u[:, None] - places) ** 3 @ cubes
    straight = np.linalg.lstsq(line, raw, rcond=None)[0]
    _, sizes, right = np.linalg.svd(raw - line @ straight, full_matrices=False)
    turn = right[sizes > NEGLIGIBLE * sizes[0]].T
    scale = math.sqrt(len(rows)) / float(np.linalg.norm(sizes))
    return SplineBasis(
        low, width, places, cubes @ turn * scale, -straight[0] @ turn * scale, -straight[1] @ turn * scale
    )


def _wiggles(knots: Reals) -> Reals:
    """Return the coefficients of |u - knot|^3 whose curves have no straight part and a penalty of one each."""
    from scipy.linalg import eigh, null_space

    line = np.column_stack([np.ones(len(knots)), knots])
    free = null_space(line.T)
    penalty = free.T @ np.abs(knots[:, None] - knots) ** 3 @ free
    values, vectors = eigh(penalty)
    return np.asarray(free @ (vectors / np.sqrt(values)), dtype=np.float64)


@dataclass(frozen=True)
class GpBasis:
    """Eigenfunctions of the Laplacian on [middle - edge, middle + edge] along each of D inputs.

    Function k at x is the product over d of sin(frequencies[k, d] (x_d - middle_d + edge_d)) / sqrt(edge_d).

    Attributes
    ----------
    middle, edge : tuple of float, one for each input
    frequencies : float array, shape (functions, inputs)
    shortest, longest : tuple of float
        The length-scales along each input between which the approximation is accurate.
    """

    middle: tuple[float, ...]
    edge: tuple[float, ...]
    frequencies: Reals
    shortest: tuple[float, ...]
    longest: tuple[float, ...]

    def at(self, x: Reals) -> Reals:
        """Return the functions at x of shape (points, inputs), shape (points, functions)."""
        moved = np.asarray(x) - np.array(self.middle) + np.array(self.edge)
        waves = np.sin(moved[:, None, :] * self.frequencies) / np.sqrt(np.array(self.edge))
        return np.prod(waves, axis=2)


def gp_basis(inputs: Sequence[Reals], lengths: Sequence[tuple[float, float]], functions: int | None = None) -> GpBasis:
    """Return the basis for a squared exponential covariance whose length-scales are likely within `lengths`.

    With S half the range of an input, the boundary factor is c = max(1.2, 3.2 longest / S) and the number of functions
    m = 1.75 c S / shortest (Riutort-Mayol et al. 2023), at most 100 along one input.

    Parameters
    ----------
    inputs : sequence of float arrays
        The values of each input.
    lengths : sequence of (shortest, longest)
    functions : int, optional
        The number of functions along each input, in place of the rule.
    """
    middle, edge, counts, shortest, longest = [], [], [], [], []
    most = min(MOST_FUNCTIONS, int(MOST_PRODUCTS ** (1 / len(inputs))))
    for values, (short, long) in zip(inputs, lengths, strict=True):
        half = float(np.ptp(values)) / 2
        factor = max(BOUNDARY, BOUNDARY_PER_LENGTH * long / half)
        wanted = math.ceil(FUNCTIONS_PER_LENGTH * factor * half / short)
        count = functions or min(max(wanted, 3), most)
        middle.append(float(np.min(values)) + half)
        edge.append(factor * half)
        counts.append(count)
        shortest.append(FUNCTIONS_PER_LENGTH * factor * half / count)
        longest.append(factor * half / BOUNDARY_PER_LENGTH)
    numbers = np.array(list(product(*(range(1, count + 1) for count in counts))), dtype=np.float64)
    frequencies = numbers * math.pi / (2 * np.array(edge))
    return GpBasis(tuple(middle), tuple(edge), frequencies, tuple(shortest), tuple(longest))


def grid(values: Reals, most: int = 60) -> Reals:
    """Return values at which a curve is shown: the distinct ones if there are few, else round ones between the ends."""
    distinct = np.unique(values)
    if len(distinct) <= most // 2:
        return distinct
    low, high = float(distinct[0]), float(distinct[-1])
    step = _round_step((high - low) / (most - 2))
    inner = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    return np.unique(np.concatenate([[low], inner, [high]]).round(12))


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= least * (1 - 1e-9))
