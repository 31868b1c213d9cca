"""The one way from a bound study to its Model: from explicit equations where there are any, else the design."""

from __future__ import annotations

from hdsl.data.bound import Bound
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData


def model_of(bound: Bound) -> tuple[tuple[Model, ModelData] | None, list[Diagnostic]]:
    """Return the plain model of a bound study with its data, and what stands in the way."""
    if bound.study.equations:
        from hdsl.model.from_equations import from_equations

        return from_equations(bound)
    from hdsl.model.from_design import derive

    return derive(bound)
