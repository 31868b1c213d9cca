"""A backend of hdsl that approximates the posterior at its mode, and corrects the approximation by importance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from hdsl.backend import Array, Capabilities, Draws, LogDensity, Program, Progress, SamplingFailed, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData
from hdsl_laplace.lower import lower
from hdsl_laplace.tables import DISTRIBUTIONS, FUNCTIONS, INDEXED, REDUCTIONS, SURVIVAL


class Laplace:
    """The backend protocol of `hdsl.backend`."""

    name = "laplace"

    def missing_packages(self) -> list[str]:
        """Return the packages that must still be installed."""
        return [package for package in ("jax", "scipy", "arviz_stats") if find_spec(package) is None]

    def capabilities(self) -> Capabilities:
        """Return what the tables cover."""
        functions = frozenset((*FUNCTIONS, *REDUCTIONS, *INDEXED))
        return Capabilities(functions, frozenset(DISTRIBUTIONS), frozenset(SURVIVAL))

    def lower(self, model: Model, data: ModelData) -> Program:
        """Return the JAX program of a model."""
        return lower(model)

    def sample(
        self,
        program: Program,
        model: Model,
        data: ModelData,
        settings: Settings,
        progress: Callable[[Progress], None] | None = None,
    ) -> Draws:
        """Draw from the approximation. Raises SamplingFailed."""
        if settings.engine is not None or settings.options:
            message = "The backend 'laplace' has neither engines nor options."
            raise SamplingFailed([Diagnostic("HDM713", message, help="Leave them out.")])
        from hdsl_laplace.approximate import sample

        return sample(program, model, data, settings)

    def log_density(self, program: Program, model: Model, data: ModelData) -> LogDensity:
        """Return the log density on the natural scale, with its gradient."""
        from hdsl_laplace.approximate import natural

        return natural(program, data)

    def sampled_density(
        self, program: Program, model: Model, data: ModelData
    ) -> tuple[int, Callable[[Array], tuple[float, Mapping[str, Array]]]]:
        """Return how many unconstrained coordinates there are, and the density and the values at a vector of them."""
        from hdsl_laplace.approximate import at_coordinates

        return at_coordinates(program, model, data)


backend = Laplace()
