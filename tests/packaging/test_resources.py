"""Shipped files are found in a checkout and in an unpacked package alike."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from hdsl import resources

ROOT = Path(__file__).resolve().parents[2]


def test_checkout_reads_the_files_beside_the_package() -> None:
    assert resources.grammar_text() == (ROOT / "grammar/hdm.lark").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "grammar/mistakes").iterdir() if not path.name.startswith(".")]
    assert dict(resources.mistakes()) == {path.name: path.read_text(encoding="utf-8") for path in files}
    assert set(resources.code_pages()) == {path.stem for path in (ROOT / "docs/codes").glob("HDM*.md")}


def test_code_page_takes_either_case_and_only_codes() -> None:
    code, text = next(iter(resources.code_pages().items()))
    assert resources.code_page(code) == text
    assert resources.code_page(code.lower()) == text
    assert resources.code_page("HDM000") is None
    assert resources.code_page("../../README") is None
    assert resources.code_page("HDM/../x") is None


def test_package_alone_reads_the_files_inside_it(tmp_path: Path) -> None:
    package = tmp_path / "hdsl"
    (package / "_grammar/mistakes").mkdir(parents=True)
    (package / "_codes").mkdir()
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "hdsl/resources.py", package)
    (package / "_grammar/hdm.lark").write_text("start: β", encoding="utf-8")
    (package / "_grammar/mistakes/one.hdm").write_text("study", encoding="utf-8")
    (package / "_codes/HDM999.md").write_text("# HDM999", encoding="utf-8")
    (package / "_codes/README.md").write_text("not a code", encoding="utf-8")
    probe = "from hdsl import resources as r; print(ascii([r.grammar_text(), r.mistakes(), r.code_pages()]))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(["start: β", [("one.hdm", "study")], {"HDM999": "# HDM999"}])
