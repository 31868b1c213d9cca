"""Formulas and statements given as text in Python, read with the grammar of whole studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import ValidationError

from hdsl.design import ir
from hdsl.design.expr import Call, Expr
from hdsl.design.from_blocks import read_amendment, read_assumption, read_equation, read_prior
from hdsl.design.from_exprs import Reading
from hdsl.design.from_statements import read_assignment, read_estimand, read_variable
from hdsl.diagnostics import Diagnostic, has_errors, to_text
from hdsl.source import Source
from hdsl.syntax import ast


class StudyError(ValueError):
    """A study that cannot be built: its findings, and the text they are about where there is one."""

    def __init__(self, diagnostics: Sequence[Diagnostic], source: Source | None = None) -> None:
        self.diagnostics = tuple(diagnostics)
        self.source = source
        super().__init__(to_text(diagnostics, source).strip())


def unfit(message: str, help: str = "") -> StudyError:
    """Return the error HDM209 for an argument that does not fit."""
    return StudyError([Diagnostic("HDM209", message, help=help)])


def made[Part: ir.Node](kind: type[Part], /, **fields: object) -> Part:
    """Return a part of the Study; values that do not fit raise StudyError (HDM208)."""
    try:
        return kind(**fields)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> StudyError:
    """Return the error HDM208 for values that the Study IR refuses, one finding for each."""
    return StudyError([_finding(detail["loc"], detail["msg"]) for detail in error.errors()])


def _finding(place: tuple[int | str, ...], message: str) -> Diagnostic:
    where = ".".join(str(step) for step in place)
    sentence = message.removeprefix("Value error, ").rstrip(".")
    return Diagnostic("HDM208", f"{where}: {sentence}." if where else f"{sentence[0].upper()}{sentence[1:]}.")


def term(text: str) -> Expr:
    """Return a term of `adjust for`, or the effect or moderator of `vary`."""
    found = _amendment("adjust for", text, "term")
    if not isinstance(found, ir.Adjust) or len(found.terms) != 1:
        raise _not_one(text, "term")
    return found.terms[0]


def family(text: str) -> Call:
    """Return a family with its arguments."""
    found = _amendment("family y", text, "family")
    if not isinstance(found, ir.Family):
        raise _not_one(text, "family")
    return found.law


def _amendment(head: str, text: str, what: str) -> ir.Amendment:
    reading = Reading()
    block = _statement(ast.Analysis, f"analysis {{ {head}", text, "}", what)
    if len(block.amendments) != 1:
        raise _not_one(text, what)
    return _sound(read_amendment(block.amendments[0], (), reading), reading)


def kind(text: str) -> ir.Kind:
    """Return the kind of a variable, as in `count of trials` or `duration censored by lost`."""
    reading = Reading()
    block = _statement(ast.Level, "unit u { covariate v :", text, "}", "kind")
    if len(block.variables) != 1:
        raise _not_one(text, "kind")
    found = read_variable(block.variables[0], (), reading)
    if found.measured_in is not None or found.column is not None or found.missing:
        raise unfit(f"{text!r} says more than a kind.", "Give `measured_in`, `column` and `missing` apart.")
    return _sound(found.kind, reading)


def mechanism(text: str) -> ir.Mechanism:
    """Return a mechanism of assignment, as in `complete(0.5)`."""
    reading = Reading()
    block = _statement(ast.Assign, "assign z to u by", text, "", "mechanism")
    if block.within or block.condition is not None:
        raise _not_one(text, "mechanism")
    return _sound(read_assignment(block, (), reading).mechanism, reading)


def prior(target: str, law: str) -> ir.Prior:
    """Return the prior of a role."""
    reading = Reading()
    text = f"{target} ~ {law}"
    block = _statement(ast.Priors, "priors {", text, "}", "prior")
    if len(block.priors) != 1:
        raise _not_one(text, "prior")
    return _sound(read_prior(block.priors[0], (), reading), reading)


def equations(text: str) -> tuple[ir.Equation, ...]:
    """Return the laws and definitions of an explicit model."""
    reading = Reading()
    block = _statement(ast.Model, "model {", text, "}", "model")
    return _sound(tuple(read_equation(node, (), reading) for node in block.equations), reading)


def estimand(text: str) -> Expr:
    """Return the right side of an estimand."""
    reading = Reading()
    block = _statement(ast.Estimand, "estimand e =", text, "", "estimand")
    return _sound(read_estimand(block, (), reading).value, reading)


def assumptions(text: str) -> tuple[ir.AssumedSize | ir.AssumedValue, ...]:
    """Return assumed sizes and values."""
    reading = Reading()
    block = _statement(ast.Assume, "assume {", text, "}", "assumption")
    return _sound(tuple(read_assumption(node, (), reading) for node in block.items), reading)


def _statement[Wanted](wanted: type[Wanted], before: str, text: str, after: str, what: str) -> Wanted:
    """Return the one statement that `text` makes between the lines `before` and `after`."""
    from hdsl.syntax.parse import parse

    source = Source.of(f"<{what}>", f"{before}\n{text}\n{after}\n")
    file, findings = parse(source)
    if has_errors(findings):
        raise StudyError(findings, source)
    if len(file.statements) != 1 or not isinstance(file.statements[0], wanted):
        raise _not_one(text, what)
    return file.statements[0]


def _sound[Part](part: Part, reading: Reading) -> Part:
    if has_errors(reading.findings):
        raise StudyError([replace(finding, span=None) for finding in reading.findings])
    return part


def _not_one(text: str, what: str) -> StudyError:
    return unfit(f"{text!r} does not read as one {what}.", f"Give the {what} as it would stand in a study.")
