"""Which principal strata the data on a treatment and an intermediate leave open."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hdsl.data.bound import Bound, BoundVariable
from hdsl.design.ir import Principal


def possible_strata(bound: Bound, principal: Principal) -> NDArray[np.bool_]:
    """Return whether a row's arm and intermediate allow each stratum, shape (rows, strata)."""
    treatment, variable = bound.treatments[principal.treatment], bound.variables[principal.intermediate]
    arms = bound.at_rows(treatment.level, treatment.values).astype(np.int64)
    seen = bound.at_rows(variable.level, variable.values)
    codes = np.array([[_code(variable, value) for value in stratum.values] for stratum in principal.strata])
    return np.equal(codes[:, arms].T, seen[:, None])


def _code(variable: BoundVariable, value: float | str) -> float:
    """Return the number that stands for a value of the intermediate in the data; NaN where it does not occur."""
    label = value if isinstance(value, str) else f"{value:g}"
    if label in variable.labels:
        return float(variable.labels.index(label))
    return math.nan if isinstance(value, str) or variable.labels else float(value)
