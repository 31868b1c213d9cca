"""What commands print and write: diagnostics, JSON, files; only this package and `hdsl.cli` print."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from hdsl.source import Source

FINE, FINDINGS, USAGE, FAILED = 0, 1, 2, 3
INTERRUPTED, TERMINATED = 130, 143  # as shells say it of signals 2 and 15


def refused(arguments: argparse.Namespace, found: Sequence[Diagnostic], source: Source | None, code: int) -> int:
    if arguments.json:
        print_json({"diagnostics": findings_json(found, source)})
    else:
        show(found, source)
    return code


def unwritable(out: str | None, *, new: bool = False) -> Diagnostic | None:
    """Return why a file cannot be written, known before the work is done; `new`: it must not exist yet."""
    if out is None:
        return None
    path = Path(out)
    if path.is_dir():
        return Diagnostic("HDM115", f"{out} is a folder.", help="Name a file with --out.")
    if new and path.exists():
        return Diagnostic("HDM115", f"{out} exists already.", help="Name another file with --out.")
    if not path.parent.is_dir():
        return Diagnostic("HDM115", f"There is no folder {path.parent}.", help=f"Make it: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        return Diagnostic("HDM115", f"Nothing may be written to {path.parent}.", help="Name another folder with --out.")
    return None


def no_folder(out: str | None) -> Diagnostic | None:
    """Return why files cannot be put into a folder, making it where there is none."""
    if out is None:
        return None
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Diagnostic("HDM115", f"{out} cannot be made a folder ({error.strerror}).", help="Name another folder.")
    if not os.access(out, os.W_OK):
        return Diagnostic("HDM115", f"Nothing may be written to {out}.", help="Name another folder.")
    return None


def not_written(path: Path, error: OSError) -> Diagnostic:
    return Diagnostic("HDM115", f"{path} cannot be written ({error.strerror or error}).", help="Name another file.")


def write(path: Path, content: str | bytes) -> Diagnostic | None:
    """Write a file whole or not at all; return why it could not be written."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
        temporary.replace(path)
    except OSError as error:
        return not_written(path, error)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return None


def findings_json(found: Sequence[Diagnostic], source: Source | None) -> list[dict[str, object]]:
    from hdsl.diagnostics import to_json

    return to_json(found, source)


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str) + "\n")


def _finite(value: Any) -> Any:
    """Return a value with null for what JSON has no number for: nan and infinities."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


def show(found: Sequence[Diagnostic], source: Source | None) -> None:
    """Print diagnostics on standard error, in colour on a terminal."""
    if not found:
        return
    from hdsl.diagnostics import to_rich, to_text

    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        from rich.console import Console

        Console(stderr=True).print(to_rich(found, source))
    else:
        print(to_text(found, source), file=sys.stderr)


def markdown(page: str) -> None:
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(page))
    else:
        sys.stdout.write(page)


def say(text: str) -> None:
    print(text)
