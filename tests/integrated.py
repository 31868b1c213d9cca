"""A plain model's density with its normal effects integrated out, by the reference alone.

Given everything else, the joint log density is a quadratic in the effects: its values at steps of any size
give the Hessian and the gradient without error of discretisation, and so the integral and the conditional law. It is
taken around zero, then around the conditional mean found so, where its values are small and keep their digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    model: Model,
    data: ModelData,
    others: Mapping[str, Array],
    effects: Sequence[str],
    steps: Mapping[str, ArrayLike] | None = None,
) -> Integrated:
    """Integrate the named effects out of a model at given values of all other random variables.

    `steps` are the sizes of steps for each effect, spread over its elements: one by default, which suits effects of
    about that size.
    """
    shapes = {v.name: tuple(model.sizes[dim] for dim in v.dims) for v in model.variables}
    sizes = [int(np.prod(shapes[name])) for name in effects]
    total = sum(sizes)
    given = dict.fromkeys(effects, 1.0) if steps is None else steps
    step = np.concatenate([np.broadcast_to(given[name], shapes[name]).reshape(-1) for name in effects])

    def at(units: Array) -> Array:
        points = middle + units * step
        batch = {name: np.broadcast_to(value, (len(points), *np.shape(value))) for name, value in others.items()}
        start = 0
        for name, size in zip(effects, sizes, strict=True):
            batch[name] = points[:, start : start + size].reshape(len(points), *shapes[name])
            start += size
        return log_densities(model, data, batch)

    middle = np.zeros(total)
    _, gradient, hessian = _quadratic(at, total)
    middle = step * np.linalg.solve(-hessian, gradient)
    base, gradient, hessian = _quadratic(at, total)
    covariance = np.linalg.inv(-hessian)
    mean = covariance @ gradient
    log_determinant = np.linalg.slogdet(-hessian)[1] - 2 * np.sum(np.log(step))
    value = base + 0.5 * gradient @ mean + 0.5 * total * np.log(2 * np.pi) - 0.5 * log_determinant
    return Integrated(float(value), middle + step * mean, covariance * np.outer(step, step))


def _quadratic(at: Callable[[Array], Array], total: int) -> tuple[float, Array, Array]:
    """Return value, gradient and Hessian at zero of a quadratic function of points (n, total)."""
    base = float(at(np.zeros((1, total)))[0])
    ahead, back = at(np.eye(total)) - base, at(-np.eye(total)) - base
    hessian = np.diag(ahead + back)
    left, right = np.triu_indices(total, 1)
    both = np.zeros((len(left), total))
    both[np.arange(len(left)), left] += 1
    both[np.arange(len(left)), right] += 1
    crossed = at(both) - base - ahead[left] - ahead[right] if len(left) else np.zeros(0)
    hessian[left, right] = hessian[right, left] = crossed
    return base, (ahead - back) / 2, hessian
