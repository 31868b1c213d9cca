"""The evaluator against xarray and plain NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special as sp
import scipy.stats as st
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as some

from hdsl.model.functions import FUNCTIONS, dims_of
from hdsl.model.ir import Expr, add, apply, column, const, dot, gather, stack, var
from hdsl.reference.values import BATCH, IMPLEMENTED, Value, evaluate, expand

SIZES = {"chain": 2, "draw": 3, "school": 4, "item": 3, "row": 5}
_RNG = np.random.default_rng(1)


def _array(*dims: str) -> xr.DataArray:
    return xr.DataArray(_RNG.normal(0, 1, [SIZES[dim] for dim in dims]), dims=dims)


NAMES: dict[str, xr.DataArray] = {
    "x": _array("row"),
    "a": _array("school"),
    "a_draws": _array("chain", "draw", "school"),
    "m": _array("school", "item"),
    "m_draws": _array("draw", "item", "school"),
    "tau": _array("draw"),
    "cell": _array("row", "item"),
}
ENV = {name: Value(tuple(map(str, array.dims)), array.values) for name, array in NAMES.items()} | {
    "school_of_row": Value(("row",), np.array([0, 3, 1, 1, 2])),
    "item_of_row": Value(("row",), np.array([2, 0, 1, 0, 2])),
}
SCHOOL = xr.DataArray(ENV["school_of_row"].array, dims="row")
ITEM = xr.DataArray(ENV["item_of_row"].array, dims="row")

Pair = tuple[Expr, xr.DataArray]
_UNARY: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "neg": lambda x: -x,
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
    "inv_logit": lambda x: 1 / (1 + np.exp(-x)),
    "inv_probit": lambda x: xr.apply_ufunc(sp.ndtr, x),
    "log_inv_logit": lambda x: -np.log1p(np.exp(-x)),
}
_BINARY: dict[str, Callable[[xr.DataArray, xr.DataArray], xr.DataArray]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "min": lambda x, y: np.minimum(x, y),
    "max": lambda x, y: np.maximum(x, y),
}
_REDUCED: dict[str, Callable[[xr.DataArray, str], xr.DataArray]] = {
    "sum": lambda x, dim: x.sum(dim),
    "mean": lambda x, dim: x.mean(dim),
    "log_sum_exp": lambda x, dim: np.log(np.exp(x).sum(dim)),
    "log_softmax": lambda x, dim: x - np.log(np.exp(x).sum(dim)),
    "cumulative_sum": lambda x, dim: x.cumsum(dim),
}


def _grown(inner: some.SearchStrategy[Pair]) -> some.SearchStrategy[Pair]:
    def unary(name: str, pair: Pair) -> Pair:
        return apply(name, pair[0]), _UNARY[name](pair[1])

    def binary(name: str, left: Pair, right: Pair) -> Pair:
        return apply(name, left[0], right[0]), _BINARY[name](left[1], right[1])

    def structural(name: str, pair: Pair) -> Pair:
        expr, array = pair
        own = [str(dim) for dim in array.dims if dim not in BATCH]
        if name in _REDUCED and own:
            return apply(name, expr, static=(own[-1],)), _REDUCED[name](array, own[-1])
        if name == "column" and own:
            return column(expr, own[0], 1), array.isel({own[0]: 1})
        if name == "gather" and "school" in own:
            return gather(expr, var("school_of_row"), "school"), array.isel(school=SCHOOL)
        if name == "gather" and "item" in own:
            return gather(expr, var("item_of_row"), "item"), array.isel(item=ITEM)
        return pair

    def dotted(left: Pair, right: Pair) -> Pair:
        own = [str(d) for d in (left[1] * right[1]).dims if d not in BATCH]
        if not own:
            return left
        return dot(left[0], right[0], own[0]), (left[1] * right[1]).sum(own[0])

    names = some.sampled_from([*_REDUCED, "column", "gather"])
    return some.one_of(
        some.builds(unary, some.sampled_from(list(_UNARY)), inner),
        some.builds(binary, some.sampled_from(list(_BINARY)), inner, inner),
        some.builds(structural, names, inner),
        some.builds(dotted, inner, inner),
    )


LEAVES = some.one_of(
    some.sampled_from(list(NAMES)).map(lambda name: (var(name), NAMES[name])),
    some.floats(-2, 2).map(lambda x: (const(x), xr.DataArray(x))),
)
PAIRS = some.recursive(LEAVES, _grown, max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(PAIRS)
def test_random_expressions_agree_with_xarray(pair: Pair) -> None:
    expr, expected = pair
    got = evaluate(expr, ENV)
    assert set(got.dims) == set(expected.dims)
    np.testing.assert_allclose(got.array, expected.transpose(*got.dims).values, rtol=1e-9, atol=1e-9)
    assert set(dims_of(expr, {name: value.dims for name, value in ENV.items()})) == set(got.dims)


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_batch_dims_come_first(pair: Pair) -> None:
    got = evaluate(pair[0], ENV)
    if pair[0].node == "apply" and pair[0].function not in ("log_softmax", "cumulative_sum"):
        batch = [dim for dim in got.dims if dim in BATCH]
        assert list(got.dims[: len(batch)]) == [dim for dim in BATCH if dim in batch]


def test_every_function_of_the_table_is_implemented() -> None:
    assert frozenset(FUNCTIONS) == IMPLEMENTED


_AT = np.array([-800.0, -40.0, -3.0, -0.2, 0.0, 0.7, 5.0, 40.0, 800.0])


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        ("inv_logit", _AT, sp.expit(_AT)),
        ("log_inv_logit", _AT, sp.log_expit(_AT)),
        ("inv_probit", _AT, st.norm.cdf(_AT)),
        ("inv_cloglog", _AT[:-1], -np.expm1(-np.exp(_AT[:-1]))),
        ("logit", sp.expit(_AT[1:6]), _AT[1:6]),
        ("probit", st.norm.cdf(_AT[2:7]), _AT[2:7]),
        ("log1p", np.array([1e-20, 1e-9, 1.0]), np.log1p([1e-20, 1e-9, 1.0])),
        ("expm1", np.array([1e-20, -1e-9, 1.0]), np.expm1([1e-20, -1e-9, 1.0])),
        ("sqrt", np.array([0.0, 4.0]), np.array([0.0, 2.0])),
        ("square", np.array([-3.0, 4.0]), np.array([9.0, 16.0])),
        ("exp", np.array([-1.0, 0.0]), np.array([np.exp(-1), 1.0])),
        ("log", np.array([1.0, np.e]), np.array([0.0, 1.0])),
    ],
)
def test_elementwise_functions_in_the_tails(function: str, at: np.ndarray, expected: np.ndarray) -> None:
    got = evaluate(apply(function, var("x")), {"x": Value(("row",), at)})
    np.testing.assert_allclose(got.array, expected, rtol=1e-10, atol=1e-15)


def test_choices_of_data() -> None:
    env = {"z": Value(("row",), np.array([0, 1, 2])), "t": Value(("draw",), np.array([5.0, 6.0]))}
    treated = apply("equal", var("z"), const(1))
    np.testing.assert_array_equal(evaluate(treated, env).array, [0, 1, 0])
    np.testing.assert_array_equal(evaluate(apply("less", var("z"), const(1)), env).array, [1, 0, 0])
    chosen = evaluate(apply("where", treated, var("t"), const(-1)), env)
    assert chosen.dims == ("draw", "row")
    np.testing.assert_array_equal(chosen.array, [[-1, 5, -1], [-1, 6, -1]])


def test_whole_numbers_are_real_in_arithmetic() -> None:
    env = {"z": Value(("row",), np.array([1, 2, 4]))}
    got = evaluate(apply("pow", var("z"), const(-1)), env)
    np.testing.assert_allclose(got.array, [1, 0.5, 0.25])


def test_log_sum_exp_at_the_edges() -> None:
    env = {"x": Value(("row", "k"), np.array([[1000.0, 1000.0], [-np.inf, -np.inf], [-1000.0, -np.inf]]))}
    got = evaluate(apply("log_sum_exp", var("x"), static=("k",)), env)
    np.testing.assert_allclose(got.array, [1000 + np.log(2), -np.inf, -1000])


def test_gather_twice_picks_cells() -> None:
    by_row = gather(gather(var("m_draws"), var("school_of_row"), "school"), var("item_of_row"), "item")
    got = evaluate(by_row, ENV)
    array = NAMES["m_draws"].transpose("draw", "school", "item").values
    schools, items = ENV["school_of_row"].array, ENV["item_of_row"].array
    assert got.dims == ("draw", "row")
    np.testing.assert_array_equal(got.array, array[:, schools.astype(int), items.astype(int)])


def test_gather_by_counterfactual_arms() -> None:
    arms = {"e": Value(("draw", "arm"), np.arange(6.0).reshape(2, 3)), "z": Value((), np.array(2))}
    got = evaluate(gather(var("e"), var("z"), "arm"), arms)
    assert got.dims == ("draw",)
    np.testing.assert_array_equal(got.array, [2, 5])


def test_stack_puts_its_dim_last_and_broadcasts() -> None:
    got = evaluate(stack((const(1), var("tau"), var("x")), "k"), ENV)
    assert got.dims == ("draw", "row", "k")
    tau, x = NAMES["tau"].values, NAMES["x"].values
    np.testing.assert_array_equal(got.array[1, 2], [1, tau[1], x[2]])


def test_a_long_sum_needs_no_deep_stack() -> None:
    expr = add(*([var("x")] * 5000))
    np.testing.assert_allclose(evaluate(expr, ENV).array, 5000 * NAMES["x"].values)


def test_expand_refuses_foreign_dims() -> None:
    with pytest.raises(ValueError, match="school"):
        expand(ENV["m"], ("draw", "item"))


def test_values_refuse_arrays_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="shape"):
        Value(("row",), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="shape"):
        Value(("row", "row"), np.zeros((2, 2)))


def test_reduction_over_a_missing_dim_is_an_error() -> None:
    with pytest.raises(ValueError, match="no dim"):
        evaluate(apply("sum", var("x"), static=("school",)), ENV)
    with pytest.raises(ValueError, match="has the dim"):
        evaluate(dot(var("x"), var("x"), "school"), ENV)
