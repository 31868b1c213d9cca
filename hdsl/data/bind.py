"""A study is bound to its tables: ids become codes, columns values of their kind, gaps dropped and counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.data import columns as kinds
from hdsl.data.bound import Audit, Bound, BoundLag, BoundLevel, BoundTreatment, BoundVariable, Integers, Reals
from hdsl.data.cells import with_populations
from hdsl.data.censoring import to_censored
from hdsl.data.keys import Key, lookup, to_key
from hdsl.data.lags import Lagged, bound_lag, lags_of, sources, wave_and_units
from hdsl.data.lags import dropped as dropped_rows
from hdsl.data.sources import list_columns, open_table
from hdsl.data.table import Column, Table, listed_rows
from hdsl.data.used import used_names
from hdsl.data.within import varies
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.levels import assignment_of, id_column, row_level
from hdsl.design.levels import level as level_named
from hdsl.design.words import column_text
from hdsl.diagnostics import Diagnostic, did_you_mean

Mask = NDArray[np.bool_]
COERCIONS = {
    "real": kinds.to_real,
    "positive": kinds.to_positive,
    "proportion": kinds.to_proportion,
    "count": kinds.to_count,
    "binary": kinds.to_binary,
    "duration": kinds.to_positive,
}
Path_ = tuple[str | int, ...]


@dataclass
class _Raw:
    """A variable's or treatment's values for each row of the table, before rows are dropped."""

    values: Reals
    labels: tuple[str, ...] = ()
    companions: dict[str, Reals] = field(default_factory=dict)


@dataclass
class _Work:
    """The state of one binding."""

    design: ir.StudyFields
    base: Path
    table: Table
    joined: dict[str, tuple[Table, Key, NDArray[np.int64]]] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    waves: dict[str, kinds.Coded] = field(default_factory=dict)
    variables: dict[str, _Raw] = field(default_factory=dict)
    treatments: dict[str, _Raw] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    times: Reals | None = None

    def number(self, mask: Mask) -> int:
        """Return how many rows of the data those chosen are: `times` are those that each stands for."""
        return int(mask.sum() if self.times is None else self.times[mask].sum())

    def say(self, problems: Iterable[Diagnostic], path: Path_) -> None:
        """Collect diagnostics, placing those that have no place yet."""
        for problem in problems:
            placed = problem if problem.path is not None else _placed(problem, path)
            self.problems.append(placed)


def _placed(problem: Diagnostic, path: Path_) -> Diagnostic:
    return replace(problem, path=path)


def bind(design: ir.StudyFields, base: Path, table: str | None = None) -> tuple[Bound | None, list[Diagnostic]]:
    """Read a study's tables and bind every level, variable and treatment to arrays.

    Parameters
    ----------
    base : Path
        The folder from which relative file names count (that of the .hdm file).
    table : str or None
        A table to use in place of the study's `data` statement.

    Returns
    -------
    Bound or None
        None where an error makes the data unusable.
    diagnostics
        HDM2xx for tables and columns, HDM3xx for values, HDM363 (a warning) for dropped rows, HDM525 to HDM528 for
        population cells.
    """
    opened = _open(design, base, table)
    if isinstance(opened, list):
        return None, opened
    bound, problems = _bind(design, base, opened, table or design.table or "")
    if bound is None:
        return None, problems
    whole, more = with_populations(bound, base, lambda cells, table: _bind(cells, base, table, table.source))
    failed = any(problem.severity == "error" for problem in more)
    return (None if failed else whole), [*problems, *more]


def bind_table(
    design: ir.StudyFields, base: Path, table: Table, locator: str, times: Reals | None = None
) -> tuple[Bound | None, list[Diagnostic]]:
    """Bind a study to a main table that was read already; HDM217 where it lacks columns, else as `bind`.

    `times`, shape (rows,): for how many rows of the data each row stands, when gaps are counted.
    """
    missing = _missing_columns(design, table.column_names, locator, _outer_ids(design, base))
    return (None, missing) if missing else _bind(design, base, table, locator, times)


def _bind(
    design: ir.StudyFields, base: Path, opened: Table, source: str, times: Reals | None = None
) -> tuple[Bound | None, list[Diagnostic]]:
    work = _Work(design, base, opened, problems=list(opened.notes), times=times)
    for step in (_join_tables, _read_keys, _read_variables, _read_treatments):
        step(work)
    if any(problem.severity == "error" for problem in work.problems):
        return None, work.problems
    keep = _complete_rows(work)
    lags = _lag_sources(work, keep)
    if any(problem.severity == "error" for problem in work.problems):
        return None, work.problems
    keep = _rows_with_lags(work, keep, lags)
    if not keep.any():
        help_ = "See the missing values above."
        work.problems.append(Diagnostic("HDM364", "No row of the data is complete.", help=help_))
        return None, work.problems
    bound = _assemble(work, keep, source, lags)
    failed = any(problem.severity == "error" for problem in work.problems)
    return (None if failed else bound), work.problems


def _open(design: ir.StudyFields, base: Path, table: str | None) -> Table | list[Diagnostic]:
    locator = table or design.table
    if locator is None:
        return [Diagnostic("HDM223", "The study names no data.", help='Add `data "file.csv"`, or pass --data FILE.')]
    names = list_columns(locator, base if table is None else Path.cwd())
    if not isinstance(names, tuple):
        return [_placed(problem, ("table",)) for problem in names] if table is None else names
    outer = _outer_ids(design, base)
    missing = _missing_columns(design, names, locator, outer)
    if missing:
        return missing
    wanted = [column for column in _columns_wanted(design) if column in names]
    return open_table(locator, base if table is None else Path.cwd(), wanted or None)


def _kind_columns(kind: ir.Kind) -> list[str]:
    found = [] if kind.censored_by is None else [kind.censored_by]
    for expr in (kind.trials, kind.known_sd):
        found += [] if expr is None else list(study.names(expr))
    return found


def _variable_columns(variable: ir.Variable, design: ir.StudyFields) -> list[str]:
    own = variable.column or variable.name
    declared = {v.name: v.column or v.name for level in design.levels for v in level.variables}
    return [own, *(declared.get(name, name) for name in _kind_columns(variable.kind))]


def _needs(design: ir.StudyFields) -> Iterable[tuple[str, Path_, str]]:
    """Yield the columns the main table must have: column, place in the study, and for what."""
    for i, level in enumerate(design.levels):
        column = id_column(level)
        if column is not None:
            yield column, ("levels", i), f"the id of {level.name}"
        if level.file is None:
            for j, variable in enumerate(level.variables):
                for name in _variable_columns(variable, design):
                    yield name, ("levels", i, "variables", j), f"{variable.role} {variable.name}"
    for i, treatment in enumerate(design.treatments):
        if _treatment_file(design, treatment) is None:
            yield treatment.column or treatment.name, ("treatments", i), f"treatment {treatment.name}"


def _treatment_file(design: ir.StudyFields, treatment: ir.Treatment) -> str | None:
    assigned = assignment_of(design, treatment.name)
    found = None if assigned is None else level_named(design, assigned.to)
    return None if found is None else found.file


def _columns_wanted(design: ir.StudyFields) -> list[str]:
    found = [column for column, _, _ in _needs(design)]
    found += [treatment.column or treatment.name for treatment in design.treatments]
    return list(dict.fromkeys(found))


def _columns_wanted_of(design: ir.StudyFields, level: ir.Level) -> list[str]:
    """Return the columns of a level's second table that the study may use."""
    found = _ids_of(design, level)
    found += [name for variable in level.variables for name in _variable_columns(variable, design)]
    for treatment in design.treatments:
        assigned = assignment_of(design, treatment.name)
        if assigned is not None and assigned.to == level.name:
            found.append(treatment.column or treatment.name)
    return list(dict.fromkeys(found))


