"""Population cells: tables whose rows say how many units of a population have these covariates.

The cells are bound as the rows of the study are, without outcomes: labels, groups and treatments mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hdsl.data import columns
from hdsl.data.bound import Bound, Population, Reals
from hdsl.data.sources import list_columns, open_table
from hdsl.data.table import Table, missing_column
from hdsl.data.used import used_names
from hdsl.design import ir
from hdsl.design.expr import Aggregate, walk
from hdsl.design.levels import ancestors, id_column, row_level
from hdsl.diagnostics import Diagnostic, has_errors

if TYPE_CHECKING:
    Binder = Callable[[ir.StudyFields, Table], tuple[Bound | None, list[Diagnostic]]]

Path_ = tuple[str | int, ...]
BEFORE = ("covariate", "exposure", "intermediate")
NEW = "new"


def tables(design: ir.StudyFields) -> Iterator[tuple[str, str | None, Path_]]:
    """Yield the files of population cells: file, column of the weights (None: each row counts once), place."""
    seen: set[str] = set()
    for i, item in enumerate(design.analysis):
        if isinstance(item, ir.Poststratify) and item.file not in seen:
            seen.add(item.file)
            yield item.file, item.weight, ("analysis", i)
    for i, estimand in enumerate(design.estimands):
        for node in walk(estimand.value):
            if isinstance(node, Aggregate) and node.cells and node.over not in seen:
                seen.add(node.over)
                yield node.over, None, ("estimands", i)


def with_populations(bound: Bound, base: Path, bind: Binder) -> tuple[Bound, list[Diagnostic]]:
    """Return a bound study with its population cells, and what is wrong with these.

    Returns
    -------
    Bound
    diagnostics
        HDM21x where a file cannot be read, HDM525 for columns or values that are missing, HDM526 for labels that the
        study does not know, HDM527 for weights that are none, HDM528 (a warning) for groups without a column.
    """
    found: dict[str, Population] = {}
    problems: list[Diagnostic] = []
    for file, weight, path in tables(bound.study):
        made, more = _population(bound, file, weight, base, bind)
        problems += [replace(problem, path=path) for problem in more]
        if made is not None:
            found[file] = made
    return replace(bound, populations=found), problems


def _population(
    bound: Bound, file: str, weight: str | None, base: Path, bind: Binder
) -> tuple[Population | None, list[Diagnostic]]:
    table = open_table(file, base)
    if isinstance(table, list):
        return None, table
    known = _ids_known(bound.study, table, base)
    problems = [*_absent(bound, table, weight), *_groups(bound.study, table, known)]
    if has_errors(problems):
        return None, problems
    weights, more = _weights(table, weight)
    design = _reduced(bound.study, table)
    cells, found = bind(design, _with_new_ids(design, table, known))
    problems += [*more, *(problem for problem in found if problem.severity == "error")]
    if cells is None or has_errors(problems):
        return None, problems
    if cells.rows < table.num_rows:
        gaps = ", ".join(f"{name} in {count}" for name, count in cells.audit.dropped.items())
        return None, [*problems, _incomplete(f"{file} has cells with missing values: {gaps}.")]
    problems += _unknown_labels(bound, cells, file)
    return Population(file, replace(cells, study=bound.study), weights), problems


def _incomplete(message: str) -> Diagnostic:
    return Diagnostic("HDM525", message, help="Each cell needs a value of each covariate of the analysis.")


def _absent(bound: Bound, table: Table, weight: str | None) -> Iterator[Diagnostic]:
    """HDM217, HDM525: the weights, and the covariates of the rows that the analysis uses, are columns of the cells."""
    if weight is not None and weight not in table.column_names:
        yield missing_column(weight, table.column_names, table.source)
    used = used_names(bound.study)
    for variable in row_level(bound.study).variables:
        column = variable.column or variable.name
        if variable.role in BEFORE and variable.name in used and column not in table.column_names:
            message = f"{table.source} has no column {column!r}, but the model uses {variable.role} {variable.name}."
            yield Diagnostic("HDM525", message, help="Split the cells by it, or leave it out of the model.")


def _ids_known(design: ir.StudyFields, table: Table, base: Path) -> frozenset[str]:
    """Return the levels whose ids stand in the cells, or in the second table of a level whose ids do."""
    present = {level.name for level in design.levels if id_column(level) in table.column_names}
    found = set(present)
    for level in design.levels:
        if level.file is None or level.name not in present:
            continue
        columns = list_columns(level.file, base)
        above = [each for each in design.levels if each.name in ancestors(design, level.name)]
        found.update(each.name for each in above if isinstance(columns, tuple) and id_column(each) in columns)
    return frozenset(found)


def _groups(design: ir.StudyFields, table: Table, known: frozenset[str]) -> Iterator[Diagnostic]:
    """HDM525, HDM528: the cells say to which groups they belong."""
    for level in design.levels:
        column = id_column(level)
        if column is None or level.name in known or level.name == row_level(design).name:
            continue
        lower = (each for each in design.levels if each.name in known and each.word != "wave")
        within = next((each.name for each in lower if level.name in ancestors(design, each.name)), None)
        if within is not None:
            message = f"{table.source} has no column {column!r}, so that it is not known which {within} is meant."
            yield Diagnostic("HDM525", message, help=f"Give the {level.name} of each {within}.")
            continue
        message = f"{table.source} has no column {column!r}: each cell is predicted for a new {level.name}."
        help_ = f"Give the {level.name} of each cell if it is known; the effects of new ones are drawn from their law."
        yield Diagnostic("HDM528", message, severity="warning", help=help_)


def _weights(table: Table, weight: str | None) -> tuple[Reals, list[Diagnostic]]:
    if weight is None:
        return np.ones(table.num_rows), []
    read = columns.to_real(table.column(weight))
    values = read.values.astype(np.float64)
    if read.missing is not None:
        values = np.where(read.missing, np.nan, values)
    bad = np.flatnonzero(~(values >= 0))
    problems = list(read.problems)
    if bad.size and not has_errors(problems):
        what = "no number" if np.isnan(values[bad[0]]) else f"{values[bad[0]]:g}"
        more = f" ({bad.size} such cells)" if bad.size > 1 else ""
        message = f"The weight {weight!r} of {table.rows.name(int(bad[0]))} of {table.source} is {what}{more}."
        help_ = "Give the number of units of the population in each cell, zero where there is none."
        problems.append(Diagnostic("HDM527", message, help=help_))
    elif not problems and values.sum() <= 0:
        problems.append(Diagnostic("HDM527", f"All weights of {table.source} are zero.", help="Check the column."))
    return values, problems


def _reduced(design: ir.StudyFields, table: Table) -> ir.StudyFields:
    """Return the design without what cells do not have: outcomes, weights, second tables, ids of rows."""
    row = row_level(design).name
    levels: list[ir.Level] = []
    for level in design.levels:
        joined = level.file if id_column(level) in table.column_names else None
        kept = (v for v in level.variables if v.role in BEFORE)
        kept = (v for v in kept if joined is not None or (v.column or v.name) in table.column_names)
        plain = tuple(v.model_copy(update={"missing": False}) for v in kept)
        own = None if level.name == row else level.id
        levels.append(level.model_copy(update={"variables": plain, "file": joined, "id": own}))
    given = {t.name for t in design.treatments if (t.column or t.name) in table.column_names}
    return design.model_copy(
        update={
            "levels": tuple(levels),
            "treatments": tuple(t for t in design.treatments if t.name in given),
            "assignments": tuple(a for a in design.assignments if a.treatment in given),
            "principals": (),
        }
    )


def _with_new_ids(design: ir.StudyFields, table: Table, known: frozenset[str]) -> Table:
    """Return the cells with an id of its own for each cell in the columns of groups that they do not have."""
    import pyarrow as pa

    arrow = table.arrow
    for level in design.levels:
        column = id_column(level)
        if column is not None and level.name not in known and level.name != row_level(design).name:
            ids = [f"{NEW} {level.name} {row + 1}" for row in range(table.num_rows)]
            ordered = pa.array(range(table.num_rows)) if level.word == "wave" else pa.array(ids)
            arrow = arrow.append_column(column, ordered)
    return replace(table, arrow=arrow, column_names=tuple(arrow.column_names))


def _unknown_labels(bound: Bound, cells: Bound, file: str) -> Iterator[Diagnostic]:
    """HDM526: a category of the cells is one of the study's."""
    for name, variable in cells.variables.items():
        known: Mapping[str, None] = dict.fromkeys(bound.variables[name].labels)
        strange = [label for label in variable.labels if label not in known]
        if known and strange:
            message = f"{file}: the study has no {name} {strange[0]!r}" + (
                f" and {len(strange) - 1} more." if len(strange) > 1 else "."
            )
            help_ = f"It has: {', '.join(list(known)[:12])}. Write labels as in the data, or join cells."
            yield Diagnostic("HDM526", message, help=help_)
