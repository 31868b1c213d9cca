"""Effects of outcomes that are not Gaussian, integrated out by quadrature: against SciPy's integrals and NUTS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hdsl_numpyro import backend
from numpy.testing import assert_allclose

from hdsl.backend import Settings
from hdsl.diagnostics import Diagnostic
from hdsl.driver import derive
from hdsl.inference.choose import choose
from hdsl.inference.convergence import convergence
from hdsl.inference.exact.hyper import hyper_at, size_of
from hdsl.inference.fit import Fit, fit
from hdsl.inference.quadrature.density import log_density, warm_start
from hdsl.inference.quadrature.effects import draw_effects, effect_values
from hdsl.inference.quadrature.groups import Grouped, grouped
from hdsl.inference.quadrature.kernels import KERNELS, Outcome
from hdsl.inference.quadrature.nodes import nodes
from hdsl.inference.quadrature.recognise import Predicted, predicted
from hdsl.inference.quadrature.run import quadrature_draws
from hdsl.model.ir import Model, ModelData
from hdsl.passes.marginal.recognise import Unrecognised
from hdsl.reference import density
from hdsl.reference.simulate import prior_draw, simulate

Array = np.ndarray
Case = tuple[Model, ModelData]

SCHOOLS = """study shape data "rows.csv"
group school id school
unit pupil in school {{ covariate x : real {covariates} outcome {outcome} }}
treatment z {{ off = 0, on = 1 }}
assign z to pupil within school by bernoulli(0.5)
analysis {{ adjust for x {analysis} }}
"""
SHAPES = {
    "bernoulli": ("b : binary", ""),
    "probit": ("b : binary", "family b bernoulli(link = probit)"),
    "cloglog": ("b : binary", "family b bernoulli(link = cloglog)"),
    "binomial": ("k : count of n", ""),
    "poisson": ("k : count", "family k poisson"),
    "negative binomial": ("k : count", ""),
    "ordinal": ("o : ordered", ""),
    "weighted": ("b : binary weight wt : real", ""),
    "two effects": ("b : binary", "vary z across school"),
    "two effects apart": ("k : count", "family k poisson vary z across school uncorrelated"),
}


def made(folder: Path, name: str, groups: int = 6, size: int = 8, seed: int = 3) -> Case:
    """Return the plain model of a shape with simulated rows; x has three values."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(groups), size)
    rows = len(school)
    z, x, n = rng.integers(0, 2, rows), rng.integers(-1, 2, rows), rng.integers(1, 9, rows)
    eta = 0.4 * z + 0.3 * x + rng.normal(0, 0.8, groups)[school] + 0.5 * z * rng.normal(0, 1, groups)[school]
    p = 1 / (1 + np.exp(-eta))
    columns = {
        "school": school,
        "z": z,
        "x": x,
        "n": n,
        "b": rng.binomial(1, p),
        "k": rng.binomial(n, p),
        "o": rng.binomial(3, p),
        "wt": rng.uniform(0.5, 2, rows).round(2),
    }
    text = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "rows.csv").write_text("\n".join(text))
    outcome, analysis = SHAPES[name]
    (folder / "s.hdm").write_text(SCHOOLS.format(covariates="", outcome=outcome, analysis=analysis))
    derived = derive(folder / "s.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    return derived.model, derived.data


def recognised(case: Case) -> Grouped:
    found = predicted(*case)
    assert isinstance(found, Predicted), getattr(found, "reason", "")
    return grouped(found)


def integrated(case: Case, model: Grouped, point: Array) -> float:
    """Return the log density of hyperparameters, each group's effects integrated out on a dense grid.

    The integrand is the reference's log likelihood of the plain model, with the same effects in every group.
    """
    plain, data = case
    grouping = model.predicted.grouping
    assert grouping is not None
    axis = np.linspace(-9, 9, 601 if model.size == 1 else 161)
    grid = np.stack(np.meshgrid(*[axis] * model.size, indexing="ij"), axis=-1).reshape(-1, model.size)
    normal = -0.5 * np.sum(grid**2, axis=1) - model.size / 2 * np.log(2 * np.pi)
    hyper = hyper_at(model.predicted.linear, np.repeat(point[None], len(grid), axis=0))
    standard = np.broadcast_to(grid[:, None], (len(grid), grouping.size, model.size))
    draws = {**hyper.parameters, **effect_values(model, hyper, standard)}
    (by_row,) = density.log_likelihood(plain, data, draws).values()
    (codes,) = (data.values[slot.name] for slot in plain.slots if slot.indexes == "school")
    total = float(hyper.log_prior[0])
    for group in range(grouping.size):
        inside = by_row[:, codes == group].sum(axis=1) + normal
        total += float(np.logaddexp.reduce(inside)) + model.size * float(np.log(axis[1] - axis[0]))
    return total


@pytest.mark.parametrize("name", SHAPES)
def test_density_is_the_integral_of_the_plain_model(name: str, tmp_path: Path) -> None:
    """Up to a constant: outcomes of rows that are alike are added up."""
    case = made(tmp_path, name)
    model = recognised(case)
    points = np.random.default_rng(1).normal(0, 0.4, (3, size_of(model.predicted.linear.hyper)))
    expected = np.array([integrated(case, model, point) for point in points])
    found = log_density(model, points, 31 if model.size == 1 else 21)
    assert np.ptp(found - expected) < 1e-5
    coarse = log_density(model, points, 1)
    assert np.ptp(coarse - expected) > 1e-3


NESTED = """study shape data "rows.csv"
group district id district
group school id school in district
unit pupil in school { covariate x : real outcome b : binary }
treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5)
analysis { adjust for x }
"""


def in_districts(folder: Path, districts: int, schools: int, pupils: int) -> Case:
    """Return the plain model of schools in districts with simulated rows."""
    made(folder, "bernoulli", districts * schools, pupils)
    rows = (folder / "rows.csv").read_text().splitlines()
    placed = [f"{row},{int(row.split(',')[0]) // schools}" for row in rows[1:]]
    (folder / "rows.csv").write_text("\n".join([rows[0] + ",district", *placed]))
    (folder / "n.hdm").write_text(NESTED)
    derived = derive(folder / "n.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    return derived.model, derived.data


class Grid:
    """The plain model's density of the effects of districts and of their schools, on a grid of both."""

    def __init__(self, case: Case, model: Grouped, point: Array, schools: int) -> None:
        plain, data = case
        coarse, fine = model.predicted.coarse, model.predicted.grouping
        assert coarse is not None
        assert fine is not None
        self.axis = np.linspace(-8, 8, 161)
        above, within = (each.ravel() for each in np.meshgrid(self.axis, self.axis, indexing="ij"))
        self.hyper = hyper_at(model.predicted.linear, np.repeat(point[None], len(above), axis=0))

        def at(values: Array, size: int) -> Array:
            return np.broadcast_to(values[:, None, None], (len(values), size, 1))

        self.effects = effect_values(model, self.hyper, at(within, fine.size))
        self.above = effect_values(model, self.hyper, at(above, coarse.size), coarse)
        draws = {**self.hyper.parameters, **self.effects, **self.above}
        (by_row,) = density.log_likelihood(plain, data, draws).values()
        (codes,) = (
            data.values[slot.name] for slot in plain.slots if (slot.indexes, slot.dims[0]) == ("school", "pupil")
        )
        step, normal = np.log(self.axis[1] - self.axis[0]), -0.5 * self.axis**2 - 0.5 * np.log(2 * np.pi)
        self.districts: list[Array] = []
        for district in range(coarse.size):
            total = normal.copy()
            for school in range(district * schools, (district + 1) * schools):
                inner = by_row[:, codes == school].sum(axis=1).reshape(161, 161) + normal
                total += np.logaddexp.reduce(inner, axis=1) + step
            self.districts.append(total)
        self.log_density = float(self.hyper.log_prior[0])
        self.log_density += sum(float(np.logaddexp.reduce(each)) + float(step) for each in self.districts)


def test_density_of_schools_in_districts_is_the_integral(tmp_path: Path) -> None:
    case = in_districts(tmp_path, 3, 3, 5)
    model = recognised(case)
    assert model.nested
    points = np.random.default_rng(1).normal(0, 0.4, (3, size_of(model.predicted.linear.hyper)))
    expected = np.array([Grid(case, model, point, 3).log_density for point in points])
    assert np.ptp(log_density(model, points, 15) - expected) < 1e-7
    warm = warm_start(model, points[0], np.full(points.shape[1], 0.1))
    assert np.ptp(log_density(model, points, 15, warm) - expected) < 1e-7
    assert np.ptp(log_density(model, points, 1) - expected) > 1e-3


def test_effects_of_districts_are_drawn_from_their_conditional_law(tmp_path: Path) -> None:
    case = in_districts(tmp_path, 4, 3, 5)
    model = recognised(case)
    point = np.random.default_rng(5).normal(0, 0.4, size_of(model.predicted.linear.hyper))
    grid = Grid(case, model, point, 3)
    number = 6000
    drawn = draw_effects(model, np.repeat(point[None], number, axis=0), 1, None)
    (effect,) = grid.above
    for district, heights in enumerate(grid.districts):
        weights = np.exp(heights - heights.max())
        weights /= weights.sum()
        there = grid.above[effect][:, district].reshape(161, 161)[:, 0]
        mean = float(weights @ there)
        spread = float(np.sqrt(weights @ (there - mean) ** 2))
        ours = drawn[effect][:, district]
        assert abs(ours.mean() - mean) < 4.5 * spread / np.sqrt(number)
        assert_allclose(ours.std(), spread, rtol=0.06)


@pytest.mark.slow
def test_exact_and_nuts_agree_on_schools_in_districts(tmp_path: Path) -> None:
    model, data = in_districts(tmp_path, 10, 5, 8)
    settings = Settings(draws=1500, warmup=500, seed=3)
    exact = fit(model, data, backend, settings)
    nuts = fit(model, data, backend, replace(settings, inference="nuts"))
    assert isinstance(exact, Fit)
    assert isinstance(nuts, Fit)
    assert exact.sampled.engine.startswith("exact")
    _agree(exact, nuts)


@pytest.mark.parametrize("name", ["bernoulli", "two effects"])
def test_effects_are_drawn_from_their_conditional_law(name: str, tmp_path: Path) -> None:
    """Given hyperparameters, mean and spread of each school's effects are those of the integrals on a grid."""
    case = made(tmp_path, name)
    model = recognised(case)
    point = np.random.default_rng(5).normal(0, 0.4, size_of(model.predicted.linear.hyper))
    number = 6000
    drawn = draw_effects(model, np.repeat(point[None], number, axis=0), 1, None)
    grouping = model.predicted.grouping
    assert grouping is not None
    (effect,) = grouping.effects
    axis = np.linspace(-6, 6, 601 if model.size == 1 else 121)
    grid = np.stack(np.meshgrid(*[axis] * model.size, indexing="ij"), axis=-1).reshape(-1, model.size)
    hyper = hyper_at(model.predicted.linear, np.repeat(point[None], len(grid), axis=0))
    standard = np.broadcast_to(grid[:, None], (len(grid), grouping.size, model.size))
    values = effect_values(model, hyper, standard)
    (by_row,) = density.log_likelihood(*case, {**hyper.parameters, **values}).values()
    (codes,) = (case[1].values[slot.name] for slot in case[0].slots if slot.indexes == "school")
    for group in range(grouping.size):
        heights = by_row[:, codes == group].sum(axis=1) - 0.5 * np.sum(grid**2, axis=1)
        weights = np.exp(heights - heights.max())
        weights /= weights.sum()
        there = values[effect.name][:, group].reshape(len(grid), -1)
        mean = weights @ there
        spread = np.sqrt(weights @ (there - mean) ** 2)
        ours = drawn[effect.name][:, group].reshape(number, -1)
        assert np.all(np.abs(ours.mean(0) - mean) < 4.5 * spread / np.sqrt(number))
        assert_allclose(ours.std(0), spread, rtol=0.06)


def _agree(one: Fit, other: Fit) -> None:
    """Means and spreads of all roles agree within Monte Carlo error."""
    for role, values in one.roles.items():
        a = values.reshape(*values.shape[:2], -1)
        b = other.roles[role].reshape(*other.roles[role].shape[:2], -1)
        error = np.sqrt(a.var((0, 1)) / convergence(a).bulk + b.var((0, 1)) / convergence(b).bulk)
        away = np.abs(a.mean((0, 1)) - b.mean((0, 1))) / np.maximum(error, 1e-12)
        assert np.max(away) < 4.5, role
        assert np.max(np.abs(np.log(a.std((0, 1)) / b.std((0, 1))))) < 0.2, role


@pytest.mark.parametrize("name", ["bernoulli", pytest.param("two effects", marks=pytest.mark.slow)])
def test_exact_and_nuts_agree(name: str, tmp_path: Path) -> None:
    model, data = made(tmp_path, name, groups=12, size=15)
    settings = Settings(draws=1500, warmup=500, seed=3)
    exact = fit(model, data, backend, settings)
    nuts = fit(model, data, backend, replace(settings, inference="nuts"))
    assert isinstance(exact, Fit)
    assert isinstance(nuts, Fit)
    assert exact.sampled.engine.startswith("exact: effects integrated out by quadrature")
    assert "NUTS" in nuts.sampled.engine
    assert exact.sampled.quality["khat"] < 0.5
    assert exact.sampled.quality["quadrature_error"] < 0.01
    _agree(exact, nuts)


def test_the_seed_decides(tmp_path: Path) -> None:
    model = recognised(made(tmp_path, "poisson"))
    settings = Settings(chains=2, draws=600, seed=4)
    one, again = (quadrature_draws(model, settings) for _ in range(2))
    other = quadrature_draws(model, replace(settings, seed=5))
    for name, values in one.values.items():  # pyright: ignore[reportAttributeAccessIssue]
        assert np.array_equal(values, again.values[name])  # pyright: ignore[reportAttributeAccessIssue]
        assert not np.array_equal(values, other.values[name])  # pyright: ignore[reportAttributeAccessIssue]


def test_groups_that_are_alike_are_integrated_once(tmp_path: Path) -> None:
    """Schools with the same pupils are one kind: the density is that of each by itself."""
    case = made(tmp_path, "bernoulli", groups=40, size=3)
    model = recognised(case)
    assert model.kinds.groups < model.table.groups == 40
    assert model.times.sum() == 40
    apart = replace(model, kinds=model.table, kind_of_group=np.arange(40), times=np.ones(40))
    points = np.random.default_rng(1).normal(0, 0.4, (3, size_of(model.predicted.linear.hyper)))
    assert_allclose(log_density(model, points, 7), log_density(apart, points, 7), rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_slopes_and_information_are_derivatives(kernel: str) -> None:
    rng = np.random.default_rng(7)
    trials = rng.integers(2, 9, 12).astype(float)
    y = rng.binomial(3, 0.5, 12).astype(float) if kernel == "ordinal" else rng.binomial(trials.astype(int), 0.5)
    outcome = Outcome(np.asarray(y, float), trials, None)
    extra = np.array([[-1.0, 0.2, 1.4]]) if kernel == "ordinal" else np.array([[1.7]])
    family = KERNELS[kernel]
    ready, eta, step = family.ready(outcome, extra), rng.normal(0, 1, (1, 12)), 1e-4
    low, here, high = (family.value(ready, eta + move) for move in (-step, 0.0, step))
    slope, information = family.slopes(ready, eta)
    assert_allclose(slope, (high - low) / (2 * step), rtol=1e-6, atol=1e-6)
    assert_allclose(information, -(high - 2 * here + low) / step**2, rtol=1e-4, atol=1e-5)


def test_nodes_integrate_polynomials() -> None:
    """Five nodes a dimension give the moments of normal variables up to the ninth."""
    rule = nodes(5, 2)
    x, y = rule.points.T
    weights = np.exp(rule.log_weights - 0.5 * (x**2 + y**2))
    assert_allclose(weights.sum(), 1.0, rtol=1e-7)
    assert_allclose(weights @ (x**4 * y**2), 3.0, rtol=1e-5)


OTHER_LAW = """study s data "rows.csv" group school id school
unit pupil in school { covariate x : real outcome k : count } treatment z { off = 0, on = 1 }
assign z to pupil within school by bernoulli(0.5) analysis { family k zipoisson }"""


def test_other_laws_are_left_to_nuts(tmp_path: Path) -> None:
    made(tmp_path, "poisson")
    (tmp_path / "o.hdm").write_text(OTHER_LAW)
    derived = derive(tmp_path / "o.hdm")
    assert derived.model is not None
    assert derived.data is not None
    found = predicted(derived.model, derived.data)
    assert isinstance(found, Unrecognised)
    assert "zipoisson" in found.reason
    choice = choose(derived.model, derived.data, "numpyro", Settings())
    assert not choice.exact
    refused = fit(derived.model, derived.data, backend, Settings(inference="exact"))
    assert isinstance(refused, Diagnostic)
    assert refused.code == "HDM716"


def test_spreads_that_differ_between_units_are_left_to_nuts(tmp_path: Path) -> None:
    made(tmp_path, "bernoulli")
    text = SCHOOLS.format(covariates="", outcome="b : binary", analysis="variance of intercept across school with size")
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    sized = [rows[0] + ",size", *(f"{row},{int(row.split(',')[0]) % 3}" for row in rows[1:])]
    (tmp_path / "rows.csv").write_text("\n".join(sized))
    (tmp_path / "v.hdm").write_text(
        text.replace("group school id school", "group school id school { covariate size : real }")
    )
    derived = derive(tmp_path / "v.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    found = predicted(derived.model, derived.data)
    assert isinstance(found, Unrecognised)
    assert "differs between units" in found.reason


def test_what_is_left_must_be_few(tmp_path: Path) -> None:
    """Blocks that cross the schools are left as parameters, one for each: too many of them go to NUTS."""
    made(tmp_path, "bernoulli", groups=30, size=10)
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text(
        "\n".join([rows[0] + ",block", *(f"{row},{place % 25}" for place, row in enumerate(rows[1:]))])
    )
    (tmp_path / "c.hdm").write_text(
        """study s data "rows.csv" group block id block group school id school
unit pupil in school * block { outcome b : binary }
treatment z { off = 0, on = 1 } assign z to pupil by bernoulli(0.5)"""
    )
    derived = derive(tmp_path / "c.hdm")
    assert derived.model is not None, [d.message for d in derived.diagnostics]
    assert derived.data is not None
    choice = choose(derived.model, derived.data, "numpyro", Settings())
    assert not choice.exact
    assert "parameters are left" in choice.reason


def test_simulated_data_without_variation_are_not_accepted_or_agree(tmp_path: Path) -> None:
    """All outcomes alike: what is drawn is finite, or the sampler is NUTS."""
    model, data = made(tmp_path, "bernoulli")
    values = {**data.values, "b": np.zeros_like(data.values["b"])}
    found = quadrature_draws(recognised((model, ModelData(values, data.coords))), Settings(draws=500))
    drawn = getattr(found, "values", {})
    assert all(np.all(np.isfinite(array)) for array in drawn.values())
    assert drawn or getattr(found, "reason", "")


def test_truths_are_recovered_from_many_groups(tmp_path: Path) -> None:
    """400 schools simulated from the model: the posterior of the spread covers the truth, and is narrow."""
    model, data = made(tmp_path, "binomial", groups=400, size=4)
    rng = np.random.default_rng(11)
    truth = prior_draw(model, data, rng)
    (sd,) = (v.name for v in model.variables if v.role == "sd(intercept, school)")
    truth[sd] = np.asarray(0.6)
    (effect,) = (v.name for v in model.variables if v.role.startswith("deviation("))
    truth[effect] = 0.6 * rng.standard_normal(400)
    found = quadrature_draws(recognised((model, simulate(model, data, truth, rng))), Settings(seed=2))
    drawn = found.values[sd]  # pyright: ignore[reportAttributeAccessIssue]
    assert abs(drawn.mean() - 0.6) < 4 * drawn.std()
    assert drawn.std() < 0.08
