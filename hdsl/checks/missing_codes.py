"""Numbers that may stand for a missing value: -9, 99, -999 and the like, far from all other values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hdsl.checks.data import DataRule
from hdsl.checks.finding import Findings, finding, listed
from hdsl.checks.scope import Scope
from hdsl.data.bound import Bound, BoundVariable, Reals
from hdsl.data.plain import label_numbers

_DIGITS = (7, 8, 9)
CODES = tuple(
    sign * float(code)
    for size in range(1, 6)
    for digit in _DIGITS
    for code in (10**size - 10 + digit, digit * (10**size - 1) // 9)
    for sign in (-1, 1)
)
FEWEST = 3


def codes_of_missing(scope: Scope, bound: Bound) -> Findings:
    """HDM324: no value looks like a code for a missing one."""
    help = "Write NA in the data where a value is missing. If these are values, waive this."
    for i, level in enumerate(scope.study.levels):
        for j, declared in enumerate(level.variables):
            variable = bound.variables.get(declared.name)
            values = np.empty(0) if variable is None else _numbers(variable)
            for codes, others in _apart(np.unique(values[np.isfinite(values)]), declared.kind.name == "ordered"):
                count = int(np.isin(values, codes).sum())
                message = (
                    f"{count} {'value' if count == 1 else 'values'} of `{declared.name}` "
                    f"{'is' if count == 1 else 'are'} {listed(f'{code:g}' for code in codes)}, far from the others "
                    f"({others[0]:g} to {others[-1]:g}): does this stand for missing?"
                )
                yield finding("HDM324", message, ("levels", i, "variables", j), help)


def _numbers(variable: BoundVariable) -> Reals:
    if variable.role == "weight" or variable.kind in ("binary", "category", "proportion"):
        return np.empty(0)
    if variable.kind != "ordered":
        return variable.values
    import pyarrow as pa

    numbers = np.append(label_numbers(pa.array(variable.labels, pa.large_string())), np.nan)
    return np.asarray(numbers[variable.values.astype(np.int64)], np.float64)


def _apart(distinct: Reals, ordered: bool) -> Iterator[tuple[Reals, Reals]]:
    """Yield codes at either end of the values, in ascending order, and the others."""
    low, high = _leading(distinct, ordered), _leading(-distinct[::-1], ordered)
    if low:
        yield distinct[:low], distinct[low:]
    if high:
        yield distinct[-high:], distinct[:-high]


def _leading(distinct: Reals, ordered: bool) -> int:
    """Return how many of the first values are codes that lie further from the rest than the rest is wide.

    Of ordered values the rest need only have no gap as wide as this.
    """
    are_codes = np.isin(distinct, CODES)
    leading = distinct.size if are_codes.all() else int(np.argmin(are_codes))
    for n in range(min(leading, distinct.size - FEWEST), 0, -1):
        rest = distinct[n:]
        width = np.diff(rest).max() if ordered else rest[-1] - rest[0]
        if rest[0] - distinct[n - 1] > width:
            return n
    return 0


RULES: tuple[DataRule, ...] = (codes_of_missing,)
