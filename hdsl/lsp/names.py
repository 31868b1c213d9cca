"""Every name in a study's text: what it stands for, where it is declared and where it is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from hdsl.source import Span
from hdsl.syntax import ast

Sort = Literal["level", "variable", "treatment", "principal", "arm", "stratum", "estimand", "parameter", "function"]


@dataclass(frozen=True)
class Symbol:
    """What a name stands for. `owner`: the treatment of an arm, the principal of a stratum; else empty."""

    sort: Sort
    name: str
    owner: str = ""


@dataclass(frozen=True)
class Use:
    """A name at its place; `declares` where it is declared there, by the statement or part `node`."""

    symbol: Symbol
    span: Span
    declares: bool = False
    node: Any = None


def uses(file: ast.File) -> list[Use]:
    """Return every name in a file that stands for something in the study, in the order of the text."""
    found = list(_Walk(_declared(file), _values(file), _spread_by(file)).of(file))
    return sorted(found, key=lambda use: (use.span.start, use.span.end))


def use_at(file: ast.File, offset: int) -> Use | None:
    """Return the name at an offset, also where it stands just after the name."""
    return next((use for use in uses(file) if use.span.start <= offset <= use.span.end), None)


def declaration(file: ast.File, symbol: Symbol) -> Use | None:
    """Return where a symbol is declared."""
    return next((use for use in uses(file) if use.declares and use.symbol == symbol), None)


def _declared(file: ast.File) -> dict[str, Symbol]:
    """Return what the names that share one space stand for; of two declarations the first counts."""
    found: dict[str, Symbol] = {}
    for statement in file.statements:
        match statement:
            case ast.Level(name=name, variables=variables):
                found.setdefault(name.text, Symbol("level", name.text))
                for variable in variables:
                    found.setdefault(variable.name.text, Symbol("variable", variable.name.text))
            case ast.Treatment(name=name):
                found.setdefault(name.text, Symbol("treatment", name.text))
            case ast.Principal(name=name):
                found.setdefault(name.text, Symbol("principal", name.text))
            case _:
                pass
    return found


def _values(file: ast.File) -> dict[str, Symbol]:
    """Return the arms and strata of which one alone has that name; equations of the user's own have other names."""
    if any(isinstance(statement, ast.Model) for statement in file.statements):
        return {}
    found: list[Symbol] = []
    for statement in file.statements:
        match statement:
            case ast.Treatment(name=name, arms=arms):
                found += [Symbol("arm", arm.name.text, name.text) for arm in arms]
            case ast.Principal(name=name, strata=strata):
                found += [Symbol("stratum", stratum.name.text, name.text) for stratum in strata]
            case _:
                pass
    times = Counter(symbol.name for symbol in found)
    return {symbol.name: symbol for symbol in found if times[symbol.name] == 1}


def _spread_by(file: ast.File) -> tuple[str, ...]:
    """Return the treatment whose arms `residual[arm]` names."""
    blocks = (statement for statement in file.statements if isinstance(statement, ast.Analysis))
    found = (each.by.text for block in blocks for each in block.amendments if isinstance(each, ast.VarianceBy))
    return tuple(found)[:1]


