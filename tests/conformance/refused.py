"""Models that a backend says it cannot express."""

from __future__ import annotations

import pytest

from hdsl.backend import Backend, refusal
from hdsl.model.ir import Model

SHIPPED = ("numpyro", "pymc", "stan")


class Refused(Exception):
    """The backend refuses a model (HDM604). Of a backend that hdsl ships, every such case is listed as a gap."""


def assert_expressible(backend: Backend, model: Model) -> None:
    """Raise Refused where the backend's tables lack something; skip the test where others made the backend."""
    refused = refusal(model, backend)
    if refused is None:
        return
    assert refused.code == "HDM604"
    if backend.name not in SHIPPED:
        pytest.skip(refused.message)
    raise Refused(refused.message)
