"""The queries that sum up rows by key: numbers of rows, means and cross-products of the measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hdsl.data.databases import picked
from hdsl.data.stream_cells import HIGH, KEY, LOW
from hdsl.data.stream_plan import Measure, Plan

Form = Literal["complete", "all", "plain"]


@dataclass(frozen=True)
class Dialect:
    """How an engine says what the standard does not: a compensated mean, and tests of a number `{x}`."""

    engine: str
    mean: str
    finite: str
    infinite: str


DUCKDB = Dialect("duckdb", "favg({x})", "isfinite({x})", "isinf({x})")
POSTGRESQL = Dialect("postgresql", "avg({x})", "abs({x}) < 'Infinity'::float8", "abs({x}) = 'Infinity'::float8")


@dataclass(frozen=True)
class Opened:
    """A table to be read: what runs a query, what stands after FROM, and its columns with their types."""

    run: Callable[[str], Any]
    source: str
    types: dict[str, str]
    dialect: Dialect

    def picked(self, column: str) -> str:
        """Return a column as it is read."""
        return picked(self.dialect.engine, column, self.types[column])


def sums(plan: Plan, table: Opened, shift: np.ndarray, form: Form, *, whole: bool = False) -> str:
    """Return the query for sums by key.

    Parameters
    ----------
    shift : array, shape (measures,)
        What is subtracted from each measure.
    form
        `complete`: means and (co)variances of complete rows. `all`: of all rows, with what shows those that are not
        complete. `plain`: as `all`, but sums and sums of products in place of means and (co)variances.
    whole
        It is known that no value of a measure is missing: values need not be counted.
    """
    measures, dialect = range(len(plan.measures)), table.dialect
    pairs = [(i, j) for i in measures for j in measures if i <= j]
    inner = [f"{table.picked(c)} AS {name_of(KEY + c)}" for c in dict.fromkeys((*plan.keys, *plan.constants))]
    inner += [f"{_plain(m)} - ({float(shift[i])!r}) AS m{i}" for i, m in enumerate(plan.measures)]
    asked = [*(name_of(KEY + name) for name in plan.keys), "count(*) AS n"]
    if form == "plain":
        asked += [f"fsum(m{i}) AS a{i}" for i in measures]
        asked += [f"fsum(m{i} * m{j}) AS s{i}_{j}" for i, j in pairs]
    else:
        asked += [f"{dialect.mean.format(x=f'm{i}')} AS a{i}" for i in measures]
        asked += [f"{_product(i, j)} AS s{i}_{j}" for i, j in pairs]
    for name in plan.constants:
        least, most = ("bool_and", "bool_or") if table.types[name].lower() == "boolean" else ("min", "max")
        asked += [
            f"{least}({name_of(KEY + name)}) AS {name_of(LOW + name)}",
            f"{most}({name_of(KEY + name)}) AS {name_of(HIGH + name)}",
        ]
    where = ""
    if form == "complete" and plan.measures:
        where = " WHERE " + " AND ".join(_complete(measure, dialect) for measure in plan.measures)
    else:
        asked += [] if whole else [f"count(m{i}) AS c{i}" for i in measures]
        bad = {i: _misfit(measure, _number(measure)) for i, measure in enumerate(plan.measures)}
        inner += [f"({test}) AS b{i}" for i, test in bad.items() if test]
        asked += [f"count(*) FILTER (WHERE b{i}) AS b{i}" for i, test in bad.items() if test]
    groups = "GROUP BY " + ", ".join(str(place + 1) for place in range(len(plan.keys))) if plan.keys else ""
    taken = f"(SELECT {', '.join(inner)} FROM {table.source}{where}) AS taken"
    return f"SELECT {', '.join(asked)} FROM {taken} {groups} HAVING count(*) > 0"


def middles(plan: Plan, table: Opened, rows: int) -> str:
    """Return the query for the means of the first rows."""
    means = ", ".join(f"avg({_value(m, 0.0, table.dialect)}) AS m{i}" for i, m in enumerate(plan.measures))
    columns = ", ".join(dict.fromkeys(name_of(measure.column) for measure in plan.measures))
    return f"SELECT {means} FROM (SELECT {columns} FROM {table.source} LIMIT {rows}) AS sample"


def counts(plan: Plan, table: Opened) -> str:
    """Return the query for all rows, and of each measure those in which it is missing or does not fit its kind."""
    asked = ["count(*) AS n"]
    for i, measure in enumerate(plan.measures):
        asked.append(f"count(*) FILTER (WHERE {_gap(measure, table.dialect)}) AS g{i}")
        asked.append(f"count(*) FILTER (WHERE coalesce({_bad(measure, table.dialect)}, false)) AS b{i}")
    return f"SELECT {', '.join(asked)} FROM {table.source}"


def _product(i: int, j: int) -> str:
    return f"var_pop(m{i})" if i == j else f"covar_pop(m{i}, m{j})"


def _number(measure: Measure) -> str:
    return f"CAST({name_of(measure.column)} AS DOUBLE PRECISION)"


def _value(measure: Measure, shift: float, dialect: Dialect) -> str:
    """Return the measure less the shift; NULL where it is missing, infinite, or has no logarithm."""
    return f"(CASE WHEN {_complete(measure, dialect)} THEN {_plain(measure)} END - ({shift!r}))"


def _plain(measure: Measure) -> str:
    return f"ln({_number(measure)})" if measure.log else _number(measure)


def _complete(measure: Measure, dialect: Dialect) -> str:
    """Return the test of a value that can be summed up."""
    number = _number(measure)
    finite = dialect.finite.format(x=number)
    return f"{number} > 0 AND {finite}" if measure.log else finite


def _gap(measure: Measure, dialect: Dialect) -> str:
    """Return the test of a missing value.

    DuckDB 2.0 takes `isnan` of a Parquet column for false by the column's statistics, which leave NaN out.
    """
    number = _number(measure)
    return f"{number} IS NULL OR NOT ({dialect.finite.format(x=number)} OR {dialect.infinite.format(x=number)})"


def _bad(measure: Measure, dialect: Dialect) -> str:
    """Return the test of a value that does not fit the kind."""
    number = _number(measure)
    known = _misfit(measure, number)
    infinite = dialect.infinite.format(x=number)
    return infinite if known is None else f"({infinite} OR (({known}) AND {dialect.finite.format(x=number)}))"


def _misfit(measure: Measure, number: str) -> str | None:
    """Return the test of a finite value that does not fit the kind; None where all do."""
    tests = {
        "positive": f"{number} <= 0",
        "dose positive": f"{number} < 0",
        "proportion": f"{number} < 0 OR {number} > 1",
        "count": f"{number} < 0 OR {number} <> floor({number})",
    }
    return tests.get(measure.kind) or tests.get(measure.kind.removeprefix("dose "))


def name_of(column: str) -> str:
    """Return a column's name as it stands in a query."""
    return '"' + column.replace('"', '""') + '"'


