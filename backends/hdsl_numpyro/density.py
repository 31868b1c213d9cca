"""The log density of a program on the natural scale, with its gradient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import LogDensity, Program
from hdsl.model.ir import ModelData
from hdsl_numpyro.runtime import device_data, model_function, prepare

Array = NDArray[np.float64]


def log_density(program: Program, data: ModelData) -> LogDensity:
    """Return the function from values of the random variables to the log density and its gradient."""
    prepare()
    import jax
    import jax.numpy as jnp
    from numpyro.infer.util import log_density as traced

    model, arrays = model_function(program), device_data(data)

    def total(values: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.asarray(traced(model, (arrays,), {}, dict(values))[0])

    function = jax.jit(jax.value_and_grad(total))

    def evaluate(values: Mapping[str, Array]) -> tuple[float, Mapping[str, Array]]:
        value, gradient = function({name: jnp.asarray(values[name], dtype=float) for name in program.parameters})
        return float(value), {name: np.asarray(each) for name, each in gradient.items()}

    return evaluate
