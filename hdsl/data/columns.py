"""Columns of a table made into arrays by the kind of their variable, without a loop over rows.

A value that does not fit its kind is reported with its row and then counts as missing, so that all problems
of a study's data come out in one go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdsl.data.plain import (
    EXACT,
    NUMBER,
    all_match,
    as_text,
    days,
    equal_text,
    is_date,
    is_text,
    label_numbers,
    marks_missing,
    natural_order,
    natural_text,
    numbers,
    to_plain,
)
from hdsl.data.table import ArrowArray, Column, Mask, bad_rows, compute, listed_rows
from hdsl.diagnostics import Diagnostic, did_you_mean

SHOWN_CODES = 8


@dataclass(frozen=True, eq=False)
class Coerced:
    """Values of a column, shape (rows,).

    `missing` marks rows without a usable value (None where there are none); there a real value is NaN and an
    integer -1.
    """

    values: NDArray[Any]
    missing: Mask | None
    problems: list[Diagnostic]


@dataclass(frozen=True, eq=False)
class Coded:
    """A column as codes into its distinct values, shape (rows,); -1 is missing.

    `names` is a pyarrow array of the distinct values as text, in order. For a wave `positions` are its
    occasions as numbers, of the length of `names`.
    """

    codes: NDArray[np.int64]
    names: ArrowArray
    problems: list[Diagnostic]
    positions: NDArray[np.float64] | None = None

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The distinct values as text."""
        return tuple(self.names.to_pylist())

    @property
    def missing(self) -> Mask | None:
        """Rows without a value, None where there are none."""
        return _none_if_empty(self.codes < 0)


def to_real(column: Column) -> Coerced:
    """Real numbers, float64; HDM350 for what is no number, HDM351 for infinity."""
    plain = to_plain(column)
    if isinstance(plain, Diagnostic):
        return Coerced(np.full(len(column), np.nan), np.ones(len(column), np.bool_), [plain])
    values, bad = numbers(plain, column.decimal_comma)
    help = "Mend the data, write missing values as NA, or give the variable another kind."
    if not column.decimal_comma and bad.any():
        help += " A number has a decimal point and no thousands separator."
    problems = bad_rows(column, bad, "HDM350", ("is not a number", "are not numbers"), help)
    infinite = np.isinf(values)
    help = "Write missing values as NA."
    problems += bad_rows(column, infinite, "HDM351", ("is infinite", "are infinite"), help)
    values[infinite] = np.nan
    return Coerced(values, _none_if_empty(np.isnan(values)), problems)


def to_positive(column: Column) -> Coerced:
    """Real numbers above zero; HDM352."""
    help = "A positive variable is above zero. Where zeros are possible use real, or count."
    return _within(column, "HDM352", ("is not above zero", "are not above zero"), help, lambda v: v <= 0)


def to_dose(column: Column) -> Coerced:
    """Doses: real numbers from zero, which is no dose; HDM352."""
    help = "A dose declared positive is zero or above; if it can be negative, declare it real."
    return _within(column, "HDM352", ("is below zero", "are below zero"), help, lambda v: v < 0)


def to_proportion(column: Column) -> Coerced:
    """Real numbers from 0 to 1; HDM353."""
    help = "A proportion lies between 0 and 1; divide percentages by 100."
    what = ("is not between 0 and 1", "are not between 0 and 1")
    return _within(column, "HDM353", what, help, lambda v: (v < 0) | (v > 1))


def to_count(column: Column) -> Coerced:
    """Whole numbers from 0, int64; HDM354."""
    help = "A count is 0, 1, 2, ...; for other numbers use real or positive."
    what = ("is not a count", "are not counts")
    real = _within(column, "HDM354", what, help, lambda v: (v < 0) | (v != np.floor(v)) | (v > EXACT))
    return Coerced(_as_integers(real), real.missing, real.problems)


