"""Passes keep the posterior: the log density changes by no more than a constant and the log Jacobian."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.model.ir import references
from hdsl.passes import noncentre, prepare
from hdsl.reference.density import reported
from hdsl.reference.free import random_point
from tests.model.designs import DESIGNS
from tests.model.preserved import difference, differences, log_jacobian, recovered

FORMS = {"centred": -np.inf, "non-centred": np.inf}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", DESIGNS)
def test_log_density_is_kept(name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", FORMS[form])
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", FORMS[form])
    plain = DESIGNS[name](tmp_path).made
    found = differences(prepare(*plain), plain, np.random.default_rng(5))
    assert np.ptp(found) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_what_they_are_called(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", FORMS[form])
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", FORMS[form])
    model, _ = prepare(*DESIGNS["multisite"](tmp_path).made)
    group, *others = [variable for variable in reversed(model.variables) if "school" in variable.dims]
    estimated = frozenset().union(*(references(arg) for arg in group.law.args))
    assert bool(estimated) == (form == "centred")
    assert group.role.startswith("standard(total(" if form == "centred" else "standard(dev")
    assert all(other.role.startswith("standard(") for other in others)
    assert len(others) == (1 if form == "centred" else 0)


def test_quantities_that_users_see_are_kept(tmp_path: Path) -> None:
    plain, data = DESIGNS["multisite"](tmp_path).made
    rewritten = prepare(plain, data)
    point = random_point(*rewritten, np.random.default_rng(2))
    there = {name: value[None, None] for name, value in recovered(rewritten, plain, point).items()}
    roles = reported(plain, data, there)
    draws = {name: value[None, None] for name, value in point.items()}
    again = reported(*rewritten, draws)
    assert roles.keys() == again.keys()
    for role in roles:
        np.testing.assert_allclose(roles[role], again[role], rtol=1e-10)


def test_a_wrong_pass_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The yardstick itself: without the Jacobian the difference is not constant."""
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", np.inf)
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", np.inf)
    plain = DESIGNS["blocked"](tmp_path).made
    rewritten = prepare(*plain)
    rng = np.random.default_rng(3)
    points = [random_point(*rewritten, rng) for _ in range(3)]
    without = [difference(rewritten, plain, p) + log_jacobian(rewritten, plain[0], p) for p in points]
    assert np.ptp(without) > 0.1


NEVER_CENTRED = {"unpooled(intercept, school)", "deviation(residual, school)"}


@pytest.mark.parametrize("name", DESIGNS)
def test_deviations_that_have_a_total_can_be_centred(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", -np.inf)
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", -np.inf)
    model, _ = prepare(*DESIGNS[name](tmp_path).made)
    levels = {index_set.name for index_set in model.index_sets if index_set.kind == "level"}
    varying = [variable.role for variable in model.variables if set(variable.dims) & levels]
    roles = {role[9:-1] if role.startswith("standard(total(") else role for role in varying}
    totals = {role.removeprefix("total(").removesuffix(")") for role in roles if role.startswith("total(")}
    rest = roles - {f"total({total})" for total in totals}
    given_first = {role for role in rest if any(role.startswith(f"standard({total}, ") for total in totals)}
    assert all(role[9:-1] in NEVER_CENTRED for role in rest - given_first)
