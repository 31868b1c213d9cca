"""The examples in docstrings run, beside a small study with its data, and give what they say."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hdsl
from tests.report.made import write

LONG = "hdsl.driver.compare"
ROOT = Path(hdsl.__file__).resolve().parent


def _modules() -> list[str]:
    """Return the modules of hdsl whose text has an example."""
    found = [path for path in sorted(ROOT.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")]
    names = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in found]
    return [name.removesuffix(".__init__") for name in names]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What every example may use: hdsl, and the result of a small study in the current folder."""
    folder = tmp_path_factory.mktemp("docstrings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        path = write(folder)
        result = hdsl.run(path, settings=hdsl.Settings(chains=2, draws=200, warmup=200))
        parts = {name: getattr(hdsl, name) for name in ("Study", "covariate", "outcome", "complete")}
        yield {"hdsl": hdsl, "result": result, **parts}


def test_there_are_examples() -> None:
    assert {"hdsl.report.result", "hdsl.design.study"} <= set(_modules())


def test_all_that_hdsl_offers_has_an_example() -> None:
    """But for exceptions and settings, which the other examples use."""
    offered = {name: getattr(hdsl, name) for name in hdsl.__all__}
    without = {name for name, value in offered.items() if ">>> " not in (value.__doc__ or "")}
    assert without == {"SamplingFailed", "StudyError", "Settings"}


@pytest.mark.parametrize("name", _modules())
def test_examples_run(name: str, names: dict[str, Any]) -> None:
    _run(name, names, slow=False)


@pytest.mark.slow
def test_examples_that_take_long_run(names: dict[str, Any]) -> None:
    _run("hdsl.driver", names, slow=True)


def _run(name: str, names: dict[str, Any], *, slow: bool) -> None:
    module: ModuleType = import_module(name)
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    tests = [test for test in tests if test.name.startswith(LONG) == slow]
    assert tests
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said: list[str] = []
    for test in tests:
        test.globs = {**test.globs, **names}
        runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
