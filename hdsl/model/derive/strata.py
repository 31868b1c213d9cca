"""Principal strata: outcomes by stratum, the strata's shares, and the likelihood with the strata summed out.

Source: Frangakis & Rubin (2002); Imbens & Rubin (1997) for noncompliance; Feller & Gelman (2015), section on
principal stratification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import BoundVariable
from hdsl.data.strata import possible_strata
from hdsl.design import ir
from hdsl.model.derive.coefficients import Coefficient
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.kinds import FAMILIES, IMPOSSIBLE, Kinds, has_density, sum_out
from hdsl.model.derive.predictor import Parts, total
from hdsl.model.derive.priors import Priors, halfnormal, normal, rounded
from hdsl.model.derive.terms import NotDerivable, at_rows, spread
from hdsl.model.ir import (
    Dims,
    Expr,
    Law,
    Var,
    add,
    apply,
    column,
    const,
    dot,
    mul,
    stack,
    sub,
)

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
    possible : bool array, shape (rows, strata)
        Whether a row's treatment and intermediate allow the stratum.
    """

    declared: ir.Principal
    dim: str
    possible: NDArray[np.bool_]

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
    if not has_density(outcome, family):
        known = ", ".join(FAMILIES)
        raise NotDerivable(
            "HDM635", f"Principal strata of a {family} outcome are not derived.", f"Families that are: {known}."
        )
    declared = principals[0]
    dim = draft.index_set(declared.name, [stratum.name for stratum in declared.strata], "categories")
    return Strata(declared, dim, possible_strata(draft.bound, declared))


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
    share = _shares(draft, strata, priors, coefficients, levels, parts[1])
    name = strata.declared.name
    mask = np.where(strata.possible, 0.0, IMPOSSIBLE)
    source = f"0 where the row may be of the stratum, {IMPOSSIBLE:g} where not"
    allowed = draft.slot(f"{name} possible", (draft.level(draft.bound.row), strata.dim), mask, source=source)
    kinds = Kinds(strata.dim, name, share, allowed, _told(strata, draft.bound.row), known=False)
    sum_out(draft, kinds, outcome, law, parts, f"the strata of `{name}` are summed out", reason)


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
    value = summed.value if summed.level == row else add(draft.zeros(), summed.value)
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
