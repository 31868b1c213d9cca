"""Principal strata: outcomes by stratum, the strata's shares, and the likelihood with the strata summed out.

Source: Frangakis & Rubin (2002); Imbens & Rubin (1997) for noncompliance; Feller & Gelman (2015), section on
principal stratification.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import BoundTreatment, BoundVariable, Reals
from hdsl.design import ir
from hdsl.diagnostics import Diagnostic
from hdsl.model.derive.coefficients import Coefficient
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.predictor import Parts, total
from hdsl.model.derive.priors import Priors, halfnormal, normal, rounded
from hdsl.model.derive.terms import NotDerivable, at_rows, spread
from hdsl.model.ir import (
    Dims,
    Expr,
    Factor,
    Law,
    Mixture,
    Observation,
    Var,
    add,
    apply,
    column,
    const,
    div,
    dot,
    mul,
    stack,
    sub,
    var,
)

Integers = NDArray[np.int64]
IMPOSSIBLE = -1e30
ODDS_SD = 1.5
BETWEEN_SD = 1.0


@dataclass(frozen=True)
class Strata:
    """The principal strata of a study.

    Attributes
    ----------
    declared : Principal
    dim : str
        The index set of the strata.
    possible : float array, shape (rows, strata)
        1 where a row's treatment and intermediate allow the stratum.
    """

    declared: ir.Principal
    dim: str
    possible: Reals

    @property
    def names(self) -> tuple[str, ...]:
        """The strata in the order declared."""
        return tuple(stratum.name for stratum in self.declared.strata)

    @property
    def affected(self) -> tuple[bool, ...]:
        """Whether each stratum's outcome may depend on the treatment."""
        return tuple(not stratum.unaffected for stratum in self.declared.strata)

    def concerns(self, coefficient: Coefficient) -> bool:
        """Return whether a coefficient is an effect of the treatment that the strata are of."""
        return coefficient.family == f"effect({self.declared.treatment})"


def strata_of(draft: Draft, outcome: BoundVariable, family: str) -> Strata | None:
    """Return the principal strata of a study, None where it declares none; raises NotDerivable."""
    principals = list(draft.bound.study.principals)
    if not principals:
        return None
    if len(principals) > 1:
        raise NotDerivable("HDM635", "A model has principal strata of one intermediate variable.", "Leave one out.")
    if family not in LOG_DENSITIES or outcome.event is not None or outcome.known_sd is not None:
        known = ", ".join(LOG_DENSITIES)
        raise NotDerivable(
            "HDM635", f"Principal strata of a {family} outcome are not derived.", f"Families that are: {known}."
        )
    declared = principals[0]
    draft.diagnostics += _by_shape_alone(declared)
    dim = draft.index_set(declared.name, [stratum.name for stratum in declared.strata], "categories")
    return Strata(declared, dim, _possible(draft, declared))


def _by_shape_alone(declared: ir.Principal) -> list[Diagnostic]:
    """HDM424: strata that share a cell are told apart by exclusion restrictions."""
    found: list[Diagnostic] = []
    for place, stratum in enumerate(declared.strata):
        others = [other for other in declared.strata if other is not stratum]
        shared = [o.name for o in others if any(a == b for a, b in zip(o.values, stratum.values, strict=True))]
        if len(set(stratum.values)) == 1 and not stratum.unaffected and shared:
            message = f"Nothing but the shape of the outcome's distribution tells `{stratum.name}` from `{shared[0]}`."
            help_ = f"If the treatment cannot change the outcome of `{stratum.name}`, declare it `unaffected`."
            path = ("principals", 0, "strata", place)
            found.append(Diagnostic("HDM424", message, severity="warning", help=help_, path=path))
    return found


