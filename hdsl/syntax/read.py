"""Reading the file of a study."""

from __future__ import annotations

from pathlib import Path

from hdsl.diagnostics.diagnostic import Diagnostic
from hdsl.source import Source


def read_source(path: str | Path) -> Source | Diagnostic:
    """Return the text of a study file, or the diagnostic that says why it cannot be read.

    The file is UTF-8, with or without a byte order mark, with LF, CRLF or CR line ends.
    """
    file = Path(path)
    try:
        content = file.read_bytes()
    except IsADirectoryError:
        return _unreadable(f"`{path}` is a folder.", "Give the path of a .hdm file.")
    except FileNotFoundError:
        return _unreadable(f"There is no file `{path}`.", "Check the path and the folder you are in.")
    except PermissionError:
        return _unreadable(f"`{path}` may not be read.", "Change its permissions.")
    except (OSError, ValueError) as error:
        return _unreadable(f"`{path}` cannot be read: {error}.", "Check the path.")
    try:
        return Source.of(str(path), content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Diagnostic(
            code="HDM102",
            message=f"`{path}` is not UTF-8 text: byte {error.start + 1}, on line {line}.",
            help="Save it as UTF-8 in your editor.",
        )


def _unreadable(message: str, mend: str) -> Diagnostic:
    return Diagnostic(code="HDM101", message=message, help=mend)
