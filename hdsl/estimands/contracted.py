"""Averages of linear outcomes without a value for each row: the rows are averaged once, before any draw.

Where the expected outcome is linear in the effects, y_i = sum_k x_ik u_k b_k[g(i)] (x known, u a number for each
draw), an average over rows with weights w_i is sum_k u_k sum_g (sum_{i in g} w_i x_ik) b_k[g]: what stands in
parentheses is the same in all draws. The cost of a draw then grows with the groups, not with the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.design import expr as study
from hdsl.design.expr import Potential
from hdsl.estimands.aggregate import Integers, Units
from hdsl.estimands.worlds import BATCH, World
from hdsl.model.ir import Expr, references
from hdsl.passes.marginal.forms import array_of, sum_of, unit_dims
from hdsl.passes.marginal.recognise import with_effects
from hdsl.passes.marginal.scope import NotLinear, Term
from hdsl.reference.density import definitions
from hdsl.reference.values import Array, evaluate

NOTHING = 1e-14

type Key = tuple[str | None, int, Expr, bool, bool]


@dataclass(frozen=True)
class Contraction:
    """An aggregate as a linear form of effects.

    Attributes
    ----------
    parts : mapping
        By effect, its place, the unknown factor, whether its mean over units stands for it, and whether it has units:
        the known factors, (cells, units or 1), sparse.
    cells : int
    empty : bool array, shape (cells,)
        Cells of the index without any unit.
    """

    world: World
    parts: Mapping[Key, Any]
    cells: int
    empty: NDArray[np.bool_]

    @property
    def width(self) -> int:
        """The most numbers that one draw needs."""
        return max([self.cells, *(int(matrix.shape[1]) for matrix in self.parts.values())])

    def of(self, draws: Mapping[str, Array]) -> Array:
        """Return the aggregate by draw and cell, (draws,) or (draws, cells)."""
        number = next(iter(draws.values())).shape[0]
        names = frozenset().union(*(references(key[2]) for key in self.parts))
        env = definitions(self.world.model, self.world.data, draws, sorted(names), BATCH)
        found = np.zeros((number, self.cells))
        for (effect, place, unknown, average, _), matrix in self.parts.items():
            value = self._effect(effect, place, average, draws)
            part = (
                np.asarray((matrix @ value.T).T) if value is not None else np.asarray(matrix.sum(axis=1)).reshape(1, -1)
            )
            factor = evaluate(unknown, env).real
            found += part * (factor[:, None] if np.ndim(factor) else factor)
        found[:, self.empty] = np.nan
        return found[:, 0] if self.cells == 1 else found

    def _effect(self, effect: str | None, place: int, average: bool, draws: Mapping[str, Array]) -> Array | None:
        """Return the elements of an effect, (draws, units), or their mean, (draws, 1)."""
        if effect is None:
            return None
        model = self.world.model
        variable = next(v for v in model.variables if v.name == effect)
        _, across = unit_dims(variable, model)
        values = draws[effect]
        values = values.reshape(len(values), -1, model.sizes[across])[:, :, place] if across is not None else values
        values = values.reshape(len(values), -1)
        return values.mean(axis=1, keepdims=True) if average else values


def coefficients(expr: study.Expr) -> dict[Potential, float] | None:
    """Return the number by which each potential outcome is multiplied in a sum of them; None for anything else."""
    match expr:
        case Potential() as potential:
            return dict.fromkeys((potential,), 1.0)
        case study.Negative(of=inner):
            return _times(coefficients(inner), -1.0)
        case study.Operation(operator="+" | "-" as sign, left=left, right=right):
            one, other = coefficients(left), coefficients(right)
            if one is None or other is None:
                return None
            signed = _times(other, 1.0 if sign == "+" else -1.0) or {}
            return {key: one.get(key, 0.0) + signed.get(key, 0.0) for key in {**one, **signed}}
        case study.Operation(operator="*", left=study.Number(value=by), right=inner):
            return _times(coefficients(inner), by)
        case study.Operation(operator="*", left=inner, right=study.Number(value=by)):
            return _times(coefficients(inner), by)
        case study.Operation(operator="/", left=inner, right=study.Number(value=by)) if by:
            return _times(coefficients(inner), 1 / by)
        case _:
            return None


def _times(found: dict[Potential, float] | None, by: float) -> dict[Potential, float] | None:
    return None if found is None else {key: by * value for key, value in found.items()}


def contracted(expr: study.Expr, worlds: Mapping[Potential, World], units: Units) -> Contraction | None:
    """Return the average of an expression over units as a linear form; None where it is none."""
    wanted = coefficients(expr)
    if wanted is None or units.copies > 1:
        return None
    weights, cell, empty = _weights(units)
    parts: dict[Key, Any] = {}
    try:
        for potential, by in wanted.items():
            place = worlds[potential]
            if place.joint or place.observation.mixture is not None or place.observation.sequence is not None:
                return None
            if place.observation.law.distribution != "normal":
                return None
            scope = with_effects(place.model, place.data)
            for term in sum_of(place.observation.law.args[0], scope).terms:
                key, matrix = _part(term, place, by * weights, cell, units.cells)
                parts[key] = parts[key] + matrix if key in parts else matrix
    except NotLinear:
        return None
    kept = {key: matrix for key, matrix in parts.items() if _size(matrix) > NOTHING}
    return Contraction(next(iter(worlds.values())), kept, units.cells, empty)


def _size(matrix: Any) -> float:
    return float(np.abs(matrix.data).max(initial=0.0))


def _weights(units: Units) -> tuple[Array, Integers, NDArray[np.bool_]]:
    """Return the weight of each row in the average of its cell, its cell, and which cells are empty."""
    weights = units.weights * units.chosen
    if units.unit_of is None:
        cell = units.cell_of_unit
        total = np.bincount(cell, weights, units.cells)
        share = weights / np.where(total > 0, total, 1.0)[cell]
        return share, cell, total <= 0
    total = np.bincount(units.unit_of, weights, len(units.cell_of_unit))
    number = np.bincount(units.cell_of_unit[total > 0], minlength=units.cells)
    cell = units.cell_of_unit[units.unit_of]
    share = weights / np.where(total > 0, total, 1.0)[units.unit_of] / np.maximum(number, 1)[cell]
    return share, cell, number == 0


def _part(term: Term, place: World, weights: Array, cell: Integers, cells: int) -> tuple[Key, Any]:
    from scipy.sparse import csr_matrix

    model, rows = place.model, place.observation.dims
    known = np.asarray(array_of(term.known, rows, model.sizes), dtype=np.float64)
    unit, size = np.zeros(len(known), np.int64), 1
    if term.unit is not None and not term.average:
        unit = np.asarray(array_of(term.unit, rows, model.sizes), dtype=np.int64)
        variable = next(v for v in model.variables if v.name == term.effect)
        size = int(np.prod([model.sizes[dim] for dim in unit_dims(variable, model)[0]]))
    matrix = csr_matrix((known * weights, (cell, unit)), shape=(cells, size))
    matrix.sum_duplicates()
    return (term.effect, term.place, term.unknown, term.average, size > 1), matrix
