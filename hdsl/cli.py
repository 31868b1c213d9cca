"""The command line: thin commands over `hdsl.driver`. Only this module prints and exits."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdsl.commands import compare, fit_check, lsp, pictures, report, run, runs, summarise
from hdsl.commands.output import (
    FINDINGS,
    FINE,
    INTERRUPTED,
    TERMINATED,
    USAGE,
    findings_json,
    markdown,
    print_json,
    refused,
    say,
    show,
    unwritable,
    write,
)
from hdsl.commands.watch import Terminated, terminable
from hdsl.diagnostics import Diagnostic, has_errors, short_of_memory

if TYPE_CHECKING:
    from hdsl.source import Source

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None, *, alone: bool = False) -> int:
    """Run a command and return its exit code: 0 fine, 1 findings, 2 usage, 3 sampling failed its diagnostics.

    `alone`: the process runs nothing else, so that no one hands its libraries data frames of pandas.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    arguments = _parsed(parser, given)
    if arguments is None:
        return USAGE
    command: Command | None = getattr(arguments, "command", None)
    if command is None:
        parser.print_help()
        return USAGE
    try:
        if alone and hasattr(arguments, "data"):
            from hdsl.commands.unloaded import arrow_without_pandas, numpy_without_f2py

            arrow_without_pandas()
            numpy_without_f2py()
        with terminable():
            return command(arguments)
    except KeyboardInterrupt as stop:
        print("\nStopped. Nothing was written.", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:
        if os.environ.get("HDSL_TRACEBACK"):
            raise
        return refused(arguments, [_unforeseen(error)], None, FINDINGS)


def _parsed(parser: argparse.ArgumentParser, given: Sequence[str]) -> argparse.Namespace | None:
    """Return the arguments; None where they are wrong and --json asked for an object that says so."""
    if "--json" not in given:
        return parser.parse_args(given)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parser.parse_args(given)
    except SystemExit as stop:
        if stop.code in (None, FINE):
            raise
    message = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
    wrong = Diagnostic("HDM116", f"The command cannot be understood: {message}.", help="See `hdsl --help`.")
    print_json({"diagnostics": findings_json([wrong], None)})
    return None


def _unforeseen(error: Exception) -> Diagnostic:
    """Return what a user is told of an error that hdsl did not foresee: memory ran out, or it has a defect."""
    said = str(error).splitlines()[0] if str(error) else "no message"
    if short_of_memory(error):
        detail = f": {said}" if str(error) else ""
        help_ = "Nothing was written. Run where there is more memory, or with fewer draws; `ulimit -v` shows a limit."
        return Diagnostic("HDM729", f"There is not enough memory{detail.rstrip('.')}.", help=help_)
    message = f"hdsl has a defect: {type(error).__name__}: {said}."
    help_ = "Nothing was written. Please report it with the study and what HDSL_TRACEBACK=1 prints."
    return Diagnostic("HDM799", message, help=help_)


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="hdsl", description="From a declared study design to a checked Bayesian fit and its causal answer."
    )
    parser.add_argument("--version", action="version", version=f"hdsl {version('hdsl')}")
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    _add_check(commands)
    _add_explain(commands)
    _add_run(commands)
    _add_results(commands)
    help_ = "Sum up the rows of tables for a study, so that sums made in several places can be added up and fitted."
    summarise.add_arguments(_command(commands, "summarise", help_, summarise.run))
    runs.add_arguments(_command(commands, "runs", "List the runs that are kept, or remove them.", runs.run))
    _add_fmt(commands)
    _add_compile(commands)
    _add_new(commands)
    _add_compare(commands)
    _add_doctor(commands)
    lsp.add_arguments(_command(commands, "lsp", "Serve an editor: messages, completion, hover, rename.", lsp.run))
    return parser


def _command(commands: Any, name: str, help: str, run: Command) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help)
    parser.set_defaults(command=run)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    return parser


def _study_argument(parser: argparse.ArgumentParser, what: str = "the .hdm file") -> None:
    parser.add_argument("study", help=what)
    parser.add_argument("--data", metavar="TABLE", help="a table to use in place of the study's own")


