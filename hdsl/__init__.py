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
    from hdsl.driver import check, compare, compare_pooling, compare_studies, derive, emit, explain, format_text, run
    from hdsl.report.doctor import findings as doctor
    from hdsl.report.result import Result
    from hdsl.report.starter import starter

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
    "compare": "hdsl.driver",
    "compare_pooling": "hdsl.driver",
    "compare_studies": "hdsl.driver",
    "derive": "hdsl.driver",
    "emit": "hdsl.driver",
    "explain": "hdsl.driver",
    "format_text": "hdsl.driver",
    "run": "hdsl.driver",
    "Result": "hdsl.report.result",
    "starter": "hdsl.report.starter",
    "SamplingFailed": "hdsl.backend",
    "Settings": "hdsl.backend",
}

__all__ = [
    "Result",
    "SamplingFailed",
    "Settings",
    "Study",
    "StudyError",
    "bernoulli",
    "check",
    "compare",
    "compare_pooling",
    "compare_studies",
    "complete",
    "covariate",
    "derive",
    "doctor",
    "emit",
    "explain",
    "exposure",
    "format_text",
    "ignorable",
    "intermediate",
    "json_schema",
    "load",
    "outcome",
    "rule",
    "run",
    "starter",
    "weight",
]


def __getattr__(name: str) -> Any:
    if name == "doctor":
        return import_module("hdsl.report.doctor").findings
    if name not in _HOMES:
        raise AttributeError(f"module 'hdsl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def load_ipython_extension(shell: Any) -> None:
    """Register the cell magic `%%hdsl`."""
    import_module("hdsl.magic").load_ipython_extension(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
