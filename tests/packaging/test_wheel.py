"""The wheel holds what hdsl reads at run time, and runs a study where nothing else is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STUDY = """\
study coaching "Coaching, completely randomised"
data "coaching.csv"
unit person id person {
  covariate before : real "points"
  outcome   after  : real "points"
}
treatment coach { none = 0, coached = 1 }
assign coach to person by complete(0.5)
analysis { adjust for before }
estimand ate = average over person of after(coach = coached) - after(coach = none)
"""
EFFECT = 3.0


def write_study(folder: Path) -> Path:
    """A study of 60 persons whose effect is `EFFECT`, with a fixed zigzag for noise."""
    rows = ["person,coach,before,after"]
    for person in range(60):
        coach, before, noise = person % 2, (person * 7) % 20, ((person * 11) % 13 - 6) / 12
        rows.append(f"{person},{coach},{before},{10 + 0.5 * before + EFFECT * coach + noise}")
    (folder / "coaching.csv").write_text("\n".join(rows) + "\n")
    study = folder / "coaching.hdm"
    study.write_text(STUDY)
    return study


def build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_wheel_holds_grammar_pages_and_type_markers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    wanted = {
        f"hdsl/_grammar/{path.relative_to(ROOT / 'grammar').as_posix()}": path.read_bytes()
        for path in (ROOT / "grammar").rglob("*")
        if path.is_file()
    }
    wanted |= {f"hdsl/_codes/{path.name}": path.read_bytes() for path in (ROOT / "docs/codes").glob("HDM*.md")}
    assert "hdsl/_grammar/hdm.lark" in wanted
    assert any(name.startswith("hdsl/_codes/HDM") for name in wanted)
    assert {name: held.get(name) for name in wanted} == wanted
    assert {f"{package}/py.typed" for package in ("hdsl", "hdsl_numpyro", "hdsl_pymc", "hdsl_stan")} <= set(held)


def test_wheel_holds_only_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    packages = {top for top in tops if not top.endswith(".dist-info")}
    assert packages == {"hdsl", "hdsl_numpyro", "hdsl_pymc", "hdsl_stan"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands' folder of a new environment that has the pinned requirements and the wheel."""
    home = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True, timeout=300)
    pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--require-hashes", "--requirement", str(ROOT / "requirements/run.txt")]
    subprocess.run([*pip, *pinned], check=True, timeout=1200)
    subprocess.run([*pip, str(wheel)], check=True, timeout=300)
    return home / "bin"


def run_installed(commands: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed `hdsl` outside the checkout and without the settings of these tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "PYTHON"))}
    command = [str(commands / "hdsl"), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_installed_wheel_checks_explains_and_runs_a_study(installed: Path, tmp_path: Path) -> None:
    study = write_study(tmp_path)

    helped = run_installed(installed, "--help", folder=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "run" in helped.stdout

    checked = run_installed(installed, "check", study.name, folder=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    page = run_installed(installed, "explain", "HDM304", folder=tmp_path)
    assert page.returncode == 0, page.stderr
    assert "HDM304" in page.stdout

    ran = run_installed(installed, "run", study.name, "--draws", "200", "--seed", "1", "--json", folder=tmp_path)
    assert ran.returncode in (0, 3), ran.stdout + ran.stderr
    (ate,) = json.loads(ran.stdout)["estimands"]
    assert ate["name"] == "ate"
    assert ate["q5"] < EFFECT < ate["q95"]
    assert abs(ate["mean"] - EFFECT) < 0.3


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("backend", ["pymc", "stan"])
def test_missing_extra_says_how_to_install_it(installed: Path, tmp_path: Path, backend: str) -> None:
    study = write_study(tmp_path)
    ran = run_installed(installed, "run", study.name, "--backend", backend, folder=tmp_path)
    said = ran.stdout + ran.stderr
    assert ran.returncode in (1, 2), said
    assert "HDM6" in said
    assert f"hdsl[{backend}]" in said
    assert "Traceback" not in said
