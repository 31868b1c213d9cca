"""`hdsl doctor`: which backends and engines are installed, and how to get the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hdsl import backend as backends
from hdsl.diagnostics import Diagnostic


@dataclass(frozen=True)
class Found:
    """A backend or one of its engines: whether it can be used, and what to do where it cannot, a step a line."""

    name: str
    available: bool
    note: str


def findings() -> list[Found]:
    """Return every installed backend, with its engines where it has several.

    Examples
    --------
    >>> {found.name: found.available for found in hdsl.doctor()}["numpyro"]
    True
    """
    found: list[Found] = []
    for name, entry in sorted(backends.installed().items()):
        loaded = backends.load(name)
        if isinstance(loaded, Diagnostic):
            found.append(Found(name, False, f"{loaded.message} {loaded.help}"))
            continue
        found.append(Found(name, True, f"installed ({entry.value.partition(':')[0]})"))
        found += _engines(name, loaded)
    return found


def _engines(name: str, loaded: object) -> list[Found]:
    """Return the engines that a backend tells of through a method `engines`."""
    told: Any = getattr(loaded, "engines", None)
    if told is None:
        return []
    return [Found(f"{name}, engine {e.name}", e.available, e.version if e.available else e.hint) for e in told()]
