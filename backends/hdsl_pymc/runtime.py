"""Programs loaded from their source, as PyMC models."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from hdsl.backend import Program
from hdsl.model.ir import ModelData

MOST_CONSTANTS = 100_000


@contextmanager
def quiet() -> Generator[None]:
    """Keep PyMC from writing to the terminal: warnings and log lines are for programmers."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def model_of(program: Program, data: ModelData) -> Any:
    """Return the `pm.Model` that a program's source builds with the given data."""
    namespace: dict[str, Any] = {"__name__": "hdsl_program"}
    exec(compile(program.source, "<pymc program>", "exec"), namespace)
    return namespace["model"](dict(data.values))


def frozen(study: Any) -> Any:
    """Return the `pm.Model` with data and sizes as constants where the data are small, else as it is.

    Compiled functions then know every shape, and a gradient of a small model takes about a fifth less time. Large
    data stay variable: constants become part of the compiled code.
    """
    from pymc.model.transform.optimization import freeze_dims_and_data
    from pytensor.compile.sharedvalue import SharedVariable

    shared = [each for each in study.named_vars.values() if isinstance(each, SharedVariable)]
    if sum(each.get_value(borrow=True).size for each in shared) > MOST_CONSTANTS:
        return study
    return freeze_dims_and_data(study)


def starts(study: Any) -> Any:
    """Return where real parameters start, jitter aside: at zero, as on the other backends.

    Passes put zero near the middle of the posterior. PyMC would begin at the middle of each prior.
    """
    import numpy as np

    point = study.initial_point()
    free = (variable for variable in study.free_RVs if study.rvs_to_transforms[variable] is None)
    names = [variable.name for variable in free if np.issubdtype(point[variable.name].dtype, np.floating)]
    return {name: np.zeros_like(point[name]) for name in names}
