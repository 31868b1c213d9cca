"""`vary EFFECT across A * B as array`: effects over the cells of crossed factors, alike where the factors' units are.

An effect is the mean, plus a part for each unit of each factor, plus a part for each cell of two and of more factors.
Each factor has one correlation matrix between its units, and it serves all parts: the covariance of the parts over the
cells of A and B is sd(E, A * B)^2 times the Kronecker product of the correlations of A and of B. What the main parts
say about which units are alike is then used for the cells, of which the data know little.

Source: Volfovsky & Hoff (2014), with an LKJ law in place of their inverse-Wishart and one spread for each part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import Integers
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import Priors, halfnormal
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Expr, Law, Var, add, apply, column, const, dot, gather, mul

MOST_UNITS = 20
MOST_CELLS = 4_000
LKJ = Law(distribution="lkj_cholesky", args=(const(2),))


@dataclass(frozen=True)
class ArrayEffects:
    """The parts of an effect over crossed factors.

    `name`: the factors. `main`: by factor, over its units. `cells`: the sum of the parts over cells, at the rows.
    `whole`: the sum of all parts at the cells that are in the data.
    """

    name: str
    main: Mapping[str, Expr]
    cells: Expr
    whole: Expr


@dataclass(frozen=True)
class _Factor:
    """A factor: its correlations' Cholesky factor over `dim` and `inner`, and the unit of each cell."""

    level: str
    dim: str
    inner: str
    corr: Var
    of_cell: Var


@dataclass(frozen=True)
class _Setting:
    """What the parts of one effect share; `cell` is the index set of the cells that are in the data."""

    draft: Draft
    effect: str
    factors: tuple[_Factor, ...]
    cell: str
    prior_sd: float
    reason: str
    priors: Priors


def array_effects(
    draft: Draft, effect: str, across: Sequence[str], prior_sd: float, reason: str, priors: Priors
) -> ArrayEffects:
    """Add an effect over the cells of the levels `across`, which lie crossed; raises NotDerivable where they cannot."""
    _check(draft, effect, across)
    codes, cell_of_row = _cells(draft, across)
    labels = [", ".join(draft.bound.levels[a].labels[i] for a, i in zip(across, row, strict=True)) for row in codes]
    about = f"{effect} {' '.join(across)}"
    cell = draft.index_set(f"cells {about}", labels, "cells", " * ".join(across))
    factors = tuple(_factor(draft, effect, level, cell, codes[:, place], priors) for place, level in enumerate(across))
    setting = _Setting(draft, effect, factors, cell, prior_sd, reason, priors)
    main = {factor.level: _main(setting, factor) for factor in factors}
    sets = [found for size in range(2, len(factors) + 1) for found in itertools.combinations(factors, size)]
    joint = add(*(_part(setting, found) for found in sets))
    mains = (gather(main[each.level], _unit_of_cell(setting, each), draft.level(each.level)) for each in factors)
    row = draft.level(draft.bound.row)
    place = draft.slot("cell of row", (row,), cell_of_row, indexes=cell, source=f"the cell of each {draft.bound.row}")
    summed = draft.define(f"cells {about}", joint, role=f"array({effect}, {' * '.join(across)})")
    return ArrayEffects(" * ".join(across), main, gather(summed, place, cell), add(*mains, summed))


def _check(draft: Draft, effect: str, across: Sequence[str]) -> None:
    bound, text = draft.bound, f"`vary {effect} across {' * '.join(across)} as array`"
    if len(set(across)) < 2 or len(set(across)) < len(across):
        raise NotDerivable("HDM629", f"{text}: an array has two or more different factors.", "Write `A * B`.")
    for level in across:
        if level not in bound.levels:
            raise NotDerivable("HDM629", f"`{level}` is not a level to vary across.")
        if bound.levels[level].size > MOST_UNITS or bound.levels[level].size < 2:
            message = f"{text}: {level} has {bound.levels[level].size} units; a factor has 2 to {MOST_UNITS}."
            raise NotDerivable("HDM629", message, f"Write `vary ... across {level}`: units that are not told apart.")
    for one, other in itertools.permutations(across, 2):
        if bound.nests(one, other):
            message = f"{text}: each {one} lies in one {other}, so they have no cells."
            raise NotDerivable("HDM629", message, "Write one `vary` for each of the two.")
    if math.prod(bound.levels[level].size for level in across) > MOST_CELLS:
        raise NotDerivable("HDM629", f"{text}: there are more than {MOST_CELLS} cells.", "Leave a factor out.")


