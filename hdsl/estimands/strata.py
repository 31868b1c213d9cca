"""Tests on principal strata in estimands: `where stratum = complier` holds or not by draw and row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design.expr import walk
from hdsl.design.roles import role_text
from hdsl.estimands.rows import EstimandError, Values, arithmetic, compare_labels, row_values

Kinds = NDArray[np.int64] | None


def names_strata(bound: Bound, expr: study.Expr | None) -> bool:
    """Return whether an expression refers to principal strata."""
    if expr is None:
        return False
    names = {principal.name for principal in bound.study.principals}
    return any(isinstance(node, study.Ref) and node.name in names for node in walk(expr))


def tested_stratum(bound: Bound, test: study.Comparison, kinds: Kinds) -> Values | None:
    """Return a comparison of the drawn strata, shape (draws, rows), with one by name; None for other tests."""
    principals = {principal.name: principal for principal in bound.study.principals}
    if not isinstance(test.left, study.Ref) or test.left.name not in principals:
        return None
    if kinds is None:
        raise EstimandError("HDM520", f"`{role_text(test.left)}` cannot be told in new groups here.")
    strata = tuple(stratum.name for stratum in principals[test.left.name].strata)
    return compare_labels(test, kinds, strata)


def within_strata(bound: Bound, where: study.Expr | None, kinds: Kinds) -> NDArray[np.bool_] | None:
    """Return where a test that names strata holds, shape (draws, rows); None for tests on the data alone."""
    if where is None or not names_strata(bound, where):
        return None

    def lookup(node: study.Expr) -> Values | None:
        if isinstance(node, study.Comparison):
            found = tested_stratum(bound, node, kinds)
            return row_values(bound, node) if found is None else found
        return None

    return np.asarray(arithmetic(where, lookup)).astype(np.bool_)
