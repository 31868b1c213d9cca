"""The Study that a syntax tree declares, and where each of its parts stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hdsl.design import ir
from hdsl.design.from_blocks import one_by_one, read_amendment, read_assumption, read_equation, read_prior
from hdsl.design.from_exprs import Reading
from hdsl.design.from_statements import read_assignment, read_estimand, read_level, read_principal, read_treatment
from hdsl.design.spans import Path, Spans
from hdsl.design.study import Study, StudyError
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.source import Source, Span
from hdsl.syntax import ast

ONCE = {
    ast.Hdm: "hdm",
    ast.Study: "study",
    ast.Data: "data",
    ast.Analysis: "analysis",
    ast.Model: "model",
    ast.Priors: "priors",
    ast.Assume: "assume",
}
BLOCKS = frozenset({"analysis", "model", "priors", "assume"})


def to_study(file: ast.File) -> tuple[Study | None, Spans, list[Diagnostic]]:
    """Return the study a syntax tree declares, the places of its parts, and structure errors.

    Where a statement that may stand once stands twice, the first counts. The study is None where the file
    has no `study` statement. Names, kinds and meaning are not looked at here.

    Errors are HDM201 (no `study`), HDM202 (a statement given twice), HDM203 (`analysis` with `model`),
    HDM204 (`hdm` not first), HDM205 (arguments of a mechanism) and HDM206 (`at` out of place).
    """
    reading = Reading()
    _check_structure(file, reading)
    study = _first(file, ast.Study)
    if study is None:
        return None, Spans(reading.spans), reading.findings
    reading.spans[()] = study.span
    analysis, model = _first(file, ast.Analysis), _first(file, ast.Model)
    priors, assume = _first(file, ast.Priors), _first(file, ast.Assume)
    made = Study(
        name=reading.name(("name",), study.name),
        title=reading.text(("title",), study.title),
        table=reading.text(("table",), data.table if (data := _first(file, ast.Data)) else None),
        levels=_each("levels", _all(file, ast.Level), read_level, reading),
        treatments=_each("treatments", _all(file, ast.Treatment), read_treatment, reading),
        assignments=_each("assignments", _all(file, ast.Assign), read_assignment, reading),
        principals=_each("principals", _all(file, ast.Principal), read_principal, reading),
        analysis=_each("analysis", list(one_by_one(analysis.amendments if analysis else ())), read_amendment, reading),
        equations=_each("equations", model.equations if model else (), read_equation, reading),
        priors=_each("priors", priors.priors if priors else (), read_prior, reading),
        estimands=_each("estimands", _all(file, ast.Estimand), read_estimand, reading),
        assumptions=_each("assumptions", assume.items if assume else (), read_assumption, reading),
        waivers=_each("waivers", _all(file, ast.Waive), _waiver, reading),
    )
    return made, Spans(reading.spans), reading.findings


def read_study(source: Source) -> Study:
    """Return the study of a text; errors of syntax or structure raise StudyError."""
    from hdsl.syntax.parse import parse

    file, findings = parse(source)
    if has_errors(findings):
        raise StudyError(findings, source)
    study, _, problems = to_study(file)
    if study is None or has_errors(problems):
        raise StudyError(problems, source)
    return study


def _all[Statement](file: ast.File, wanted: type[Statement]) -> list[Statement]:
    return [statement for statement in file.statements if isinstance(statement, wanted)]


def _first[Statement](file: ast.File, wanted: type[Statement]) -> Statement | None:
    return next((statement for statement in file.statements if isinstance(statement, wanted)), None)


def _each[Part, Made](
    field: str, nodes: Sequence[Part], read: Callable[[Part, Path, Reading], Made], reading: Reading
) -> tuple[Made, ...]:
    return tuple(read(node, (field, i), reading) for i, node in enumerate(nodes))


def _waiver(node: ast.Waive, path: Path, reading: Reading) -> ir.Waiver:
    reading.spans[path] = node.span
    reading.text((*path, "because"), node.because)
    return ir.Waiver(code=reading.name((*path, "code"), node.code), because=node.because.text)


def _check_structure(file: ast.File, reading: Reading) -> None:
    if file.statements and not _all(file, ast.Study):
        reading.error("HDM201", "There is no `study` statement.", Span(0, 0), 'Begin with `study NAME "title"`.')
    for kind, word in ONCE.items():
        given = _all(file, kind)
        for other in given[1:]:
            reading.error(
                "HDM202",
                f"`{word}` is given twice.",
                _head(other.span, word),
                f"Put all of it into one `{word}`." if word in BLOCKS else f"Keep one `{word}`.",
                (_head(given[0].span, word), "the first"),
            )
    _check_first(file, reading)
    _check_model(file, reading)


def _check_first(file: ast.File, reading: Reading) -> None:
    hdm = _first(file, ast.Hdm)
    if hdm is not None and file.statements[0] is not hdm:
        reading.error("HDM204", "`hdm` must stand first.", hdm.span, "Move it to the top of the file.")


def _check_model(file: ast.File, reading: Reading) -> None:
    analysis, model = _first(file, ast.Analysis), _first(file, ast.Model)
    if analysis is None or model is None:
        return
    reading.error(
        "HDM203",
        "`analysis` amends the derived model and `model` replaces it: a study has one or the other.",
        _head(model.span, "model"),
        "Remove `model`, or write what `analysis` asks for as equations in `model`.",
        (_head(analysis.span, "analysis"), "`analysis` is here"),
    )


def _head(span: Span, word: str) -> Span:
    """Return the place of the keyword that opens a statement."""
    return Span(span.start, span.start + len(word))
