"""What is measured of a program: its time, its memory, its effective draws. Needs no hdsl: peers measure themselves."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_UNITS = 500


@dataclass
class Clock:
    """Wall and CPU seconds of what runs within `on`, child processes included."""

    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def on(self) -> Generator[None]:
        wall, cpu = time.perf_counter(), cpu_seconds()
        try:
            yield
        finally:
            self.wall += time.perf_counter() - wall
            self.cpu += cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in found)


def memory() -> float:
    """Return the peak resident size in MiB of this process or of one of its children, whichever is larger."""
    found = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(found) / 1024


def least_effective(roles: Any) -> float:
    """Return the fewest effective draws, bulk, of the parameters and of up to 500 units' effects each."""
    import arviz_stats

    rng, least = np.random.default_rng(1), np.inf
    for values in roles.values():
        flat = np.asarray(values, np.float64).reshape(*values.shape[:2], -1)
        if flat.shape[2] > MOST_UNITS:
            flat = flat[:, :, rng.choice(flat.shape[2], MOST_UNITS, replace=False)]
        found = np.atleast_1d(arviz_stats.ess(np.moveaxis(flat, 2, 0), method="bulk", chain_axis=1, draw_axis=2))
        if np.any(np.isfinite(found)):
            least = min(least, float(np.nanmin(found)))
    return least


def in_parallel(clock: Clock) -> Callable[[Any], Any]:
    """Return NumPyro's parallel chains as a `chain_method` that has only the sampling on the clock.

    With `chain_method="parallel"` each run compiles anew, which here is done before the clock starts.
    """
    import jax

    def method(chain: Any) -> Any:
        def run(arguments: Any) -> Any:
            compiled = jax.pmap(chain).lower(arguments).compile()
            with clock.on():
                return jax.block_until_ready(compiled(arguments))

        return run

    return method
