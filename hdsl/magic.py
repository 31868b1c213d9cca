"""The cell magic `%%hdsl`: a study written in a notebook's cell is run there.

    %load_ext hdsl

    %%hdsl found --draws 500
    study tutoring
    data "tutoring.csv"
    ...

runs the cell's study and gives the result the name `found` (`result` by default); `--check` only checks and
explains it.
"""

from __future__ import annotations

import argparse
import shlex
from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """Register the magic; IPython calls this for `%load_ext hdsl`."""
    shell.register_magic_function(lambda line, cell: hdsl_cell(shell, line, cell), "cell", "hdsl")


def hdsl_cell(shell: Any, line: str, cell: str) -> Any:
    """Run the study of a cell, or with `--check` explain it.

    Returns
    -------
    Result, or None where the study has errors (which are printed)
    """
    from hdsl.backend import SamplingFailed
    from hdsl.design.study import StudyError

    try:
        asked = _parser().parse_args(shlex.split(line))
        return _explained(cell) if asked.check else _run(shell, asked, cell)
    except StudyError as error:
        _show(error.diagnostics, error.source)
    except SamplingFailed as error:
        _show(error.diagnostics, None)
    except SystemExit:
        return None
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="%%hdsl", description="Run the study in this cell.")
    parser.add_argument("name", nargs="?", default="result", help="the name that the result gets (default: result)")
    parser.add_argument("--check", action="store_true", help="check and explain only")
    parser.add_argument("--backend", default="numpyro")
    parser.add_argument("--data", help="a table to use in place of the study's own")
    for name, number in (("draws", 1000), ("warmup", 1000), ("chains", 4), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=number)
    return parser


def _run(shell: Any, asked: argparse.Namespace, cell: str) -> Any:
    from hdsl.backend import Settings
    from hdsl.driver import run

    settings = Settings(draws=asked.draws, warmup=asked.warmup, chains=asked.chains, seed=asked.seed)
    study = _study(cell)
    found = run(study, backend=asked.backend, data=asked.data, settings=settings)
    shell.user_ns[asked.name] = found
    _show([each for each in found.warnings if each.waived is None], None)
    return found


def _study(cell: str) -> Any:
    from hdsl.design.study import Study

    return Study.from_text(cell, "<cell>")


def _explained(cell: str) -> None:
    from hdsl.driver import explain

    text, derived = explain(_study(cell))
    _say(text)
    _show(derived.diagnostics, None)


def _show(found: Any, source: Any) -> None:
    from hdsl.diagnostics import to_text

    if found:
        _say(to_text(found, source))


def _say(text: str) -> None:
    print(text)
