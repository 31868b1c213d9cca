"""The outcome as a number for each row, and what is left of it when treatments and covariates are regressed out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.design import ir

MOST_COLUMNS = 60
LOGGED = ("positive", "duration")


@dataclass(frozen=True)
class Residuals:
    """How outcomes become residuals: the same way for what was observed and for what is replicated.

    Attributes
    ----------
    basis : float array, shape (rows, k)
        Orthonormal columns that are regressed out.
    logged : bool
        Whether outcomes are taken as logarithms.
    """

    basis: Reals
    logged: bool

    def outcome(self, y: Reals) -> Reals:
        """Return outcomes as they are compared, shape (..., rows)."""
        with np.errstate(all="ignore"):
            return np.log(y) if self.logged else np.asarray(y, np.float64)

    def of(self, y: Reals) -> Reals:
        """Return residuals, shape (..., rows)."""
        values = self.outcome(y)
        return values - (values @ self.basis) @ self.basis.T

    def beyond(self, column: Reals) -> Reals:
        """Return what a column has beyond those regressed out, scaled to length 1; zeros where that is nothing."""
        rest = column - self.basis @ (self.basis.T @ column)
        size, whole = float(np.linalg.norm(rest)), float(np.linalg.norm(column))
        return rest / size if size > 1e-6 * max(whole, 1e-300) else np.zeros_like(rest)


def residuals_of(bound: Bound) -> Residuals:
    """Return the residuals of a study: treatments, covariates and waves regressed out."""
    columns = [np.ones(bound.rows)]
    for _, column in design_columns(bound):
        if len(columns) < MOST_COLUMNS:
            columns.append(column)
    q, r = np.linalg.qr(np.column_stack(columns))
    kept = np.abs(np.diag(r)) > 1e-8 * np.sqrt(bound.rows)
    outcome = outcome_variable(bound)
    return Residuals(q[:, kept], outcome.kind in LOGGED and bool(np.all(outcome.values > 0)))


def outcome_variable(bound: Bound) -> BoundVariable:
    """Return the outcome."""
    return next(variable for variable in bound.variables.values() if variable.role == "outcome")


def outcomes_at_rows(bound: Bound) -> Reals:
    """Return the observed outcome, shape (rows,)."""
    outcome = outcome_variable(bound)
    return bound.at_rows(outcome.level, outcome.values).astype(np.float64)


def why_not(bound: Bound) -> str:
    """Return why the outcome has no statistics to check; empty where it has."""
    outcome = outcome_variable(bound)
    if bound.frequency is not None:
        return "rows were summed up: there are none to be compared one by one"
    if outcome.event is not None:
        return f"{outcome.name} is censored, and replicates would have to be censored alike"
    if outcome.kind == "category":
        return f"{outcome.name} is a category, which has no mean or spread"
    families = [each.law.function for each in bound.study.analysis if isinstance(each, ir.Family)]
    if "quantile" in families:
        return "a family of quantiles is no law that data come from"
    if any(variable.role == "weight" and variable.kind == "count" for variable in bound.variables.values()):
        return "rows are counted, and a replicate of a row would be many outcomes"
    return ""


def design_columns(bound: Bound) -> Iterator[tuple[str, Reals]]:
    """Yield standardised columns of treatments, covariates and waves, at the rows; one for each value of a category."""
    for treatment in bound.treatments.values():
        values = bound.at_rows(treatment.level, treatment.values).astype(np.float64)
        if treatment.arms:
            yield from _dummies(treatment.name, values, len(treatment.arms))
        else:
            yield treatment.name, _scaled(values)
    for name, values in covariates(bound):
        yield name, _scaled(values)
    for variable in bound.variables.values():
        if variable.role == "covariate" and variable.labels and len(variable.labels) <= 20:
            values = bound.at_rows(variable.level, variable.values).astype(np.float64)
            yield from _dummies(variable.name, values, len(variable.labels))


def covariates(bound: Bound) -> Iterator[tuple[str, Reals]]:
    """Yield numeric covariates and waves by name, at the rows."""
    for variable in bound.variables.values():
        if variable.role == "covariate" and not variable.labels:
            values = bound.at_rows(variable.level, variable.values).astype(np.float64)
            if np.all(np.isfinite(values)) and float(np.ptp(values)) > 0:
                yield variable.name, values
    for level in bound.levels.values():
        if level.positions is not None:
            yield level.name, level.positions[level.rows]


def _dummies(name: str, codes: Reals, count: int) -> Iterator[tuple[str, Reals]]:
    for place in range(1, count):
        yield name, _scaled((codes == place).astype(np.float64))


def _scaled(values: Reals) -> Reals:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)


def group_sums(values: Reals, groups: NDArray[np.int64], size: int) -> Reals:
    """Return sums by group, (..., rows) to (..., size)."""
    from scipy.sparse import csr_matrix

    rows = len(groups)
    where = csr_matrix((np.ones(rows), (groups, np.arange(rows))), shape=(size, rows))
    flat = values.reshape(-1, rows)
    return np.asarray((where @ flat.T).T).reshape(*values.shape[:-1], size)
