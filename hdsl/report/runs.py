"""Saved runs: a folder per study, one file per run, named after what the run is made of.

`.hdsl/NAME/KEY.nc` beside `NAME.hdm` holds a result and `KEY.json` says what it is. The key is a hash of the study, its
data as bound, the backend, its settings, hdsl's own code and the versions of the libraries that draw: equal keys give
equal draws. The JSON file is written last, by renaming, and names the size of the other: a run that was killed midway
leaves nothing that counts as a run, and what it left is removed by the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from hdsl.backend import Settings, installed
from hdsl.data.bound import Bound
from hdsl.design.snippets import StudyError
from hdsl.diagnostics import Diagnostic
from hdsl.model.ir import Model, ModelData
from hdsl.report.record import FORMAT, load, save
from hdsl.report.result import Result
from hdsl.report.words import heading_of
from hdsl.source import Source

FOLDER = ".hdsl"
OFF = "HDSL_RUNS"
HOUR = 3600
KEY_LENGTH = 16
LIBRARIES = ("numpy", "scipy", "jax", "jaxlib", "numpyro", "bartz", "pymc", "pytensor", "nutpie", "stanli", "cmdstanpy")
_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")


@dataclass(frozen=True)
class Run:
    """A run that was saved whole.

    `file` is the study's file name; `written` is in UTC; `size` that of the result's file in bytes.
    """

    key: str
    path: Path
    file: str
    study: str
    backend: str
    inference: str
    verdict: str
    written: str
    size: int
    chains: int
    draws: int
    seed: int
    data: str

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return {**asdict(self), "path": str(self.path)}


def folder_of(study: Path, out: Path | None = None) -> Path:
    """Return the folder in which the runs of a study file are kept: within `.hdsl` beside it, or within `out`."""
    return (study.parent / FOLDER if out is None else out) / study.stem


def switched_off() -> bool:
    """Return whether the environment says that runs are neither recalled nor kept (`HDSL_RUNS=off`)."""
    return os.environ.get(OFF, "").lower() in ("off", "0", "no")


def key_of(bound: Bound, model: Model, data: ModelData, backend: str, settings: Settings) -> str:
    """Return the name of a run: a hash of all that its draws and estimands depend on, the libraries among it.

    Sums of rows differ in the last digit from one pass to the next; there the fingerprint of the files counts.
    """
    study = bound.study.model_copy(update={"title": None, "waivers": (), "assumptions": ()})
    digest = hashlib.sha256()
    if bound.frequency is not None:
        parts = (FORMAT, study.model_dump_json(), bound.audit.sha256, backend, asdict(settings), _code(backend))
        digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
        for each in (*bound.variables.values(), *bound.treatments.values()):
            digest.update(each.name.encode() + (b"" if each.level == bound.row else each.values.tobytes()))
        return digest.hexdigest()[:KEY_LENGTH]
    for part in (FORMAT, study.model_dump_json(), model.model_dump_json(), backend, asdict(settings), _code(backend)):
        digest.update(json.dumps(part, sort_keys=True, default=str).encode() + b"\0")
    for name, value in sorted(_arrays(bound, data)):
        array = np.ascontiguousarray(value)
        digest.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    labelled = {**data.coords, **{n: level.labels for n, level in bound.levels.items()}, **_labels_of_cells(bound)}
    for name, labels in sorted(labelled.items()):
        digest.update(json.dumps([name, list(labels)]).encode())
    return digest.hexdigest()[:KEY_LENGTH]


def _arrays(bound: Bound, data: ModelData) -> Iterator[tuple[str, Any]]:
    yield from ((f"slot {name}", value) for name, value in data.values.items())
    yield from ((f"level {level.name}", level.rows) for level in bound.levels.values())
    yield from ((f"variable {variable.name}", variable.values) for variable in bound.variables.values())
    yield from ((f"treatment {treatment.name}", treatment.values) for treatment in bound.treatments.values())
    for file, population in bound.populations.items():
        yield f"weights {file}", population.weights
        yield from ((f"{file} {name}", array) for name, array in _arrays(population.cells, ModelData({}, {})))


def _labels_of_cells(bound: Bound) -> dict[str, tuple[str, ...]]:
    """Return the labels of population cells, which their arrays of codes do not say."""
    found: dict[str, tuple[str, ...]] = {}
    for file, population in bound.populations.items():
        found |= {f"{file} {n}": level.labels for n, level in population.cells.levels.items()}
        found |= {f"{file} {n}": variable.labels for n, variable in population.cells.variables.items()}
    return found


def _code(backend: str) -> str:
    """Return a hash of the source of hdsl and of the backend, and of the versions of what draws."""
    entry = installed().get(backend)
    packages = ["hdsl", *([entry.value.split(":")[0].split(".")[0]] if entry is not None else [])]
    digest = hashlib.sha256()
    for package in packages:
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or []) if found is not None else []:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(path.read_bytes())
    digest.update(json.dumps(_versions()).encode())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    """Return the versions of the libraries on which draws depend, of those that are installed."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@dataclass(frozen=True)
