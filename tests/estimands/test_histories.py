"""Treatment histories with lagged outcomes and treatments, against closed forms and exact Markov chains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from hdsl.driver import Derived, derive
from hdsl.estimands import Computed, EstimandError, compute, with_defaults
from hdsl.reference.density import terms
from hdsl.reference.free import random_point

Array = NDArray[np.float64]
PEOPLE, MONTHS = 30, 5
HEAD = """study s data "d.csv"
unit person id pid
wave month id month
unit visit in person * month { covariate x : real  outcome y : KIND }
treatment z { off = 0, on = 1 }
assign z to visit by ignorable(TERMS)
analysis { MORE pool month completely pool person completely }
waive HDM401 because "months and people are alike here"
"""


def table(kind: str = "real", missing: frozenset[tuple[int, int]] = frozenset()) -> list[str]:
    """Return the lines of the data, rows in no order."""
    rng = np.random.default_rng(4)
    lines: list[str] = []
    for person in range(PEOPLE):
        y = rng.normal(3, 1) if kind == "real" else float(rng.integers(0, 2))
        for month in range(1, MONTHS + 1):
            x, z = rng.normal(), int(rng.random() < 0.5)
            y = 1 + 0.5 * y + z + rng.normal() if kind == "real" else float(rng.random() < 0.3 + 0.3 * z)
            if (person, month) not in missing:
                lines.append(f"{person},{month},{x:.3f},{z},{y:.4f}")
    return [lines[i] for i in rng.permutation(len(lines))]


def study(
    folder: Path,
    estimands: str = "",
    *,
    kind: str = "real",
    given: str = "lag(y)",
    more: str = "",
    missing: frozenset[tuple[int, int]] = frozenset(),
) -> Path:
    """Write a study with its data."""
    (folder / "d.csv").write_text("\n".join(["pid,month,x,z,y", *table(kind, missing)]) + "\n")
    head = HEAD.replace("KIND", kind).replace("TERMS", given).replace("MORE", more)
    path = folder / "s.hdm"
    path.write_text(head + estimands)
    return path


def computed(path: Path, known: Mapping[str, float], draws: int = 3) -> list[Computed]:
    """Compute estimands with every draw at the same known parameters, by role."""
    derived = derive(path)
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    values = {
        v.name: np.full((1, draws, *(derived.model.sizes[d] for d in v.dims)), known[v.role])
        for v in derived.model.variables
    }
    return compute(with_defaults(bound.study), derived.model, derived.data, bound, values, seed=3)


LINEAR = {"intercept": 1.0, "effect(z)": 2.0, "slope(lag(y))": 0.6, "residual": 1.0}


def dropped(derived: Derived) -> list[str]:
    """Return the messages about rows without a lag."""
    return [d.message for d in derived.diagnostics if d.code == "HDM367"]


def test_the_first_wave_is_dropped_and_counted(tmp_path: Path) -> None:
    derived = derive(study(tmp_path))
    assert dropped(derived) == [
        f"{PEOPLE} of {PEOPLE * MONTHS} rows have no occasion before them and are dropped: no lag(y) in {PEOPLE}."
    ]
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    lag = bound.lags["y", 1]
    raw = {tuple(line.split(",")[:2]): float(line.split(",")[4]) for line in table()}
    ids = bound.levels["person"].labels
    for row in range(bound.rows):
        person, month = ids[bound.levels["person"].rows[row]], bound.levels["month"].rows[row] + 2
        assert lag.values[row] == raw[person, str(month - 1)]
        assert (lag.previous[row] < 0) == (month == 2)


def test_the_likelihood_takes_the_values_of_the_occasion_before(tmp_path: Path) -> None:
    derived = derive(study(tmp_path))
    model, data, bound = derived.model, derived.data, derived.checked.bound
    assert model is not None
    assert data is not None
    assert bound is not None
    point = random_point(model, data, np.random.default_rng(0))
    p = {v.role: float(point[v.name]) for v in model.variables}
    z, y = bound.treatments["z"].values, bound.variables["y"].values
    mean = p["intercept"] + p["effect(z)"] * z + p["slope(lag(y))"] * bound.lags["y", 1].values
    expected = -0.5 * np.sum(((y - mean) / p["residual"]) ** 2) - len(y) * np.log(p["residual"] * np.sqrt(2 * np.pi))
    (observation,) = model.observations
    assert_allclose(float(terms(model, data, point)[observation.name].array), expected)


def test_a_history_is_carried_forward_exactly(tmp_path: Path) -> None:
    over = "average over visit where month = 5 of"
    path = study(
        tmp_path,
        f"""estimand whole = {over} y(z = on) - y(z = off)
