"""Importance sampling of the hyperparameters, and its draws as chains.

The proposals are arranged as chains of independence Metropolis sampling: a chain stays where it is as often as its
weight demands. Such draws have equal weights and honest autocorrelations, so that R-hat and effective sample sizes
mean what they always do.
Sources: Tierney (1994), Annals of Statistics 22; Vehtari et al. (2024), JMLR 25, for when to trust the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.inference.exact.mode import Mode
from hdsl.inference.exact.pareto import khat
from hdsl.inference.exact.proposal import Proposal, around, fitted
from hdsl.reference.values import Array

Density = Callable[[Array], Array]
Numbers = NDArray[np.int64]
KHAT_LIMIT = 0.5
TRIAL = 1_000
ROUNDS = 5
GOOD_SHARE = 0.6
MOST_COMPONENTS = 5
REFITS = 3


@dataclass(frozen=True)
class Weighted:
    """Proposals (n, d) with their log densities and log weights."""

    points: Array
    log_density: Array
    log_weights: Array

    @property
    def effective(self) -> float:
        """The effective number of draws, (sum w)^2 / sum w^2."""
        return effective(self.log_weights)

    @property
    def khat(self) -> float:
        """The shape of the weights' tail."""
        return khat(self.log_weights)


def effective(log_weights: Array) -> float:
    """Return Kish's effective number of weighted draws."""
    weights = np.exp(log_weights - np.max(log_weights))
    return float(np.sum(weights) ** 2 / np.sum(weights**2))


def weighted(density: Density, proposal: Proposal, count: int, rng: Generator) -> Weighted:
    """Draw from a proposal and weigh the draws."""
    points = proposal.draw(count, rng)
    heights = density(points)
    return Weighted(points, heights, heights - proposal.log_density(points))


def adapted(density: Density, modes: list[Mode], rng: Generator, trial: int = TRIAL) -> Proposal:
    """Return a proposal: around the modes, and where its weights are uneven, fitted to what was learnt."""
    proposal = around(modes)
    best, best_score = proposal, -np.inf
    used: list[Proposal] = []
    seen: list[Weighted] = []
    for tried in range(ROUNDS):
        found = weighted(density, proposal, trial, rng)
        if not np.any(np.isfinite(found.log_weights)):
            return best
        used.append(proposal)
        seen.append(found)
        share, tail = found.effective / trial, found.khat
        score = share - 2 * max(0.0, tail - 0.3)
        if score > best_score:
            best, best_score = proposal, score
        if share > GOOD_SHARE and tail < KHAT_LIMIT - 0.2:
            return proposal
        proposal = refitted(seen, used, min(2 + tried, MOST_COMPONENTS), rng)
    return best


def refitted(seen: list[Weighted], used: list[Proposal], count: int, rng: Generator) -> Proposal:
    """Return a mixture fitted to all draws so far, each weighted as a draw from the mixture of their proposals."""
    points = np.concatenate([each.points for each in seen])
    heights = np.concatenate([each.log_density for each in seen])
    sizes = np.array([len(each.points) for each in seen])
    shares = np.log(sizes / sizes.sum())
    logs = np.stack([share + each.log_density(points) for share, each in zip(shares, used, strict=True)])
    weights = heights - np.logaddexp.reduce(logs, axis=0)
    usable = np.isfinite(weights)
    return fitted(points[usable], weights[usable], count, rng)


def refined(
    density: Density, proposal: Proposal, count: int, rng: Generator, refits: int = REFITS
) -> Iterator[Weighted]:
    """Yield draws from a proposal, then from others, each fitted to all draws before."""
    seen: list[Weighted] = []
    used: list[Proposal] = []
    for _ in range(1 + refits):
        if used:
            proposal = refitted(seen, used, MOST_COMPONENTS, rng)
        found = weighted(density, proposal, count, rng)
        yield found
        if not np.any(np.isfinite(found.log_weights)):
            return
        seen, used = [*seen, found], [*used, proposal]


def even(candidates: Iterator[Weighted]) -> Weighted:
    """Return the first draws whose weights have no heavy tail, or the last."""
    found = next(candidates)
    while not found.khat < KHAT_LIMIT:
        more = next(candidates, None)
        if more is None:
            return found
        found = more
    return found


def chains_of(found: Weighted, chains: int, rng: Generator) -> Numbers:
    """Return for each chain and step the number of the proposal at which it is, shape (chains, n / chains).

    Chain c meets the proposals c, c + chains, ...; it starts at one of another chain's, drawn by weight.
    """
    count = len(found.points) // chains
    table = found.log_weights[: count * chains].reshape(count, chains)
    log_uniform = np.log(rng.uniform(size=(count, chains)))
    state = np.array([_first(table, (c + 1) % chains, chains, rng) for c in range(chains)])
    height = found.log_weights[state]
    visited = np.empty((chains, count), dtype=np.int64)
    every = np.arange(chains)
    for step in range(count):
        accepted = log_uniform[step] < table[step] - height
        state = np.where(accepted, step * chains + every, state)
        height = np.where(accepted, table[step], height)
        visited[:, step] = state
    return visited


def _first(table: Array, chain: int, chains: int, rng: Generator) -> int:
    weights = np.exp(table[:, chain] - np.max(table[:, chain]))
    return int(rng.choice(len(weights), p=weights / weights.sum())) * chains + chain
