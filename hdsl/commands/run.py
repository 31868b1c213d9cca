"""`hdsl run`: fit a study, or recall the run that was kept of it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.commands.output import (
    FAILED,
    FINDINGS,
    FINE,
    no_folder,
    not_written,
    print_json,
    refused,
    say,
    show,
    unwritable,
)
from hdsl.commands.report import write_report
from hdsl.commands.settings import add_engine_options, add_inference, add_settings, add_stream, failed, settings_of
from hdsl.commands.watch import watched
from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.report.result import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl run`, but for the study and its data."""
    parser.add_argument("--backend", default="numpyro", help="numpyro (default), pymc or stan")
    parser.add_argument("--engine", help="the backend's sampler or engine")
    add_inference(parser)
    add_settings(parser, draws=1000)
    add_engine_options(parser)
    out = "FILE.nc: save the result there too; any other name: the folder in which runs are kept"
    parser.add_argument("--out", metavar="PATH", help=f"{out} (default: .hdsl beside the study)")
    what = "write the HTML report too (default: the study's name with .html)"
    parser.add_argument("--report", metavar="FILE", nargs="?", const="", help=what)
    add_stream(parser)
    parser.add_argument("--fresh", action="store_true", help="run anew, even if the same run is kept")


def run(arguments: argparse.Namespace) -> int:
    """Fit a study and show what was found."""
    from hdsl.backend import SamplingFailed
    from hdsl.design.snippets import StudyError
    from hdsl.driver import run as fit
    from hdsl.report.terminal import progress_bars, show_result

    settings = settings_of(arguments)
    file = arguments.out if arguments.out and arguments.out.endswith(".nc") else None
    page = arguments.report or (None if arguments.report is None else str(Path(arguments.study).with_suffix(".html")))
    no_place = unwritable(file) or unwritable(page) or no_folder(arguments.keep_csv)
    if no_place is not None:
        return refused(arguments, [no_place], None, FINDINGS)
    runs = arguments.out if arguments.out and file is None else True
    try:
        with watched(arguments), progress_bars(settings, quiet=arguments.json) as progress:
            result = fit(
                arguments.study,
                backend=arguments.backend,
                data=arguments.data,
                settings=settings,
                progress=progress,
                runs=runs,
                fresh=arguments.fresh or arguments.keep_csv is not None,
                stream=arguments.stream,
                shards=tuple(arguments.shards or ()),
            )
    except StudyError as error:
        return refused(arguments, error.diagnostics, error.source, failed(error, FINDINGS))
    except SamplingFailed as error:
        return refused(arguments, error.diagnostics, None, failed(error, FAILED))
    unwritten = _write(result, file, page)
    result = replace(result, warnings=(*result.warnings, *unwritten))
    if arguments.json:
        print_json(result.to_json())
    else:
        _say_recalled(result)
        show_result(result)
        show(result.warnings, result.source)
        if page is not None and not unwritten:
            say(f"{page}: written.")
    if unwritten:
        return FINDINGS
    return FAILED if result.diagnosis.verdict == "fail" else FINE


def _write(result: Result, file: str | None, page: str | None) -> list[Diagnostic]:
    """Write the files asked for; return why they could not be, for a result is shown all the same."""
    found: list[Diagnostic] = []
    if file is not None:
        try:
            result.save(file)
        except OSError as error:
            found.append(not_written(Path(file), error))
    unwritten = None if page is None else write_report(result, page)
    return found if unwritten is None else [*found, unwritten]


def _say_recalled(result: Result) -> None:
    if result.recalled:
        when = result.recalled.replace("T", " ").removesuffix("+00:00")
        say(f"Recalled: nothing has changed since the run of {when} UTC (--fresh runs anew).")
