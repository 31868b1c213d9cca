"""Predictions for the rows of a study and for new rows, from posterior draws of the plain model.

New rows are bound as the study's own were. The model's statements stay as they are, and so do the numbers in them (the
knots of a spline, the mean of `centre(x)`); only data arrays are made anew. Units that the study knows keep their
effects, new ones are drawn from their laws given the draws.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bind import bind
from hdsl.data.bound import Bound, BoundTreatment
from hdsl.design import ir
from hdsl.design.expr import Setting
from hdsl.design.levels import assignment_of, id_column, row_level
from hdsl.design.levels import level as level_named
from hdsl.diagnostics import Diagnostic, has_errors
from hdsl.estimands.quantiles import chunks, of_quantiles, ordered
from hdsl.estimands.rows import EstimandError
from hdsl.estimands.worlds import TREES, expected, kinds_of, mixture_of, simulated, world
from hdsl.model.derive.missing import IS_GAP, IS_KNOWN, WHICH_GAP
from hdsl.model.derive.missing_kinds import CODES
from hdsl.model.ir import Definition, Model, ModelData, Slot, references
from hdsl.model.names import identifier
from hdsl.reference import distributions
from hdsl.reference.values import Array, Value, evaluate

CELLS = 4_000_000
BATCH = ("draw",)
Draws = Mapping[str, Array]
Columns = Mapping[str, Sequence[Any]]
ABSENT = "HDM119"
FIXED = {"zero for each row": 0.0, IS_KNOWN: 1.0, IS_GAP: 0.0, WHICH_GAP: 0.0}


@dataclass(frozen=True)
class NewRows:
    """Rows for which the outcome is predicted: the model over them, and the draws of its random variables.

    `draws` has the shapes (draw, *dims). `own` tells whether they are the rows of the study.
    """

    model: Model
    data: ModelData
    bound: Bound
    draws: Draws
    own: bool

    def predicted(
        self, settings: tuple[Setting, ...], kind: Literal["expected", "outcome"], seed: int
    ) -> NDArray[np.float64]:
        """Return the expected or a simulated outcome with treatments set, shape (draws, rows).

        Of a family of quantiles, the quantiles in order, (draws, rows, quantiles), or (draws, rows) where there is one.
        """
        if of_quantiles(self.bound.study, self.model) is not None:
            return self._quantiles(settings, kind)
        outcome = self.model.response.outcome
        here = world(self.model, self.data, self.bound, outcome, settings)
        if kind == "outcome" and here.joint and not self.own:
            raise EstimandError(ABSENT, "Outcomes of new rows that go together cannot be drawn.", "Use `expected`.")
        rng = np.random.default_rng(seed)
        rows = self.bound.rows
        total = next(iter(self.draws.values())).shape[0]
        step = max(1, CELLS // max(rows, 1))
        parts: list[Array] = []
        for start in range(0, total, step):
            chunk = {name: value[start : start + step] for name, value in self.draws.items()}
            kinds = kinds_of(self.model, self.data, chunk, rng, None, new=not self.own)
            if kind == "expected":
                parts.append(expected(here, chunk, rows, kinds))
            else:
                parts.append(simulated(here, chunk, rows, rng, kinds))
        return np.concatenate(parts)

    def _quantiles(self, settings: tuple[Setting, ...], kind: str) -> NDArray[np.float64]:
        outcome = self.model.observations[0].outcome
        if kind == "outcome":
            message = f"The family of {outcome} gives some of its quantiles, not its distribution."
            raise EstimandError("HDM523", message, "Use `expected`: the quantiles themselves.")
        here = world(self.model, self.data, self.bound, outcome, settings)
        cells = int(np.prod([self.model.sizes[dim] for dim in here.observation.dims]))
        found = np.concatenate([ordered(here, chunk) for chunk in chunks(self.draws, cells)])
        return found if len(here.observation.dims) > 1 else found[:, :, 0]


def rows_of_study(model: Model, data: ModelData, bound: Bound, draws: Draws) -> NewRows:
    """Return the rows of the study itself; raises EstimandError where they were summed up."""
    if bound.frequency is not None:
        help_ = "Give new rows to predict, or read the rows into memory: `--no-stream`."
        raise EstimandError("HDM520", "The study's rows were summed up: there are none to predict one by one.", help_)
    return NewRows(model, data, bound, draws, own=True)


def to_new_rows(
    model: Model,
    data: ModelData,
    bound: Bound,
    draws: Draws,
    columns: Columns,
    settings: tuple[Setting, ...],
    seed: int,
) -> NewRows | list[Diagnostic]:
    """Return new rows, or the findings that stand in the way.

    Parameters
    ----------
    model, data, bound
        Of the study.
    draws : mapping
        Random variable to draws of shape (draw, *dims).
    columns : mapping
        Column of the data file to values, all of one length.
    settings
        Treatments that will be set, whose columns are not needed.

    Raises
    ------
    EstimandError
        HDM119: a data array of the model cannot be worked out for new rows.
    """
    if any(variable.law.distribution == TREES for variable in model.variables):
        message = "A surface of trees is known at the rows of the study alone."
        raise EstimandError(ABSENT, message, "Predict for them, or write the surface `as gp`.")
    made = _bound(bound, columns, {setting.treatment for setting in settings})
    if isinstance(made, list):
        return made
    levels = levels_of_sets(model, data, bound)
    small, found = resized(model, data, bound, made, levels)
    places = {dim: places_of(bound, made, level) for dim, level in levels.items()}
    return NewRows(small, found, made, draws_of(small, found, draws, places, seed), own=False)


def _bound(bound: Bound, columns: Columns, set_: set[str]) -> Bound | list[Diagnostic]:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1 or 0 in lengths:
        message = "The new data have no rows, or columns of different lengths."
        return [Diagnostic(ABSENT, message, help="Give each column one value for each new row.")]
    (rows,) = lengths
    table = {name: list(values) for name, values in columns.items()}
    design = _reduced(bound.study, table, set_)
    for level in design.levels:
        own = id_column(level)
        if own is not None and own not in table and level.name != row_level(design).name:
            table[own] = [f"new {level.name} {row + 1}" for row in range(rows)]
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "new.arrow", table)
        found, problems = bind(design, Path(folder), str(Path(folder) / "new.arrow"))
    if found is None or has_errors(problems):
        return [_of_new_data(problem, folder) for problem in problems if problem.severity == "error"]
    if found.audit.rows_used < found.audit.rows_read:
        gaps = ", ".join(found.audit.dropped)
        return [Diagnostic(ABSENT, f"The new data have missing values: {gaps}.", help="Leave those rows out.")]
    return with_settings(replace(found, study=bound.study), set_)


def _of_new_data(problem: Diagnostic, folder: str) -> Diagnostic:
    message = problem.message.replace(str(Path(folder) / "new.arrow"), "The new data")
    return replace(problem, message=message, path=None)


def _reduced(design: ir.StudyFields, table: Columns, set_: set[str]) -> ir.StudyFields:
    """Return the design without what new rows need not have: outcomes, set treatments, second tables, weights."""
    needed = ("covariate", "exposure", "intermediate")
    levels: list[ir.Level] = []
    for level in design.levels:
        kept = tuple(v for v in level.variables if v.role in needed and (v.column or v.name) in table)
        changes: dict[str, Any] = {"variables": kept, "file": None}
        if level.name == row_level(design).name and id_column(level) not in table:
            changes["id"] = None
        levels.append(level.model_copy(update=changes))
    return design.model_copy(
        update={
            "levels": tuple(levels),
            "treatments": tuple(t for t in design.treatments if t.name not in set_),
            "assignments": tuple(a for a in design.assignments if a.treatment not in set_),
            "analysis": (),
            "principals": (),
            "estimands": (),
        }
    )


def _write(path: Path, table: Columns) -> None:
    import pyarrow as pa
    import pyarrow.feather

    arrow = pa.table({name: pa.array(list(values), from_pandas=True) for name, values in table.items()})
    pyarrow.feather.write_feather(arrow, str(path), compression="uncompressed")


def with_settings(bound: Bound, set_: Collection[str]) -> Bound:
    """Return rows with treatments that will be set and have no columns, all at zero."""
    found = dict(bound.treatments)
    for treatment in bound.study.treatments:
        if treatment.name in set_:
            assigned = assignment_of(bound.study, treatment.name)
            level = bound.row if assigned is None else assigned.to
            values = np.zeros(bound.levels[level].size)
            found[treatment.name] = BoundTreatment(treatment.name, level, values, tuple(a.name for a in treatment.arms))
    return replace(bound, treatments=found)


def levels_of_sets(model: Model, data: ModelData, bound: Bound) -> dict[str, str]:
    """Return the level of each index set of the model that is one."""
    found: dict[str, str] = {}
    for index_set in model.index_sets:
        if index_set.kind != "level":
            continue
        for name, level in bound.levels.items():
            resembles = index_set.name.startswith(identifier(name).rstrip("_")) and name not in found.values()
            if resembles and tuple(data.coords[index_set.name]) == level.labels:
                found[index_set.name] = name
                break
    return found


def resized(
    model: Model, data: ModelData, old: Bound, new: Bound, levels: Mapping[str, str]
) -> tuple[Model, ModelData]:
    """Return the model over the new units, with its arrays."""
    sizes = {dim: new.levels[level].size for dim, level in levels.items()}
    sets = tuple(s.model_copy(update={"size": sizes.get(s.name, s.size)}) for s in model.index_sets)
    coords = {**data.coords, **{dim: new.levels[level].labels for dim, level in levels.items()}}
    resized = model.model_copy(update={"index_sets": sets})
    needed = _needed(model)
    values: dict[str, Any] = {}
    for slot in model.slots:
        values[slot.name] = _values(slot, data, old, new, levels, needed)
    return resized, ModelData(values=values, coords=coords)


def _needed(model: Model) -> frozenset[str]:
    """Return the slots on which predictions rest; the others serve the likelihood of the study's own rows."""
    from hdsl.reference.density import law_references, needed

    levels = {index_set.name for index_set in model.index_sets if index_set.kind == "level"}
    laws = [each.law for each in (*model.margins, *model.observations)]
    laws += [variable.law for variable in model.variables if levels.intersection(variable.dims)]
    names = frozenset().union(*(law_references(law) for law in laws))
    mixture = mixture_of(model)
    names |= frozenset() if mixture is None else {mixture.share}
    reached = needed(model, names)
    used = set(names)
    for definition in model.definitions:
        if definition.name in reached:
            used |= references(definition.value)
    observed = {each.slot for each in (*model.margins, *model.observations)}
    return frozenset(used) - observed


