"""`hdsl compare`: one study on several backends, several studies, or one study under several forms of pooling."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.commands.output import FAILED, FINDINGS, FINE, USAGE, print_json, refused, say, unwritable, write
from hdsl.commands.pictures import PICTURES
from hdsl.commands.settings import add_settings, failed, settings_of
from hdsl.commands.watch import watched
from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.report.versus import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl compare`."""
    parser.add_argument("studies", nargs="+", metavar="STUDY", help="one .hdm file, or several of the same outcome")
    parser.add_argument("--data", metavar="TABLE", help="a table to use in place of the studies' own")
    parser.add_argument("--backends", nargs="*", metavar="NAME", help="one study: which, as NAME or NAME:ENGINE")
    pooling = "one study: complete, partial and no pooling of a level, and partial pooling beside its means"
    parser.add_argument("--pooling", nargs="?", const="", metavar="LEVEL", help=pooling)
    parser.add_argument("--by", metavar="LEVEL", help="the level whose units are left out whole (default: the nearest)")
    parser.add_argument("--plot", metavar="FILE", help="draw the estimands side by side into a .svg, .pdf or .png file")
    engine = "the sampler or engine, of backends whose name gives none"
    parser.add_argument("--engine", help=engine)
    add_settings(parser, draws=2000)


def compare(arguments: argparse.Namespace) -> int:
    """Fit and compare."""
    from hdsl.backend import SamplingFailed
    from hdsl.design.snippets import StudyError

    problem = _unfit(arguments)
    if problem is not None:
        return refused(arguments, [problem], None, USAGE)
    no_place = unwritable(arguments.plot)
    if no_place is not None:
        return refused(arguments, [no_place], None, FINDINGS)
    try:
        with watched(arguments):
            if len(arguments.studies) == 1 and arguments.pooling is None:
                return _backends(arguments)
            return _models(arguments)
    except StudyError as error:
        return refused(arguments, error.diagnostics, error.source, failed(error, FINDINGS))
    except SamplingFailed as error:
        return refused(arguments, error.diagnostics, None, failed(error, FAILED))


def _unfit(arguments: argparse.Namespace) -> Diagnostic | None:
    several = len(arguments.studies) > 1
    message = None
    if several and arguments.pooling is not None:
        message = "--pooling is about one study."
    elif arguments.backends is not None and (several or arguments.pooling is not None):
        message = "--backends is about one study as it stands."
    elif arguments.plot and not several and arguments.pooling is None:
        message = "--plot is about several studies, or --pooling."
    elif arguments.plot and Path(arguments.plot).suffix not in PICTURES:
        message = f"{arguments.plot} is no picture's name: end it with {', '.join(PICTURES)}."
    return None if message is None else Diagnostic("HDM116", message, help="See `hdsl compare --help`.")


def _backends(arguments: argparse.Namespace) -> int:
    from hdsl.driver import compare
    from hdsl.report.terminal import show_comparison

    results, found = compare(
        arguments.studies[0], arguments.backends or None, data=arguments.data, settings=settings_of(arguments)
    )
    if arguments.json:
        print_json({"results": {n: r.to_json() for n, r in results.items()}, "comparison": found.to_json()})
    else:
        show_comparison(results, found)
    if any(result.unusable for result in results.values()):
        return FAILED
    return FINE if found.agrees else FINDINGS


def _models(arguments: argparse.Namespace) -> int:
    from hdsl.driver import compare_pooling, compare_studies
    from hdsl.report.terminal_versus import show_versus

    settings = settings_of(arguments)
    if arguments.pooling is not None:
        group = arguments.pooling or None
        found = compare_pooling(arguments.studies[0], group, data=arguments.data, settings=settings)
    else:
        names = _names(arguments.studies)
        found = compare_studies(
            arguments.studies, names, by=arguments.by, data=arguments.data, settings=settings, runs=True
        )
    written = _drawn(found, arguments.plot)
    if isinstance(written, Diagnostic):
        return refused(arguments, [written], None, FINDINGS)
    if arguments.json:
        print_json(found.to_json())
    else:
        show_versus(found)
        if arguments.plot:
            say(f"{arguments.plot}: written.")
    return FAILED if any(result.diagnosis.verdict == "fail" for result in found.results) else FINE


def _names(studies: list[str]) -> list[str]:
    """Return the files' names without folders where they differ, else as given."""
    short = [Path(study).stem for study in studies]
    return short if len(set(short)) == len(short) else list(studies)


def _drawn(found: Comparison, file: str | None) -> Diagnostic | None:
    if file is None:
        return None
    from hdsl.report.pictures.style import file_of
    from hdsl.report.pictures.versus import versus

    return write(Path(file), file_of(versus(found), Path(file).suffix[1:]))
