"""`hdsl new`: a commented starter study from a data file, with what the file cannot say left as questions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from hdsl.data.sources import open_table
from hdsl.data.table import Table
from hdsl.design.words import column_text, string_text
from hdsl.diagnostics import Diagnostic
from hdsl.report.guess import (
    BEFORE,
    MOST_CATEGORIES,
    Guess,
    Level,
    Look,
    fresh,
    guess,
    is_reference,
    legal,
    outcome_kind,
)

SIMPLE = tuple(Fraction(text) for text in ("1/2", "1/3", "2/3", "1/4", "3/4", "1/5"))
NEAR = 2.0


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

    Examples
    --------
    >>> text, found = hdsl.starter("tutoring.csv")
    >>> "group school id school" in text, found
    (True, [])
    """
    table = open_table(data, Path.cwd())
    if not isinstance(table, Table):
        return None, table
    if table.num_rows == 0:
        return None, [Diagnostic("HDM362", f"{data} has no rows.", help="Write the study from a file with data.")]
    return "\n".join([*head(data, folder, table), *Draft(guess(table)).lines()]).rstrip("\n") + "\n", list(table.notes)


def head(data: str, folder: Path | None, table: Table) -> list[str]:
    """Return the first lines of a study over a table."""
    return [
        f'study {_study_name(data)} "What is this study about?"',
        f"data {string_text(_from(folder, data))}    # {table.num_rows} rows, {len(table.column_names)} columns",
        "",
    ]


def _from(folder: Path | None, data: str) -> str:
    """Return a data address as it counts from another folder."""
    scheme, mark, rest = data.rpartition("://")
    if mark and scheme not in ("duckdb", "sqlite"):
        return data
    path, sign, table = rest.removeprefix("/").partition("#") if mark else (rest, "", "")
    if folder is None or Path(path).is_absolute() or path.startswith("~"):
        return data
    moved = Path(os.path.relpath(path, folder)).as_posix()
    return f"{scheme}:///{moved}{sign}{table}" if mark else moved


def _study_name(data: str) -> str:
    return legal(Path(data.split("#")[-1] if "://" in data else data).stem or "study")


class Draft:
    """The text of a study as it is put together; every name is given out once.

    `sure`: the outcome is known, and so is its kind where `outcome_kind` gives it. `extra`: variables beside it.
    """

    def __init__(
        self, guess: Guess, *, sure: bool = False, outcome_kind: str | None = None, extra: Sequence[str] = ()
    ) -> None:
        self.guess = guess
        self.sure = sure
        self.outcome_kind = outcome_kind
        self.extra = extra
        self.taken = [level.name for level in guess.levels]
        self.treatment = "" if guess.treatment is None else self._name(guess.treatment)
        self.outcome = "" if guess.outcome is None else self._name(guess.outcome)
        self.others = [(look, home, self._name(look)) for look, home in guess.others]

    def _name(self, look: Look) -> str:
        name = fresh(legal(look.name), self.taken)
        self.taken.append(name)
        return name

    def lines(self) -> Iterator[str]:
        """Yield the lines of the study after its first two."""
        yield from self.level_lines()
        yield from self.treatment_lines()
        yield from self._analysis()
        yield from self.estimand_lines()

    def level_lines(self) -> Iterator[str]:
        """Yield the levels with their variables."""
        *groups, row = self.guess.levels
        if not groups:
            yield "# Are there groups (schools, sites, blocks)?   group school id school_id"
        elif len(groups) > 1:
            yield "# Are these the levels, and does each lie in what `in` says?"
        for level in groups:
            if level.repeats:
                yield f"# Equal ids of {level.name} in different units of {level.parent} are taken for different units."
            yield from self._level(level)
        yield f"# What is one row? It is called {row.name} here. A covariate was measured before treatment."
        yield from self._level(row)
        yield ""

    def _level(self, level: Level) -> Iterator[str]:
        own = f" id {column_text(level.look.name)}" if level.look is not None else ""
        around = " * ".join(level.crosses) or level.parent
        line = f"{level.word} {level.name}{own}" + (f" in {around}" if around else "")
        inside = [*self._variables(level)]
        count = f"    # {level.size} of them" if level.word != "unit" else ""
        if not inside:
            yield line + count
            return
        yield f"{line} {{{count}"
        yield from inside
        yield "}"

    def _variables(self, level: Level) -> Iterator[str]:
        for look, home, name in self.others:
            if home == level.name:
                yield "  " + _variable("covariate", name, look.kind, look)
        if level is self.guess.levels[-1]:
            outcome = self.guess.outcome
            if outcome is None:
                yield "  # outcome y : real    # Which column is the outcome? A study needs one."
            else:
                yield from () if self.sure else ("  # Is this the outcome?",)
                kind = self.outcome_kind or outcome_kind(outcome)
                yield "  " + _variable("outcome", self.outcome, kind, outcome)
                yield from (f"  {each}" for each in self.extra)

    def treatment_lines(self) -> Iterator[str]:
        """Yield the treatment and its assignment, with what to ask about them."""
        look, to = self.guess.treatment, self.guess.to
        if look is None or to is None:
            yield "# Which column is the treatment, and what do its codes mean? The first arm is the reference."
            yield "# treatment training { none = 0, trained = 1 }"
            yield f"# assign training to {self.guess.levels[-1].name} by complete(0.5)"
            yield ""
            return
        column = "" if look.name == self.treatment else f" column {column_text(look.name)}"
        if _is_dose(look):
            yield "# In what is the dose measured?"
            yield f"treatment {self.treatment}{column} : real"
            mechanism = "complete(0.5)"
        else:
            yield "# Is this the treatment, and what do its codes mean? The first arm is the reference."
            arms = _arms(look)
            listed = ", ".join(f"{name} = {_code(look.first[place])}" for place, name in arms)
            yield f"treatment {self.treatment}{column} {{ {listed} }}"
            mechanism = f"complete({_shares(look, to, [place for place, _ in arms])})"
        within = f" within {self.guess.within.name}" if self.guess.within is not None else ""
        yield "# Who was assigned, within what, and how? complete(p), bernoulli(p) or, where it was not randomised,"
        yield "# ignorable(the covariates that explain who was treated)."
        yield f"assign {self.treatment} to {to.name}{within} by {mechanism}"
        yield ""

    def _analysis(self) -> Iterator[str]:
        usable = [(look, name) for look, _, name in self.others if look.kind != "category" and look.distinct > 1]
        before = [name for look, name in usable if look.words & BEFORE and not look.missing]
        yield "# What was measured before treatment and predicts the outcome?"
        if before:
            yield f"analysis {{ adjust for {', '.join(before)} }}"
        else:
            yield f"# analysis {{ adjust for {', '.join(name for _, name in usable[:2]) or 'age'} }}"
        yield ""

    def estimand_lines(self) -> Iterator[str]:
        """Yield an effect for each arm."""
        look, row = self.guess.treatment, self.guess.levels[-1]
        if look is None or self.guess.outcome is None or self.guess.outcome.kind == "category" or _is_dose(look):
            return
        (_, reference), *arms = _arms(look)
        yield "# Which effects are wanted? `over population ...` asks for new units."
        for _, arm in arms:
            name = fresh("effect" if len(arms) == 1 else f"effect_{arm}", self.taken)
            to, other = f"{self.treatment} = {arm}", f"{self.treatment} = {reference}"
            yield f"estimand {name} = average over {row.name} of {self.outcome}({to}) - {self.outcome}({other})"