def _values(
    slot: Slot, data: ModelData, old: Bound, new: Bound, levels: Mapping[str, str], needed: frozenset[str]
) -> Any:
    moved = [dim for dim in slot.dims if dim in levels]
    before = np.asarray(data.values[slot.name])
    if not moved:
        return before
    if len(moved) > 1 or slot.dims[0] != moved[0]:
        raise _not_for_new_rows(slot)
    level = levels[moved[0]]
    found = _made(slot, level, old, new, levels)
    if found is None:
        found = _known(before, old, new, level)
    if found is None and slot.name not in needed:
        found = np.zeros((new.levels[level].size, *before.shape[1:]))
    if found is None:
        raise _not_for_new_rows(slot)
    if slot.name in needed and np.isnan(found).any():
        message = f"The new data have missing values: {slot.source or slot.name}."
        raise EstimandError(ABSENT, message, "Leave those rows out.")
    return np.nan_to_num(found).astype(before.dtype)


def _not_for_new_rows(slot: Slot) -> EstimandError:
    what = slot.source or slot.name
    help_ = "Give its column, or predict for units that the study knows."
    return EstimandError(ABSENT, f"New units have no value of: {what}.", help_)


def _made(slot: Slot, level: str, old: Bound, new: Bound, levels: Mapping[str, str]) -> Any:
    """Return the slot's values among the new units, None where they do not say."""
    if slot.lag:
        return None
    if slot.treatment is not None:
        treatment = new.treatments.get(slot.treatment)
        return None if treatment is None else treatment.values
    if slot.source == CODES:
        codes = _coded(str(slot.variable), old, new)
        return np.full(new.levels[level].size, -1.0) if codes is None else np.where(np.isnan(codes), -1.0, codes)
    if slot.variable is not None:
        return _coded(slot.variable, old, new)
    upper = levels.get(slot.indexes or "")
    if upper is not None and slot.source == f"the {upper} of each {level}":
        return new.element_of(level, upper)
    if slot.source == f"the value of each {level}":
        return new.levels[level].positions
    if slot.source == "log of the exposure":
        exposure = next(v for v in old.variables.values() if v.role == "exposure").name
        found = new.variables.get(exposure)
        return None if found is None else np.log(new.at_rows(found.level, found.values).astype(np.float64))
    if slot.source in FIXED:
        return np.full(new.levels[level].size, FIXED[slot.source])
    return None


