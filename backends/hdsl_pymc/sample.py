"""Draws from the posterior of a program, by nutpie or by PyMC's own NUTS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Array, Draws, Program, Progress, SamplingFailed, Settings
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData
from hdsl_pymc.runtime import model_of, quiet

ENGINES = ("nutpie", "pymc")
STATISTICS: Mapping[str, tuple[str, ...]] = {
    "diverging": ("diverging",),
    "tree_depth": ("depth", "tree_depth"),
    "energy": ("energy",),
    "n_steps": ("n_steps",),
    "acceptance_rate": ("mean_tree_accept", "acceptance_rate"),
    "step_size": ("step_size",),
    "lp": ("logp", "lp"),
}


def sample(
    program: Program,
    model: Model,
    data: ModelData,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Draws:
    """Draw from the posterior of the program; `progress` is told of the end only.

    Raises
    ------
    SamplingFailed
        HDM711 where no start is found, HDM713 for settings that cannot be used, HDM714 for an engine that is
        not there, HDM712 where the sampler breaks down.
    """
    _check(settings)
    engine = _engine(settings.engine)
    run = _nutpie if engine == "nutpie" else _pymc
    try:
        with quiet():
            study = model_of(program, data)
            tree, seconds = run(study, settings)
    except KeyboardInterrupt:
        raise
    except MemoryError as error:
        raise _failed("HDM712", "Memory ran out while sampling.", "Try fewer chains.") from error
    except Exception as error:  # the engines raise many kinds for a density that cannot be started
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        help_ = "Check the data for extreme values and the priors for very wide or very narrow scales."
        raise _failed("HDM711", f"{engine} could not sample: {said}", help_) from error
    _tell(progress, settings)
    values = {name: np.asarray(tree["posterior"][source].values, dtype=np.float64) for name, source in _named(program)}
    return Draws(
        values=_shaped(values, model, settings),
        statistics=_statistics(tree["sample_stats"]),
        engine=f"PyMC {version('pymc')} NUTS" + (f" (nutpie {version('nutpie')})" if engine == "nutpie" else ""),
        seconds=seconds,
        max_tree_depth=settings.max_tree_depth,
    )


def _named(program: Program) -> list[tuple[str, str]]:
    return list(program.parameters.items())


def _failed(code: str, message: str, help_: str) -> SamplingFailed:
    return SamplingFailed([Diagnostic(code, message, help=help_)])


def _check(settings: Settings) -> None:
    problems = [
        (settings.chains < 1, "There must be at least one chain."),
        (settings.draws < 1, "There must be at least one draw."),
        (settings.warmup < 1, "There must be at least one warm-up draw."),
        (settings.seed < 0, "The seed cannot be negative."),
        (not 0 < settings.target_accept < 1, "The target acceptance rate must lie between 0 and 1."),
        (not 1 <= settings.max_tree_depth <= 20, "The maximum tree depth must lie between 1 and 20."),
        (bool(settings.options), "PyMC takes no further options."),
    ]
    found = [Diagnostic("HDM713", text, help="Change the sampling settings.") for wrong, text in problems if wrong]
    if found:
        raise SamplingFailed(found)


def _engine(wanted: str | None) -> str:
    """Return the engine: the one asked for, else nutpie where it is installed."""
    if wanted is None:
        return "nutpie" if find_spec("nutpie") else "pymc"
    if wanted not in ENGINES:
        raise _failed("HDM714", f"PyMC has no engine {wanted!r}.", f"Engines: {', '.join(ENGINES)}.")
    if wanted == "nutpie" and not find_spec("nutpie"):
        raise _failed("HDM714", "The engine nutpie is not installed.", "Install it with: pip install nutpie")
    return wanted


def _nutpie(study: Any, settings: Settings) -> tuple[Any, dict[str, float]]:
    import nutpie

    began = time.perf_counter()
    compiled = nutpie.compile_pymc_model(study)
    ready = time.perf_counter()
    tree = nutpie.sample(
        compiled,
        draws=settings.draws,
        tune=settings.warmup,
        chains=settings.chains,
        seed=settings.seed,
        save_warmup=False,
        progress_bar=False,
        target_accept=settings.target_accept,
        maxdepth=settings.max_tree_depth,
    )
    return tree, {"compile": ready - began, "sampling": time.perf_counter() - ready}


def _pymc(study: Any, settings: Settings) -> tuple[Any, dict[str, float]]:
    import pymc as pm

    began = time.perf_counter()
    tree = pm.sample(
        settings.draws,
        tune=settings.warmup,
        chains=settings.chains,
        cores=1,
        random_seed=settings.seed,
        progressbar=False,
        quiet=True,
        nuts_sampler="pymc",
        compute_convergence_checks=False,
        model=study,
        nuts={"target_accept": settings.target_accept, "max_treedepth": settings.max_tree_depth},
    )
    return tree, {"sampling": time.perf_counter() - began}


def _shaped(values: Mapping[str, Array], model: Model, settings: Settings) -> dict[str, Array]:
    """Return the draws in the shapes of the model's variables; HDM715 where something is missing."""
    shapes = {v.name: (settings.chains, settings.draws, *(model.sizes[d] for d in v.dims)) for v in model.variables}
    for name, shape in shapes.items():
        if values[name].shape != shape:
            message = f"The sampler returned {values[name].shape} draws of {name} in place of {shape}."
            raise _failed("HDM715", message, "No part of this run was kept.")
    return {name: values[name] for name in shapes}


def _statistics(group: Any) -> dict[str, NDArray[np.generic]]:
    found: dict[str, NDArray[np.generic]] = {}
    for name, sources in STATISTICS.items():
        for source in sources:
            if source in group:
                found[name] = np.asarray(group[source].values)
                break
    return found


def _tell(progress: Callable[[Progress], None] | None, settings: Settings) -> None:
    total = settings.warmup + settings.draws
    for chain in range(settings.chains if progress is not None else 0):
        assert progress is not None
        progress(Progress(chain, total, total, False, 0, 0.0))
