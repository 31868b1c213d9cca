"""When weighted draws of the hyperparameters are accepted as a posterior, and their chains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from hdsl.backend import Settings
from hdsl.inference.convergence import convergence
from hdsl.inference.diagnose import ESS_PER_CHAIN
from hdsl.inference.exact.importance import KHAT_LIMIT, Numbers, Weighted, chains_of

LEAST_SHARE = 0.25


@dataclass(frozen=True)
class NotAccepted:
    """Why importance sampling was not accepted, in words."""

    reason: str


@dataclass(frozen=True)
class Accepted:
    """Weighted draws, and for each chain and step the number of that at which it is, shape (chains, draws)."""

    draws: Weighted
    visited: Numbers


def accepted_of(
    candidates: Iterable[Weighted], settings: Settings, rng: Generator, why: str = "no draws were made"
) -> Accepted | NotAccepted:
    """Return the first candidate that can be trusted: by its weights' tail, their number, and how its chains mix.

    Parameters
    ----------
    candidates
        Weighted draws, each from a proposal that was fitted to those before.
    settings : Settings
        `chains` and `draws` are used.
    why
        What is said where there is no candidate.

    Returns
    -------
    Accepted or NotAccepted
        What speaks against the last candidate, where none can be trusted: a Pareto k-hat of `KHAT_LIMIT` or more, or
        fewer than `ESS_PER_CHAIN` effective draws per chain, of the weights or of a hyperparameter (bulk or
        tail); of few draws, `LEAST_SHARE`.
    """
    found = NotAccepted(why)
    for draws in candidates:
        found = _judged(draws, settings, rng)
        if isinstance(found, Accepted):
            return found
    return found


def _judged(draws: Weighted, settings: Settings, rng: Generator) -> Accepted | NotAccepted:
    if not draws.khat < KHAT_LIMIT:
        return NotAccepted(f"the importance weights have too heavy a tail (Pareto k-hat {draws.khat:.2f})")
    count = len(draws.points)
    if draws.effective < least_effective(settings.chains, count):
        return NotAccepted(f"{draws.effective:.0f} effective draws of {count} weighted ones")
    visited = spaced(chains_of(draws, settings.chains, rng), settings.draws)
    _, bulk, tail = convergence(draws.points[visited])
    least = np.nanmin([*bulk, *tail, np.inf])
    if least < least_effective(settings.chains, visited.size):
        return NotAccepted(f"{least:.0f} effective draws of a hyperparameter, as chains stay at a few of them")
    return Accepted(draws, visited)


def least_effective(chains: int, count: int) -> float:
    """Return how many of `count` draws must be effective."""
    return min(ESS_PER_CHAIN * chains, LEAST_SHARE * count)


def spaced(visited: Numbers, draws: int) -> Numbers:
    """Return chains of the wanted length: evenly spaced steps of longer ones, steps of shorter ones repeated."""
    steps = visited.shape[1]
    return visited[:, (np.arange(draws) + 1) * steps // draws - 1]
