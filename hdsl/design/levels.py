"""Questions about a study that every later stage asks: what is declared, at which level, under what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hdsl.design.ir import Assignment, Level, Principal, StudyFields, Treatment, Variable


def level(study: StudyFields, name: str) -> Level | None:
    """Return the level called `name`, or None."""
    return next((level for level in study.levels if level.name == name), None)


def variables(study: StudyFields) -> tuple[tuple[Level, Variable], ...]:
    """Return every variable with the level it belongs to, in order of declaration."""
    return tuple((level, variable) for level in study.levels for variable in level.variables)


def variable(study: StudyFields, name: str) -> tuple[Level, Variable] | None:
    """Return the variable called `name` with its level, or None."""
    return next((pair for pair in variables(study) if pair[1].name == name), None)


def outcomes(study: StudyFields) -> tuple[tuple[Level, Variable], ...]:
    """Return the outcomes with their levels, in order of declaration."""
    return tuple(pair for pair in variables(study) if pair[1].role == "outcome")


def treatment(study: StudyFields, name: str) -> Treatment | None:
    """Return the treatment called `name`, or None."""
    return next((treatment for treatment in study.treatments if treatment.name == name), None)


def assignment_of(study: StudyFields, treatment: str) -> Assignment | None:
    """Return the first assignment of a treatment, or None."""
    return next((found for found in study.assignments if found.treatment == treatment), None)


def principal(study: StudyFields, name: str) -> Principal | None:
    """Return the principal stratification called `name`, or None."""
    return next((principal for principal in study.principals if principal.name == name), None)


def waves(study: StudyFields) -> tuple[Level, ...]:
    """Return the levels declared with `wave`, in order of declaration."""
    return tuple(level for level in study.levels if level.word == "wave")


def row_level(study: StudyFields) -> Level:
    """Return the level whose elements are the rows of the table: the last `unit` declared.

    Raises
    ------
    LookupError
        Where the study declares no unit.
    """
    units = [level for level in study.levels if level.word == "unit"]
    if not units:
        raise LookupError("the study declares no unit")
    return units[-1]


def id_column(level: Level) -> str | None:
    """Return the id column of a level: as declared, else (for groups and waves) the column of its own name.

    Levels that cross others need none: their units are the combinations met.
    """
    if level.id is not None or level.crosses:
        return level.id
    return level.name if level.word in ("group", "wave") else None


def ancestors(study: StudyFields, name: str) -> tuple[str, ...]:
    """Return all declared levels above a level, through nesting and crossing, nearest first.

    Names that are not declared are passed over, and a level that nests in itself ends the search.
    """
    by_name = {level.name: level for level in reversed(study.levels)}
    found: dict[str, None] = {}
    nearest = [name]
    while nearest:
        upper = [parent for known in nearest if known in by_name for parent in by_name[known].above]
        nearest = [parent for parent in dict.fromkeys(upper) if parent in by_name and parent not in found]
        found.update(dict.fromkeys(nearest))
    found.pop(name, None)
    return tuple(found)


def is_above(study: StudyFields, upper: str, lower: str) -> bool:
    """Tell whether each element of `lower` belongs to one element of `upper`, another level."""
    return upper in ancestors(study, lower)


def chains(study: StudyFields, name: str) -> tuple[tuple[str, ...], ...]:
    """Return each path of declared levels that ends at a level, outermost first.

    `group district`, `group school in district`, `unit pupil in school` has for `pupil` the one chain
    `(district, school, pupil)`; a crossed unit has a chain through each of its factors.
    """
    by_name = {level.name: level for level in reversed(study.levels)}
    if name not in by_name:
        return ()
    return tuple(_paths(by_name, name, frozenset()))


def _paths(by_name: Mapping[str, Level], name: str, below: frozenset[str]) -> Iterator[tuple[str, ...]]:
    upper = [parent for parent in by_name[name].above if parent in by_name and parent not in below | {name}]
    if not upper:
        yield (name,)
    for parent in upper:
        for path in _paths(by_name, parent, below | {name}):
            yield (*path, name)


def names_in_scope(study: StudyFields) -> dict[str, str]:
    """Return every name an expression may use, each with what it is.

    What it is: the word that declared a level (`group`, `wave`, `unit`), a variable's role (`covariate`,
    `outcome`, ...), `treatment` or `principal`. Of two declarations of a name the first counts.
    """
    scope: dict[str, str] = {}
    for level in study.levels:
        scope.setdefault(level.name, level.word)
    for _, variable in variables(study):
        scope.setdefault(variable.name, variable.role)
    for treatment in study.treatments:
        scope.setdefault(treatment.name, "treatment")
    for principal in study.principals:
        scope.setdefault(principal.name, "principal")
    return scope
