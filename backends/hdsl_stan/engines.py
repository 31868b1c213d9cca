"""The engines that can run a Stan program here."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from hdsl_stan import engine_stanli
from hdsl_stan.failures import NO_ENGINE, failed

_INSTALL = (
    'Install it (downloads; needs make and a C++ compiler): python -c "import cmdstanpy; cmdstanpy.install_cmdstan()"'
)
_EXISTING = "Or use one that is there: export CMDSTAN=/path/to/cmdstan (it holds `makefile` and `bin/stanc`)"


class Engine(NamedTuple):
    """An engine: whether it can run, its version ("" where unknown) and how to get it, a step a line."""

    name: str
    available: bool
    version: str
    hint: str


def engines() -> list[Engine]:
    """Return the engines in order of preference."""
    return [_cmdstan(), _stanli()]


def choose(wanted: str | None) -> str:
    """Return the engine to run: the one asked for, else the first that is available.

    Raises SamplingFailed (HDM714) where it is unknown or not there.
    """
    found = engines()
    if wanted is None:
        ready = [engine for engine in found if engine.available]
        if ready:
            return ready[0].name
        raise failed(NO_ENGINE, "No Stan engine is installed.", _in_one_line(found[-1].hint))
    for engine in found:
        if engine.name == wanted:
            if engine.available:
                return wanted
            raise failed(NO_ENGINE, f"The Stan engine {wanted!r} is not available.", _in_one_line(engine.hint))
    names = ", ".join(engine.name for engine in found)
    raise failed(NO_ENGINE, f"There is no Stan engine called {wanted!r}.", f"Engines: {names}.")


def _in_one_line(hint: str) -> str:
    return "; ".join(hint.splitlines())


def cmdstan_folder() -> Path | None:
    """Return the CmdStan installation: $CMDSTAN, else the newest that cmdstanpy's installer left."""
    given = os.environ.get("CMDSTAN")
    candidates = [Path(given)] if given else _installed_folders()
    return next((folder for folder in candidates if _usable(folder)), None)


def _installed_folders() -> list[Path]:
    return sorted((Path.home() / ".cmdstan").glob("cmdstan-*"), key=_version_key, reverse=True)


def _version_key(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in installation_version(folder).split(".") if part.isdigit())


def installation_version(folder: Path) -> str:
    """Return the version that an installation's makefile states, else its folder's."""
    makefile = folder / "makefile"
    if makefile.exists():
        for line in makefile.read_text().splitlines():
            if line.startswith("CMDSTAN_VERSION"):
                return line.partition("=")[2].strip()
    return folder.name.removeprefix("cmdstan-")


def _usable(folder: Path) -> bool:
    return (folder / "makefile").exists() and (folder / "bin" / "stanc").exists()


def _cmdstan() -> Engine:
    folder = cmdstan_folder()
    package = [] if find_spec("cmdstanpy") else ["pip install cmdstanpy"]
    if folder is None:
        given = os.environ.get("CMDSTAN")
        wrong = [f"CMDSTAN is {given}, which holds no built CmdStan (`makefile` and `bin/stanc`)"] if given else []
        return Engine("cmdstan", False, "", "\n".join([*wrong, *package, _INSTALL, _EXISTING]))
    if package:
        return Engine("cmdstan", False, "", package[0])
    return Engine("cmdstan", True, installation_version(folder), "")


def _stanli() -> Engine:
    found, wanted = engine_stanli.installed(), engine_stanli.VERSION
    hint = f"pip install stanli=={wanted}"
    if found is None:
        return Engine("stanli", False, "", hint)
    return Engine("stanli", found == wanted, found, "" if found == wanted else hint)
