"""The NumPyro backend of hdsl."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from hdsl.backend import Array, Capabilities, Draws, LogDensity, Program, Progress, Settings
from hdsl.model.ir import Model, ModelData
from hdsl_numpyro.distributions import DISTRIBUTIONS, SURVIVAL
from hdsl_numpyro.functions import DIALECT
from hdsl_numpyro.program import lower_model

SURFACES = frozenset({"normal", "lognormal", "bernoulli_logit"})


class NumPyro:
    """Lowers models to NumPyro and draws from their posteriors with NUTS."""

    name = "numpyro"

    def missing_packages(self) -> list[str]:
        """Return the packages that must still be installed."""
        return [package for package in ("jax", "numpyro") if find_spec(package) is None]

    def capabilities(self) -> Capabilities:
        """Return what the lowering tables cover."""
        absent = {} if find_spec("bartz") else {"bart": "bartz"}
        laws = frozenset({*DISTRIBUTIONS, "bart"})
        return Capabilities(DIALECT.covered, laws, frozenset(SURVIVAL), surfaces=SURFACES, absent=absent)

    def lower(self, model: Model, data: ModelData) -> Program:
        """Return the NumPyro program of a model; it holds the sizes of index sets but no data."""
        return lower_model(model)

    def sample(
        self,
        program: Program,
        model: Model,
        data: ModelData,
        settings: Settings,
        progress: Callable[[Progress], None] | None = None,
    ) -> Draws:
        """Draw from the posterior with NUTS. Raises SamplingFailed."""
        from hdsl_numpyro.sample import sample

        return sample(program, model, data, settings, progress)

    def log_density(self, program: Program, model: Model, data: ModelData) -> LogDensity:
        """Return the log density of the program on the natural scale, with its gradient."""
        from hdsl_numpyro.density import log_density

        return log_density(program, data)

    def unconstrained_log_density(
        self, program: Program, model: Model, data: ModelData
    ) -> Callable[[Mapping[str, Array]], float]:
        """Return the log density over unconstrained coordinates, as a function of the random variables."""
        from hdsl_numpyro.density import unconstrained_log_density

        return unconstrained_log_density(program, data)


backend = NumPyro()
