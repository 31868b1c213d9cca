"""The groups of a posterior: arrays with named dims. A NetCDF file is written from them, and an ArviZ DataTree made.

A run writes its file without a tree: xarray and pandas take 0.2 seconds to load, and wait until one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hdsl.model.ir import Dims
from hdsl.storage import blocks, in_memory, let_go

if TYPE_CHECKING:
    from xarray import DataArray, DataTree

SAMPLES: Dims = ("chain", "draw")
FILL, KIND, COORDINATES = "_FillValue", "dtype", "coordinates"


class Named(NamedTuple):
    """An array over named dims; large draws that were read may still lie in their file."""

    dims: Dims
    values: Any
    notes: Mapping[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Group:
    """Arrays by name, and the labels of their dims by dim."""

    arrays: Mapping[str, Named]
    labels: Mapping[str, Named]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Groups by name, and notes on them all."""

    groups: Mapping[str, Group]
    notes: Mapping[str, Any]

    @cached_property
    def tree(self) -> DataTree:
        """The groups as a DataTree; the arrays are shared."""
        from xarray import Dataset, DataTree

        made = {name: Dataset(dict(g.arrays), dict(g.labels), g.notes) for name, g in self.groups.items()}
        tree = DataTree.from_dict(made)
        tree.attrs.update(self.notes)
        return tree

    @staticmethod
    def of_tree(tree: DataTree) -> Posterior:
        """Return a tree's groups; it stays their tree."""
        nodes = {node.path.strip("/"): node.to_dataset(inherit=False) for node in tree.subtree}
        groups = {
            name: Group(
                {str(k): _named(v) for k, v in node.data_vars.items()},
                {str(k): _named(v) for k, v in node.coords.items()},
                {str(k): note for k, note in node.attrs.items()},
            )
            for name, node in nodes.items()
            if name or node.variables
        }
        found = Posterior(groups, {str(name): note for name, note in tree.attrs.items()})
        found.__dict__["tree"] = tree
        return found

    def now(self) -> Posterior:
        """Return the groups as they are: a tree that was asked for may have been changed."""
        return Posterior.of_tree(self.tree) if "tree" in self.__dict__ else self

    def with_groups(self, more: Mapping[str, Group]) -> Posterior:
        """Return these groups and more."""
        return Posterior({**self.groups, **more}, self.notes)

    def without(self, names: Sequence[str]) -> Posterior:
        """Return all groups but those named."""
        if "tree" not in self.__dict__:
            return Posterior({name: g for name, g in self.groups.items() if name not in names}, self.notes)
        tree = self.tree.copy()
        for name in names:
            del tree[name]
        return Posterior.of_tree(tree)


def _named(values: DataArray) -> Named:
    return Named(tuple(map(str, values.dims)), values.values if in_process(values) else values, dict(values.attrs))


def in_process(values: DataArray) -> bool:
    """Return whether draws were read, into memory or a file of draws; else they are in the file that was saved."""
    return bool(values.variable._in_memory)  # pyright: ignore[reportPrivateUsage]


def is_large(dims: Sequence[str], kind: str, size: int) -> bool:
    """Return whether an array of so many bytes is draws that would take too much memory."""
    return tuple(dims[:2]) == SAMPLES and kind == "f" and size > in_memory()


def pieces(shape: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """Yield parts of draws of shape (chain, draw, ...), in the order of memory."""
    for chain in range(shape[0]):
        yield from ((chain, some) for some in blocks(shape[1], int(np.prod(shape[2:]))))


def write(posterior: Posterior, path: Path) -> None:
    """Write groups as NetCDF, as xarray encodes them, large draws block by block; what they fill is not filled before.

    Raises
    ------
    OSError, RuntimeError
        The file cannot be written.
    """
    from netCDF4 import Dataset as File

    with File(path, "w") as file:
        file.set_fill_off()
        file.setncatts(dict(posterior.notes))
        for name, group in posterior.groups.items():
            made = file.createGroup(name) if name else file
            others = [each for each in group.labels if each not in group.labels[each].dims]
            made.setncatts({**group.notes, **({COORDINATES: " ".join(others)} if others else {})})
            for each, named in (*group.labels.items(), *group.arrays.items()):
                _put(made, each, named)


def _put(group: Any, name: str, named: Named) -> None:
    values = named.values if hasattr(named.values, "dtype") else np.asarray(named.values)
    for dim, size in zip(named.dims, values.shape, strict=True):
        if dim not in group.dimensions:
            group.createDimension(dim, size)
    kind = {"f": values.dtype, "b": np.dtype("i1"), "U": str, "O": str}.get(values.dtype.kind, values.dtype)
    made = group.createVariable(name, kind, named.dims, fill_value=float("nan") if values.dtype.kind == "f" else None)
    made.setncatts({**named.notes, **({KIND: "bool"} if values.dtype.kind == "b" else {})})
    if is_large(named.dims, values.dtype.kind, values.nbytes):
        for chain, some in pieces(values.shape):
            made[chain, some] = np.asarray(values[chain, some])
            if isinstance(values, np.ndarray):
                let_go(values)
    else:
        whole = np.asarray(values)
        made[...] = whole.astype({"b": "i1", "U": object}.get(whole.dtype.kind, whole.dtype))


def read(path: Path) -> Posterior | None:
    """Read the groups of a file into memory; None where there are large draws, or groups that hdsl does not make.

    Raises
    ------
    OSError, RuntimeError
        The file cannot be read.
    """
    from netCDF4 import Dataset as File

    with File(path) as file:
        file.set_auto_maskandscale(False)
        groups: dict[str, Any] = dict(file.groups)
        if file.variables or any(group.groups for group in groups.values()):
            return None
        for group in groups.values():
            numbers = [each for each in group.variables.values() if each.dtype is not str]
            if any(is_large(v.dimensions, v.dtype.kind, v.size * v.dtype.itemsize) for v in numbers):
                return None
        return Posterior({name: _read_group(group) for name, group in groups.items()}, _notes(file))


def _read_group(group: Any) -> Group:
    notes = _notes(group)
    others = notes.pop(COORDINATES, "").split()
    found = {name: _got(variable) for name, variable in group.variables.items()}
    labels = {name: each for name, each in found.items() if name in (*group.dimensions, *others)}
    return Group({name: each for name, each in found.items() if name not in labels}, labels, notes)


def _got(variable: Any) -> Named:
    notes = _notes(variable)
    notes.pop(FILL, None)
    values = np.asarray(variable[...], dtype=object if variable.dtype is str else None)
    return Named(variable.dimensions, values.astype(bool) if notes.pop(KIND, None) == "bool" else values, notes)


def _notes(of: Any) -> dict[str, Any]:
    return {name: of.getncattr(name) for name in of.ncattrs()}
