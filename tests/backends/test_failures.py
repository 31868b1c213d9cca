"""What goes wrong while sampling is a finding that says what to try, on every backend and engine; nothing hangs.

The sampler's process is killed, its memory limited, its data spoilt, its program broken, and a density is given on
which every trajectory diverges.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hdsl.backend import Backend, Draws, Progress, SamplingFailed, Settings
from hdsl.inference.diagnose import diagnose
from hdsl.model.ir import Factor, Model, ModelData, add, apply, const, mul, sub, var
from tests import models

_CMDSTAN = pytest.mark.skipif(not os.environ.get("CMDSTAN"), reason="CMDSTAN names no CmdStan installation")
_ENGINES = [
    pytest.param("numpyro", "nuts", id="numpyro"),
    pytest.param("pymc", "pymc", id="pymc", marks=pytest.mark.slow),
    pytest.param("pymc", "nutpie", id="nutpie", marks=pytest.mark.slow),
    pytest.param("stan", "stanli", id="stanli", marks=pytest.mark.stan),
    pytest.param("stan", "cmdstan", id="cmdstan", marks=[pytest.mark.slow, pytest.mark.stan, _CMDSTAN]),
]
# Engines whose chains are processes that can be killed: what a child of this process is called.
_PROCESSES = {"pymc": b"hdsl_pymc", "nutpie": b"hdsl_pymc", "stanli": b"stanli_worker", "cmdstan": b"hdsl_model"}
each_engine = pytest.mark.parametrize(("name", "engine"), _ENGINES)
each_process = pytest.mark.parametrize(("name", "engine"), _ENGINES[1:])
needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")


def _backend(name: str, engine: str) -> Backend:
    package = {"nuts": "numpyro", "cmdstan": "cmdstanpy"}.get(engine, engine)
    pytest.importorskip(package)
    return importlib.import_module(f"hdsl_{name}").backend


def _run(
    name: str,
    case: models.Case,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
    change: Callable[[str], str] | None = None,
) -> Draws:
    backend = _backend(name, str(settings.engine))
    model, data = case
    program = backend.lower(model, data)
    if change is not None:
        program = replace(program, source=change(program.source))
    return backend.sample(program, model, data, settings, progress)


def _finding(failure: pytest.ExceptionInfo[SamplingFailed]) -> tuple[str, str]:
    """Return the code and the text of the one finding; it must be one line and say what to try."""
    (diagnostic,) = failure.value.diagnostics
    assert "\n" not in diagnostic.message
    assert diagnostic.help
    return diagnostic.code, diagnostic.message


@each_engine
def test_no_starting_point(name: str, engine: str) -> None:
    """Outcomes that no parameter can have produced."""
    model, data = models.observed("normal")
    bad = ModelData({**data.values, "y": data.values["y"] * np.inf}, data.coords)
    with pytest.raises(SamplingFailed) as failure:
        _run(name, (model, bad), Settings(chains=2, draws=50, warmup=50, engine=engine))
    assert _finding(failure)[0] == "HDM711"


_BREAKS: dict[str, Callable[[str], str]] = {
    "numpyro": lambda source: source.replace("def model(data):", "def model(data):\n    raise RuntimeError('broken')"),
    "pymc": lambda source: source.replace("def model(data):", "def model(data):\n    raise RuntimeError('broken')"),
    "stan": lambda source: source.replace("model {", "model {\n  broken();"),
}


@each_engine
def test_a_program_that_breaks(name: str, engine: str) -> None:
    settings = Settings(chains=2, draws=50, warmup=50, engine=engine)
    with pytest.raises(SamplingFailed) as failure:
        _run(name, models.crossed(), settings, change=_BREAKS[name])
    code, message = _finding(failure)
    assert code in ("HDM711", "HDM712")
    assert "broken" in message


def _descendants(pid: int) -> list[int]:
    children = [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()]
    return [found for child in children for found in (child, *_descendants(child))]


def _named(word: bytes) -> list[int]:
    found: list[int] = []
    for pid in _descendants(os.getpid()):
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and word in command.read_bytes():
            found.append(pid)
    return found


class _Killer:
    """Kills a process of the sampler at its first report: the first that was started, or the last."""

    def __init__(self, word: bytes, which: int) -> None:
        self.word, self.which, self.killed = word, which, 0
        self.lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        with self.lock:
            found = [] if self.killed else _named(self.word)
            if found:
                self.killed = sorted(found)[self.which]
                os.kill(self.killed, signal.SIGKILL)


@needs_proc
@each_process
@pytest.mark.parametrize("which", [0, -1], ids=["first", "last"])
def test_a_killed_process(name: str, engine: str, which: int) -> None:
    """Neither the whole sampler nor one chain of it can go without a word, and nothing of it is left behind."""
    killer = _Killer(_PROCESSES[engine], which)
    options = {"cores": 2} if name == "pymc" else {}
    long = Settings(chains=2, draws=100_000, warmup=50, engine=engine, options=options)
    began = time.monotonic()
    with pytest.raises(SamplingFailed) as failure:
        _run(name, models.varying_slopes(), long, killer)
    assert time.monotonic() - began < 200
    assert killer.killed
    code, message = _finding(failure)
    assert code == "HDM712"
    assert "was ended" in message
    assert "memory" in message
    assert "fewer" in str(failure.value.diagnostics[0].help)
    assert _named(_PROCESSES[engine]) == []


@each_engine
def test_an_interrupt_ends_everything(name: str, engine: str) -> None:
    """What was drawn by then is not returned as if it were whole."""

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        _run(name, models.crossed(), Settings(chains=2, draws=100_000, warmup=50, engine=engine), interrupt)
    assert _named(_PROCESSES.get(engine, b"no process")) == []
    time.sleep(0.5)
    assert threading.active_count() <= before + 1


_LITTLE_MEMORY = """
import importlib, json, resource, sys
name, engine, draws = sys.argv[1], sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (12 * 2**30, 12 * 2**30))
from hdsl.backend import SamplingFailed, Settings
from tests import models
backend = importlib.import_module(f"hdsl_{name}").backend
model, data = models.crossed()
try:
    backend.sample(backend.lower(model, data), model, data, Settings(chains=2, draws=draws, warmup=50, engine=engine))
