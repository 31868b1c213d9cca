"""A plain model's density with its normal effects integrated out, by the reference alone.

Given everything else, the joint log density is a quadratic in the effects: its values at unit steps give the
Hessian and the gradient without error of discretisation, and so the integral and the conditional law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.model.ir import Model, ModelData
from hdsl.reference.density import log_densities

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Integrated:
    """The log density integrated over the effects, and their conditional mean and covariance, flattened in order."""

    log_density: float
    mean: Array
    covariance: Array


def integrated(
    model: Model, data: ModelData, others: Mapping[str, Array], effects: Sequence[str], step: float = 1.0
) -> Integrated:
    """Integrate the named effects out of a model at given values of all other random variables."""
    shapes = {v.name: tuple(model.sizes[dim] for dim in v.dims) for v in model.variables}
    sizes = [int(np.prod(shapes[name])) for name in effects]
    total = sum(sizes)

    def at(points: Array) -> Array:
        batch = {name: np.broadcast_to(value, (len(points), *np.shape(value))) for name, value in others.items()}
        start = 0
        for name, size in zip(effects, sizes, strict=True):
            batch[name] = points[:, start : start + size].reshape(len(points), *shapes[name])
            start += size
        return log_densities(model, data, batch)

    base = float(at(np.zeros((1, total)))[0])
    ahead, back = at(step * np.eye(total)) - base, at(-step * np.eye(total)) - base
    gradient = (ahead - back) / (2 * step)
    hessian = np.diag((ahead + back) / step**2)
    left, right = np.triu_indices(total, 1)
    both = np.zeros((len(left), total))
    both[np.arange(len(left)), left] += step
    both[np.arange(len(left)), right] += step
    crossed = (at(both) - base - ahead[left] - ahead[right]) / step**2 if len(left) else np.zeros(0)
    hessian[left, right] = hessian[right, left] = crossed
    covariance = np.linalg.inv(-hessian)
    mean = covariance @ gradient
    log_determinant = np.linalg.slogdet(-hessian)[1]
    value = base + 0.5 * gradient @ mean + 0.5 * total * np.log(2 * np.pi) - 0.5 * log_determinant
    return Integrated(float(value), mean, covariance)
