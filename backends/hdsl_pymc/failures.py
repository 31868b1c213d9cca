"""What went wrong while sampling, as diagnostics."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from hdsl.backend import SamplingFailed
from hdsl.diagnostics import Diagnostic, short_of_memory

NO_START = "HDM711"
BROKEN = "HDM712"
BAD_SETTING = "HDM713"
NO_ENGINE = "HDM714"
INCOMPLETE = "HDM715"


def failed(code: str, message: str, help_: str) -> SamplingFailed:
    """Return the exception that carries one diagnostic."""
    return SamplingFailed([Diagnostic(code, message, help=help_)])


def no_start(message: str) -> SamplingFailed:
    """Return the failure of a sampler that found no point with a finite density."""
    return failed(
        NO_START,
        message,
        "Look for outcomes that the family cannot produce, covariates of very different sizes, "
        "and priors that exclude the data.",
    )


def out_of_memory() -> SamplingFailed:
    """Return the failure of a sampler that ran out of memory."""
    return failed(
        BROKEN,
        "The sampler ran out of memory.",
        "Ask for fewer draws or chains, or run where there is more memory.",
    )


def ended(status: int | None, said: str) -> SamplingFailed:
    """Return the failure of a process that ended with `status` before it had all draws; None where that is unknown."""
    if short_of_memory(said):
        return out_of_memory()
    how = "was ended from outside" if status is None else f"ended with status {status}"
    if status is not None and status < 0:
        how = f"was ended by signal {-status}"
    short = status in (None, -9, 137)
    memory = " The system may have run out of memory." if short else ""
    last = [line.strip() for line in said.splitlines() if line.strip()][-1:]
    detail = f" It said: {last[0][:300]}" if last and not short else ""
    return failed(
        BROKEN,
        f"The PyMC process {how}, so there are no draws.{memory}{detail}",
        "Ask for fewer chains or draws, or try another engine or backend; no part of this run was kept.",
    )


@contextmanager
def diagnosed() -> Generator[None]:
    """Turn whatever breaks in PyMC, PyTensor or nutpie into a diagnostic."""
    try:
        yield
    except SamplingFailed:
        raise
    except (ConnectionResetError, BrokenPipeError, EOFError) as error:  # how PyMC finds a chain's process gone
        raise ended(None, "") from error
    except Exception as error:
        if short_of_memory(error):
            raise out_of_memory() from error
        text = str(error).strip()
        if "initialization points failed" in text or "Initial evaluation of model" in text:
            raise no_start("No starting point with a finite density was found.") from error
        first = next(iter(text.splitlines()), "")[:300]
        raise failed(
            BROKEN,
            f"PyMC stopped: {type(error).__name__}: {first}",
            "Try another backend with --backend; if the study is small, please report it with the study file.",
        ) from error