def _possible(draft: Draft, declared: ir.Principal) -> Reals:
    bound = draft.bound
    treatment, variable = bound.treatments[declared.treatment], bound.variables[declared.intermediate]
    arms = bound.at_rows(treatment.level, treatment.values).astype(np.int64)
    seen = bound.at_rows(variable.level, variable.values).astype(np.int64)
    codes = np.array([[_code(variable, value) for value in stratum.values] for stratum in declared.strata])
    possible = np.equal(codes[:, arms].T, seen[:, None]).astype(np.float64)
    lost = np.flatnonzero(possible.sum(axis=1) == 0)
    if lost.size:
        raise NotDerivable("HDM321", _lost(treatment, variable, declared, arms, seen, lost), _LOST_HELP)
    return possible


_LOST_HELP = "List the stratum to which such rows belong (which gives up the monotonicity), or mend the data."


def _lost(
    treatment: BoundTreatment,
    variable: BoundVariable,
    declared: ir.Principal,
    arms: Integers,
    seen: Integers,
    lost: NDArray[np.intp],
) -> str:
    first = int(lost[0])
    value = variable.labels[int(seen[first])] if variable.labels else str(int(seen[first]))
    count = "1 row has" if lost.size == 1 else f"{lost.size} rows have"
    where = f"{treatment.name} = {treatment.arms[int(arms[first])]} and {variable.name} = {value}"
    return f"{count} values that no stratum of `{declared.name}` allows, first row {first + 1} with {where}."


def _code(variable: BoundVariable, value: float | str) -> float:
    if isinstance(value, str):
        return float(variable.labels.index(value)) if value in variable.labels else math.nan
    label = f"{value:g}"
    return float(variable.labels.index(label)) if label in variable.labels else float(value)


def effects(
    draft: Draft, strata: Strata, role: str, law: Callable[[str], Law], reason: str
) -> tuple[Expr, dict[str, Expr]]:
    """Add an effect for each affected stratum; return them along the strata, and by stratum (0: unaffected)."""
    each: dict[str, Expr] = {}
    for name, affected in zip(strata.names, strata.affected, strict=True):
        each[name] = const(0)
        if affected:
            own = in_stratum(role, name)
            each[name] = draft.random(own, law(own), reason=f"{reason}; its effect on {name}")
            draft.report(own, each[name])
    return stack(tuple(each.values()), strata.dim), each


def in_stratum(role: str, stratum: str) -> str:
    """Return the role of a parameter in a stratum: `effect(z)[complier]`, `effect(z)[high, complier]`."""
    return f"{role[:-1]}, {stratum}]" if role.endswith("]") else f"{role}[{stratum}]"


def affected_only(draft: Draft, strata: Strata, value: Expr) -> Expr:
    """Return an effect with zero in the strata that the treatment leaves unaffected."""
    if all(strata.affected):
        return value
    key = ("strata", "affected")
    if key not in draft.cache:
        where = np.array(strata.affected, dtype=np.float64)
        source = "1 where the outcome may depend on the treatment"
        draft.cache[key] = draft.slot("affected", (strata.dim,), where, source=source)
    return mul(value, draft.cache[key])


def observe(
    draft: Draft,
    strata: Strata,
    priors: Priors,
    outcome: BoundVariable,
    law: Law,
    parts: tuple[str, str | None],
    coefficients: Sequence[Coefficient],
    levels: Sequence[str],
    reason: str,
) -> None:
    """Add the shares and the likelihood. `law` is over rows and strata, `parts` the slots of outcome and weight.

    The likelihood of a row is sum_s share_s p(y | s), over the strata that its treatment and intermediate allow.
    """
    row, (slot, weight) = draft.level(draft.bound.row), parts
    share = _shares(draft, strata, priors, coefficients, levels, weight)
    mask = np.where(strata.possible > 0, 0.0, IMPOSSIBLE)
    source = f"0 where the row may be of the stratum, {IMPOSSIBLE:g} where not"
    allowed = draft.slot(f"{strata.declared.name} possible", (row, strata.dim), mask, source=source)
    possible = draft.define(f"log share {strata.declared.name}", add(share, allowed))
    density = LOG_DENSITIES[law.distribution.removesuffix("_logit").removesuffix("_log")](draft, outcome, slot, law)
    joint = draft.define(f"log joint {strata.declared.name}", add(possible, density))
    summed = apply("log_sum_exp", joint, static=(strata.dim,))
    value = summed if weight is None else mul(var(weight), summed)
    draft.factors.append(
        Factor(
            name=draft.name(f"observed {outcome.name}"),
            value=value,
            outcome=outcome.name,
            dims=(row,),
            reason=f"the strata of `{strata.declared.name}` are summed out",
        )
    )
    dim = strata.dim
    draft.margins.append(
        Observation(
            name=draft.name(f"each {outcome.name}"),
            outcome=outcome.name,
            slot=slot,
            dims=(row, dim),
            law=law,
            weight=weight,
            together=_told(strata, draft.bound.row),
            mixture=Mixture(dim=dim, share=share.name, possible=possible.name, joint=joint.name),
            reason=reason,
        )
    )


