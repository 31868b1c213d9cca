"""The backends under test: every installed one, or those that HDSL_BACKENDS names."""

from __future__ import annotations

import os

import pytest

from hdsl.backend import Backend, installed, load
from hdsl.diagnostics import Diagnostic
from tests.conformance.cases import CASES
from tests.conformance.gaps import GAPS
from tests.conformance.refused import Refused

# The quick tier runs some cases on every backend: all on one that needs no compiler, few on one that is slow to start.
_QUICK = ("design: ", "nested groups", "two outcomes", "moving bounds", "awkward names")
_QUICK_ON = {"stan": ("",), "pymc": ("design: varying_slopes_noncentred", "design: ordinal", "nested groups")}


def _names() -> list[str]:
    chosen = os.environ.get("HDSL_BACKENDS")
    return chosen.split(",") if chosen else sorted(installed())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test every backend and case, with the marks of its tier and of known gaps."""
    if "backend_name" not in metafunc.fixturenames:
        return
    aspect = metafunc.function.__name__.removeprefix("test_")
    parameters: list[object] = []
    for name in _names():
        for case in CASES:
            marks: list[pytest.MarkDecorator] = []
            if not case.startswith(_QUICK_ON.get(name, _QUICK)):
                marks.append(pytest.mark.slow)
            gap = GAPS.get((name, aspect, case))
            if gap is not None:
                error = Refused if gap.expected == "refused" else AssertionError
                marks.append(pytest.mark.xfail(strict=True, reason=gap.reason, raises=error))
            parameters.append(pytest.param(name, case, marks=marks, id=f"{name}-{case}".replace(" ", "_")))
    metafunc.parametrize(("backend_name", "case"), parameters, indirect=["backend_name"])


@pytest.fixture(scope="session")
def loaded() -> dict[str, Backend | Diagnostic]:
    """Return the backends, loaded once."""
    return {}


@pytest.fixture
def backend_name(request: pytest.FixtureRequest) -> str:
    """Return the name of the backend under test."""
    return str(request.param)


@pytest.fixture
def backend(backend_name: str, loaded: dict[str, Backend | Diagnostic]) -> Backend:
    """Return the backend under test; skip where its packages are missing."""
    if backend_name not in loaded:
        loaded[backend_name] = load(backend_name)
    found = loaded[backend_name]
    if isinstance(found, Diagnostic):
        pytest.skip(found.message)
    return found
