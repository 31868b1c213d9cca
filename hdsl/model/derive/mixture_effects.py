"""`vary EFFECT across GROUP as dirichlet`: effects of groups from a Dirichlet-process mixture of normals.

The process is truncated at a number of clusters (Ishwaran & James 2001), whose weights come from breaking a stick. What
breaks off is 1 - exp(-e) of what is left, e exponential with the concentration as its rate: the same as beta(1,
concentration). The cluster of each group is summed out. The mixture is shifted and scaled to mean 0 and spread 1
(Dunson, Yang & Baird 2007 centre it likewise), so that `effect(z)` is the mean effect, `sd(effect(z), g)` the spread
of the effects, and one cluster gives exactly the normal law.

Clusters have no names: any order of them has the same density. What is reported depends on no order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import Priors, normal
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.ir import Expr, Law, Var, add, apply, const, div, dot, gather, mul, sub

MOST_CLUSTERS = 10
FEWEST_GROUPS = 3
CERTAIN = 1 - 1e-12
SHOWN = np.linspace(-3, 3, 31)


@dataclass(frozen=True)
class _Clusters:
    """The clusters in units of the effects' spread: their index set, log weights, means and spreads."""

    dim: str
    log_weights: Var
    means: Var
    sds: Var


def clustered(draft: Draft, effect: str, level: str, sd: Expr, reason: str, priors: Priors) -> Expr:
    """Add effects of the units of `level` that fall into clusters, and return their deviations from the mean.

    `sd` is their spread, one for all units or one for each.
    """
    size = draft.bound.levels[level].size
    if size < FEWEST_GROUPS:
        message = f"`vary ... across {level} as dirichlet`: {size} units cannot show clusters."
        raise NotDerivable("HDM629", message, f"Write `vary ... across {level}`: a normal law.")
    clusters = _clusters(draft, effect, level, min(MOST_CLUSTERS, size), priors)
    args = (clusters.log_weights, apply("mul", sd, clusters.means), apply("mul", sd, clusters.sds))
    law = Law(distribution="normal_mixture", args=args)
    reason = f"{reason}, in clusters (a Dirichlet process)"
    found = draft.random(f"deviation({effect}, {level})", law, (draft.level(level),), reason)
    _report(draft, effect, level, clusters, div(found, sd))
    return found


def _clusters(draft: Draft, effect: str, level: str, number: int, priors: Priors) -> _Clusters:
    about = f"{effect}, {level}"
    dim = draft.index_set(f"clusters {effect} {level}", [str(k + 1) for k in range(number)], "terms")
    log_weights = _log_weights(draft, about, dim, number, priors)
    weights = _define(draft, "weights", about, apply("exp", log_weights))
    raw = draft.random(f"place({about})", normal(0, 1), (dim,), "where the clusters lie")
    share = draft.random(
        f"narrowness({about})",
        Law(distribution="beta", args=(const(2), const(2))),
        reason="the share of the spread within clusters, before scaling",
    )
    away = _define(draft, "away", about, sub(raw, dot(weights, raw, dim)))
    between = mul(sub(const(1), share), dot(weights, apply("square", away), dim))
    size = _define(draft, "size", about, apply("sqrt", add(share, between)))
    means = _define(draft, "cluster means", about, mul(away, div(apply("sqrt", sub(const(1), share)), size)))
    one = draft.slot(f"one {dim}", (dim,), np.ones(number), source="one for each cluster")
    sds = _define(draft, "cluster spreads", about, mul(one, div(apply("sqrt", share), size)))
    draft.report(f"within({about})", div(share, apply("square", size)))
    return _Clusters(dim, log_weights, means, sds)


def _log_weights(draft: Draft, about: str, dim: str, number: int, priors: Priors) -> Var:
    role = f"concentration({about})"
    default = Law(distribution="gamma", args=(const(2), const(2)))
    concentration = draft.random(role, priors.positive(default, role), reason="how many clusters: the more, the larger")
    draft.report(role, concentration)
    breaks = draft.index_set(f"breaks {dim}", [str(k + 1) for k in range(number - 1)], "terms")
    law = Law(distribution="exponential", args=(concentration,))
    broken = draft.random(f"break({about})", law, (breaks,), "the weights of the clusters, by breaking a stick")
    places = np.arange(number)
    own, before = (
        draft.slot(f"{name} {dim}", (dim,), np.clip(at, 0, number - 2), indexes=breaks, source=f"{name} cluster")
        for name, at in (("break of", places), ("break before", places - 1))
    )
    last, first = (
        draft.slot(f"{name} {dim}", (dim,), (places == at).astype(np.float64), source=f"1 at the {name} cluster")
        for name, at in (("last", number - 1), ("first", 0))
    )
    taken = apply("log", apply("neg", apply("expm1", apply("neg", broken))))
    left = apply("cumulative_sum", apply("neg", broken), static=(breaks,))
    part = apply("where", last, const(0), gather(taken, own, breaks))
    rest = apply("where", first, const(0), gather(left, before, breaks))
    return _define(draft, "log weights", about, add(part, rest))


def _define(draft: Draft, what: str, about: str, value: Expr) -> Var:
    return draft.define(f"{what} {about}", value, role=f"mixture({about})")


def _report(draft: Draft, effect: str, level: str, clusters: _Clusters, standard: Expr) -> None:
    """Report how many clusters have units in them, and the density of the effects."""
    about, dim = f"{effect}, {level}", clusters.dim
    log_share = apply("log_softmax", _log_parts(clusters, standard), static=(dim,))
    other = apply("log1p", apply("neg", apply("min", apply("exp", log_share), const(CERTAIN))))
    empty = apply("exp", apply("sum", other, static=(draft.level(level),)))
    draft.report(f"clusters({about})", apply("sum", sub(const(1), empty), static=(dim,)))
    label = f"spreads from the mean {effect}"
    grid = draft.index_set(f"shown {dim}", [f"{value:.10g}" for value in SHOWN], "grid", label)
    values = draft.slot(f"values {dim}", (grid,), SHOWN, source=f"{label}, at which the density is shown")
    density = apply("exp", apply("log_sum_exp", _log_parts(clusters, values), static=(dim,)))
    draft.report(f"density({about})", density)


def _log_parts(clusters: _Clusters, values: Expr) -> Expr:
    """Return the log weight times density of each cluster at `values`."""
    scaled = apply("square", div(sub(values, clusters.means), clusters.sds))
    kernel = sub(mul(const(-0.5), scaled), apply("log", clusters.sds))
    return add(sub(kernel, const(0.5 * math.log(2 * math.pi))), clusters.log_weights)
