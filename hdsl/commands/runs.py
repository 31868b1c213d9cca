"""`hdsl runs`: which runs are kept, and removing them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hdsl.commands.output import FINDINGS, FINE, print_json, refused, say
from hdsl.commands.settings import natural
from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.report.runs import Run

CLEAN = "clean"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl runs`."""
    what = "studies or folders (default: this folder); `clean` before them removes runs"
    parser.add_argument("places", nargs="*", metavar="[clean] PLACE", help=what)
    parser.add_argument(
        "--keep", type=natural, default=1, metavar="N", help="clean: keep the N newest of each study (1)"
    )
    parser.add_argument("--all", action="store_true", help="clean: keep none")


def run(arguments: argparse.Namespace) -> int:
    """List the runs that are kept, or remove them."""
    from hdsl.report.runs import clean, folders, runs_in

    cleaning = arguments.places[:1] == [CLEAN]
    places = [Path(place) for place in arguments.places[1 if cleaning else 0 :]] or [Path()]
    missing = [place for place in places if not place.exists()]
    if missing:
        found = Diagnostic("HDM101", f"There is no study or folder {missing[0]}.", help="Name a .hdm file or a folder.")
        return refused(arguments, [found], None, FINDINGS)
    if not cleaning:
        return _list(arguments, runs_in(folders(places)))
    try:
        removed, freed = clean(folders(places), 0 if arguments.all else arguments.keep)
    except OSError as error:
        message = f"{error.filename or 'A run'} cannot be removed ({error.strerror or error})."
        return refused(arguments, [Diagnostic("HDM115", message, help="Its folder must be writable.")], None, FINDINGS)
    if arguments.json:
        print_json({"removed": [each.to_json() for each in removed], "freed": freed})
    else:
        say(f"{len(removed)} {'run' if len(removed) == 1 else 'runs'} removed, {_size(freed)} freed.")
    return FINE


def _list(arguments: argparse.Namespace, found: Sequence[Run]) -> int:
    if arguments.json:
        print_json({"runs": [each.to_json() for each in found]})
        return FINE
    if not found:
        say("No runs are kept here.")
    for each in found:
        when = each.written.replace("T", " ").removesuffix("+00:00")
        draws = f"{each.chains} x {each.draws} draws, seed {each.seed}"
        say(f"{when}  {each.file}  {each.backend}, {draws}  {each.verdict}  {_size(each.size)}  {each.path}")
    return FINE


def _size(number: int) -> str:
    size = float(number)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
