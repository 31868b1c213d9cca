"""What a study needs of each row, if its rows are to be summed up without being held in memory.

The density of a Gaussian outcome depends on the rows of a cell (equal ids, arms and categories) only through their
number, means and cross-products, provided that the covariates which differ within a cell enter linearly. Columns are
therefore *keys* (by which rows are grouped), *constant* within units of a level above the rows, or *measures* (of
which means and cross-products are formed). A covariate that enters in any other way is a key.

Of an outcome that is a count, a category or one of few the density depends on nothing but how often each combination of
values occurs: every column of the rows is a key, the outcome among them, and there are no measures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hdsl.data.used import used_names
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.design.levels import assignment_of, id_column, row_level
from hdsl.design.levels import level as level_named
from hdsl.diagnostics import Diagnostic

MEASURED = ("real", "positive", "proportion", "count")
LOGGED: dict[str, bool] = {"normal": False, "lognormal": True}
COUNTED = (
    "bernoulli", "binomial", "betabinomial", "poisson", "negbinomial", "zipoisson", "hurdle_poisson",
    "hurdle_negbinomial", "ordinal", "categorical",
)  # fmt: skip
BY_DEFAULT = {
    "real": "normal", "positive": "lognormal", "binary": "bernoulli", "count": "negbinomial", "ordered": "ordinal",
    "category": "categorical",
}  # fmt: skip
CURVES = ("spline", "gp")
NOT_LINEAR = 99
WHERE_TO = "Read the rows into memory (`hdsl run --no-stream`), or leave the statement out."

Path = tuple[str | int, ...]
Place = Literal["key", "constant", "measure", "unread"]


@dataclass(frozen=True)
class Measure:
    """A column of which means and cross-products are formed; `log`: of its logarithm."""

    name: str
    column: str
    kind: str
    log: bool = False


@dataclass(frozen=True)
class Plan:
    """Which columns of the main table are read, and as what.

    Attributes
    ----------
    design : StudyFields
        The study with the variables that are used and nothing that asks for each row by itself; what was a measure
        is real.
    keys, constants : tuple of str
        Columns by which rows are grouped; columns that are constant within units above the rows.
    measures : tuple of Measure
        The outcome last; none where it is a key as well.
    crossed : tuple of str
        The id columns whose combinations are the rows; empty where a row needs no ids.
    unread : tuple of str
        Id columns of the rows.
    """

    design: ir.StudyFields
    keys: tuple[str, ...]
    constants: tuple[str, ...]
    measures: tuple[Measure, ...]
    crossed: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def averages_need_rows(self) -> bool:
        """Whether the average outcome is not linear in the measures: that of a lognormal one is not."""
        return len(self.measures) > 1 and self.measures[-1].log

    def digest(self) -> str:
        """Return a hash of what is read: statistics of two tables belong together where it is the same."""
        parts = [self.keys, self.constants, [(m.name, m.column, m.kind, m.log) for m in self.measures]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def plan_of(design: ir.StudyFields, columns: Sequence[str]) -> Plan | list[Diagnostic]:
    """Return how the rows of a study are summed up, or HDM370 for each reason why they cannot be.

    Parameters
    ----------
    columns
        The names of the main table's columns.
    """
    found = list(_refusals(design))
    if found:
        return found
    row, used = row_level(design), used_names(design)
    outcome = next(v for v in row.variables if v.role == "outcome")
    counted = _family(design, outcome) in COUNTED
    keyed = _numeric(design) if counted else _not_linear(design)
    keys, constants, crossed = _ids(design, row, columns), list[str](), list[str]()
    for parent in row.crosses:
        crossed += _own_ids(design, parent, columns)
    measures: list[Measure] = []
    for level in design.levels:
        for variable in level.variables:
            column = variable.column or variable.name
            if variable.name not in used or level.file is not None or variable == outcome:
                continue
            if level.name != row.name:
                constants.append(column)
            elif variable.kind.name in MEASURED and variable.name not in keyed:
                measures.append(Measure(variable.name, column, variable.kind.name))
            else:
                keys.append(column)
    for treatment in design.treatments:
        column = treatment.column or treatment.name
        if column not in columns:
            continue
        match _place(design, treatment, row, keyed):
            case "key":
                keys.append(column)
            case "constant":
                constants.append(column)
            case _:
                measures.append(Measure(treatment.name, column, f"dose {treatment.dose}"))
    if counted:
        keys += _columns(design, outcome)
    else:
        logged = LOGGED[_family(design, outcome)]
        measures.append(Measure(outcome.name, outcome.column or outcome.name, outcome.kind.name, logged))
    return Plan(
        design=_reduced(design, row, used, {measure.name for measure in measures}),
        keys=tuple(dict.fromkeys(keys)),
        constants=tuple(c for c in dict.fromkeys(constants) if c not in keys),
        measures=tuple(measures),
        crossed=tuple(dict.fromkeys(crossed)),
        unread=(row.id,) if row.id is not None else (),
    )


def _place(design: ir.StudyFields, treatment: ir.Treatment, row: ir.Level, keyed: frozenset[str]) -> Place:
    assigned = assignment_of(design, treatment.name)
    if assigned is not None and assigned.to != row.name:
        return "constant"
    return "measure" if treatment.dose is not None and treatment.name not in keyed else "key"


def _ids(design: ir.StudyFields, row: ir.Level, columns: Sequence[str]) -> list[str]:
    ids = [id_column(level) for level in design.levels if level.name != row.name]
    return [column for column in ids if column is not None and column in columns]


def _own_ids(design: ir.StudyFields, name: str, columns: Sequence[str]) -> list[str]:
    found = level_named(design, name)
    if found is None:
        return []
    own = id_column(found)
    above = [column for parent in found.above for column in _own_ids(design, parent, columns)]
    return [*above, own] if own is not None and own in columns else above


def _reduced(design: ir.StudyFields, row: ir.Level, used: frozenset[str], measured: set[str]) -> ir.StudyFields:
    """Return the study whose rows are cells: measures are real numbers, and a row has no id."""
    levels: list[ir.Level] = []
    real = ir.Kind(name="real")
    for level in design.levels:
        kept = tuple(v for v in level.variables if v.name in used)
        if level.name == row.name:
            kept = tuple(v.model_copy(update={"kind": real}) if v.name in measured else v for v in kept)
            level = level.model_copy(update={"id": None})
        levels.append(level.model_copy(update={"variables": kept}))
    doses = tuple(
        t.model_copy(update={"dose": "real"}) if t.name in measured and t.dose is not None else t
        for t in design.treatments
    )
    return design.model_copy(update={"levels": tuple(levels), "treatments": doses})


def _columns(design: ir.StudyFields, outcome: ir.Variable) -> list[str]:
    """Return the columns of an outcome and of its trials."""
    declared = {v.name: v.column or v.name for v in row_level(design).variables}
    trials = () if outcome.kind.trials is None else study.names(outcome.kind.trials)
    return [declared[outcome.name], *(declared.get(name, name) for name in trials)]


def _family(design: ir.StudyFields, outcome: ir.Variable) -> str:
    named = [a.law.function for a in design.analysis if isinstance(a, ir.Family) and a.outcome == outcome.name]
    if named:
        return named[-1]
    if outcome.kind.trials is not None:
        return "binomial"
    return BY_DEFAULT.get(outcome.kind.name, f"default of a {outcome.kind.name} outcome")


def _refusals(design: ir.StudyFields) -> Iterator[Diagnostic]:
    """Yield what a study asks of each row by itself."""
    row = row_level(design)
    if design.equations:
        yield _refused("explicit equations (`model`)", None)
    if design.principals:
        yield _refused("principal strata", ("principals", 0))
    outcomes = [v for level in design.levels for v in level.variables if v.role == "outcome"]
    if len(outcomes) != 1 or outcomes[0] not in row.variables:
        yield _refused("an outcome that is not the only one, one for each row", None)
    elif (family := _family(design, outcomes[0])) not in LOGGED and family not in COUNTED:
        known = "normal, lognormal, binary, count, ordered and categorical outcomes are"
        yield _refused(f"the family {family}; {known}", None)
    for i, level in enumerate(design.levels):
        for j, variable in enumerate(level.variables):
            what = _variable_refused(variable)
            if what:
                yield _refused(what, ("levels", i, "variables", j))
    for i, item in enumerate(design.analysis):
        what = _amendment_refused(item, row.name)
        if what:
            yield _refused(what, ("analysis", i))
    for i, assignment in enumerate(design.assignments):
        if any(_calls(term, ("lag", *CURVES)) for term in assignment.mechanism.given):
            yield _refused("lags and curves", ("assignments", i))
    labelled = len(outcomes) == 1 and _family(design, outcomes[0]) in ("ordinal", "categorical")
    for i, estimand in enumerate(design.estimands):
        for node in study.walk(estimand.value):
            if isinstance(node, study.Aggregate) and (
                node.cells or not (node.aggregate == "average" or (labelled and _shared(node)))
            ):
                what = "population cells" if node.cells else f"`{node.aggregate}`"
                yield _refused(f"{what} of an estimand; averages are", ("estimands", i))
                break


def _shared(node: study.Aggregate) -> bool:
    """Return whether an aggregate is the share of a categorical outcome's values."""
    test = node.of
    known = node.aggregate == "share" and not node.population and isinstance(test, study.Comparison)
    return known and isinstance(test, study.Comparison) and isinstance(test.left, study.Potential)


