"""The outcome is taken relative to a first fit of the coefficients, before its sums of products are formed.

A coefficient b with the law normal(m, s) is b0 + d, d ~ normal(m - b0, s): with b0 by least squares the outcome less
X b0 is small, and so are sums of its products, which then keep their digits however far the outcome lies from zero. A
coefficient may enter several columns (with serial correlation also that of the row before, times its correlation);
offsets are then less their part of X b0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.model.ir import Const
from hdsl.passes.marginal.recognise import Linear
from hdsl.passes.marginal.scope import NotLinear
from hdsl.passes.marginal.structure import Expanded, Grouping, Structure
from hdsl.reference.values import Array

Scales = Mapping[str, Array | None]


@dataclass(frozen=True)
class Fixed:
    """A coefficient whose law has a known scale: its column is in units of that scale."""

    effect: str
    place: int
    unit: int
    sd: float


@dataclass(frozen=True)
class Near:
    """A first fit, and what is left.

    Attributes
    ----------
    fixed : tuple of Fixed
    columns : array, shape (rows, fixed)
    middle : array, shape (fixed,)
        The first fit, in units of the coefficients' scales.
    centres : mapping
        Of coefficients with several columns by effect: the first fit in units of their scales, and the scale.
    outcome : array, shape (rows,)
    offsets : list of array, each (rows,)
    """

    fixed: tuple[Fixed, ...]
    columns: Array
    middle: Array
    centres: Mapping[str, tuple[float, float]]
    outcome: Array
    offsets: list[Array]


def near(linear: Linear, structure: Structure, scales: Scales) -> Near:
    """Return the first fit of all coefficients of known scale."""
    fixed, columns = _fixed(structure, scales)
    several = _several(linear, structure, scales)
    every = np.column_stack([columns, *(_plain(part) * sd for part, sd in several)])
    found = _middle(linear, every)
    offsets = [array for _, array in linear.offsets]
    exprs = [expr for expr, _ in linear.offsets]
    centres: dict[str, tuple[float, float]] = {}
    for (part, sd), middle in zip(several, found[len(fixed) :], strict=True):
        centres[part.effects[0].name] = float(middle), sd
        for entry in part.entries:
            if not isinstance(entry.unknown, Const):
                place = exprs.index(entry.unknown)
                offsets[place] = offsets[place] + float(middle) * sd * entry.known
    return Near(fixed, columns, found[: len(fixed)], centres, linear.outcome - every @ found, offsets)


def _fixed(structure: Structure, scales: Scales) -> tuple[tuple[Fixed, ...], Array]:
    """Return the coefficients of known scale and their columns in units of it."""
    found: list[Fixed] = []
    columns: list[Array] = []
    for part in structure.together:
        if isinstance(part, Expanded):
            known = scales[part.effect.name]
            if known is None:
                raise NotLinear(f"{part.effect.role} enters through several units at once, and its spread is unknown")
            for unit in range(part.columns.shape[1]):
                found.append(Fixed(part.effect.name, 0, unit, float(known[unit])))
            columns.append(part.columns * known)
        elif is_fixed(part, scales):
            (sd,) = scales[part.effects[0].name]  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
            found.append(Fixed(part.effects[0].name, 0, 0, float(sd)))
            columns.append(part.entries[0].known[:, None] * sd)
    rows = _rows(structure)
    return tuple(found), np.column_stack(columns) if columns else np.zeros((rows, 0))


def is_fixed(part: Grouping | Expanded, scales: Scales) -> bool:
    """Return whether a part is a single coefficient with a known standard deviation and one column."""
    if isinstance(part, Expanded):
        return True
    single = part.size == 1 and len(part.entries) == 1 and isinstance(part.entries[0].unknown, Const)
    return single and scales[part.effects[0].name] is not None


def _several(linear: Linear, structure: Structure, scales: Scales) -> list[tuple[Grouping, float]]:
    """Return the coefficients of known scale with several columns, each of which the outcome or an offset has too."""
    exprs = [expr for expr, _ in linear.offsets]
    found: list[tuple[Grouping, float]] = []
    for part in structure.together:
        if isinstance(part, Expanded) or part.size > 1 or is_fixed(part, scales) or len(part.effects) != 1:
            continue
        known = scales[part.effects[0].name]
        unknowns = [entry.unknown for entry in part.entries]
        plain = any(isinstance(unknown, Const) for unknown in unknowns)
        if known is not None and plain and all(isinstance(u, Const) or u in exprs for u in unknowns):
            found.append((part, float(known.item())))
    return found


def _plain(part: Grouping) -> Array:
    """Return the column that no parameter multiplies."""
    return np.sum([entry.known for entry in part.entries if isinstance(entry.unknown, Const)], axis=0)


def _rows(structure: Structure) -> int:
    first = (*structure.chain, *structure.together)[0]
    return len(first.columns) if isinstance(first, Expanded) else len(first.entries[0].known)


def _middle(linear: Linear, columns: Array) -> Array:
    """Return coefficients near which the outcome is small: numbers then keep their digits."""
    if columns.shape[1] == 0:
        return np.zeros(0)
    weighted = columns if linear.weights is None else columns * linear.weights[:, None]
    gram = weighted.T @ columns
    ridge = gram + np.eye(len(gram)) * max(1e-10 * float(np.trace(gram)) / len(gram), 1e-300)
    found = np.linalg.solve(ridge, weighted.T @ linear.outcome)
    return found + np.linalg.solve(ridge, weighted.T @ (linear.outcome - columns @ found))


__all__ = ["Fixed", "Near", "is_fixed", "near"]
