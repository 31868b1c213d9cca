"""Cells keep the log density: against the reference of the rows, and on every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from hdsl.backend import load
from hdsl.data.bind import bind
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic
from hdsl.model.derivation import model_of
from hdsl.model.ir import Law, Model, ModelData, Reported, add, var
from hdsl.passes import precompute, prepare
from hdsl.passes.cells import Celled, celled, distinct
from hdsl.reference.density import log_density, log_likelihood
from hdsl.reference.free import gradient, random_point
from tests import models
from tests.model.designs import DESIGNS
from tests.model.preserved import differences
from tests.model.test_missing_kinds import drawn as with_gaps
from tests.model.test_missing_kinds import study_of as study_with_gaps
from tests.model.test_missing_kinds import write_rows
from tests.model.test_strata import drawn as with_strata
from tests.model.test_strata import study_of as study_with_strata

Case = tuple[Model, ModelData]
ROWS = 90


def repeated(case: Case, rng: np.random.Generator, rows: int = ROWS) -> Case:
    """Return a case whose rows are drawn from its own, with replacement; outcomes from those of all rows."""
    model, data = case
    unit = model.unit
    picked = rng.integers(0, model.sizes[unit], rows)
    values = dict(data.values)
    for slot in model.slots:
        if unit in slot.dims:
            values[slot.name] = data.values[slot.name][(slice(None),) * slot.dims.index(unit) + (picked,)]
    sets = tuple(s.model_copy(update={"size": rows}) if s.name == unit else s for s in model.index_sets)
    coords = {**data.coords, unit: [str(row) for row in range(rows)]}
    return model.model_copy(update={"index_sets": sets}), ModelData(values, coords)


def mixed_outcomes(case: Case, rng: np.random.Generator) -> Case:
    """Return a case whose outcomes are in another order, so that like rows differ in them."""
    model, data = case
    (observation,) = model.observations
    y = rng.permutation(data.values[observation.slot])
    if observation.law.distribution.startswith("binomial"):
        y = y % (data.values["trials"] + 1)
    return model, ModelData({**data.values, observation.slot: y}, data.coords)


def exposed(case: Case) -> Case:
    """Return a case of counts with a log exposure that differs between all rows."""
    model, data = case
    (observation,) = model.observations
    law = observation.law
    mean = add(law.args[0], var("log_exposure"))
    moved = observation.model_copy(update={"law": Law(distribution=law.distribution, args=(mean, *law.args[1:]))})
    slots = (*model.slots, models.real_slot("log_exposure", (model.unit,)))
    size = model.sizes[model.unit]
    values = {**data.values, "log_exposure": np.random.default_rng(4).normal(0, 1, size)}
    return model.model_copy(update={"observations": (moved,), "slots": slots}), ModelData(values, data.coords)


def whole(case: Case) -> Celled:
    """Return a case over cells, however few rows they save."""
    found = celled(*precompute(*case), least=0, share=1.0)
    assert found is not None
    return found


def _poisson() -> Case:
    return models.observed("poisson_log")


GROUPED: dict[str, Callable[[], Case]] = {
    "bernoulli": models.bernoulli,
    "negative binomial": models.negbinomial,
    "ordinal": models.ordinal,
    "categorical": models.categorical,
    "weighted": lambda: models.observed("poisson_log", weight=True),
    "censored": models.censored_weibull,
}
DISCRETE = tuple(name for name in models.OBSERVABLE if models.DISTRIBUTIONS[name].discrete)
CASES = {**GROUPED, **{name: (lambda name=name: models.observed(name)) for name in DISCRETE}}
ADDED_UP = {"bernoulli", "bernoulli_logit", "binomial", "binomial_logit", "poisson_log"}


@pytest.mark.parametrize("name", CASES)
def test_log_density_is_kept_up_to_the_constant(name: str) -> None:
    rng = np.random.default_rng(3)
    plain = repeated(CASES[name](), rng)
    plain = mixed_outcomes(plain, rng) if name in ADDED_UP else plain
    found = whole(plain)
    assert found.cells < ROWS
    points = [random_point(*plain, rng, 0.8) for _ in range(4)]
    expected = [log_density(*plain, point) + found.log_constant for point in points]
    again = [log_density(found.model, found.data, point) for point in points]
    assert_allclose(again, expected, rtol=1e-11)
    assert (found.log_constant != 0) == (name in ADDED_UP)


@pytest.mark.parametrize("name", sorted(ADDED_UP))
def test_outcomes_that_add_up_leave_no_more_cells_than_there_are_kinds_of_rows(name: str) -> None:
    rng = np.random.default_rng(3)
    found = whole(mixed_outcomes(repeated(CASES[name](), rng, 400), rng))
    kinds = CASES[name]()[0]
    assert found.cells == kinds.sizes[kinds.unit]
    outcome = found.model.observations[0].slot
    assert found.data.values[outcome].sum() > 0
    assert found.model.observations[0].weight is None


def test_exposures_of_counts_add_up() -> None:
    rng = np.random.default_rng(8)
    plain = exposed(mixed_outcomes(repeated(_poisson(), rng, 300), rng))
    found = whole(plain)
    kinds = _poisson()[0]
    assert found.cells == kinds.sizes[kinds.unit]
    total = np.bincount(found.of_row, np.exp(plain[1].values["log_exposure"]))
    assert_allclose(np.exp(found.data.values["log_exposure"]), total, rtol=1e-12)
    points = [random_point(*plain, rng, 0.8) for _ in range(4)]
    expected = [log_density(*plain, point) + found.log_constant for point in points]
    assert_allclose([log_density(found.model, found.data, point) for point in points], expected, rtol=1e-11)


def test_exposures_of_negative_binomial_counts_tell_rows_apart() -> None:
    plain = exposed(repeated(models.negbinomial(), np.random.default_rng(8)))
    found = whole(plain)
    assert found.cells == ROWS


@pytest.mark.parametrize("weight", [False, True])
def test_weights_add_up(weight: bool) -> None:
    rng = np.random.default_rng(6)
    plain = repeated(models.observed("poisson_log", weight=weight), rng, 200)
    found = whole(plain)
    point = random_point(*plain, rng, 0.8)
    expected = sum(values.sum() for values in log_likelihood(*plain, _one(point)).values())
    again = sum(values.sum() for values in log_likelihood(found.model, found.data, _one(point)).values())
    assert_allclose(again - found.log_constant, expected, rtol=1e-11)
    if weight:
        (name,) = (o.weight for o in found.model.observations)
        assert name is not None
        assert_allclose(found.data.values[name].sum(), plain[1].values["weight"].sum())


def _one(point: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    return {name: value[None] for name, value in point.items()}


@pytest.mark.parametrize("name", ["bernoulli", "ordinal", "poisson_log", "categorical"])
@pytest.mark.parametrize("backend_name", ["numpyro", "stan", pytest.param("pymc", marks=pytest.mark.slow)])
def test_backends_sample_the_density_of_the_rows(backend_name: str, name: str) -> None:
    backend = load(backend_name)
    if isinstance(backend, Diagnostic):
        pytest.skip(backend.message)
    rng = np.random.default_rng(2)
    plain = repeated(CASES[name](), rng)
    found = whole(plain)
    function = backend.log_density(backend.lower(found.model, found.data), found.model, found.data)
    points = [random_point(*plain, rng, 0.8) for _ in range(3)]
    expected = np.array([log_density(*plain, point) for point in points])
    assert_allclose(np.diff([function(point)[0] for point in points]), np.diff(expected), rtol=1e-8, atol=1e-8)
    slopes, (_, own) = gradient(*plain, points[0]), function(points[0])
    for variable in ("intercept", "a") if name in GROUPED else ():
        if variable in slopes:
            assert_allclose(own[variable], slopes[variable], rtol=1e-5, atol=2e-6)


def strata(folder: Path) -> Case:
    return _derived(study_with_strata("binary"), folder, with_strata(40, 3, "binary"))


def gaps(folder: Path) -> Case:
    return _derived(study_with_gaps("w", "x", "c"), folder, with_gaps(40, 3))


def _derived(study: Study, folder: Path, columns: Mapping[str, NDArray[Any]]) -> Case:
    write_rows(folder, columns)
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, _ = model_of(bound)
    assert made is not None
    return made


@pytest.mark.parametrize("kinds", [strata, gaps])
@pytest.mark.parametrize("backend_name", ["numpyro", "stan", pytest.param("pymc", marks=pytest.mark.slow)])
def test_rows_whose_kinds_are_summed_out_are_cells(
    backend_name: str, kinds: Callable[[Path], Case], tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    plain = repeated(kinds(tmp_path), rng, 200)
    found = whole(plain)
    assert found.cells <= 40
    points = [random_point(*plain, rng, 0.8) for _ in range(3)]
    expected = [log_density(*plain, point) for point in points]
    assert_allclose([log_density(found.model, found.data, point) for point in points], expected, rtol=1e-11)
    backend = load(backend_name)
    if isinstance(backend, Diagnostic):
        pytest.skip(backend.message)
    function = backend.log_density(backend.lower(found.model, found.data), found.model, found.data)
    assert_allclose(np.diff([function(point)[0] for point in points]), np.diff(expected), rtol=1e-8, atol=1e-8)


def test_all_passes_keep_the_density_of_a_study_with_many_like_rows(tmp_path: Path) -> None:
    design = DESIGNS["split_plot"](tmp_path)
    model, data = design.made
    rng = np.random.default_rng(5)
    large = repeated((model, data), rng, 2000)
    prepared = prepare(*large)
    assert prepared[0].sizes[prepared[0].unit] < 1000
    assert np.ptp(differences(prepared, large, rng, 3)) < 1e-4


def test_rows_with_effects_of_their_own_are_left(tmp_path: Path) -> None:
    for name in ("counted", "blocked"):
        folder = tmp_path / name
        folder.mkdir()
        assert celled(*precompute(*DESIGNS[name](folder).made), least=0, share=1.0) is None


def test_what_is_reported_may_rest_on_data_that_the_density_does_not_read() -> None:
    """`precompute` leaves such slots out, and what is reported stands as it did."""
    model, data = repeated(models.bernoulli(), np.random.default_rng(1))
    shown = Reported(role="curve(x)", value=var("knots"), dims=())
    found = celled(*precompute(model.model_copy(update={"reported": (shown,)}), data), least=0, share=1.0)
    assert found is not None
    assert found.model.reported == ()


def test_few_rows_and_distinct_rows_are_left() -> None:
    plain = repeated(models.bernoulli(), np.random.default_rng(1), 600)
    assert celled(*plain) is not None
    assert celled(*plain, least=601) is None
    assert celled(*plain, share=0.01) is None
    model, data = plain
    apart = ModelData({**data.values, "x": np.arange(600.0)}, data.coords)
    assert celled(model, apart) is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4), st.booleans())
def test_distinct_rows(seed: int, rows: int, columns: int, large: bool) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(-1, 2, (rows, columns)) * (10**17 if large else 1)
    real = np.where(rng.uniform(size=(rows, 1)) < 0.5, -0.0, 0.0) + 0.0
    found = distinct([table, real], rows, rows)
    assert found is not None
    codes, first = found
    whole_table = np.concatenate([table, real], axis=1)
    assert_allclose(whole_table[first][codes], whole_table)
    assert len(first) == len(np.unique(whole_table, axis=0)) == codes.max() + 1
    assert distinct([table, real], rows, len(first) - 1) is None
