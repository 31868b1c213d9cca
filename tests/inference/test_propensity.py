"""Propensity scores: the first stage against logistic regression, each use against its estimator, and misuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdsl import Settings, backend
from hdsl.backend import Backend
from hdsl.data.bound import Bound
from hdsl.diagnostics import Diagnostic
from hdsl.driver import derive, run
from hdsl.inference.balance import balances, difference, outside_of, warnings_of
from hdsl.inference.propensity import SCORE_DRAWS, Staged, first_stages, interleaved, mixture, representative
from hdsl.model.derive.propensity import strata_of, weights_of
from hdsl.model.ir import Model, ModelData
from hdsl.report.record import load

ROWS = 500
SETTINGS = Settings(chains=2, draws=500, warmup=300, seed=5)
STUDY = """study obs data "d.csv"
{groups}
unit patient {within} {{ covariate x : real  covariate w : real  outcome y : real }}
treatment z {{ no = 0, yes = 1 }}
assign z to patient by ignorable(x, w)
analysis {{ propensity for z {across} as {use} {more} }}
estimand ate = average over patient of y(z = yes) - y(z = no)
"""


def simulated(seed: int = 2, clinics: float = 0.0) -> dict[str, np.ndarray]:
    """Return units whose treatment and outcome both depend on x, w and, where `clinics` is not zero, their clinic."""
    rng = np.random.default_rng(seed)
    clinic, own = rng.integers(0, 15, ROWS), rng.normal(0, clinics, 15)
    x, w = rng.normal(size=ROWS), rng.normal(size=ROWS)
    z = (rng.random(ROWS) < 1 / (1 + np.exp(-(0.7 * x - 0.5 * w + own[clinic])))).astype(float)
    y = 1 + 0.8 * z + x - 0.6 * w + own[clinic] + rng.normal(size=ROWS)
    return {"clinic": clinic, "x": x, "w": w, "z": z, "y": y}


def write(folder: Path, use: str, columns: dict[str, np.ndarray], across: str = "", more: str = "") -> Path:
    """Write a study and its data."""
    rows = zip(*columns.values(), strict=True)
    (folder / "d.csv").write_text("\n".join([",".join(columns), *(",".join(f"{v:.12g}" for v in r) for r in rows)]))
    within = "in clinic" if across else ""
    groups = "group clinic id clinic" if across else ""
    text = STUDY.format(use=use, across=across, groups=groups, within=within, more=more)
    (folder / "s.hdm").write_text(text)
    return folder / "s.hdm"


def opened(path: Path) -> tuple[Bound, Model, ModelData, Backend]:
    """Derive a study, for NumPyro."""
    derived = derive(path)
    assert derived.model is not None, derived.diagnostics
    assert derived.data is not None
    assert derived.checked.bound is not None
    chosen = backend.load("numpyro")
    assert not isinstance(chosen, Diagnostic)
    return derived.checked.bound, derived.model, derived.data, chosen


def staged(path: Path, settings: Settings = SETTINGS) -> tuple[Staged, Bound]:
    """Fit both stages, the second for each of several draws of the scores."""
    bound, model, data, chosen = opened(path)
    assignment = first_stages(bound, chosen, settings)
    assert not isinstance(assignment, Diagnostic)
    found = mixture(bound, model, data, assignment, chosen, settings)
    assert isinstance(found, Staged)
    return found, bound


def logistic(z: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return maximum likelihood estimates and standard errors of a logistic regression, by Newton's method."""
    beta, information = np.zeros(design.shape[1]), np.eye(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ beta))
        information = (design * (p * (1 - p))[:, None]).T @ design
        beta = beta + np.linalg.solve(information, design.T @ (z - p))
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Staged, Bound]:
    return staged(write(tmp_path_factory.mktemp("weighted"), "weight", simulated()))


def test_the_first_stage_is_the_logistic_regression_of_treatment(weighted: tuple[Staged, Bound]) -> None:
    found, data = weighted[0], simulated()
    known, errors = logistic(data["z"], np.column_stack([np.ones(ROWS), data["x"], data["w"]]))
    roles = found.assignment["z"].roles
    for role, place in (("intercept", 0), ("slope(x)", 1), ("slope(w)", 2)):
        assert roles[role].mean() == pytest.approx(known[place], abs=0.25 * errors[place])
        assert roles[role].std() == pytest.approx(errors[place], rel=0.15)
    assert "deviation(patient)" not in roles


