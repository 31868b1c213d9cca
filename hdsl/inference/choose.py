"""How a model is sampled: with its effects integrated out where its structure allows it, else by the backend.

Both draw from the posterior of the plain model; see docs/decisions/0010-exact-where-recognised.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from hdsl.backend import Draws, Settings
from hdsl.inference.exact.accept import NotAccepted
from hdsl.inference.exact.hyper import size_of
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.inference.exact.run import MOST_HYPERPARAMETERS, exact_draws
from hdsl.inference.quadrature import run as quadrature
from hdsl.inference.quadrature.groups import Grouped, grouped
from hdsl.inference.quadrature.recognise import PREDICTOR, predicted
from hdsl.model.ir import Model, ModelData
from hdsl.model.walk import distributions_used
from hdsl.passes.marginal.recognise import Linear, Unrecognised

INFERENCES = ("auto", "nuts", "marginal", "exact")
DEFAULT_BACKEND = "numpyro"


@dataclass(frozen=True)
class Choice:
    """How a model is to be sampled and why, in words; `marginal` or `grouped` where effects can be integrated out."""

    exact: bool
    reason: str
    marginal: Marginal | None = None
    grouped: Grouped | None = None


def choose(model: Model, data: ModelData, backend: str, settings: Settings) -> Choice:
    """Return how a plain model is sampled.

    `auto` draws exactly for the default backend alone: who names another one wants its sampler, which then runs on the
    model with effects integrated out (`hdsl.inference.integrated`).
    """
    if settings.inference in ("nuts", "marginal"):
        return Choice(False, "NUTS was asked for")
    if settings.inference == "auto" and (backend != DEFAULT_BACKEND or settings.engine is not None):
        return Choice(False, f"{settings.engine or backend} was asked for")
    if settings.inference == "auto" and settings.options:
        return Choice(False, f"the sampler's options {', '.join(sorted(settings.options))} were given")
    if "bart" in distributions_used(model):
        return Choice(False, "trees are drawn one by one")
    if any(observation.law.distribution in PREDICTOR for observation in model.observations):
        return _by_quadrature(model, data)
    found = marginal_of(model, data)
    if isinstance(found, Unrecognised):
        return Choice(False, found.reason)
    if found.size > MOST_HYPERPARAMETERS:
        reason = f"{found.size} parameters are left when effects are integrated out (at most {MOST_HYPERPARAMETERS})"
        return Choice(False, reason)
    return Choice(True, in_words(found.linear), found)


def _by_quadrature(model: Model, data: ModelData) -> Choice:
    """Return whether the effects of an outcome that is not Gaussian are integrated out group by group."""
    found = predicted(model, data)
    if isinstance(found, Unrecognised):
        return Choice(False, found.reason)
    left = size_of(found.linear.hyper)
    if left > quadrature.MOST_HYPERPARAMETERS:
        most = quadrature.MOST_HYPERPARAMETERS
        return Choice(False, f"{left} parameters are left when effects are integrated out (at most {most})")
    made = grouped(found)
    kinds, groups, cells = made.kinds.groups, made.table.groups, made.kinds.x.shape[1]
    alike = f" of {groups:,} groups of {kinds:,} kinds" if made.size else ""
    counted = f"{found.rows:,} rows are {cells:,} cells{alike}"
    return Choice(True, f"{in_words(found.linear)}; {counted}", grouped=made)


def in_words(linear: Linear) -> str:
    """Return what is integrated out and what is left."""
    effects = [effect.role for effect in linear.effects]
    left = [variable.role for variable in linear.hyper.variables]
    return f"integrated out: {', '.join(effects) or 'nothing'}; left: {', '.join(left) or 'nothing'}"


def drawn(choice: Choice, settings: Settings) -> tuple[Draws | None, str]:
    """Return exact draws, or None and why there are none."""
    if choice.grouped is not None:
        found = quadrature.quadrature_draws(choice.grouped, settings)
    elif choice.marginal is not None:
        found = exact_draws(choice.marginal, settings)
    else:
        return None, choice.reason
    return (None, found.reason) if isinstance(found, NotAccepted) else (found, choice.reason)
