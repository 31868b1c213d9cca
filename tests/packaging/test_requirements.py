"""The pinned files say what pyproject.toml allows, with hashes, and nothing of where they were made."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SETS = {"run": [], "all": ["pymc", "stan", "lsp"], "dev": ["pymc", "stan", "lsp", "dev"]}


def text_of(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def pins(name: str) -> dict[str, set[str]]:
    """Versions pinned per package; a package may have one per platform."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text_of(name), flags=re.M):
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found


def declared(extras: list[str]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("name", SETS)
def test_every_declared_requirement_is_pinned_within_its_bounds(name: str) -> None:
    pinned = pins(name)
    for wanted in declared(SETS[name]):
        versions = pinned.get(canonicalize_name(wanted.name), set())
        assert versions, f"{wanted} is not pinned: run scripts/lock.sh"
        assert all(wanted.specifier.contains(version) for version in versions), wanted


@pytest.mark.parametrize("name", SETS)
def test_every_pin_has_a_hash_and_no_address(name: str) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", text_of(name), flags=re.M)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text_of(name)
    assert "--index" not in text_of(name)
    assert "--find-links" not in text_of(name)


def test_larger_sets_agree_with_smaller_ones() -> None:
    run, everything, dev = pins("run"), pins("all"), pins("dev")
    assert run.items() <= everything.items()
    assert everything.items() <= dev.items()


@pytest.mark.parametrize("name", SETS)
def test_torch_is_never_asked_for(name: str) -> None:
    assert "torch" not in pins(name)
