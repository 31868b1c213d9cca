"""Weighted draws are accepted by their tail, their number, and by how the chains that are made of them mix."""

from __future__ import annotations

import numpy as np

from hdsl.backend import Settings
from hdsl.inference.convergence import convergence
from hdsl.inference.exact.accept import Accepted, NotAccepted, accepted_of
from hdsl.inference.exact.importance import Weighted

SETTINGS = Settings(chains=4, draws=1000)


def _weighted(heaviest: float, count: int = 16_000) -> Weighted:
    """Return draws of nearly equal weights but for one, which weighs as much as `heaviest` others."""
    rng = np.random.default_rng(4)
    log_weights = 0.1 * rng.normal(size=count)
    log_weights[count // 3] = np.log(heaviest)
    return Weighted(rng.normal(size=(count, 2)), np.zeros(count), log_weights)


def test_a_draw_at_which_a_chain_stays_calls_for_another_proposal() -> None:
    stuck, fair = _weighted(800.0), _weighted(1.0)
    assert stuck.khat < 0.5
    assert stuck.effective > 400
    alone = accepted_of([stuck], SETTINGS, np.random.default_rng(0))
    assert isinstance(alone, NotAccepted)
    assert "hyperparameter" in alone.reason
    found = accepted_of([stuck, fair], SETTINGS, np.random.default_rng(0))
    assert isinstance(found, Accepted)
    assert found.draws is fair
    _, bulk, tail = convergence(fair.points[found.visited])
    assert min(*bulk, *tail) > 2000


def test_what_speaks_against_the_last_is_said() -> None:
    rng = np.random.default_rng(1)
    heavy = Weighted(rng.normal(size=(16_000, 1)), np.zeros(16_000), np.log(rng.pareto(1.1, 16_000) + 1))
    found = accepted_of([heavy], SETTINGS, rng)
    assert isinstance(found, NotAccepted)
    assert "k-hat" in found.reason
    few = accepted_of([_weighted(1e5)], SETTINGS, rng)
    assert isinstance(few, NotAccepted)
    assert accepted_of([], SETTINGS, rng, "nothing") == NotAccepted("nothing")


def test_a_few_draws_are_judged_by_their_number() -> None:
    found = accepted_of([_weighted(1.0, 400)], Settings(chains=4, draws=50), np.random.default_rng(2))
    assert isinstance(found, Accepted)
    assert found.visited.shape == (4, 50)
