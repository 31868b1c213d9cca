"""Trees drawn at errors that differ between rows: what bartz keeps for each leaf follows the precisions."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdsl_numpyro.bart import Surface, _Forest  # pyright: ignore[reportPrivateUsage]
from numpy.typing import NDArray

from hdsl.model.ir import ModelData

ROWS, STEPS = 200, 40
Reals = NDArray[np.float64]


def _forest(*, binary: bool) -> tuple[_Forest, Reals]:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, 2))
    arm = rng.integers(0, 2, ROWS)
    covariates = np.stack([np.column_stack([np.full(ROWS, a), x]) for a in (0.0, 1.0)])
    surface = Surface("f", (2, ROWS), "covariates", "arm", 2.5, binary)
    data = ModelData({"covariates": covariates, "arm": arm}, {})
    return _Forest.of(surface, data), np.sin(2 * x[:, 0]) + arm + 0.5 * rng.normal(size=ROWS)


def _moved(forest: _Forest, y: Reals, precisions: list[Any]) -> Any:
    import jax
    import jax.numpy as jnp

    state = jax.tree.map(jnp.array, forest.initial)
    for number, each in enumerate(precisions):
        state = forest.moved(jax.random.key(number), state, jnp.asarray(y), each)
    return state


def test_equal_precisions_by_row_move_trees_as_one_precision_does() -> None:
    """The precision changes in each step, so that a sum left from the step before would show."""
    steps = [0.5 + number % 5 for number in range(STEPS)]
    (one, y), (many, _) = _forest(binary=False), _forest(binary=True)
    expected = one.values(_moved(one, y, steps))
    found = many.values(_moved(many, y, [np.full(ROWS, each) for each in steps]))
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=2e-3)
    assert np.corrcoef(np.asarray(found)[many.own], y)[0, 1] > 0.7


def test_sums_of_leaves_are_those_of_their_rows() -> None:
    rng = np.random.default_rng(5)
    forest, y = _forest(binary=True)
    precisions: list[Reals] = [rng.uniform(0.05, 0.25, ROWS) for _ in range(STEPS)]
    state = _moved(forest, y, precisions)
    unit = float(state.inv_sdev_unit)
    leaves, kept = np.asarray(state.forest.leaf_indices), np.asarray(state.forest.prec_tree)
    going = np.asarray(state.forest.to_prune)
    assert len({int(leaf) for leaf in leaves.ravel()}) > 2
    for tree in np.flatnonzero(~going)[:50]:
        for leaf in np.unique(leaves[tree]):
            own = precisions[-1][leaves[tree] == leaf].sum() / unit**2
            np.testing.assert_allclose(kept[tree, leaf], own, rtol=1e-4)


def test_rows_that_say_nothing_leave_the_prior() -> None:
    forest, y = _forest(binary=True)
    known = np.where(forest.own[0] == 1, 4.0, 1e-6)
    state = _moved(forest, np.where(known > 1, y, 50.0), [known] * STEPS)
    assert np.max(np.abs(np.asarray(forest.values(state)))) < 15
