"""The CmdStan engine: compiled Stan, through cmdstanpy.

Compiled programs are kept in the user's cache under a hash of their text, the CmdStan version and whether
they have threads; each is compiled in a folder of its own that gets its name only when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Draws, Progress, SamplingFailed, Settings
from hdsl.diagnostics import short_of_memory
from hdsl_stan import chains, options
from hdsl_stan.draws import STATISTICS, Shapes, complete_statistics, complete_values, report
from hdsl_stan.engines import cmdstan_folder, installation_version
from hdsl_stan.failures import INCOMPLETE, ended, failed, out_of_memory, refused, uncompiled

if TYPE_CHECKING:
    from cmdstanpy import CmdStanModel

OPTIONS: Mapping[str, options.Option] = {
    "parallel_chains": options.PARALLEL,
    "metric": options.METRIC,
    "threads": options.Option(bool),
    "keep_csv": options.Option(str),
    "sig_figs": options.Option(int, least=1),
}
_FILE = "hdsl_model.stan"
_DIGITS = 12
_COMPILING = "compiling-"
_DAY = 86_400
_GAVE_UP = "Exception initializing step size."


def sample(
    source: str,
    data: Mapping[str, object],
    shapes: Shapes,
    settings: Settings,
    progress: Callable[[Progress], None] | None = None,
) -> Draws:
    """Draw from the posterior; see `engine_stanli.sample`.

    Options: `parallel_chains`; `metric`; `threads` runs the chains as threads of one process; `keep_csv` names
    a folder for Stan's own files; `sig_figs` is the precision of those files.
    """
    options.check(settings, OPTIONS, "CmdStan")
    threads = bool(settings.options.get("threads", False))
    began = time.perf_counter()
    model = compiled(source, threads)
    ready = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hdsl-stan-") as name, _quiet():
        folder = Path(name)
        (folder / "data.json").write_text(json.dumps(data))
        said = _run(model, folder, settings, progress)
        took = time.perf_counter() - ready
        _keep(folder, settings)
        with reading(said):
            return _draws(folder, shapes, settings, ready - began, took)


def compiled(source: str, threads: bool = False) -> CmdStanModel:
    """Return the compiled program, from the cache where it is there. Raises SamplingFailed."""
    with _quiet():
        import cmdstanpy

        home = _cache() / _key(source, threads)
        if not (home / _FILE).with_suffix(_suffix()).exists():
            _compile(source, threads, home)
        program = home / _FILE
        return cmdstanpy.CmdStanModel(stan_file=str(program), exe_file=str(program.with_suffix(_suffix())))


def log_prob(
    source: str, data: Mapping[str, object], point: Mapping[str, object], jacobian: bool
) -> tuple[float, NDArray[np.float64]]:
    """Return the log density at parameters on the natural scale, and its gradient.

    The gradient is by Stan's unconstrained coordinates. `jacobian` adds the log Jacobian determinants of the
    transforms. One process is started for each call: this is for checks.
    """
    model = compiled(source)
    with tempfile.TemporaryDirectory(prefix="hdsl-stan-") as name, _quiet():
        files = {"data": Path(name) / "data.json", "point": Path(name) / "point.json"}
        files["data"].write_text(json.dumps(data))
        files["point"].write_text(json.dumps(point))
        table = model.log_prob(str(files["point"]), str(files["data"]), jacobian=jacobian, sig_figs=17)
    row = table.to_numpy(dtype=np.float64)[0]
    return float(row[0]), row[1:]


def version() -> str:
    """Return the version of the CmdStan installation in use."""
    folder = cmdstan_folder()
    return "unknown" if folder is None else installation_version(folder)


def _suffix() -> str:
    return ".exe" if os.name == "nt" else ""


def _cache() -> Path:
    given = os.environ.get("HDSL_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "hdsl" / "cmdstan"


def _key(source: str, threads: bool) -> str:
    import cmdstanpy

    text = "\n".join((source, version(), cmdstanpy.cmdstan_path(), str(threads)))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _compile(source: str, threads: bool, home: Path) -> None:
    import cmdstanpy

    home.parent.mkdir(parents=True, exist_ok=True)
    _sweep(home.parent)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=_COMPILING) as name:
        folder = Path(name) / home.name
        folder.mkdir()
        (folder / _FILE).write_text(source)
        cpp = {"STAN_THREADS": True} if threads else None
        try:
            cmdstanpy.CmdStanModel(stan_file=str(folder / _FILE), cpp_options=cpp)
        except (ValueError, RuntimeError) as failure:
            raise uncompiled("CmdStan", str(failure)) from failure
        if not home.exists():
            folder.rename(home)


def _sweep(folder: Path) -> None:
    """Remove what compilations that were killed have left; none takes a day."""
    for left in folder.glob(f"{_COMPILING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)


def _run(
    model: CmdStanModel, folder: Path, settings: Settings, progress: Callable[[Progress], None] | None
) -> str:
    threads = bool(settings.options.get("threads", False))
    (folder / "csv").mkdir()
    at_once = settings.options.get("parallel_chains", min(settings.chains, os.cpu_count() or 1))
    assert isinstance(at_once, int)

    def tell(number: int, line: str) -> None:
        report(line if threads else f"Chain [{number + 1}] {line}", progress)

    try:
        commands = [chains.ending_with_parent(each) for each in _commands(model, folder, settings)]
        return chains.run(commands, at_once, {"STAN_NUM_THREADS": str(at_once)}, tell)
    except chains.ChainFailed as failure:
        raise why_failed(failure) from failure


def _commands(model: CmdStanModel, folder: Path, settings: Settings) -> list[list[str]]:
    """Return the command of each chain; with `threads` one command for all."""
    from cmdstanpy.cmdstan_args import CmdStanArgs, SamplerArgs

    options = settings.options
    threads = bool(options.get("threads", False))
    sampler = SamplerArgs(
        num_chains=settings.chains if threads else 1,
        iter_warmup=settings.warmup,
        iter_sampling=settings.draws,
        adapt_delta=settings.target_accept,
        max_treedepth=settings.max_tree_depth,
        metric_type=options.get("metric"),  # pyright: ignore[reportArgumentType]
    )
    arguments = CmdStanArgs(
        model_name=model.name,
        model_exe=model.exe_file,
        chain_ids=list(range(1, settings.chains + 1)),
        method_args=sampler,
        data=str(folder / "data.json"),
        seed=settings.seed or 1,
        sig_figs=options.get("sig_figs", _DIGITS),  # pyright: ignore[reportArgumentType]
        refresh=max((settings.draws + settings.warmup) // 50, 1),
    )
    if threads:
        return [arguments.compose_command(0, str(folder / "csv" / "draws.csv"))]
    numbers = range(settings.chains)
    return [arguments.compose_command(each, str(folder / "csv" / f"draws_{each + 1}.csv")) for each in numbers]


def why_failed(failure: chains.ChainFailed) -> SamplingFailed:
    """Return why there are no draws: a chain that was ended, or what it said where it did not begin."""
    lines = [line.strip() for line in failure.said.splitlines() if line.strip()]
    if failure.status < 0:
        return ended("CmdStan", failure.status, failure.said if short_of_memory(failure.said) else "")
    if any("Iteration:" in line for line in lines):
        return ended("CmdStan", failure.status, lines[-1])
    return refused("CmdStan", lines[-1] if lines else "")


def _keep(folder: Path, settings: Settings) -> None:
    wanted = settings.options.get("keep_csv")
    if wanted is not None:
        target = Path(str(wanted))
        target.mkdir(parents=True, exist_ok=True)
        for file in (folder / "csv").iterdir():
            shutil.copy(file, target / file.name)


@contextmanager
def reading(said: str) -> Generator[None]:
    """Turn what keeps the chains' files from being read whole into a diagnostic.

    CmdStan ends with status 0 where it finds no step size, with a reason among what it `said`.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError, OSError) as failure:
        if short_of_memory(failure):
            raise out_of_memory("CmdStan") from failure
        if _GAVE_UP in said:
            raise refused("CmdStan", said[said.index(_GAVE_UP) :]) from failure
        why = next(iter(str(failure).splitlines()), type(failure).__name__)[:300].rstrip(", ")
        message = f"The draws that CmdStan wrote cannot be read: {why}."
        advice = "Is the disk full? Name a larger folder for its files in TMPDIR."
        raise failed(INCOMPLETE, message, advice) from failure


