"""`hdsl report`: a result as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.commands.output import FINDINGS, FINE, findings_json, print_json, refused, say, show, unwritable, write
from hdsl.commands.results import HELP, result_of

if TYPE_CHECKING:
    from hdsl.diagnostics import Diagnostic
    from hdsl.report.result import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl report`."""
    parser.add_argument("result", help=HELP)
    parser.add_argument("--html", action="store_true", help="an HTML page (the only form there is, and the default)")
    parser.add_argument("--out", metavar="FILE", help="the .html file (default: beside the result, of its name)")


def run(arguments: argparse.Namespace) -> int:
    """Write the report of a result."""
    from hdsl.design.snippets import StudyError

    out = arguments.out or str(Path(arguments.result).with_suffix(".html"))
    try:
        result, told = result_of(arguments.result)
    except StudyError as error:
        return refused(arguments, error.diagnostics, error.source, FINDINGS)
    problem = write_report(result, out)
    if problem is not None:
        return refused(arguments, [problem], None, FINDINGS)
    if arguments.json:
        print_json({"file": out, "diagnostics": findings_json(told, None)})
    else:
        show(told, None)
        say(f"{out}: written.")
    return FINE


def write_report(result: Result, out: str) -> Diagnostic | None:
    """Write the report of a result; return why it could not be written."""
    no_place = unwritable(out)
    if no_place is not None:
        return no_place
    from hdsl.report.html.page import report_html

    return write(Path(out), report_html(result))
