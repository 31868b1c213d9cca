"""Fitted quantiles that cross: a lower quantile above a higher one, which no distribution has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData, Observation
from hdsl.reference.density import definitions, law_references
from hdsl.reference.values import Array, evaluate, expand

TOLERATED = 1e-9


def crossing(model: Model, data: ModelData, draws: Mapping[str, Array]) -> list[Diagnostic]:
    """Return HDM718 where quantiles fitted together, at the posterior mean, cross at rows of the data.

    Source: Koenker (2005), Quantile Regression, section 2.5.
    """
    return [
        _warning(observation.outcome, crossed, rows)
        for observation in model.observations
        if observation.law.distribution == "asymmetric_laplace" and len(observation.dims) == 2
        for crossed, rows in [_crossed(model, data, observation, draws)]
        if crossed
    ]


def _crossed(model: Model, data: ModelData, observation: Observation, draws: Mapping[str, Array]) -> tuple[int, int]:
    middle = {name: value.mean(axis=(0, 1))[None] for name, value in draws.items()}
    env = definitions(model, data, middle, law_references(observation.law), ("draw",))
    location = expand(evaluate(observation.law.args[0], env), ("draw", *observation.dims))[0]
    falls = np.diff(location, axis=1) < -TOLERATED * np.ptp(location)
    return int(np.any(falls, axis=1).sum()), len(location)


def _warning(outcome: str, crossed: int, rows: int) -> Diagnostic:
    message = f"The fitted quantiles of {outcome} cross in {crossed} of {rows} rows."
    help_ = "Ask for fewer quantiles, further apart, or for fewer terms; few rows near the crossing matter little."
    return Diagnostic("HDM718", message, severity="warning", help=help_)