def _outer_ids(design: ir.StudyFields, base: Path) -> frozenset[str]:
    """Return the id columns of levels that stand in the second table of a level within them."""
    found: set[str] = set()
    for level in design.levels:
        if level.file is not None:
            above = set(_ids_of(design, level)) - {id_column(level)}
            columns = list_columns(level.file, base)
            found.update(above.intersection(columns) if isinstance(columns, tuple) else ())
    return frozenset(found)


def _missing_columns(
    design: ir.StudyFields, names: tuple[str, ...], source: str, elsewhere: frozenset[str]
) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    ids = {id_column(level) for level in design.levels}
    for column, path, purpose in _needs(design):
        if column in names or (column in ids and column in elsewhere):
            continue
        near = did_you_mean(column, list(names))
        help_ = f"Its columns are: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."
        if near is not None:
            help_ = f"Did you mean {near!r}?{_how_to_name(design, column, near, path)}"
        found.append(Diagnostic("HDM217", f"{source} has no column {column!r} ({purpose}).", help=help_, path=path))
    return found


def _how_to_name(design: ir.StudyFields, column: str, near: str, path: Path_) -> str:
    """Return how the statement at a place names another column."""
    match path:
        case ("levels", int()):
            return f" Write `id {column_text(near)}`."
        case ("levels", int(i), "variables", int(j)) if design.levels[i].variables[j].name == column:
            return f" Write `column {column_text(near)}` after its kind, or call it so."
        case ("treatments", int(i)) if design.treatments[i].name == column:
            return f" Write `treatment {column} column {column_text(near)} ...`."
        case _:
            return ""


