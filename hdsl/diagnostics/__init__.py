"""Diagnostics: errors as values, their codes, and how they are shown."""

from __future__ import annotations

from hdsl.diagnostics.codes import CODES, CodeInfo
from hdsl.diagnostics.diagnostic import Diagnostic, Severity, has_errors
from hdsl.diagnostics.memory import short_of_memory
from hdsl.diagnostics.render import to_json, to_rich, to_text
from hdsl.diagnostics.suggest import did_you_mean

__all__ = [
    "CODES",
    "CodeInfo",
    "Diagnostic",
    "Severity",
    "did_you_mean",
    "has_errors",
    "short_of_memory",
    "to_json",
    "to_rich",
    "to_text",
]
