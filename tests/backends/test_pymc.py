"""PyMC programs, their densities, and what nutpie and PyMC's NUTS draw from them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats

pytest.importorskip("pymc")

from hdsl_pymc import backend
from hdsl_pymc.failures import diagnosed
from hdsl_pymc.runtime import model_of
from hdsl_pymc.sample import engine_of

import hdsl
from hdsl.backend import Draws, Program, Progress, SamplingFailed, Settings
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.functions import FUNCTIONS
from hdsl.model.ir import Model, ModelData, apply, const
from hdsl.reference import density, free
from tests import models

Array = NDArray[np.float64]
_SHORT = Settings(chains=2, draws=60, warmup=80, seed=4)
_PYMC = Settings(chains=2, draws=60, warmup=80, seed=4, engine="pymc", options={"cores": 1})


def _points(case: models.Case, number: int = 2) -> list[dict[str, Array]]:
    rng = np.random.default_rng(8)
    return [free.random_point(*case, rng, spread=0.7) for _ in range(number)]


def test_numbers_are_taken_in_double_precision() -> None:
    """Numbers such as 3.0 alone in a law or a function do not lose digits."""
    sets = (models.level("row", 2),)
    model = Model(
        name="numbers",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(models.random("g", "g", "gamma", 3, 3), models.random("h", "h", "halfstudent", 3, 7)),
        observations=(models.observe(("row",), "normal", apply("mul", models.expr("g"), apply("log", const(3))), "h"),),
    )
    data = ModelData({"y": np.array([1.0, 2.5])}, models.labels(sets))
    function = backend.log_density(backend.lower(model, data), model, data)
    points = _points((model, data))
    expected = [density.log_density(model, data, point) for point in points]
    assert_allclose(np.diff([function(point)[0] for point in points]), np.diff(expected), rtol=1e-12)


# Source.


def test_program_as_written() -> None:
    """A hierarchical model reads as a person would have written it."""
    source = backend.lower(*models.varying_slopes_noncentred()).source
    assert '"school": range(6),' in source
    assert '"effects_school": ["effects_school0", "effects_school1"],' in source
    lines = [line.strip() for line in source.splitlines()]
    for line in (
        'pretest = pm.Data("pretest", data["pretest"], dims="student")',
        "# effect(tutor)",
        'effect_tutor = pm.Normal("effect_tutor", mu=0.0, sigma=2.0)',
        'sd_school = pm.HalfNormal("sd_school", sigma=1.5, dims="effects_school")',
        'z = pm.Normal("z", mu=0.0, sigma=1.0, dims=("school", "effects_school_2"))',
        "u = z @ (sd_school[:, None] * corr_school).T + pt.stack([intercept, effect_tutor], axis=-1)",
        'pm.Normal("y_observed", mu=mu, sigma=residual, observed=y, dims="student")',
    ):
        assert line in lines
    assert max(len(line) for line in source.splitlines()) <= 104


def test_program_holds_no_data() -> None:
    """Other data of the same sizes give the same program."""
    model, data = models.censored_weibull()
    other = ModelData({name: values[::-1] * 1 for name, values in data.values.items()}, data.coords)
    assert backend.lower(model, data).source == backend.lower(model, other).source
    assert "import hdsl" not in backend.lower(model, data).source


def test_hostile_text_stays_in_comments() -> None:
    """Roles, reasons, labels and the study's name cannot end a comment or a string."""
    model, data = models.crossed()
    hostile = 'x"""\n\r\x00\x0c\u2028import os\\'
    first = model.statements[0].model_copy(update={"role": hostile, "reason": hostile})
    changed = model.model_copy(update={"name": hostile, "statements": (first, *model.statements[1:])})
    source = backend.lower(changed, data).source
    compile(source, "program", "exec")
    assert [line for line in source.splitlines() if line.strip().startswith("import os")] == []


def test_names_of_the_program_are_free() -> None:
    """A model may use the program's own words, and PyMC's reserved dims, as names."""
    model, data = models.crossed()
    text = model.model_dump_json()
    renamed = {"residual": "pt", "sd_person": "pm", "sd_item": "study", "y": "np", "person": "chain", "item": "a"}
    for old, new in renamed.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    changed = Model.model_validate_json(text)
    values = {renamed.get(name, name): array for name, array in data.values.items()}
    other = ModelData(values, {renamed.get(name, name): each for name, each in data.coords.items()})
    (point,) = _points((model, data), 1)
    found = backend.log_density(backend.lower(changed, other), changed, other)
    plain = backend.log_density(backend.lower(model, data), model, data)
    assert found({renamed.get(name, name): value for name, value in point.items()})[0] == plain(point)[0]