def _key_columns(work: _Work, level: ir.Level, table: Table) -> list[Column]:
    """Return a level's id columns, outermost first: those of the levels it nests in and crosses, then its own."""
    available = set(table.arrow.column_names)
    return [table.column(name) for name in _ids_of(work.design, level) if name in available]


def _ids_of(design: ir.StudyFields, level: ir.Level) -> list[str]:
    names: list[str] = []
    _collect_ids(design, level, names)
    return names


def _collect_ids(design: ir.StudyFields, level: ir.Level, names: list[str]) -> None:
    for parent in (*level.parents, *level.crosses):
        found = level_named(design, parent)
        if found is not None:
            _collect_ids(design, found, names)
    own = id_column(level)
    if own is not None and own not in names:
        names.append(own)


def _join_tables(work: _Work) -> None:
    """Join the second tables, the innermost level's first: its table may hold the ids of the levels above."""
    depths = {i: len(_ids_of(work.design, level)) for i, level in enumerate(work.design.levels)}
    for i in sorted(depths, key=lambda i: -depths[i]):
        level = work.design.levels[i]
        if level.file is None:
            continue
        path: Path_ = ("levels", i)
        names = list_columns(level.file, work.base)
        wanted = [name for name in _columns_wanted_of(work.design, level) if name in names]
        table = open_table(level.file, work.base, wanted or None) if isinstance(names, tuple) else names
        if isinstance(table, list):
            work.say(table, path)
            continue
        own = id_column(level)
        if own is None or own not in table.column_names:
            help_ = f"Its columns are: {', '.join(table.column_names[:12])}."
            message = f"{level.file} has no column {own!r}, by which it is joined to {level.name}."
            work.say([Diagnostic("HDM217", message, help=help_)], path)
            continue
        work.say(table.notes, path)
        shared = [column for column in _key_columns(work, level, table) if column.name in work.table.arrow.column_names]
        if not shared:
            continue
        key = to_key(shared)
        here = to_key([work.table.column(column.name) for column in key.columns])
        found = lookup(here, key)
        work.say(found.problems, path)
        rows = np.append(found.rows, -1)[here.codes]
        work.joined[level.name] = (table, key, rows)
        _take_ids(work, level, table, rows)