def _variable(role: str, name: str, kind: str, look: Look) -> str:
    column = "" if look.name == name else f" column {column_text(look.name)}"
    gaps = f", {look.missing} missing" if look.missing else ""
    if look.distinct < 2 or (kind == "category" and look.distinct > MOST_CATEGORIES):
        return f"# {column_text(look.name)}: {look.distinct} different values{gaps}"
    values = ", ".join(re.sub(r"[\r\n]+", " ", value)[:20] for value in look.first)
    shown = f": {values}" if look.distinct <= 5 else ""
    return f"{role} {name} : {kind}{column}    # {look.distinct} different values{shown}{gaps}"


def _is_dose(look: Look) -> bool:
    return "dose" in look.words and look.kind != "category" and look.distinct > 2


def _arms(look: Look) -> list[tuple[int, str]]:
    """Return the place of each arm's code and the arm's name, the likeliest reference first."""
    values = look.first[: look.distinct]
    first = next((place for place, value in enumerate(values) if is_reference(value)), 0)
    order = [first, *(place for place in range(len(values)) if place != first)]
    names: list[str] = []
    for place in order:
        names.append(fresh(_arm_name(values, place), names))
    return list(zip(order, names, strict=True))


def _arm_name(values: Sequence[str], place: int) -> str:
    if tuple(values) == ("0", "1"):
        return ("control", "treated")[place]
    value = values[place]
    return f"arm_{legal(value).removeprefix('x_')}" if _is_number(value) else legal(value)


def _is_number(value: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


def _code(value: str) -> str:
    return value if _is_number(value) else string_text(value)


def _shares(look: Look, to: Level, order: Sequence[int]) -> str:
    """Return the share of the assigned units in each arm but for two arms, where the second's is enough."""
    known = look.codes >= 0
    units = np.unique(to.codes[known], return_index=True)[1]
    counts = np.bincount(look.codes[known][units], minlength=look.distinct)[list(order)]
    total = int(counts.sum())
    if len(counts) == 2:
        return _share(int(counts[1]), total)
    if np.all(np.abs(counts / total - 1 / len(counts)) <= NEAR * np.sqrt(1 / len(counts) / total)):
        return f"1/{len(counts)}"
    return "(" + ", ".join(f"{int(count)}/{total}" for count in counts) + ")"


def _share(count: int, total: int) -> str:
    """Return a simple share that agrees with what was found, else the share found."""
    found = count / total
    for simple in SIMPLE:
        expected = float(simple)
        if abs(found - expected) <= NEAR * np.sqrt(expected * (1 - expected) / total):
            return "0.5" if simple == Fraction(1, 2) else str(simple)
    return f"{count}/{total}"
