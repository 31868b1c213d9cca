"""`hdsl compare --backends`: the same study on several backends, quantity by quantity, with a stated test.

Two posteriors of one model agree where means, standard deviations and 5% and 95% quantiles differ by no more
than Monte Carlo error: each difference is divided by its standard error (from effective sample sizes) and
compared with the normal quantile at 0.001 divided by the number of comparisons (Bonferroni). The comparison
wants at least 1,000 effective draws of each quantity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hdsl import backend as backends
from hdsl.diagnostics import Diagnostic
from hdsl.inference.convergence import convergence
from hdsl.inference.posterior import values_of

if TYPE_CHECKING:
    from hdsl.report.result import Result
    from hdsl.report.summary import Summary

Array = NDArray[np.float64]
LEVEL = 0.001
WANTED_ESS = 1000
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
class Weakest:
    """The quantity with the fewest effective draws (bulk or tail) of one backend."""

    quantity: str
    ess: float


@dataclass(frozen=True)
class Agreement:
    """The comparison of two or more posteriors.

    Attributes
    ----------
    differences : tuple of Difference
        All comparisons, largest |z| first.
    limit : float
        The |z| above which two backends disagree.
    weakest : mapping
        Backend to the quantity with the fewest effective draws. Below `WANTED_ESS` a comparison says little.
    """

    differences: tuple[Difference, ...]
    limit: float
    weakest: Mapping[str, Weakest]

    @property
    def agrees(self) -> bool:
        """Whether no difference exceeds the limit."""
        return all(abs(difference.z) <= self.limit for difference in self.differences)

    @property
    def enough(self) -> bool:
        """Whether every quantity has the effective draws that the comparison wants, on every backend."""
        return all(each.ess >= WANTED_ESS for each in self.weakest.values())

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "agrees": self.agrees,
            "enough": self.enough,
            "limit": self.limit,
            "weakest": {name: {"quantity": each.quantity, "ess": each.ess} for name, each in self.weakest.items()},
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


def not_comparable(names: Sequence[str]) -> Diagnostic | None:
    """Return why backends, named as NAME or NAME:ENGINE, cannot be compared, before any runs."""
    if len(set(names)) < max(len(names), 2):
        message = f"A comparison needs two or more different backends, not: {', '.join(names) or 'none'}."
        return Diagnostic("HDM116", message, help="Name two, such as `--backends numpyro stan`; see `hdsl doctor`.")
    for name in names:
        backend, _, engine = name.partition(":")
        loaded = backends.load(backend)
        if isinstance(loaded, Diagnostic):
            return loaded
        told: Any = getattr(loaded, "engines", None)
        known = {each.name: each for each in told()} if told is not None and engine else {}
        if known and (engine not in known or not known[engine].available):
            hint = known[engine].hint if engine in known else f"Engines: {', '.join(known)}."
            message = f"The backend {backend!r} has no engine {engine!r} that can run here."
            return Diagnostic("HDM714", message, help="; ".join(hint.splitlines()))
    return None


def agreement(results: Mapping[str, Result]) -> Agreement:
    """Compare every estimand and every estimated scalar of the results, each pair of backends."""
    return agreement_of({name: {**_estimands(result), **_parameters(result)} for name, result in results.items()})


def _parameters(result: Result) -> dict[str, Array]:
    return {str(role): values_of(values) for role, values in result.posterior["posterior"].data_vars.items()}


def _estimands(result: Result) -> dict[str, Array]:
    """Return the draws of each estimand, of indexed ones each value under its own labels."""
    found: dict[str, Array] = {}
    for summary in result.estimand_summaries:
        draws = result.draws(summary.name)
        found[_called(summary)] = np.asarray(draws.sel(dict(summary.index)).values, dtype=np.float64)
    return found


def _called(summary: Summary) -> str:
    return f"{summary.name}[{', '.join(summary.index.values())}]" if summary.index else summary.name


def agreement_of(draws: Mapping[str, Mapping[str, Array]]) -> Agreement:
    """Compare posteriors, each pair.

    Parameters
    ----------
    draws : mapping
        Backend to role to draws of shape (chain, draw, *dims).
    """
    scalars = {name: _scalars(values) for name, values in draws.items()}
    statistics = {name: {each: _statistics(values) for each, values in own.items()} for name, own in scalars.items()}
    found = [
        difference
        for first, second in combinations(draws, 2)
        for difference in _pair((first, second), statistics[first], statistics[second])
    ]
    limit = NormalDist().inv_cdf(1 - LEVEL / 2 / max(len(found), 1))
    weakest = {name: _weakest(own) for name, own in scalars.items()}
    return Agreement(tuple(sorted(found, key=lambda d: -abs(d.z))), limit, weakest)


def _scalars(values: Mapping[str, Array]) -> dict[str, Array]:
    """Return draws (chain, draw) of each scalar quantity by role and place."""
    found: dict[str, Array] = {}
    for role, each in values.items():
        array = np.asarray(each, dtype=np.float64)
        flat = array.reshape(*array.shape[:2], -1)
        for place in range(flat.shape[2]):
            suffix = f" {place + 1}" if flat.shape[2] > 1 else ""
            found[f"{role}{suffix}"] = flat[:, :, place]
    return found


def _weakest(scalars: Mapping[str, Array]) -> Weakest:
    names = [name for name, values in scalars.items() if np.ptp(values) > 0]
    if not names:
        return Weakest("", float("inf"))
    found = convergence(np.stack([scalars[name] for name in names], axis=2))
    ess = np.fmin(found.bulk, found.tail)
    place = int(np.argmin(np.where(np.isnan(ess), 0.0, ess)))
    return Weakest(names[place], float(np.nan_to_num(ess[place])))


Statistics = Mapping[str, tuple[float, float]]


def _pair(
    names: tuple[str, str], first: Mapping[str, Statistics], second: Mapping[str, Statistics]
) -> list[Difference]:
    found: list[Difference] = []
    for quantity in [each for each in first if each in second]:
        for statistic in STATISTICS:
            (a, error_a), (b, error_b) = first[quantity][statistic], second[quantity][statistic]
            error = float(np.hypot(error_a, error_b))
            if error > 0 or a != b:
                z = (a - b) / error if error > 0 else float(np.copysign(np.inf, a - b))
                found.append(Difference(quantity, statistic, names, (a, b), z))
    return found


def _statistics(draws: Array) -> dict[str, tuple[float, float]]:
    """Return each statistic with its Monte Carlo standard error."""
    from arviz_stats.base import array_stats

    low, high = np.quantile(draws, (0.05, 0.95))
    if np.ptp(draws) == 0:
        return dict.fromkeys(STATISTICS, (float(low), 0.0)) | {"sd": (0.0, 0.0)}

    def error(method: str, **options: Any) -> float:
        found: Any = array_stats.mcse(draws, chain_axis=0, draw_axis=1, method=method, **options)
        return float(found)

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
        for summary in (*result.estimand_summaries, *(p for p in result.parameter_summaries if not p.index)):
            rows.setdefault(_called(summary), []).append((summary.mean, summary.sd))
    return list(rows.items())
