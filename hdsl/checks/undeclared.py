"""A name or an arm that is not declared is told once, and what follows from it is not told at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from hdsl.diagnostics import Diagnostic

UNDECLARED = ("HDM226", "HDM227", "HDM228", "HDM229")
ABOUT_LEVELS = re.compile("HDM4|HDM253|HDM505|HDM513")
ABOUT_VARIABLES = re.compile("HDM252|HDM253|HDM255|HDM406")
NAME = re.compile("`([^`]+)`")


def told_once(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the findings with one for each undeclared name and none that may only follow from it.

    Without a level what belongs to what is not known (HDM4xx, 253, 505, 513); without a variable it is not known
    what the equations are for (HDM252, 253, 255) and what varies within a group (HDM406).
    """
    every = list(found)
    codes = {diagnostic.code for diagnostic in every}
    places: dict[str, int] = {}
    for diagnostic in every:
        if diagnostic.code in UNDECLARED:
            places[_name(diagnostic)] = places.get(_name(diagnostic), 0) + 1
    kept: list[Diagnostic] = []
    for diagnostic in every:
        if diagnostic.code in UNDECLARED:
            count = places.pop(_name(diagnostic), 0)
            if count:
                kept.append(_counted(diagnostic, count))
        elif not _follows(diagnostic.code, codes):
            kept.append(diagnostic)
    return kept


def _name(diagnostic: Diagnostic) -> str:
    if diagnostic.code == "HDM229":
        return diagnostic.message
    named = NAME.search(diagnostic.message)
    return diagnostic.message if named is None else named[1]


def _counted(diagnostic: Diagnostic, count: int) -> Diagnostic:
    if count == 1:
        return diagnostic
    return replace(diagnostic, help=f"{diagnostic.help} The name is used in {count} places.".strip())


def _follows(code: str, codes: set[str]) -> bool:
    return bool(("HDM226" in codes and ABOUT_LEVELS.match(code)) or ("HDM227" in codes and ABOUT_VARIABLES.match(code)))