class _Walk:
    """Goes through a tree; what a name in an expression stands for depends on what is declared."""

    def __init__(self, known: Mapping[str, Symbol], values: Mapping[str, Symbol], spread_by: tuple[str, ...]) -> None:
        self.known = known
        self.values = values
        self.spread_by = spread_by

    def of(self, node: Any) -> Iterator[Use]:
        match node:
            case ast.Level(name=name):
                yield Use(Symbol("level", name.text), name.span, True, node)
                yield from self._names((*node.parents, *node.crosses))
                yield from self._each(node.variables)
            case ast.Variable(name=name, kind=kind):
                yield Use(Symbol("variable", name.text), name.span, True, node)
                yield from self._each((kind.trials, kind.known_sd))
            case ast.Treatment(name=name, arms=arms):
                yield Use(Symbol("treatment", name.text), name.span, True, node)
                for arm in arms:
                    yield Use(Symbol("arm", arm.name.text, name.text), arm.name.span, True, node)
            case ast.Principal(name=name, strata=strata):
                yield Use(Symbol("principal", name.text), name.span, True, node)
                yield from self._names((node.intermediate, node.treatment))
                for stratum in strata:
                    yield Use(Symbol("stratum", stratum.name.text, name.text), stratum.name.span, True, node)
            case ast.Condition(treatment=treatment, arm=arm):
                yield from self._names((treatment,))
                yield Use(Symbol("arm", arm.text, treatment.text), arm.span)
            case ast.Estimand(name=name):
                yield Use(Symbol("estimand", name.text), name.span, True, node)
                yield from self._names(node.index)
                yield from self.of(node.value)
            case ast.Law(targets=targets):
                for target in targets:
                    yield from self._target(target, node)
                yield from self.of(node.law)
            case ast.Definition(target=target):
                yield from self._target(target, node)
                yield from self.of(node.value)
            case _:
                yield from self._expression(node)

    def _expression(self, node: Any) -> Iterator[Use]:
        match node:
            case ast.Setting(name=name, value=value):
                yield from self._names((name,))
                yield from self._valued(name.text, value)
                yield from self._each((node.at,))
            case ast.Compare(left=ast.NameExpr(name=name) as left, right=right) if name in self.known:
                yield from self.of(left)
                yield from self._valued(name, right)
            case ast.Call(name=name, args=args, settings=settings):
                symbol = self.known.get(name.text, Symbol("function", name.text))
                yield Use(symbol, name.span)
                yield from self._each((*args, *settings))
            case ast.Indexed(of=of, indices=indices):
                inner = list(self.of(of))
                yield from inner
                owners = [use.symbol.name for use in inner if use.symbol.sort == "treatment"]
                if isinstance(of, ast.NameExpr) and of.name == "residual" and not owners:
                    owners = list(self.spread_by)
                for place, index in enumerate(indices):
                    yield from self._valued(owners[min(place, len(owners) - 1)] if owners else "", index)
            case ast.NameExpr(name=name, span=span):
                yield Use(self.known.get(name) or self.values.get(name) or Symbol("parameter", name), span)
            case ast.Name():
                yield from self._names((node,))
            case ast.Study() | ast.Data() | ast.Waive() | ast.Kind() | ast.Poststratify():
                return
            case ast.Family(outcome=outcome):
                yield from self._names((outcome,))
            case tuple():
                yield from self._each(node)
            case _ if is_dataclass(node):
                for each in fields(node):
                    yield from self.of(getattr(node, each.name))
            case _:
                return

    def _each(self, nodes: tuple[Any, ...]) -> Iterator[Use]:
        for node in nodes:
            if node is not None:
                yield from self.of(node)

    def _names(self, names: tuple[ast.Name, ...]) -> Iterator[Use]:
        for name in names:
            yield Use(self.known.get(name.text, Symbol("parameter", name.text)), name.span)

    def _valued(self, owner: str, value: Any) -> Iterator[Use]:
        """Yield the names of a value: an arm or a stratum, where its owner is a treatment or a principal."""
        known = self.known.get(owner)
        sorts: Mapping[str, Sort] = {"treatment": "arm", "principal": "stratum"}
        own = isinstance(value, ast.NameExpr) and value.name not in self.known
        if own and known is not None and known.sort in sorts:
            yield Use(Symbol(sorts[known.sort], value.name, owner), value.span)
        else:
            yield from self.of(value)

    def _target(self, target: Any, node: Any) -> Iterator[Use]:
        """Yield the names of a left side: a parameter that is declared there, or an outcome."""
        inner = target.of if isinstance(target, ast.Indexed) else target
        if isinstance(inner, ast.NameExpr) and inner.name not in self.known:
            yield Use(Symbol("parameter", inner.name), inner.span, True, node)
            if isinstance(target, ast.Indexed):
                yield from self._each(target.indices)
        else:
            yield from self.of(target)