estimand early = {over} y(z = on at month 2..3) - y(z = off at month 2..3)
estimand level = {over} y(z = on)
estimand mixed = {over} y(z = on at month 2, z = off at month 3..5) - y(z = off)
""",
    )
    found = {c.name: c.draws for c in computed(path, LINEAR)}
    b, tau = 0.6, 2.0
    assert_allclose(found["whole"], tau * (1 + b + b**2 + b**3))
    assert_allclose(found["early"], tau * (b**2 + b**3))
    assert_allclose(found["mixed"], tau * b**3)
    first = np.mean([float(line.split(",")[4]) for line in table() if line.split(",")[1] == "1"])
    assert_allclose(found["level"], (1 + tau) * (1 + b + b**2 + b**3) + b**4 * first)


def test_lagged_treatments_follow_what_is_set(tmp_path: Path) -> None:
    path = study(
        tmp_path,
        "estimand next = average over visit where month = 4 of y(z = on at month 3) - y(z = off at month 3)\n"
        "estimand both = average over visit where month = 4 of y(z = on) - y(z = off)\n"
        "estimand first = average over visit where month = 2 of y(z = on at month 1) - y(z = off at month 1)\n",
        given="x",
        more="adjust for lag(z)",
    )
    known = {"intercept": 1.0, "effect(z)": 2.0, "slope(x)": 0.3, "slope(lag(z))": -0.7, "residual": 1.0}
    found = {c.name: c.draws for c in computed(path, known)}
    assert_allclose(found["next"], -0.7)
    assert_allclose(found["both"], 1.3)
    assert_allclose(found["first"], -0.7)


def test_a_binary_outcome_is_carried_forward_as_a_markov_chain(tmp_path: Path) -> None:
    over = "average over visit where month = 5 of"
    path = study(
        tmp_path,
        f"estimand on = {over} y(z = on)\nestimand off = {over} y(z = off at month 2..4)\n",
        kind="binary",
    )
    a, b, tau = -1.0, 1.5, 1.2
    known = {"intercept": a, "effect(z)": tau, "slope(lag(y))": b}
    found = {c.name: c.draws.mean() for c in computed(path, known, draws=400)}

    def step(p: float, z: float) -> float:
        high, low = 1 / (1 + np.exp(-(a + b + tau * z))), 1 / (1 + np.exp(-(a + tau * z)))
        return p * high + (1 - p) * low

    first = np.mean([float(line.split(",")[4]) for line in table("binary") if line.split(",")[1] == "1"])
    p = first
    for _ in range(4):
        p = step(p, 1)
    assert_allclose(found["on"], p, atol=0.004)
    p = first
    for _ in range(3):
        p = step(p, 0)
    last = [float(line.split(",")[3]) for line in table("binary") if line.split(",")[1] == "5"]
    assert_allclose(found["off"], np.mean([step(p, z) for z in last]), atol=0.004)


def test_simulated_outcomes_have_the_spread_of_the_whole_path(tmp_path: Path) -> None:
    path = study(tmp_path, "estimand spread = (sd over visit where month = 5 of y(z = on))\n")
    (found,) = computed(path, LINEAR, draws=300)
    first = np.array([float(line.split(",")[4]) for line in table() if line.split(",")[1] == "1"])
    b = 0.6
    expected = np.sqrt(1 + b**2 + b**4 + b**6 + b**8 * first.var())
    assert_allclose(np.sqrt((found.draws**2).mean()), expected * np.sqrt(1 - 1 / PEOPLE), rtol=0.03)


def test_serial_correlation_does_not_move_expectations(tmp_path: Path) -> None:
    path = study(
        tmp_path,
        "estimand whole = average over visit where month = 5 of y(z = on) - y(z = off)\n",
        more="correlate y within person as ar1",
    )
    known = {**LINEAR, "(corr(residual, person) + 1) / 2": 0.8}
    (found,) = computed(path, known)
    assert_allclose(found.draws, 2 * (1 + 0.6 + 0.6**2 + 0.6**3))


@pytest.mark.parametrize("history", ["z = on at month 1..3", "z = on at month 1"])
def test_a_history_before_the_model_is_refused(tmp_path: Path, history: str) -> None:
    path = study(tmp_path, f"estimand early = average over visit where month = 5 of y({history})\n")
    with pytest.raises(EstimandError, match="first outcome") as caught:
        computed(path, LINEAR)
    assert caught.value.code == "HDM522"


def test_a_history_across_a_gap_is_refused_and_one_after_it_is_not(tmp_path: Path) -> None:
    gaps = frozenset({(3, 3)})
    path = study(tmp_path, "estimand whole = average over visit where month = 5 of y(z = on)\n", missing=gaps)
    assert len(dropped(derive(path))) == 1
    with pytest.raises(EstimandError, match="after a missed occasion"):
        computed(path, LINEAR)
    path = study(tmp_path, "estimand late = average over visit where month = 5 of y(z = on at month 5)\n", missing=gaps)
    computed(path, LINEAR)


def test_units_start_from_their_first_outcome(tmp_path: Path) -> None:
    path = study(tmp_path)
    path.write_text(path.read_text().replace("pool person completely", ""))
    derived = derive(path)
    assert derived.model is not None
    reasons = {v.role: v.reason for v in derived.model.variables}
    assert "Wooldridge" in reasons["slope(first(y))"]
    (slot,) = (s for s in derived.model.slots if s.source == "first(y)")
    assert derived.data is not None
    bound = derived.checked.bound
    assert bound is not None
    first = {line.split(",")[0]: float(line.split(",")[4]) for line in table() if line.split(",")[1] == "1"}
    assert_allclose(derived.data.values[slot.name], [first[label] for label in bound.levels["person"].labels])


@pytest.mark.parametrize("term", ["lag(y, 0.5)", "lag(y * x)", "lag(y, x)"])
def test_a_lag_of_anything_else_is_refused(tmp_path: Path, term: str) -> None:
    derived = derive(study(tmp_path, given="x", more=f"adjust for {term}"))
    assert derived.model is None
    assert {d.code for d in derived.diagnostics if d.severity == "error"} <= {"HDM368", "HDM247"}


def test_a_lag_needs_waves_and_one_row_for_each(tmp_path: Path) -> None:
    path = study(tmp_path)
    lines = (tmp_path / "d.csv").read_text().splitlines()
    (tmp_path / "d.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    assert [d.code for d in derive(path).diagnostics if d.severity == "error"] == ["HDM368"]
    text = path.read_text().replace("wave month id month\n", "").replace("person * month", "person")
    path.write_text(text.replace("pool month completely ", ""))
    assert [d.code for d in derive(path).diagnostics if d.severity == "error"] == ["HDM368"]
