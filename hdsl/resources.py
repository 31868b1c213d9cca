"""Files that ship with hdsl (the grammar, the written mistakes, the pages of the codes), and the folder of its cache.

A wheel carries them inside the package; a checkout keeps them beside it.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def _folder(packaged: str, in_checkout: str) -> Traversable:
    inside = files("hdsl") / packaged
    return inside if inside.is_dir() else _CHECKOUT / in_checkout


def _texts(folder: Traversable, suffix: str) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    found = [entry for entry in folder.iterdir() if entry.name.endswith(suffix)]
    found.sort(key=lambda entry: entry.name)
    return {entry.name.removesuffix(suffix): _read(entry) for entry in found}


def _read(entry: Traversable) -> str:
    return entry.read_text(encoding="utf-8")


@cache
def grammar_text() -> str:
    """The Lark grammar of the language."""
    return _read(_folder("_grammar", "grammar") / "hdm.lark")


def mistakes() -> list[tuple[str, str]]:
    """The written syntax mistakes, in order of file name.

    Returns
    -------
    list of (name, text)
        ``name`` is the file's name with its suffix; ``text`` is the whole file.
    """
    folder = _folder("_grammar", "grammar") / "mistakes"
    return [(name, text) for name, text in _texts(folder, "").items() if not name.startswith(".")]


def code_pages() -> dict[str, str]:
    """The page of every diagnostic code, ``{"HDM304": markdown, ...}``, in order of code."""
    return {name: text for name, text in _texts(_folder("_codes", "docs/codes"), ".md").items() if _is_code(name)}


def code_page(code: str) -> str | None:
    """The page of one code in any case (``"hdm304"``), or None where there is none."""
    wanted = code.upper()
    if not _is_code(wanted):
        return None
    page = _folder("_codes", "docs/codes") / f"{wanted}.md"
    return _read(page) if page.is_file() else None


def _is_code(name: str) -> bool:
    return name.startswith("HDM") and name.removeprefix("HDM").isdecimal()


def cache_folder() -> Path | None:
    """Return the user's own cache folder for hdsl, None where none can be written."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
        folder = (Path(base) if base else Path.home() / ".cache") / "hdsl"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None