def to_binary(column: Column) -> Coerced:
    """0 or 1, int64, from 0/1, true/false, yes/no or y/n in any case; HDM355 for the rest."""
    coded = to_category(column)
    sizes, low = label_numbers(coded.names), compute().utf8_lower(coded.names)
    table = np.full(len(coded.names) + 1, -2)
    table[:-1][(sizes == 1) | equal_text(low, "yes") | equal_text(low, "y")] = 1
    table[:-1][(sizes == 0) | equal_text(low, "no") | equal_text(low, "n")] = 0
    table[:-1][marks_missing(coded.names)] = -1
    table[-1] = -1
    values = table[coded.codes]
    help = "It holds 0 and 1, true and false, yes and no, or y and n: recode it, or declare a covariate as category."
    problems = bad_rows(column, values == -2, "HDM355", ("is not 0 or 1", "are not 0 or 1"), help)
    values[values == -2] = -1
    return Coerced(values, _none_if_empty(values < 0), coded.problems + problems)


def to_category(column: Column) -> Coded:
    """Codes into the distinct values, which are sorted as numbers if all are numbers, else as text.

    Numbers are named naturally (12, not 12.0). An ordered Arrow dictionary keeps its own order.
    """
    import pyarrow as pa

    text = as_text(column)
    if isinstance(text, Diagnostic):
        return Coded(np.full(len(column), -1), pa.array([], pa.large_string()), [text])
    encoded = text.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(-1)).astype(np.int64)
    order = _given_order(column, encoded.dictionary)
    if order is None:
        order = natural_order(encoded.dictionary)
    rank = np.empty(len(order) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    return Coded(rank[codes], encoded.dictionary.take(pa.array(order)), [])


def to_ordered(column: Column, order: Sequence[str] | None = None) -> Coded:
    """Codes into ordered levels: those given, else of an ordered dictionary, else numbers by size; HDM356."""
    import pyarrow as pa

    coded = to_category(column)
    if order is None:
        ordered = _given_order(column, coded.names) is not None or all_match(coded.names, NUMBER)
        if ordered or coded.problems:
            return coded
        help = "Code the levels as numbers, 1 for the lowest."
        message = f"The order of column {column.name!r} in {column.source} is unknown: its levels are text."
        return Coded(coded.codes, coded.names, [Diagnostic("HDM356", message, help=help)])
    levels = pa.array(list(order), pa.large_string())
    places = np.append(_places(coded.names, levels), -1)
    codes = places[coded.codes]
    bad = (codes < 0) & (coded.codes >= 0)
    help = "The levels are, from the lowest: " + ", ".join(order) + "."
    problems = bad_rows(column, bad, "HDM356", ("is not among the levels", "are not among the levels"), help)
    return Coded(codes, levels, coded.problems + problems)


def to_wave(column: Column) -> Coded:
    """Occasions in order, with positions: numbers as they are, dates in days since the first; HDM357."""
    import pyarrow as pa

    plain = to_plain(column)
    if isinstance(plain, Diagnostic):
        return Coded(np.full(len(column), -1), pa.array([], pa.large_string()), [plain], np.zeros(0))
    values, bad = numbers(plain, column.decimal_comma) if not is_date(plain.type) else days(plain)
    if bad.any() and is_text(plain.type):
        dated, no_date = days(plain)
        values, bad = (dated, no_date) if no_date.sum() < bad.sum() else (values, bad)
    bad = bad | np.isinf(values)
    help = "An occasion is a number, or a date written 2024-05-31. Number quarters or months, or date them by a day."
    what = ("is neither a number nor a date", "are neither numbers nor dates")
    problems = bad_rows(column, bad, "HDM357", what, help)
    good = ~bad & ~np.isnan(values)
    positions, inverse = np.unique(values[good], return_inverse=True)
    codes = np.full(len(values), -1, np.int64)
    codes[good] = inverse
    first = np.zeros(len(positions), np.int64)
    first[codes[good][::-1]] = np.flatnonzero(good)[::-1]
    names = natural_text(plain.take(pa.array(first)))
    return Coded(codes, names, problems, positions)


def arm_codes(column: Column, codes: Mapping[str, float | str]) -> Coded:
    """The arm of each row.

    Parameters
    ----------
    column
        The treatment as recorded.
    codes
        The code of each arm. A number is compared as a number ("1", 1.0 and true are 1), a string exactly.

    Returns
    -------
    Codes into the arms, in the order of `codes`, with HDM358 for each value that is no arm's code.
    """
    import pyarrow as pa

    coded = to_category(column)
    sizes = label_numbers(coded.names)
    arms = np.full(len(coded.names) + 1, -1, np.int64)
    for arm, code in enumerate(codes.values()):
        hit = equal_text(coded.names, code.strip()) if isinstance(code, str) else sizes == float(code)
        arms[:-1][hit & (arms[:-1] < 0)] = arm
    unknown = np.flatnonzero((arms[:-1] < 0) & ~marks_missing(coded.names))
    problems = _unknown_codes(column, coded, unknown, codes) if unknown.size else []
    return Coded(arms[coded.codes], pa.array(list(codes), pa.large_string()), coded.problems + problems)


def _within(column: Column, code: str, what: tuple[str, str], help: str, outside: Any) -> Coerced:
    real = to_real(column)
    with np.errstate(invalid="ignore"):
        bad = outside(real.values)
    bad &= ~np.isnan(real.values)
    problems = real.problems + bad_rows(column, bad, code, what, help)
    values = np.where(bad, np.nan, real.values)
    return Coerced(values, _none_if_empty(np.isnan(values)), problems)


def _as_integers(real: Coerced) -> NDArray[np.int64]:
    return (real.values if real.missing is None else np.where(real.missing, -1, real.values)).astype(np.int64)


def _none_if_empty(mask: Mask) -> Mask | None:
    return mask if mask.any() else None


def _given_order(column: Column, names: ArrowArray) -> NDArray[np.int64] | None:
    """The order in which an ordered Arrow dictionary lists `names`; None for other columns."""
    import pyarrow as pa

    type = column.values.type
    if not pa.types.is_dictionary(type) or not type.ordered:
        return None
    chunks = column.values.unify_dictionaries().chunks
    levels = as_text(Column(column.name, pa.chunked_array([c.dictionary for c in chunks[:1]], type.value_type)))
    return None if isinstance(levels, Diagnostic) else np.argsort(_places(names, levels), kind="stable")


def _places(names: ArrowArray, among: ArrowArray) -> NDArray[np.int64]:
    """Where each name stands in `among`, -1 for nowhere."""
    pc = compute()
    return np.asarray(pc.index_in(names, value_set=among.cast(names.type)).fill_null(-1)).astype(np.int64)


def _unknown_codes(
    column: Column, coded: Coded, unknown: NDArray[np.int64], codes: Mapping[str, float | str]
) -> list[Diagnostic]:
    counts = np.bincount(coded.codes[coded.codes >= 0], minlength=len(coded.names))
    rows = np.flatnonzero(np.isin(coded.codes, unknown))
    shown = unknown[:SHOWN_CODES]
    names = coded.names.take(shown).to_pylist()
    listed = [f'"{name}" ({times(int(counts[i]))})' for name, i in zip(names, shown, strict=True)]
    more = f" and {unknown.size - shown.size} other values" if unknown.size > shown.size else ""
    message = (
        f"Column {column.name!r} in {column.source} holds what is no arm's code: {', '.join(listed)}{more};"
        f" first in {column.rows.name(int(rows[0]))}."
    )
    return [Diagnostic("HDM358", message, help=_arm_help(names, codes), rows=listed_rows(rows))]


def _arm_help(unknown: list[str], codes: Mapping[str, float | str]) -> str:
    shown = {arm: f'"{code}"' if isinstance(code, str) else f"{code:g}" for arm, code in codes.items()}
    known = ", ".join(f"{arm} = {code}" for arm, code in shown.items())
    near = did_you_mean(unknown[0], [code for code in codes.values() if isinstance(code, str)])
    hint = f' Did you mean "{near}" for "{unknown[0]}"?' if near else ""
    return f"The arms are {known}.{hint} Mend the data or give the arm the code that the data use."


def times(count: int) -> str:
    """`1 row` or `3 rows`."""
    return "1 row" if count == 1 else f"{count} rows"
