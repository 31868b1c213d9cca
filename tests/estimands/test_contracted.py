"""Averages of linear outcomes from rows averaged once, before any draw, are those of a value for each row."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings

from hdsl.driver import derive
from hdsl.estimands import alike, compute, with_defaults
from hdsl.reference.simulate import prior_draw
from tests.data.streamed import Drawn, drawn_studies

MODULE = "hdsl.estimands.compute"
MORE = """estimand new = average over population school of y(z = on) - y(z = off)
estimand half = average over pupil where girl = 1 of (y(z = on) - 2 * y(z = off)) / 2
estimand v_site[school] = average over pupil of y(v = c)
"""


@settings(max_examples=25)
@given(drawn_studies())
def test_contracted_averages_are_those_of_rows(drawn: Drawn) -> None:
    text = drawn.text if "estimand" not in drawn.text or "p(z" in drawn.text else drawn.text + MORE
    with TemporaryDirectory() as folder:
        derived = derive(Drawn(text, drawn.seed, drawn.rows).write(Path(folder)), stream=False)
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    draws = prior_draw(derived.model, derived.data, np.random.default_rng(2), draws=3)
    flat = {name: value[None] for name, value in draws.items()}
    estimands = with_defaults(bound.study)
    with patch.object(alike, "LEAST_ROWS", 10**9):
        with patch(f"{MODULE}.CONTRACT_FROM", 10**9):
            rows = compute(estimands, derived.model, derived.data, bound, flat, 1)
        with patch(f"{MODULE}.CONTRACT_FROM", 1):
            once = compute(estimands, derived.model, derived.data, bound, flat, 1)
    for one, other in zip(rows, once, strict=True):
        np.testing.assert_allclose(other.draws, one.draws, rtol=1e-9, atol=1e-9, err_msg=one.name)


def test_an_effect_within_schools_rests_on_the_schools_alone(tmp_path: Path) -> None:
    from hdsl.estimands.aggregate import units_of
    from hdsl.estimands.contracted import contracted
    from hdsl.estimands.worlds import world

    text = """group school id school unit pupil in school { covariate x : real outcome y : real }
    treatment z { off = 0, on = 1 } assign z to pupil by bernoulli(0.5)
    analysis { adjust for x vary z across school }
    estimand ate = average over pupil of y(z = on) - y(z = off)
    """
    derived = derive(Drawn(text, 3, 200).write(tmp_path), stream=False)
    assert derived.model is not None
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    node = bound.study.estimands[0].value
    worlds = {p: world(derived.model, derived.data, bound, "y", p.settings) for p in (node.of.left, node.of.right)}
    found = contracted(node.of, worlds, units_of(bound, node, ()))
    assert found is not None
    assert sorted(key[0] for key in found.parts) == ["deviation_school", "effect_z"]
    shares = found.parts[next(key for key in found.parts if key[0] == "deviation_school")].toarray()[0]
    np.testing.assert_allclose(shares, bound.levels["school"].counts / 200)
