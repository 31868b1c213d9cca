"""The posterior as an ArviZ DataTree with named coordinates, and its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hdsl.inference.fit import Fit
from hdsl.reference.density import log_likelihood

if TYPE_CHECKING:
    from xarray import DataTree

LIKELIHOOD_CELLS = 20_000_000


def posterior(fit: Fit, attributes: Mapping[str, str]) -> DataTree:
    """Return the draws and what they were made from.

    Groups: `posterior` (by role, levels labelled by their ids), `parameters` (the plain model's random
    variables), `sample_stats`, `observed_data`, `constant_data`, and `log_likelihood` unless rows times draws
    exceed 20 million (the attribute `log_likelihood` then says so).
    """
    import arviz as az

    model, data = fit.model, fit.data
    observed = {observation.slot for observation in model.observations}
    groups: dict[str, dict[str, Any]] = {
        "posterior": dict(fit.roles),
        "parameters": dict(fit.parameters),
        "sample_stats": dict(fit.sampled.statistics),
        "observed_data": {name: data.values[name] for name in data.values if name in observed},
        "constant_data": {name: data.values[name] for name in data.values if name not in observed},
    }
    dims: dict[str, list[str]] = {slot.name: list(slot.dims) for slot in model.slots}
    dims |= {variable.name: list(variable.dims) for variable in model.variables}
    dims |= {reported.role: list(reported.dims) for reported in model.reported}
    attributes = dict(attributes)
    chains, draws = next(iter(fit.parameters.values())).shape[:2]
    if chains * draws * model.sizes[model.unit] <= LIKELIHOOD_CELLS:
        groups["log_likelihood"] = _log_likelihood(fit, chains, draws)
        dims |= {observation.name: list(observation.dims) for observation in model.observations}
    else:
        attributes["log_likelihood"] = "left out: rows times draws exceed 20 million"
    coords = {name: list(labels) for name, labels in data.coords.items()}
    tree = az.from_dict({name: group for name, group in groups.items() if group}, coords=coords, dims=dims)
    tree.attrs.update(attributes)
    return tree


def _log_likelihood(fit: Fit, chains: int, draws: int) -> dict[str, Any]:
    flat = {name: value.reshape(chains * draws, *value.shape[2:]) for name, value in fit.parameters.items()}
    found = log_likelihood(fit.model, fit.data, flat)
    return {name: np.asarray(value).reshape(chains, draws, *value.shape[1:]) for name, value in found.items()}


def save(tree: DataTree, path: Path) -> None:
    """Write a posterior as NetCDF, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        tree.to_netcdf(temporary, engine="netcdf4")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> DataTree:
    """Read a saved posterior."""
    import xarray as xr

    return xr.open_datatree(path, engine="netcdf4").load()
