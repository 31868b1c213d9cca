"""Processes of a sampler, watched: progress in the calling thread, and none is left behind when one fails."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

_WAIT = 0.2
_LAST_LINES = 200
# Linux ends a process that asks for it (PR_SET_PDEATHSIG, 1, with SIGKILL, 9) together with the one that started it.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class ChainFailed(Exception):
    """A process ended with `status` before it was done; `said` is what it wrote last."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


def ending_with_parent(command: Sequence[str]) -> list[str]:
    """Return a command whose process does not outlive this one, where the system can see to that."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *command]


@dataclass
class _Chain:
    process: subprocess.Popen[str]
    reader: threading.Thread
    said: list[str] = field(default_factory=list)


def run(
    commands: Sequence[Sequence[str]],
    at_once: int,
    environment: Mapping[str, str],
    tell: Callable[[int, str], None],
) -> str:
    """Run processes, `at_once` at a time, and pass on each line of each: its number and the line.

    Returns what they wrote last. Raises ChainFailed at the first that fails; then, and where `tell` raises, the others
    are ended.
    """
    lines: SimpleQueue[tuple[int, str]] = SimpleQueue()
    waiting = list(enumerate(commands))
    running: dict[int, _Chain] = {}
    said: list[str] = []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, command = waiting.pop(0)
                running[number] = _started(number, command, environment, lines)
            _pass_on(lines, running, tell)
            for number in [each for each, chain in running.items() if not chain.reader.is_alive()]:
                _pass_on(lines, running, tell)
                chain = running.pop(number)
                if chain.process.wait() != 0:
                    raise ChainFailed(chain.process.returncode, "".join(chain.said))
                said += chain.said
        return "".join(said)
    finally:
        for chain in running.values():
            chain.process.kill()
            chain.process.wait()


def _started(
    number: int, command: Sequence[str], environment: Mapping[str, str], lines: SimpleQueue[tuple[int, str]]
) -> _Chain:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
    )

    def read() -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            for line in stdout:
                lines.put((number, line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return _Chain(process, reader)


def _pass_on(
    lines: SimpleQueue[tuple[int, str]], running: Mapping[int, _Chain], tell: Callable[[int, str], None]
) -> None:
    """Pass on what was said, after a short wait where nothing was."""
    wait = _WAIT
    while True:
        try:
            number, line = lines.get(timeout=wait) if wait else lines.get_nowait()
        except Empty:
            return
        said = running[number].said
        said.append(line)
        del said[:-_LAST_LINES]
        tell(number, line)
        wait = 0.0
