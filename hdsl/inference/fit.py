"""A model is prepared, lowered, sampled and brought back to its plain form."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hdsl import backend as backends
from hdsl.backend import Backend, Draws, Progress, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.inference.choose import INFERENCES, choose, drawn
from hdsl.inference.integrated import Integrated, given_back, to_sample
from hdsl.inference.recover import recover
from hdsl.inference.words import sampled_in_words
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import reported
from hdsl.reference.values import Array

INTEGRATED = "effects integrated out"


@dataclass(frozen=True)
class Fit:
    """Draws of a plain model.

    Attributes
    ----------
    backend : str
    sampled : Draws
        What the backend returned, of the prepared model's variables.
    parameters : mapping
        Random variable of the plain model to draws of shape (chain, draw, *dims); large ones lie in files
        (`hdsl.storage`).
    roles : mapping
        Reported role to draws of shape (chain, draw, *dims), likewise.
    settings : Settings
    how : str
        How it was sampled and why, in words: what was integrated out, else in which forms NUTS had the effects.
    parts : tuple of Fit
        The fits of which these draws are a mixture, where the data differ between draws.
    intervals : str
        How the draws were corrected, for a working likelihood or for estimated propensity scores, in words.
    likelihood : mapping or None
        The draws as they were sampled, where `parameters` are corrected ones: the likelihood's are at these.
    """

    model: Model
    data: ModelData
    backend: str
    sampled: Draws
    parameters: Mapping[str, Array]
    roles: Mapping[str, Array]
    settings: Settings
    how: str = ""
    parts: tuple[Fit, ...] = ()
    intervals: str = ""
    likelihood: Mapping[str, Array] | None = None


def fit(
    model: Model,
    data: ModelData,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Fit | Diagnostic:
    """Draw from the posterior of a plain model.

    Effects are integrated out where `settings.inference` and the model's structure allow it: all at once where exact
    draws are wanted, else those of nested groupings, and the backend samples the rest. HDM604 where the backend
    cannot express the model, HDM713 for settings that cannot be used, HDM716 where effects were to be integrated out
    and cannot be.

    Raises
    ------
    SamplingFailed
        The backend gave no usable draws.
    NotStored
        Large draws found no place on the disk.
    """
    unusable = _unusable(settings)
    if unusable is not None:
        return unusable
    choice = choose(model, data, backend.name, settings)
    exact, how = drawn(choice, settings)
    if exact is not None:
        found = reported(model, data, exact.values)
        return Fit(model, data, backend.name, exact, exact.values, found, settings, how)
    if settings.inference == "exact":
        return not_integrated(how, settings.inference)
    chosen = to_sample(model, data, settings, backend)
    if isinstance(chosen, Integrated):
        why = [f"exact draws were not made: {how}"] if settings.inference == "auto" else []
        return _on_integrated(model, data, chosen, backend, settings, progress, why)
    if settings.inference == "marginal":
        return not_integrated(chosen.reason, settings.inference)
    prepared, values = prepare(model, data)
    refused = backends.refusal(prepared, backend)
    if refused is not None:
        return refused
    program = backend.lower(prepared, values)
    sampled = backend.sample(program, prepared, values, settings, progress)
    parameters = recover(prepared, values, model, sampled.values)
    reasons = dict.fromkeys([how, chosen.reason] if settings.inference == "auto" else [how])
    how = "; ".join([f"NUTS on the whole model: {'; '.join(reasons)}", *sampled_in_words(model, prepared, values)])
    return Fit(model, data, backend.name, sampled, parameters, reported(model, data, parameters), settings, how)


def _unusable(settings: Settings) -> Diagnostic | None:
    """Return HDM713 for settings that neither a sampler nor exact draws can use."""
    if settings.inference not in INFERENCES:
        help_ = f"Choose one of: {', '.join(INFERENCES)}."
        return Diagnostic("HDM713", f"There is no inference called {settings.inference!r}.", help=help_)
    if settings.inference == "exact" and settings.options:
        named = ", ".join(f"`{name}`" for name in sorted(settings.options))
        message = f"Exact draws run no sampler, and take no option {named}."
        return Diagnostic("HDM713", message, help="Leave it out, or sample with `--inference nuts`.")
    problems = {
        "There must be at least one chain.": settings.chains < 1,
        "There must be at least one draw.": settings.draws < 1,
        "The seed cannot be negative.": settings.seed < 0,
    }
    wrong = next((text for text, found in problems.items() if found), None)
    return None if wrong is None else Diagnostic("HDM713", wrong, help="Change the sampling settings.")


def not_integrated(reason: str, inference: str) -> Diagnostic:
    """Return HDM716: effects cannot be integrated out in the way that was asked for."""
    help_ = f"Leave `--inference {inference}` out: the model is then sampled with NUTS."
    return Diagnostic("HDM716", f"The effects cannot be integrated out: {reason}.", help=help_)


def _on_integrated(
    model: Model,
    data: ModelData,
    chosen: Integrated,
    backend: Backend,
    settings: Settings,
    progress: Callable[[Progress], None] | None,
    why: Sequence[str],
) -> Fit:
    """Sample a model with effects integrated out, and put these back."""
    program = backend.lower(chosen.prepared, chosen.values)
    sampled = backend.sample(program, chosen.prepared, chosen.values, settings, progress)
    began = time.perf_counter()
    parameters = given_back(chosen, sampled.values, settings.seed)
    seconds = {**sampled.seconds, "effects": time.perf_counter() - began}
    sampled = replace(sampled, engine=f"{sampled.engine}, {INTEGRATED}", seconds=seconds)
    roles = reported(model, data, parameters)
    forms = sampled_in_words(chosen.model, chosen.prepared, chosen.values)
    how = "; ".join(["NUTS with effects integrated out", chosen.in_words(), *forms, *why])
    return Fit(model, data, backend.name, sampled, parameters, roles, settings, how)