def _take_ids(work: _Work, level: ir.Level, table: Table, rows: NDArray[np.int64]) -> None:
    """Add to the main table the ids of the levels above that stand only in the second one."""
    import pyarrow as pa

    for name in _ids_of(work.design, level):
        if name in table.column_names and name not in work.table.arrow.column_names:
            taken = table.arrow.column(name).take(pa.array(np.where(rows < 0, 0, rows), mask=rows < 0))
            wider = work.table.arrow.append_column(name, taken)
            work.table = replace(work.table, arrow=wider, column_names=(*work.table.column_names, name))


def _read_keys(work: _Work) -> None:
    row = row_level(work.design)
    for i, level in enumerate(work.design.levels):
        own = id_column(level)
        crossed = bool(level.crosses)
        if own is None and not crossed and level.name != row.name:
            message = f"{level.name} has no id, so its units cannot be told apart."
            help_ = f"Write `{level.word} {level.name} id COLUMN`."
            work.problems.append(Diagnostic("HDM224", message, help=help_, path=("levels", i)))
            continue
        if own is None and level.name == row.name:
            if crossed:
                _check_repeated(work, to_key(_key_columns(work, level, work.table)), level, i)
            continue
        key = to_key(_key_columns(work, level, work.table))
        told = {problem.message for problem in work.problems}
        work.say([problem for problem in key.problems if problem.message not in told], ("levels", i))
        work.keys[level.name] = key
        if level.word == "wave" and own is not None:
            coded = kinds.to_wave(work.table.column(own))
            work.say(coded.problems, ("levels", i))
            work.waves[level.name] = coded
        if level.name == row.name:
            _check_repeated(work, key, level, i)


def _check_repeated(work: _Work, key: Key, level: ir.Level, place: int) -> None:
    twice = np.flatnonzero(key.counts > 1)
    if twice.size == 0:
        return
    shown = ", ".join(key.labels[t] for t in twice[:5])
    rows = listed_rows(np.flatnonzero(np.isin(key.codes, twice)))
    if level.crosses:
        if twice.size < key.size / 2:
            some = "1 combination" if twice.size == 1 else f"{twice.size} combinations"
            have = "has" if twice.size == 1 else "have"
            message = f"{some} of {key.name} {have} several rows, where most have one: {shown}."
            help_ = "Remove rows that are doubled; if they are meant so, waive this."
            found = Diagnostic("HDM305", message, severity="warning", help=help_, rows=rows, path=("levels", place))
            work.problems.append(found)
        return
    repeat = "1 id repeats" if twice.size == 1 else f"{twice.size} ids repeat"
    message = f"{level.name} should have one row for each {key.name}, but {repeat}: {shown}."
    help_ = (
        "Remove rows that are doubled; if there are several rows per unit, declare what a row is: "
        f"a further `unit ... in {level.name}`."
    )
    work.problems.append(Diagnostic("HDM305", message, help=help_, rows=rows, path=("levels", place)))


def _columns_of(work: _Work, level: ir.Level, name: str) -> tuple[Column, NDArray[np.int64] | None] | None:
    """Return a column and, for a joined table, the row of it that belongs to each row of the main table."""
    if level.file is None:
        return work.table.column(name), None
    if level.name not in work.joined:
        return None
    table, _, rows = work.joined[level.name]
    return (table.column(name), rows) if name in table.column_names else None


def _spread_out(values: Reals, rows: NDArray[np.int64] | None, absent: float) -> Reals:
    return values if rows is None else np.append(values, absent)[rows]


def _read_variables(work: _Work) -> None:
    for i, level in enumerate(work.design.levels):
        for j, variable in enumerate(level.variables):
            raw, problems = _read_variable(work, level, variable)
            work.say(problems, ("levels", i, "variables", j))
            if raw is not None:
                work.variables[variable.name] = raw


