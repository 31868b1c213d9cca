"""A model whose nested groupings are integrated out, for the samplers of the backends, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hdsl.backend import Backend, Settings, unsupported
from hdsl.inference.exact.given import draw_given
from hdsl.inference.exact.hyper import known_scales
from hdsl.inference.exact.marginal import Marginal, kinds_of
from hdsl.inference.recover import recover
from hdsl.model.ir import Model, ModelData
from hdsl.model.walk import distributions_used
from hdsl.passes import prepare
from hdsl.passes.marginal.lower import marginalised, suffices
from hdsl.passes.marginal.recognise import Unrecognised, recognise
from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.structure import structure_of
from hdsl.passes.precompute import precompute
from hdsl.reference.values import Array

_WHOLE = "`hdsl compile --inference nuts` prints the whole model, in Stan with generated quantities."


@dataclass(frozen=True)
class Integrated:
    """A model with effects integrated out.

    Attributes
    ----------
    model, data
        The new model and its arrays: no rows, but what suffices.
    prepared, values
        The same after the passes: what a backend lowers.
    marginal : Marginal
        What draws the effects given the rest.
    """

    model: Model
    data: ModelData
    prepared: Model
    values: ModelData
    marginal: Marginal

    def in_words(self) -> str:
        """Return what is integrated out and what is sampled."""
        names = {variable.name for variable in self.model.variables}
        gone = [v.role for v in self.marginal.linear.model.variables if v.name not in names]
        left = [variable.role for variable in self.model.variables]
        parts = [f"integrated out: {', '.join(gone)}"] if gone else ["rows are taken together"]
        return "; ".join([*parts, f"sampled: {', '.join(left)}"])


def integrated(model: Model, data: ModelData) -> Integrated | Unrecognised:
    """Return a plain model with the effects of its nested groupings integrated out, or why they cannot be."""
    if "bart" in distributions_used(model):
        return Unrecognised("trees are drawn one by one")
    lean, values = precompute(model, data)
    linear = recognise(lean, values)
    if isinstance(linear, Unrecognised):
        return linear
    try:
        statistics = suffices(linear, structure_of(linear), known_scales(linear))
        made, arrays = marginalised(linear, statistics)
    except NotLinear as reason:
        return Unrecognised(str(reason))
    light = replace(linear, columns=(), outcome=linear.outcome[:0], weights=None)
    made = made.model_copy(update={"notes": (_reduced(linear.model, made), _WHOLE)})
    own = Marginal(light, statistics, kinds_of(statistics, light), None)
    return Integrated(made, arrays, *prepare(made, arrays), own)


def _reduced(plain: Model, made: Model) -> str:
    """Return the note for readers of the program: that it is not the whole model, and what hdsl adds to its draws."""
    if {v.name for v in plain.variables} - {v.name for v in made.variables}:
        return (
            "Effects are integrated out of this program: hdsl draws them back afterwards, "
            "and computes log_lik and replicated outcomes itself."
        )
    return "The rows are summed up in this program: hdsl computes log_lik and replicated outcomes itself, afterwards."


def to_sample(model: Model, data: ModelData, settings: Settings, backend: Backend | None) -> Integrated | Unrecognised:
    """Return the model with effects integrated out that NUTS runs on, or why it runs on the whole model."""
    if settings.inference == "nuts":
        return Unrecognised("NUTS on the whole model was asked for")
    found = integrated(model, data)
    if backend is not None and isinstance(found, Integrated) and unsupported(found.prepared, backend.capabilities()):
        return Unrecognised(f"the backend {backend.name!r} cannot express it with effects integrated out")
    return found


def given_back(found: Integrated, draws: Mapping[str, Array], seed: int) -> dict[str, Array]:
    """Return draws (chain, draw, *dims) of the plain model's random variables, given those of the prepared model."""
    sampled = recover(found.prepared, found.values, found.model, draws)
    shape = next(iter(sampled.values())).shape[:2]
    flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in sampled.items()}
    whole = draw_given(found.marginal, flat, seed)
    return {name: array.reshape(*shape, *array.shape[1:]) for name, array in whole.items()}
