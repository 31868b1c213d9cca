"""Passes: rewritings of a Model that keep its posterior and make it faster or easier to sample.

Every name of the plain model that a pass replaces becomes a definition of the same name, so that evaluating
the rewritten model's definitions on its draws gives back the plain model's parameters.
"""

from __future__ import annotations

from hdsl.model.ir import Model, ModelData
from hdsl.passes.between import between_forms
from hdsl.passes.cells import cells
from hdsl.passes.centre import centre
from hdsl.passes.noncentre import reparameterise
from hdsl.passes.precompute import precompute
from hdsl.passes.standardise import standardise


def prepare(model: Model, data: ModelData) -> tuple[Model, ModelData]:
    """Run the passes in order: what data tell is computed, equal rows are one, then parameters are moved and scaled."""
    model, data = precompute(model, data)
    model, data = cells(model, data)
    model = centre(model)
    model, data = between_forms(model, data)
    model = reparameterise(model, data)
    return standardise(model, data), data


__all__ = ["between_forms", "cells", "centre", "precompute", "prepare", "reparameterise", "standardise"]
