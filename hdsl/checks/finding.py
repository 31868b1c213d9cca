"""How the checks make diagnostics, and the questions that many of them ask of a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hdsl.checks.scope import Scope
from hdsl.design.expr import (
    Aggregate,
    Call,
    Comparison,
    Expr,
    Indexed,
    Logical,
    Negative,
    Operation,
    Potential,
    Ref,
    Sequence,
)
from hdsl.diagnostics import CODES, Diagnostic, Severity, did_you_mean

type Path = tuple[str | int, ...]
type Findings = Iterator[Diagnostic]
type Rule = Callable[[Scope], Findings]

SHOWN = 12


def finding(code: str, message: str, path: Path, help: str = "", severity: Severity | None = None) -> Diagnostic:
    """Return a diagnostic at a place in the study, as severe as its code unless said otherwise."""
    return Diagnostic(code, message, severity=severity or CODES[code].severity, help=help, path=path)


def listed(names: Iterable[str]) -> str:
    """Return names separated by commas, the first dozen."""
    every = list(names)
    return ", ".join(every[:SHOWN]) + (", ..." if len(every) > SHOWN else "")


def suggestion(name: str, candidates: Iterable[str], otherwise: str = "") -> str:
    """Return `Did you mean ...?`, else the candidates, else `otherwise`."""
    every = list(dict.fromkeys(candidates))
    near = did_you_mean(name, every)
    if near is not None:
        return f"Did you mean `{near}`?"
    return f"There is: {listed(every)}." if every else otherwise


def want_level(scope: Scope, name: str, path: Path, help: str = "") -> Findings:
    """HDM226 or HDM236 where a name is no level."""
    if name in scope.levels:
        return
    what = scope.described(name)
    if what is not None:
        yield finding("HDM236", f"`{name}` is {what}; a level is wanted here.", path, help or _levels(scope))
        return
    help = suggestion(name, scope.levels, "Declare it with `group`.")
    yield finding("HDM226", f"There is no level `{name}`.", path, help)


def _levels(scope: Scope) -> str:
    return f"The levels are: {listed(scope.levels)}."


def want_treatment(scope: Scope, name: str, path: Path) -> Findings:
    """HDM228 or HDM236 where a name is no treatment."""
    if name in scope.treatments:
        return
    what = scope.described(name)
    declare = f"Declare `treatment {name} {{ ... }}`."
    if what is not None:
        yield finding("HDM236", f"`{name}` is {what}; a treatment is wanted here.", path, declare)
        return
    yield finding("HDM228", f"There is no treatment `{name}`.", path, suggestion(name, scope.treatments, declare))


def want_arm(scope: Scope, treatment: str, arm: str, path: Path) -> Findings:
    """HDM229 where a treatment has no such arm."""
    arms = scope.arms(treatment)
    if treatment not in scope.treatments or arm in arms:
        return
    help = suggestion(arm, arms, f"`{treatment}` is a dose: give a number.")
    yield finding("HDM229", f"`{treatment}` has no arm `{arm}`.", path, help)


def want_outcome(scope: Scope, name: str, path: Path) -> Findings:
    """HDM227 or HDM236 where a name is no outcome."""
    if name in scope.outcomes:
        return
    what = scope.described(name)
    help = suggestion(name, scope.outcomes, "Declare an `outcome` in the block of the last unit.")
    if what is not None:
        yield finding("HDM236", f"`{name}` is {what}; an outcome is wanted here.", path, help)
        return
    yield finding("HDM227", f"There is no outcome `{name}`.", path, help)


def parts(expr: Expr, path: Path) -> Iterator[tuple[Expr, Path]]:
    """Yield the direct sub-expressions of an expression, each with its place."""
    match expr:
        case Negative(of=of):
            yield of, (*path, "of")
        case Operation(left=left, right=right) | Comparison(left=left, right=right):
            yield left, (*path, "left")
            yield right, (*path, "right")
        case Call(args=args, options=options):
            yield from ((arg, (*path, "args", i)) for i, arg in enumerate(args))
            yield from ((option.value, (*path, "options", i, "value")) for i, option in enumerate(options))
        case Sequence(items=items):
            yield from ((item, (*path, "items", i)) for i, item in enumerate(items))
        case Logical(operands=operands):
            yield from ((operand, (*path, "operands", i)) for i, operand in enumerate(operands))
        case Potential(settings=settings):
            yield from ((s.value, (*path, "settings", i, "value")) for i, s in enumerate(settings))
        case Aggregate(where=where, of=of):
            if where is not None:
                yield where, (*path, "where")
            yield of, (*path, "of")
        case _:
            return


def places(expr: Expr, path: Path) -> Iterator[tuple[Expr, Path]]:
    """Yield an expression and all its sub-expressions, outermost first, each with its place."""
    stack: list[tuple[Expr, Path]] = [(expr, path)]
    while stack:
        node, place = stack.pop()
        yield node, place
        stack.extend(reversed(list(parts(node, place))))


def outside_lag(expr: Expr, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the names in an expression that do not stand inside `lag(...)`, each with its place."""
    lagged = [place for node, place in places(expr, path) if isinstance(node, Call) and node.function == "lag"]
    for node, place in places(expr, path):
        if isinstance(node, Ref | Indexed) and not any(place[: len(inside)] == inside for inside in lagged):
            yield node.name, place
