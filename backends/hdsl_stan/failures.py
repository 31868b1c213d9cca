"""What went wrong while sampling, as diagnostics."""

from __future__ import annotations

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
    memory = " The system may have run out of memory." if status in (-9, 137) else ""
    last = said.strip().splitlines()[-1:] or [""]
    detail = f" It said: {last[0]}" if last[0] else ""
    return failed(
        PROCESS_ENDED,
        f"The {engine} process {how}, so there are no draws.{memory}{detail}",
        "Try fewer chains or draws, or another backend; no part of this run was kept.",
    )


def refused(engine: str, said: str) -> SamplingFailed:
    """Return the failure of an engine that could not sample, in its own words."""
    first = next((line for line in said.strip().splitlines() if line.strip()), "no reason given")
    return failed(
        NO_START,
        f"{engine} could not sample: {first}",
        "Check the data for extreme values and the priors for very wide or very narrow scales.",
    )
