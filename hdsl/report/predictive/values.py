"""What the checks of a fit found, as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hdsl.diagnostics import Diagnostic, to_json
from hdsl.report.frames import frame

COLUMNS = ("name", "observed", "low", "median", "high", "p", "replicates", "passed", "words")


@dataclass(frozen=True)
class Check:
    """A statistic of the data beside those of replicates.

    Attributes
    ----------
    observed, low, median, high : float
        The data's value, and the 5, 50 and 95% quantiles of replicates.
    p : float
        The share of replicates above the observed value (half of ties).
    replicates : str
        `same groups`, `new groups` or `prior`.
    passed : bool
        Whether the observed value lies within the central 99.5% of replicates.
    words : str
        The verdict in plain words.
    help_ : str
        What to try where it fails.
    """

    name: str
    observed: float
    low: float
    median: float
    high: float
    p: float
    replicates: str
    passed: bool
    words: str
    help_: str


@dataclass(frozen=True)
class LeftOut:
    """Leaving units out: single rows, or whole groups whose effects are integrated out.

    Attributes
    ----------
    what : str
        `row`, or the level whose units are left out.
    units : int
        How many units there are.
    elpd, se, p : float
        Expected log predictive density, its standard error, and the effective number of parameters.
    limit : float
        The Pareto k up to which the estimate can be relied on.
    unforeseen : tuple of str
        Units whose Pareto k is above the limit, the largest first: rows counted from 1, groups by label.
    """

    what: str
    units: int
    elpd: float
    se: float
    p: float
    limit: float
    unforeseen: tuple[str, ...]


@dataclass(frozen=True)
class FitCheck:
    """What the checks found.

    Attributes
    ----------
    checks : tuple of Check
    left_out : tuple of LeftOut
        Rows, and the groups just above them.
    findings : tuple of Diagnostic
        HDM721: a statistic that the fitted model does not make; HDM722 and HDM724: rows and groups that the others do
        not foresee; HDM723: what the priors do not expect.
    unchecked : tuple of str
        What was not checked, and why.
    replicates : int
        The replicates under the posterior.
    """

    checks: tuple[Check, ...]
    left_out: tuple[LeftOut, ...]
    findings: tuple[Diagnostic, ...]
    unchecked: tuple[str, ...]
    replicates: int

    @property
    def passed(self) -> bool:
        """Whether nothing was found that the study does not waive."""
        return all(found.waived is not None for found in self.findings)

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        failed = sum(not check.passed for check in self.checks)
        many = sum(bool(found.code in ("HDM722", "HDM724")) for found in self.findings)
        if not self.checks and not self.left_out:
            return "Nothing could be checked."
        if not failed and not self.left_out and all(check.replicates == "prior" for check in self.checks):
            return "The priors expect data like these."
        if not self.checks:
            return "The outcome itself was not checked; see why above."
        if failed:
            return f"{failed} of {len(self.checks)} checks fail: read them before you use the numbers."
        if many:
            return "The data look like those the model makes, but some of them are not foreseen by the others."
        return "The data look like those the model makes."

    def table(self, frames: Any = "pandas") -> Any:
        """Return the checks as a data frame."""
        return frame({name: [getattr(check, name) for check in self.checks] for name in COLUMNS}, frames)

    def to_json(self) -> dict[str, Any]:
        """Return the checks as JSON values."""
        checks = [{("help" if name == "help_" else name): v for name, v in asdict(c).items()} for c in self.checks]
        return {
            "passed": self.passed,
            "verdict": self.verdict,
            "checks": checks,
            "left_out": [asdict(each) for each in self.left_out],
            "unchecked": list(self.unchecked),
            "replicates": self.replicates,
            "diagnostics": to_json(self.findings, None),
        }