def _refused(what: str, path: Path | None) -> Diagnostic:
    return Diagnostic("HDM370", f"Rows are not summed up for {what}.", help=WHERE_TO, path=path)


def _variable_refused(variable: ir.Variable) -> str:
    kind = variable.kind
    if variable.role in ("weight", "intermediate"):
        return f"the {variable.role} `{variable.name}`"
    if variable.missing:
        return f"gaps of `{variable.name}` that are modelled"
    if kind.known_sd is not None or kind.censored_by is not None:
        return f"the known sd or censoring of `{variable.name}`"
    if kind.trials is not None and variable.role != "outcome":
        return f"the trials of `{variable.name}`"
    return ""


def _amendment_refused(item: ir.Amendment, row: str) -> str:
    match item:
        case ir.VaryAcross() if row in item.across:
            return f"effects of each {row}"
        case ir.VarianceAcross() if row == item.across:
            return f"the variance of each {row}"
        case ir.Propensity():
            return "propensity scores"
        case ir.Surface():
            return "response surfaces"
        case ir.Correlate():
            return "correlated rows"
        case ir.Poststratify():
            return "poststratification"
        case ir.VaryWith() if item.shape != "linear":
            return "curves"
        case ir.Adjust() if any(_calls(term, ("lag", *CURVES)) for term in item.terms):
            return "lags and curves"
        case ir.VarianceWith() if _calls(item.term, ("lag", *CURVES)):
            return "lags and curves"
        case _:
            return ""