def test_weights_give_the_weighted_difference_of_means_of_each_draw(weighted: tuple[Staged, Bound]) -> None:
    found, data = weighted[0], simulated()
    z, y = data["z"], data["y"]
    assert len(found.parts) == SCORE_DRAWS
    gaps = list[float]()
    for chance, part in zip(found.chances["z"], found.parts, strict=True):
        ipw = np.where(z == 1, 1 / chance, 1 / (1 - chance))
        by_hand = np.average(y[z == 1], weights=ipw[z == 1]) - np.average(y[z == 0], weights=ipw[z == 0])
        gaps.append(float(part.roles["effect(z)"].mean() - by_hand))
        on, off = ((ipw[z == a].sum() ** 2) / (ipw[z == a] ** 2).sum() for a in (1, 0))
        sd = float(part.roles["residual"].mean()) * np.sqrt(1 / on + 1 / off)
        assert part.roles["effect(z)"].std() == pytest.approx(sd, rel=0.4)
    assert np.mean(gaps) == pytest.approx(0, abs=0.02)
    assert np.max(np.abs(gaps)) < 0.1


def test_the_uncertainty_of_the_scores_is_part_of_the_answer(weighted: tuple[Staged, Bound]) -> None:
    found = weighted[0]
    each = [part.roles["effect(z)"] for part in found.parts]
    whole = found.fit.roles["effect(z)"]
    assert whole.shape == (2, SCORE_DRAWS * 25)
    within, between = np.mean([e.var() for e in each]), np.var([e.mean() for e in each])
    assert whole.var() == pytest.approx(within + between)
    assert between > 0.01 * within
    assert np.array_equal(whole[:, :SCORE_DRAWS], np.stack([e[:, 0] for e in each], axis=1))


def test_strata_give_the_average_of_differences_within_strata(tmp_path: Path) -> None:
    found, bound = staged(write(tmp_path, "strata(4)", simulated()))
    data = simulated()
    wanted = list[float]()
    for chance in found.chances["z"]:
        strata = np.searchsorted(np.quantile(chance, [0.25, 0.5, 0.75]), chance, side="right")
        gaps = [data["y"][(strata == s) & (data["z"] == 1)].mean() for s in range(4)]
        gaps = [g - data["y"][(strata == s) & (data["z"] == 0)].mean() for s, g in enumerate(gaps)]
        wanted.append(float(np.average(gaps, weights=np.bincount(strata))))
    from hdsl.estimands import with_defaults
    from hdsl.report.finish import computed_of

    (ate,) = computed_of(with_defaults(bound.study), bound, found.fit, 1)
    assert ate.draws.mean() == pytest.approx(np.mean(wanted), abs=0.03)
    raw = data["y"][data["z"] == 1].mean() - data["y"][data["z"] == 0].mean()
    assert abs(ate.draws.mean() - 0.8) < 0.35 * abs(raw - 0.8)


def test_a_covariate_is_the_regression_on_the_log_odds(tmp_path: Path) -> None:
    found, _ = staged(write(tmp_path, "covariate", simulated()))
    data = simulated()
    spreads = list[float]()
    for chance, part in zip(found.chances["z"], found.parts, strict=True):
        design = np.column_stack([np.ones(ROWS), data["z"], np.log(chance / (1 - chance))])
        known, rest, _, _ = np.linalg.lstsq(design, data["y"], rcond=None)
        error = np.sqrt(rest[0] / (ROWS - 3) * np.linalg.inv(design.T @ design)[1, 1])
        draws = part.roles["effect(z)"]
        assert draws.mean() == pytest.approx(known[1], abs=4 * error / np.sqrt(draws.size))
        spreads.append(float(draws.std() / error))
    assert np.mean(spreads) == pytest.approx(1.0, abs=0.05)
    assert np.ptp(spreads) < 0.8


def test_groups_have_propensities_of_their_own(tmp_path: Path) -> None:
    data = simulated(seed=4, clinics=1.5)
    found, bound = staged(write(tmp_path, "covariate", data, across="across clinic"))
    assert found.assignment["z"].roles["sd(intercept, clinic)"].mean() > 0.8
    (balance,) = balances(bound, found.chances)
    assert balance.names == ("x", "w", "propensity(z)")
    assert abs(balance.after[0]) < 0.1 < abs(balance.before[0])


