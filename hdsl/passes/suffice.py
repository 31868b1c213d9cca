"""Sufficient statistics: the rows of a linear Gaussian model become a few pseudo-rows for each group.

Within a cell (a group of the finest grouping, and a variance class) the rows are multiplied by an orthogonal
matrix: the first rows of the result hold all that bears on the group's own effects, the others do not depend on
them. Of the first as many are kept as the group's columns have ranks, of the others the cross-products by variance
class. Nothing is subtracted from anything much larger than the result, so that groups may differ from each other a
million times as much as their rows do, may have one row, one arm, or collinear columns. Preserves the
log density exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hdsl.passes import wide
from hdsl.passes.marginal.forms import unit_dims
from hdsl.passes.marginal.recognise import Linear
from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.structure import CELLS_AT_MOST, Expanded, Grouping, Structure, parents, width
from hdsl.passes.near import Fixed, Near, is_fixed, near
from hdsl.reference.values import Array

Codes = NDArray[np.int64]
RANK_TOLERANCE = 1e-13
NOTHING = 1e-10
MOST_ROWS = 4
PACKED_AT_MOST = 100_000_000


@dataclass(frozen=True)
class Finest:
    """The finest grouping, as pseudo-rows: r a group, padded with zeros.

    Attributes
    ----------
    own : array, shape (groups, r, K)
        The columns of the grouping's own effects.
    others : array, shape (groups, r, q)
        All other columns: of the coarser groupings of the chain, then those integrated out together, the outcome,
        offsets.
    classes : int array, shape (groups, r)
        The variance class.
    scales : array, shape (K,)
        By what the own columns were divided.
    parent : int array, shape (groups,), or None
        The unit of the next grouping of the chain.
    sparse : tuple of sparse arrays, each (groups, q)
        By pseudo-row, the other columns where most are zero; `others` has no columns then.
    """

    grouping: Grouping
    own: Array
    others: Array
    classes: Codes
    scales: Array
    parent: Codes | None
    sparse: tuple[wide.Sparse, ...] = ()


@dataclass(frozen=True)
class Coarser:
    """A coarser grouping of the chain: cross-products of what is left within the groups of the finest.

    `of_unit` and `of_class` tell the unit and variance class of each cell; there are no cells where the columns do
    not vary within the finest groups.
    """

    grouping: Grouping
    own: Array
    others: Array
    of_unit: Codes
    of_class: Codes
    scales: Array
    parent: Codes | None


@dataclass(frozen=True)
class Block:
    """Where a grouping stands among the columns that are integrated out together, `size` units of K columns each.

    `centre` is the deviation in whose neighbourhood the statistics were computed, of a coefficient of known scale.
    """

    grouping: Grouping
    start: int
    scales: Array
    centre: float = 0.0


@dataclass(frozen=True)
class Statistics:
    """What the data say, in numbers that do not grow with the rows.

    Attributes
    ----------
    finest : Finest or None
        None where there is no chain, or its groups have more than `MOST_ROWS` pseudo-rows: all are `coarser` then.
    coarser : tuple of Coarser
    fixed : tuple of Fixed
        The first columns of those integrated out together.
    blocks : tuple of Block
        The others.
    together : array, shape (classes, q, q)
        Cross-products of the columns integrated out together, the outcome and the offsets, of what is left within
        the finest groups.
    middle : array, shape (draws,)
        The deviations in whose neighbourhood the statistics were computed, of all that is integrated out together, as
        standard normal draws: in units of their scales, zero where these are unknown.
    weight : array, shape (classes,)
        Rows, or sums of weights, of each variance class.
    """

    finest: Finest | None
    coarser: tuple[Coarser, ...]
    fixed: tuple[Fixed, ...]
    blocks: tuple[Block, ...]
    together: Array
    middle: Array
    weight: Array

    @cached_property
    def ancestors(self) -> tuple[tuple[Codes, ...], ...]:
        """For each grouping of the chain, the units of all coarser ones to which its units belong."""
        levels: list[Finest | Coarser] = [*([] if self.finest is None else [self.finest]), *self.coarser]
        found: list[tuple[Codes, ...]] = []
        for place in range(len(levels)):
            chain: list[Codes] = []
            units: Codes | None = None
            for level in levels[place:-1]:
                assert level.parent is not None
                units = level.parent if units is None else level.parent[units]
                chain.append(units)
            found.append(tuple(chain))
        return tuple(found)

    @property
    def columns(self) -> int:
        """The number of columns that are integrated out together."""
        return self.together.shape[1] - 1 - self.offsets

    @property
    def offsets(self) -> int:
        """The number of offsets."""
        wide = sum(block.grouping.size * len(block.scales) for block in self.blocks)
        return self.together.shape[1] - 1 - wide - len(self.fixed)


def suffice(linear: Linear, structure: Structure, scales: dict[str, Array | None]) -> Statistics:
    """Return the sufficient statistics.

    Parameters
    ----------
    scales : dict
        Of each effect, the standard deviation by unit where it is known and the effect has one place, else None.

    Raises
    ------
    NotLinear
        The statistics would not be smaller than the data, or too large for the memory.
    """
    if structure.chain and len(linear.outcome) * _columns(structure) > CELLS_AT_MOST:
        first, *rest = structure.chain
        return _wide(linear, Structure((first,), (*rest, *structure.together)), scales)
    fit = near(linear, structure, scales)
    blocks, spread = _blocks(structure, fit, scales, linear.weights)
    parts = [_spread_out(own, block.grouping) for own, block in zip(spread, blocks, strict=True)]
    root = None if linear.weights is None else np.sqrt(linear.weights)
    upper = [_scaled(grouping, root) for grouping in structure.chain]
    _check_size(linear, structure)
    others = np.column_stack([*(own for own, _ in upper[1:]), fit.columns, *parts, fit.outcome, *fit.offsets])
    if root is not None:
        others[:, sum(own.shape[1] for own, _ in upper[1:]) :] *= root[:, None]
    if _few_rows(linear, structure):
        finest, coarser, others, of_class = _chain(linear, structure, upper, others)
        last = others[:, sum(own.shape[1] for own, _ in upper[1:]) :]
    else:
        whole = np.column_stack([upper[0][0], others])
        finest, of_class = None, linear.classes.of_row
        coarser = tuple(_coarser_levels(linear, structure, structure.chain, whole, upper, None))
        last = whole[:, sum(own.shape[1] for own, _ in upper) :]
    together = _by_class(last, of_class, linear.classes.size)
    weight = _class_weights(linear)
    return Statistics(finest, coarser, fit.fixed, blocks, together, _draws(linear, fit, blocks), weight)


def _wide(linear: Linear, structure: Structure, scales: dict[str, Array | None]) -> Statistics:
    """Return the statistics where the columns beside the finest grouping are too many to be held row by row."""
    if not _few_rows(linear, structure):
        raise NotLinear(f"{len(linear.outcome)} rows of {_columns(structure)} columns")
    _check_size(linear, structure, dense=False)
    fit = near(linear, structure, scales)
    blocks, spread = _blocks(structure, fit, scales, linear.weights)
    parts = [wide.spread_out(own, block.grouping) for own, block in zip(spread, blocks, strict=True)]
    root = np.ones(len(linear.outcome)) if linear.weights is None else np.sqrt(linear.weights)
    last = [array[:, None] for array in (fit.outcome, *fit.offsets)]
    others = wide.side_by_side([fit.columns, *parts, *last], root)
    grouping, classes = structure.chain[0], linear.classes
    assert grouping.unit_of_row is not None
    own, sizes = _scaled(grouping, root)
    cells, of_row, order = _cells(grouping.unit_of_row, classes.of_row, classes.size)
    rows, inverse, vectors = _ranked(own[order], np.flatnonzero(np.diff(of_row, prepend=-1)))
    columns, left = wide.pseudo_rows(own[order], others[order], of_row, inverse, vectors)
    unit, of_class = cells // classes.size, cells % classes.size
    cell, place, owner, number = _places(grouping, unit, rows)
    most, count = int(number.max(initial=0)) + 1, rows.shape[2]
    held, kinds = np.zeros((grouping.size, most, count)), np.zeros((grouping.size, most), dtype=np.int64)
    held[owner, number], kinds[owner, number] = rows[cell, place], of_class[cell]
    which = [number == k for k in range(most)]
    sparse = tuple(wide.chosen(columns, (cell * count + place)[k], owner[k], grouping.size) for k in which)
    finest = Finest(grouping, held, np.zeros((grouping.size, most, 0)), kinds, sizes, None, sparse)
    ordered = None if classes.of_row is None else classes.of_row[order]
    together = wide.by_class(left, ordered, classes.size)
    middle = _draws(linear, fit, blocks)
    return Statistics(finest, (), fit.fixed, blocks, together, middle, _class_weights(linear))


def _columns(structure: Structure) -> int:
    """Return the number of columns of all groupings, one of each unit of those beside the chain."""
    return sum(width(part) for part in structure.together) + sum(len(each.entries) for each in structure.chain)


def _class_weights(linear: Linear) -> Array:
    size = linear.classes.size
    of_row = np.zeros(len(linear.outcome), np.int64) if linear.classes.of_row is None else linear.classes.of_row
    return np.bincount(of_row, linear.weights, size).astype(np.float64)


def _check_size(linear: Linear, structure: Structure, dense: bool = True) -> None:
    wide = _columns(structure)
    if dense and len(linear.outcome) * wide > CELLS_AT_MOST:
        raise NotLinear(f"{len(linear.outcome)} rows of {wide} columns")
    if linear.classes.size * (wide + 1) ** 2 > PACKED_AT_MOST:
        raise NotLinear(f"{linear.classes.size} variance classes of {wide} columns")


def _scaled(grouping: Grouping, root: Array | None) -> tuple[Array, Array]:
    """Return the columns of a grouping divided by their sizes, times the roots of the weights, and the sizes."""
    columns = np.column_stack([entry.known for entry in grouping.entries])
    scales = _sizes(columns, None if root is None else root**2)
    columns = columns / scales
    return (columns if root is None else columns * root[:, None]), scales


def _sizes(columns: Array, weights: Array | None) -> Array:
    """Return the root mean squares of columns over weighted rows, 1 where they are zero."""
    if weights is None:
        found = np.sqrt(np.einsum("ij,ij->j", columns, columns) / len(columns))
    else:
        found = np.sqrt(np.einsum("ij,ij,i->j", columns, columns, weights) / np.sum(weights))
    found[found == 0] = 1.0
    return found


def _draws(linear: Linear, first: Near, blocks: Sequence[Block]) -> Array:
    """Return the first fit as standard normal draws of all that is integrated out together."""
    sizes, found = linear.model.sizes, [first.middle]
    for block in blocks:
        across = [unit_dims(effect, linear.model)[1] for effect in block.grouping.effects]
        places = sum(1 if dim is None else sizes[dim] for dim in across)
        centre, _ = first.centres.get(block.grouping.effects[0].name, (0.0, 1.0))
        found.append(np.full(block.grouping.size * places, centre))
    return np.concatenate(found)


def _blocks(
    structure: Structure, first: Near, scales: dict[str, Array | None], weights: Array | None
) -> tuple[tuple[Block, ...], list[Array]]:
    """Return where each grouping integrated out with others stands, and its columns."""
    start = len(first.fixed)
    blocks: list[Block] = []
    columns: list[Array] = []
    for part in structure.together:
        if isinstance(part, Expanded) or is_fixed(part, scales):
            continue
        own = np.column_stack([entry.known for entry in part.entries])
        sizes = _sizes(own, weights)
        centre, sd = first.centres.get(part.effects[0].name, (0.0, 1.0))
        blocks.append(Block(part, start, sizes, centre * sd))
        columns.append(own / sizes)
        start += part.size * len(sizes)
    return tuple(blocks), columns


def _spread_out(columns: Array, grouping: Grouping) -> Array:
    """Return the columns of a grouping with one copy for each unit, zero in the rows of other units."""
    if grouping.unit_of_row is None or grouping.size == 1:
        return columns
    rows, count = columns.shape
    if rows * grouping.size * count > CELLS_AT_MOST:
        raise NotLinear(f"{rows} rows of {grouping.size * count} columns")
    found = np.zeros((rows, grouping.size, count))
    found[np.arange(rows), grouping.unit_of_row] = columns
    return found.reshape(rows, -1)


def _chain(
    linear: Linear, structure: Structure, upper: Sequence[tuple[Array, Array]], others: Array
) -> tuple[Finest | None, tuple[Coarser, ...], Array, Codes | None]:
    """Return the statistics of the chain, and what is left of the other columns within the finest groups."""
    of_class = linear.classes.of_row
    if not structure.chain:
        return None, (), others, of_class
    grouping = structure.chain[0]
    assert grouping.unit_of_row is not None
    cells, of_row, order = _cells(grouping.unit_of_row, of_class, linear.classes.size)
    own, others = upper[0][0][order], others[order]
    of_class = None if of_class is None else of_class[order]
    starts = np.flatnonzero(np.diff(of_row, prepend=-1))
    rows, columns, left = _pseudo_rows(own, others, of_row, starts)
    ups = _parents(structure)
    finest = _finest(structure, cells // linear.classes.size, cells % linear.classes.size, rows, columns, upper, ups)
    coarser = _coarser_levels(linear, structure, structure.chain[1:], left, upper[1:], order)
    return finest, tuple(coarser), left, of_class


def _few_rows(linear: Linear, structure: Structure) -> bool:
    """Return whether no group of the finest grouping needs more than a few pseudo-rows."""
    if not structure.chain or linear.classes.of_row is None:
        return True
    grouping = structure.chain[0]
    assert grouping.unit_of_row is not None
    cells, of_row, order = _cells(grouping.unit_of_row, linear.classes.of_row, linear.classes.size)
    unit = cells // linear.classes.size
    most = int(np.bincount(unit).max())
    if most == 1 or most * len(grouping.entries) <= MOST_ROWS:
        return True
    own = np.column_stack([entry.known for entry in grouping.entries])[order]
    rows = _ranked(own, np.flatnonzero(np.diff(of_row, prepend=-1)))[0]
    ranks = np.count_nonzero(np.any(rows != 0, axis=2), axis=1)
    return bool(np.bincount(unit, ranks).max() <= MOST_ROWS)


def _coarser_levels(
    linear: Linear,
    structure: Structure,
    levels: Sequence[Grouping],
    columns: Array,
    upper: Sequence[tuple[Array, Array]],
    order: Codes | None,
) -> list[Coarser]:
    """Return the cross-products of groupings whose columns stand one after another, in rows of the given order."""
    found: list[Coarser] = []
    ups = _parents(structure)
    of_class = linear.classes.of_row
    at = 0
    for level, (_, scales) in zip(levels, upper, strict=True):
        assert level.unit_of_row is not None
        count = len(level.entries)
        within, rest = columns[:, at : at + count], columns[:, at + count :]
        at += count
        unit = level.unit_of_row if order is None else level.unit_of_row[order]
        classes = of_class if order is None or of_class is None else of_class[order]
        found.append(_coarser(level, within, rest, unit, classes, linear.classes.size, scales, ups))
    return found


def _parents(structure: Structure) -> dict[int, Codes]:
    """Return the next coarser unit of each unit, by the identity of the grouping."""
    found: dict[int, Codes] = {}
    for fine, coarse in zip(structure.chain, structure.chain[1:], strict=False):
        assert fine.unit_of_row is not None
        assert coarse.unit_of_row is not None
        found[id(fine)] = parents(fine.unit_of_row, coarse.unit_of_row, fine.size)
    return found


def _cells(unit: Codes, of_class: Codes | None, classes: int) -> tuple[Codes, Codes, Codes]:
    """Return the cells, the cell of each row in order of cells, and that order of the rows."""
    key = unit if of_class is None else unit * classes + of_class
    order = np.arange(len(key)) if np.all(key[1:] >= key[:-1]) else np.argsort(key, kind="stable")
    ordered = key[order]
    new = np.flatnonzero(np.diff(ordered, prepend=-1))
    of_row = np.repeat(np.arange(len(new)), np.diff(np.append(new, len(key))))
    cells = ordered[new]
    return (cells if of_class is not None else cells * classes), of_row, order


def _pseudo_rows(own: Array, others: Array, of_row: Codes, starts: Codes) -> tuple[Array, Array, Array]:
    """Return by cell the rows that bear on the own effects, and what is left of the other columns.

    With Z'Z = Q D Q', the rows are D^(1/2) Q' for the own columns and D^(-1/2) Q' Z'X for the others.
    """
    count = own.shape[1]
    cross = np.stack([np.add.reduceat(others * own[:, [k]], starts) for k in range(count)], axis=1)
    rows, inverse, vectors = _ranked(own, starts)
    columns = inverse[:, :, None] * (vectors.transpose(0, 2, 1) @ cross)
    slopes = np.einsum("ckl,cl,clq->ckq", vectors, inverse, columns)
    left = others.copy()
    for k in range(count):
        left -= own[:, [k]] * slopes[of_row, k]
    return rows, columns, left


def _ranked(own: Array, starts: Codes) -> tuple[Array, Array, Array]:
    """Return D^(1/2) Q', D^(-1/2) and Q of each cell, zero in directions in which its own columns do not reach."""
    square = np.stack([np.add.reduceat(own * own[:, [k]], starts) for k in range(own.shape[1])], axis=1)
    values, vectors = np.linalg.eigh(square)
    kept = values > RANK_TOLERANCE * np.maximum(values[:, -1:], 1e-300)
    root = np.sqrt(np.where(kept, values, 0.0))
    inverse = np.where(kept, 1 / np.where(kept, root, 1.0), 0.0)
    return root[:, :, None] * vectors.transpose(0, 2, 1), inverse, vectors


