"""What went wrong while sampling, as diagnostics."""

from __future__ import annotations

import re

from hdsl.backend import SamplingFailed
from hdsl.diagnostics import Diagnostic

NO_START = "HDM711"
PROCESS_ENDED = "HDM712"
BAD_SETTING = "HDM713"
NO_ENGINE = "HDM714"
INCOMPLETE = "HDM715"


def failed(code: str, message: str, help_: str) -> SamplingFailed:
    """Return the exception that carries one diagnostic."""
    return SamplingFailed([Diagnostic(code, message, help=help_)])


def ended(engine: str, status: int, said: str) -> SamplingFailed:
    """Return the failure of a child process that ended with `status`."""
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    short = status in (-9, 137) or "MemoryError" in said or "bad_alloc" in said
    memory = " The system may have run out of memory." if short else ""
    last = said.strip().splitlines()[-1:] or [""]
    detail = f" It said: {last[0]}" if last[0] and not short else ""
    return failed(
        PROCESS_ENDED,
        f"The {engine} process {how}, so there are no draws.{memory}{detail}",
        "Ask for fewer chains or draws, or try another backend; no part of this run was kept.",
    )


def uncompiled(engine: str, said: str) -> SamplingFailed:
    """Return the failure of an engine that could not compile a program, in its compiler's words."""
    lines = [line.strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not re.match(r"make|Command|exited with|-+$|\d+:|\^", line)]
    start = next((place for place, line in enumerate(lines) if re.search("error|killed", line, re.IGNORECASE)), 0)
    told = _in_one_line(lines[start:])
    advice = "Try `--engine stanli`, which needs no compiler, or another backend; see `hdsl doctor`."
    return failed(PROCESS_ENDED, f"{engine} could not compile the program: {told}", advice)


def _in_one_line(lines: list[str]) -> str:
    """Return the first line, with the last one where it only leads up to it."""
    if not lines:
        return "no reason given"
    return f"{lines[0]} {lines[-1]}" if lines[0].endswith(":") else lines[0]


def refused(engine: str, said: str) -> SamplingFailed:
    """Return the failure of an engine that could not sample, in its own words."""
    told = _in_one_line([line.strip() for line in said.splitlines() if line.strip()])
    return failed(
        NO_START,
        f"{engine} could not sample: {told}",
        "Check the data for extreme values and the priors for very wide or very narrow scales.",
    )
