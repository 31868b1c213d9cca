"""The pages of the two representations: each class with its fields, from the pydantic classes themselves."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hdsl.design import expr, ir
from hdsl.model import distributions, functions
from hdsl.model import ir as model

STUDY = """# Parts of a study

A study, written as text or in Python, becomes one value: this. Two equal designs give equal values.
`study.to_json()` writes it and `Study.from_json` reads it; [study.schema.json](study.schema.json) is its JSON Schema.
Each table lists the fields of a part: what may stand there, and what stands there when nothing is said. Where words
are listed, these are all that the language has.
"""
MODEL = """# The model in parts

What is derived from a study is a small probabilistic program ([architecture](../architecture.md)): random variables
with laws, definitions and observations over named index sets. A [backend](../backends.md) is given this and nothing
else. `hdsl compile study.hdm --emit model` prints it as JSON.
"""
_EXPRESSIONS = get_args(expr.Expr)[0]


def study_page() -> str:
    """Return the page of the Study."""
    parts = [ir.StudyFields, *(each for each in _classes(ir) if each is not ir.StudyFields)]
    lines = [STUDY, "## The study and its parts", "", *_entries(parts)]
    return "\n".join([*lines, "## Expressions", "", *_entries(_classes(expr)), ""])


def model_page() -> str:
    """Return the page of the Model, its functions and its distributions."""
    classes = _classes(model)
    first = [each for each in classes if each is model.Model]
    lines = [MODEL, "## The program", "", *_entries([*first, *(each for each in classes if each is not model.Model)])]
    lines += ["## Functions", "", "What they compute is said by the NumPy reference (`hdsl/reference`).", ""]
    lines += ["| Function | Arguments | |", "|---|---|---|"]
    for each in functions.FUNCTIONS.values():
        lines.append(f"| `{each.name}` | {'any' if each.arity is None else each.arity} | {_cell(each.meaning)} |")
    lines += ["", "## Distributions", "", "Second parameters are standard deviations, never variances.", ""]
    lines += ["| Distribution | Parameters | Values |", "|---|---|---|"]
    for each in distributions.DISTRIBUTIONS.values():
        lines.append(f"| `{each.name}` | {', '.join(f'`{p}`' for p in each.parameters)} | {each.support} |")
    return "\n".join([*lines, ""])


def _classes(module: types.ModuleType) -> list[type[BaseModel]]:
    found = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, BaseModel)]
    return [each for each in found if each.__module__ == module.__name__ and each.__name__ != "Node"]


def _entries(classes: list[type[BaseModel]]) -> Iterator[str]:
    for each in classes:
        name = "Study" if each is ir.StudyFields else each.__name__
        yield from (f"### {name} {{ #{_anchor(each)} }}", "", inspect.cleandoc(each.__doc__ or ""), "")
        fields = {key: field for key, field in each.model_fields.items() if key != "node"}
        if fields:
            yield from ("| Field | What may stand there | If nothing is said |", "|---|---|---|")
            yield from (f"| `{key}` | {_cell(_words(f))} | {_default(f)} |" for key, f in fields.items())
            yield ""


def _anchor(each: type[BaseModel]) -> str:
    return f"part-{each.__module__.split('.')[1]}-{each.__name__.lower()}"


def _words(field: FieldInfo) -> str:
    least = next((m.min_length for m in field.metadata if hasattr(m, "min_length")), None)
    return _type(field.annotation) + (f", at least {least}" if least else "")


def _type(kind: Any) -> str:
    if isinstance(kind, TypeAliasType):
        return _type(kind.__value__)
    origin, arguments = get_origin(kind), get_args(kind)
    if kind == expr.Expr or kind == _EXPRESSIONS:
        return "[expression](#expressions)"
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in arguments if each is not type(None)))
    if origin is tuple:
        return _list(arguments)
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        name = "Study" if kind is ir.StudyFields else kind.__name__
        return f"[{name}](#{_anchor(kind)})"
    names: dict[Any, str] = {str: "text", float: "number", int: "whole number", bool: "yes or no"}
    return names[kind]


def _list(arguments: tuple[Any, ...]) -> str:
    if arguments[-1] is Ellipsis:
        return f"list of {_type(arguments[0])}"
    return f"({', '.join(map(_type, arguments))})"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be said"
    match field.default:
        case None | () | "":
            return "nothing"
        case bool():
            return "yes" if field.default else "no"
        case _:
            return f"`{field.default}`"


def _cell(text: str) -> str:
    return re.sub(r"\|", r"\\|", text)
