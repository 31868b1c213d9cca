"""Ordered and unordered categories against formulas written out and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

from hdsl.reference import distributions as ref
from hdsl.reference.values import Value, scalar

CUTS = np.array([-1.2, 0.1, 0.9])
NOISE = {"ordinal_logit": st.logistic, "ordinal_probit": st.norm}


def _probabilities(name: str, location: float) -> np.ndarray:
    return np.diff(np.concatenate([[0], NOISE[name].cdf(CUTS - location), [1]]))


def _args(location: float) -> list[Value]:
    return [scalar(location), Value(("cuts",), CUTS)]


@pytest.mark.parametrize("name", list(NOISE))
@pytest.mark.parametrize("location", [-1.0, 0.0, 2.3])
def test_ordinal(name: str, location: float) -> None:
    expected, k = _probabilities(name, location), np.arange(4.0)
    y = Value(("row",), k)
    np.testing.assert_allclose(ref.log_density(name, y, _args(location)).array, np.log(expected))
    np.testing.assert_allclose(ref.cdf(name, y, _args(location)).array, np.cumsum(expected))
    np.testing.assert_allclose(ref.survival(name, y, _args(location)).array, 1 - np.cumsum(expected), atol=1e-12)
    mean = float(np.sum(expected * k))
    assert float(ref.mean(name, _args(location), ()).array) == pytest.approx(mean)
    variance = float(np.sum(expected * (k - mean) ** 2))
    assert float(ref.variance(name, _args(location), ()).array) == pytest.approx(variance)
    p = np.cumsum(expected)[:3] - 1e-6
    got = ref.quantile(name, Value(("row",), np.concatenate([p, p + 2e-6])), _args(location))
    np.testing.assert_array_equal(got.array, [0, 1, 2, 1, 2, 3])


@pytest.mark.parametrize("name", list(NOISE))
def test_ordinal_far_in_the_tails(name: str) -> None:
    for location in (-35.0, 35.0):
        got = ref.log_density(name, Value(("row",), np.arange(4.0)), _args(location)).real
        assert np.all(np.isfinite(got))
        if name == "ordinal_logit":
            low, high = CUTS[0] - location, CUTS[1] - location
            tail = -abs(low if location < 0 else high)
            assert got[1] == pytest.approx(tail + np.log1p(-np.exp(low - high)), rel=1e-9)


def test_ordinal_outside() -> None:
    got = ref.log_density("ordinal_logit", Value(("row",), np.array([-1.0, 4.0, 0.5])), _args(0.0))
    assert np.all(got.real == -np.inf)


@pytest.mark.parametrize("name", list(NOISE))
def test_ordinal_draws(name: str) -> None:
    drawn = ref.draw(name, np.random.default_rng(3), _args(0.4), ("row",), {"row": 20_000})
    counts = np.bincount(drawn.array.astype(int), minlength=4)
    assert st.chisquare(counts, 20_000 * _probabilities(name, 0.4)).pvalue > 1e-3


def test_cutpoints_may_differ_by_row_and_draw() -> None:
    cuts = np.sort(np.random.default_rng(4).normal(0, 1, (2, 5, 3)), axis=-1)
    eta = np.linspace(-1, 1, 5)
    y = np.array([0.0, 1, 2, 3, 1])
    args = [Value(("row",), eta), Value(("draw", "row", "cuts"), cuts)]
    got = ref.log_density("ordinal_probit", Value(("row",), y), args)
    assert got.dims == ("draw", "row")
    for draw in range(2):
        for row in range(5):
            edges = np.concatenate([[-np.inf], cuts[draw, row], [np.inf]]) - eta[row]
            k = int(y[row])
            expected = np.log(st.norm.cdf(edges[k + 1]) - st.norm.cdf(edges[k]))
            assert got.real[draw, row] == pytest.approx(expected)


def test_categorical_whatever_the_order_of_dims() -> None:
    logits = np.random.default_rng(5).normal(0, 2, (4, 6))
    y = np.array([0.0, 3, 1, 2, 2, 0])
    expected = [logits[int(k), row] - np.log(np.sum(np.exp(logits[:, row]))) for row, k in enumerate(y)]
    for value in (Value(("k", "row"), logits), Value(("row", "k"), logits.T)):
        got = ref.log_density("categorical_logit", Value(("row",), y), [value])
        np.testing.assert_allclose(got.array, expected)


def test_categorical_draws_and_probabilities() -> None:
    logits = Value(("k",), np.log([0.1, 0.2, 0.7]))
    shares = ref.category_probabilities("categorical_logit", [logits], (), "category")
    assert shares.dims == ("category",)
    np.testing.assert_allclose(shares.array, [0.1, 0.2, 0.7])
    drawn = ref.draw("categorical_logit", np.random.default_rng(6), [logits], ("row",), {"row": 20_000})
    assert st.chisquare(np.bincount(drawn.array.astype(int)), 20_000 * shares.real).pvalue > 1e-3


def test_category_probabilities_of_ordinal_and_binary() -> None:
    got = ref.category_probabilities("ordinal_logit", _args(0.2), (), "category")
    np.testing.assert_allclose(got.array, _probabilities("ordinal_logit", 0.2))
    binary = ref.category_probabilities("bernoulli", [Value(("row",), np.array([0.2, 0.9]))], ("row",), "c")
    np.testing.assert_allclose(binary.array, [[0.8, 0.2], [0.1, 0.9]])
    with pytest.raises(ValueError, match="no categories"):
        ref.category_probabilities("normal", [scalar(0), scalar(1)], (), "c")
