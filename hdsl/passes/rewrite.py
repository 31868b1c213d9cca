"""What several passes share: replacing statements and putting them back in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hdsl.model.ir import Definition, Model, RandomVariable, references

Statement = RandomVariable | Definition


def reads(statement: Statement) -> frozenset[str]:
    """Return the names a statement refers to."""
    if isinstance(statement, Definition):
        return references(statement.value)
    return frozenset().union(*(references(arg) for arg in statement.law.args))


def in_order(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Return the statements so that each stands after those it refers to, otherwise as they were.

    Raises ValueError for a circle.
    """
    waiting = list(statements)
    declared = {statement.name for statement in waiting}
    done: set[str] = set()
    ordered: list[Statement] = []
    while waiting:
        ready = [s for s in waiting if not ((reads(s) & declared) - done)]
        if not ready:
            raise ValueError(f"definitions in a circle: {', '.join(s.name for s in waiting)}")
        first = ready[0]
        ordered.append(first)
        done.add(first.name)
        waiting.remove(first)
    return tuple(ordered)


def replaced(model: Model, by_name: Mapping[str, Iterable[Statement]]) -> Model:
    """Return the model with the named statements replaced, everything in order of use."""
    statements: list[Statement] = []
    for statement in model.statements:
        statements.extend(by_name.get(statement.name, (statement,)))
    return model.model_copy(update={"statements": in_order(statements)})