_ALONE = """
import runpy
import numpy as np
from pymc.model.transform.conditioning import remove_value_transforms
model = runpy.run_path("program.py")["model"]
study = remove_value_transforms(model(dict(np.load("data.npz"))))
point = np.load("point.npz")
values = {study.rvs_to_values[each].name: point[each.name] for each in study.free_RVs}
print(float(study.compile_logp(mode="FAST_COMPILE")(values)))
try:
    import hdsl
except ImportError:
    print("alone")
"""


def _without_hdsl(folder: Path) -> dict[str, str]:
    """Return an environment in which importing hdsl fails, and there is no C compiler."""
    for name in ("hdsl", "hdsl_pymc"):
        (folder / f"{name}.py").write_text("raise ImportError('not here')")
    return {**os.environ, "PYTHONPATH": str(folder), "PYTENSOR_FLAGS": "cxx="}


def _written(folder: Path, case: models.Case) -> None:
    model, data = case
    (folder / "program.py").write_text(backend.lower(model, data).source)
    np.savez(folder / "data.npz", **data.values)  # pyright: ignore[reportArgumentType]


def test_program_runs_without_hdsl(tmp_path: Path) -> None:
    """The printed program alone, with data from a file and no C compiler, has the reference's density."""
    case = models.varying_slopes()
    _written(tmp_path, case)
    (point,) = _points(case, 1)
    np.savez(tmp_path / "point.npz", **point)  # pyright: ignore[reportArgumentType]
    done = subprocess.run(
        [sys.executable, "-c", _ALONE], cwd=tmp_path, env=_without_hdsl(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found, alone = done.stdout.split()
    assert alone == "alone"
    assert float(found) == pytest.approx(density.log_density(*case, point), rel=1e-7)


@pytest.mark.slow
def test_program_samples_without_hdsl(tmp_path: Path) -> None:
    """The program's own main block prints a summary of its parameters."""
    _written(tmp_path, models.crossed())
    done = subprocess.run(
        [sys.executable, "program.py", "data.npz"],
        cwd=tmp_path,
        env=_without_hdsl(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "sd_person" in done.stdout
    assert "r_hat" in done.stdout


def test_capabilities_are_everything() -> None:
    """Every function and distribution of the Model has a row."""
    able = backend.capabilities()
    assert able.functions == set(FUNCTIONS)
    assert able.distributions == set(DISTRIBUTIONS)


# Sampling.


def _conjugate(y: Array) -> models.Case:
    sets = (models.level("row", len(y)),)
    model = Model(
        name="conjugate",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(models.random("mu", "intercept", "normal", 1, 2),),
        observations=(models.observe(("row",), "normal", "mu", 1.5),),
    )
    return model, ModelData({"y": y}, models.labels(sets))


_Y = np.random.default_rng(1).normal(3, 1.5, 8)


def _run(case: models.Case, settings: Settings, progress: Callable[[Progress], None] | None = None) -> Draws:
    model, data = case
    return backend.sample(backend.lower(model, data), model, data, settings, progress)


@pytest.fixture(params=["pymc", "nutpie"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Return short settings of each engine."""
    if request.param == "nutpie":
        pytest.importorskip("nutpie")
    return _SHORT if request.param == "nutpie" else _PYMC


def _longer(settings: Settings) -> Settings:
    return Settings(4, 1000, 300, 2, engine=settings.engine, options=settings.options)


@pytest.mark.slow
def test_conjugate_posterior(settings: Settings) -> None:
    """The mean of normal data with known spread has its closed form."""
    draws = _run(_conjugate(_Y), _longer(settings)).values["mu"]
    precision = 1 / 2**2 + len(_Y) / 1.5**2
    mean, sd = (1 / 2**2 + np.sum(_Y) / 1.5**2) / precision, precision**-0.5
    # Of 4000 draws at least 1000 are effective here: four standard errors.
    assert np.mean(draws) == pytest.approx(mean, abs=4 * sd / np.sqrt(1000))
    assert np.std(draws) == pytest.approx(sd, rel=0.1)
    assert stats.kstest(draws[:, ::10].ravel(), stats.norm(mean, sd).cdf).pvalue > 1e-3


def test_nutpie_is_the_engine_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is told, and how to get the rest."""
    there: set[str] = {"pymc", "nutpie"}
    for module in ("hdsl_pymc", "hdsl_pymc.sample"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr("hdsl_pymc.version", lambda name: "7.1")
    assert engine_of(Settings()) == "nutpie"
    assert [each[:3] for each in backend.engines()] == [("nutpie", True, "7.1"), ("pymc", True, "7.1")]
    there.remove("nutpie")
    assert engine_of(Settings()) == "pymc"
    assert backend.engines()[0] == ("nutpie", False, "", "pip install nutpie")


def test_a_short_run(settings: Settings) -> None:
    """Draws and statistics are whole; progress of every chain arrives in the calling thread and ends at the total."""
    seen: list[tuple[Progress, int]] = []
    drawn = _run(_conjugate(_Y), settings, lambda p: seen.append((p, threading.get_ident())))
    assert drawn.values["mu"].shape == (2, 60)
    assert abs(np.mean(drawn.values["mu"]) - 3) < 1.5
    assert all(values.shape == (2, 60) for values in drawn.statistics.values())
    assert {thread for _, thread in seen} == {threading.get_ident()}
    for chain in range(2):
        own = [p for p, _ in seen if p.chain == chain]
        assert [p.done for p in own] == sorted(p.done for p in own)
        assert (own[-1].done, own[-1].total, own[-1].warming_up) == (140, 140, False)


@pytest.mark.slow
def test_draws_statistics_and_seeds(settings: Settings) -> None:
    """Shapes, supports and names are the protocol's; the same seed gives the same draws, another one others."""
    case = models.student_by_arm()
    drawn = _run(case, settings)
    sizes = case[0].sizes
    shapes = {v.name: (2, 60, *(sizes[dim] for dim in v.dims)) for v in case[0].variables}
    assert {name: values.shape for name, values in drawn.values.items()} == shapes
    assert np.all(drawn.values["residual"] > 0)
    names = {"diverging", "tree_depth", "energy", "n_steps", "acceptance_rate", "step_size", "lp"}
    assert set(drawn.statistics) == names
    assert all(values.shape == (2, 60) for values in drawn.statistics.values())
    assert drawn.statistics["diverging"].dtype == bool
    # nutpie does not count a last doubling that it refused.
    steps, depth = (np.asarray(drawn.statistics[each], dtype=np.float64) for each in ("n_steps", "tree_depth"))
    assert np.all(steps < 2.0 ** (depth + 1))
    again = _run(case, settings)
    other = _run(case, Settings(2, 60, 80, 5, engine=settings.engine, options=settings.options))
    for name, values in drawn.values.items():
        np.testing.assert_array_equal(values, again.values[name])
    assert not np.any(drawn.values["residual"] == other.values["residual"])
    assert not np.any(drawn.values["residual"][0] == drawn.values["residual"][1])


@pytest.mark.slow
def test_settings_are_obeyed(settings: Settings) -> None:
    """Trees are cut off at the depth asked for."""
    shallow = Settings(2, 40, 40, 4, max_tree_depth=2, engine=settings.engine, options=settings.options)
    drawn = _run(models.crossed(), shallow)
    assert np.max(np.asarray(drawn.statistics["tree_depth"], dtype=np.int64)) == 2
    assert drawn.max_tree_depth == 2


@pytest.mark.slow
def test_interrupt_passes_through(settings: Settings) -> None:
    """An interrupt ends the run: what was drawn by then is not returned as if it were whole."""

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    long = Settings(2, 200_000, 100, engine=settings.engine, options=settings.options)
    with pytest.raises(KeyboardInterrupt):
        _run(_conjugate(_Y), long, interrupt)


@pytest.mark.slow
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_no_finite_start(bad: float, settings: Settings) -> None:
    """Data that no parameter can have produced end in HDM711."""
    with pytest.raises(SamplingFailed) as failure:
        _run(_conjugate(np.array([0.0, bad])), settings)
    assert [d.code for d in failure.value.diagnostics] == ["HDM711"]
    assert failure.value.diagnostics[0].help


@pytest.mark.parametrize(
    "settings",
    [
        Settings(chains=0),
        Settings(draws=0),
        Settings(warmup=-1),
        Settings(warmup=0, engine="nutpie"),
        Settings(seed=-1),
        Settings(target_accept=1.0),
        Settings(max_tree_depth=0),
        Settings(options={"kores": 2}),
        Settings(options={"cores": 0}),
        Settings(engine="pymc", options={"init": "hopeful"}),
    ],
    ids=str,
)
def test_bad_settings(settings: Settings) -> None:
    """Settings that cannot be used end in HDM713 before anything is compiled."""
    with pytest.raises(SamplingFailed) as failure:
        _run(models.crossed(), settings)
    assert [d.code for d in failure.value.diagnostics] == ["HDM713"]


def test_unknown_engine() -> None:
    """An engine that PyMC does not have is HDM714, which names those that it has."""
    with pytest.raises(SamplingFailed) as failure:
        _run(models.crossed(), Settings(engine="gibbs"))
    (diagnostic,) = failure.value.diagnostics
    assert diagnostic.code == "HDM714"
    assert "nutpie" in str(diagnostic.help)


def test_broken_program() -> None:
    """Whatever breaks in PyMC is HDM712, in words."""
    model, data = models.crossed()
    program = backend.lower(model, data)
    source = program.source.replace("    return study", "        pm.Normal('more', shape=-1)\n    return study")
    broken = Program("pymc", source, program.parameters)
    with pytest.raises(SamplingFailed) as failure:
        backend.sample(broken, model, data, _SHORT)
    (diagnostic,) = failure.value.diagnostics
    assert diagnostic.code == "HDM712"
    assert "\n" not in diagnostic.message


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset by peer"), BrokenPipeError(), EOFError()])
def test_a_chain_that_has_gone(error: Exception) -> None:
    """However PyMC finds the process of a chain gone, the finding says so and not that PyMC is at fault."""
    with pytest.raises(SamplingFailed) as failure, diagnosed():
        raise error
    (diagnostic,) = failure.value.diagnostics
    assert diagnostic.code == "HDM712"
    assert "was ended from outside" in diagnostic.message
    assert "report" not in str(diagnostic.help)


def test_an_old_pymc_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 6.4 the same words meant another distribution."""
    found: Mapping[str, str] = {"6.3.0": "pymc>=6.4", "6.10.1": "", "7.0rc1": "", "5.28": "pymc>=6.4"}
    for release, missing in found.items():
        monkeypatch.setattr("hdsl_pymc.version", lambda package, release=release: release)
        assert backend.missing_packages() == ([missing] if missing else [])


@pytest.mark.slow
def test_a_seed_repeats_the_draws_in_any_process(tmp_path: Path) -> None:
    """Whatever the order in which a process meets the elements of its sets."""
    study = Path(__file__).parents[2] / "examples" / "tutoring" / "tutoring.hdm"
    for order in ("1", "2"):
        command = [sys.executable, "-m", "hdsl.cli", "run", str(study), "--backend", "pymc", "--inference", "nuts"]
        command += ["--draws", "20", "--warmup", "50", "--seed", "3", "--out", str(tmp_path / f"{order}.nc")]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": order}, capture_output=True, check=False)
    first, second = (hdsl.Result.load(tmp_path / f"{order}.nc").posterior["posterior"] for order in ("1", "2"))
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["nutpie", "pymc"])
def test_a_seed_repeats_the_draws_whatever_is_compiled_already(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run finds no compiled code, the second all that the first left; 300 steps make any rounding plain."""
    monkeypatch.setenv("PYTENSOR_FLAGS", f"base_compiledir={tmp_path}")
    settings = Settings(chains=2, draws=150, warmup=150, seed=7, engine=engine)
    cold, warm = (_run(models.varying_slopes(), settings) for _ in range(2))
    assert any(tmp_path.rglob("*.nbc"))
    for name, values in cold.values.items():
        np.testing.assert_array_equal(values, warm.values[name])


def test_a_program_run_by_hand_samples_as_hdsl_does() -> None:
    """The acceptance rate that it asks for is that of the default settings."""
    source = backend.lower(*models.crossed()).source
    assert re.findall(r"target_accept=([\d.]+)", source) == [str(Settings().target_accept)]


def test_a_program_run_by_hand_has_the_labels_of_the_study(tmp_path: Path) -> None:
    """Labels lie in the data file, without pickles; without them, or where two are alike, elements are numbered."""
    model, data = models.varying_slopes_noncentred()
    names = [f"{kind} school \u00fc{i}" for i, kind in enumerate("abcdef")]
    named = ModelData(data.values, {**data.coords, "school": names})
    (tmp_path / "data.npz").write_bytes(backend.data_file(model, named))
    with np.load(tmp_path / "data.npz", allow_pickle=False) as arrays:
        found = model_of(backend.lower(model, named), ModelData(dict(arrays), {}))
    assert list(found.coords["school"]) == names
    assert list(model_of(backend.lower(model, named), data).coords["school"]) == list(range(6))
    alike = ModelData(data.values, {**data.coords, "school": ["one school"] * 6})
    with np.load(BytesIO(backend.data_file(model, alike)), allow_pickle=False) as arrays:
        assert not [name for name in arrays if name == "coords:school"]
        assert set(data.values) <= set(arrays)
