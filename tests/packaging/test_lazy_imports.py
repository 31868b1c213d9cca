"""Commands that only read text answer without the weight of the numerical libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ["jax", "numpyro", "arviz", "pymc", "stanli", "matplotlib", "scipy"]
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
    code = main()
except SystemExit as stop:
    code = stop.code
print("\\n" + json.dumps([code or 0, sorted(name for name in sys.modules if "." not in name)]))
"""


def loaded_by(*arguments: str, folder: Path) -> set[str]:
    """Top-level modules that one command loads; the command must succeed."""
    command = [sys.executable, "-c", PROBE, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stdout
    return set(modules)


def test_help_loads_no_numerical_library(tmp_path: Path) -> None:
    loaded = loaded_by("--help", folder=tmp_path)
    assert loaded & {*HEAVY, "numpy", "pandas", "duckdb", "pyarrow", "lark"} == set()


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_reading_commands_load_no_sampler(tmp_path: Path, command: str) -> None:
    rows = [f"{person},{person % 2},{person * 0.5}" for person in range(20)]
    (tmp_path / "coaching.csv").write_text("\n".join(["person,coach,after", *rows]) + "\n")
    (tmp_path / "coaching.hdm").write_text(STUDY)
    loaded = loaded_by(command, "coaching.hdm", folder=tmp_path)
    assert loaded & set(HEAVY) == set()
    assert "hdsl" in loaded
