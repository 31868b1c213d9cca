"""The estimands of a study that declares none: one average effect per arm against the reference."""

from __future__ import annotations

from hdsl.design.expr import Aggregate, Expr, Number, Operation, Potential, Ref, Setting
from hdsl.design.ir import Condition, Estimand, Family, Poststratify, StudyFields, Treatment
from hdsl.design.levels import assignment_of, outcomes, row_level

LABELLED = ("category", "ordered")


def with_defaults(study: StudyFields) -> tuple[Estimand, ...]:
    """Return the declared estimands, or one average effect per treatment arm where there are none.

    With `poststratify` it is over the population cells; without a treatment it is then the average outcome.
    A dose is compared with itself plus one unit. Where a treatment was assigned only under an arm of another
    (`if T2 = arm`), both potential outcomes have that arm. Labels, ordered or not, have no average: shares of them must
    be asked for (HDM530). Neither has a family of quantiles, whose effects are others
    (`hdsl.estimands.quantile_effects`).
    """
    if study.estimands or quantiles_only(study) or _of_labels(study):
        return study.estimands
    found: list[Estimand] = []
    if not study.treatments:
        return tuple(_outcome(study, file) for file in _files(study))
    for treatment in study.treatments:
        for name, treated, control in _contrasts(treatment):
            found.append(_average(study, treatment, name, treated, control))
    return tuple(found)


def quantiles_only(study: StudyFields) -> bool:
    """Return whether the outcome's family says nothing but some quantiles of it."""
    laws = [item.law.function for item in study.analysis if isinstance(item, Family)]
    return bool(laws) and laws[-1] == "quantile"


def _of_labels(study: StudyFields) -> bool:
    return any(variable.kind.name in LABELLED for _, variable in outcomes(study))


def _contrasts(treatment: Treatment) -> list[tuple[str, Expr, Expr]]:
    if not treatment.arms:
        here = Ref(name=treatment.name)
        more = Operation(operator="+", left=here, right=Number(value=1.0))
        return [(f"average_effect_{treatment.name}", more, here)]
    control = Ref(name=treatment.arms[0].name)
    several = len(treatment.arms) > 2
    return [
        (f"average_effect_{treatment.name}" + (f"_{arm.name}" if several else ""), Ref(name=arm.name), control)
        for arm in treatment.arms[1:]
    ]


def _average(study: StudyFields, treatment: Treatment, name: str, treated: Expr, control: Expr) -> Estimand:
    outcome = outcomes(study)[0][1].name
    assigned = assignment_of(study, treatment.name)
    under = () if assigned is None or assigned.condition is None else (_setting(assigned.condition),)

    def potential(value: Expr) -> Potential:
        return Potential(outcome=outcome, settings=(*under, Setting(treatment=treatment.name, value=value)))

    difference = Operation(operator="-", left=potential(treated), right=potential(control))
    files = _files(study)
    over = files[0] if len(files) == 1 else row_level(study).name
    value = Aggregate(aggregate="average", over=over, cells=len(files) == 1, of=difference)
    return Estimand(name=name, value=value)


def _files(study: StudyFields) -> list[str]:
    """Return the files of population cells."""
    return [item.file for item in study.analysis if isinstance(item, Poststratify)]


def _outcome(study: StudyFields, file: str) -> Estimand:
    outcome = outcomes(study)[0][1].name
    where = "" if len(_files(study)) == 1 else f"_{_files(study).index(file) + 1}"
    value = Aggregate(aggregate="average", over=file, cells=True, of=Ref(name=outcome))
    return Estimand(name=f"average_{outcome}{where}", value=value)


def _setting(condition: Condition) -> Setting:
    return Setting(treatment=condition.treatment, value=Ref(name=condition.arm))
