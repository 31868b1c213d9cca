"""Principal strata in estimands: drawn for each unit, so that `where stratum = complier` holds or not by draw.

A row is one unit, or with counts as weights many alike: its units are then spread over the strata, and the row is
taken as so many parts, one for each stratum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design.expr import walk
from hdsl.design.roles import role_text
from hdsl.estimands.rows import EstimandError, Values, arithmetic, compare_labels, row_values


@dataclass(frozen=True)
class Kinds:
    """The strata drawn for the rows.

    Attributes
    ----------
    of_part : int array, shape (draws or 1, parts)
        The stratum of each row; with `counts`, of each part of each row, row by row.
    counts : int array, shape (draws, parts), or None
        The units in each part, where rows are counted.
    parts_of_row : int
    """

    of_part: NDArray[np.int64]
    counts: NDArray[np.int64] | None
    parts_of_row: int

    def spread(self, values: Values) -> Values:
        """Return values by row, their last axis, for the parts of each row."""
        return values if self.counts is None or values.ndim == 0 else np.repeat(values, self.parts_of_row, axis=-1)

    def chosen(self, by_stratum: Values) -> Values:
        """Return values (draws, rows, strata) at the strata drawn, (draws, parts)."""
        if self.counts is not None:
            return by_stratum.reshape(len(by_stratum), -1)
        return np.take_along_axis(by_stratum, self.of_part[..., None], axis=-1)[..., 0]


def drawn_kinds(logits: NDArray[np.float64], counts: NDArray[np.int64] | None, rng: Generator) -> Kinds:
    """Draw strata from their log probabilities up to a constant, shape (draws, rows, strata).

    `counts`, shape (rows,): of how many units each row consists; None: one.
    """
    strata = logits.shape[-1]
    if counts is None:
        gumbel = -np.log(-np.log(rng.uniform(size=logits.shape)))
        return Kinds(np.argmax(logits + gumbel, axis=-1), None, 1)
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found = rng.multinomial(counts, shares / shares.sum(axis=-1, keepdims=True))
    kinds = np.tile(np.arange(strata), logits.shape[1])[None]
    return Kinds(kinds, found.reshape(len(found), -1), strata)


def counted(bound: Bound) -> NDArray[np.int64] | None:
    """Return of how many units each row consists, where its weight is a count; else None."""
    for variable in bound.variables.values():
        if variable.role == "weight" and variable.kind == "count":
            return bound.at_rows(variable.level, variable.values).astype(np.int64)
    return None


def names_strata(bound: Bound, expr: study.Expr | None) -> bool:
    """Return whether an expression refers to principal strata."""
    if expr is None:
        return False
    names = {principal.name for principal in bound.study.principals}
    return any(isinstance(node, study.Ref) and node.name in names for node in walk(expr))


def tested_stratum(bound: Bound, test: study.Comparison, kinds: Kinds | None) -> Values | None:
    """Return a comparison of the drawn strata, shape (draws or 1, parts), with one by name; None for other tests."""
    principals = {principal.name: principal for principal in bound.study.principals}
    if not isinstance(test.left, study.Ref) or test.left.name not in principals:
        return None
    if kinds is None:
        raise EstimandError("HDM520", f"`{role_text(test.left)}` cannot be told in new groups here.")
    strata = tuple(stratum.name for stratum in principals[test.left.name].strata)
    return compare_labels(test, kinds.of_part, strata)


def within_strata(bound: Bound, where: study.Expr | None, kinds: Kinds | None) -> NDArray[np.bool_] | None:
    """Return where a test that names strata holds, shape (draws or 1, parts); None for tests on the data alone."""
    if where is None or not names_strata(bound, where):
        return None

    def lookup(node: study.Expr) -> Values | None:
        if isinstance(node, study.Comparison):
            found = tested_stratum(bound, node, kinds)
            if found is not None:
                return found
            rows = row_values(bound, node)
            return rows if kinds is None else kinds.spread(rows)
        return None

    return np.asarray(arithmetic(where, lookup)).astype(np.bool_)