def test_a_run_keeps_scores_and_balance_and_the_truth_is_in_reach(tmp_path: Path) -> None:
    result = run(write(tmp_path, "weight", simulated(), more="adjust for x, w"), settings=SETTINGS)
    (ate,) = result.estimand_summaries
    assert abs(ate.mean - 0.8) < 3 * ate.sd
    result.save(tmp_path / "r.nc")
    group: Any = load(tmp_path / "r.nc").posterior["propensity"]
    assert group["z_chance"].shape == (SCORE_DRAWS, ROWS)
    assert list(group["z_covariate"].values) == ["x", "w", "propensity(z)"]
    assert np.all(np.abs(group["z_after"].values[:2]) < np.abs(group["z_before"].values[:2]))
    likelihood: Any = result.posterior["log_likelihood"]
    assert likelihood["observed_y"].shape == (2, 500, ROWS)


def test_what_the_score_stands_for_leaves_the_outcome_model(tmp_path: Path) -> None:
    def roles(use: str, more: str = "") -> set[str]:
        derived = derive(write(tmp_path, use, simulated(), more=more))
        assert derived.model is not None, derived.diagnostics
        return {each.role for each in derived.model.reported}

    assert roles("weight") == {"intercept", "effect(z)", "residual"}
    assert roles("covariate") == {"intercept", "effect(z)", "residual", "slope(propensity(z))"}
    assert roles("weight", "adjust for x") == {"intercept", "effect(z)", "residual", "slope(x)"}
    assert "interaction(z * propensity(z))[3]" in roles("strata(3)")


def test_weights_sum_to_the_effective_number_of_units() -> None:
    treated, chance = np.array([1.0, 1.0, 0.0, 0.0, 0.0]), np.array([0.5, 0.25, 0.5, 0.5, 0.75])
    found = weights_of(treated, chance)
    assert found[:2].sum() == pytest.approx(36 / 20)
    assert found[2:].sum() == pytest.approx(64 / 24)
    assert found[1] / found[0] == pytest.approx(2)
    assert list(strata_of(np.array([0.1, 0.9, 0.4, 0.6]), 2)) == [0, 1, 0, 1]
    mixed = interleaved([np.array([[1, 2]]), np.array([[10, 20]])])
    assert mixed.tolist() == [[1, 10, 2, 20]]


def test_balance_by_hand() -> None:
    treated = np.array([1.0, 1.0, 0.0, 0.0])
    values = np.array([3.0, 5.0, 1.0, 2.0])
    assert difference(values, treated) == pytest.approx(2.5 / np.sqrt((2 + 0.5) / 2))
    weights = np.array([3.0, 1.0, 1.0, 1.0])
    assert difference(values, treated, weights) == pytest.approx(2 / np.sqrt((2 + 0.5) / 2))
    assert outside_of(np.array([0.4, 0.9, 0.2, 0.5]), treated) == pytest.approx(0.5)


def test_lack_of_overlap_and_of_balance_are_said(tmp_path: Path) -> None:
    data = simulated()
    data["z"] = (data["x"] > 0).astype(float)
    data["z"][:3] = 1 - data["z"][:3]
    derived = derive(write(tmp_path, "strata(5)", data))
    bound = derived.checked.bound
    assert bound is not None
    chance = 1 / (1 + np.exp(-8 * data["x"]))
    (balance,) = balances(bound, {"z": np.tile(chance, (3, 1))})
    assert {"HDM726", "HDM727"} <= {d.code for d in warnings_of(balance)}
    clear = np.where(data["z"] == 1, 0.9, 0.1) + 0.01 * np.arange(ROWS) / ROWS
    (apart,) = balances(bound, {"z": np.tile(clear, (3, 1))})
    assert apart.outside == 1.0
    assert "HDM725" in {d.code for d in warnings_of(apart)}


def test_a_term_below_the_treated_units_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "covariate", simulated(), across="across clinic")
    data = simulated()
    lines = [f"{c},{x},0,{c % 2},{y}" for c, x, y in zip(data["clinic"], data["x"], data["y"], strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["clinic,x,w,z,y", *lines]))
    text = path.read_text().replace("to patient", "to clinic").replace("across clinic", "")
    path.write_text(text)
    assert "HDM431" in {d.code for d in derive(path).diagnostics}


def test_few_scores_stand_for_all() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(600, 3)) @ rng.normal(size=(3, 40))
    chosen = representative(points, 40)
    assert len(set(chosen)) == 40
    spread = points.std(axis=0)
    apart = np.abs(points[chosen].mean(axis=0) - points.mean(axis=0)) / spread
    assert apart.max() < 0.1 / np.sqrt(40) * 3
    assert points[chosen].std(axis=0) / spread == pytest.approx(np.ones(40), abs=0.12)
