"""`hdsl compare --backends`: the same study on several backends, quantity by quantity, with a stated test.

Two posteriors of one model agree where means, standard deviations and 5% and 95% quantiles differ by no more
than Monte Carlo error: each difference is divided by its standard error (from effective sample sizes) and
compared with the normal quantile at 0.001 divided by the number of comparisons (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hdsl.report.result import Result

Array = NDArray[np.float64]
LEVEL = 0.001
STATISTICS = ("mean", "sd", "q5", "q95")


@dataclass(frozen=True)
class Difference:
    """One statistic of one quantity on two backends; `z` is the difference in standard errors."""

    quantity: str
    statistic: str
    backends: tuple[str, str]
    values: tuple[float, float]
    z: float


@dataclass(frozen=True)
class Agreement:
    """The comparison of two or more results.

    Attributes
    ----------
    differences : tuple of Difference
        All comparisons, largest |z| first.
    limit : float
        The |z| above which two backends disagree.
    """

    differences: tuple[Difference, ...]
    limit: float

    @property
    def agrees(self) -> bool:
        """Whether no difference exceeds the limit."""
        return all(abs(difference.z) <= self.limit for difference in self.differences)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "agrees": self.agrees,
            "limit": self.limit,
            "differences": [
                {
                    "quantity": d.quantity,
                    "statistic": d.statistic,
                    "backends": list(d.backends),
                    "values": list(d.values),
                    "z": d.z,
                }
                for d in self.differences
            ],
        }


def agreement(results: Mapping[str, Result]) -> Agreement:
    """Compare every estimated scalar of the results, each pair of backends."""
    draws = {name: _quantities(result) for name, result in results.items()}
    names = list(draws)
    found = [
        difference
        for i, first in enumerate(names)
        for second in names[i + 1 :]
        for difference in _pair((first, second), draws[first], draws[second])
    ]
    limit = NormalDist().inv_cdf(1 - LEVEL / 2 / max(len(found), 1))
    return Agreement(tuple(sorted(found, key=lambda d: -abs(d.z))), limit)


def _quantities(result: Result) -> dict[str, Array]:
    """Return draws (chain, draw) of each scalar quantity by role and index."""
    found: dict[str, Array] = {}
    for role, values in result.posterior["posterior"].data_vars.items():
        array = np.asarray(values.values, dtype=np.float64)
        flat = array.reshape(*array.shape[:2], -1)
        for place in range(flat.shape[2]):
            suffix = f" {place + 1}" if flat.shape[2] > 1 else ""
            found[f"{role}{suffix}"] = flat[:, :, place]
    return found


def _pair(
    names: tuple[str, str], first: Mapping[str, Array], second: Mapping[str, Array]
) -> list[Difference]:
    found: list[Difference] = []
    for quantity in first:
        if quantity not in second or np.ptp(first[quantity]) == 0:
            continue
        here, there = _statistics(first[quantity]), _statistics(second[quantity])
        for statistic in STATISTICS:
            (a, error_a), (b, error_b) = here[statistic], there[statistic]
            z = (a - b) / float(np.hypot(error_a, error_b))
            found.append(Difference(quantity, statistic, names, (a, b), z))
    return found


def _statistics(draws: Array) -> dict[str, tuple[float, float]]:
    """Return each statistic with its Monte Carlo standard error."""
    from arviz_stats.base import array_stats

    def error(method: str, **options: Any) -> float:
        found: Any = array_stats.mcse(draws, chain_axis=0, draw_axis=1, method=method, **options)
        return float(found)

    low, high = np.quantile(draws, (0.05, 0.95))
    return {
        "mean": (float(np.mean(draws)), error("mean")),
        "sd": (float(np.std(draws, ddof=1)), error("sd")),
        "q5": (float(low), error("quantile", prob=0.05)),
        "q95": (float(high), error("quantile", prob=0.95)),
    }


def side_by_side(results: Mapping[str, Result]) -> list[tuple[str, Sequence[tuple[float, float]]]]:
    """Return estimands and parameters without index, each with mean and sd on every backend."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for result in results.values():
        for summary in (*result.estimands, *(p for p in result.parameters if not p.index)):
            index = f"[{', '.join(summary.index.values())}]" if summary.index else ""
            rows.setdefault(f"{summary.name}{index}", []).append((summary.mean, summary.sd))
    return list(rows.items())