def _add_check(commands: Any) -> None:
    parser = _command(commands, "check", "Check a study against itself and its data, or its fit or priors.", _check)
    _study_argument(parser)
    parser.add_argument("--no-data", action="store_true", help="do not look at the data")
    fit_check.add_arguments(parser)


def _add_explain(commands: Any) -> None:
    help_ = "Explain a study (design, model with reasons, priors, estimands) or a code such as HDM304."
    parser = _command(commands, "explain", help_, _explain)
    _study_argument(parser, "the .hdm file, or a code")
    parser.add_argument("--how", action="store_true", help="say how the study will be sampled, and why")


def _add_run(commands: Any) -> None:
    parser = _command(commands, "run", "Fit a study and compute its estimands.", run.run)
    _study_argument(parser)
    run.add_arguments(parser)


def _add_results(commands: Any) -> None:
    table = _command(commands, "table", "Write a table of a result: Markdown, LaTeX or CSV.", pictures.table)
    pictures.add_table_arguments(table)
    plot = _command(commands, "plot", "Draw a picture of a result: SVG, PDF or PNG.", pictures.plot)
    pictures.add_plot_arguments(plot)
    report.add_arguments(_command(commands, "report", "Write a result as one HTML page.", report.run))


def _add_fmt(commands: Any) -> None:
    parser = _command(commands, "fmt", "Format .hdm files in place.", _fmt)
    parser.add_argument("files", nargs="+", help="the .hdm files")
    parser.add_argument("--check", action="store_true", help="only say which files would change")


def _add_compile(commands: Any) -> None:
    parser = _command(commands, "compile", "Show a stage of the compilation.", _compile)
    _study_argument(parser)
    stages = "ast, study, model, passes, numpyro, pymc or stan"
    parser.add_argument("--emit", default="numpyro", metavar="STAGE", help=f"{stages} (default numpyro)")
    of = "of a backend: the program that NUTS runs with this choice (auto, the default: with effects integrated out)"
    parser.add_argument("--inference", choices=("auto", "marginal", "nuts"), default="auto", help=of)
    parser.add_argument("--out", metavar="FILE", help="write to a file")
    parser.add_argument("--data-out", metavar="FILE", help="also write the data that a backend's program reads")


def _add_new(commands: Any) -> None:
    parser = _command(commands, "new", "Write a commented starter study from a data file.", _new)
    parser.add_argument("data", help="the data file")
    parser.add_argument("--out", metavar="FILE", help="the .hdm file to write (default: beside the data)")
    parser.add_argument("--from-formula", metavar="FORMULA", help="a model formula, as of lme4, brms or bambi")


def _add_compare(commands: Any) -> None:
    help_ = "Compare a study's backends or forms of pooling, or several studies."
    compare.add_arguments(_command(commands, "compare", help_, compare.compare))


def _add_doctor(commands: Any) -> None:
    _command(commands, "doctor", "Show which backends and engines are installed.", _doctor)


def _check(arguments: argparse.Namespace) -> int:
    if arguments.fit or arguments.prior:
        return fit_check.run(arguments)
    from hdsl.driver import check, derived_of

    checked = check(arguments.study, arguments.data, with_data=not arguments.no_data)
    found, failed = checked.diagnostics, checked.failed
    if not failed and checked.bound is not None:
        derived = derived_of(checked)
        found, failed = derived.diagnostics, derived.failed
    if arguments.json:
        print_json({"diagnostics": findings_json(found, checked.opened.source)})
    else:
        show(found, checked.opened.source)
        if not found:
            say(f"{arguments.study}: no findings.")
    return FINDINGS if failed else FINE


def _explain(arguments: argparse.Namespace) -> int:
    from hdsl.resources import code_page

    if arguments.study.upper().startswith("HDM") and not Path(arguments.study).exists():
        page = code_page(arguments.study)
        if page is None:
            wrong = Diagnostic("HDM261", f"There is no code {arguments.study.upper()}.", help="See docs/codes.")
            return refused(arguments, [wrong], None, USAGE)
        print_json({"code": arguments.study.upper(), "page": page}) if arguments.json else markdown(page)
        return FINE
    from hdsl.driver import explain

    text, derived = explain(arguments.study, arguments.data, how=arguments.how)
    source = derived.checked.opened.source
    if arguments.json:
        model = None if derived.model is None else derived.model.model_dump(mode="json")
        print_json({"text": text, "model": model, "diagnostics": findings_json(derived.diagnostics, source)})
    else:
        sys.stdout.write(text)
        show(derived.diagnostics, source)
    return FINDINGS if derived.failed else FINE


