"""Rows that are summed up in one pass: the model, its density, its statistics and estimands are those of all rows."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from hdsl.driver import Derived, derive
from hdsl.estimands import compute, with_defaults
from hdsl.inference.exact.marginal import Marginal, marginal_of
from hdsl.passes.marginal.recognise import Unrecognised
from hdsl.passes.suffice import Statistics
from hdsl.reference.density import log_densities
from hdsl.reference.simulate import prior_draw
from tests.data.streamed import Drawn, counted_studies, drawn_studies

NO_AVERAGES = ("lognormal", "ordinal_logit", "categorical_logit")


def _both(drawn: Drawn, folder: Path) -> tuple[Derived, Derived]:
    path = drawn.write(folder)
    whole, summed = derive(path, stream=False), derive(path, stream=True)
    assert whole.model is not None, [d.message for d in whole.diagnostics]
    assert summed.model is not None, [d.message for d in summed.diagnostics]
    return whole, summed


def _close(one: Any, other: Any, place: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key in one:
            _close(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            _close(a, b, f"{place}[{i}]")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12), place
    else:
        assert one == other, place


def _comparable(derived: Derived) -> dict[str, Any]:
    """Return the model as JSON without what says that rows stand for several."""
    assert derived.model is not None
    found = json.loads(derived.model.model_dump_json())
    rows = derived.model.unit
    found["slots"] = [slot for slot in found["slots"] if slot["name"] != "frequency"]
    found["index_sets"] = [each for each in found["index_sets"] if each["name"] != rows]
    for observation in found["observations"]:
        observation["weight"] = None
    return found


@settings(max_examples=25)
@given(counted_studies())
def test_counted_rows_have_the_model_density_and_estimands_of_all_rows(drawn: Drawn) -> None:
    _compare(drawn)


@settings(max_examples=25)
@given(drawn_studies())
def test_model_density_and_estimands_are_those_of_all_rows(drawn: Drawn) -> None:
    _compare(drawn)


def _compare(drawn: Drawn) -> None:
    with TemporaryDirectory() as folder:
        whole, summed = _both(drawn, Path(folder))
    _close(_comparable(whole), _comparable(summed))
    assert whole.model is not None
    assert whole.data is not None
    assert whole.checked.bound is not None
    assert summed.model is not None
    assert summed.data is not None
    assert summed.checked.bound is not None
    assert summed.checked.bound.total == pytest.approx(whole.checked.bound.rows, rel=1e-14)
    draws = prior_draw(whole.model, whole.data, np.random.default_rng(1), draws=4)
    np.testing.assert_allclose(
        log_densities(summed.model, summed.data, draws), log_densities(whole.model, whole.data, draws), rtol=1e-10
    )
    one = {name: value[None] for name, value in draws.items()}
    study = whole.checked.bound.study
    for estimand in with_defaults(study):
        if whole.model.observations[0].law.distribution in NO_AVERAGES:
            continue
        a, b = (
            compute([estimand], d.model, d.data, d.checked.bound, one, 1)[0].draws  # type: ignore[arg-type]
            for d in (whole, summed)
        )
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9)


def _marginal(derived: Derived) -> Marginal | Unrecognised:
    assert derived.model is not None
    assert derived.data is not None
    return marginal_of(derived.model, derived.data)


def _products(statistics: Statistics) -> list[np.ndarray]:
    """Return what statistics say that does not depend on how pseudo-rows are turned: products by group and class.

    The outcome in them is what `middle` leaves of it. Where columns are collinear `middle` itself is not determined.
    """
    found = [statistics.together, statistics.weight]
    if statistics.finest is not None:
        finest = statistics.finest
        rows = np.concatenate([finest.own, finest.others], axis=2)
        for kind in range(int(finest.classes.max(initial=0)) + 1):
            own = rows * (finest.classes == kind)[:, :, None]
            found.append(own.transpose(0, 2, 1) @ own)
        found.append(finest.scales)
    for coarser in statistics.coarser:
        found += [coarser.own, coarser.others, coarser.scales]
    return found


@settings(max_examples=25)
@given(drawn_studies())
def test_statistics_are_those_of_all_rows(drawn: Drawn) -> None:
    with TemporaryDirectory() as folder:
        whole, summed = _both(drawn, Path(folder))
    one, other = _marginal(whole), _marginal(summed)
    if isinstance(one, Unrecognised):
        assert one == other
        return
    assert isinstance(other, Marginal)
    assert other.linear.log_jacobian == pytest.approx(one.linear.log_jacobian, rel=1e-12)
    for a, b in zip(_products(one.statistics), _products(other.statistics), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10 * max(1.0, float(np.abs(a).max(initial=0.0))))
