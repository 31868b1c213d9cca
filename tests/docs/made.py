"""Data made for a study, whatever it declares: enough rows in each level for its model to be derived."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hdsl.design import ir
from hdsl.design.expr import Ref
from hdsl.design.levels import row_level

SIZES = (3, 4, 4)
WAVES = 4
ROWS = 240


def write_tables(study: ir.StudyFields, folder: Path) -> None:
    """Write the tables of a study whose levels nest in one chain, or cross units with waves."""
    rng = np.random.default_rng(7)
    places = _places(study)
    columns: dict[str, list[object]] = {}
    files: dict[str, tuple[str, dict[str, list[object]]]] = {}
    for level in study.levels:
        own = places[level.name]
        values = _columns(level, int(own.max()) + 1, rng) | _treatments(study, level.name, places, rng)
        first = {int(place): row for row, place in reversed(list(enumerate(own)))}
        ids: dict[str, list[object]] = {}
        if level.id is not None:
            ids[level.id] = [
                f"{level.name}{place}" if level.word != "wave" else int(place) for place in range(len(first))
            ]
            columns[level.id] = [ids[level.id][place] for place in own]
        if level.file is not None:
            files[level.name] = (level.file, {**ids, **values})
            continue
        columns |= {name: [listed[place] for place in own] for name, listed in values.items()}
    _write(folder / str(study.table), columns)
    for name, listed in files.values():
        _write(folder / name, listed)
    for item in study.analysis:
        if isinstance(item, ir.Poststratify):
            _write(folder / item.file, {**columns, item.weight: list(range(ROWS))})


def _places(study: ir.StudyFields) -> Mapping[str, np.ndarray]:
    """Return each row's element of each level; the row level has one row for each."""
    row = row_level(study).name
    crossed = {name: level for level in study.levels for name in level.crosses}
    places: dict[str, np.ndarray] = {row: np.arange(ROWS)}
    depth, each = 0, ROWS
    for level in study.levels:
        if level.name == row:
            continue
        if level.word == "wave":
            places[level.name] = np.arange(ROWS) % WAVES
        elif level.name in crossed:
            places[level.name] = np.arange(ROWS) // WAVES
        else:
            each //= SIZES[depth]
            depth += 1
            places[level.name] = np.arange(ROWS) // each
    return places


def _columns(level: ir.Level, size: int, rng: np.random.Generator) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for variable in level.variables:
        values = _values(variable.kind.name, size, rng)
        gaps = range(5, size, 7) if variable.missing else ()
        found[variable.column or variable.name] = ["" if place in gaps else each for place, each in enumerate(values)]
        match variable.kind.trials, variable.kind.known_sd:
            case Ref(name=name), _:
                found[name] = [20] * size
            case _, Ref(name=name):
                found[name] = rng.uniform(0.5, 2, size).tolist()
            case _:
                pass
        if variable.kind.censored_by is not None:
            found[variable.kind.censored_by] = rng.integers(0, 2, size).tolist()
    return found


def _treatments(
    study: ir.StudyFields, level: str, places: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, list[object]]:
    """Return the treatments assigned to a level, arms in turn; the reference where an assignment did not reach."""
    found: dict[str, list[object]] = {}
    size = int(places[level].max()) + 1
    for assignment in study.assignments:
        if assignment.to != level:
            continue
        treatment = next(t for t in study.treatments if t.name == assignment.treatment)
        arms = np.arange(size) % max(len(treatment.arms), 1)
        if assignment.condition is not None:
            other = next(a for a in study.assignments if a.treatment == assignment.condition.treatment)
            above = places[other.to][np.unique(places[level], return_index=True)[1]]
            count = next(len(t.arms) for t in study.treatments if t.name == other.treatment)
            arms = np.where(above % count == count - 1, arms, 0)
        codes: list[object] = [treatment.arms[i].code for i in arms] if treatment.arms else []
        found[treatment.column or treatment.name] = codes or _values("positive", size, rng)
    return found


def _values(kind: str, size: int, rng: np.random.Generator) -> list[object]:
    made = {
        "real": lambda: rng.normal(10, 3, size).round(3).tolist(),
        "positive": lambda: rng.gamma(4, 2, size).round(3).tolist(),
        "duration": lambda: rng.gamma(4, 2, size).round(3).tolist(),
        "proportion": lambda: rng.beta(2, 2, size).round(3).clip(0.01, 0.99).tolist(),
        "count": lambda: rng.poisson(4, size).tolist(),
        "binary": lambda: rng.integers(0, 2, size).tolist(),
        "category": lambda: [("a", "b", "c")[i] for i in rng.integers(0, 3, size)],
        "ordered": lambda: rng.integers(1, 4, size).tolist(),
    }
    return made[kind]()


def _write(path: Path, columns: Mapping[str, list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