def _fmt(arguments: argparse.Namespace) -> int:
    from hdsl.syntax.format import format_source
    from hdsl.syntax.parse import parse
    from hdsl.syntax.read import read_source

    found: list[tuple[Diagnostic, Source | None]] = []
    changed: list[str] = []
    for name in arguments.files:
        source = read_source(Path(name))
        if isinstance(source, Diagnostic):
            found.append((source, None))
            continue
        _, problems = parse(source)
        found += [(problem, source) for problem in problems]
        if has_errors(problems):
            continue
        text = format_source(source)
        if text == Path(name).read_bytes().decode("utf-8"):
            continue
        changed.append(name)
        unwritten = None if arguments.check else write(Path(name), text)
        found += [] if unwritten is None else [(unwritten, None)]
    _show_formatted(arguments, changed, found)
    return FINDINGS if has_errors([each for each, _ in found]) or (arguments.check and changed) else FINE


def _show_formatted(
    arguments: argparse.Namespace, changed: Sequence[str], found: Sequence[tuple[Diagnostic, Source | None]]
) -> None:
    if arguments.json:
        entries = [entry for each, source in found for entry in findings_json([each], source)]
        print_json({"changed": changed, "diagnostics": entries})
        return
    for each, source in found:
        show([each], source)
    for name in changed:
        say(f"{name}: {'would be formatted' if arguments.check else 'formatted'}")


def _compile(arguments: argparse.Namespace) -> int:
    from hdsl.driver import emit, emit_both

    for out in (arguments.out, arguments.data_out):
        no_place = unwritable(out)
        if no_place is not None:
            return refused(arguments, [no_place], None, FINDINGS)
    how = (arguments.study, arguments.emit, arguments.data, arguments.inference)
    if arguments.data_out:
        text, arrays, found = emit_both(*how)
    else:
        (text, found), arrays = emit(*how), b""
    source = _source_of(arguments.study)
    files = ((arguments.out, text.encode()), (arguments.data_out, arrays))
    for out, content in ((out, content) for out, content in files if out and text):
        unwritten = write(Path(out), content)
        if unwritten is not None:
            return refused(arguments, [*found, unwritten], source, FINDINGS)
    if arguments.json:
        print_json({"stage": arguments.emit, "text": text, "diagnostics": findings_json(found, source)})
        return FINE if text else FINDINGS
    if text and not arguments.out:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    show(found, source)
    return FINE if text else FINDINGS


def _source_of(study: str) -> Source | None:
    from hdsl.syntax.read import read_source

    source = read_source(Path(study))
    return None if isinstance(source, Diagnostic) else source


def _new(arguments: argparse.Namespace) -> int:
    from hdsl.report.from_formula import from_formula
    from hdsl.report.starter import beside, starter

    target = Path(arguments.out) if arguments.out else beside(arguments.data)
    if arguments.from_formula is not None:
        text, found = from_formula(arguments.from_formula, arguments.data, target.parent)
    else:
        text, found = starter(arguments.data, target.parent)
    no_place = unwritable(str(target), new=True) if text is not None else None
    if text is not None and no_place is None:
        no_place = write(target, text)
    found = found if no_place is None else [*found, no_place]
    written = text is not None and no_place is None
    if arguments.json:
        print_json({"file": str(target) if written else None, "diagnostics": findings_json(found, None)})
    else:
        show(found, None)
        if written:
            say(f"{target}: written. Answer the questions in it, then: hdsl check {target}")
    return FINE if written else FINDINGS


def _doctor(arguments: argparse.Namespace) -> int:
    from hdsl.report.doctor import findings

    found = findings()
    if arguments.json:
        print_json({"found": [{"name": f.name, "available": f.available, "note": f.note} for f in found]})
    else:
        for each in found:
            say(f"{'yes' if each.available else 'no '}  {each.name}: " + each.note.replace("\n", "\n     "))
    return FINE


if __name__ == "__main__":
    sys.exit(main())
