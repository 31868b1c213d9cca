"""Whether something went wrong for want of memory, by what the library or program that failed said of it."""

from __future__ import annotations

import errno
import re

_SAID = re.compile(
    r"bad_alloc|MemoryError|RESOURCE_EXHAUSTED|out of memory|cannot allocate memory|memory allocation|memory exhausted"
    r"|failed to map segment|failed to launch worker thread|can't start new thread|thread creation .*failed"
    r"|killed signal terminated program",
    re.IGNORECASE,
)


def short_of_memory(failure: BaseException | str) -> bool:
    """Tell whether an exception, one that led to it, or what a program wrote says that it got no memory."""
    if isinstance(failure, str):
        return _SAID.search(failure) is not None
    error: BaseException | None = failure
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if _SAID.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