def _cells(draft: Draft, across: Sequence[str]) -> tuple[Integers, Integers]:
    """Return the units of each cell that is in the data, shape (cells, factors), and the cell of each row."""
    rows = np.stack([draft.bound.levels[level].rows for level in across], axis=1)
    cells, of_row = np.unique(rows, axis=0, return_inverse=True)
    return cells.astype(np.int64), of_row.reshape(-1).astype(np.int64)


def _factor(draft: Draft, effect: str, level: str, cell: str, codes: Integers, priors: Priors) -> _Factor:
    labels = draft.bound.levels[level].labels
    dim = draft.index_set(f"{level} in array", labels, "effects")
    inner = draft.index_set(f"{level} in array_", labels, "effects")
    role = f"corr({effect}, {level})"
    reason = f"units of {level} may be alike in {effect}, in its main part and in every cell"
    corr = draft.random(f"corr_cholesky({effect}, {level})", priors.law(LKJ, role), (dim, inner), reason)
    for i, j in itertools.combinations(range(len(labels)), 2):
        value = dot(column(corr, dim, i), column(corr, dim, j), inner)
        draft.report(f"corr({effect}[{labels[i]}], {effect}[{labels[j]}], {level})", value)
    of_cell = draft.slot(f"{level} of cell", (cell,), codes, indexes=dim, source=f"the {level} of each cell")
    return _Factor(level, dim, inner, corr, of_cell)


def _unit_of_cell(setting: _Setting, factor: _Factor) -> Var:
    draft = setting.draft
    codes = draft.values[factor.of_cell.name]
    indexes = draft.level(factor.level)
    text = f"{factor.level} of {setting.cell}"
    return draft.slot(text, (setting.cell,), codes, indexes=indexes, source=f"the {factor.level} of each cell")


def _sd(setting: _Setting, about: str) -> Var:
    role = f"sd({setting.effect}, {about})"
    whole = setting.effect.split("[", 1)[0]
    law = setting.priors.positive(halfnormal(setting.prior_sd), role, f"sd({whole}, {about})")
    found = setting.draft.random(role, law, reason=f"{setting.reason}: the spread over {about}")
    setting.draft.report(role, found)
    return found


def _main(setting: _Setting, factor: _Factor) -> Expr:
    """Return the part of each unit of a factor: sd times the Cholesky factor times standard normals."""
    draft, level = setting.draft, factor.level
    role = f"deviation({setting.effect}, {level})"
    sd = _sd(setting, level)
    standard = Law(distribution="normal", args=(const(0), const(1)))
    z = draft.random(f"standard({role})", standard, (factor.inner,), f"{setting.reason}: the part of each {level}")
    same = draft.slot(
        f"{factor.dim} of {level}",
        (draft.level(level),),
        np.arange(draft.bound.levels[level].size),
        indexes=factor.dim,
        source=f"each {level} as a unit of the array",
    )
    value = gather(mul(sd, dot(factor.corr, z, factor.inner)), same, factor.dim)
    written = f"~ normal(0, sd = sd({setting.effect}, {level}), corr = corr({setting.effect}, {level}))"
    return draft.define(role, value, role=role, reason=f"{setting.reason}: the part of each {level}", written=written)


def _part(setting: _Setting, factors: Sequence[_Factor]) -> Expr:
    """Return the part of the cells of several factors, over the cells that are in the data.

    The standard normals z stand over the first factor and all combinations of the others (`rest`), so that no array
    has more than two dims: sum over j of (sum over i of L1[a, i] z[i, j]) * L2[b, j] * L3[c, j] ...
    """
    draft, (first, *others) = setting.draft, factors
    about = " * ".join(factor.level for factor in factors)
    role = f"deviation({setting.effect}, {about})"
    sizes = [len(draft.coords[factor.dim]) for factor in others]
    places = np.indices(sizes).reshape(len(others), -1)
    rest = draft.index_set("rest", [str(j + 1) for j in range(places.shape[1])], "terms")
    sd = _sd(setting, about)
    standard = Law(distribution="normal", args=(const(0), const(1)))
    reason = f"{setting.reason}: the part of each cell of {about}"
    z = draft.random(f"standard({role})", standard, (first.inner, rest), reason)
    along = gather(dot(first.corr, z, first.inner), first.of_cell, first.dim)
    for factor, place in zip(others, places, strict=True):
        here = draft.slot(f"{factor.level} of rest", (rest,), place, indexes=factor.inner, source="of each combination")
        along = mul(along, gather(gather(factor.corr, factor.of_cell, factor.dim), here, factor.inner))
    value = mul(sd, apply("sum", along, static=(rest,)))
    written = f"~ array_normal(0, sd = sd({setting.effect}, {about}), corr = " + " x ".join(
        f"corr({setting.effect}, {factor.level})" for factor in factors
    )
    return draft.define(role, value, role=role, reason=reason, written=f"{written})")
