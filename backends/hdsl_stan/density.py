"""Log densities of programs and their gradients, by stanli within this process.

Only for points of the right shapes: stanli aborts on others, so every shape is checked first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hdsl.backend import Array, LogDensity
from hdsl.model.distributions import DISTRIBUTIONS as KINDS
from hdsl.model.ir import Model, ModelData
from hdsl_stan import print as printer
from hdsl_stan.data import stan_data
from hdsl_stan.engine_stanli import GUARDS
from hdsl_stan.lower import Lowered, lowered
from hdsl_stan.values import RANK, Stored

if TYPE_CHECKING:
    import stanli

Free = Callable[[Mapping[str, ArrayLike]], tuple[float, Array]]


def natural(model: Model, data: ModelData) -> LogDensity:
    """Return the log density on the natural scale and its gradient by the entries as given, no Jacobians.

    Evaluated by the program with its parameters declared without constraints. Entries that cannot vary (above
    the diagonal of a Cholesky factor, and its first) have gradient 0.
    """
    result = lowered(model, constrained=False)
    compiled = compile_model(model, data, result)
    shapes = {name: _shape(model, variable) for name, variable in result.parameters.items()}
    masks = {variable.name: _varying(model, variable.name) for variable in model.variables}

    def evaluate(values: Mapping[str, Array]) -> tuple[float, Mapping[str, Array]]:
        arrays = {name: _checked(name, values[name], shape) for name, shape in shapes.items()}
        parts = [_pack(variable, arrays[name]) for name, variable in result.parameters.items()]
        value, slope = compiled.log_prob_grad(np.concatenate(parts))
        ends = np.cumsum([part.size for part in parts])[:-1]
        slopes = zip(result.parameters.items(), np.split(slope, ends), strict=True)
        found = {name: _unpack(variable, part, shapes[name]) for (name, variable), part in slopes}
        return value, {name: np.where(masks[name], array, 0.0) for name, array in found.items()}

    return evaluate


def unconstrained(model: Model, data: ModelData) -> tuple[Free, Callable[[Mapping[str, ArrayLike]], Array]]:
    """Return the density of the very program that is sampled, and the map to its coordinates.

    The first takes parameters on the natural scale and gives the log density of the unconstrained coordinates
    (Jacobians included) with its gradient by them; the second gives the coordinates, one vector, in the order
    of the parameters, each in Stan's order of elements.
    """
    result = lowered(model)
    compiled = compile_model(model, data, result)

    def coordinates(values: Mapping[str, ArrayLike]) -> Array:
        items = {
            variable.name: _checked(name, values[name], _shape(model, variable)).tolist()
            for name, variable in result.parameters.items()
        }
        return np.asarray(compiled.unconstrain(items), dtype=np.float64)

    def evaluate(values: Mapping[str, ArrayLike]) -> tuple[float, Array]:
        value, slope = compiled.log_prob_grad(coordinates(values))
        return float(value), np.asarray(slope, dtype=np.float64)

    return evaluate, coordinates


def compile_model(model: Model, data: ModelData, result: Lowered) -> stanli.Model:
    """Return the program compiled by stanli, with its guards."""
    import stanli

    with _guarded():
        source = printer.program(result.tree)
        return stanli.Model(stan_code=source, data=stan_data(model, data, result))


@contextmanager
def _guarded() -> Generator[None]:
    before = {name: os.environ.get(name) for name in GUARDS}
    os.environ.update(GUARDS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _shape(model: Model, variable: Stored) -> tuple[int, ...]:
    sizes = model.sizes
    return tuple(sizes[dim] for dim in variable.dims)


def _checked(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
    return array


def _varying(model: Model, name: str) -> NDArray[np.bool_]:
    variable = next(each for each in model.variables if each.name == name)
    free = np.ones([model.sizes[dim] for dim in variable.dims], dtype=bool)
    if KINDS[variable.law.distribution].support == "cholesky_corr":
        free = np.tril(free)
        free[..., 0, 0] = False
    return free


def _order(variable: Stored) -> tuple[int, ...]:
    """Return the axes in the order in which Stan runs through them, slowest first."""
    arrays, rank = variable.arrays, RANK[variable.base]
    return (*range(arrays), *reversed(range(arrays, arrays + rank)))


def _pack(variable: Stored, array: Array) -> Array:
    return np.ravel(np.transpose(array, _order(variable)))


def _unpack(variable: Stored, flat: Array, shape: tuple[int, ...]) -> Array:
    order = _order(variable)
    moved = flat.reshape([shape[axis] for axis in order])
    return np.transpose(moved, np.argsort(order)) if order else moved
