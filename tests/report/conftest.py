from __future__ import annotations

from pathlib import Path

import pytest

from hdsl import Result, Settings, run
from tests.report.made import write

QUICK = Settings(chains=2, draws=300, warmup=300, seed=2)


@pytest.fixture(scope="session")
def study_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="session")
def found(study_path: Path) -> Result:
    return run(study_path, settings=QUICK)
