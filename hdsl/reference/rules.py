"""What the reference knows of one distribution, as functions of arrays that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[..., Array]
Shape = tuple[int, ...]
_STEPS = 200


@dataclass(frozen=True)
class Rules:
    """The functions of one distribution; arguments are arrays in the order of its parameters.

    `log_density(x, *args)`, `mean(*args)`, `variance(*args)`, `cdf(x, *args)`, `survival(x, *args)`,
    `log_survival(x, *args)`, `quantile(p, *args)` and `draw(rng, shape, *args)`. None: it has none.
    """

    log_density: Function
    draw: Callable[..., Array]
    mean: Function | None = None
    variance: Function | None = None
    cdf: Function | None = None
    survival: Function | None = None
    log_survival: Function | None = None
    quantile: Function | None = None


def required(function: Function | None) -> Function:
    """Return the function; TypeError if there is none."""
    if function is None:
        raise TypeError("the distribution lacks a function")
    return function


def inside(test: NDArray[np.bool_], log_density: Array) -> Array:
    """Return the log density where `test` holds and -inf elsewhere."""
    return np.where(test, log_density, -np.inf)


def bisect(cdf: Callable[[Array], Array], p: Array, low: Array, high: Array) -> Array:
    """Return the roots of cdf(x) = p, given brackets that are widened until they hold the roots."""
    for _ in range(_STEPS):
        outside = cdf(high) < p
        if not np.any(outside):
            break
        high = np.where(outside, high + 2 * (high - low), high)
    for _ in range(_STEPS):
        outside = cdf(low) > p
        if not np.any(outside):
            break
        low = np.where(outside, low - 2 * (high - low), low)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        below = cdf(middle) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def search_count(cdf: Callable[[Array], Array], p: Array) -> Array:
    """Return the smallest count k with cdf(k) >= p; inf where p is 1 and the support has no end."""
    high = np.ones(p.shape)
    for _ in range(60):
        outside = cdf(high) < p
        if not np.any(outside):
            break
        high = np.where(outside, 2 * high, high)
    low = np.full(p.shape, -1.0)
    while np.any(high - low > 1):
        middle = np.floor(0.5 * (low + high))
        enough = cdf(middle) >= p
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where(cdf(high) >= p, high, np.inf)
