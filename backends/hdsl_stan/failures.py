"""What went wrong while sampling, as diagnostics."""

from __future__ import annotations

import re

from hdsl.backend import SamplingFailed
from hdsl.diagnostics import Diagnostic, short_of_memory

NO_START = "HDM711"
PROCESS_ENDED = "HDM712"
BAD_SETTING = "HDM713"
NO_ENGINE = "HDM714"
INCOMPLETE = "HDM715"
_NO_ROOM = re.compile("iostream error|No space left|File too large")


def failed(code: str, message: str, help_: str) -> SamplingFailed:
    """Return the exception that carries one diagnostic."""
    return SamplingFailed([Diagnostic(code, message, help=help_)])


def out_of_memory(engine: str) -> SamplingFailed:
    """Return the failure of an engine that ran out of memory."""
    return failed(
        PROCESS_ENDED,
        f"{engine} ran out of memory, so there are no draws.",
        "Ask for fewer draws or chains, or run where there is more memory; no part of this run was kept.",
    )


def ended(engine: str, status: int, said: str) -> SamplingFailed:
    """Return the failure of a child process that ended with `status`."""
    if short_of_memory(said):
        return out_of_memory(engine)
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    short = status in (-9, 137)
    memory = " The system may have run out of memory." if short else ""
    last = said.strip().splitlines()[-1:] or [""]
    detail = f" It said: {last[0]}" if last[0] and not short else ""
    advice = "Ask for fewer chains or draws, or try another backend; no part of this run was kept."
    if _NO_ROOM.search(said):
        advice = "The disk seems full: name a folder with more room in TMPDIR. No part of this run was kept."
    return failed(PROCESS_ENDED, f"The {engine} process {how}, so there are no draws.{memory}{detail}", advice)


def uncompiled(engine: str, said: str) -> SamplingFailed:
    """Return the failure of an engine that could not compile a program, in its compiler's words."""
    if short_of_memory(said):
        advice = "Compile where there is more memory, or try `--engine stanli`, which needs no compiler."
        return failed(PROCESS_ENDED, f"The compiler of {engine} ran out of memory.", advice)
    lines = [line.strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not re.match(r"make|Command|exited with|-+$|\d+:|\^", line)]
    start = next((place for place, line in enumerate(lines) if re.search("error|killed", line, re.IGNORECASE)), None)
    stopped = re.search(r"^make: \*\*\* \[.*\] (.+)$", said, re.MULTILINE)  # such as: File size limit exceeded
    told = stopped[1] if start is None and stopped else _in_one_line(lines[start or 0 :])
    advice = "Try `--engine stanli`, which needs no compiler, or another backend; see `hdsl doctor`."
    return failed(PROCESS_ENDED, f"{engine} could not compile the program: {told}", advice)


def _in_one_line(lines: list[str]) -> str:
    """Return the first line, with the last one where it only leads up to it."""
    if not lines:
        return "no reason given"
    leads_up = lines[0].endswith(":") or lines[0].startswith("Exception initializing")
    return f"{lines[0]} {lines[-1]}" if leads_up and len(lines) > 1 else lines[0]


def refused(engine: str, said: str) -> SamplingFailed:
    """Return the failure of an engine that could not sample, in its own words."""
    if short_of_memory(said):
        return out_of_memory(engine)
    told = _in_one_line([line.strip() for line in said.splitlines() if line.strip()])
    return failed(
        NO_START,
        f"{engine} could not sample: {told}",
        "Check the data for extreme values and the priors for very wide or very narrow scales.",
    )
