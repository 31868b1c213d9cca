"""The program `hdsl`, and `python -m hdsl`: the command line in a process of its own, which ends with it."""

from __future__ import annotations

import gc
import sys

from hdsl.cli import main


def process() -> int:
    """Run the command line and return its exit code.

    The system frees the memory of a process that ends, so nothing is searched for cycles then (0.1 to 0.2 seconds).
    """
    code = main(alone=True)
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(process())
