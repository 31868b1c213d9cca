"""Effects of groups in clusters: densities, what one cluster gives, recovery, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats

from hdsl import Settings, run
from hdsl.driver import derive, explain
from hdsl.estimands.worlds import new_groups
from hdsl.model.derive.mixture_effects import MOST_CLUSTERS
from hdsl.model.ir import Model, ModelData
from hdsl.passes import prepare
from hdsl.reference.density import log_density, reported
from hdsl.reference.free import random_point
from hdsl.reference.simulate import prior_draw
from tests.model.preserved import differences

Array = NDArray[np.float64]
HEAD = """study s data "d.csv"
group school id school { covariate size : real }
unit pupil id pid in school { covariate x : real  outcome y : KIND }
treatment z { off = 0, on = 1 }
assign z to pupil within school by complete(0.5)
"""
EFFECT = "vary z across school as dirichlet"
BOTH = f"{EFFECT} vary intercept across school as dirichlet"


def made(
    folder: Path,
    analysis: str,
    kind: str = "real",
    groups: int = 9,
    per: int = 8,
    gap: float = 3.0,
    spread: float = 0.2,
    seed: int = 4,
    more: str = "",
) -> tuple[Path, Array]:
    """Write a study whose effects of z lie in two clusters `gap` apart; return it and the effects."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(groups), per)
    z = np.tile(np.arange(per) % 2, groups)
    effect = 1 + gap * (rng.permutation(groups) % 3 == 0) + spread * rng.normal(size=groups)
    x = rng.normal(size=groups * per)
    y = 3 + rng.normal(size=groups)[school] + effect[school] * z + rng.normal(0, 1, groups * per)
    if kind == "binary":
        y = (y > 4).astype(float)
    columns = {
        "pid": np.arange(groups * per),
        "school": school,
        "size": np.linspace(-1, 1, groups)[school],
        "x": x,
        "z": z,
        "y": np.round(y, 6),
    }
    lines = [",".join(f"{v}" for v in row) for row in zip(*columns.values(), strict=True)]
    (folder / "d.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    path = folder / "s.hdm"
    path.write_text(f"{HEAD.replace('KIND', kind)}analysis {{ {analysis} }}\n{more}")
    return path, effect


def model_of(path: Path) -> tuple[Model, ModelData]:
    """Return the derived model; fails where there is none."""
    found = derive(path)
    assert found.model is not None, found.diagnostics
    assert found.data is not None
    return found.model, found.data


def errors(path: Path) -> set[str]:
    """Return the codes of the errors."""
    return {d.code for d in derive(path).diagnostics if d.severity == "error"}


def by_role(model: Model, point: dict[str, Array]) -> dict[str, Array]:
    """Return values of random variables by role."""
    return {variable.role: point[variable.name] for variable in model.variables}


def shown(model: Model, data: ModelData, point: dict[str, Array]) -> dict[str, Array]:
    """Return what is reported at one point."""
    found = reported(model, data, {name: np.asarray(value)[None, None] for name, value in point.items()})
    return {role: value[0, 0] for role, value in found.items()}


def weights(broken: Array, of: int) -> Array:
    """Return the weights of clusters by breaking a stick, piece by piece."""
    left, found = 1.0, []
    for k in range(of - 1):
        share = 1 - np.exp(-broken[k])
        found.append(left * share)
        left *= 1 - share
    return np.array([*found, left])


def standard_mixture(values: dict[str, Array], about: str, of: int) -> tuple[Array, Array, Array]:
    """Return weights, means and spreads of the clusters of a mixture with mean 0 and spread 1."""
    w = weights(values[f"break({about})"], of)
    narrow, place = float(values[f"narrowness({about})"]), values[f"place({about})"]
    means, sds = np.sqrt(1 - narrow) * (place - w @ place), np.full(of, np.sqrt(narrow))
    size = np.sqrt(w @ (means**2 + sds**2))
    return w, means / size, sds / size


@pytest.mark.parametrize("groups", [6, 14])
def test_the_law_is_the_mixture_with_clusters_summed_out(tmp_path: Path, groups: int) -> None:
    model, data = model_of(made(tmp_path, EFFECT, groups=groups)[0])
    about, of = "effect(z), school", min(groups, MOST_CLUSTERS)
    rng = np.random.default_rng(1)
    point = random_point(model, data, rng)
    values = by_role(model, point)
    w, means, sds = standard_mixture(values, about, of)
    assert_allclose([w.sum(), w @ means, w @ (means**2 + sds**2)], [1, 0, 1], atol=1e-9)
    sd, deviation = values["sd(effect(z), school)"], values["deviation(effect(z), school)"]
    (name,) = (v.name for v in model.variables if v.role == "deviation(effect(z), school)")
    moved = {**point, name: deviation[::-1].copy()}

    def by_hand(d: Array) -> float:
        return float(np.sum(np.log(stats.norm.pdf(d[:, None], sd * means, sd * sds) @ w)))

    def likelihood(d: Array) -> float:
        school = np.repeat(np.arange(groups), 8)
        mean = (
            values["intercept"]
            + values["deviation(intercept, school)"][school]
            + (values["effect(z)"] + d[school]) * np.tile(np.arange(8) % 2, groups)
        )
        y = data.values[model.observations[0].slot]
        return float(np.sum(stats.norm.logpdf(y, mean, values["residual"])))

    found = log_density(model, data, moved) - log_density(model, data, point)
    other = deviation[::-1]
    assert_allclose(found, by_hand(other) + likelihood(other) - by_hand(deviation) - likelihood(deviation), rtol=1e-8)


def test_weights_follow_a_broken_stick(tmp_path: Path) -> None:
    """The first share of a truncated Dirichlet process is beta(1, concentration)."""
    more = "priors { concentration(effect(z), school) ~ lognormal(0.7, 0.000001) }"
    model, data = model_of(made(tmp_path, EFFECT, more=more)[0])
    drawn = prior_draw(model, data, np.random.default_rng(5), draws=2000)
    (name,) = (v.name for v in model.variables if v.role == "break(effect(z), school)")
    shares = 1 - np.exp(-drawn[name])
    for k in range(shares.shape[1]):
        assert stats.kstest(shares[:, k], stats.beta(1, np.exp(0.7)).cdf).pvalue > 1e-3


def test_effects_have_the_spread_that_is_reported(tmp_path: Path) -> None:
    """New groups are drawn with mean 0 and the spread `sd(effect(z), school)`, whatever the clusters."""
    model, data = model_of(made(tmp_path, EFFECT)[0])
    rng = np.random.default_rng(6)
    point = random_point(model, data, rng)
    draws = {name: np.repeat(value[None], 4000, axis=0) for name, value in point.items()}
    (name,) = (v.name for v in model.variables if v.role == "deviation(effect(z), school)")
    fresh = new_groups(model, data, draws, rng)[name]
    sd = float(by_role(model, point)["sd(effect(z), school)"])
    assert abs(fresh.mean()) < 5 * sd / np.sqrt(fresh.size)
    assert_allclose(fresh.std(), sd, rtol=0.05)
    assert np.all(new_groups(model, data, draws, None)[name] == pytest.approx(0, abs=1e-9))


def test_what_is_reported_does_not_depend_on_the_order_of_clusters(tmp_path: Path) -> None:
    model, data = model_of(made(tmp_path, EFFECT)[0])
    about = "effect(z), school"
    point = random_point(model, data, np.random.default_rng(7))
    values = by_role(model, point)
    names = {v.role: v.name for v in model.variables}
    w = weights(values[f"break({about})"], 9)
    order = np.array([3, 0, 7, 5, 8, 1, 2, 6, 4])
    moved = w[order]
    left = 1 - np.concatenate([[0.0], np.cumsum(moved)[:-2]])
    broken = -np.log1p(-moved[:-1] / left)
    other = {**point, names[f"break({about})"]: broken, names[f"place({about})"]: values[f"place({about})"][order]}
    before, after = (shown(model, data, each) for each in (point, other))
    for role in (f"clusters({about})", f"within({about})", f"density({about})", "effect(z)[school]"):
        assert_allclose(after[role], before[role], rtol=1e-6, err_msg=role)


def test_clusters_are_counted(tmp_path: Path) -> None:
    """The expected number of clusters with units in them, against drawing the units' clusters."""
    model, data = model_of(made(tmp_path, EFFECT)[0])
    about = "effect(z), school"
    rng = np.random.default_rng(8)
    point = random_point(model, data, rng)
    values = by_role(model, point)
    w, means, sds = standard_mixture(values, about, 9)
    u = values["deviation(effect(z), school)"] / values["sd(effect(z), school)"]
    share = w * stats.norm.pdf(u[:, None], means, sds)
    share /= share.sum(axis=1, keepdims=True)
    kinds = np.stack([rng.choice(9, 20_000, p=row) for row in share], axis=1)
    wanted = np.mean([len(set(row)) for row in kinds.tolist()])
    found = shown(model, data, point)
    assert_allclose(found[f"clusters({about})"], wanted, atol=0.03)
    density = found[f"density({about})"]
    assert_allclose(density, stats.norm.pdf(np.linspace(-3, 3, 31)[:, None], means, sds) @ w, rtol=1e-8)


@pytest.mark.parametrize("kind", ["real", "binary"])
@pytest.mark.parametrize("analysis", [EFFECT, BOTH, f"{EFFECT} variance of z across school with size"])
def test_passes_keep_the_density(tmp_path: Path, analysis: str, kind: str) -> None:
    plain = model_of(made(tmp_path, analysis, kind, groups=5, per=6)[0])
    found = differences(prepare(*plain), plain, np.random.default_rng(3))
    assert_allclose(found - found[0], 0, atol=5e-5)


@pytest.mark.parametrize("per", [2, 200])
def test_informed_effects_are_centred(tmp_path: Path, per: int) -> None:
    model, _ = prepare(*model_of(made(tmp_path, EFFECT, groups=5, per=per)[0]))
    roles = {variable.role for variable in model.variables}
    wanted = "standard" if per == 2 else "total"
    assert any(role.startswith(f"{wanted}(deviation(effect(z)") for role in roles), roles


def test_other_effects_of_the_group_stay_jointly_normal(tmp_path: Path) -> None:
    path, _ = made(tmp_path, f"{EFFECT} vary x across school adjust for x")
    roles = [reported.role for reported in model_of(path)[0].reported]
    assert "corr(intercept, slope(x), school)" in roles
    text = explain(path)[0]
    assert "effect(z)[school] ~ dirichlet_process_mixture(effect(z), sd(effect(z), school))" in text


@pytest.mark.parametrize(
    ("analysis", "groups", "code"),
    [
        (EFFECT, 2, "HDM629"),
        ("vary x across pupil as dirichlet", 9, "HDM406"),
        (f"{EFFECT} variance of z across school with x", 9, "HDM426"),
        (f"{EFFECT} vary z across school", 9, "HDM260"),
    ],
)
def test_misuse_is_named(tmp_path: Path, analysis: str, groups: int, code: str) -> None:
    path, _ = made(tmp_path, analysis, groups=groups)
    assert errors(path) == {code}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_clusters_are_found(tmp_path: Path) -> None:
    """Effects of 1 and 4 in two groups of schools; a normal law shrinks those far away too much."""
    path, truth = made(tmp_path, EFFECT, groups=40, per=30, seed=11)
    normal = path.with_name("n.hdm")
    normal.write_text(path.read_text().replace(EFFECT, "vary z across school"))
    settings = Settings(draws=1000, warmup=1000, seed=3)
    clustered, plain = run(path, settings=settings), run(normal, settings=settings)
    assert clustered.diagnosis.verdict != "fail"
    found = {s.name: s for s in clustered.parameter_summaries if not s.index}
    assert found["clusters(effect(z), school)"].q5 < 2.5
    assert found["within(effect(z), school)"].q95 < 0.2
    assert abs(found["sd(effect(z), school)"].mean - truth.std()) < 0.2
    error = {}
    for name, result in (("clustered", clustered), ("normal", plain)):
        means = np.asarray(result.posterior["posterior"]["effect(z)[school]"].mean(("chain", "draw")).values)
        error[name] = float(np.sqrt(np.mean((means - truth) ** 2)))
    assert error["clustered"] < 0.85 * error["normal"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_cluster_gives_what_a_normal_law_gives(tmp_path: Path) -> None:
    path, _ = made(tmp_path, EFFECT, groups=30, per=20, gap=0.0, spread=0.8, seed=2)
    normal = path.with_name("n.hdm")
    normal.write_text(path.read_text().replace(EFFECT, "vary z across school uncorrelated"))
    settings = Settings(draws=1000, warmup=1000, seed=3)
    results = [run(each, settings=settings) for each in (path, normal)]
    assert results[0].diagnosis.verdict != "fail"
    summaries = [{s.name: s for s in result.parameter_summaries if not s.index} for result in results]
    for role in ("effect(z)", "sd(effect(z), school)", "residual", "intercept"):
        one, other = (found[role] for found in summaries)
        assert abs(one.mean - other.mean) < 0.5 * other.sd, role
    means = [np.asarray(r.posterior["posterior"]["effect(z)[school]"].mean(("chain", "draw")).values) for r in results]
    assert_allclose(means[0], means[1], atol=0.15)
