"""Summaries against numpy, and numbers as they are printed."""

from __future__ import annotations

import numpy as np
import pytest

from hdsl.report.numbers import format_number
from hdsl.report.summary import summarise


def test_each_element_is_summarised_under_its_labels() -> None:
    draws = np.random.default_rng(0).normal(size=(2, 500, 3, 2)) + np.arange(6).reshape(3, 2)
    found = summarise("site", draws, {"school": ["a", "b", "c"], "arm": ["x", "y"]})
    assert [s.index for s in found[:3]] == [
        {"school": "a", "arm": "x"},
        {"school": "a", "arm": "y"},
        {"school": "b", "arm": "x"},
    ]
    flat = draws[:, :, 2, 1].ravel()
    last = found[-1]
    assert last.mean == pytest.approx(flat.mean())
    assert last.sd == pytest.approx(flat.std(ddof=1))
    assert (last.q5, last.q50, last.q95) == pytest.approx(tuple(np.quantile(flat, (0.05, 0.5, 0.95))))
    assert last.positive == pytest.approx((flat > 0).mean())


@pytest.mark.parametrize(
    ("value", "sd", "text"),
    [
        (3.14159, 0.0123, "3.142"),
        (3.14159, 1.7, "3.1"),
        (1234.5678, 210.0, "1235"),
        (0.00012345, 0.00002, "0.000123"),
        (2.0, 0.0, "2"),
        (float("nan"), 1.0, "-"),
        (-0.04, 1.7, "0.0"),
        (-0.06, 1.7, "-0.1"),
        (-0.4, 210.0, "0"),
        (-0.0, 0.0, "0"),
        (-10.0, 30.0, "-10"),
    ],
)
def test_numbers_have_the_digits_their_sd_warrants(value: float, sd: float, text: str) -> None:
    assert format_number(value, sd) == text


def test_zero_has_no_sign() -> None:
    (found,) = summarise("nothing", np.full((2, 5), -0.0), {})
    numbers = (found.mean, found.q5, found.q50, found.q95)
    assert [str(number) for number in numbers] == ["0.0"] * 4
