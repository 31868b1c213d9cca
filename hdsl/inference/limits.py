"""Whether the draws lie where the model's approximations hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Limit, Model
from hdsl.reference.values import Array

TOLERATED = 0.05


def beyond_limits(model: Model, parameters: Mapping[str, Array]) -> list[Diagnostic]:
    """Return a warning (HDM720) for each approximation beyond whose limits more than a twentieth of the draws lie.

    Source: Riutort-Mayol et al. (2023), section 4.4: after the fit the length-scales are compared with those that the
    number of functions and the boundary can represent.
    """
    return [found for limit in model.limits for found in _beyond(limit, parameters[limit.variable])]


def _beyond(limit: Limit, draws: Array) -> Iterator[Diagnostic]:
    below, above = float(np.mean(draws < limit.low)), float(np.mean(draws > limit.high))
    if below > TOLERATED:
        yield _warning(
            f"{limit.of} changes faster than its approximation can: {below:.0%} of the draws of {limit.role} are below "
            f"{limit.low:g}.",
            "Use more functions, `gp(x, functions = 150)`, or `spline(x)`.",
        )
    if above > TOLERATED:
        yield _warning(
            f"{limit.of} changes more slowly than its approximation was made for: {above:.0%} of the draws of "
            f"{limit.role} are above {limit.high:g}.",
            f"Give `{limit.role}` a prior that reaches further, or use a straight line or `spline(x)`.",
        )


def _warning(message: str, help_: str) -> Diagnostic:
    return Diagnostic("HDM720", message, severity="warning", help=help_)
