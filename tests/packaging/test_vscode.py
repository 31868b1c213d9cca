"""The folder for VS Code becomes an extension package with all that it needs, by tools from the npm registry."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "editors/vscode"
NPM = shutil.which("npm")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(NPM is None, reason="npm is not installed")
def test_the_extension_is_packaged(tmp_path: Path) -> None:
    folder = tmp_path / "vscode"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules", "*.vsix"))
    for command in (["install", "--no-audit", "--no-fund"], ["run", "package"]):
        done = subprocess.run([str(NPM), *command], cwd=folder, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.vsix")
    with zipfile.ZipFile(made) as package:
        names = set(package.namelist())
        manifest = json.loads(package.read("extension/package.json"))
    main = f"extension/{Path(manifest['main'])}"
    grammars = {f"extension/{Path(each['path'])}" for each in manifest["contributes"]["grammars"]}
    client = "extension/node_modules/vscode-languageclient/package.json"
    assert {main, client, *grammars} <= names