def _places(grouping: Grouping, unit: Codes, rows: Array) -> tuple[Codes, Codes, Codes, Codes]:
    """Return of each pseudo-row with content its cell, its place there, its group and its number in the group."""
    cell, place = np.nonzero(np.any(rows != 0, axis=2))
    owner = unit[cell]
    first = np.searchsorted(owner, np.arange(grouping.size))
    return cell, place, owner, np.arange(len(owner)) - first[owner]


def _finest(
    structure: Structure,
    unit: Codes,
    of_class: Codes,
    rows: Array,
    columns: Array,
    upper: Sequence[tuple[Array, Array]],
    ups: dict[int, Codes],
) -> Finest:
    """Put the pseudo-rows of each group's cells one after another, those without content left out."""
    grouping = structure.chain[0]
    cell, place, owner, number = _places(grouping, unit, rows)
    most = int(number.max(initial=0)) + 1
    if grouping.size * most * (rows.shape[2] + columns.shape[2]) > CELLS_AT_MOST:
        raise NotLinear(f"{grouping.size} groups of up to {most} pseudo-rows")
    own = np.zeros((grouping.size, most, rows.shape[2]))
    others = np.zeros((grouping.size, most, columns.shape[2]))
    classes = np.zeros((grouping.size, most), dtype=np.int64)
    own[owner, number], others[owner, number] = rows[cell, place], columns[cell, place]
    classes[owner, number] = of_class[cell]
    return Finest(grouping, own, others, classes, upper[0][1], ups.get(id(grouping)))


