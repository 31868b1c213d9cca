"""The Stan backend: lowers to a Stan program and has CmdStan or stanli run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hdsl.backend import Array, Capabilities, Draws, LogDensity, Program, Progress, Settings
from hdsl.model.ir import Model, ModelData
from hdsl_stan.densities import DISTRIBUTIONS
from hdsl_stan.functions import FUNCTIONS

if TYPE_CHECKING:
    from hdsl_stan.engines import Engine


class StanBackend:
    """The backend protocol of `hdsl.backend`, for Stan."""

    name = "stan"

    def missing_packages(self) -> list[str]:
        """Return ["stanli"] where neither engine's package is there."""
        return [] if find_spec("stanli") or find_spec("cmdstanpy") else ["stanli"]

    def engines(self) -> list[Engine]:
        """Return the engines, whether each can run here, and how to get it."""
        from hdsl_stan.engines import engines

        return engines()

    def capabilities(self) -> Capabilities:
        """Return what the lowering tables cover."""
        censored = frozenset(name for name, row in DISTRIBUTIONS.items() if row.survival)
        return Capabilities(frozenset(FUNCTIONS), frozenset(DISTRIBUTIONS), censored)

    def lower(self, model: Model, data: ModelData) -> Program:
        """Return the Stan program; its text does not depend on the data."""
        from hdsl_stan import print as printer
        from hdsl_stan.lower import lowered

        result = lowered(model)
        parameters = {name: variable.name for name, variable in result.parameters.items()}
        return Program(backend=self.name, source=printer.program(result.tree), parameters=parameters)

    def sample(
        self,
        program: Program,
        model: Model,
        data: ModelData,
        settings: Settings,
        progress: Callable[[Progress], None] | None = None,
    ) -> Draws:
        """Draw from the posterior with CmdStan or stanli. Raises SamplingFailed."""
        from hdsl_stan.sample import sample

        return sample(program, model, data, settings, progress)

    def data_file(self, model: Model, data: ModelData) -> bytes:
        """Return the program's data as JSON, as CmdStan reads it."""
        import json

        from hdsl_stan.data import stan_data
        from hdsl_stan.lower import lowered

        return json.dumps(stan_data(model, data, lowered(model), predict=True)).encode()

    def log_density(self, program: Program, model: Model, data: ModelData) -> LogDensity:
        """Return the log density and gradient of the entries as given, without Jacobians, by stanli."""
        from hdsl_stan.density import natural

        return natural(model, data)

    def unconstrained_log_density(
        self, program: Program, model: Model, data: ModelData
    ) -> Callable[[Mapping[str, Array]], float]:
        """Return the density of the program that is sampled, Jacobians included, at parameters as given.

        Its coordinates are Stan's unconstrained ones. Used by the conformance suite.
        """
        from hdsl_stan.density import unconstrained

        evaluate, _ = unconstrained(model, data)
        return lambda values: evaluate(values)[0]
