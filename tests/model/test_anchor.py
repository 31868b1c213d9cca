"""Coefficients are sampled with the mean of their non-centred deviations, where the data speak of the sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl.model.ir import Model, references
from hdsl.passes import noncentre, prepare
from tests.model.designs import DESIGNS
from tests.model.preserved import differences


def anchors(model: Model) -> dict[str, frozenset[str]]:
    """Return the anchored coefficients and what the law of each rests on."""
    found = {v.role: v for v in model.variables if v.role.startswith("standard(anchored(")}
    return {role: frozenset().union(*(references(arg) for arg in v.law.args)) for role, v in found.items()}


def test_intercept_and_effect_are_anchored_at_their_deviations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", np.inf)
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", np.inf)
    plain = DESIGNS["multisite"](tmp_path).made
    prepared = prepare(*plain)
    found = anchors(prepared[0])
    assert len(found) >= 2
    assert all("deviation_school" in names for names in found.values())
    assert np.ptp(differences(prepared, plain, np.random.default_rng(8))) < 1e-5


def test_nothing_is_anchored_where_all_is_centred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noncentre, "INTERCEPT_ABOVE", -np.inf)
    monkeypatch.setattr(noncentre, "EFFECT_ABOVE", -np.inf)
    model, _ = prepare(*DESIGNS["blocked"](tmp_path).made)
    assert not anchors(model)


def test_deviations_behind_a_centred_total_are_no_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The totals of the lower level hold the constant; of the upper level's mean the data say nothing directly."""
    plain = DESIGNS["split_split_plot"](tmp_path).made
    levels = {v.dims[0] for v in plain[0].variables if v.role.startswith("deviation(")}
    lower = max(levels, key=lambda level: plain[0].sizes[level])
    monkeypatch.setattr(noncentre, "informed", lambda model, data, v, place=0: np.inf if v.dims[0] == lower else 0.0)
    prepared = prepare(*plain)
    assert any("total(" in v.role and lower in v.dims for v in prepared[0].variables)
    assert not anchors(prepared[0])
    assert np.ptp(differences(prepared, plain, np.random.default_rng(8))) < 1e-5
