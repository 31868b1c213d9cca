"""Intervals of quantiles: the correction for the working likelihood, against sandwiches written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hdsl.backend import Draws, Settings
from hdsl.data.bind import bind
from hdsl.design.parts import complete, covariate, outcome, weight
from hdsl.design.study import Study
from hdsl.inference.fit import Fit
from hdsl.inference.linearised import linearised
from hdsl.inference.working import calibrated_scale, corrected, few_beyond, moving, with_scale
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from hdsl.model.working import Working, working_of
from hdsl.reference.density import log_density, reported
from hdsl.reference.simulate import prior_draw
from tests.model.designs import Column, write

Array = np.ndarray
PROBABILITIES = np.array([0.2, 0.5, 0.9])
ROWS, SITES = 120, 6


def _data(seed: int = 3) -> dict[str, Column]:
    g = np.random.default_rng(seed)
    x, z = g.uniform(0, 3, ROWS).round(3), g.integers(0, 2, ROWS)
    y = 1 + x + z * (1 + x) + (0.5 + 0.5 * x) * g.standard_exponential(ROWS)
    return {"site": np.arange(ROWS) % SITES, "z": z, "x": x, "w": g.integers(1, 4, ROWS), "y": y.round(4)}


def _study(*, sites: bool = False, weights: str = "", family: str = "quantile(0.2, 0.5, 0.9)") -> Study:
    variables = [covariate("x", "real"), outcome("y", "real"), *([weight("w", weights)] if weights else [])]
    study = Study("pay").data("d.csv")
    study = study.group("site", id="site") if sites else study
    study = study.unit("person", within="site" if sites else (), variables=variables).treatment("z", off=0, on=1)
    study = study.assign("z", to="person", by=complete(0.5)).adjust("x").family("y", family)
    return study.vary("z", across="site", uncorrelated=True) if sites else study


def _made(study: Study, folder: Path) -> tuple[Model, ModelData, Working]:
    write(folder / "d.csv", _data())
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    working = working_of(made[0])
    assert isinstance(working, Working)
    return *made, working


def _fit(model: Model, data: ModelData, draws: dict[str, Array]) -> Fit:
    sampled = Draws(values=draws, statistics={}, engine="given", seconds={}, max_tree_depth=10)
    return Fit(model, data, "given", sampled, draws, reported(model, data, draws), Settings())


def _given(model: Model, data: ModelData, seed: int = 5) -> Fit:
    """Return a fit with made-up draws: of a normal variable about 1, of a positive one just above 1."""
    g, sizes = np.random.default_rng(seed), model.sizes
    draws: dict[str, Array] = {}
    for variable in model.variables:
        shape = (2, 400, *(sizes[dim] for dim in variable.dims))
        normal = variable.law.distribution == "normal"
        draws[variable.name] = 1 + 0.3 * g.normal(size=shape) if normal else 1 + 0.1 * g.random(shape)
    return _fit(model, data, draws)


def _columns(sites: bool) -> tuple[dict[str, Array], Array]:
    """Return the columns of the design by role, each (rows, elements), and the outcome."""
    data = {name: np.asarray(column, dtype=np.float64) for name, column in _data().items()}
    indicators = np.eye(SITES)[data["site"].astype(int)]
    found = {"intercept": np.ones((ROWS, 1)), "effect(z)": data["z"][:, None], "slope(x)": data["x"][:, None]}
    if sites:
        found["deviation(intercept, site)"] = indicators
        found["deviation(effect(z), site)"] = indicators * data["z"][:, None]
    return found, data["y"]


@pytest.mark.parametrize("sites", [False, True])
def test_the_design_of_each_quantile_is_found(sites: bool, tmp_path: Path) -> None:
    model, data, working = _made(_study(sites=sites), tmp_path)
    parts = linearised(_given(model, data), working)
    columns, y = _columns(sites)
    expected = np.hstack([columns[variable.role] for variable in working.coefficients])
    assert working.pooled == sites
    for own in parts.design:
        np.testing.assert_allclose(own, expected, atol=1e-12)
    np.testing.assert_allclose(parts.offset, 0, atol=1e-12)
    np.testing.assert_allclose(parts.outcome, y)
    np.testing.assert_allclose(parts.probabilities, PROBABILITIES)


def test_the_precision_is_the_curvature_of_the_prior(tmp_path: Path) -> None:
    """Against second differences of the log density, which has no likelihood where the weights are zero."""
    model, data, working = _made(_study(sites=True, weights="real"), tmp_path)
    assert working.observation.weight is not None
    values = {**data.values, working.observation.weight: np.zeros_like(data.values[working.observation.weight])}
    silent = ModelData(values=values, coords=data.coords)
    fit = _given(model, silent)
    parts = linearised(fit, working)
    point = {name: np.median(value, axis=(0, 1)) for name, value in fit.parameters.items()}

    def density(**moved: float) -> float:
        at = {name: value.copy() for name, value in point.items()}
        for name, step in moved.items():
            at[name].reshape(-1)[1] += step
        return log_density(model, silent, at)

    place = 0
    for variable in working.coefficients:
        assert variable.dims[-1] == working.quantile
        size = int(np.prod([model.sizes[dim] for dim in variable.dims[:-1]]))
        own = -(density(**{variable.name: 1.0}) - 2 * density() + density(**{variable.name: -1.0}))
        assert parts.precision[1, place, place] == pytest.approx(own, rel=1e-6), variable.role
        place += size


def test_effects_that_vary_together_have_the_precision_of_their_joint_law(tmp_path: Path) -> None:
    study = _study(sites=True, family="quantile(0.5)").vary("x", across="site")
    joint = tuple(item for item in study.analysis if not (item.node == "vary_across" and item.uncorrelated))
    model, data, working = _made(study.model_copy(update={"analysis": joint}), tmp_path)
    drawn = prior_draw(model, data, np.random.default_rng(3), draws=801)
    fit = _fit(model, data, {name: value[None] for name, value in drawn.items()})
    parts = linearised(fit, working)
    middle = {variable.role: np.median(drawn[variable.name], axis=0) for variable in model.variables}
    sds = np.diag([middle["sd(intercept, site)"], middle["sd(slope(x), site)"]])
    factor = sds @ middle["corr_cholesky(site)"]
    own = np.linalg.inv(factor @ factor.T)
    sizes = [int(np.prod([model.sizes[dim] for dim in variable.dims])) for variable in working.coefficients]
    place = [variable.role for variable in working.coefficients].index("deviation(site)")
    start = sum(sizes[:place])
    rows = slice(start, start + 2 * SITES)
    assert sizes[place] == 2 * SITES
    np.testing.assert_allclose(parts.precision[0][rows, rows], np.kron(np.eye(SITES), own), rtol=1e-8, atol=1e-9)


def test_draws_of_one_quantile_get_the_covariance_of_yang_wang_and_he(tmp_path: Path) -> None:
    """Where the draws' covariance is the inverse curvature: p (1 - p) / s^2 V X'X V, up to the weak priors."""
    model, data, working = _made(_study(family="quantile(0.5)"), tmp_path)
    g = np.random.default_rng(8)
    columns, y = _columns(False)
    x = np.hstack([columns[variable.role] for variable in working.coefficients])
    centre = np.linalg.lstsq(x, y, rcond=None)[0]
    before = covariance = 0.05 * np.linalg.inv(x.T @ x / ROWS)
    draws: dict[str, Array] = {}
    for _ in range(60):
        flat = g.multivariate_normal(centre, covariance, size=(2, 20_000))
        draws = {v.name: flat[..., i] for i, v in enumerate(working.coefficients)}
        draws[working.scale] = np.full((2, 20_000), 0.6)
        parts = linearised(_fit(model, data, draws), working)
        curvature = (x * (parts.density[0] / 0.6)[:, None]).T @ x + parts.precision[0]
        covariance, before = np.linalg.inv(curvature), covariance
    assert np.abs(covariance - before).max() < 0.1 * np.abs(covariance).max()
    fit = corrected(_fit(model, data, draws), working)
    own = np.stack([fit.parameters[v.name].reshape(-1) for v in working.coefficients])
    expected = 0.25 / 0.36 * covariance @ x.T @ x @ covariance
    np.testing.assert_allclose(np.sqrt(np.diag(np.cov(own))), np.sqrt(np.diag(expected)), rtol=0.05)
    np.testing.assert_allclose(own.mean(axis=1), [draws[v.name].mean() for v in working.coefficients], rtol=1e-9)


@pytest.mark.parametrize("sites", [False, True])
@pytest.mark.parametrize("weights", ["", "real", "count"])
def test_the_move_gives_the_sandwich_of_all_quantiles_together(sites: bool, weights: str, tmp_path: Path) -> None:
    """A H^-1 A' = H^-1 K H^-1, with the scores of all rows and quantiles summed one by one."""
    model, data, working = _made(_study(sites=sites, weights=weights), tmp_path)
    parts = linearised(_given(model, data), working, counted=weights == "count")
    columns, _ = _columns(sites)
    x = np.hstack([columns[variable.role] for variable in working.coefficients])
    w = np.asarray(_data()["w"], np.float64) if weights else np.ones(ROWS)
    size = x.shape[1]
    curvature, variance = np.zeros((3 * size, 3 * size)), np.zeros((3 * size, 3 * size))
    for i in range(ROWS):
        for j, p in enumerate(PROBABILITIES):
            rows = slice(j * size, (j + 1) * size)
            curvature[rows, rows] += w[i] * parts.density[j, i] / parts.scale[j] * np.outer(x[i], x[i])
            for k, q in enumerate(PROBABILITIES):
                together = (min(p, q) - p * q) * (w[i] if weights == "count" else w[i] ** 2)
                both = together / parts.scale[j] / parts.scale[k] * np.outer(x[i], x[i])
                variance[rows, k * size : (k + 1) * size] += both
    for j in range(3):
        rows = slice(j * size, (j + 1) * size)
        curvature[rows, rows] += parts.precision[j]
        variance[rows, rows] += parts.precision[j]
    bread = np.linalg.inv(curvature)
    move = moving(parts)
    expected = bread @ variance @ bread
    np.testing.assert_allclose(move @ bread @ move.T, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


def test_counted_rows_are_as_good_as_the_rows_themselves(tmp_path: Path) -> None:
    """Rows with a count of 2 are two rows each."""
    model, data, working = _made(_study(weights="count"), tmp_path)
    plain, own, known = _made(_study(), tmp_path)
    assert working.observation.weight is not None
    twice = {**data.values, working.observation.weight: np.full_like(data.values[working.observation.weight], 2.0)}
    one = linearised(_given(model, ModelData(twice, data.coords)), working, counted=True)
    other = linearised(_given(plain, own), known)
    assert calibrated_scale(one) == pytest.approx(calibrated_scale(other), rel=1e-9)
    assert np.sum(one.score_weight) == 2 * np.sum(other.score_weight)


def test_a_given_scale_leaves_the_density_of_all_else(tmp_path: Path) -> None:
    """Differences of the log density between two points are those at this scale, which has no prior then."""
    model, data, working = _made(_study(sites=True), tmp_path)
    fixed = {name: value[0, 0] for name, value in _given(model, data).parameters.items() if name != working.scale}
    moved = {name: value + 0.1 for name, value in fixed.items()}
    scale = np.array([0.5, 0.7, 0.9])
    own = with_scale(model, data, working, scale)
    assert working.scale not in [variable.name for variable in own[0].variables]
    assert {each.role for each in model.reported} - {each.role for each in own[0].reported} == {"residual"}
    here, there = ({**at, working.scale: scale} for at in (fixed, moved))
    expected = log_density(model, data, there) - log_density(model, data, here)
    assert log_density(*own, moved) - log_density(*own, fixed) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("sites", "family", "told"),
    [
        (False, "quantile(0.2, 0.5, 0.9)", "quantiles 0.2, 0.9 of y: 12 for 3 coefficients"),
        (True, "quantile(0.5)", None),
        (True, "quantile(0.1)", "quantile 0.1 of y: 12 for 3 coefficients"),
        (False, "quantile(0.5, 0.74)", None),
    ],
)
def test_few_rows_beyond_a_quantile_are_told(sites: bool, family: str, told: str | None, tmp_path: Path) -> None:
    """120 rows, three coefficients that are not pooled: 30 rows are wanted beyond each quantile."""
    model, data, working = _made(_study(sites=sites, family=family), tmp_path)
    found = few_beyond(corrected(_given(model, data), working))
    assert [d.message for d in found] == ([f"Few rows lie beyond the {told}."] if told else [])


