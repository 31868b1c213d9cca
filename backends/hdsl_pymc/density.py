"""The log density of a program, on the natural and on the unconstrained scale."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hdsl.backend import Array, LogDensity, Program
from hdsl.model.ir import ModelData
from hdsl_pymc.runtime import model_of, quiet


def _compiled(inputs: list[Any], outputs: list[Any]) -> Any:
    """Return the function from inputs to outputs, evaluated one operation after the other, without a compiler.

    Sums stay sums of two: NumPy's loops, which stand in for compiled ones, take 32 operands at most.
    """
    from pymc.pytensorf import compile as compile_function
    from pytensor.compile.mode import Mode

    mode = Mode(linker="py", optimizer="fast_run").excluding("fusion", "add_mul_fusion", "local_add_canonizer")
    return compile_function(inputs, outputs, mode=mode, on_unused_input="ignore")


def _without_starts(study: Any) -> Any:
    for variable in study.free_RVs:
        study.rvs_to_initial_values[variable] = None
    return study


def _values(program: Program, study: Any, values: Mapping[str, Array]) -> list[Array]:
    by_source = {source: np.asarray(values[name], dtype=np.float64) for name, source in program.parameters.items()}
    return [by_source[variable.name] for variable in study.free_RVs]


def log_density(program: Program, data: ModelData) -> LogDensity:
    """Return the function from values of the random variables to the log density and its gradient."""
    from pymc.model.transform.conditioning import remove_value_transforms
    from pytensor.gradient import grad

    with quiet():
        study = remove_value_transforms(_without_starts(model_of(program, data)))
        inputs = [study.rvs_to_values[variable] for variable in study.free_RVs]
        parts: Any = study.logp(jacobian=False, sum=False)
        total: Any = functools.reduce(operator.add, (part.sum() for part in parts))
        slopes: Any = grad(total, inputs, disconnected_inputs="ignore", return_disconnected="zero")
        function = _compiled(inputs, [total, *slopes])
    names = {source: name for name, source in program.parameters.items()}

    def evaluate(values: Mapping[str, Array]) -> tuple[float, Mapping[str, Array]]:
        total, *slopes = function(*_values(program, study, values))
        pairs = zip(study.free_RVs, slopes, strict=True)
        return float(total), {names[variable.name]: np.asarray(slope) for variable, slope in pairs}

    return evaluate


def sampled_density(program: Program, data: ModelData) -> tuple[int, Callable[[Array], tuple[float, dict[str, Array]]]]:
    """Return the number of PyMC's unconstrained coordinates and the function of a vector of them.

    The function gives the log density that NUTS moves in, Jacobians included, and the values of the random
    variables there.
    """
    from pymc.blocking import DictToArrayBijection, RaveledVars

    names = {source: name for name, source in program.parameters.items()}
    with quiet():
        study = model_of(program, data)
        inputs = [study.rvs_to_values[variable] for variable in study.free_RVs]
        natural = study.replace_rvs_by_values(study.free_RVs)
        function = _compiled(inputs, [study.logp(), *natural])
        start = DictToArrayBijection.map(study.initial_point(random_seed=1))

    def evaluate(flat: Array) -> tuple[float, dict[str, Array]]:
        point: Any = DictToArrayBijection.rmap(RaveledVars(flat, start.point_map_info))
        total, *values = function(*(point[each.name] for each in inputs))
        pairs = zip(study.free_RVs, values, strict=True)
        return float(total), {names[variable.name]: np.asarray(value) for variable, value in pairs}

    return start.data.size, evaluate