class Shelf:
    """Where one run has its place: a folder and a key."""

    folder: Path
    key: str
    file: str

    @staticmethod
    def of(study: object, runs: str | Path | bool, name: str, key: Callable[[], str]) -> Shelf | None:
        """Return the place of a run, None where runs are not kept; `name` is that of a study without a file."""
        if runs is False or switched_off():
            return None
        path = Path(study) if isinstance(study, str | Path) else Path(f"{name}.hdm")
        return Shelf(folder_of(path, None if runs is True else Path(runs)), key(), path.name)

    def recall(self, bound: Bound, source: Source | None, found: Sequence[Diagnostic]) -> Result | None:
        """Return the kept run, None where there is none that is whole."""
        return recall(self.folder, self.key, bound, source, found)

    def keep(self, result: Result) -> Result:
        """Keep a run; where that cannot be, it is returned with the warning HDM115."""
        try:
            return keep(result, self.folder, self.key, self.file)
        except OSError as error:
            message = f"The run cannot be kept in {self.folder} ({error.strerror or error})."
            told = Diagnostic("HDM115", message, severity="warning", help="Name another folder with `--out`.")
            return replace(result, warnings=(*result.warnings, told))


def keep(result: Result, folder: Path, key: str, file: str) -> Result:
    """Save a run whole and return it with its place.

    Raises
    ------
    OSError
        It cannot be written; what was begun is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _ignore(folder.parent)
    _sweep(folder)
    path = folder / f"{key}.nc"
    save(result, path)
    run = Run(
        key=key,
        path=path,
        file=file,
        study=result.study.name,
        backend=result.backend,
        inference=result.inference,
        verdict=result.diagnosis.verdict,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        size=path.stat().st_size,
        chains=result.settings.chains,
        draws=result.settings.draws,
        seed=result.settings.seed,
        data=result.bound.audit.source,
    )
    note, temporary = path.with_suffix(".json"), folder / f".{key}.{os.getpid()}.part"
    try:
        temporary.write_text(json.dumps({**run.to_json(), "path": path.name, "format": FORMAT}), encoding="utf-8")
        temporary.replace(note)
    finally:
        temporary.unlink(missing_ok=True)
    return replace(result, saved=path)


def _sweep(folder: Path) -> None:
    """Remove what runs that were killed have left."""
    for path in folder.glob(".*.part"):
        if _is_ours(path):
            path.unlink(missing_ok=True)


def _ignore(folder: Path) -> None:
    """Tell git to leave a folder of runs alone."""
    marker = folder / ".gitignore"
    if folder.name == FOLDER and not marker.exists():
        marker.write_text("*\n", encoding="utf-8")


def recall(folder: Path, key: str, bound: Bound, source: Source | None, found: Sequence[Diagnostic]) -> Result | None:
    """Return the run of that name, None where there is none that is whole.

    `found` are the findings of today's check, whose words and places may have changed.
    """
    run = _run(folder / f"{key}.json")
    if run is None:
        return None
    try:
        result = load(run.path)
    except StudyError:
        return None
    of_sampling = [each for each in result.warnings if each.code.startswith("HDM7")]
    here = replace(result.bound, study=bound.study, audit=bound.audit)
    return replace(
        result,
        study=bound.study,
        bound=here,
        source=source,
        warnings=(*found, *of_sampling),
        heading=heading_of(here),
        saved=run.path,
        recalled=run.written,
    )


def runs_in(folders: Iterable[Path]) -> list[Run]:
    """Return the whole runs in folders of runs, the newest first."""
    found = [_run(note) for folder in folders for note in folder.glob("*.json")]
    return sorted((run for run in found if run is not None), key=lambda run: run.written, reverse=True)


def _run(note: Path) -> Run | None:
    """Return the run that a note describes; None where it or its file is not whole."""
    try:
        content: Mapping[str, Any] = json.loads(note.read_text(encoding="utf-8"))
        path = note.with_suffix(".nc")
        if content["format"] != FORMAT or path.stat().st_size != content["size"]:
            return None
        fields = {name: content[name] for name in Run.__dataclass_fields__ if name != "path"}
        return Run(path=path, **fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def folders(places: Sequence[Path]) -> list[Path]:
    """Return the folders of runs of study files, of all studies in a folder, or within a folder of runs."""
    found: list[Path] = []
    for place in places:
        if place.suffix == ".hdm":
            found.append(folder_of(place))
        elif place.name == FOLDER:
            found += sorted(place.glob("*"))
        else:
            found += sorted((place / FOLDER).glob("*"))
            found += [each for each in sorted(place.glob("*")) if each.name != FOLDER and runs_in([each])]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def clean(places: Sequence[Path], keep_newest: int) -> tuple[list[Run], int]:
    """Remove all but the newest runs of each study, and whatever unfinished runs have left.

    Returns
    -------
    removed : list of Run
    freed : int
        Bytes.
    """
    removed: list[Run] = []
    freed = 0
    for folder in places:
        whole = runs_in([folder])
        kept = {run.key for run in whole[:keep_newest]}
        removed += whole[keep_newest:]
        for path in sorted(folder.iterdir()):
            if path.is_file() and _is_ours(path) and path.stem not in kept:
                freed += path.stat().st_size
                path.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    return removed, freed


def _is_ours(path: Path) -> bool:
    """Return whether a file is a run, the note of one, or what was left of one (`.KEY.nc.123.part`)."""
    if path.suffix == ".part":
        return not _alive(path)
    return path.suffix in (".nc", ".json") and _KEY.fullmatch(path.stem) is not None


def _alive(path: Path) -> bool:
    """Return whether the process that writes a file still runs; elsewhere than on POSIX, whether it may."""
    if os.name != "posix":
        return time.time() - path.stat().st_mtime < HOUR
    try:
        os.kill(int(path.name.split(".")[-2]), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
