"""What a backend is: it lowers a Model to readable source, and draws from its posterior.

A backend is a plug-in found under the entry-point group `hdsl.backends`. `lower` is pure; `sample` runs the
very source that `lower` shows. Capabilities are computed from a backend's lowering tables, never claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hdsl.diagnostics import Diagnostic, did_you_mean
from hdsl.model.functions import FUNCTIONS, dims_of
from hdsl.model.ir import Model, ModelData
from hdsl.model.roles import in_words
from hdsl.model.walk import distributions_used, functions_used

GROUP = "hdsl.backends"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How to sample. `engine` names a backend's sampler or engine; None takes the backend's default.

    `inference`: `auto`, `nuts`, or `exact` (`hdsl.inference.fit`).
    """

    chains: int = 4
    draws: int = 1000
    warmup: int = 1000
    seed: int = 1
    target_accept: float = 0.95
    max_tree_depth: int = 10
    engine: str | None = None
    inference: str = "auto"
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A lowered model.

    `source` runs without hdsl. `parameters` maps each random variable of the Model to its name in the source.
    """

    backend: str
    source: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Progress:
    """The state of one chain while it samples. `seconds_left` is None while unknown."""

    chain: int
    done: int
    total: int
    warming_up: bool
    divergences: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class Draws:
    """What sampling returned.

    Attributes
    ----------
    values : mapping
        Random variable of the Model to draws of shape (chain, draw, *dims), on its natural (constrained) scale.
    statistics : mapping
        ArviZ sampler statistics of shape (chain, draw): `diverging`, `tree_depth`, `energy`, `n_steps`,
        `acceptance_rate`, `step_size`, `lp`; those that the engine gives.
    engine : str
        Which sampler ran, with its version.
    seconds : mapping
        Wall time of `compile`, `warmup`, `sampling` where known.
    max_tree_depth : int
        The depth at which trees were cut off.
    quality : mapping
        Of importance sampling: `khat`, the shape of the weights' tail, `importance_ess`, and `interpolation_error`.
    """

    values: Mapping[str, Array]
    statistics: Mapping[str, NDArray[np.generic]]
    engine: str
    seconds: Mapping[str, float]
    max_tree_depth: int = 10
    quality: Mapping[str, float] = field(default_factory=dict)


class SamplingFailed(Exception):
    """Sampling gave no usable draws; carries diagnostics (HDM7xx) that say what to try."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("; ".join(diagnostic.message for diagnostic in diagnostics))
        self.diagnostics = diagnostics


@dataclass(frozen=True)
class Capabilities:
    """What a backend can lower: names of `hdsl.model.functions` and `hdsl.model.distributions`.

    `censored` holds the distributions whose survival function it has, so that outcomes may be censored;
    `weights` tells whether observations may have weights; `surfaces` holds the distributions of outcomes whose mean may
    be a sum of trees, and `absent` the distributions whose package is not installed, with its name.
    """

    functions: frozenset[str]
    distributions: frozenset[str]
    censored: frozenset[str] = frozenset()
    weights: bool = True
    surfaces: frozenset[str] = frozenset()
    absent: Mapping[str, str] = field(default_factory=dict)


LogDensity = Callable[[Mapping[str, Array]], tuple[float, Mapping[str, Array]]]


class Backend(Protocol):
    """The protocol that a backend plug-in fulfils."""

    name: str

    def missing_packages(self) -> list[str]:
        """Return the packages that must still be installed, without importing heavy ones."""
        ...

    def capabilities(self) -> Capabilities:
        """Return what the lowering tables cover."""
        ...

    def lower(self, model: Model, data: ModelData) -> Program:
        """Return the program; raises nothing for a model within `capabilities`."""
        ...

    def sample(
        self,
        program: Program,
        model: Model,
        data: ModelData,
        settings: Settings,
        progress: Callable[[Progress], None] | None = None,
    ) -> Draws:
        """Draw from the posterior of the program. Raises SamplingFailed."""
        ...

    def log_density(self, program: Program, model: Model, data: ModelData) -> LogDensity:
        """Return the function that gives the log density on the natural scale and its gradient.

        The density is that of the random variables (constrained values, no Jacobian), up to a constant.
        The gradient is with respect to the unconstrained-free entries as given: same shapes as the input.
        Used by the conformance suite.
        """
        ...


