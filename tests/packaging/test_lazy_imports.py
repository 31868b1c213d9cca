"""Commands answer without the weight of the libraries that they do not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["jax", "numpyro", "arviz", "pymc", "stanli", "duckdb", "matplotlib", "xarray", "pandas", "scipy"]
STUDY = """\
study coaching "Coaching, completely randomised"
data "coaching.csv"
unit person id person { outcome after : real "points" }
treatment coach { none = 0, coached = 1 }
assign coach to person by complete(0.5)
"""
PROBE = """\
import json, sys
from hdsl.cli import main
sys.argv = ["hdsl", *sys.argv[1:]]
try:
    code = main(alone=True)
except SystemExit as stop:
    code = stop.code
print("\\n" + json.dumps([code or 0, sorted(sys.modules)]))
"""


def loaded_by(*arguments: str, folder: Path) -> set[str]:
    """Modules that one command loads; the command must succeed."""
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stdout
    return set(modules)


def write_study(folder: Path) -> None:
    """Write a small study and its data."""
    rows = [f"{person},{person % 2},{person * 0.5}" for person in range(20)]
    (folder / "coaching.csv").write_text("\n".join(["person,coach,after", *rows]) + "\n")
    (folder / "coaching.hdm").write_text(STUDY)


def test_help_loads_no_numerical_library(tmp_path: Path) -> None:
    loaded = loaded_by("--help", folder=tmp_path)
    assert loaded & {*HEAVY, "numpy", "pandas", "duckdb", "pyarrow", "lark"} == set()


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_reading_commands_load_no_sampler(tmp_path: Path, command: str) -> None:
    write_study(tmp_path)
    loaded = loaded_by(command, "coaching.hdm", folder=tmp_path)
    assert loaded & set(HEAVY) == set()
    assert "hdsl" in loaded


def test_exact_draws_are_made_kept_and_recalled_without_samplers_or_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose effects are integrated out needs SciPy, and neither JAX nor a tree of xarray."""
    monkeypatch.delenv("HDSL_RUNS", raising=False)
    write_study(tmp_path)
    needless = {*HEAVY, "scipy.stats", "numpy.f2py.crackfortran"} - {"scipy"}
    assert loaded_by("run", "coaching.hdm", "--json", folder=tmp_path) & needless == set()
    assert len(list((tmp_path / ".hdsl" / "coaching").glob("*.nc"))) == 1
    assert loaded_by("run", "coaching.hdm", folder=tmp_path) & {*needless, "scipy"} == set()


def test_a_program_for_a_sampler_is_made_without_the_distributions_of_scipy(tmp_path: Path) -> None:
    """How much the data tell of a group is asked on the way to every sampler; `scipy.stats` takes half a second."""
    write_study(tmp_path)
    grouped = STUDY.replace("unit person id person {", "group class id class\nunit person id person in class {")
    (tmp_path / "coaching.hdm").write_text(grouped)
    rows = [f"{person},{person % 5},{person % 2},{person % 7 * 0.5}" for person in range(60)]
    (tmp_path / "coaching.csv").write_text("\n".join(["person,class,coach,after", *rows]) + "\n")
    loaded = loaded_by("compile", "coaching.hdm", "--emit", "stan", "--inference", "nuts", folder=tmp_path)
    assert loaded & {*HEAVY, "scipy.stats"} == {"scipy"}


def test_f2py_is_there_where_it_is_wanted() -> None:
    probe = """
import sys
from hdsl.commands.unloaded import numpy_without_f2py
numpy_without_f2py()
import scipy.optimize
assert "numpy.f2py.crackfortran" not in sys.modules
from numpy import f2py
assert f2py.get_include().endswith("src") and f2py.f2py2e.main
assert "numpy.f2py.crackfortran" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_pandas_is_there_for_arrow_where_it_is_wanted() -> None:
    probe = """
import sys
from hdsl.commands.unloaded import arrow_without_pandas
arrow_without_pandas()
import pyarrow as pa
table = pa.table({"x": pa.array([1, None])})
assert "pandas" not in sys.modules
assert table.to_pandas()["x"].isna().tolist() == [False, True]
import pandas as pd
assert pa.array(pd.Series([1.0, None])).null_count == 1
assert pa.Table.from_pandas(pd.DataFrame({"x": [2]})).to_pydict() == {"x": [2]}
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
