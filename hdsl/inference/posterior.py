"""The groups of the posterior, with named coordinates, and its file."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hdsl.inference.groups import SAMPLES, Group, Named, Posterior, in_process, is_large, pieces, read, write
from hdsl.model.ir import Dims
from hdsl.storage import let_go, room

if TYPE_CHECKING:
    from xarray import DataArray, DataTree

    from hdsl.inference.fit import Fit

LIKELIHOOD_CELLS = 20_000_000
ALMOST_FULL = 64_000_000
PART = 1 << 24
SEAL, SEAL_BYTES = b"hdsl whole\n", 16
# Trees and NetCDF take a slash for a path; the role `slope(x / y)` has a division sign in its place.
SLASH, DIVISION_SLASH = "/", "∕"


def posterior(fit: Fit, attributes: Mapping[str, str]) -> Posterior:
    """Return the draws and what they were made from.

    Parameters
    ----------
    fit : Fit
        The draws of the plain model.
    attributes : mapping
        What else to note on it: study, versions, hash of the data.

    Returns
    -------
    Posterior
        Groups: `posterior` (by role, with a division slash ∕ for /; levels labelled by their ids), `parameters`
        (the plain model's random variables), `sample_stats`, `observed_data`, `constant_data`, and
        `log_likelihood` unless rows times draws exceed 20 million (the attribute `log_likelihood` then says so).
    """
    model, data = fit.model, fit.data
    observed = {observation.slot for observation in (*model.observations, *model.margins)}
    slots = {slot.name: slot.dims for slot in model.slots}
    groups = {
        "posterior": _drawn(fit, fit.roles, {each.role: each.dims for each in model.reported}),
        "parameters": _drawn(fit, fit.parameters, {each.name: each.dims for each in model.variables}),
        "sample_stats": _drawn(fit, fit.sampled.statistics, {}),
        "observed_data": _group(fit, {name: data.values[name] for name in slots if name in observed}, slots),
        "constant_data": _group(fit, {name: data.values[name] for name in slots if name not in observed}, slots),
    }
    noted: dict[str, str | float] = {
        **attributes,
        "target_accept": fit.settings.target_accept,
        "max_tree_depth": fit.sampled.max_tree_depth,
    }
    chains, draws = next(iter(fit.parameters.values())).shape[:2]
    if attributes.get("rows_summed_up"):
        noted["log_likelihood"] = "left out: rows were summed up"
    elif chains * draws * model.sizes[model.unit] <= LIKELIHOOD_CELLS:
        dims = {each.name: each.dims for each in (*model.observations, *model.factors)}
        groups["log_likelihood"] = _drawn(fit, _log_likelihood(fit, chains, draws), dims)
    else:
        noted["log_likelihood"] = "left out: rows times draws exceed 20 million"
    return Posterior({name: group for name, group in groups.items() if group.arrays}, noted)


def _drawn(fit: Fit, values: Mapping[str, Any], dims: Mapping[str, Dims]) -> Group:
    """Return draws of shape (chain, draw, *dims) as a group."""
    return _group(fit, values, {name: (*SAMPLES, *dims.get(name, ())) for name in values})


def _group(fit: Fit, values: Mapping[str, Any], dims: Mapping[str, Dims]) -> Group:
    """Return arrays as a group whose dims bear the labels of the index sets they range over."""
    arrays: dict[str, Named] = {}
    labels: dict[str, Named] = {}
    for name, value in values.items():
        array = np.asarray(value)
        own = dims[name][: array.ndim]
        arrays[name.replace(SLASH, DIVISION_SLASH)] = Named(own, array)
        for dim, size in zip(own, array.shape, strict=True):
            known = fit.data.coords.get(dim)
            labels[dim] = Named((dim,), np.arange(size) if known is None else np.asarray(known, dtype=str))
    return Group(arrays, labels)


def _log_likelihood(fit: Fit, chains: int, draws: int) -> dict[str, Any]:
    if fit.parts:
        from hdsl.inference.propensity import interleaved

        each = [_log_likelihood(part, chains, draws // len(fit.parts)) for part in fit.parts]
        return {name: interleaved([found[name] for found in each]) for name in each[0]}
    from hdsl.reference.density import log_likelihood

    drawn = fit.parameters if fit.likelihood is None else fit.likelihood
    flat = {name: value.reshape(chains * draws, *value.shape[2:]) for name, value in drawn.items()}
    found = log_likelihood(fit.model, fit.data, flat)
    return {name: np.asarray(value).reshape(chains, draws, *value.shape[1:]) for name, value in found.items()}


def save(posterior: Posterior, path: Path) -> None:
    """Write a posterior as NetCDF, whole or not at all; large draws block by block.

    The file ends in a seal, a hash of all before it, which programs that read NetCDF pass over.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(posterior, temporary)
        with temporary.open("ab") as file:
            file.write(_seal(temporary))
        temporary.replace(path)
    except RuntimeError as error:
        raise _unwritten(path.parent, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def values_of(values: DataArray) -> Any:
    """Return draws as an array; large ones that are in a saved file are copied, once, into a file of draws.

    Raises
    ------
    NotStored
        There is no room for them.
    """
    if values.dims[:2] == SAMPLES and not in_process(values):
        found = room(values.shape, values.dtype)
        for chain, some in pieces(values.shape):
            found[chain, some] = values[chain, some].values
            let_go(found)
        values.variable.data = found
    return values.values


def _unwritten(folder: Path, error: RuntimeError) -> OSError:
    """Return what the NetCDF library, which tells no reason, could not do: as a rule the disk is full."""
    if shutil.disk_usage(folder).free < ALMOST_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(errno.EIO, str(error))


def is_whole(path: Path) -> bool:
    """Return whether a file is as `save` wrote it. Raises OSError where it cannot be read.

    The NetCDF library may crash on a damaged file, and reads damaged numbers for good ones.
    """
    size = path.stat().st_size - len(SEAL) - SEAL_BYTES
    if size <= 0:
        return False
    with path.open("rb") as file:
        file.seek(size)
        return file.read() == _seal(path, size)


def _seal(path: Path, size: int | None = None) -> bytes:
    """Return the seal of a file, or of its first bytes."""
    found, left = hashlib.blake2b(digest_size=SEAL_BYTES), path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left and (part := file.read(min(left, PART))):
            found.update(part)
            left -= len(part)
    return SEAL + found.digest()


def load(path: Path) -> Posterior:
    """Read a saved posterior; large draws stay in the file until `values_of` them.

    Raises OSError where there is none.
    """
    found = read(path)
    return Posterior.of_tree(_tree_of(path)) if found is None else found


def _tree_of(path: Path) -> DataTree:
    """Return the tree of a file; its large draws stay there."""
    import xarray as xr

    tree = xr.open_datatree(path, engine="netcdf4")
    for node in tree.subtree:
        for values in node.variables.values():
            if not is_large([str(dim) for dim in values.dims], values.dtype.kind, values.nbytes):
                values.load()
    return tree
