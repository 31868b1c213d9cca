"""How a model is sampled: with its effects integrated out where its structure allows it, else by the backend.

Both draw from the posterior of the plain model; see docs/decisions/0010-exact-where-recognised.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from hdsl.backend import Draws, Settings
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.inference.exact.run import MOST_HYPERPARAMETERS, NotAccepted, exact_draws
from hdsl.model.ir import Model, ModelData
from hdsl.model.walk import distributions_used
from hdsl.passes.marginal.recognise import Unrecognised

INFERENCES = ("auto", "nuts", "exact")
DEFAULT_BACKEND = "numpyro"


@dataclass(frozen=True)
class Choice:
    """How a model is to be sampled and why, in words; `marginal` where effects can be integrated out."""

    exact: bool
    reason: str
    marginal: Marginal | None = None


def choose(model: Model, data: ModelData, backend: str, settings: Settings) -> Choice:
    """Return how a plain model is sampled.

    `auto` integrates effects out for the default backend: who names another one wants its sampler.
    """
    if settings.inference == "nuts":
        return Choice(False, "NUTS was asked for")
    if settings.inference == "auto" and (backend != DEFAULT_BACKEND or settings.engine is not None):
        return Choice(False, f"{settings.engine or backend} was asked for")
    if "bart" in distributions_used(model):
        return Choice(False, "trees are drawn one by one")
    found = marginal_of(model, data)
    if isinstance(found, Unrecognised):
        return Choice(False, found.reason)
    if found.size > MOST_HYPERPARAMETERS:
        reason = f"{found.size} parameters are left when effects are integrated out (at most {MOST_HYPERPARAMETERS})"
        return Choice(False, reason)
    return Choice(True, in_words(found), found)


def in_words(marginal: Marginal) -> str:
    """Return what is integrated out and what is left."""
    effects = [effect.role for effect in marginal.linear.effects]
    left = [variable.role for variable in marginal.linear.hyper.variables]
    return f"integrated out: {', '.join(effects)}; left: {', '.join(left) or 'nothing'}"


def drawn(choice: Choice, settings: Settings) -> tuple[Draws | None, str]:
    """Return exact draws, or None and why there are none."""
    if choice.marginal is None:
        return None, choice.reason
    found = exact_draws(choice.marginal, settings)
    return (None, found.reason) if isinstance(found, NotAccepted) else (found, choice.reason)
