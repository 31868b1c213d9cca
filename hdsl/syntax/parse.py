"""Text to syntax tree, with every syntax error found on the way."""

from __future__ import annotations

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.source import Source, Span
from hdsl.syntax import ast
from hdsl.syntax.from_tree import statements
from hdsl.syntax.machine import Machine, known_mistakes
from hdsl.syntax.tokens import Lexed, lex


def parse(source: Source) -> tuple[ast.File, list[Diagnostic]]:
    """Return the syntax tree of a study, and its syntax errors in the order of the text.

    The tree holds every statement that could be read; where there are errors it is partial. It never raises.
    """
    lexed = lex(source)
    report: list[Diagnostic] = []
    file = ast.File(
        statements=tuple(_statements(lexed, report)),
        comments=lexed.comments,
        span=Span(0, len(source.text)),
    )
    if len(lexed.tokens) == 1:
        report.append(_empty(source))
    report.sort(key=lambda diagnostic: diagnostic.span.start if diagnostic.span else 0)
    return file, report


def _statements(lexed: Lexed, report: list[Diagnostic]) -> list[ast.Statement]:
    machine = Machine(lexed.tokens, known_mistakes)
    tree = machine.run()
    report.extend(machine.diagnostics)
    if machine.left_out:
        report.append(
            Diagnostic(
                code="HDM104",
                severity="note",
                message=f"{machine.left_out} more syntax errors are not shown.",
                span=Span(lexed.tokens[-1].start_pos or 0, lexed.tokens[-1].end_pos or 0),
                help="Mend the first ones and check again.",
            )
        )
    return list(statements(tree, report))


def _empty(source: Source) -> Diagnostic:
    return Diagnostic(
        code="HDM103",
        message="The study is empty.",
        span=Span(0, 0),
        help='Begin with `study NAME "title"` and `data "file.csv"`; `hdsl new` writes a first study.',
    )
