"""The text of a program: its frame, calls on one or several lines, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from textwrap import wrap

from hdsl.backend import Settings
from hdsl.model.python_text import folded, notes_paragraph, plain
from hdsl_pymc.helpers import HELPERS

WIDTH = 100

_HEAD = '''"""PyMC program of the study {title}.
{notes}
Run it with:  python {file}.py data.npz
where data.npz holds the arrays that `model` reads; `hdsl compile --data-out data.npz` writes it.
"""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

DOUBLE = {{"cast_policy": "numpy+floatX"}}  # else PyTensor takes numbers such as 3.0 in single precision
'''

_MODEL = """COORDS = {{{coords}}}
{helpers}

def model(data):
    coords = {{name: data.get(f"coords:{{name}}", elements) for name, elements in COORDS.items()}}
    with pytensor.config.change_flags(**DOUBLE), pm.Model(coords=coords) as study:
{body}
    return study


if __name__ == "__main__":
    import sys

    import arviz as az

    with model(dict(np.load(sys.argv[1]))):
        trace = pm.sample(draws=1000, tune=1000, chains=4, target_accept={target_accept}, random_seed=1)
    print(az.summary(trace))
"""


def call(function: str, *args: str) -> str:
    """Return a call on one line, or with one argument a line where it would be too long."""
    line = f"{function}({', '.join(args)})"
    if len(line) + 8 <= WIDTH:
        return line
    return "\n    ".join([f"{function}(", *(f"{arg}," for arg in args)]) + "\n)"


def commented(code: str, comment: str, *, beside: bool = False) -> list[str]:
    """Return the lines of a statement, its comment above or, where there is room, `beside` it."""
    if beside and comment and len(code) + len(comment) + 12 <= WIDTH and "\n" not in code:
        return [f"{code}  # {comment}"]
    return [*wrap(comment, WIDTH - 8, initial_indent="# ", subsequent_indent="# "), *code.split("\n")]


def quoted(text: str) -> str:
    """Return text as a Python literal, in double quotes where that needs no escapes."""
    literal = repr(text)
    return f'"{literal[1:-1]}"' if literal[0] == "'" and '"' not in literal and "\\" not in literal else literal


def helpers_used(code: Iterable[str]) -> list[str]:
    """Return the helpers that the lines of code rest on."""
    wanted = set(re.findall(r"\w+", "\n".join(code)))
    for name, text in reversed(list(HELPERS.items())):
        if name in wanted:
            wanted |= set(re.findall(r"\w+", text))
    return [text for name, text in HELPERS.items() if name in wanted]


def source_text(
    title: str, coords: Iterable[str], helpers: Iterable[str], body: Iterable[str], notes: Iterable[str] = ()
) -> str:
    """Return the whole program, `notes` at its head."""
    shown = "".join(f"\n    {line}" for line in coords)
    tail = _MODEL.format(
        coords=f"{shown}\n" if shown else "",
        helpers="".join(f"\n\n{helper.strip()}\n" for helper in helpers),
        target_accept=Settings.target_accept,
        body="\n".join(f"        {line}" if line else "" for line in body),
    )
    file = re.sub(r"\W+", "_", title) or "study"
    noted = notes_paragraph(notes, WIDTH)
    head = _HEAD.format(title=plain(title), notes=noted, file=file)
    if "pymc_bart." in tail:
        head = head.replace("import pymc as pm\n", "import pymc as pm\nimport pymc_bart\n")
    return folded(head + tail, WIDTH)
