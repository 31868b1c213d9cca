"""hdsl: from a declared study design to its causal answer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hdsl.backend import SamplingFailed, Settings
    from hdsl.design.parts import (
        bernoulli,
        complete,
        covariate,
        exposure,
        ignorable,
        intermediate,
        outcome,
        rule,
        weight,
    )
    from hdsl.design.study import Study, StudyError, json_schema, load
    from hdsl.driver import check, derive, emit, explain, run

__version__ = "0.1.0"

_HOMES = {
    "Study": "hdsl.design.study",
    "StudyError": "hdsl.design.study",
    "json_schema": "hdsl.design.study",
    "load": "hdsl.design.study",
    "bernoulli": "hdsl.design.parts",
    "complete": "hdsl.design.parts",
    "covariate": "hdsl.design.parts",
    "exposure": "hdsl.design.parts",
    "ignorable": "hdsl.design.parts",
    "intermediate": "hdsl.design.parts",
    "outcome": "hdsl.design.parts",
    "rule": "hdsl.design.parts",
    "weight": "hdsl.design.parts",
    "check": "hdsl.driver",
    "derive": "hdsl.driver",
    "emit": "hdsl.driver",
    "explain": "hdsl.driver",
    "run": "hdsl.driver",
    "SamplingFailed": "hdsl.backend",
    "Settings": "hdsl.backend",
}

__all__ = [
    "SamplingFailed",
    "Settings",
    "Study",
    "StudyError",
    "bernoulli",
    "check",
    "complete",
    "covariate",
    "derive",
    "emit",
    "explain",
    "exposure",
    "ignorable",
    "intermediate",
    "json_schema",
    "load",
    "outcome",
    "rule",
    "run",
    "weight",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hdsl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
