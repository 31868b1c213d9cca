"""Quantiles of potential outcomes put in order, and the effects on them, against sums written out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hdsl import driver
from hdsl.backend import Settings
from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.design.parts import complete, covariate, outcome
from hdsl.design.snippets import StudyError
from hdsl.design.study import Study
from hdsl.estimands.quantile_effects import quantile_effects
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData
from tests.model.designs import Column, write

Array = np.ndarray
ROWS, CHAINS, DRAWS = 30, 2, 7


def _data() -> dict[str, Column]:
    g = np.random.default_rng(4)
    z = np.arange(ROWS) // 3 % 2
    x = g.uniform(0, 3, ROWS).round(3)
    return {"site": np.arange(ROWS) % 3, "z": z, "x": x, "y": (1 + z + x + g.standard_exponential(ROWS)).round(4)}


def _study(*probabilities: float, sites: bool = False) -> Study:
    study = Study("pay").data("d.csv")
    study = study.group("site", id="site") if sites else study
    within = "site" if sites else ()
    study = study.unit("person", within=within, variables=[covariate("x", "real"), outcome("y", "real")])
    study = study.treatment("z", off=0, on=1).assign("z", to="person", within=within, by=complete(0.5)).adjust("x")
    study = study.vary("z", moderator="x", prespecified=True)
    return study.family("y", f"quantile({', '.join(map(str, probabilities))})")


def _made(study: Study, folder: Path) -> tuple[Model, ModelData, Bound]:
    write(folder / "d.csv", _data())
    bound, problems = bind(study, folder)
    assert bound is not None, problems
    made, found = model_of(bound)
    assert made is not None, found
    return *made, bound


def _draws(model: Model, spread: float) -> dict[str, Array]:
    """Return draws by role's variable: intercepts far apart unless `spread` of the others lets quantiles cross."""
    g, sizes = np.random.default_rng(9), model.sizes
    draws: dict[str, Array] = {}
    for variable in model.variables:
        shape = (CHAINS, DRAWS, *(sizes[dim] for dim in variable.dims))
        draws[variable.name] = spread * g.normal(size=shape)
        if variable.role == "intercept":
            draws[variable.name] += 10 * np.arange(shape[-1])
    return draws


def _by_role(model: Model, draws: dict[str, Array]) -> dict[str, Array]:
    return {variable.role: draws[variable.name] for variable in model.variables}


@pytest.mark.parametrize("spread", [0.1, 20.0])
def test_the_effect_is_that_on_quantiles_in_order(spread: float, tmp_path: Path) -> None:
    study = _study(0.2, 0.5, 0.9)
    model, data, bound = _made(study, tmp_path)
    draws = _draws(model, spread)
    at, x = _by_role(model, draws), np.asarray(_data()["x"], np.float64)[:, None]
    off = at["intercept"][:, :, None] + at["slope(x)"][:, :, None] * x
    on = off + at["effect(z)"][:, :, None] + at["interaction(z * x)"][:, :, None] * x
    crosses = bool(np.any(np.diff(on, axis=-1) < 0))
    assert crosses == (spread > 1)
    (found,) = quantile_effects(bound.study, model, data, bound, draws)
    assert (found.name, dict(found.index)) == ("quantile_effect_z", {"quantile": ("0.2", "0.5", "0.9")})
    np.testing.assert_allclose(found.draws, np.mean(np.sort(on) - np.sort(off), axis=2), rtol=1e-9, atol=1e-9)
    plain = at["effect(z)"] + at["interaction(z * x)"] * x.mean()
    assert bool(np.allclose(found.draws, plain)) != crosses


def test_effects_by_group_average_over_its_rows(tmp_path: Path) -> None:
    study = _study(0.2, 0.9, sites=True)
    model, data, bound = _made(study, tmp_path)
    draws = _draws(model, 20.0)
    (whole,) = quantile_effects(bound.study, model, data, bound, draws)
    (each,) = quantile_effects(bound.study, model, data, bound, draws, by=("site",))
    assert each.draws.shape == (CHAINS, DRAWS, 2, 3)
    assert list(each.index) == ["quantile", "site"]
    np.testing.assert_allclose(each.draws.mean(axis=3), whole.draws, rtol=1e-9)


def test_one_quantile_has_no_index(tmp_path: Path) -> None:
    model, data, bound = _made(_study(0.5), tmp_path)
    draws = _draws(model, 1.0)
    (found,) = quantile_effects(bound.study, model, data, bound, draws)
    at = _by_role(model, draws)
    assert found.index == {}
    x = np.asarray(_data()["x"], np.float64).mean()
    np.testing.assert_allclose(found.draws, at["effect(z)"] + at["interaction(z * x)"] * x, rtol=1e-9)


def test_another_family_has_none(tmp_path: Path) -> None:
    study = _study(0.5)
    normal = study.model_copy(update={"analysis": tuple(i for i in study.analysis if i.node != "family")})
    model, data, bound = _made(normal, tmp_path)
    assert quantile_effects(bound.study, model, data, bound, _draws(model, 1.0)) == []


def test_a_result_predicts_quantiles_that_do_not_cross(tmp_path: Path) -> None:
    write(tmp_path / "d.csv", _data())
    settings = Settings(chains=2, draws=60, warmup=150)
    result = driver.run(_study(0.45, 0.5, 0.55), data=str(tmp_path / "d.csv"), settings=settings)
    draws = result.predict_draws(do={"z": "on"})
    assert draws.dims == ("chain", "draw", "row", "quantile")
    assert float(np.diff(draws.values, axis=3).min()) >= 0
    table = result.predict(do={"z": "on"})
    assert len(table) == 3 * ROWS
    assert table["quantile"].tolist()[:3] == ["0.45", "0.5", "0.55"]
    new = result.predict_draws({"x": [1.0, 2.0]}, do={"z": "off"})
    assert new.shape[2:] == (2, 3)
    found = {s.index["quantile"]: s.mean for s in result.estimand_summaries if s.name == "quantile_effect_z"}
    assert list(found) == ["0.45", "0.5", "0.55"]
    assert result.effects("z")["mean"].tolist() == pytest.approx(list(found.values()))
    with pytest.raises(StudyError, match="not its distribution"):
        result.predict(kind="outcome")
    result.report(tmp_path / "r.html")
    assert "corrected for the working likelihood" in (tmp_path / "r.html").read_text()
    result.save(tmp_path / "r.nc")
    assert type(result).load(tmp_path / "r.nc").intervals == result.intervals
