"""Pictures of a result, each a matplotlib figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hdsl.report.result import Result

KINDS: Mapping[str, tuple[str, str]] = {
    "forest": ("forest", "estimands, or one estimand or parameter, with 50% and 90% intervals"),
    "shrinkage": ("shrinkage", "group effects with no, partial and complete pooling"),
    "curve": ("curve", "expected outcome and effect along a covariate, wave or dose"),
    "ppc": ("checks", "the outcome as observed and as predicted"),
    "fit": ("fit", "checks that the design suggests, against data from the fitted model"),
    "design": ("design", "levels, their sizes, and where treatments were assigned"),
    "overlap": ("overlap", "propensity scores by arm, and balance before and after their use"),
    "variance": ("forest", "variance components"),
    "prior": ("checks", "priors against posteriors"),
    "trace": ("checks", "densities and traces by chain"),
    "rank": ("checks", "ranks of draws by chain"),
}


def picture(result: Result, kind: str, **options: Any) -> Figure:
    """Return a picture; `kind` is one of `KINDS`, and the options are those of its function.

    Raises
    ------
    StudyError
        HDM118: the result has nothing to draw so.
    """
    module, _ = KINDS[kind]
    made: Figure = getattr(import_module(f"hdsl.report.pictures.{module}"), kind)(result, **options)
    return made


@dataclass(frozen=True)
class Plots:
    """The pictures of a result; each method returns a matplotlib figure.

    Examples
    --------
    >>> figure = result.plot.shrinkage("school")
    >>> figure.savefig("shrinkage.svg")
    """

    result: Result

    def forest(self, name: str | None = None) -> Figure:
        """The estimands, or one estimand or parameter by role, with 50% and 90% intervals."""
        return picture(self.result, "forest", name=name)

    def shrinkage(self, level: str | None = None, treatment: str | None = None) -> Figure:
        """Group effects (of a treatment, else of the intercept) with no, partial and complete pooling."""
        return picture(self.result, "shrinkage", level=level, treatment=treatment)

    def curve(self, x: str | None = None, treatment: str | None = None) -> Figure:
        """The expected outcome by arm, and the effect, along a covariate, wave or dose, or a reported curve."""
        return picture(self.result, "curve", x=x, treatment=treatment)

    def ppc(self, seed: int = 1) -> Figure:
        """The outcome as observed and as predicted."""
        return picture(self.result, "ppc", seed=seed)

    def fit(self, seed: int = 1) -> Figure:
        """Checks that the design suggests: the data's statistics against those of data from the fitted model."""
        return picture(self.result, "fit", seed=seed)

    def design(self) -> Figure:
        """Levels with their sizes, and where treatments were assigned."""
        return picture(self.result, "design")

    def overlap(self, treatment: str | None = None) -> Figure:
        """Propensity scores by arm, and standardised mean differences before and after their use."""
        return picture(self.result, "overlap", treatment=treatment)

    def variance(self) -> Figure:
        """Standard deviations of varying effects and of the residual."""
        return picture(self.result, "variance")

    def prior(self, seed: int = 1) -> Figure:
        """Priors against posteriors of the main parameters."""
        return picture(self.result, "prior", seed=seed)

    def trace(self) -> Figure:
        """Densities and traces by chain."""
        return picture(self.result, "trace")

    def rank(self) -> Figure:
        """Ranks of draws by chain."""
        return picture(self.result, "rank")
