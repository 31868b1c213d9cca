"""The log density of a program, on the natural and on the unconstrained scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import LogDensity, Program
from hdsl.model.ir import ModelData
from hdsl_numpyro.runtime import device_data, model_function, prepare

Array = NDArray[np.float64]


def _traced(program: Program, values: Mapping[str, Array]) -> dict[str, Any]:
    import jax.numpy as jnp

    return {source: jnp.asarray(values[name], dtype=float) for name, source in program.parameters.items()}


def log_density(program: Program, data: ModelData) -> LogDensity:
    """Return the function from values of the random variables to the log density and its gradient."""
    prepare()
    import jax
    import jax.numpy as jnp
    from numpyro.infer.util import log_density as density

    model, arrays = model_function(program), device_data(data)

    def total(values: dict[str, Any]) -> Any:
        return jnp.asarray(density(model, (arrays,), {}, values)[0])

    function = jax.jit(jax.value_and_grad(total))

    def evaluate(values: Mapping[str, Array]) -> tuple[float, Mapping[str, Array]]:
        value, gradient = function(_traced(program, values))
        return float(value), {name: np.asarray(gradient[source]) for name, source in program.parameters.items()}

    return evaluate


def unconstrained_log_density(program: Program, data: ModelData) -> Callable[[Mapping[str, Array]], float]:
    """Return the function from values of the random variables to the density over unconstrained coordinates.

    Jacobians of the transforms are included: it is the density that NUTS moves in.
    """
    prepare()
    import jax
    from numpyro.infer.util import potential_energy, unconstrain_fn

    model, arrays = model_function(program), device_data(data)

    def total(values: dict[str, Any]) -> Any:
        return -potential_energy(model, (arrays,), {}, unconstrain_fn(model, (arrays,), {}, values))

    function = jax.jit(total)
    return lambda values: float(function(_traced(program, values)))
