"""A model is prepared, lowered, sampled and brought back to its plain form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hdsl import backend as backends
from hdsl.backend import Backend, Draws, Progress, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.inference.recover import recover
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import reported
from hdsl.reference.values import Array


@dataclass(frozen=True)
class Fit:
    """Draws of a plain model.

    Attributes
    ----------
    backend : str
    sampled : Draws
        What the backend returned, of the prepared model's variables.
    parameters : mapping
        Random variable of the plain model to draws of shape (chain, draw, *dims).
    roles : mapping
        Reported role to draws of shape (chain, draw, *dims).
    settings : Settings
    """

    model: Model
    data: ModelData
    backend: str
    sampled: Draws
    parameters: Mapping[str, Array]
    roles: Mapping[str, Array]
    settings: Settings


def fit(
    model: Model,
    data: ModelData,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Fit | Diagnostic:
    """Draw from the posterior of a plain model; HDM604 where the backend cannot express it.

    Raises
    ------
    SamplingFailed
        The backend gave no usable draws.
    """
    prepared, values = prepare(model, data)
    refused = backends.refusal(prepared, backend)
    if refused is not None:
        return refused
    program = backend.lower(prepared, values)
    sampled = backend.sample(program, prepared, values, settings, progress)
    parameters = recover(prepared, values, model, sampled.values)
    return Fit(model, data, backend.name, sampled, parameters, reported(model, data, parameters), settings)