def _read_variable(work: _Work, level: ir.Level, variable: ir.Variable) -> tuple[_Raw | None, list[Diagnostic]]:
    name = variable.column or variable.name
    found = _columns_of(work, level, name)
    if found is None:
        if level.name in work.joined:
            columns = work.joined[level.name][0].column_names
            near = did_you_mean(name, list(columns)) or ", ".join(columns[:12])
            return None, [Diagnostic("HDM217", f"{level.file} has no column {name!r}.", help=f"It has: {near}.")]
        return None, []
    column, rows = found
    raw, problems = _coerce(column, rows, variable.kind)
    problems += _companions(work, level, variable, raw)
    return raw, problems


def _coerce(column: Column, rows: NDArray[np.int64] | None, kind: ir.Kind) -> tuple[_Raw, list[Diagnostic]]:
    if kind.name in ("category", "ordered"):
        coded = kinds.to_category(column) if kind.name == "category" else kinds.to_ordered(column)
        return _Raw(_spread_out(coded.codes.astype(np.float64), rows, -1.0), coded.labels), coded.problems
    coerced = COERCIONS[kind.name](column)
    values = coerced.values.astype(np.float64)
    if coerced.missing is not None:
        values = np.where(coerced.missing, np.nan, values)
    return _Raw(_spread_out(values, rows, np.nan)), coerced.problems


def _companions(work: _Work, level: ir.Level, variable: ir.Variable, raw: _Raw) -> list[Diagnostic]:
    """Read the trials, event and known sd that belong to a variable's kind."""
    kind, problems = variable.kind, list[Diagnostic]()
    if kind.trials is not None:
        raw.companions["trials"] = _formula(work, level, kind.trials, problems)
        if np.any(raw.values > raw.companions["trials"]):
            rows = tuple(int(r) + 1 for r in np.flatnonzero(raw.values > raw.companions["trials"])[:100])
            where = f"in {len(rows)} rows, first in row {rows[0]}"
            message = f"{variable.name} is larger than its number of trials {where}."
            problems.append(Diagnostic("HDM366", message, help="Check which column holds the trials.", rows=rows))
    if kind.known_sd is not None:
        sd = raw.companions["known_sd"] = _formula(work, level, kind.known_sd, problems)
        if np.any(sd <= 0):
            rows = listed_rows(np.flatnonzero(sd <= 0))
            message = f"The known sd of `{variable.name}` is not above zero in row {rows[0]}"
            message += f" and {len(rows) - 1} more." if len(rows) > 1 else "."
            help_ = "Give the standard error of each summary."
            problems.append(Diagnostic("HDM352", message, help=help_, rows=rows))
    if kind.censored_by is not None:
        found = _columns_of(work, level, kind.censored_by)
        if found is None:
            return [*problems, Diagnostic("HDM217", f"There is no column {kind.censored_by!r}.")]
        censored = to_censored(found[0])
        problems += censored.problems
        cut_off = np.where(censored.values < 0, np.nan, censored.values.astype(np.float64))
        raw.companions["event"] = 1 - _spread_out(cut_off, found[1], np.nan)
    return problems


def _formula(work: _Work, level: ir.Level, expr: study.Expr, problems: list[Diagnostic]) -> Reals:
    """Evaluate an expression over columns (or variables, by name) for each row of the main table."""
    match expr:
        case study.Number(value=value):
            return np.full(work.table.num_rows, value)
        case study.Ref(name=name):
            declared = {v.name: v.column or v.name for v in level.variables}
            found = _columns_of(work, level, declared.get(name, name))
            if found is None:
                problems.append(Diagnostic("HDM217", f"There is no column {name!r}."))
                return np.full(work.table.num_rows, np.nan)
            raw, more = _coerce(found[0], found[1], ir.Kind(name="real"))
            problems += more
            return raw.values
        case study.Negative(of=inner):
            return -_formula(work, level, inner, problems)
        case study.Operation(operator=operator, left=left, right=right):
            a, b = _formula(work, level, left, problems), _formula(work, level, right, problems)
            with np.errstate(all="ignore"):
                return {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}[operator](a, b)
        case study.Call(function=function, args=(argument,)) if function in ("sqrt", "log", "exp", "abs"):
            with np.errstate(all="ignore"):
                return getattr(np, function)(_formula(work, level, argument, problems))
        case _:
            message = "Only arithmetic, sqrt, log and exp of columns can stand here."
            problems.append(Diagnostic("HDM225", message))
            return np.full(work.table.num_rows, np.nan)


