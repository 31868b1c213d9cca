"""`hdsl summarise`: sum up the rows of tables, so that sums made in several places can be added up and fitted."""

from __future__ import annotations

import argparse
from pathlib import Path

from hdsl.commands.output import FINDINGS, FINE, not_written, print_json, refused, say, unwritable
from hdsl.diagnostics import has_errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl summarise`."""
    parser.add_argument("study", help="the .hdm file")
    parser.add_argument(
        "tables", nargs="+", metavar="TABLE", help='Parquet files, "part-*.parquet" or duckdb:///f#table'
    )
    parser.add_argument("--out", metavar="STATS", required=True, help="the Parquet file to write the sums to")


def run(arguments: argparse.Namespace) -> int:
    """Sum up rows and write the sums."""
    from hdsl.checks import check_study
    from hdsl.data.stream import summed
    from hdsl.data.stream_cells import Cells, save
    from hdsl.driver import open_study

    opened = open_study(arguments.study)
    found = list(opened.diagnostics)
    if opened.study is not None and not has_errors(found):
        found += check_study(opened.study)
    if opened.study is None or has_errors(found):
        return refused(arguments, opened.with_places(found), opened.source, FINDINGS)
    no_place = unwritable(arguments.out)
    if no_place is not None:
        return refused(arguments, [no_place], None, FINDINGS)
    cells = summed(opened.study, Path.cwd(), arguments.tables)
    if not isinstance(cells, Cells):
        return refused(arguments, opened.with_places(cells), opened.source, FINDINGS)
    try:
        save(cells, Path(arguments.out))
    except OSError as error:
        return refused(arguments, [not_written(Path(arguments.out), error)], None, FINDINGS)
    if arguments.json:
        print_json({"file": arguments.out, "rows": cells.rows, "cells": cells.size, "diagnostics": []})
    else:
        say(f"{arguments.out}: {cells.rows:,} rows summed up in {cells.size:,} cells.")
    return FINE
