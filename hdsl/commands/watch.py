"""What is said when hdsl itself is ended from outside, or by a library that crashes within it.

A sampler that runs in a process of its own can crash without hdsl; NumPyro runs within it. So while a command samples,
a shell waits beside it: where hdsl goes without a word, the shell says what happened and what to try.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Generator
from types import FrameType

from hdsl.commands.output import findings_json
from hdsl.diagnostics import Diagnostic, to_text

_SHELL = "/bin/sh"
_TO_STANDARD_ERROR = 'read done || printf "%s\\n" "$1" >&2'
_TO_STANDARD_OUTPUT = 'read done || printf "%s\\n" "$1"'


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""


@contextlib.contextmanager
def terminable() -> Generator[None]:
    """Within this, SIGTERM raises Terminated, so that samplers are ended and temporary files removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextlib.contextmanager
def watched(arguments: argparse.Namespace) -> Generator[None]:
    """Within this, an end of the process that Python does not see (a crash, SIGKILL) is told as HDM712."""
    watcher = _watcher(arguments)
    try:
        yield
    finally:
        if watcher is not None:
            with contextlib.suppress(OSError):
                watcher.communicate(b"done\n")


def _watcher(arguments: argparse.Namespace) -> subprocess.Popen[bytes] | None:
    if os.name != "posix" or not os.access(_SHELL, os.X_OK):
        return None
    told = [_ended()]
    text = json.dumps({"diagnostics": findings_json(told, None)}) if arguments.json else to_text(told, None)
    script = _TO_STANDARD_OUTPUT if arguments.json else _TO_STANDARD_ERROR
    try:
        command = [_SHELL, "-c", script, "hdsl", text]
        return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    except OSError:
        return None


def _ended() -> Diagnostic:
    message = "hdsl was ended from outside, or by a crash of the sampler, so there are no draws."
    help_ = (
        "The system may have run out of memory: ask for fewer draws or chains, or run where there is more. "
        "`--backend stan` samples in a process of its own."
    )
    return Diagnostic("HDM712", message, help=help_)