def _no_treatment(work: _Work, level: ir.Level | None, treatment: ir.Treatment, name: str) -> Diagnostic:
    columns = list(work.table.column_names)
    if level is not None and level.name in work.joined:
        columns += work.joined[level.name][0].column_names
    near = did_you_mean(name, columns)
    help_ = f"Did you mean {near!r}?" if near else "Name the column: `treatment NAME column C { ... }`."
    return Diagnostic("HDM217", f"Neither table has a column {name!r} for treatment {treatment.name}.", help=help_)


def _read_treatments(work: _Work) -> None:
    for i, treatment in enumerate(work.design.treatments):
        name = treatment.column or treatment.name
        assigned = assignment_of(work.design, treatment.name)
        level = level_named(work.design, assigned.to) if assigned is not None else None
        if name in work.table.column_names:
            column, rows = work.table.column(name), None
        else:
            found = None if level is None else _columns_of(work, level, name)
            if found is None:
                if level is None or level.name in work.joined or level.file is None:
                    work.say([_no_treatment(work, level, treatment, name)], ("treatments", i))
                continue
            column, rows = found
        work.treatments[treatment.name], problems = _arms(treatment, column, rows)
        work.say(problems, ("treatments", i))
    for assignment in work.design.assignments:
        _fill_unreached(work, assignment)


def _arms(treatment: ir.Treatment, column: Column, rows: NDArray[np.int64] | None) -> tuple[_Raw, list[Diagnostic]]:
    if treatment.dose is not None:
        dose = (kinds.to_dose if treatment.dose == "positive" else COERCIONS[treatment.dose])(column)
        values = dose.values.astype(np.float64)
        values = values if dose.missing is None else np.where(dose.missing, np.nan, values)
        return _Raw(_spread_out(values, rows, np.nan)), dose.problems
    coded = kinds.arm_codes(column, {arm.name: arm.code for arm in treatment.arms})
    values = _spread_out(coded.codes.astype(np.float64), rows, -1.0)
    return _Raw(np.where(values < 0, np.nan, values), tuple(arm.name for arm in treatment.arms)), coded.problems


def _fill_unreached(work: _Work, assignment: ir.Assignment) -> None:
    """Where a conditional assignment was not made, a blank treatment means the reference arm."""
    condition = assignment.condition
    if condition is None or condition.treatment not in work.treatments or assignment.treatment not in work.treatments:
        return
    first, second = work.treatments[condition.treatment], work.treatments[assignment.treatment]
    if condition.arm not in first.labels or not second.labels:
        return
    unreached = first.values != first.labels.index(condition.arm)
    second.values = np.where(unreached & np.isnan(second.values), 0.0, second.values)


def _gaps(raw: _Raw) -> Mask:
    gaps = np.isnan(raw.values) | ((raw.values < 0) if raw.labels else np.zeros(len(raw.values), np.bool_))
    for values in raw.companions.values():
        gaps = gaps | np.isnan(values)
    return gaps