def _coarser(
    grouping: Grouping,
    within: Array,
    rest: Array,
    unit: Codes,
    of_class: Codes | None,
    classes: int,
    scales: Array,
    ups: dict[int, Codes],
) -> Coarser:
    count = within.shape[1]
    parent = ups.get(id(grouping))
    if np.max(np.abs(within), initial=0.0) < NOTHING:
        none = np.zeros(0, dtype=np.int64)
        empty = (np.zeros((0, count, count)), np.zeros((0, count, rest.shape[1])))
        return Coarser(grouping, *empty, none, none, scales, parent)
    cells, _, order = _cells(unit, of_class, classes)
    within, rest = within[order], rest[order]
    key = (unit if of_class is None else unit * classes + of_class)[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    own = np.stack([np.add.reduceat(within * within[:, [k]], starts) for k in range(count)], axis=1)
    others = np.stack([np.add.reduceat(rest * within[:, [k]], starts) for k in range(count)], axis=1)
    return Coarser(grouping, own, others, cells // classes, cells % classes, scales, parent)


def _by_class(columns: Array, of_class: Codes | None, classes: int) -> Array:
    """Return the cross-products of columns over the rows of each class."""
    if of_class is None:
        return (columns.T @ columns)[None]
    order = np.argsort(of_class, kind="stable")
    columns = columns[order]
    ends = np.searchsorted(of_class[order], np.arange(classes + 1))
    found = np.empty((classes, columns.shape[1], columns.shape[1]))
    for k in range(classes):
        part = columns[ends[k] : ends[k + 1]]
        found[k] = part.T @ part
    return found
