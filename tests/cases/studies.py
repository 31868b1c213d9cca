"""The studies of this folder and the figures they are compared with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.cases.compare import Check, Draws, Estimate, Reference, Tolerance, checks, estimate_of, evaluate

if TYPE_CHECKING:
    from hdsl.report.result import Result

HERE = Path(__file__).parent
DRAWS = 2000
NO_PATH = "\N{DIVISION SLASH}"
ESTIMAND = "estimand "


@dataclass(frozen=True)
class Quantity:
    """One figure: what it is called there, what it is here, and the tolerance class.

    `differs` says why the two are known not to agree; it is empty where they must.
    """

    name: str
    of: str
    tolerance: Tolerance
    reference: Reference
    differs: str = ""


@dataclass(frozen=True)
class CaseStudy:
    """One study with the reference fit it is compared with.

    Attributes
    ----------
    how : str
        How the reference figures were obtained.
    rows : int
        The rows that both use.
    draws : int
        Draws of each of four chains, enough for the tolerance.
    """

    case: str
    fit: str
    how: str
    rows: int
    draws: int
    quantities: tuple[Quantity, ...]

    @property
    def path(self) -> Path:
        """The .hdm file."""
        return HERE / self.case / f"{self.fit}.hdm"


@dataclass(frozen=True)
class Compared:
    """A quantity with its estimate and the inequalities that must hold."""

    quantity: Quantity
    estimate: Estimate
    checks: tuple[Check, ...]

    @property
    def agrees(self) -> bool:
        """Whether all of them hold."""
        return all(check.holds for check in self.checks)


def all_studies() -> Iterator[CaseStudy]:
    """Yield the studies of all cases, by name."""
    for path in sorted(HERE.glob("*/expected.json")):
        for fit, entry in json.loads(path.read_text())["fits"].items():
            yield _study(path.parent.name, fit, entry)


def _study(case: str, fit: str, entry: dict[str, Any]) -> CaseStudy:
    quantities = tuple(_quantity(name, dict(found), entry["tolerance"]) for name, found in entry["quantities"].items())
    return CaseStudy(case, fit, entry["how"], entry["rows"], entry.get("draws", DRAWS), quantities)


def _quantity(name: str, figures: dict[str, Any], tolerance: Tolerance) -> Quantity:
    of, tolerance, differs = figures.pop("of"), figures.pop("tolerance", tolerance), figures.pop("differs", "")
    return Quantity(name, of, tolerance, Reference(**figures), differs)


def compare(study: CaseStudy, result: Result) -> tuple[Compared, ...]:
    """Return the comparison of a study's result with its reference."""
    found: list[Compared] = []
    for quantity in study.quantities:
        estimate = _estimate(quantity.of, result)
        found.append(Compared(quantity, estimate, checks(quantity.tolerance, quantity.reference, estimate)))
    return tuple(found)


def _estimate(quantity: str, result: Result) -> Estimate:
    if quantity.startswith(ESTIMAND):
        return _of_estimand(quantity.removeprefix(ESTIMAND), result)
    return estimate_of(evaluate(quantity, lambda name: draws_of(result, name)))


def _of_estimand(name: str, result: Result) -> Estimate:
    """Return the summary of `NAME` or `NAME @ LABEL; ...`; its error is taken from the thinnest quantity of the run."""
    name, _, labels = (part.strip() for part in name.partition("@"))
    wanted = [label.strip() for label in labels.split(";")] if labels else []
    found = next(s for s in result.estimand_summaries if s.name == name and list(s.index.values()) == wanted)
    ess = result.diagnosis.min_ess_bulk
    quantiles = (math.nan, found.q5, found.q95, math.nan)
    return Estimate(found.mean, found.sd, quantiles, found.sd / math.sqrt(ess), ess)


def draws_of(result: Result, name: str) -> Draws:
    """Return the draws of a role, `ROLE` or `ROLE @ LABEL; ...`, of shape (chain, draw)."""
    role, _, labels = (part.strip() for part in name.partition("@"))
    values = result.posterior["posterior"].dataset[role.replace("/", NO_PATH)]
    wanted = [label.strip() for label in labels.split(";")] if labels else []
    for dim, label in zip((d for d in values.dims if d not in ("chain", "draw")), wanted, strict=True):
        values = values.sel({dim: label})
    return np.asarray(values)
