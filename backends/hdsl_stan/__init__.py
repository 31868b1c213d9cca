"""The Stan backend of hdsl: programs a Stan user can read, run by CmdStan or stanli."""

from __future__ import annotations

from hdsl_stan.backend import StanBackend
from hdsl_stan.engines import Engine, engines

backend = StanBackend()

__all__ = ["Engine", "StanBackend", "backend", "engines"]
