"""`hdsl lsp`: the language server for editors."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from hdsl.commands.output import FINDINGS, FINE, refused
from hdsl.diagnostics import Diagnostic


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `hdsl lsp`."""
    parser.add_argument("--stdio", action="store_true", help="speak on standard input and output (the only way)")


def run(arguments: argparse.Namespace) -> int:
    """Serve an editor on standard input and output until it leaves."""
    if find_spec("pygls") is None:
        message = "The language server needs pygls, which is not installed."
        found = Diagnostic("HDM123", message, help='Install it with: pip install "hdsl[lsp]"')
        return refused(arguments, [found], None, FINDINGS)
    from hdsl.lsp.server import serve

    serve()
    return FINE
