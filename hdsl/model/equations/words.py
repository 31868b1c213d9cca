"""The reasons that terms of explicit equations carry."""

from __future__ import annotations

REASON = "stated in `model`"
DEFINED = "defined in `model`"
