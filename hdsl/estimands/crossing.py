"""Fitted quantiles that cross: a lower quantile above a higher one, which no distribution has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData, Observation
from hdsl.reference.density import definitions, law_references
from hdsl.reference.values import Array, evaluate, expand

TOLERATED = 1e-9
SOME = 200


def crossing(model: Model, data: ModelData, draws: Mapping[str, Array]) -> list[Diagnostic]:
    """Return HDM718 where quantiles fitted together, at the posterior mean, cross at rows of the data.

    It says in how many draws of rows they were put in order (`hdsl.estimands.quantiles`).

    Source: Koenker (2005), Quantile Regression, section 2.5.
    """
    return [
        _warning(observation.outcome, crossed, rows, _share(model, data, observation, draws))
        for observation in model.observations
        if observation.law.distribution == "asymmetric_laplace" and len(observation.dims) == 2
        for crossed, rows in [_crossed(model, data, observation, draws)]
        if crossed
    ]


def _crossed(model: Model, data: ModelData, observation: Observation, draws: Mapping[str, Array]) -> tuple[int, int]:
    middle = {name: value.mean(axis=(0, 1))[None] for name, value in draws.items()}
    found = _falls(model, data, observation, middle)[0]
    return int(found.sum()), len(found)


def _share(model: Model, data: ModelData, observation: Observation, draws: Mapping[str, Array]) -> float:
    """Return the share of rows and draws in which the quantiles cross, from draws far apart."""
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in draws.items()}
    total = len(next(iter(flat.values())))
    some = np.linspace(0, total - 1, min(total, SOME)).round().astype(np.int64)
    return float(np.mean([_falls(model, data, observation, {n: v[[i]] for n, v in flat.items()}) for i in some]))


def _falls(model: Model, data: ModelData, observation: Observation, draws: Mapping[str, Array]) -> NDArray[np.bool_]:
    """Return whether the quantiles cross, shape (draws, rows), given draws of shape (draw, *dims)."""
    env = definitions(model, data, draws, law_references(observation.law), ("draw",))
    location = expand(evaluate(observation.law.args[0], env), ("draw", *observation.dims))
    return np.any(np.diff(location, axis=2) < -TOLERATED * np.ptp(location), axis=2)


def _warning(outcome: str, crossed: int, rows: int, share: float) -> Diagnostic:
    often = f"{share:.0%}" if share >= 0.01 else "under 1%"
    message = (
        f"The fitted quantiles of {outcome} cross in {crossed} of {rows} rows. For effects and predictions they were "
        f"put in order, in {often} of rows and draws."
    )
    help_ = "Ask for fewer quantiles, further apart, or for fewer terms; few rows near the crossing matter little."
    return Diagnostic("HDM718", message, severity="warning", help=help_)
