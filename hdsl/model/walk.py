"""Traversals of a Model that several stages share."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.model.ir import Apply, Definition, Expr, Law, Model, RandomVariable, references


def laws(model: Model) -> Iterator[Law]:
    """Yield the laws of random variables and observations."""
    for statement in model.statements:
        if isinstance(statement, RandomVariable):
            yield statement.law
    for observation in model.observations:
        yield observation.law


def expressions(model: Model) -> Iterator[Expr]:
    """Yield every expression of the density: law arguments, definitions and factors."""
    for law in laws(model):
        yield from law.args
    for statement in model.statements:
        if isinstance(statement, Definition):
            yield statement.value
    for factor in model.factors:
        yield factor.value


def applications(expr: Expr) -> Iterator[Apply]:
    """Yield every function application within `expr`, itself included."""
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Apply):
            yield node
            stack.extend(node.args)


def functions_used(model: Model) -> frozenset[str]:
    """Return the names of the functions that the density of `model` applies."""
    return frozenset(node.function for expr in expressions(model) for node in applications(expr))


def distributions_used(model: Model) -> frozenset[str]:
    """Return the names of the distributions that `model` uses."""
    return frozenset(law.distribution for law in laws(model))


def needed(model: Model) -> frozenset[str]:
    """Return the names of slots, variables and definitions on which the density rests."""
    wanted: set[str] = set()
    for law in laws(model):
        wanted.update(*(references(arg) for arg in law.args))
    for factor in model.factors:
        wanted |= references(factor.value)
    for observation in model.observations:
        wanted.update(name for name in (observation.slot, observation.weight, observation.event) if name)
    for definition in reversed(model.definitions):
        if definition.name in wanted:
            wanted |= references(definition.value)
    return frozenset(wanted)