def unsupported(model: Model, capabilities: Capabilities) -> list[str]:
    """Return what `model` needs and a backend with `capabilities` lacks, sorted: functions, distributions, and
    distributions of censored or weighted outcomes.
    """
    censored = {observation.law.distribution for observation in model.observations if observation.event}
    missing = functions_used(model) - capabilities.functions
    missing |= distributions_used(model) - capabilities.distributions
    missing |= {f"censored {name}" for name in censored & capabilities.distributions - capabilities.censored}
    if not capabilities.weights and any(observation.weight for observation in model.observations):
        missing |= {"weighted observations"}
    if "bart" in distributions_used(model) and "bart" in capabilities.distributions:
        missing |= {f"trees for {name}" for name in _laws_of_outcomes(model) - capabilities.surfaces}
    return sorted(missing)


def _laws_of_outcomes(model: Model) -> set[str]:
    """Return the laws of the outcomes in words; a spread that is not the same for all rows is told apart."""
    found: set[str] = set()
    for observation in model.observations:
        name, spread = observation.law.distribution, observation.law.args[-1]
        wide = name in ("normal", "lognormal") and dims_of(spread, model.dims_of())
        special = "weighted " if observation.weight else "censored " if observation.event else ""
        found.add(f"{special}{name}" + (" with a spread by row" if wide else ""))
    return found


def installed() -> dict[str, EntryPoint]:
    """Return the backends installed here by name, without importing them."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load(name: str) -> Backend | Diagnostic:
    """Return the backend called `name`, or the HDM6xx diagnostic that says how to get it."""
    found = installed()
    if name not in found:
        close = did_you_mean(name, list(found))
        known = ", ".join(sorted(found))
        return Diagnostic(
            "HDM601",
            f"There is no backend called {name!r}.",
            help=f"Did you mean {close}?" if close else f"Installed backends: {known}.",
        )
    try:
        backend: Backend = found[name].load()
    except Exception as error:  # a plug-in may fail in any way
        message = f"The backend {name!r} cannot be loaded: {type(error).__name__}: {error}."
        return Diagnostic("HDM605", message, help=f"Install it anew ({found[name].value}), or use another backend.")
    missing = backend.missing_packages()
    if missing:
        return Diagnostic(
            "HDM602",
            f"The backend {name!r} needs {', '.join(missing)}, which is not installed.",
            help=f'Install it with: pip install "hdsl[{name}]"',
        )
    return backend


def refusal(model: Model, backend: Backend) -> Diagnostic | None:
    """Return HDM604 where a backend cannot express a model, naming what it lacks and who can do it."""
    missing = unsupported(model, backend.capabilities())
    packages = [package for law, package in backend.capabilities().absent.items() if law in distributions_used(model)]
    if packages and not missing:
        message = f"The backend {backend.name!r} needs {packages[0]}, which is not installed, for trees."
        return Diagnostic("HDM602", message, help='Install it with: pip install "hdsl[bart]"')
    if not missing:
        return None
    able = [name for name in sorted(installed()) if name != backend.name and _can(name, model)]
    help_ = f"Use --backend {' or '.join(able)}." if able else "No installed backend can."
    why = "; ".join(_in_words(name, model, backend.capabilities()) for name in missing)
    return Diagnostic("HDM604", f"The backend {backend.name!r} cannot fit this model: {why}.", help=help_)


def _in_words(lack: str, model: Model, capabilities: Capabilities) -> str:
    """Return why what `unsupported` names keeps a backend from a model, with the parts of the study it is about."""
    kind, _, law = lack.rpartition(" ")
    if lack == "bart":
        return "its sampler has no steps that draw trees (`surface ... as bart`)"
    if lack == "weighted observations":
        return "it has no weights of rows"
    if kind == "censored":
        censored = [each for each in model.observations if each.event and each.law.distribution == law]
        names = ", ".join(each.outcome or each.name for each in censored)
        return f"censored values of {names} need the survival function of the law {law!r}, which it lacks"
    if lack.startswith("trees for "):
        law = lack.removeprefix("trees for ")
        return f"its trees cannot be those of a {law} outcome (but of: {', '.join(sorted(capabilities.surfaces))})"
    if lack in FUNCTIONS:
        return f"it lacks the function {lack!r} ({FUNCTIONS[lack].meaning})"
    of = [in_words(each.role) for each in model.variables if each.law.distribution == lack]
    of += [each.outcome or each.name for each in model.observations if each.law.distribution == lack]
    return f"it lacks the law {lack!r}" + (f", which is that of {', '.join(dict.fromkeys(of))}" if of else "")


def _can(name: str, model: Model) -> bool:
    backend = load(name)
    return not isinstance(backend, Diagnostic) and not unsupported(model, backend.capabilities())