def _calls(expr: study.Expr, functions: Iterable[str]) -> bool:
    return any(isinstance(node, study.Call) and node.function in functions for node in study.walk(expr))


def _numeric(design: ir.StudyFields) -> frozenset[str]:
    """Return the names of covariates, exposures and doses of the rows that are numbers."""
    found = {v.name for v in row_level(design).variables if v.kind.name in MEASURED and v.role != "outcome"}
    return frozenset(found | {t.name for t in design.treatments if t.dose is not None})


def _not_linear(design: ir.StudyFields) -> frozenset[str]:
    """Return the names of covariates and doses of the rows that do not enter linearly: rows are grouped by them."""
    numeric = set(_numeric(design))
    keyed = {name for expr in _exact(design) for name in study.names(expr)} & numeric
    terms = list(_terms(design))
    while True:
        more = {n for t in terms if degree(t, numeric - keyed) > 1 for n in study.names(t)} & (numeric - keyed)
        if not more:
            return frozenset(keyed)
        keyed |= more


def _exact(design: ir.StudyFields) -> Iterator[study.Expr]:
    """Yield expressions whose value must be known for each row."""
    for item in design.analysis:
        if isinstance(item, ir.VarianceWith):
            yield item.term
    for assignment in design.assignments:
        if assignment.mechanism.probability is not None:
            yield assignment.mechanism.probability
        if assignment.mechanism.name == "rule":
            yield from assignment.mechanism.given
    for estimand in design.estimands:
        for node in study.walk(estimand.value):
            if isinstance(node, study.Aggregate):
                yield from () if node.where is None else (node.where,)
                yield node.of


def _terms(design: ir.StudyFields) -> Iterator[study.Expr]:
    """Yield what enters the linear predictor."""
    for item in design.analysis:
        match item:
            case ir.Adjust():
                yield from item.terms
            case ir.VaryAcross():
                yield item.effect
            case ir.VaryWith():
                yield study.Operation(operator="*", left=item.effect, right=item.term)
                yield item.term
            case ir.Interact():
                product: study.Expr = study.Ref(name=item.treatments[0])
                for name in item.treatments[1:]:
                    product = study.Operation(operator="*", left=product, right=study.Ref(name=name))
                yield product
            case _:
                pass
    for assignment in design.assignments:
        yield from assignment.mechanism.given


def degree(expr: study.Expr, measured: set[str]) -> int:
    """Return the degree of an expression as a polynomial in the measures; `NOT_LINEAR` where it is none."""
    match expr:
        case study.Ref(name=name):
            return int(name in measured)
        case study.Negative(of=inner):
            return degree(inner, measured)
        case study.Operation(operator="+" | "-", left=left, right=right):
            return max(degree(left, measured), degree(right, measured))
        case study.Operation(operator="*", left=left, right=right):
            return degree(left, measured) + degree(right, measured)
        case study.Operation(operator="/", left=left, right=right) if degree(right, measured) == 0:
            return degree(left, measured)
        case study.Call(function="mean", args=(inner, *_)) if degree(inner, measured) <= 1:
            return 0
        case study.Call(function="centre", args=(inner, *_)):
            return degree(inner, measured)
        case _:
            return 0 if not set(study.names(expr)) & measured else NOT_LINEAR