def _coded(name: str, old: Bound, new: Bound) -> Any:
    """Return a variable's values, a category's as codes into the study's labels."""
    found, before = new.variables.get(name), old.variables[name]
    if found is None or not before.labels:
        return None if found is None else found.values
    places = {label: place for place, label in enumerate(before.labels)}
    unknown = [label for label in found.labels if label not in places]
    if unknown:
        known = ", ".join(before.labels[:12])
        raise EstimandError(ABSENT, f"{name} has no category {unknown[0]!r} in the study.", f"It has: {known}.")
    codes = np.array([*(places[label] for label in found.labels), np.nan], np.float64)
    return codes[np.where(np.isnan(found.values), -1, found.values).astype(np.int64)]


def _known(before: Any, old: Bound, new: Bound, level: str) -> Any:
    """Return the values of units that the study knows, None where one is new."""
    places = places_of(old, new, level)
    return None if np.any(places < 0) else before[places]


def places_of(old: Bound, new: Bound, level: str) -> NDArray[np.int64]:
    """Return which unit of the study each new unit is, -1 for those that it does not know, shape (new units,)."""
    if level == new.row and id_column(row_level(old.study)) is None:
        return np.full(new.levels[level].size, -1)
    known = {key: place for place, key in enumerate(_keys(old, level))}
    return np.array([known.get(key, -1) for key in _keys(new, level)], np.int64)


