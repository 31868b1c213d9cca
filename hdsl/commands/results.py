"""Finding the result that a command is about: a saved file, or the newest kept run of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.report.result import Result

HELP = "a result (.nc), or a study (.hdm) whose newest kept run is meant"


def result_of(name: str) -> tuple[Result, list[Diagnostic]]:
    """Return the result that a name stands for, and what to say of it.

    Raises
    ------
    StudyError
        HDM117: there is none.
    """
    from hdsl.design.snippets import StudyError
    from hdsl.report.result import Result
    from hdsl.report.runs import folder_of, runs_in

    path = Path(name)
    if path.suffix != ".hdm":
        result = Result.load(path)
        return result, _unusable(result)
    runs = runs_in([folder_of(path)]) if path.exists() else []
    if not runs:
        missing = f"No run of {name} is kept." if path.exists() else f"There is no file {name}."
        raise StudyError([Diagnostic("HDM117", missing, help=f"Run it first: hdsl run {name}")])
    result = Result.load(runs[0].path)
    return result, [*([_changed(name)] if _key_now(path, result) != runs[0].key else []), *_unusable(result)]


def _unusable(result: Result) -> list[Diagnostic]:
    if not result.unusable:
        return []
    help_ = "Read the warnings of the run, mend the model or draw more, and run it again."
    return [Diagnostic("HDM730", result.unusable, severity="warning", help=help_)]


def _key_now(path: Path, result: Result) -> str:
    """Return the key that the run would have today, empty where the study cannot be run."""
    from hdsl.driver import derive
    from hdsl.report.runs import key_of

    summed_up = result.bound.frequency is not None
    derived = derive(path, None, stream=True if summed_up else None)
    bound, model, data = derived.checked.bound, derived.model, derived.data
    if bound is None or model is None or data is None:
        return ""
    return key_of(bound, model, data, result.backend, result.settings)


def _changed(name: str) -> Diagnostic:
    message = "The study, its data or hdsl have changed since this run."
    return Diagnostic("HDM120", message, severity="warning", help=f"For today's result: hdsl run {name}")
