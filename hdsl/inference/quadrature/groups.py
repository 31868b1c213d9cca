"""Cells sorted by group, groups with the same cells taken together, and the cells of some groups at some points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.inference.exact.hyper import Hyper, innovations, loading
from hdsl.inference.quadrature.kernels import KERNELS, Kernel, Outcome, Ready
from hdsl.inference.quadrature.recognise import Predicted
from hdsl.passes.marginal.structure import Entry, Grouping
from hdsl.reference.values import Array, broadcast, evaluate

Codes = NDArray[np.int64]
CELLS_AT_ONCE = 4_096
SMALL = 4


@dataclass(frozen=True)
class Table:
    """Cells sorted by group.

    Attributes
    ----------
    x : array, shape (coefficients, cells)
    z : array, shape (entries, cells)
        By what the entries of the grouping are multiplied.
    known : array, shape (cells,)
    starts, counts : int array, shape (groups,)
        Where each group's cells start, and how many there are.
    units : int array, shape (groups,)
        The unit that each group is.
    above : array, shape (entries of the coarser grouping, cells)
        By what these entries are multiplied.
    parent : int array, shape (groups,)
        The number of the coarser unit in which each group lies; they stand in its order. The group's own without one.
    """

    x: Array
    z: Array
    known: Array
    outcome: Outcome
    starts: Codes
    counts: Codes
    units: Codes
    above: Array
    parent: Codes

    @property
    def groups(self) -> int:
        """The number of groups."""
        return len(self.starts)

    def blocks(self) -> Iterator[slice]:
        """Yield runs of whole coarser units that together have few enough cells to stay in a processor's cache."""
        first, cells = 0, 0
        edges = np.flatnonzero(np.diff(self.parent)) + 1
        starts = [0, *edges.tolist()]
        counts = np.add.reduceat(self.counts, starts)
        for group, count in zip(starts, counts.tolist(), strict=True):
            if cells and cells + count > CELLS_AT_ONCE:
                yield slice(first, group)
                first, cells = group, 0
            cells += count
        yield slice(first, self.groups)

    def only(self, groups: Codes) -> Table:
        """Return the table of some groups."""
        counts = self.counts[groups]
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        cells = np.repeat(self.starts[groups], counts) + within
        outcome = self.outcome
        weight = None if outcome.weight is None else outcome.weight[cells]
        chosen = Outcome(outcome.y[cells], outcome.trials[cells], weight)
        starts = np.cumsum(counts) - counts
        return Table(
            self.x[:, cells],
            self.z[:, cells],
            self.known[cells],
            chosen,
            starts,
            counts,
            self.units[groups],
            self.above[:, cells],
            self.parent[groups],
        )


@dataclass(frozen=True)
class Grouped:
    """A model with one grouping's effects in its linear predictor.

    Attributes
    ----------
    table : Table
        Of all groups with cells.
    kinds : Table
        A group of each kind: groups with the same cells have the same marginal likelihood.
    kind_of_group : int array, shape (groups,)
    times : array, shape (kinds,)
        Groups of each kind.
    size : int
        How many effects vary together.
    above : int array
        The coarser units in which groups lie.
    """

    predicted: Predicted
    table: Table
    kinds: Table
    kind_of_group: Codes
    times: Array
    size: int
    above: Codes

    @property
    def nested(self) -> bool:
        """Whether groups lie in coarser units with effects of their own."""
        return self.predicted.coarse is not None

    @property
    def kernel(self) -> Kernel:
        """The outcome's family."""
        return KERNELS[self.predicted.kernel]


