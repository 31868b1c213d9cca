"""The program `hdsl`, and `python -m hdsl`: the command line in a process of its own, which ends with it."""

from __future__ import annotations

import sys

from hdsl.cli import main


def process() -> int:
    """Run the command line and return its exit code."""
    return main(alone=True)


if __name__ == "__main__":
    sys.exit(process())
