"""`hdsl plot` and `hdsl table`: pictures and tables of a result as files."""

from __future__ import annotations

import argparse
from pathlib import Path

from hdsl.commands.output import FINDINGS, FINE, findings_json, print_json, refused, say, show, unwritable, write
from hdsl.commands.results import HELP, result_of

KINDS = ("forest", "shrinkage", "curve", "ppc", "fit", "design", "overlap", "variance", "prior", "trace", "rank")
PICTURES = (".svg", ".pdf", ".png")
TABLES = {".md": "markdown", ".tex": "latex", ".csv": "csv"}
PARTS = ("estimands", "parameters", "all", "balance")


def add_plot_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl plot`."""
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("result", help=HELP)
    what = "forest: an estimand or role; shrinkage: a level; curve: a covariate, wave, dose or role"
    parser.add_argument("of", nargs="?", metavar="OF", help=what)
    parser.add_argument("--treatment", help="shrinkage, curve: whose effect; overlap: whose propensity")
    parser.add_argument("--out", metavar="FILE", help="the .svg, .pdf or .png file (default: KIND.svg)")


def plot(arguments: argparse.Namespace) -> int:
    """Draw a picture of a result into a file."""
    from hdsl.design.snippets import StudyError
    from hdsl.report.pictures import picture
    from hdsl.report.pictures.style import file_of
    from hdsl.report.pictures.style import refused as no_picture

    out = Path(arguments.out or f"{arguments.kind}.svg")
    try:
        if out.suffix not in PICTURES:
            raise no_picture(f"{out} is no picture's name.", f"End it with {', '.join(PICTURES)}.")
        result, told = result_of(arguments.result)
        made = picture(result, arguments.kind, **_options(arguments))
        content = file_of(made, out.suffix[1:])
    except StudyError as error:
        return refused(arguments, error.diagnostics, error.source, FINDINGS)
    problem = unwritable(str(out)) or write(out, content)
    if problem is not None:
        return refused(arguments, [problem], None, FINDINGS)
    if arguments.json:
        print_json({"file": str(out), "diagnostics": findings_json(told, None)})
    else:
        show(told, None)
        say(f"{out}: written.")
    return FINE


def _options(arguments: argparse.Namespace) -> dict[str, str]:
    named = {"forest": "name", "shrinkage": "level", "curve": "x"}
    options = {named[arguments.kind]: arguments.of} if arguments.of and arguments.kind in named else {}
    if arguments.treatment and arguments.kind in ("shrinkage", "curve", "overlap"):
        options["treatment"] = arguments.treatment
    return options


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl table`."""
    parser.add_argument("result", help=HELP)
    which = f"{', '.join(PARTS)} (default: the first)"
    parser.add_argument("part", nargs="?", choices=PARTS, default="estimands", help=which)
    parser.add_argument("--format", choices=tuple(TABLES.values()), help="default: by the file's name, else markdown")
    parser.add_argument("--out", metavar="FILE", help="the .md, .tex or .csv file (default: standard output)")


def table(arguments: argparse.Namespace) -> int:
    """Write a table of a result."""
    from hdsl.design.snippets import StudyError
    from hdsl.report.tables import table_text

    try:
        result, told = result_of(arguments.result)
        form = arguments.format or TABLES.get(Path(arguments.out or "").suffix, "markdown")
        text = table_text(result, arguments.part, form)
    except StudyError as error:
        return refused(arguments, error.diagnostics, error.source, FINDINGS)
    if arguments.out:
        problem = unwritable(arguments.out) or write(Path(arguments.out), text)
        if problem is not None:
            return refused(arguments, [problem], None, FINDINGS)
    if arguments.json:
        print_json({"file": arguments.out, "format": form, "text": text, "diagnostics": findings_json(told, None)})
        return FINE
    show(told, None)
    say(f"{arguments.out}: written." if arguments.out else text.rstrip("\n"))
    return FINE
