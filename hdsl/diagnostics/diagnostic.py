"""One finding about a study or its data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from hdsl.source import Span

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Diagnostic:
    """A finding: its code, one terse sentence, where it is, and how to mend it.

    `related` points at other places that matter, each with a few words. `rows` are the data rows concerned,
    counted from 1. `path` is the place in the Study (`("analysis", 2)`), from which a span is looked up where
    the study came from text. `waived` is the reason given in a `waive` statement, None where there is none.
    """

    code: str
    message: str
    severity: Severity = "error"
    span: Span | None = None
    help: str = ""
    related: tuple[tuple[Span, str], ...] = ()
    rows: tuple[int, ...] = ()
    waived: str | None = None
    path: tuple[str | int, ...] | None = None


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Tell whether any diagnostic is an error that is not waived."""
    return any(d.severity == "error" and d.waived is None for d in diagnostics)