def _draws(folder: Path, shapes: Shapes, settings: Settings, compiling: float, took: float) -> Draws:
    import cmdstanpy

    files = [str(folder / "csv" / f"draws_{chain + 1}.csv") for chain in range(settings.chains)]
    fit = cmdstanpy.from_csv(files, method="sample")
    assert isinstance(fit, cmdstanpy.CmdStanMCMC)
    lead = (settings.chains, settings.draws)
    values: dict[str, NDArray[np.generic] | None] = {}
    for name, shape in shapes.items():
        known = name in fit.metadata.stan_vars
        array = np.asarray(fit.stan_variable(name)) if known else None
        whole = array is not None and array.size == np.prod((*lead, *shape))
        values[name] = array.reshape(*lead, *shape) if array is not None and whole else array
    statistics = {name: np.asarray(array).reshape(lead[1], -1).T for name, array in fit.method_variables().items()}
    return Draws(
        values=complete_values("CmdStan", values, shapes, lead),
        statistics=complete_statistics("CmdStan", {each: statistics.get(each) for each in STATISTICS}, lead),
        engine=f"CmdStan {version()}",
        seconds={"compile": compiling, "sampling": took},
        max_tree_depth=settings.max_tree_depth,
    )


@contextmanager
def _quiet() -> Generator[None]:
    logger = logging.getLogger("cmdstanpy")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
