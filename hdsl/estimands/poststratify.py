"""Estimands over population cells: each cell is predicted by the model and counts as often as it says.

A cell of a group that the data know has that group's effects; other groups are drawn from the distribution of groups
given the draws. Source: Gelman & Little (1997), multilevel regression and poststratification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.design.expr import Aggregate, Potential, walk
from hdsl.estimands.predict import ABSENT, draws_of, levels_of_sets, places_of, resized, with_settings
from hdsl.estimands.rows import EstimandError
from hdsl.model.ir import Model, ModelData
from hdsl.reference.values import Array


@dataclass(frozen=True)
class Cells:
    """The model over population cells.

    Attributes
    ----------
    bound : Bound
        The cells as rows of the study.
    places : mapping
        Index set to the unit of the study that each of its units is, -1 for new ones.
    weights : float array, shape (cells,)
    unsaid : frozenset of str
        The treatments that the cells do not tell.
    """

    model: Model
    data: ModelData
    bound: Bound
    places: Mapping[str, NDArray[np.int64]]
    weights: Reals
    unsaid: frozenset[str]

    def draws(self, draws: Mapping[str, Array], seed: int) -> Mapping[str, Array]:
        """Return draws for the units of the cells, from those of the study's units, shapes (draw, *dims)."""
        return draws_of(self.model, self.data, draws, self.places, seed)


def cells_of(model: Model, data: ModelData, bound: Bound, file: str) -> Cells:
    """Return the model over the cells of a file.

    Raises
    ------
    EstimandError
        HDM525: the cells do not have what the model needs.
    """
    if file not in bound.populations:
        raise EstimandError("HDM525", f"{file} was not read with the data.", "Name the file in the study.")
    population = bound.populations[file]
    absent = frozenset(bound.treatments) - frozenset(population.cells.treatments)
    cells = _with_outcomes_of(bound, with_settings(population.cells, absent))
    levels = levels_of_sets(model, data, bound)
    try:
        small, values = resized(model, data, bound, cells, levels)
    except EstimandError as error:
        code = "HDM525" if error.code == ABSENT else error.code
        message = error.message.replace("New units", f"Units of {file} that the data do not know")
        raise EstimandError(code, message.replace("The new data have", f"{file} has"), _help(error)) from error
    places = {dim: places_of(bound, cells, level) for dim, level in levels.items()}
    row = {dim for dim, level in levels.items() if level == bound.row}
    fresh = {dim: np.full_like(found, -1) if dim in row else found for dim, found in places.items()}
    return Cells(small, values, cells, fresh, population.weights, absent)


def _with_outcomes_of(bound: Bound, cells: Bound) -> Bound:
    """Return cells with the study's outcomes and their labels, all unknown."""
    unknown = np.full(cells.rows, np.nan)
    outcomes = {name: each for name, each in bound.variables.items() if each.role == "outcome"}
    blank = {name: BoundVariable(name, cells.row, "outcome", v.kind, unknown, v.labels) for name, v in outcomes.items()}
    return replace(cells, variables={**cells.variables, **blank})


def check_settings(cells: Cells, node: Aggregate) -> None:
    """Check that an aggregate sets each treatment that its cells do not tell, else HDM525."""
    set_ = [{s.treatment for s in n.settings} for n in walk(node.of) if isinstance(n, Potential)]
    always = set[str].intersection(*set_) if set_ else set[str]()
    for name in sorted(cells.unsaid - always):
        help_ = "Set it in each potential outcome, or give the cells a column for it."
        raise EstimandError("HDM525", f"{node.over} does not say which {name} a cell has.", help_)


def _help(error: EstimandError) -> str:
    return error.help.replace("Give its column, or predict for units that the study knows.", "Give the cells a column.")


def with_outcomes(node: Aggregate, outcomes: frozenset[str]) -> Aggregate:
    """Return an aggregate over cells in which the outcome's name is the outcome with treatments as in the cells."""
    return node.model_copy(update={"of": _predicted(node.of, outcomes)})


def _predicted(expr: study.Expr, outcomes: frozenset[str]) -> study.Expr:
    match expr:
        case study.Ref(name=name) if name in outcomes:
            return Potential.model_construct(node="potential", outcome=name, settings=())
        case study.Negative(of=inner):
            return expr.model_copy(update={"of": _predicted(inner, outcomes)})
        case study.Operation(left=left, right=right) | study.Comparison(left=left, right=right):
            return expr.model_copy(update={"left": _predicted(left, outcomes), "right": _predicted(right, outcomes)})
        case study.Logical(operands=operands):
            return expr.model_copy(update={"operands": tuple(_predicted(each, outcomes) for each in operands)})
        case study.Call(args=args):
            return expr.model_copy(update={"args": tuple(_predicted(each, outcomes) for each in args)})
        case _:
            return expr


def copies(cells: int, wanted: int = 5000) -> int:
    """Return how many units are drawn in each cell for spreads, quantiles and shares."""
    return max(1, -(-wanted // max(cells, 1)))