def grouped(predicted: Predicted) -> Grouped:
    """Return a recognised model with its cells sorted by group."""
    grouping, cells = predicted.grouping, len(predicted.known)
    codes = np.arange(cells) // CELLS_AT_ONCE if grouping is None else grouping.unit_of_row
    coarse = None if predicted.coarse is None else predicted.coarse.unit_of_row
    assert codes is not None
    size = int(codes.max()) + 1
    key = codes if coarse is None else coarse * size + codes
    order = np.argsort(key, kind="stable")
    keys, starts, counts = np.unique(key[order], return_index=True, return_counts=True)
    outcome = predicted.outcome
    weight = None if outcome.weight is None else outcome.weight[order]
    above, parent = np.unique(keys // size, return_inverse=True)
    table = Table(
        x=_stacked([array for _, array in predicted.linear.offsets], order),
        z=_stacked([entry.known for entry in _entries(grouping)], order),
        known=np.broadcast_to(predicted.known, (cells,))[order].astype(np.float64),
        outcome=Outcome(outcome.y[order], outcome.trials[order], weight),
        starts=starts.astype(np.int64),
        counts=counts.astype(np.int64),
        units=(keys % size).astype(np.int64),
        above=_stacked([entry.known for entry in _entries(predicted.coarse)], order),
        parent=np.arange(len(keys)) if coarse is None else parent.reshape(-1).astype(np.int64),
    )
    effects = 0 if grouping is None else innovations(grouping, predicted.linear)[1]
    kind, first = _kinds(table, apart=coarse is not None)
    times = np.bincount(kind).astype(np.float64)
    return Grouped(predicted, table, table.only(first), kind, times, effects, above.astype(np.int64))


def _entries(grouping: Grouping | None) -> tuple[Entry, ...]:
    return () if grouping is None else grouping.entries


def _stacked(arrays: list[Array], order: Codes) -> Array:
    if not arrays:
        return np.zeros((0, len(order)))
    return np.stack([np.broadcast_to(array, (len(order),))[order] for array in arrays]).astype(np.float64)


def _kinds(table: Table, *, apart: bool) -> tuple[Codes, Codes]:
    """Return the kind of each group, and a first group of each kind; `apart`: coarser units have kinds of their own."""
    outcome = table.outcome
    weight = np.ones(len(outcome.y)) if outcome.weight is None else outcome.weight
    rows = np.concatenate([table.x, table.z, table.above, [table.known, outcome.y, outcome.trials, weight]]).T
    rows = np.ascontiguousarray(rows)
    seen: dict[tuple[int, bytes], int] = {}
    parents = (table.parent if apart else np.zeros_like(table.parent)).tolist()
    first: list[int] = []
    kind = np.empty(table.groups, np.int64)
    ends = table.starts + table.counts
    for group, (start, end) in enumerate(zip(table.starts.tolist(), ends.tolist(), strict=True)):
        part = rows[start:end]
        key = (parents[group], part[np.lexsort(part.T)].tobytes())
        if key not in seen:
            seen[key] = len(first)
            first.append(group)
        kind[group] = seen[key]
    return kind, np.array(first, np.int64)


@dataclass(frozen=True)
class Sums:
    """Sums over the cells of each group: `starts`, and where groups are small, the further cells of those with some."""

    starts: Codes
    further: tuple[tuple[Codes | None, Codes], ...] | None

    def of(self, values: Array) -> Array:
        """Return sums (b, groups) of values (b, cells)."""
        if self.further is None:
            return np.add.reduceat(values, self.starts, axis=1)
        total = np.take(values, self.starts, axis=1)
        for groups, cells in self.further:
            if groups is None:
                total += np.take(values, cells, axis=1)
            else:
                total[:, groups] += np.take(values, cells, axis=1)
        return total


def sums_of(counts: Codes) -> Sums:
    """Return how values are summed over groups of so many cells each."""
    starts = np.cumsum(counts) - counts
    if counts.sum() > SMALL * len(counts):
        return Sums(starts, None)
    further: list[tuple[Codes | None, Codes]] = []
    for place in range(1, int(counts.max())):
        groups = np.flatnonzero(counts > place)
        further.append((None if len(groups) == len(counts) else groups, starts[groups] + place))
    return Sums(starts, tuple(further))


@dataclass(frozen=True)
class Here:
    """The cells of some groups at b points.

    Attributes
    ----------
    fixed : array, shape (b, cells)
        The linear predictor without the effects.
    load : array, shape (b, effects, cells)
        By what standard normal draws of the effects are multiplied.
    sums : Sums
        Over the cells of each group.
    of : int array, shape (cells,)
        The group of each cell.
    above : array, shape (b, cells)
        By what a standard normal draw of the coarser unit's effect is multiplied.
    parent : int array, shape (groups,)
        The coarser unit of each group, from 0.
    """

    kernel: Kernel
    ready: Ready
    weight: Array | None
    fixed: Array
    load: Array
    sums: Sums
    of: Codes
    above: Array
    parent: Codes

    @property
    def groups(self) -> int:
        """The number of groups."""
        return len(self.sums.starts)

    def only(self, points: Codes) -> Here:
        """Return the same cells at some of the points."""
        ready = tuple(each[points] if each.ndim == 2 else each for each in self.ready)
        fixed, load, above = self.fixed[points], self.load[points], self.above[points]
        return replace(self, ready=ready, fixed=fixed, load=load, above=above)

    def shifted(self, v: Array) -> Here:
        """Return the same cells at standard normal effects of the coarser units, (b, coarser units)."""
        return replace(self, fixed=self.fixed + self.above * np.take(v, self.parent[self.of], axis=1))

    def eta(self, u: Array) -> Array:
        """Return the linear predictor at standard normal effects (b, groups, effects)."""
        found = self.fixed
        for place in range(self.load.shape[1]):
            found = found + self.load[:, place] * np.take(u[:, :, place], self.of, axis=1)
        return found

    def log_likelihood(self, u: Array) -> Array:
        """Return the log likelihood of each group at its effects, (b, groups)."""
        found = self.kernel.value(self.ready, self.eta(u))
        if self.weight is not None:
            found *= self.weight
        return self.sums.of(found)

    def slopes(self, u: Array) -> tuple[Array, Array]:
        """Return the slope and the information of each cell's log likelihood, (b, cells)."""
        slope, information = self.kernel.slopes(self.ready, self.eta(u))
        if self.weight is not None:
            return slope * self.weight, information * self.weight
        return slope, information


@dataclass(frozen=True)
class Points:
    """What b hyperparameters say: coefficients (b, p), loads (b, entries, effects), own parameters (b, m).

    `above`: the loads of the coarser grouping, (b, entries).
    """

    coefficients: Array
    loads: Array
    extra: Array
    above: Array

    def of(self, points: slice | Codes) -> Points:
        """Return some of the points."""
        return Points(self.coefficients[points], self.loads[points], self.extra[points], self.above[points])


def at_points(model: Grouped, hyper: Hyper) -> Points:
    """Return what hyperparameters say."""
    predicted, count = model.predicted, len(hyper.log_prior)
    loads = _loads(predicted.grouping, predicted, hyper, model.size)
    above = _loads(predicted.coarse, predicted, hyper, 1)
    return Points(hyper.offsets, loads, extra_of(predicted, hyper, count), above[:, :, 0])


def _loads(grouping: Grouping | None, predicted: Predicted, hyper: Hyper, size: int) -> Array:
    if grouping is None:
        return np.zeros((len(hyper.log_prior), 0, size))
    return loading(grouping, np.ones(len(grouping.entries)), hyper, predicted.linear)[:, 0]


def extra_of(predicted: Predicted, hyper: Hyper, count: int) -> Array:
    """Return the family's own parameters, (b, m)."""
    parts: list[Array] = []
    for expr in predicted.extra:
        value = evaluate(expr, hyper.env)
        dims = tuple(dim for dim in value.dims if dim != "draw")
        array = broadcast(value, dims, {**value.sizes, "draw": count})
        parts.append(np.broadcast_to(array, (count, *array.shape[array.ndim - len(dims) :])).reshape(count, -1))
    return np.concatenate(parts, axis=1) if parts else np.zeros((count, 0))


def here_of(model: Grouped, table: Table, groups: slice, points: Points) -> Here:
    """Return the cells of some groups at points."""
    start = int(table.starts[groups.start])
    end = int(table.starts[groups.stop - 1] + table.counts[groups.stop - 1])
    cells = slice(start, end)
    fixed = points.coefficients @ table.x[:, cells] + table.known[cells]
    load = np.einsum("bej,ec->bjc", points.loads, table.z[:, cells])
    outcome = table.outcome.of(cells)
    of = np.repeat(np.arange(groups.stop - groups.start), table.counts[groups])
    ready = model.kernel.ready(outcome, points.extra)
    above = points.above @ table.above[:, cells]
    parent = table.parent[groups] - table.parent[groups.start]
    return Here(model.kernel, ready, outcome.weight, fixed, load, sums_of(table.counts[groups]), of, above, parent)