def test_counts_of_rows_are_rows_beyond_a_quantile(tmp_path: Path) -> None:
    model, data, working = _made(_study(weights="count"), tmp_path)
    fit = corrected(_given(model, data), working, counted=True)
    messages = [few_beyond(fit, counted=counted)[0].message for counted in (True, False)]
    assert int(np.sum(_data()["w"])) == 230
    assert [message.split(": ")[1] for message in messages] == ["23 for 3 coefficients.", "12 for 3 coefficients."]


def _heavy_tailed(study: Study) -> Study:
    return study.vary("x", across="site", law="student", uncorrelated=True)


def _exploratory(study: Study) -> Study:
    return study.vary("z", moderator="x", prespecified=False)


def _prespecified(study: Study) -> Study:
    return study.vary("z", moderator="x", prespecified=True)


@pytest.mark.parametrize(
    ("amended", "reason"),
    [
        (_heavy_tailed, "deviation(slope(x), site) has no normal law"),
        (_exploratory, "sd(interactions) has no normal law"),
        (_prespecified, None),
    ],
)
def test_what_cannot_be_corrected_is_said(
    amended: Callable[[Study], Study], reason: str | None, tmp_path: Path
) -> None:
    write(tmp_path / "d.csv", _data())
    bound, _ = bind(amended(_study(sites=True)), tmp_path)
    assert bound is not None
    made, found = model_of(bound)
    assert made is not None
    warned = [d.message for d in found if d.code == "HDM425"]
    assert [message.endswith(f"{reason}.") for message in warned] == ([True] if reason else [])


