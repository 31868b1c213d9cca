"""A backend in a package of its own: it is installed, found, tested for conformance, and fits a study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PLUGIN = _ROOT / "examples" / "backend_plugin"
_STUDY = """\
study coaching "Coaching, completely randomised"
data "coaching.csv"
unit person id person {{ covariate before : real   outcome after : {kind} }}
treatment coach {{ none = 0, coached = 1 }}
assign coach to person by complete(0.5)
analysis {{ adjust for before }}
"""
_JOINT = """\
study coaching "Coaching within schools"
data "coaching.csv"
group school id school
unit person id person in school { outcome after : real }
treatment coach { none = 0, coached = 1 }
assign coach to person within school by complete(0.5)
analysis { vary coach across school }
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the plug-in is installed, without the network."""
    folder = tmp_path_factory.mktemp("site")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(folder), str(_PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _environment(site: Path) -> dict[str, str]:
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HDSL_BACKENDS": "laplace"}


def _hdsl(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from hdsl.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(
        command, cwd=folder, env=_environment(site), capture_output=True, text=True, timeout=250, check=False
    )


def _data(folder: Path, rows: int = 300) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    columns = {
        "person": np.arange(rows),
        "school": np.arange(rows) // 2 % 10,
        "coach": np.arange(rows) % 2,
        "before": np.round(rng.normal(50, 10, rows), 2),
    }
    noise = rng.normal(0, 4, rows)
    columns["after"] = np.round(5 + 0.8 * columns["before"] + 3 * columns["coach"] + noise, 2)
    lines = [",".join(columns), *(",".join(str(value) for value in row) for row in zip(*columns.values(), strict=True))]
    (folder / "coaching.csv").write_text("\n".join(lines) + "\n")
    return columns


def _counts(site: Path, folder: Path, *arguments: str) -> dict[str, int]:
    """Run the conformance suite for the plug-in; return how many tests there were, failed and were skipped."""
    report = folder / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/conformance/test_density.py",
        "-q",
        "-n0",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, f"--junitxml={report}", *arguments],
        cwd=_ROOT,
        env=_environment(site),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}


def test_it_is_found_beside_the_others(site: Path, tmp_path: Path) -> None:
    done = _hdsl(site, tmp_path, "doctor", "--json")
    found = {each["name"]: each["available"] for each in json.loads(done.stdout)["found"]}
    assert found["laplace"]
    assert found["numpyro"]


def test_a_part_of_the_conformance_suite_passes(site: Path, tmp_path: Path) -> None:
    counts = _counts(site, tmp_path, "-k", "nested_groups or crossed or two_outcomes")
    assert counts["failures"] == counts["errors"] == 0
    assert counts["tests"] - counts["skipped"] >= 6


@pytest.mark.slow
def test_the_conformance_suite_passes(site: Path, tmp_path: Path) -> None:
    """Every case that its tables cover; the others are refused, and skipped with what they lack."""
    counts = _counts(site, tmp_path, "-m", "")
    assert counts["failures"] == counts["errors"] == 0
    assert counts["tests"] - counts["skipped"] >= 150


def test_it_fits_a_study(site: Path, tmp_path: Path) -> None:
    """With weak priors and many rows the posterior of the effect is that of least squares."""
    columns = _data(tmp_path)
    (tmp_path / "coaching.hdm").write_text(_STUDY.format(kind="real"))
    done = _hdsl(site, tmp_path, "run", "coaching.hdm", "--backend", "laplace", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    found = next(each for each in result["parameters"] if each["role"] == "effect(coach)")
    design = np.column_stack([np.ones(300), columns["coach"], columns["before"]])
    best, squares, *_ = np.linalg.lstsq(design, columns["after"], rcond=None)
    error = float(np.sqrt(np.linalg.inv(design.T @ design)[1, 1] * squares[0] / (300 - 3)))
    # At least 2000 effective draws: four standard errors, and a little for the priors.
    assert found["mean"] == pytest.approx(best[1], abs=0.12 * error)
    assert found["sd"] == pytest.approx(error, rel=0.08)
    assert "importance resampling" in json.dumps(result)


def test_what_it_cannot_express_is_refused(site: Path, tmp_path: Path) -> None:
    _data(tmp_path)
    (tmp_path / "coaching.hdm").write_text(_JOINT)
    done = _hdsl(site, tmp_path, "run", "coaching.hdm", "--backend", "laplace")
    assert done.returncode == 1
    assert "HDM604" in done.stdout + done.stderr
    assert "lkj_cholesky" in done.stdout + done.stderr
    assert "--backend numpyro" in done.stdout + done.stderr


@pytest.mark.slow
def test_it_agrees_with_another_backend(site: Path, tmp_path: Path) -> None:
    _data(tmp_path)
    (tmp_path / "coaching.hdm").write_text(_STUDY.format(kind="real"))
    done = _hdsl(site, tmp_path, "compare", "coaching.hdm", "--backends", "laplace", "numpyro", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["comparison"]["agrees"]
