"""Expressions of the syntax tree, made into expressions of the Study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hdsl.design import expr as ir
from hdsl.design.spans import Path
from hdsl.design.words import number_text
from hdsl.diagnostics import Diagnostic
from hdsl.source import Span
from hdsl.syntax import ast


@dataclass
class Reading:
    """What is gathered while a tree is read: the places of all parts, and findings.

    `potential` is true where `y(z = arm)` is a potential outcome, false where it is a named argument.
    """

    spans: dict[Path, Span] = field(default_factory=dict[Path, Span])
    findings: list[Diagnostic] = field(default_factory=list[Diagnostic])
    potential: bool = False

    def name(self, path: Path, name: ast.Name) -> str:
        """Return the text of a name and note its place."""
        self.spans[path] = name.span
        return name.text

    def names(self, path: Path, names: Sequence[ast.Name]) -> tuple[str, ...]:
        """Return the texts of several names and note their places."""
        return tuple(self.name((*path, i), name) for i, name in enumerate(names))

    def optional(self, path: Path, name: ast.Name | None) -> str | None:
        """Return the text of a name that may be left out."""
        return None if name is None else self.name(path, name)

    def text(self, path: Path, text: ast.String | None) -> str | None:
        """Return a quoted text that may be left out."""
        if text is None:
            return None
        self.spans[path] = text.span
        return text.text

    def literal(self, path: Path, literal: ast.Number | ast.String | ast.NameExpr) -> float | str:
        """Return the number, or the text, of a literal."""
        self.spans[path] = literal.span
        match literal:
            case ast.Number(value=value):
                return value
            case ast.String(text=text):
                return text
            case ast.NameExpr(name=name):
                return name

    def error(self, code: str, message: str, span: Span, help: str, *related: tuple[Span, str]) -> None:
        """Note an error."""
        self.findings.append(Diagnostic(code, message, span=span, help=help, related=related))

    def exprs(self, path: Path, nodes: Sequence[ast.Expr]) -> tuple[ir.Expr, ...]:
        """Return several expressions."""
        return tuple(self.expr((*path, i), node) for i, node in enumerate(nodes))

    def optional_expr(self, path: Path, node: ast.Expr | None) -> ir.Expr | None:
        """Return an expression that may be left out."""
        return None if node is None else self.expr(path, node)

    def target(self, path: Path, node: ast.NameExpr | ast.Call | ast.Indexed) -> ir.Ref | ir.Call | ir.Indexed:
        """Return the parameter or role that a law, definition, prior or assumed value is about."""
        self.spans[path] = node.span
        match node:
            case ast.NameExpr(name=name):
                return ir.Ref(name=name)
            case ast.Call():
                return self.call(path, node)
            case ast.Indexed():
                return self._indexed(path, node)

    def expr(self, path: Path, node: ast.Expr) -> ir.Expr:
        """Return an expression."""
        self.spans[path] = node.span
        match node:
            case ast.Number(value=value):
                number = ir.Number(value=abs(value))
                return ir.Negative(of=number) if value < 0 else number
            case ast.String(text=text):
                return ir.Text(value=text)
            case ast.NameExpr(name=name):
                return ir.Ref(name=name)
            case ast.Unary(of=of):
                return ir.Negative(of=self.expr((*path, "of"), of))
            case ast.Binary(op=op, left=left, right=right):
                a, b = self.expr((*path, "left"), left), self.expr((*path, "right"), right)
                return ir.Operation(operator=op, left=a, right=b)
            case ast.Compare(op=op, left=left, right=right):
                a, b = self.expr((*path, "left"), left), self.expr((*path, "right"), right)
                return ir.Comparison(operator=op, left=a, right=b)
            case ast.Logical(op=op, operands=operands):
                return ir.Logical(operator=op, operands=self.exprs((*path, "operands"), operands))
            case ast.Call(name=name, args=(), settings=(_, *_) as settings) if self.potential:
                return self._potential(path, name, settings)
            case ast.Call():
                return self.call(path, node)
            case ast.Indexed():
                return self._indexed(path, node)
            case ast.TupleExpr(items=items):
                return ir.Sequence(items=self.exprs((*path, "items"), items))
            case ast.Aggregate():
                return self._aggregate(path, node)

    def call(self, path: Path, node: ast.Call, index: tuple[str, ...] = ()) -> ir.Call:
        """Return a function, family or law with its named arguments."""
        self.spans[path] = node.span
        args = self.exprs((*path, "args"), node.args)
        options = tuple(self._option((*path, "options", i), s) for i, s in enumerate(node.settings))
        return ir.Call(function=node.name.text, args=args, options=options, index=index)

    def _option(self, path: Path, node: ast.Setting) -> ir.Option:
        self.spans[path] = node.span
        if node.at is not None:
            self.error(
                "HDM206",
                f"`at {node.at.wave.text}` cannot follow `{node.name.text} = ...` here.",
                node.at.span,
                "Occasions are given only where a treatment is set, as in `y(z = arm at month 1..3)`.",
            )
        return ir.Option(name=node.name.text, value=self.expr((*path, "value"), node.value))

    def _potential(self, path: Path, name: ast.Name, settings: Sequence[ast.Setting]) -> ir.Potential:
        self.spans[*path, "outcome"] = name.span
        made = tuple(self._setting((*path, "settings", i), node) for i, node in enumerate(settings))
        return ir.Potential(outcome=name.text, settings=made)

    def _setting(self, path: Path, node: ast.Setting) -> ir.Setting:
        self.spans[path] = node.span
        treatment = self.name((*path, "treatment"), node.name)
        value = self.expr((*path, "value"), node.value)
        at = None if node.at is None else self._occasions((*path, "at"), node.at)
        return ir.Setting(treatment=treatment, value=value, at=at)

    def _occasions(self, path: Path, node: ast.Occasions) -> ir.Occasions:
        self.spans[path] = node.span
        wave = self.name((*path, "wave"), node.wave)
        first, last = self.literal((*path, "first"), node.first), self.literal((*path, "last"), node.last)
        return ir.Occasions(wave=wave, first=first, last=last)

    def _indexed(self, path: Path, node: ast.Indexed) -> ir.Indexed | ir.Call:
        elements = [self.literal((*path, "index", i), index) for i, index in enumerate(node.indices)]
        index = tuple(e if isinstance(e, str) else number_text(e) for e in elements)
        if isinstance(node.of, ast.Call):
            made = self.call(path, node.of, index)
            self.spans[path] = node.span
            return made
        return ir.Indexed(name=node.of.name, index=index)

    def _aggregate(self, path: Path, node: ast.Aggregate) -> ir.Aggregate:
        self.spans[*path, "over"] = node.over.span
        return ir.Aggregate(
            aggregate=node.name,
            probability=None if node.probability is None else node.probability.value,
            population=node.population,
            over=node.over.text,
            cells=isinstance(node.over, ast.String),
            where=self.optional_expr((*path, "where"), node.where),
            of=self.expr((*path, "of"), node.of),
            correlation=None if node.correlation is None else node.correlation.value,
        )
