"""Values for each unit of a level, taken from the rows, in which they should not vary within a unit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import BoundLevel, Reals
from hdsl.data.table import listed_rows
from hdsl.design.ir import StudyFields
from hdsl.design.levels import ancestors, row_level
from hdsl.diagnostics import Diagnostic

SHOWN = 5
FEW = 0.1


def at_level(values: Reals, level: BoundLevel) -> tuple[Reals, NDArray[np.int64]]:
    """Return the value of each unit, shape (units,), and the rows that differ from the first of their unit."""
    first = values[level.first_rows]
    differs = ~((values == first[level.rows]) | (np.isnan(values) & np.isnan(first[level.rows])))
    return first, np.flatnonzero(differs)


def varies(
    design: StudyFields, what: tuple[str, str], values: Reals, level: str, levels: Mapping[str, BoundLevel]
) -> Diagnostic | None:
    """HDM301 (covariates and the like), HDM302 (treatments): a variable that varies within units of its level.

    `what` is the sort of variable and its name; `values` are those of the rows.
    """
    bound = levels[level]
    _, rows = at_level(values, bound)
    if rows.size == 0:
        return None
    units = np.unique(bound.rows[rows])
    shown = ", ".join(bound.labels[unit] for unit in units[:SHOWN]) + (", ..." if units.size > SHOWN else ".")
    message = f"The {what[0]} `{what[1]}` varies within {units.size} of {bound.size} units of {level}: {shown}"
    lower = _where_constant(design, values, level, levels)
    mend = f"assign {what[1]} to {lower}" if what[0] == "treatment" else ""
    declare = f"write `{mend}`" if mend else f"declare it in the block of {lower}"
    when = "Mend the data in these rows, or" if units.size <= FEW * bound.size else "If it is meant so,"
    help = f"{when} {declare}."
    return Diagnostic("HDM302" if mend else "HDM301", message, help=help, rows=listed_rows(rows))


def _where_constant(design: StudyFields, values: Reals, level: str, levels: Mapping[str, BoundLevel]) -> str:
    """Return the level below with the fewest units within which the values do not vary; every row is its own unit."""
    below = [name for name in levels if level in ancestors(design, name)]
    constant = [name for name in below if at_level(values, levels[name])[1].size == 0]
    return min(constant, key=lambda name: levels[name].size, default=row_level(design).name)