EQUATIONS = """study own
data "d.csv"
unit person {{ covariate x : real  outcome y : real }}
treatment z {{ off = 0, on = 1 }}
assign z to person by {assigned}
{rest}
"""


@pytest.mark.parametrize(
    ("assigned", "rest", "reason"),
    [
        (
            "complete(0.5)",
            "model { y ~ asymmetric_laplace(a + b * z, s, 0.9)  a ~ normal(0, 9)  b ~ normal(0, 9)  s ~ gamma(2, 1) }",
            "explicit equations are taken at their word",
        ),
        (
            "ignorable(x)",
            "analysis { family y quantile(0.5)  propensity for z as covariate }",
            "propensity scores are fitted before it",
        ),
        ("complete(0.5)", "analysis { family y quantile(0.5) }", None),
    ],
)
def test_likelihoods_that_are_kept_are_said(assigned: str, rest: str, reason: str | None, tmp_path: Path) -> None:
    from hdsl import driver

    write(tmp_path / "d.csv", _data())
    (tmp_path / "s.hdm").write_text(EQUATIONS.format(assigned=assigned, rest=rest))
    derived = driver.derive(tmp_path / "s.hdm")
    assert not derived.failed, derived.diagnostics
    warned = [d.message for d in derived.diagnostics if d.code == "HDM425"]
    assert [message.endswith(f"{reason}.") for message in warned] == ([True] if reason else [])


def test_intervals_as_they_are_can_be_had(tmp_path: Path) -> None:
    from hdsl import driver

    write(tmp_path / "d.csv", _data())
    study = _study(family="quantile(0.5, intervals = working)")
    settings = Settings(chains=2, draws=100, warmup=200)
    results = [driver.run(each, data=str(tmp_path / "d.csv"), settings=settings) for each in (study, _study())]
    assert [bool(result.intervals) for result in results] == [False, True]
    assert ["HDM425" in [d.code for d in result.warnings] for result in results] == [True, False]