def _keys(bound: Bound, name: str) -> list[tuple[object, ...]]:
    """Return what tells a level's units apart: the keys of the units above, and the own id."""
    level, declared = bound.levels[name], level_named(bound.study, name)
    above = [] if declared is None else [each for each in declared.above if each in bound.levels]
    if not above:
        return [(label,) for label in level.labels]
    parents = [[_keys(bound, each)[place] for place in bound.element_of(name, each)] for each in above]
    crossed = declared is not None and bool(declared.crosses) and declared.id is None
    found: list[tuple[object, ...]] = []
    for label, *keys in zip(level.labels, *parents, strict=True):
        path = "/".join(part for key in keys for part in _flat(key))
        found.append((*keys, "" if crossed else label.removeprefix(f"{path}/")))
    return found


def _flat(key: tuple[object, ...]) -> list[str]:
    return [text for part in key for text in (_flat(part) if isinstance(part, tuple) else [str(part)])]


def draws_of(
    model: Model, data: ModelData, draws: Draws, places: Mapping[str, NDArray[np.int64]], seed: int
) -> dict[str, Array]:
    """Return draws for the new units: those that the study knows keep theirs, others are drawn from their laws.

    `places`: which unit of the study each new one is, by index set; -1 for new ones.
    """
    from hdsl.reference.density import law_references, needed

    rng = np.random.default_rng(seed)
    number = next(iter(draws.values())).shape[0]
    sizes = {**model.sizes, "draw": number}
    env = {slot.name: Value(slot.dims, np.asarray(data.values[slot.name])) for slot in model.slots}
    strange = {dim for dim, place in places.items() if np.any(place < 0)}
    laws = [variable.law for variable in model.variables if strange.intersection(variable.dims)]
    wanted = needed(model, frozenset().union(*(law_references(law) for law in laws)))
    made: dict[str, Array] = {}
    for statement in model.statements:
        if isinstance(statement, Definition):
            if statement.name in wanted:
                env[statement.name] = evaluate(statement.value, env)
            continue
        values = draws[statement.name]
        for axis, dim in enumerate(statement.dims, start=1):
            if dim in places:
                values = _moved(values, axis, places[dim])
        if np.isnan(values).any():
            arguments = [evaluate(argument, env) for argument in statement.law.args]
            fresh = distributions.draw(statement.law.distribution, rng, arguments, (*BATCH, *statement.dims), sizes)
            values = np.where(np.isnan(values), np.broadcast_to(fresh.real, values.shape), values)
        made[statement.name] = values
        env[statement.name] = Value((*BATCH, *statement.dims), values)
    return made


def _moved(values: Array, axis: int, places: NDArray[np.int64]) -> Array:
    """Return draws for other units along an axis: NaN where there are none."""
    absent = np.full_like(np.take(values, [0], axis=axis), np.nan)
    return np.take(np.concatenate([values, absent], axis=axis), places, axis=axis)
