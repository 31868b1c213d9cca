"""The CmdStan engine, and what Stan's own compiler says of the programs.

These tests need an installation that CMDSTAN names; they are skipped elsewhere.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cmdstanpy")

from hdsl_stan import backend, engine_cmdstan

from hdsl import driver
from hdsl.backend import Draws, Progress, SamplingFailed, Settings, refusal
from hdsl.model.ir import ModelData
from hdsl.passes import prepare
from tests import models
from tests.conformance.cases import CASES

pytestmark = [
    pytest.mark.stan,
    pytest.mark.skipif(not os.environ.get("CMDSTAN"), reason="CMDSTAN names no CmdStan installation"),
]
_SHORT = Settings(chains=2, draws=200, warmup=200, seed=4, engine="cmdstan")


def _run(case: models.Case, settings: Settings = _SHORT) -> Draws:
    model, data = case
    return backend.sample(backend.lower(model, data), model, data, settings)


_ROOT = Path(__file__).resolve().parents[2]
_STUDIES = sorted((*_ROOT.glob("examples/*/*.hdm"), *_ROOT.glob("tests/cases/*/*.hdm")))


def _stanc(source: str, folder: Path) -> tuple[int, str]:
    """Return what Stan's compiler makes of a program: its status, and all it says."""
    (folder / "model.stan").write_text(source)
    stanc = Path(os.environ["CMDSTAN"]) / "bin" / "stanc"
    command = [str(stanc), f"--o={folder / 'model.hpp'}", str(folder / "model.stan")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize("case", CASES)
def test_stanc_accepts_every_program_without_a_warning(case: str, tmp_path: Path) -> None:
    model, data = CASES[case]()
    assert _stanc(backend.lower(model, data).source, tmp_path) == (0, "")


@pytest.mark.parametrize("study", _STUDIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_stanc_accepts_the_program_of_every_study(study: Path, tmp_path: Path) -> None:
    """As the passes prepare it, and within 90 columns."""
    derived = driver.derive(study)
    assert derived.model is not None
    assert derived.data is not None
    prepared = prepare(derived.model, derived.data)
    refused = refusal(prepared[0], backend)
    if refused is not None:
        assert any(v.law.distribution == "bart" for v in prepared[0].variables), refused.message
        pytest.skip("trees are not Stan's")
    source = backend.lower(*prepared).source
    assert _stanc(source, tmp_path) == (0, "")
    assert [line for line in source.splitlines() if len(line) > 90] == []


@pytest.mark.slow
def test_draws_statistics_and_progress() -> None:
    seen: list[Progress] = []
    model, data = models.varying_slopes()
    draws = backend.sample(backend.lower(model, data), model, data, _SHORT, seen.append)
    assert draws.engine.startswith("CmdStan 2.")
    for variable in model.variables:
        assert draws.values[variable.name].shape == (2, 200, *(model.sizes[dim] for dim in variable.dims))
    wanted = {"lp", "acceptance_rate", "step_size", "tree_depth", "n_steps", "diverging", "energy"}
    assert draws.statistics.keys() == wanted
    assert all(array.shape == (2, 200) for array in draws.statistics.values())
    assert {each.chain for each in seen} == {0, 1}
    np.testing.assert_allclose(np.sum(draws.values["corr_school"] ** 2, axis=-1), 1.0, atol=1e-6)


@pytest.mark.slow
def test_chains_and_elements_are_in_place() -> None:
    """The log density of each draw, element by element in the Model's names, is the reference's."""
    from hdsl.reference import free

    model, data = models.varying_slopes()
    draws = _run((model, data))
    coordinates = [
        free.unconstrain(model, data, {name: array[chain, draw] for name, array in draws.values.items()})
        for chain, draw in ((0, 0), (0, 150), (1, 3), (1, 199))
    ]
    expected = [float(free.unconstrained_log_densities(model, data, each, ())) for each in coordinates]
    found = draws.statistics["lp"][[0, 0, 1, 1], [0, 150, 3, 199]]
    np.testing.assert_allclose(np.diff(found.astype(float)), np.diff(expected), atol=1e-6)


@pytest.mark.slow
def test_a_compiled_program_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HDSL_CACHE_DIR", str(tmp_path))
    source = "parameters {\n  real x;\n}\nmodel {\n  x ~ std_normal();\n}\n"
    first = engine_cmdstan.compiled(source)
    stamp = Path(str(first.exe_file)).stat().st_mtime_ns
    second = engine_cmdstan.compiled(source)
    assert second.exe_file == first.exe_file
    assert Path(str(second.exe_file)).stat().st_mtime_ns == stamp
    assert [each.name for each in (tmp_path / "hdsl" / "cmdstan").iterdir() if "compiling" in each.name] == []


@pytest.mark.slow
def test_what_killed_compilations_left_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HDSL_CACHE_DIR", str(tmp_path))
    cache = tmp_path / "hdsl" / "cmdstan"
    for name, age in (("compiling-old", 100_000), ("compiling-now", 60), ("0123", 100_000)):
        (cache / name).mkdir(parents=True)
        (cache / name / "hdsl_model.stan").write_text("")
        os.utime(cache / name, (time.time() - age, time.time() - age))
    engine_cmdstan._sweep(cache)
    assert sorted(path.name for path in cache.iterdir()) == ["0123", "compiling-now"]


def test_stans_own_files_are_kept_on_request(tmp_path: Path) -> None:
    settings = Settings(chains=2, draws=50, warmup=50, engine="cmdstan", options={"keep_csv": str(tmp_path / "csv")})
    draws = _run(models.crossed(), settings)
    files = sorted((tmp_path / "csv").glob("*.csv"))
    assert len(files) == 2
    rows = [line for line in files[0].read_text().splitlines() if line and not line.startswith("#")]
    column = rows[0].split(",").index("intercept")
    assert [float(row.split(",")[column]) for row in rows[1:]] == pytest.approx(draws.values["intercept"][0])


@pytest.mark.slow
def test_chains_can_be_threads_of_one_process() -> None:
    settings = Settings(chains=3, draws=50, warmup=50, seed=2, engine="cmdstan", options={"threads": True})
    draws = _run(models.crossed(), settings)
    assert draws.values["a"].shape == (3, 50, 8)
    first = draws.values["intercept"][:, 0]
    assert len(set(first)) == 3


@pytest.mark.slow
def test_a_killed_chain_is_a_diagnostic_and_never_hangs() -> None:
    model, data = models.varying_slopes()
    program = backend.lower(model, data)
    backend.sample(program, model, data, Settings(chains=1, draws=10, warmup=10, engine="cmdstan"))
    killed: list[int] = []
    lock = threading.Lock()

    def kill(progress: Progress) -> None:
        with lock:
            if killed:
                return
            found = subprocess.run(
                ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
            )
            chains = [int(line.split()[0]) for line in found.stdout.splitlines() if "hdsl_model" in line]
            os.kill(chains[0], signal.SIGKILL)
            killed.append(chains[0])

    began = time.monotonic()
    with pytest.raises(SamplingFailed) as failure:
        backend.sample(program, model, data, Settings(chains=2, draws=30_000, warmup=10, engine="cmdstan"), kill)
    assert time.monotonic() - began < 200
    assert failure.value.diagnostics[0].code == "HDM712"


@pytest.mark.slow
def test_a_model_that_cannot_start_says_why() -> None:
    model, data = models.observed("normal")
    bad = ModelData(values={**data.values, "y": data.values["y"] * 1e200}, coords=data.coords)
    with pytest.raises(SamplingFailed) as failure:
        _run((model, bad))
    assert "nitializ" in failure.value.diagnostics[0].message


@pytest.mark.slow
def test_engines_agree() -> None:
    case = models.crossed()
    settings = {name: Settings(chains=4, draws=1000, warmup=500, seed=3, engine=name) for name in ("cmdstan", "stanli")}
    by_engine = {name: _run(case, each).values for name, each in settings.items()}
    for name, array in by_engine["cmdstan"].items():
        other = by_engine["stanli"][name]
        sd = array.std((0, 1))
        assert np.all(np.abs(array.mean((0, 1)) - other.mean((0, 1))) < 0.2 * sd), name
        assert np.all(np.abs(np.log(other.std((0, 1)) / sd)) < 0.2), name
