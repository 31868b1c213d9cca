"""Values coerced by kind, ids made into keys, and tables joined on them."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdsl.data.columns import (
    arm_codes,
    to_binary,
    to_category,
    to_count,
    to_ordered,
    to_positive,
    to_proportion,
    to_real,
    to_wave,
)
from hdsl.data.keys import lookup, repeated, to_key
from hdsl.data.sources import open_table
from hdsl.data.table import Column, RowNames, Table
from hdsl.diagnostics import CODES

NAN = float("nan")


def column(values: Any, type: pa.DataType | None = None, **more: Any) -> Column:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, type)
    chunked = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    return Column("x", chunked, "trial.csv", **more)


def codes_of(problems: list[Any]) -> list[str]:
    assert all(p.code in CODES and p.help for p in problems)
    return [p.code for p in problems]


@pytest.mark.parametrize(
    "values",
    [
        ["1", "2.50", None, "-3e2"],
        [" 1 ", "2.5", "NA", "-300"],
        pa.array([1.0, 2.5, NAN, -300.0]),
        pa.array([1.0, 2.5, None, -300.0], pa.float32()),
        pa.array([Decimal("1.00"), Decimal("2.50"), None, Decimal("-300.00")]),
        pa.array(["1", "2.5", None, "-300"]).dictionary_encode(),
        pa.array(["1", "2.5", None, "-300"], pa.string_view()),
        pa.chunked_array([pa.array([1.0, 2.5]), pa.array([None, -300.0])]),
    ],
)
def test_numbers_of_every_type(values: Any) -> None:
    real = to_real(column(values))
    np.testing.assert_array_equal(real.values, [1.0, 2.5, NAN, -300.0])
    assert real.missing is not None
    assert real.missing.tolist() == [False, False, True, False]
    assert real.problems == []


def test_no_missing_is_none() -> None:
    assert to_real(column([1.0, 2.0])).missing is None
    assert to_category(column(["a", "b"])).missing is None


def test_what_is_no_number_is_named_with_its_rows() -> None:
    rows = RowNames(first_line=2)
    real = to_real(column(["1", "abc", "2", None, "0x10", "1,5", "--2", "1_0", "3 4", "5%"], rows=rows))
    np.testing.assert_array_equal(real.values, [1.0, NAN, 2.0, *[NAN] * 7])
    (problem,) = real.problems
    assert codes_of(real.problems) == ["HDM350"]
    assert problem.rows == (2, 5, 6, 7, 8, 9, 10)
    assert problem.message == (
        "7 values of column 'x' in trial.csv are not numbers: \"abc\" in row 2 (line 3),"
        ' "0x10" in row 5 (line 6), "1,5" in row 6 (line 7), "--2" in row 7 (line 8),'
        ' "1_0" in row 8 (line 9) and 2 more.'
    )


def test_thousands_of_bad_values_stay_one_short_message() -> None:
    (problem,) = to_real(column(["a" * 500] * 5000)).problems
    assert len(problem.message) < 600
    assert len(problem.rows) == 100


def test_infinity_is_refused() -> None:
    for values in (["1", "inf", "1e999"], [1.0, float("inf"), float("-inf")]):
        real = to_real(column(values))
        assert codes_of(real.problems) == ["HDM351"]
        np.testing.assert_array_equal(real.values, [1.0, NAN, NAN])


def test_decimal_commas_only_where_no_point_is_used() -> None:
    assert to_real(column(["1,5", "2"], decimal_comma=True)).values.tolist() == [1.5, 2.0]
    mixed = to_real(column(["1,5", "2.5"], decimal_comma=True))
    assert codes_of(mixed.problems) == ["HDM350"]
    assert codes_of(to_real(column(["1.234,5", "2"], decimal_comma=True)).problems) == ["HDM350"]


@pytest.mark.parametrize(
    ("coerce", "good", "bad", "code"),
    [
        (to_positive, ["0.1", "3"], ["0", "-1"], "HDM352"),
        (to_proportion, ["0", "0.5", "1"], ["-0.1", "1.01", "50"], "HDM353"),
        (to_count, ["0", "7", "3.0"], ["-1", "2.5", "1e300"], "HDM354"),
        (to_binary, ["0", "1", "1.0", "TRUE", "false", "Yes", "no", "Y", "n"], ["2", "maybe", "-1"], "HDM355"),
    ],
)
def test_kinds_refuse_what_lies_outside(coerce: Any, good: list[str], bad: list[str], code: str) -> None:
    fine = coerce(column(good))
    assert (fine.problems, fine.missing) == ([], None)
    mixed = coerce(column([good[0], *bad, None]))
    assert codes_of(mixed.problems) == [code]
    assert mixed.problems[0].rows == tuple(range(2, 2 + len(bad)))
    assert mixed.missing.tolist() == [False, *[True] * (len(bad) + 1)]


def test_counts_and_binaries_are_integers() -> None:
    count = to_count(column([3.0, None, 0.0]))
    assert (count.values.dtype, count.values.tolist()) == (np.int64, [3, -1, 0])
    binary = to_binary(column(["Yes", None, "0", "true", "Y", "n"]))
    assert binary.values.tolist() == [1, -1, 0, 1, 1, 0]
    assert to_binary(column([True, None, False])).values.tolist() == [1, -1, 0]
    assert to_binary(column([1.0, NAN, 0.0])).values.tolist() == [1, -1, 0]


def test_a_kind_reports_both_words_and_bad_numbers() -> None:
    assert codes_of(to_positive(column(["x", "-1", "2"])).problems) == ["HDM350", "HDM352"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["10", "9", "100"], ("9", "10", "100")),
        (["b", "a", "10"], ("10", "a", "b")),
        ([12.0, 3.0, 1.5], ("1.5", "3", "12")),
        ([12.0, NAN, 3.0], ("3", "12")),
        ([10**17 + 1, 5], ("5", "100000000000000001")),
        (["12.0", "3.0"], ("3", "12")),
        (["1.0", "1.10"], ("1.0", "1.10")),
        (["007", "7", "8"], ("007", "7", "8")),
        ([True, False], ("false", "true")),
        ([Decimal("1.50"), Decimal("2.00")], ("1.5", "2")),
        ([dt.date(2024, 5, 31), dt.date(2023, 1, 1)], ("2023-01-01", "2024-05-31")),
        ([dt.datetime(2024, 5, 31), dt.datetime(2023, 1, 1)], ("2023-01-01", "2024-05-31")),
        ([dt.datetime(2024, 5, 31, 8, 30)], ("2024-05-31 08:30:00",)),
    ],
)
def test_labels_are_natural_and_sorted(values: list[Any], labels: tuple[str, ...]) -> None:
    coded = to_category(column(values))
    assert coded.labels == labels
    assert coded.codes.min() >= (-1 if any(v != v for v in values) else 0)


def test_an_ordered_dictionary_keeps_its_order() -> None:
    levels = pa.DictionaryArray.from_arrays(pa.array([2, 0, None, 1]), ["low", "mid", "high"], ordered=True)
    for coded in (to_ordered(column(levels)), to_category(column(levels))):
        assert coded.labels == ("low", "mid", "high")
        assert coded.codes.tolist() == [2, 0, -1, 1]
    absent = pa.DictionaryArray.from_arrays(pa.array([2, 0]), ["low", "mid", "high"], ordered=True)
    assert to_ordered(column(absent)).labels == ("low", "high")
    free = pa.DictionaryArray.from_arrays(pa.array([1, 0]), ["z", "a"])
    assert to_category(column(free)).labels == ("a", "z")


def test_ordered_by_numbers_or_by_a_given_order() -> None:
    assert to_ordered(column(["10", "9", None])).labels == ("9", "10")
    given_order = to_ordered(column(["high", "low", None, "hihg"]), ["low", "mid", "high"])
    assert given_order.codes.tolist() == [2, 0, -1, -1]
    assert given_order.labels == ("low", "mid", "high")
    assert codes_of(given_order.problems) == ["HDM356"]
    assert given_order.problems[0].rows == (4,)
    assert codes_of(to_ordered(column(["high", "low"])).problems) == ["HDM356"]


def test_waves_of_numbers() -> None:
    wave = to_wave(column(["6", "0.5", None, "6.0", "12"]))
    assert wave.positions is not None
    assert wave.positions.tolist() == [0.5, 6.0, 12.0]
    assert wave.codes.tolist() == [1, 0, -1, 1, 2]
    assert wave.labels == ("0.5", "6", "12")


@pytest.mark.parametrize(
    "values",
    [
        ["2024-03-01", "2024-02-28", None, "2024-03-01"],
        [dt.date(2024, 3, 1), dt.date(2024, 2, 28), None, dt.date(2024, 3, 1)],
        [dt.datetime(2024, 3, 1), dt.datetime(2024, 2, 28), None, dt.datetime(2024, 3, 1)],
    ],
)
def test_waves_of_dates_count_days(values: list[Any]) -> None:
    wave = to_wave(column(values))
    assert wave.positions is not None
    assert wave.positions.tolist() == [0.0, 2.0]
    assert wave.codes.tolist() == [1, 0, -1, 1]
    assert wave.labels == ("2024-02-28", "2024-03-01")


def test_waves_with_a_time_of_day() -> None:
    for values in (["2024-03-01T06:00", "2024-03-01"], ["2024-03-01 06:00:00", "2024-03-01 00:00"]):
        wave = to_wave(column(values))
        assert wave.positions is not None
        assert (wave.positions.tolist(), wave.codes.tolist()) == ([0.0, 0.25], [1, 0])


def test_what_is_no_wave() -> None:
    wave = to_wave(column(["2024-03-01", "2024-02-30", "2024-13-01", "01/02/2024", "May"]))
    assert codes_of(wave.problems) == ["HDM357"]
    assert wave.problems[0].rows == (2, 3, 4, 5)
    assert wave.codes.tolist() == [0, -1, -1, -1, -1]
    assert to_wave(column(["1", "2", "May"])).problems[0].rows == (3,)


def test_lists_and_structures_are_refused_once() -> None:
    nested = column([[1], [2]])
    for coerce in (to_real, to_count, to_positive, to_binary, to_category, to_ordered, to_wave):
        assert codes_of(coerce(nested).problems) == ["HDM220"]
    assert codes_of(arm_codes(nested, {"a": 0}).problems) == ["HDM220"]
    assert codes_of(to_key([nested]).problems) == ["HDM220"]
    assert codes_of(to_real(column([dt.date(2024, 1, 1)])).problems) == ["HDM350"]


def test_an_empty_and_an_all_missing_column() -> None:
    for values, size in (([], 0), ([None, None], 2)):
        for type in (pa.string(), pa.float64(), pa.null(), pa.date32()):
            some = column(values, type)
            assert to_real(some).values.shape == (size,)
            assert to_category(some).labels == ()
            assert to_wave(some).codes.tolist() == [-1] * size
            assert to_key([some, some]).codes.tolist() == [-1] * size


@pytest.mark.parametrize(
    "values",
    [
        ["1", "0", None],
        ["1.0", "0.0", "NA"],
        [1, 0, None],
        [1.0, 0.0, NAN],
        [True, False, None],
        ["TRUE", "false", ""],
    ],
)
def test_number_codes_of_arms_compare_as_numbers(values: list[Any]) -> None:
    arms = arm_codes(column(values), {"usual": 0.0, "coached": 1.0})
    assert arms.codes.tolist() == [1, 0, -1]
    assert arms.labels == ("usual", "coached")
    assert arms.problems == []


def test_text_codes_of_arms_compare_exactly() -> None:
    arms = arm_codes(column(["T", "C", "t", "T"]), {"control": "C", "treated": "T"})
    assert arms.codes.tolist() == [1, 0, -1, 1]
    (problem,) = arms.problems
    assert codes_of(arms.problems) == ["HDM358"]
    assert '"t" (1 row)' in problem.message
    assert 'Did you mean "T"' in problem.help
    assert problem.rows == (3,)


def test_text_codes_may_be_digits() -> None:
    assert arm_codes(column([1, 2]), {"a": "1", "b": "2"}).codes.tolist() == [0, 1]


def test_unknown_codes_are_counted() -> None:
    arms = arm_codes(column([0, 9, 1, 9, 7, 9]), {"a": 0, "b": 1})
    assert arms.problems[0].message.startswith(
        'Column \'x\' in trial.csv holds what is no arm\'s code: "7" (1 row), "9" (3 rows); first in row 2.'
    )
    assert arms.problems[0].rows == (2, 4, 5, 6)


def test_compound_keys_separate_equal_ids_of_different_parents() -> None:
    school = column(["B", "A", "B", "A", "B"])
    pupil = column(["1", "1", "10", "2", "1"])
    key = to_key([school, pupil])
    assert key.codes.tolist() == [2, 0, 3, 1, 2]
    assert key.labels == ("A/1", "A/2", "B/1", "B/10")
    assert key.counts.tolist() == [1, 1, 2, 1]
    assert key.first_rows.tolist() == [1, 3, 0, 2]


def test_ids_that_do_not_repeat_across_parents_are_shown_alone() -> None:
    key = to_key([column(["B", "A", "B"]), column(["3", "1", "2"])])
    assert key.labels == ("1", "2", "3")
    assert key.codes.tolist() == [2, 0, 1]


def test_missing_ids() -> None:
    key = to_key([column(["A", None, "B", "B"]), column([1, 2, None, 3])])
    assert key.codes.tolist() == [0, -1, -1, 1]
    assert codes_of(key.problems) == ["HDM359", "HDM359"]
    assert [p.rows for p in key.problems] == [(2,), (3,)]


ids = st.lists(
    st.tuples(st.sampled_from(["a", "b", "10", "9", None]), st.integers(0, 3), st.sampled_from(["x", "y", None])),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(ids)
def test_keys_are_equal_where_ids_are(rows: list[tuple[Any, ...]]) -> None:
    key = to_key([column([row[i] for row in rows], (pa.string(), pa.int64(), pa.string())[i]) for i in range(3)])
    whole = [None if None in row else row for row in rows]
    for row, code in zip(whole, key.codes, strict=True):
        assert (code < 0) == (row is None)
        if row is not None:
            assert tuple(part[int(code)].as_py() for part in key.parts) == (row[0], str(row[1]), row[2])
    assert key.size == len(set(whole) - {None})


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1), st.lists(st.integers(0, 12), min_size=1))
def test_lookup_is_a_left_join(left: list[int], right: list[int]) -> None:
    found = lookup(to_key([column(left)]), to_key([column([str(i) for i in right])]))
    expected = [right.index(i) if i in right else -1 for i in sorted(set(left))]
    assert found.rows.tolist() == expected
    lacking, doubled = -1 in expected, len(set(right)) < len(right)
    assert codes_of(found.problems) == ["HDM361"] * doubled + ["HDM360"] * lacking


def test_lookup_on_compound_ids_and_its_messages() -> None:
    left = to_key([column(["A", "A", "B"]), column(["1", "2", "1"])])
    right = to_key([column(["B", "A", "A"]), column(["1", "1", "1"])])
    found = lookup(left, right)
    assert found.rows.tolist() == [1, -1, 0]
    doubled, absent = found.problems
    assert "A/1 (2 rows)" in doubled.message
    assert doubled.rows == (2, 3)
    assert "A/2 (1 row); first in row 2" in absent.message
    assert absent.rows == (2,)


def test_lost_leading_zeros_are_recognised() -> None:
    found = lookup(to_key([column(["007", "010"])]), to_key([column([7, 10])]))
    assert codes_of(found.problems) == ["HDM360"]
    assert "leading zeros" in found.problems[0].help


def test_unique_ids_have_no_problem() -> None:
    assert repeated(to_key([column(["a", "b"])])) == []


@pytest.mark.slow
def test_a_million_rows_in_seconds(tmp_path: Path) -> None:
    n, rng = 1_000_000, np.random.default_rng(1)
    source = pa.table(
        {
            "id": np.arange(n),
            "school": rng.integers(0, 1000, n),
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
            "z": rng.integers(0, 2, n),
            "wave": rng.integers(0, 6, n),
        }
    )
    pyarrow.csv.write_csv(source, tmp_path / "t.csv")
    pyarrow.parquet.write_table(source, tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        start = time.perf_counter()
        table = open_table(name, tmp_path, None)
        assert isinstance(table, Table)
        np.testing.assert_allclose(to_real(table.column("x")).values, source["x"].to_numpy(), rtol=1e-12)
        to_real(table.column("y"))
        to_wave(table.column("wave"))
        arm_codes(table.column("z"), {"no": 0, "yes": 1})
        key = to_key([table.column("school"), table.column("id")])
        assert key.size == n
        lookup(to_key([table.column("school")]), key)
        assert time.perf_counter() - start < 10
