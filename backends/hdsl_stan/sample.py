"""Sampling: which engine runs, and draws under the Model's names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hdsl.backend import Draws, Program, Progress, Settings
from hdsl.model.ir import Model, ModelData
from hdsl_stan import engine_stanli
from hdsl_stan.data import stan_data
from hdsl_stan.engines import choose
from hdsl_stan.lower import lowered


def sample(
    program: Program,
    model: Model,
    data: ModelData,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Draws:
    """Draw from the posterior of `program`. Raises SamplingFailed."""
    engine = choose(settings.engine)
    result = lowered(model)
    items = stan_data(model, data, result)
    sizes = model.sizes
    shapes = {variable.name: tuple(sizes[dim] for dim in variable.dims) for variable in result.parameters.values()}
    if engine == "cmdstan":
        from hdsl_stan import engine_cmdstan

        draws = engine_cmdstan.sample(program.source, items, shapes, settings, progress)
    else:
        draws = engine_stanli.sample(program.source, items, shapes, settings, progress)
    values = {name: draws.values[stan_name] for name, stan_name in program.parameters.items()}
    return replace(draws, values=values)
