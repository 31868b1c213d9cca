"""Ordered outcomes: shares of levels against the logistic formula, and no average unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import expit

from hdsl.driver import derive
from hdsl.estimands import compute, with_defaults

STUDY = """study films data "d.csv"
unit viewer { covariate age : real  outcome rating : ordered }
treatment film { short = 0, long = 1 }
assign film to viewer by complete(0.5)
analysis { adjust for age }
"""
AGE = np.array([-1.0, 0.5, 0.2, 2.0, -0.4, 0.1, 1.0, -2.0])
CUTS, EFFECT, SLOPE = np.array([-1.0, 0.3, 1.4]), 0.8, -0.5


def computed(folder: Path, estimands: str) -> dict[str, np.ndarray]:
    """Compute estimands with every draw at the same known parameters."""
    rows = [f"{i % 2},{age},{1 + i % 4}" for i, age in enumerate(AGE)]
    (folder / "d.csv").write_text("\n".join(["film,age,rating", *rows]) + "\n", encoding="utf-8")
    (folder / "s.hdm").write_text(STUDY + estimands, encoding="utf-8")
    derived = derive(folder / "s.hdm")
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    assert derived.checked.bound is not None
    known = {"effect(film)": EFFECT, "slope(age)": SLOPE, "cutpoint": CUTS}
    values = {
        v.name: np.broadcast_to(known[v.role], (1, 3, *np.shape(known[v.role]))) for v in derived.model.variables
    }
    bound = derived.checked.bound
    found = compute(with_defaults(bound.study), derived.model, derived.data, bound, values, seed=1)
    return {each.name: each.draws[0, 0] for each in found}


def above(cut: float, film: int) -> float:
    """Return the mean chance of a level above a cutpoint; predictors are centred at the means of the rows."""
    location = EFFECT * (film - 0.5) + SLOPE * (AGE - AGE.mean())
    return float(expit(location - cut).mean())


def test_shares_of_levels_follow_the_logistic_formula(tmp_path: Path) -> None:
    found = computed(
        tmp_path,
        "estimand high = (share over viewer of rating(film = long) >= 3)"
        " - (share over viewer of rating(film = short) >= 3)\n"
        "estimand two = share over viewer of rating(film = long) = 2\n"
        "estimand low = share over viewer of rating(film = short) < 4\n",
    )
    np.testing.assert_allclose(found["high"], above(CUTS[1], 1) - above(CUTS[1], 0))
    np.testing.assert_allclose(found["two"], above(CUTS[0], 1) - above(CUTS[1], 1))
    np.testing.assert_allclose(found["low"], 1 - above(CUTS[2], 0))


def test_no_average_of_levels_is_computed_unasked(tmp_path: Path) -> None:
    assert computed(tmp_path, "") == {}
