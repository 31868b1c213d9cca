"""Rows that are each of one of several kinds, which are summed out of the likelihood: strata, values in gaps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import BoundVariable, Reals
from hdsl.model.derive.draft import Draft
from hdsl.model.ir import Expr, Factor, Law, Mixture, Observation, Var, add, apply, mul, var
from hdsl.model.log_kernels import log_kernel

FAMILIES = ("normal", "lognormal", "bernoulli", "binomial", "poisson")
IMPOSSIBLE = -1e30


@dataclass(frozen=True)
class Kinds:
    """The kinds that rows may be of.

    Attributes
    ----------
    dim : str
        The index set of the kinds.
    name : str
        What they are kinds of, for the names of definitions.
    share : expression over (rows, kinds)
        The log probability of each kind.
    allowed : expression over (rows, kinds)
        0 where what is known of a row allows the kind, IMPOSSIBLE where not.
    told : str
        How a row's kind comes about, as an equation; empty where definitions say it.
    known : bool
        Whether `allowed` rests on covariates alone, so that it holds for a row whatever becomes of it.
    """

    dim: str
    name: str
    share: Var
    allowed: Expr
    told: str
    known: bool


def has_density(outcome: BoundVariable, family: str) -> bool:
    """Return whether the density of an outcome can be summed over kinds."""
    return family in FAMILIES and outcome.event is None and outcome.known_sd is None


def sum_out(
    draft: Draft,
    kinds: Kinds,
    outcome: BoundVariable,
    law: Law,
    parts: tuple[str, str | None],
    why: str,
    reason: str,
) -> None:
    """Add the likelihood of rows, sum_k share_k p(y | k) over the possible kinds.

    `law` is over rows and kinds, `parts` the slots of outcome and weight.
    """
    row, (slot, weight) = draft.level(draft.bound.row), parts
    possible = draft.define(f"log share {kinds.name}", add(kinds.share, kinds.allowed))
    joint = draft.define(f"log joint {kinds.name}", add(possible, _log_density(draft, outcome, slot, law)))
    summed = apply("log_sum_exp", joint, static=(kinds.dim,))
    value = summed if weight is None else mul(var(weight), summed)
    name = draft.name(f"observed {outcome.name}")
    draft.factors.append(Factor(name=name, value=value, outcome=outcome.name, dims=(row,), reason=why))
    share = possible.name if kinds.known else kinds.share.name
    draft.margins.append(
        Observation(
            name=draft.name(f"each {outcome.name}"),
            outcome=outcome.name,
            slot=slot,
            dims=(row, kinds.dim),
            law=law,
            weight=weight,
            together=kinds.told,
            mixture=Mixture(dim=kinds.dim, share=share, possible=possible.name, joint=joint.name),
            reason=reason,
        )
    )


def _log_density(draft: Draft, outcome: BoundVariable, slot: str, law: Law) -> Expr:
    """Return the log density of the outcome, over rows and strata."""
    y: Expr = var(slot)
    distribution = law.distribution
    if distribution == "lognormal":
        distribution, y = "normal", draft.define(f"log {outcome.name}", apply("log", y))
    kernel = log_kernel(distribution, y, law.args)
    assert kernel is not None, distribution
    dims, source = (draft.level(outcome.level),), "what the log density of the outcome has of the outcome alone"
    rest = _constant(outcome, law.distribution)
    return add(kernel, draft.slot(f"{outcome.name} constant", dims, rest, source=source))


def _constant(outcome: BoundVariable, distribution: str) -> Reals:
    """Return the part of the log density that no parameter bears on, shape (rows,)."""
    from scipy.special import gammaln

    y = np.asarray(outcome.values, dtype=np.float64)
    if distribution in ("normal", "lognormal"):
        return -0.5 * math.log(2 * math.pi) - (np.log(y) if distribution == "lognormal" else np.zeros(len(y)))
    if distribution == "poisson_log":
        return -np.asarray(gammaln(y + 1))
    if outcome.trials is None:
        return np.zeros(len(y))
    return np.asarray(gammaln(outcome.trials + 1) - gammaln(y + 1) - gammaln(outcome.trials - y + 1))