def _told(strata: Strata, row: str) -> str:
    name, given = strata.declared.name, strata.declared
    return (
        f"{name}[{row}] ~ categorical(share), among those with this {given.intermediate} under this {given.treatment}"
    )


def _shares(
    draft: Draft,
    strata: Strata,
    priors: Priors,
    coefficients: Sequence[Coefficient],
    levels: Sequence[str],
    weight: str | None,
) -> Var:
    """Add the log shares, over rows and strata: a multinomial logit with the first stratum as reference."""
    row = draft.level(draft.bound.row)
    logits: list[Expr] = [const(0)]
    for name in strata.names[1:]:
        logits.append(_log_odds(draft, name, strata.names[0], priors, coefficients, levels))
    odds = draft.define(f"log odds {strata.declared.name}", stack(logits, strata.dim))
    share = draft.define(f"share {strata.declared.name}", apply("log_softmax", odds, static=(strata.dim,)))
    means = _weights(draft, row, weight)
    for place, name in enumerate(strata.names):
        mean = dot(apply("exp", column(share, strata.dim, place)), means, row)
        draft.report(f"share({name})", mean)
    return share


def _weights(draft: Draft, row: str, weight: str | None) -> Expr:
    given = np.ones(draft.bound.rows) if weight is None else np.asarray(draft.values[weight], dtype=np.float64)
    return draft.slot("row share", (row,), given / given.sum(), source="each row's share of the sample")


def _log_odds(
    draft: Draft, name: str, first: str, priors: Priors, coefficients: Sequence[Coefficient], levels: Sequence[str]
) -> Expr:
    row, role = draft.bound.row, f"log_odds({name})"
    reason = f"how many are {name} for one {first}, at average covariates"
    middle = draft.random(role, priors.law(normal(0, ODDS_SD), role, "log_odds"), reason=reason)
    draft.report(role, middle)
    parts = Parts()
    parts.put(None, middle)
    for coefficient in coefficients:
        if not coefficient.reason.startswith("adjusted for"):
            continue
        values = at_rows(draft, coefficient.column)
        own = f"log_odds({name}, {_without_function(coefficient.role)})"
        law = priors.law(normal(0, ODDS_SD / spread(values)), own, "log_odds")
        slope = draft.random(own, law, reason=f"the share of {name} may depend on what is adjusted for")
        draft.report(own, slope)
        centred = sub(coefficient.column.expr, const(rounded(float(np.mean(values)))))
        parts.put(coefficient.column.level, mul(slope, centred))
    for level in levels:
        parts.put(level, _between(draft, role, name, level, priors))
    named = {level: f"{role}[{level}]" for level in levels}
    summed = total(draft, parts, role, named, at=row)
    for level in levels:
        draft.report(named[level], summed.totals[level])
    zeros = draft.slot("no odds", (draft.level(row),), np.zeros(draft.bound.rows), source="zero for each row")
    value = summed.value if summed.level == row else add(zeros, summed.value)
    return draft.define(f"{role} {row}", value, role=f"{role}[{row}]", reason=f"how many are {name} for one {first}")


