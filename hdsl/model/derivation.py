"""The one way from a bound study to its Model: from explicit equations where there are any, else the design."""

from __future__ import annotations

from hdsl.data.bound import Bound
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData


def model_of(bound: Bound) -> tuple[tuple[Model, ModelData] | None, list[Diagnostic]]:
    """Return the plain model of a bound study with its data, and what stands in the way."""
    from hdsl.model.derive.quantiles import uncorrected

    if bound.study.equations:
        from hdsl.model.derive.missing import with_gaps
        from hdsl.model.from_equations import from_equations

        gaps = with_gaps(bound)
        if gaps:
            message = f"`{gaps[0].name}` has gaps, for which explicit equations have no law."
            help_ = "Leave `missing` out: rows with gaps are then dropped and counted."
            return None, [Diagnostic("HDM636", message, help=help_)]
        made, found = from_equations(bound)
        return made, found if made is None else [*found, *uncorrected(bound.study, made[0])]
    from hdsl.model.from_design import derive

    made, found = derive(bound)
    return made, found if made is None else [*found, *uncorrected(bound.study, made[0])]
