"""Estimands: causal quantities computed from posterior draws of the plain model."""

from __future__ import annotations

from hdsl.estimands.compute import Computed, compute
from hdsl.estimands.defaults import with_defaults
from hdsl.estimands.rows import EstimandError

__all__ = ["Computed", "EstimandError", "compute", "with_defaults"]
