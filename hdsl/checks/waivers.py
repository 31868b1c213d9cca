"""Waivers: a warning that a researcher has judged, with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hdsl.checks.finding import finding, suggestion
from hdsl.design.ir import StudyFields
from hdsl.diagnostics import CODES, Diagnostic

CHECKED = ("HDM2", "HDM3", "HDM4", "HDM5")
RAISED_LATER = ("HDM411", "HDM425")


def apply_waivers(study: StudyFields, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return the diagnostics with the reason on those that a `waive` statement silences.

    Only warnings can be waived. What a waiver cannot do is added: HDM261 (no such code), HDM262 (nothing to
    waive: the code was not raised) and HDM263 (errors and notes cannot be waived). Codes of sampling, which
    come later, are left alone.
    """
    reasons = {waiver.code.upper(): waiver.because for waiver in reversed(study.waivers)}
    found = [_waived(diagnostic, reasons) for diagnostic in diagnostics]
    return [*found, *_judged(study, found)]


def _waived(diagnostic: Diagnostic, reasons: dict[str, str]) -> Diagnostic:
    if diagnostic.severity != "warning" or diagnostic.code not in reasons:
        return diagnostic
    return replace(diagnostic, waived=reasons[diagnostic.code])


def _judged(study: StudyFields, found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    raised = {diagnostic.code: diagnostic.severity for diagnostic in found}
    warned = {diagnostic.code for diagnostic in found if diagnostic.severity == "warning"}
    failed = any(diagnostic.severity == "error" for diagnostic in found)
    for i, waiver in enumerate(study.waivers):
        code, path = waiver.code.upper(), ("waivers", i)
        if code not in CODES:
            yield finding("HDM261", f"There is no code `{waiver.code}`.", path, suggestion(code, CODES))
        elif code in raised and code not in warned:
            message = f"{code} is {'an error' if raised[code] == 'error' else 'a note'}; only warnings can be waived."
            help = f"Mend it: `hdsl explain {code}` says how." if raised[code] == "error" else "Leave it out."
            yield finding("HDM263", message, path, help)
        elif code not in raised and code.startswith(CHECKED) and code not in RAISED_LATER and not failed:
            yield finding("HDM262", f"{code} was not raised: there is nothing to waive.", path, "Leave it out.")
