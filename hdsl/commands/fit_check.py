"""`hdsl check --fit` and `--prior`: whether the model could have made the data, after the fit and before it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.commands.output import FAILED, FINDINGS, FINE, USAGE, findings_json, print_json, refused, show
from hdsl.commands.settings import failed
from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.report.predictive import FitCheck
    from hdsl.report.result import Result
    from hdsl.source import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `hdsl check` that look at the model."""
    fit = "check whether the fitted model could have made the data: the newest kept run, or a new one"
    parser.add_argument("--fit", action="store_true", help=f"{fit} (a saved result, .nc, may stand for the study)")
    parser.add_argument("--prior", action="store_true", help="check whether the priors expect data like these")


def run(arguments: argparse.Namespace) -> int:
    """Check a study's fit, its priors, or both."""
    from hdsl.backend import SamplingFailed
    from hdsl.design.snippets import StudyError

    if arguments.no_data:
        wrong = Diagnostic("HDM116", "--no-data leaves nothing to check a fit or priors against.", help="Leave it out.")
        return refused(arguments, [wrong], None, USAGE)
    try:
        return _fitted(arguments) if arguments.fit else _before(arguments)
    except StudyError as error:
        return refused(arguments, error.diagnostics, error.source, failed(error, FINDINGS))
    except SamplingFailed as error:
        return refused(arguments, error.diagnostics, None, failed(error, FAILED))


def _fitted(arguments: argparse.Namespace) -> int:
    result, told = _result(arguments)
    return _shown(arguments, result.check_fit(), [*told, *result.warnings], result.source)


def _result(arguments: argparse.Namespace) -> tuple[Result, list[Diagnostic]]:
    """Return the result to check: one that is kept and, where there is none, a new one, which is kept."""
    from hdsl.commands.results import result_of
    from hdsl.driver import run as fit
    from hdsl.report.runs import folder_of, runs_in

    path = Path(arguments.study)
    kept = path.suffix != ".hdm" or (path.exists() and bool(runs_in([folder_of(path)])))
    if kept and arguments.data is None:
        return result_of(arguments.study)
    return fit(arguments.study, data=arguments.data, runs=True), []


def _before(arguments: argparse.Namespace) -> int:
    from hdsl.driver import derive
    from hdsl.report.predictive import check_prior

    derived = derive(arguments.study, arguments.data)
    source, bound = derived.checked.opened.source, derived.checked.bound
    if derived.model is None or derived.data is None or bound is None:
        return refused(arguments, derived.diagnostics, source, FINDINGS)
    return _shown(arguments, check_prior(derived.model, derived.data, bound), derived.diagnostics, source)


def _shown(arguments: argparse.Namespace, found: FitCheck, told: Sequence[Diagnostic], source: Source | None) -> int:
    if arguments.json:
        told_json = findings_json([*told, *found.findings], source)
        print_json({"fit": found.to_json(), "diagnostics": told_json})
    else:
        from hdsl.report.predictive.terminal import show_fit

        show_fit(found)
        show([*told, *found.findings], source)
    return FINE if found.passed else FINDINGS
