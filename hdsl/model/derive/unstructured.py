"""An unstructured covariance over a unit's occasions: a spread at each, and a correlation of each two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import BoundVariable, Integers
from hdsl.design import ir
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.occasions import Occasions
from hdsl.model.derive.priors import Priors, halfnormal
from hdsl.model.derive.scales import Scale
from hdsl.model.derive.serial import LKJ, at_rows, rows_of, text_of
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Expr, Law, Observation, Var, apply, column, const, dot, gather, mul, stack

MOST_PATTERNS = 64
MOST_WAVES = 30


@dataclass(frozen=True)
class Covariance:
    """Spreads and correlations over the occasions of a wave.

    `dim` and `other` are the index sets of the occasions; `sds` and `factor` (the Cholesky factor of the covariance)
    are over `dim`, and over `dim` and `other`.
    """

    wave: str
    dim: str
    other: str
    sds: tuple[Var, ...]
    spread: Expr
    factor: Expr


def covariance(draft: Draft, statement: ir.Correlate, role: str, scale: float, priors: Priors) -> Covariance:
    """Add a spread for each occasion, `role[occasion]`, and an LKJ correlation between them."""
    wave, unit = rows_of(draft, statement).wave, statement.within
    labels = draft.bound.levels[wave].labels
    if len(labels) > MOST_WAVES:
        message = (
            f"`{text_of(statement)}`: {len(labels)} occasions have {len(labels) * (len(labels) - 1) // 2} correlations."
        )
        raise NotDerivable("HDM634", message, "Use `as ar1`.")
    sds: list[Var] = []
    for label in labels:
        name = f"{role}[{label}]"
        law = priors.positive(halfnormal(scale), name, role)
        sds.append(draft.random(name, law, reason=f"spread within {wave} {label}"))
        draft.report(name, sds[-1])
    dim = draft.index_set(f"{wave}_residuals", labels, "effects")
    other = draft.index_set(f"{wave}_residuals_", labels, "effects")
    reason = f"the rows of one {unit} are jointly normal, with a correlation for each two {wave}s"
    corr = draft.random(
        f"corr_cholesky(residual, {unit})", priors.law(LKJ, f"corr(residual, {unit})"), (dim, other), reason
    )
    for i, first in enumerate(labels):
        for j in range(i + 1, len(labels)):
            value = dot(column(corr, dim, i), column(corr, dim, j), other)
            draft.report(f"corr({role}[{first}], {role}[{labels[j]}], {unit})", value)
    spread = draft.define(f"sd {wave}", stack(sds, dim))
    factor = draft.define(f"factor {wave}", mul(spread, corr))
    return Covariance(wave, dim, other, tuple(sds), spread, factor)


def latent(draft: Draft, statement: ir.Correlate, scale: Scale, priors: Priors) -> Expr:
    """Add effects of the rows that are jointly normal over a unit's occasions, and return them at the rows."""
    unit = statement.within
    made = covariance(draft, statement, "intercept", scale.group_sd, priors)
    law = Law(distribution="multinormal_cholesky", args=(const(0), made.factor))
    reason = f"the effects of one {unit} on its {made.wave}s are jointly normal"
    joint = draft.random(f"deviation({draft.bound.row})", law, (draft.level(unit), made.dim), reason)
    return at_rows(draft, joint, unit, made.wave, made.dim)


def spread_at_rows(draft: Draft, made: Covariance) -> Expr:
    """Return the spread of each row: that of its occasion."""
    row = draft.level(draft.bound.row)
    place = draft.slot(
        f"{made.dim}_of_row",
        (row,),
        draft.bound.levels[made.wave].rows,
        indexes=made.dim,
        source=f"the {made.wave} of each row",
    )
    return gather(made.spread, place, made.dim)


def observations(
    draft: Draft, statement: ir.Correlate, outcome: BoundVariable, mean: Expr, made: Covariance, reason: str
) -> Iterator[Observation]:
    """Yield the joint law of the rows of the units, one observation for each set of occasions that units were seen on.

    A unit that was not seen on every occasion has the marginal law of those it was seen on.
    """
    found = rows_of(draft, statement)
    patterns = _patterns(draft, found)
    if len(patterns) > MOST_PATTERNS:
        message = f"`{text_of(statement)}`: the units were seen on {len(patterns)} different sets of occasions."
        raise NotDerivable("HDM634", message, "Use `as ar1` or `as exchangeable`.")
    row = draft.level(draft.bound.row)
    for waves, rows in patterns.items():
        text = f"{outcome.name} at {len(waves)}"
        units = draft.index_set(f"{found.unit} of {len(waves)}", [str(i + 1) for i in range(len(rows))], "cells")
        dims, factor = _marginal(draft, made, waves, units)
        shaped = rows[:, 0] if len(waves) == 1 else rows
        place = draft.slot(f"rows {text}", dims, shaped, indexes=row, source=f"their rows by {found.wave}")
        values = draft.slot(
            text, dims, np.asarray(outcome.values)[shaped], source=f"outcome on {len(waves)} {found.wave}s"
        )
        at = gather(mean, place, row)
        joint = len(waves) > 1
        law = Law(distribution="multinormal_cholesky" if joint else "normal", args=(at, factor))
        yield Observation(
            name=draft.name(f"observed {text}"),
            outcome=outcome.name,
            slot=values.name,
            dims=dims,
            law=law,
            rows=place.name,
            reason=reason,
        )


def _patterns(draft: Draft, found: Occasions) -> dict[tuple[int, ...], Integers]:
    """Return the rows of the units, shape (units, occasions), by the occasions that they were seen on."""
    waves = draft.bound.levels[found.wave].rows
    starts = np.flatnonzero(found.rank[found.order] == 0)
    by_pattern: dict[tuple[int, ...], list[Integers]] = {}
    for rows in np.split(found.order, starts[1:]):
        by_pattern.setdefault(tuple(waves[rows].tolist()), []).append(rows)
    return {pattern: np.stack(rows) for pattern, rows in by_pattern.items()}


def _marginal(draft: Draft, made: Covariance, waves: tuple[int, ...], units: str) -> tuple[tuple[str, ...], Expr]:
    """Return the dims of the units' rows and the Cholesky factor of their covariance; of one row its spread."""
    if len(waves) == 1:
        return (units,), made.sds[waves[0]]
    if len(waves) == len(made.sds):
        return (units, made.dim), made.factor
    labels = [draft.coords[made.dim][wave] for wave in waves]
    here = draft.index_set(f"{made.dim} {len(waves)}", labels, "effects")
    there = draft.index_set(f"{made.dim} {len(waves)}_", labels, "effects")
    places = np.array(waves)
    first = draft.slot(f"places {here}", (here,), places, indexes=made.dim, source=f"which {made.wave}s")
    rows = gather(made.factor, first, made.dim)
    if waves == tuple(range(len(waves))):
        second = draft.slot(f"places {there}", (there,), places, indexes=made.other, source=f"which {made.wave}s")
        return (units, here), draft.define(f"factor {here}", gather(rows, second, made.other))
    second = draft.slot(f"places {there}", (there,), places, indexes=made.dim, source=f"which {made.wave}s")
    both = dot(rows, gather(made.factor, second, made.dim), made.other)
    return (units, here), draft.define(f"factor {here}", apply("cholesky", both, static=(here, there)))