def _complete_rows(work: _Work) -> Mask:
    """Return the rows without gaps in what the analysis uses; say how many are dropped and for what."""
    used = used_names(work.design)
    modelled = {v.name for level in work.design.levels for v in level.variables if v.missing}
    keep = np.ones(work.table.num_rows, np.bool_)
    dropped: dict[str, int] = {}
    for name, raw in {**work.variables, **work.treatments}.items():
        gaps = _gaps(raw)
        if name in used and name not in modelled and gaps.any():
            dropped[name] = int(gaps.sum())
            keep &= ~gaps
    if dropped:
        listed = ", ".join(f"{name} in {count}" for name, count in dropped.items())
        message = f"{int((~keep).sum())} of {len(keep)} rows are dropped: missing {listed}."
        help_ = "This is sound only if what is missing depends on nothing but what is adjusted for."
        rows = tuple(int(r) + 1 for r in np.flatnonzero(~keep)[:100])
        work.problems.append(Diagnostic("HDM363", message, severity="warning", help=help_, rows=rows))
    return keep


def _lag_sources(work: _Work, keep: Mask) -> dict[Lagged, Integers]:
    """Return, for each lag of the study, the row from which each row of the table takes its value (-1: from none)."""
    wanted, problems = lags_of(work.design)
    work.say(problems, ())
    if not wanted:
        return {}
    found = wave_and_units(work.design)
    if isinstance(found, Diagnostic):
        work.say([found], ())
        return {}
    wave, units = found
    codes = [work.keys[unit].codes for unit in units if unit in work.keys]
    made: dict[Lagged, Integers] = {}
    for lagged in wanted:
        source = sources(codes, work.waves[wave].codes, lagged.back)
        if source is None:
            message = f"`{lagged.text}`: a unit has several rows of one {wave}; their order is not known."
            work.say([Diagnostic("HDM368", message, help="Keep one row for each unit and occasion.")], ())
            return {}
        made[lagged] = source
    return made


def _raw(work: _Work, name: str) -> _Raw:
    return work.variables[name] if name in work.variables else work.treatments[name]


def _rows_with_lags(work: _Work, keep: Mask, lags: Mapping[Lagged, Integers]) -> Mask:
    """Return the rows that have a value of each lag; say how many others are dropped."""
    kept, counts = keep.copy(), dict[str, int]()
    for lagged, source in lags.items():
        absent = (source < 0) | _gaps(_raw(work, lagged.name))[source]
        counts[lagged.text] = int((keep & absent).sum())
        kept &= ~absent
    if (keep & ~kept).any():
        at = np.flatnonzero(keep & ~kept)
        work.problems.append(dropped_rows(counts, len(at), int(keep.sum()), at))
    return kept


def _bound_lags(
    work: _Work, keep: Mask, lags: Mapping[Lagged, Integers], variables: Mapping[str, BoundVariable]
) -> dict[tuple[str, int], BoundLag]:
    found: dict[tuple[str, int], BoundLag] = {}
    for lagged, source in lags.items():
        raw = _raw(work, lagged.name)
        values = raw.values
        if lagged.name in variables and raw.labels:
            place = {label: code for code, label in enumerate(variables[lagged.name].labels)}
            values = np.array([place.get(label, -1) for label in raw.labels], np.float64)[values.astype(np.int64)]
        wave = work.waves[next(name for name in row_level(work.design).crosses if name in work.waves)]
        assert wave.positions is not None
        made = bound_lag(lagged, source, values, wave.positions[wave.codes], keep)
        found[lagged.name, lagged.back] = made
    return found


def _assemble(work: _Work, keep: Mask, source: str, lags: Mapping[Lagged, Integers]) -> Bound:
    levels = _levels(work, keep)
    row = row_level(work.design).name
    variables = {
        variable.name: _bound_variable(work, level, variable, levels, keep, (i, j))
        for i, level in enumerate(work.design.levels)
        for j, variable in enumerate(level.variables)
        if variable.name in work.variables
    }
    treatments = {t.name: _bound_treatment(work, t, levels, keep, i) for i, t in enumerate(work.design.treatments)}
    gaps = {name: _gaps(raw) for name, raw in {**work.variables, **work.treatments}.items()}
    dropped = {name: work.number(each) for name, each in gaps.items() if each.any()}
    audit = Audit(source, work.table.sha256, work.table.num_rows, int(keep.sum()), dropped)
    return Bound(work.design, row, levels, variables, treatments, audit, _bound_lags(work, keep, lags, variables))


