"""The tolerance classes hold where they should and fail where they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.cases.compare import Check, Estimate, Reference, Tolerance, checks, estimate_of, evaluate, names

REFERENCE = Reference(value=2.0, se=0.5)
POSTERIOR = Reference(mean=2.0, sd=0.5, q5=1.18, q95=2.82, mcse_mean=0.004)


def estimate(mean: float = 2.0, sd: float = 0.5, shift: float = 0.0) -> Estimate:
    low, high = mean - 1.64 * sd + shift, mean + 1.64 * sd + shift
    return Estimate(mean, sd, (mean - 1.96 * sd, low, high, mean + 1.96 * sd), 0.003, 4000.0)


def agrees(tolerance: Tolerance, reference: Reference, found: Estimate) -> bool:
    return all(check.holds for check in checks(tolerance, reference, found))


@pytest.mark.parametrize(
    ("tolerance", "mean", "sd", "expected"),
    [
        ("B", 2.12, 0.5, True),
        ("B", 2.13, 0.5, False),
        ("B", 2.0, 0.59, True),
        ("B", 2.0, 0.61, False),
        ("B", 2.0, 0.39, False),
        ("B2", 2.17, 0.5, True),
        ("B2", 2.18, 0.5, False),
        ("B2", 2.0, 0.69, True),
        ("B2", 2.0, 0.71, False),
        ("B2", 2.0, 0.42, False),
        ("C", 2.04, 0.54, True),
        ("C", 2.06, 0.5, False),
        ("C", 2.0, 0.56, False),
        ("G", 1.76, 5.0, True),
        ("G", 1.74, 0.5, False),
    ],
)
def test_estimates(tolerance: Tolerance, mean: float, sd: float, expected: bool) -> None:
    assert agrees(tolerance, REFERENCE, estimate(mean, sd)) == expected


def test_same_priors_allow_for_monte_carlo_error() -> None:
    edge = 0.1 * 0.5 + 4 * math.hypot(0.004, 0.003)
    assert agrees("A", POSTERIOR, estimate(2.0 + edge - 1e-9))
    assert not agrees("A", POSTERIOR, estimate(2.0 + edge + 1e-6))
    assert not agrees("A", POSTERIOR, estimate(sd=0.56))
    assert not agrees("A", POSTERIOR, estimate(shift=0.11))


@pytest.mark.parametrize(("tolerance", "inside"), [("B", 2.81), ("B2", 2.97)])
def test_standard_deviations_lie_in_the_interval(tolerance: Tolerance, inside: float) -> None:
    assert agrees(tolerance, Reference(value=inside), estimate())
    assert not agrees(tolerance, Reference(value=inside + 0.05), estimate())


def test_numbers_that_are_none_do_not_agree() -> None:
    assert not Check("mean", math.nan, 0.1).holds


def test_what_a_class_compares_must_be_stated() -> None:
    with pytest.raises(ValueError, match="lacks"):
        checks("C", Reference(value=1.0), estimate())


def test_estimate_of_independent_normal_draws() -> None:
    draws = np.random.default_rng(3).normal(5, 2, (4, 4000))
    found = estimate_of(draws)
    assert found.mean == pytest.approx(5, abs=0.06)
    assert found.sd == pytest.approx(2, abs=0.04)
    assert found.quantiles[1:3] == pytest.approx((5 - 1.645 * 2, 5 + 1.645 * 2), abs=0.12)
    assert found.mcse_mean == pytest.approx(2 / math.sqrt(16000), rel=0.1)


def test_quantities_are_arithmetic_over_roles() -> None:
    values = {"a[g] @ 1": np.array([1.0, 2.0]), "sd(a, g)": np.array([3.0, 4.0])}
    text = "-{a[g] @ 1} + 2 * {sd(a, g)} ** 2 / exp(0)"
    assert list(names(text)) == list(values)
    assert evaluate(text, values.__getitem__).tolist() == [17.0, 30.0]
    with pytest.raises(ValueError, match="no arithmetic"):
        evaluate("[{sd(a, g)}]", values.__getitem__)