def _without_function(role: str) -> str:
    """Return `x` for `slope(x)`, `x[value]` for `slope(x)[value]`."""
    inner = role.removeprefix("slope(")
    place = inner.rindex(")")
    return inner[:place] + inner[place + 1 :]


def _between(draft: Draft, role: str, name: str, level: str, priors: Priors) -> Expr:
    sd_role, reason = f"sd({role}, {level})", f"the share of {name} varies by {level}"
    sd = draft.random(sd_role, priors.positive(halfnormal(BETWEEN_SD), sd_role), reason=reason)
    draft.report(sd_role, sd)
    law = Law(distribution="normal", args=(const(0), sd))
    dims: Dims = (draft.level(level),)
    return draft.random(f"deviation({role}, {level})", law, dims, reason)


def _normal(draft: Draft, outcome: BoundVariable, slot: str, law: Law) -> Expr:
    mean, sd = law.args
    squared = apply("square", div(sub(var(slot), mean), sd))
    return sub(sub(mul(const(-0.5), squared), apply("log", sd)), const(0.5 * math.log(2 * math.pi)))


def _lognormal(draft: Draft, outcome: BoundVariable, slot: str, law: Law) -> Expr:
    dims = (draft.level(outcome.level),)
    logs = draft.slot(f"log {outcome.name}", dims, np.log(outcome.values), source=f"log of {outcome.name}")
    return sub(_normal(draft, outcome, logs.name, law), logs)


def _bernoulli(draft: Draft, outcome: BoundVariable, slot: str, law: Law) -> Expr:
    (argument,) = law.args
    y = draft.slot(f"{outcome.name} seen", (draft.level(outcome.level),), np.asarray(outcome.values), source="outcome")
    if law.distribution == "bernoulli_logit":
        return sub(apply("log_inv_logit", argument), mul(sub(const(1), y), argument))
    missed = mul(sub(const(1), y), apply("log", sub(const(1), argument)))
    return add(mul(y, apply("log", argument)), missed)


def _binomial(draft: Draft, outcome: BoundVariable, slot: str, law: Law) -> Expr:
    argument = law.args[1]
    assert outcome.trials is not None
    dims = (draft.level(outcome.level),)
    y = draft.slot(f"{outcome.name} seen", dims, np.asarray(outcome.values), source="outcome")
    missed = draft.slot(f"{outcome.name} missed", dims, outcome.trials - outcome.values, source="trials that failed")
    ways = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for n, k in _pairs(outcome)]
    constant = draft.slot(f"{outcome.name} ways", dims, np.array(ways), source="log of the binomial coefficient")
    if law.distribution == "binomial_logit":
        density = sub(mul(add(y, missed), apply("log_inv_logit", argument)), mul(missed, argument))
    else:
        density = add(mul(y, apply("log", argument)), mul(missed, apply("log", sub(const(1), argument))))
    return add(density, constant)


def _pairs(outcome: BoundVariable) -> list[tuple[float, float]]:
    assert outcome.trials is not None
    return list(zip(outcome.trials.tolist(), outcome.values.tolist(), strict=True))


def _poisson(draft: Draft, outcome: BoundVariable, slot: str, law: Law) -> Expr:
    (logmean,) = law.args
    dims = (draft.level(outcome.level),)
    y = draft.slot(f"{outcome.name} seen", dims, np.asarray(outcome.values), source="outcome")
    factorials = np.array([math.lgamma(k + 1) for k in outcome.values.tolist()])
    constant = draft.slot(f"{outcome.name} factorial", dims, factorials, source="log factorial of the count")
    return sub(sub(mul(y, logmean), apply("exp", logmean)), constant)


LOG_DENSITIES: Mapping[str, Callable[[Draft, BoundVariable, str, Law], Expr]] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "bernoulli": _bernoulli,
    "binomial": _binomial,
    "poisson": _poisson,
}
