"""Expected log predictive density: of rows, and of whole groups whose effects are integrated out.

Sources: Vehtari, Gelman & Gabry (2017) for Pareto-smoothed importance sampling; Merkle, Furr & Rabe-Hesketh (2019) for
leaving groups out where new groups are to be predicted; Yao et al. (2018) for stacking.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hdsl.estimands.group_likelihood import NotIntegrable, group_log_likelihood
from hdsl.report.effects import parameters as parameters_of
from hdsl.report.frames import Frames, frame
from hdsl.report.result import Result

FEW = 5
MOST_CELLS = 2_000_000
COLUMNS = ("elpd", "se", "elpd_diff", "dse", "p", "weight", "diag_elpd")


class NotComparable(Exception):
    """Predictive accuracies cannot be compared; the message says why."""


def of_rows(result: Result) -> Any:
    """Return a DataTree with the log likelihood of each row given its group's effects."""
    tree = result.posterior
    if result.bound.frequency is not None:
        raise NotComparable("a result has no log likelihood by row: its rows were summed up")
    if "log_likelihood" not in tree:
        raise NotComparable("a result has no log likelihood by row (rows times draws exceed 20 million)")
    if len(tree["log_likelihood"].data_vars) != 1:
        raise NotComparable("a model has several parts of a likelihood, which is not compared")
    return tree


def of_groups(result: Result, level: str) -> Any:
    """Return a DataTree with the log likelihood of each unit of a level, its own effects integrated out."""
    from xarray import DataArray, Dataset, DataTree

    bound = result.bound
    if bound.frequency is not None:
        raise NotComparable("a result has no likelihood of each group: its rows were summed up")
    if level not in bound.levels:
        raise NotComparable(f"a study has no level {level}")
    if bound.levels[level].size < FEW:
        raise NotComparable(f"there are only {bound.levels[level].size} units of {level}")
    parameters = parameters_of(result)
    chains, number = next(iter(parameters.values())).shape[:2]
    step = max(1, -(-chains * number * bound.rows // MOST_CELLS))
    kept = {name: value[:, ::step] for name, value in parameters.items()}
    flat = {name: value.reshape(-1, *value.shape[2:]) for name, value in kept.items()}
    try:
        found = group_log_likelihood(result.model, result.data, bound, flat, level)
    except NotIntegrable as reason:
        raise NotComparable(str(reason)) from reason
    dims = ("chain", "draw", level)
    values = DataArray(found.reshape(chains, -1, found.shape[1]), dims=dims, name="groups")
    scalars = {
        role: value[:, ::step] for role, value in result.posterior["posterior"].data_vars.items() if value.ndim == 2
    }
    groups = {"log_likelihood": Dataset({"groups": values}), "posterior": Dataset(scalars)}
    return DataTree.from_dict(groups)


def nearest_level(result: Result) -> str | None:
    """Return the level above the rows that has the most units, of those with at least five; None without one."""
    bound = result.bound
    above = [level for name, level in bound.levels.items() if name != bound.row and FEW <= level.size < bound.rows]
    return max(above, key=lambda level: level.size).name if above else None


def ranked(trees: Mapping[str, Any], frames: Frames) -> Any:
    """Return the models by expected log predictive density, best first, with stacking weights, as a data frame."""
    shapes = {next(iter(tree["log_likelihood"].data_vars.values())).shape[2:] for tree in trees.values()}
    if len(shapes) > 1:
        raise NotComparable("the log likelihoods are of different rows")
    import arviz_stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = arviz_stats.compare(dict(trees), method="stacking", round_to="none")
    columns: dict[str, list[object]] = {"name": [str(name) for name in found.index]}
    columns |= {name: found[name].tolist() for name in COLUMNS}
    return frame(columns, frames)


def same_outcomes(results: Sequence[Result]) -> bool:
    """Return whether results are of the same outcome of the same rows."""
    first = _outcome(results[0])
    others = [_outcome(result) for result in results[1:]]
    return all(other.shape == first.shape and bool(np.allclose(other, first, equal_nan=True)) for other in others)


def _outcome(result: Result) -> Any:
    variable = next(v for v in result.bound.variables.values() if v.role == "outcome")
    return result.bound.at_rows(variable.level, variable.values).astype(np.float64)
