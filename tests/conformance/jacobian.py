"""The reference's log density over coordinates of another's choosing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.ir import Model, ModelData
from hdsl.reference import density

Array = NDArray[np.float64]
_STEP = 3e-3
_STENCIL = ((-3, -1 / 60), (-2, 9 / 60), (-1, -45 / 60), (1, 45 / 60), (2, -9 / 60), (3, 1 / 60))


def pushed_forward(
    model: Model, data: ModelData, values: Callable[[Array], Mapping[str, Array]], point: Array
) -> float:
    """Return the reference's log density at values(point) plus the log volume of the map from coordinates to values.

    The volume is the determinant of the matrix of derivatives, by differences of sixth order, of the entries with
    respect to which densities are defined.
    """

    def entries(flat: Array) -> Array:
        found = values(flat)
        return np.concatenate([_free(variable.law.distribution, found[variable.name]) for variable in model.variables])

    columns = [
        sum(weight * entries(point + place * _STEP * unit) for place, weight in _STENCIL) / _STEP
        for unit in np.eye(len(point))
    ]
    sign, volume = np.linalg.slogdet(np.stack(columns, axis=1))
    assert sign != 0
    return density.log_density(model, data, values(point)) + float(volume)


def _free(distribution: str, value: Array) -> Array:
    """Return the entries that determine a value: without the diagonal of unit rows, and the last of a simplex."""
    support = DISTRIBUTIONS[distribution].support
    if support == "cholesky_corr":
        below = np.tri(value.shape[-1], k=-1, dtype=bool)
        return value[..., below].ravel()
    return np.ravel(value[..., :-1] if support == "simplex" else value)
