"""`surface of OUTCOME given x, ... as gp`: Y(0) and Y(1) as smooth functions of covariates, each effect a curve too.

A Gaussian process over many covariates has no approximation by few functions, and an exact one over rows and arms is
slow beyond some hundred rows. The surface is therefore additive: a curve along each covariate for the outcome under the
reference and another for the effect, each with its own length-scale and size. Sources: Duvenaud, Nickisch & Rasmussen
(2011) on additive Gaussian processes; Riutort-Mayol et al. (2023) on the approximation of each curve.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design import ir
from hdsl.model.derive.bases import FEWEST_VALUES
from hdsl.model.derive.terms import NotDerivable, term_text

CODE = "HDM667"


def surfaces_of(design: ir.StudyFields, law: str) -> tuple[ir.Surface, ...]:
    """Return the surfaces of a study that are of one law."""
    return tuple(item for item in design.analysis if isinstance(item, ir.Surface) and item.law == law)


def with_curves(bound: Bound) -> Bound:
    """Return a study in which each Gaussian-process surface is written out as curves of the outcome and of the effects.

    A covariate with fewer than six values, or in categories, has a slope or contrasts in the place of a curve.

    Raises
    ------
    NotDerivable
        HDM667 where there is no treatment, or where something else says how its effect varies.
    """
    found = surfaces_of(bound.study, "gp")
    if not found:
        return bound
    written: list[ir.Amendment] = []
    for item in bound.study.analysis:
        written += _curves(bound, item) if item in found else [item]
    return replace(bound, study=bound.study.model_copy(update={"analysis": tuple(written)}))


def _curves(bound: Bound, item: ir.Amendment) -> list[ir.Amendment]:
    assert isinstance(item, ir.Surface)
    check(bound, item)
    bent = {term: _is_curve(bound, term) for term in item.given}
    terms = tuple(study.Call(function="gp", args=(term,)) if bent[term] else term for term in item.given)
    made: list[ir.Amendment] = [ir.Adjust(terms=terms)]
    for treatment in bound.treatments:
        for term, curved in bent.items():
            shape = "gp" if curved else "linear"
            effect = study.Ref(name=treatment)
            made.append(ir.VaryWith(effect=effect, term=term, shape=shape, status="prespecified"))
    return made


def check(bound: Bound, item: ir.Surface) -> None:
    """Raise HDM667 where a surface cannot be: no treatment, or something else that says how its effect varies."""
    written = f"`surface of {item.outcome} ... as {item.law}`"
    if not bound.treatments:
        raise NotDerivable(CODE, f"{written}: the study has no treatment.", "Write `adjust for gp(x)`.")
    for other in bound.study.analysis:
        names = _effects_named(other) & set(bound.treatments)
        if names and not isinstance(other, ir.VaryAcross):
            message = f"{written} says how the effect of {sorted(names)[0]} varies, and so does another line."
            raise NotDerivable(CODE, message, "Leave out the `vary ... with` or `interact` line.")
    for term in item.given:
        within = set(study.names(term)) & set(bound.treatments)
        if within:
            message = f"{written}: the treatment {sorted(within)[0]} is in every surface."
            raise NotDerivable(CODE, message, "Name covariates only.")
        if isinstance(term, study.Call) and term.function in ("spline", "gp"):
            message = f"{written}: `{term_text(term)}` is a curve already."
            raise NotDerivable(CODE, message, f"Write {term_text(term.args[0])}.")


def _effects_named(item: ir.Amendment) -> set[str]:
    match item:
        case ir.VaryWith(effect=effect) | ir.VaryAcross(effect=effect):
            return set(study.names(effect))
        case ir.Interact(treatments=treatments):
            return set(treatments)
        case _:
            return set()


def _is_curve(bound: Bound, term: study.Expr) -> bool:
    """Return whether a term is a number with enough values for a curve."""
    if not isinstance(term, study.Ref):
        return False
    variable = bound.variables.get(term.name)
    if variable is None or variable.kind in ("category", "ordered", "binary"):
        return False
    return len(np.unique(variable.values)) >= FEWEST_VALUES
