"""How a rewritten model's log density differs from that of the plain model, Jacobian included."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.model.ir import Model, ModelData
from hdsl.reference.density import definitions, log_density
from hdsl.reference.free import random_point

Array = NDArray[np.float64]
Case = tuple[Model, ModelData]
STEP = 1e-4


def recovered(rewritten: Case, plain: Model, point: Mapping[str, Array]) -> dict[str, Array]:
    """Return the plain model's parameters at one point of the rewritten model's."""
    many = _recovered(rewritten, plain, {name: value[None] for name, value in point.items()})
    return {name: value[0] for name, value in many.items()}


def _recovered(rewritten: Case, plain: Model, points: Mapping[str, Array]) -> dict[str, Array]:
    count = len(next(iter(points.values())))
    names = [variable.name for variable in plain.variables]
    env = definitions(*rewritten, points, names, ("draw",))
    found: dict[str, Array] = {}
    for variable in plain.variables:
        value = env[variable.name]
        order = ("draw", *variable.dims) if "draw" in value.dims else variable.dims
        array = value.real.transpose([value.dims.index(dim) for dim in order])
        found[variable.name] = np.broadcast_to(array, (count, *(plain.sizes[dim] for dim in variable.dims)))
    return found


def log_jacobian(rewritten: Case, plain: Model, point: Mapping[str, Array]) -> float:
    """Return log |det d(plain) / d(rewritten)| at a point, by central differences of all that is not shared."""
    shared = {variable.name for variable in plain.variables} & {v.name for v in rewritten[0].variables}
    moved = [v.name for v in rewritten[0].variables if v.name not in shared]
    size = sum(point[name].size for name in moved)
    if size == 0:
        return 0.0
    many = {name: np.repeat(value[None], 2 * size, axis=0).astype(float) for name, value in point.items()}
    start = 0
    for name in moved:
        flat = many[name].reshape(2 * size, -1)
        for entry in range(flat.shape[1]):
            flat[2 * (start + entry), entry] += STEP
            flat[2 * (start + entry) + 1, entry] -= STEP
        start += flat.shape[1]
    image = _recovered(rewritten, plain, many)
    whole = np.concatenate(
        [image[v.name].reshape(2 * size, -1) for v in plain.variables if v.name not in shared], axis=1
    )
    slopes = (whole[0::2] - whole[1::2]) / (2 * STEP)
    assert slopes.shape == (size, size)
    return float(np.linalg.slogdet(slopes)[1])


def difference(rewritten: Case, plain: Case, point: Mapping[str, Array]) -> float:
    """Return the rewritten log density minus the plain one at the recovered point, minus the log Jacobian."""
    there = recovered(rewritten, plain[0], point)
    jacobian = log_jacobian(rewritten, plain[0], point)
    return log_density(*rewritten, point) - log_density(*plain, there) - jacobian


def differences(rewritten: Case, plain: Case, rng: Generator, count: int = 4) -> Array:
    """Return `difference` at random points."""
    points = [random_point(*rewritten, rng, 0.8) for _ in range(count)]
    return np.array([difference(rewritten, plain, point) for point in points])
