"""Arrays of draws: in memory, or, where they are large, in files that go when nothing refers to them.

A file of draws has no name once it is open, so that it is gone with the last array that lies in it, however the process
ends. Its whole size is set aside when it is made: a full disk is told then, and not by a signal when a page is written.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hdsl.diagnostics import Diagnostic

IN_MEMORY = 256
BLOCK = 1 << 23
ROWS = 64
MIB = 1 << 20
MEMORY, FOLDER = "HDSL_DRAWS_IN_MEMORY", "HDSL_DRAWS_FOLDER"
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
HELP = f"Free some space there, name another folder in the variable {FOLDER}, or draw less (`--draws 250`)."


class NotStored(Exception):
    """Draws found no place; carries the diagnostic that says why (HDM728; HDM713 for a size that is none)."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def in_memory() -> int:
    """Return how many bytes an array of draws may take in memory: 256 MiB, or what `HDSL_DRAWS_IN_MEMORY` says in MiB.

    Raises
    ------
    NotStored
        HDM713: the variable is no number of MiB.
    """
    said = os.environ.get(MEMORY, "").strip()
    if not said:
        return IN_MEMORY * MIB
    if not said.isdecimal():
        message = f"{MEMORY} is {said!r}, which is no whole number of MiB."
        raise NotStored(Diagnostic("HDM713", message, help=f"Leave it out for {IN_MEMORY}, or set it to 0 or more."))
    return int(said) * MIB


def folder() -> Path:
    """Return where files of draws are made: what `HDSL_DRAWS_FOLDER` says, else the cache folder of hdsl."""
    said = os.environ.get(FOLDER)
    if said:
        return Path(said)
    from hdsl.resources import cache_folder

    return cache_folder() or Path(tempfile.gettempdir())


def room(shape: Sequence[int], dtype: Any = np.float64) -> NDArray[Any]:
    """Return an array to be filled, in a file where it takes more bytes than `in_memory`.

    Raises
    ------
    NotStored
        HDM728: the file cannot be made, or is larger than the space that is left.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size <= in_memory():
        return np.empty(shape, dtype)
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix="draws-", dir=place) as file:
            _set_aside(file, size, place)
            return np.asarray(np.memmap(file, dtype, "r+", shape=tuple(shape)))
    except OSError as error:
        message = f"There is no room for draws of {size / 1e9:.1f} GB: {error.strerror or error}."
        raise NotStored(Diagnostic("HDM728", message, help=f"Their folder is {place}. {HELP}")) from None


def _set_aside(file: IO[bytes], size: int, place: Path) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        else:
            return
    if shutil.disk_usage(place).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.truncate(size)


def on_disk(array: NDArray[Any]) -> bool:
    """Return whether an array lies in a file."""
    return _map_of(array) is not None


def let_go(*arrays: NDArray[Any]) -> None:
    """Let what is in memory of arrays that lie in files go; their numbers are read again where they are wanted."""
    for array in arrays:
        found = _map_of(array)
        if found is not None and hasattr(mmap, "MADV_DONTNEED"):
            with suppress(ValueError, OSError):
                found.madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> mmap.mmap | None:
    """Return the map of a file over which an array is a view; None for one in memory."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base


class Pages:
    """Lets arrays go from memory each time that as many bytes of them were used as an array may take there."""

    def __init__(self, *arrays: NDArray[Any]) -> None:
        self.arrays = [array for array in arrays if on_disk(array)]
        self.used = 0

    def after(self, share: float) -> None:
        """Note that a share of all arrays was read or written."""
        self.used += int(share * sum(array.nbytes for array in self.arrays))
        if self.used > in_memory():
            let_go(*self.arrays)
            self.used = 0


def turned(flat: NDArray[Any], some: slice) -> NDArray[np.float64]:
    """Return some columns of an array (rows, columns) as rows, copied a few rows at a time where it lies in a file.

    What is read of a file may bring pages of megabytes into memory, for each row one.
    """
    rows = len(flat)
    found = np.empty((len(range(*some.indices(flat.shape[1]))), rows))
    step = ROWS if on_disk(flat) else max(rows, 1)
    for start in range(0, rows, step):
        found[:, start : start + step] = flat[start : start + step, some].T
        let_go(flat)
    return found


def blocks(total: int, each: int) -> Iterator[slice]:
    """Yield slices of `total` elements, of `each` numbers: some millions of numbers, one element at the least."""
    step = max(1, BLOCK // max(each, 1))
    yield from (slice(start, min(start + step, total)) for start in range(0, total, step))