except SamplingFailed as failure:
    print(json.dumps([[each.code, each.message, each.help] for each in failure.diagnostics]))
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="limits its own memory")
@pytest.mark.parametrize(("name", "engine"), _ENGINES[:-1])
def test_too_little_memory(name: str, engine: str) -> None:
    """Draws that no machine can hold. (CmdStan writes them to the disk as it goes: see below.)"""
    _backend(name, engine)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _LITTLE_MEMORY, name, engine, str(10**9 if engine == "stanli" else 10**12)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    ((code, message, help_),) = json.loads(done.stdout.splitlines()[-1])
    assert code == "HDM712"
    assert "memory" in message
    assert "fewer" in help_.lower()


@pytest.mark.slow
@pytest.mark.stan
@_CMDSTAN
@pytest.mark.parametrize("kilobytes", [10_000, 14_000, 16_000])
def test_too_little_memory_for_cmdstan(kilobytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that gets no memory says so in several ways: as it reads its data, starts, or draws."""
    from hdsl_stan import chains

    limited = ["/bin/sh", "-c", f'ulimit -v {kilobytes}; exec "$@"', "sh"]
    monkeypatch.setattr(chains, "ending_with_parent", lambda command: [*limited, *command])
    model, data = models.observed("normal")
    rows = 60_000
    sets = tuple(each.model_copy(update={"size": rows}) if each.name == "row" else each for each in model.index_sets)
    large: dict[str, Any] = {name: np.resize(each, rows) for name, each in data.values.items() if each.ndim == 1}
    coords = {**data.coords, "row": tuple(map(str, range(rows)))}
    large = {**data.values, **large}
    case = (model.model_copy(update={"index_sets": sets}), ModelData(large, coords))
    with pytest.raises(SamplingFailed) as failure:
        _run("stan", case, Settings(chains=2, draws=50, warmup=50, engine="cmdstan"))
    code, message = _finding(failure)
    assert code == "HDM712"
    assert "memory" in message


def _walls() -> models.Case:
    """A flat density between walls: every trajectory runs until it hits one, at which its energy explodes."""
    sets = (models.level("row", 2),)
    above = apply("max", sub(var("x"), const(1)), const(0))
    below = apply("max", sub(const(-1), var("x")), const(0))
    model = Model(
        name="walls",
        unit="row",
        index_sets=sets,
        slots=(models.real_slot("y", ("row",)),),
        statements=(models.random("x", "x", "normal", 0, 1000),),
        observations=(models.observe(("row",), "normal", mul(const(1e-9), var("x")), 1),),
        factors=(Factor(name="walls", value=mul(const(-1e9), add(above, below))),),
    )
    return model, ModelData({"y": np.zeros(2)}, models.labels(sets))


@each_engine
def test_divergences_throughout(name: str, engine: str) -> None:
    """The draws are whole but cannot be trusted: the verdict is failure, and HDM703 says what to try."""
    drawn = _run(name, _walls(), Settings(chains=2, draws=100, warmup=100, engine=engine))
    diagnosis, found = diagnose({"x": drawn.values["x"]}, drawn)
    assert diagnosis.divergences > 100
    assert diagnosis.verdict == "fail"
    (told,) = [each for each in found if each.code == "HDM703"]
    assert told.help


def test_what_a_sampler_left_counts_and_not_how_it_ended(tmp_path: Path) -> None:
    """A process may crash while it winds up, after it gave its reason or its draws."""
    from hdsl_pymc import child
    from hdsl_stan import engine_stanli

    (tmp_path / "failed.json").write_text(json.dumps([{"code": "HDM711", "message": "No start.", "help": "Look."}]))
    (tmp_path / "error.txt").write_text("chain 1: initialization failed")
    (tmp_path / "said.txt").write_text("")
    with pytest.raises(SamplingFailed) as of_pymc:
        child.refuse_incomplete(tmp_path, -11)
    with pytest.raises(SamplingFailed) as of_stanli:
        engine_stanli.refuse_incomplete(tmp_path, -11, "")
    assert _finding(of_pymc)[0] == _finding(of_stanli)[0] == "HDM711"
    (tmp_path / "draws.npz").write_bytes(b"")
    child.refuse_incomplete(tmp_path, -11)
    engine_stanli.refuse_incomplete(tmp_path, -11, "")


@pytest.mark.parametrize("status", [1, -6, 127])
@pytest.mark.parametrize(
    "said",
    [
        "Exception: std::bad_alloc (in 'hdsl_model.stan', line 61) [origin: bad_alloc]",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
        "error while loading shared libraries: libc.so.6: failed to map segment from shared object",
    ],
)
def test_what_cmdstan_says_without_memory(said: str, status: int) -> None:
    """The words are CmdStan 2.39's own under a limit of its address space."""
    from hdsl_stan import engine_cmdstan
    from hdsl_stan.chains import ChainFailed

    failure = engine_cmdstan.why_failed(ChainFailed(status, said))
    (found,) = failure.diagnostics
    assert found.code == "HDM712"
    assert "ran out of memory" in found.message


def test_a_compiler_that_is_stopped_says_why() -> None:
    from hdsl_stan.failures import uncompiled

    said = (
        "Failed to compile Stan model 'm.stan'. Console:\n\n--- Translating Stan model to C++ code ---\n"
        "bin/stanc --o=m.hpp m.stan\nmake: *** [make/program:66: m.hpp] File size limit exceeded\n"
    )
    assert uncompiled("CmdStan", said).diagnostics[0].message.endswith("the program: File size limit exceeded")
    killed = "g++ -O3 -c m.hpp\ng++: fatal error: Killed signal terminated program cc1plus\n"
    assert "ran out of memory" in uncompiled("CmdStan", killed).diagnostics[0].message


def test_chains_without_a_step_size_are_no_draws(tmp_path: Path) -> None:
    """CmdStan ends with status 0 there, and its files hold no draws."""
    from hdsl_stan import engine_cmdstan

    said = "Exception initializing step size.\nPosterior is improper. Please check your model.\n"
    for told, code in ((said, "HDM711"), ("", "HDM715")):
        with pytest.raises(SamplingFailed) as failure, engine_cmdstan.reading(told):
            raise ValueError("Invalid or corrupt Stan CSV output file, ")
        assert _finding(failure)[0] == code
    with pytest.raises(SamplingFailed) as failure, engine_cmdstan.reading(""):
        raise MemoryError
    assert "memory" in _finding(failure)[1]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends children with their parent")
def test_a_chain_does_not_outlive_hdsl() -> None:
    code = (
        "import subprocess, sys, time; from hdsl_stan.chains import ending_with_parent\n"
        "chain = subprocess.Popen(ending_with_parent(['/bin/sleep', '60']))\n"
        "print(chain.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        chain = Path("/proc") / parent.stdout.readline().strip()
        deadline = time.monotonic() + 20
        while b"/bin/sleep" not in (chain / "cmdline").read_bytes()[:10] and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.kill()
    while _runs(chain) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(chain)


def _runs(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
