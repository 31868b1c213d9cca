"""The PyMC backend of hdsl."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

from hdsl.backend import Array, Capabilities, Draws, LogDensity, Program, Progress, Settings
from hdsl.model.ir import Model, ModelData
from hdsl_pymc.distributions import DISTRIBUTIONS, SURVIVAL
from hdsl_pymc.functions import DIALECT
from hdsl_pymc.program import data_file, lower_model

# Before this release `pm.LKJCorr` was the correlation matrix, not its Cholesky factor.
OLDEST = (6, 4)
SURFACES = frozenset({"normal", "normal with a spread by row", "lognormal", "bernoulli_logit"})


def _release(package: str) -> tuple[int, int]:
    major, minor, *_ = (*version(package).split("."), "0")
    return int(major), int("".join(re.findall(r"^\d+", minor)) or 0)


class Engine(NamedTuple):
    """An engine: whether it can run, its version ("" where it is not there) and how to get it."""

    name: str
    available: bool
    version: str
    hint: str


def _version(package: str) -> str:
    return version(package) if find_spec(package) else ""


class PyMC:
    """Lowers models to PyMC and draws from their posteriors with nutpie or PyMC's own NUTS."""

    name = "pymc"

    def missing_packages(self) -> list[str]:
        """Return the packages that must still be installed, or are too old."""
        return [] if find_spec("pymc") and _release("pymc") >= OLDEST else [f"pymc>={OLDEST[0]}.{OLDEST[1]}"]

    def engines(self) -> list[Engine]:
        """Return the engines, whether each can run here, and how to get it."""
        hints = {"nutpie": "pip install nutpie", "pymc": "pip install pymc"}
        return [Engine(name, bool(find_spec(name)), _version(name), hint) for name, hint in hints.items()]

    def capabilities(self) -> Capabilities:
        """Return what the lowering tables cover."""
        absent = {} if find_spec("pymc_bart") else {"bart": "pymc-bart"}
        laws = frozenset({*DISTRIBUTIONS, "bart"})
        return Capabilities(DIALECT.covered, laws, frozenset(SURVIVAL), surfaces=SURFACES, absent=absent)

    def lower(self, model: Model, data: ModelData) -> Program:
        """Return the PyMC program of a model; of the data it holds sizes, and labels of arms and terms."""
        return lower_model(model, data)

    def data_file(self, model: Model, data: ModelData) -> bytes:
        """Return the file that the program reads: NumPy's npz, with labels beside the data."""
        return data_file(model, data)

    def sample(
        self,
        program: Program,
        model: Model,
        data: ModelData,
        settings: Settings,
        progress: Callable[[Progress], None] | None = None,
    ) -> Draws:
        """Draw from the posterior with NUTS. Raises SamplingFailed."""
        from hdsl_pymc.sample import sample

        return sample(program, model, data, settings, progress)

    def log_density(self, program: Program, model: Model, data: ModelData) -> LogDensity:
        """Return the log density of the program on the natural scale, with its gradient."""
        from hdsl_pymc.density import log_density

        return log_density(program, data)

    def sampled_density(
        self, program: Program, model: Model, data: ModelData
    ) -> tuple[int, Callable[[Array], tuple[float, Mapping[str, Array]]]]:
        """Return how many unconstrained coordinates there are, and the density and the values at a vector of them."""
        from hdsl_pymc.density import sampled_density

        return sampled_density(program, data)


backend = PyMC()
