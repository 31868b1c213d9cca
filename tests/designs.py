"""Hypothesis strategy for sound designs: small studies whose names refer to what they declare.

`tests.strategies.studies()` is for round trips; `designs()` is for checks and for what follows them.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import composite

from hdsl import Study, complete, covariate, ignorable, outcome
from hdsl.design import ir

OUTCOMES = ("real", "positive", "proportion", "count", "binary", "ordered")
COVARIATES = ("real", "positive", "proportion", "count", "binary")
PRIORS = ("normal(0, 2)", "student(4, 0, 1)", "cauchy(0, 1)")


@composite
def designs(draw: st.DrawFn) -> Study:
    """A randomised or observational study of one outcome: nested groups or a panel, one or two treatments."""
    panel = draw(st.booleans())
    study = _panel(draw) if panel else _nested(draw)
    levels = tuple(level.name for level in study.levels)
    for name in ("z", "v")[: draw(st.integers(1, 2))]:
        study = _treat(draw, study, name, levels[-1] if panel else draw(st.sampled_from(levels)), panel)
    study = _analyse(draw, study)
    return _ask(draw, study)


def _nested(draw: st.DrawFn) -> Study:
    study, above = Study("nested").data("rows.csv"), None
    for name in ("district", "school")[: draw(st.integers(0, 2))]:
        within = () if above is None else above
        study = study.group(name, id=f"{name}_id", within=within, variables=_covariates(draw, name))
        above = name
    within = () if above is None else above
    return study.unit("pupil", id="pupil_id", within=within, variables=_measured(draw, "pupil"))


def _panel(draw: st.DrawFn) -> Study:
    study = Study("panel").data("rows.csv")
    study = study.unit("person", id="person_id", variables=_covariates(draw, "person")).wave("month")
    return study.unit("visit", within="person * month", variables=_measured(draw, "visit"))


def _covariates(draw: st.DrawFn, level: str) -> list[ir.Variable]:
    kinds = draw(st.lists(st.sampled_from(COVARIATES), max_size=2))
    return [covariate(f"{level}_x{i}", kind) for i, kind in enumerate(kinds, start=1)]


def _measured(draw: st.DrawFn, level: str) -> list[ir.Variable]:
    return [*_covariates(draw, level), outcome("y", draw(st.sampled_from(OUTCOMES)))]


def _treat(draw: st.DrawFn, study: Study, name: str, to: str, panel: bool) -> Study:
    arms = draw(st.integers(2, 3))
    study = study.treatment(name, {f"{name}{arm}": arm for arm in range(arms)})
    place = [level.name for level in study.levels].index(to)
    given = [variable.name for level in study.levels for variable in level.variables if variable.role == "covariate"]
    if given and draw(st.booleans()):
        return study.assign(name, to=to, by=ignorable(*given))
    outer = study.levels[place].parents or study.levels[place].crosses[:1]
    within = outer if panel or draw(st.booleans()) else ()
    shares = (0.5,) if arms == 2 else (0.25, 0.25, 0.5)
    return study.assign(name, to=to, within=within, by=complete(*shares))


def _analyse(draw: st.DrawFn, study: Study) -> Study:
    covariates = [v.name for level in study.levels for v in level.variables if v.role == "covariate"]
    adjusted = {term.name for a in study.assignments for term in a.mechanism.given if term.node == "ref"}
    chosen = [name for name in covariates if name in adjusted or draw(st.booleans())]
    if chosen:
        study = study.adjust(*chosen)
    row = study.levels[-1]
    inside = [a.treatment for a in study.assignments if a.to == row.name]
    if row.above and inside and draw(st.booleans()):
        study = study.vary(inside[0], across=row.above[0], uncorrelated=draw(st.booleans()))
    if chosen and draw(st.booleans()):
        study = study.vary("z", moderator=chosen[0], prespecified=draw(st.sampled_from([None, True, False])))
    if draw(st.booleans()):
        arm = f"[{study.treatments[0].arms[1].name}]" if len(study.treatments[0].arms) > 2 else ""
        study = study.prior(f"effect(z){arm}", draw(st.sampled_from(PRIORS)))
    return study


def _ask(draw: st.DrawFn, study: Study) -> Study:
    row = study.levels[-1].name
    value = f"average over {row} of y(z = z1) - y(z = z0)"
    if any(variable.kind.name == "ordered" for variable in study.levels[-1].variables if variable.role == "outcome"):
        value = f"(share over {row} of y(z = z1) >= 2) - (share over {row} of y(z = z0) >= 2)"
    if draw(st.booleans()):
        study = study.estimand("ate", value)
    if study.levels[-1].above and draw(st.booleans()):
        study = study.estimand("each", value, index=study.levels[-1].above[0])
    return study
