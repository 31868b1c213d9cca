"""Definitions: which are transformed data, which transformed parameters, which local to a block."""

from __future__ import annotations

from collections.abc import Iterable

from hdsl.model.ir import Definition, Observation, references
from hdsl.model.roles import in_words
from hdsl_stan.context import Context
from hdsl_stan.declarations import comment
from hdsl_stan.expressions import declare
from hdsl_stan.syntax import Assign, Braces, Declare, Name, Statement
from hdsl_stan.values import stored


def declare_fixed(context: Context) -> None:
    """Declare the definitions that follow from data alone."""
    context.body = []
    for definition in context.model.definitions:
        if references(definition.value) <= context.fixed and references(definition.value):
            define(context, definition)
            context.transformed_data += context.body
            context.body = []
            context.fixed.add(definition.name)


def transformed_parameters(context: Context) -> list[Statement]:
    """Declare the other definitions as transformed parameters, their working variables in braces."""
    local = {definition.name for definition in local_definitions(context)}
    statements: list[Statement] = []
    for definition in context.model.definitions:
        if definition.name in context.fixed or definition.name in local:
            continue
        context.body = []
        define(context, definition)
        statements += _without_temporaries(context.body, context.names[definition.name])
    return statements


def _without_temporaries(body: list[Statement], name: str) -> list[Statement]:
    """Return the statements that declare `name`, with other variables hidden in braces."""
    declared = [each for each in body if isinstance(each, Declare)]
    if len(declared) <= 1:
        return body
    own = next(each for each in declared if each.name == name)
    rest: list[Statement] = []
    for each in body:
        if each is not own:
            rest.append(each)
        elif own.value is not None:
            rest.append(Assign(Name(name), own.value))
    return [Declare(own.type, own.name, None, own.comment), Braces(tuple(rest))]


def define(context: Context, definition: Definition) -> None:
    """Declare a definition in the block now being written."""
    variable = stored(context.names[definition.name], definition.dims)
    declare(context, variable, definition.value, comment(in_words(definition.role or ""), variable.name))
    context.stored[definition.name] = variable


def _is_local(context: Context, definition: Definition, local: set[str]) -> bool:
    return context.model.unit in definition.dims or bool(references(definition.value) & local)


def local_definitions(context: Context) -> list[Definition]:
    """Return the definitions that are local to the model block: those over the rows, and what needs them."""
    found: list[Definition] = []
    names: set[str] = set()
    for definition in context.model.definitions:
        if definition.name not in context.fixed and _is_local(context, definition, names):
            found.append(definition)
            names.add(definition.name)
    return found


def needed(context: Context, observations: Iterable[Observation]) -> list[Definition]:
    """Return the local definitions that the laws of data need, in order."""
    wanted: set[str] = set()
    for observation in observations:
        for arg in observation.law.args:
            wanted |= references(arg)
    needed: list[Definition] = []
    for definition in reversed(local_definitions(context)):
        if definition.name in wanted:
            needed.insert(0, definition)
            wanted |= references(definition.value)
    return needed