def _levels(work: _Work, keep: Mask) -> dict[str, BoundLevel]:
    """Return the levels of the rows kept; the elements of the row level stand in the order of the rows."""
    rows = int(keep.sum())
    row = row_level(work.design)
    found: dict[str, BoundLevel] = {}
    for level in work.design.levels:
        if level.name in work.waves:
            coded = work.waves[level.name]
            present, codes = np.unique(coded.codes[keep], return_inverse=True)
            assert coded.positions is not None
            labels = _taken(coded.labels, present)
            found[level.name] = BoundLevel(level.name, labels, codes.astype(np.int64), coded.positions[present])
        elif level.name == row.name and level.id is not None:
            key = work.keys[level.name]
            labels = _taken(key.labels, key.codes[keep])
            found[level.name] = BoundLevel(level.name, labels, np.arange(rows, dtype=np.int64))
        elif level.name in work.keys and level.name != row.name:
            key = work.keys[level.name]
            present, codes = np.unique(key.codes[keep], return_inverse=True)
            labels = _taken(key.labels, present)
            found[level.name] = BoundLevel(level.name, labels, codes.astype(np.int64))
        else:
            labels = tuple((np.flatnonzero(keep) + 1).astype(np.str_).tolist())
            found[level.name] = BoundLevel(level.name, labels, np.arange(rows, dtype=np.int64))
    return found


def _taken(labels: tuple[str, ...], places: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(np.asarray(labels, dtype=object)[places].tolist())


def _present_labels(values: Reals, labels: tuple[str, ...]) -> tuple[Reals, tuple[str, ...]]:
    """Leave out categories without any unit."""
    seen = np.unique(values[values >= 0]).astype(np.int64)
    if len(seen) == len(labels) or len(seen) == 0:
        return values, labels
    place = np.full(len(labels), -1.0)
    place[seen] = np.arange(len(seen))
    return np.append(place, -1.0)[values.astype(np.int64)], tuple(labels[s] for s in seen)


def _bound_variable(
    work: _Work,
    level: ir.Level,
    variable: ir.Variable,
    levels: Mapping[str, BoundLevel],
    keep: Mask,
    place: tuple[int, int],
) -> BoundVariable:
    raw, bound_level = work.variables[variable.name], levels[level.name]
    path: Path_ = ("levels", place[0], "variables", place[1])
    of_rows = raw.values[keep]
    problem = varies(work.design, (variable.role, variable.name), of_rows, level.name, levels)
    work.say([] if problem is None else [problem], path)
    values = of_rows[bound_level.first_rows]
    labels = raw.labels
    if labels:
        values, labels = _present_labels(values, labels)
    extra: dict[str, Any] = {k: v[keep][bound_level.first_rows] for k, v in raw.companions.items()}
    return BoundVariable(variable.name, level.name, variable.role, variable.kind.name, values, labels, **extra)


def _bound_treatment(
    work: _Work, treatment: ir.Treatment, levels: Mapping[str, BoundLevel], keep: Mask, place: int
) -> BoundTreatment:
    raw = work.treatments[treatment.name]
    assigned = assignment_of(work.design, treatment.name)
    name = assigned.to if assigned is not None and assigned.to in levels else row_level(work.design).name
    level = levels[name]
    path: Path_ = ("treatments", place)
    of_rows = raw.values[keep]
    problem = varies(work.design, ("treatment", treatment.name), of_rows, name, levels)
    work.say([] if problem is None else [problem], path)
    return BoundTreatment(treatment.name, name, of_rows[level.first_rows], raw.labels)
