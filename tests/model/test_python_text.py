"""Python programs that are printed: folded to a width, the same syntax tree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hdsl.driver import emit
from hdsl.model.python_text import folded

_SOURCES = [
    'x = jnp.stack([aaaa + 3.5161816807997495, bbbb - (0.0 - cccc), dddd["a, (b"]], axis=-1)  # said of it\n',
    "y = (aaaa * bbbb - 0.3333333333333333) / (1.0 + (before - 1.0) * (cccc * dddd - 0.3333333333333333))\n",
    "def f(a):\n    return g(a[:, None, None] * bbbbbbbbbb[:, 0], {name: b for name, b in a.items()}, (aaaaaaaa,))\n",
    "z = f(aaaaaaaaaaaaa=-1.5e-10, bbbbbbbbbbbbbb=\"it's, (\", cccccccccc='\\'(', dddddddddd=[], eeeeeeeee=(1, 2))\n",
]


@pytest.mark.parametrize("width", [20, 40, 60])
@pytest.mark.parametrize("source", _SOURCES)
def test_folding_keeps_the_program(source: str, width: int) -> None:
    made = folded(source, width)
    assert made != source
    assert ast.dump(ast.parse(made)) == ast.dump(ast.parse(source))
    assert folded(made, width) == made
    assert folded(source, 200) == source


def test_lines_are_no_longer_than_the_width() -> None:
    for source in _SOURCES:
        assert max(map(len, folded(source, 60).splitlines())) <= 60


def test_strings_of_several_lines_stay() -> None:
    source = '"""A note (with brackets, commas) that is longer than the width.\n\nAnd (another, line) too."""\n'
    assert folded(source, 30) == source
    long = f'f(a, b)  # {"word " * 20}\n'
    assert folded(long, 40).splitlines()[-1] == "f(a, b)"


@pytest.mark.parametrize("stage", ["numpyro", "pymc"])
@pytest.mark.parametrize("study", ["tutoring", "depression"])
def test_programs_of_examples_have_no_long_lines(study: str, stage: str) -> None:
    root = Path(__file__).resolve().parents[2]
    text, _ = emit(root / "examples" / study / f"{study}.hdm", stage)
    assert max(map(len, text.splitlines())) <= 100
