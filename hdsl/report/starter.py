"""`hdsl new`: a commented starter study from a data file, with what the file cannot say left as questions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hdsl.data.columns import to_binary, to_category, to_count, to_positive, to_proportion, to_real
from hdsl.data.sources import open_table
from hdsl.data.table import Table
from hdsl.design.words import NAME
from hdsl.diagnostics import Diagnostic

ID = re.compile(r"(^|_)(id|nr|no|key|code)$|^id", re.IGNORECASE)
LIKELY_TREATMENT = re.compile(r"treat|arm|assign|condition|group$|^z$|offer|intervention", re.IGNORECASE)


@dataclass(frozen=True)
class _Guess:
    """What a column looks like: its kind, how many distinct values it has, how many are missing."""

    name: str
    kind: str
    distinct: int
    missing: int
    values: tuple[str, ...]


def beside(data: str) -> Path:
    """Return the .hdm file in which the starter study of a data file is written by default: beside it."""
    named = "://" not in data and Path(data).name
    return Path(data).with_suffix(".hdm") if named else Path(f"{_study_name(data)}.hdm")


def starter(data: str, folder: Path | None = None) -> tuple[str | None, list[Diagnostic]]:
    """Return the text of a starter study for a data file; None with diagnostics where it cannot be read.

    Parameters
    ----------
    data : str
        The table, a file name counting from the working directory.
    folder : Path or None
        The folder the study will be in, from which its `data` statement then counts; None: the working directory.
    """
    table = open_table(data, Path.cwd())
    if not isinstance(table, Table):
        return None, table
    if table.num_rows == 0:
        return None, [Diagnostic("HDM362", f"{data} has no rows.", help="Write the study from a file with data.")]
    guesses = [_guess(table, name) for name in table.column_names]
    return "\n".join(_lines(_from(folder, data), table.num_rows, guesses)) + "\n", list(table.notes)


def _from(folder: Path | None, data: str) -> str:
    """Return a data address as it counts from another folder."""
    scheme, mark, rest = data.rpartition("://")
    if mark and scheme not in ("duckdb", "sqlite"):
        return data
    path, sign, table = rest.removeprefix("/").partition("#") if mark else (rest, "", "")
    if folder is None or Path(path).is_absolute():
        return data
    moved = Path(os.path.relpath(path, folder)).as_posix()
    return f"{scheme}:///{moved}{sign}{table}" if mark else moved


def _study_name(data: str) -> str:
    name = re.sub(r"\W+", "_", Path(data.split("#")[-1] if "://" in data else data).stem).strip("_") or "study"
    return f"study_{name}" if name[0].isdigit() else name


def _guess(table: Table, name: str) -> _Guess:
    column = table.column(name)
    coded = to_category(column)
    missing = int((coded.codes < 0).sum())
    distinct = len(coded.labels)
    kind = "category"
    for candidate, coerce in (
        ("binary", to_binary),
        ("count", to_count),
        ("proportion", to_proportion),
        ("positive", to_positive),
        ("real", to_real),
    ):
        found = coerce(column)
        if not found.problems and bool(np.any(~np.isnan(np.asarray(found.values, dtype=np.float64)))):
            kind = candidate
            break
    return _Guess(name, kind, distinct, missing, coded.labels[:6])


def _lines(data: str, rows: int, guesses: list[_Guess]) -> list[str]:
    name = _study_name(data)
    groups = [g for g in guesses if _is_group(g, rows)]
    ids = [g for g in guesses if g not in groups and g.distinct == rows and g.kind in ("count", "category")]
    arms = [g for g in guesses if g not in groups and 2 <= g.distinct <= 6 and LIKELY_TREATMENT.search(g.name)]
    others = [g for g in guesses if g not in groups and g not in ids and g not in arms]
    return [
        f'study {name} "What the study is about"',
        f'data "{data}"    # {rows} rows, {len(guesses)} columns',
        "",
        *_group_lines(groups),
        *_unit_lines(ids, groups, others),
        *_treatment_lines(arms),
        *_closing_lines(arms, others),
    ]


def _is_group(guess: _Guess, rows: int) -> bool:
    return bool(ID.search(guess.name)) and 1 < guess.distinct <= rows / 2 and guess.kind in ("count", "category")


def _safe(name: str) -> tuple[str, str]:
    """Return a legal name for a column, and the `column "..."` clause where it differs."""
    if NAME.fullmatch(name):
        return name, ""
    legal = re.sub(r"\W+", "_", name).strip("_") or "x"
    legal = f"x_{legal}" if legal[0].isdigit() else legal
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return legal, f' column "{quoted}"'


def _group_lines(groups: list[_Guess]) -> list[str]:
    if not groups:
        return ["# Are the units in groups (schools, sites, blocks)?   group school id school_id", ""]
    lines = ["# Which of these groups lie within others?   group school id school_id in district"]
    for group in groups:
        legal, _ = _safe(group.name)
        short = re.sub(r"_?(id|nr|no|key|code)$", "", legal, flags=re.IGNORECASE) or legal
        column = legal if legal == group.name else '"' + group.name.replace('"', '\\"') + '"'
        lines.append(f"group {short} id {column}    # {group.distinct} different values")
    return [*lines, ""]


def _unit_lines(ids: list[_Guess], groups: list[_Guess], others: list[_Guess]) -> list[str]:
    own = f" id {_safe(ids[0].name)[0]}" if ids and NAME.fullmatch(ids[0].name) else ""
    inside = ""
    if groups:
        legal, _ = _safe(groups[-1].name)
        inside = f" in {re.sub(r'_?(id|nr|no|key|code)$', '', legal, flags=re.IGNORECASE) or legal}"
    lines = [f"unit person{own}{inside} {{    # one row per person? Call it what it is"]
    for guess in others:
        legal, column = _safe(guess.name)
        gaps = f", {guess.missing} missing" if guess.missing else ""
        shown = f": {', '.join(guess.values)}" if guess.distinct <= 6 else ""
        lines.append(f"  covariate {legal} : {guess.kind}{column}    # {guess.distinct} different values{shown}{gaps}")
    return [*lines, "  # Which one is the outcome? Change `covariate` to `outcome` there.", "}", ""]


def _treatment_lines(arms: list[_Guess]) -> list[str]:
    if not arms:
        return ["# Which column is the treatment, and what do its codes mean? The first arm is the reference.",
                "# treatment training { none = 0, trained = 1 }", ""]  # fmt: skip
    lines = ["# What do the codes mean? The first arm is the reference."]
    for arm in arms:
        legal, column = _safe(arm.name)
        codes = ", ".join(f"arm_{place} = {_code(value)}" for place, value in enumerate(arm.values))
        lines.append(f"treatment {legal}{column} {{ {codes} }}")
    return [*lines, ""]


def _code(value: str) -> str:
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _closing_lines(arms: list[_Guess], others: list[_Guess]) -> list[str]:
    treatment = _safe(arms[0].name)[0] if arms else "training"
    mark = "" if arms else "# "
    numeric = [_safe(g.name)[0] for g in others if g.kind in ("real", "positive", "count")][:2]
    adjust = f"# analysis {{ adjust for {', '.join(numeric)} }}" if numeric else "# analysis { adjust for age }"
    return [
        "# Who was assigned, within what, and how? complete(0.5), bernoulli(0.5), or, where it was not",
        "# randomised, ignorable(the covariates that explain who was treated).",
        f"{mark}assign {treatment} to person by complete(0.5)",
        "",
        "# What was measured before treatment and predicts the outcome?",
        adjust,
    ]
