"""How far each engine's densities are from the reference's: `python -m tests.conformance.figures [ENGINE ...]`.

Figures are kept in `figures.json`, and the table in `README.md` is made from them. CmdStan needs an installation
in CMDSTAN.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hdsl.backend import Backend, refusal
from hdsl.model.ir import Model, ModelData
from hdsl.reference import density, free
from tests.conformance.cases import CASES
from tests.conformance.gaps import GAPS

HERE = Path(__file__).parent
FIGURES = HERE / "figures.json"
ENGINES = ("numpyro", "pymc", "stan (stanli)", "stan (CmdStan)")
HEAD = """# How far the backends are from the reference

For each case of the conformance suite (designs, every distribution as a law of data and of a parameter, every function,
weights, censoring): differences of the log density between random points, and its gradient, against the NumPy
reference. A difference d from a value x counts as d / (1 + |x|). The reference's gradient is by finite differences, so
that much of the difference in gradients is its own. With CmdStan the gradient is by the unconstrained coordinates.

Left out are the cases that a backend refuses (HDM604) and those listed with a reason in `gaps.py`. Written by
`python -m tests.conformance.figures`; the tests hold the limits 1e-8 for densities and 1e-5 for gradients.

| engine | versions | cases | refused | known gaps | largest difference of densities | of gradients | seconds |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


class Found(NamedTuple):
    """The largest differences of one case."""

    value: float
    gradient: float


def _relative(found: Any, expected: Any) -> float:
    there = np.asarray(expected, dtype=np.float64)
    return float(np.max(np.abs(np.asarray(found) - there) / (1 + np.abs(there)), initial=0.0))


def _points(model: Model, data: ModelData) -> list[dict[str, NDArray[np.float64]]]:
    rng = np.random.default_rng(63)
    return [free.random_point(model, data, rng, spread=0.8) for _ in range(2)]


def _by_protocol(backend: Backend, model: Model, data: ModelData) -> Found:
    function = backend.log_density(backend.lower(model, data), model, data)
    points = _points(model, data)
    expected = np.diff([density.log_density(model, data, point) for point in points])
    answers = [function(point) for point in points]
    entries, gradient = free.free_entries(model), 0.0
    for point, (_, slopes) in zip(points, answers, strict=True):
        for name, slope in free.gradient(model, data, point).items():
            gradient = max(gradient, _relative(np.where(entries[name], slopes[name], 0.0), slope))
    return Found(_relative(np.diff([value for value, _ in answers]), expected), gradient)


def _by_cmdstan(model: Model, data: ModelData) -> Found:
    from tests.conformance import test_stan_engines as engines

    points = _points(model, data)
    plain, whole = (engines.cmdstan(model, data, jacobian=jacobian) for jacobian in (False, True))
    expected = np.diff([density.log_density(model, data, point) for point in points])
    value = _relative(np.diff([plain(point)[0] for point in points]), expected)
    if engines.has_simplex(model):
        return Found(value, 0.0)
    slopes = [_relative(whole(point)[1], engines.reference_gradient(model, data, point)) for point in points]
    return Found(value, max(slopes))


def measure(engine: str) -> dict[str, Any]:
    """Return the largest differences of an engine over all cases, and in which cases they are."""
    name = engine.partition(" ")[0]
    backend: Backend = importlib.import_module(f"hdsl_{name}").backend
    began = time.monotonic()
    found: dict[str, Found] = {}
    refused, gaps = 0, 0
    for case, build in CASES.items():
        model, data = build()
        if refusal(model, backend) is not None:
            refused += 1
        elif any((name, aspect, case) in GAPS for aspect in ("value", "gradient")):
            gaps += 1
        else:
            found[case] = _by_cmdstan(model, data) if "CmdStan" in engine else _by_protocol(backend, model, data)
    worst = {part: max(found, key=lambda case: getattr(found[case], part)) for part in Found._fields}
    return {
        "versions": _versions(engine),
        "cases": len(found),
        "refused": refused,
        "gaps": gaps,
        "worst": {part: [case, float(f"{getattr(found[case], part):.2g}")] for part, case in worst.items()},
        "seconds": round(time.monotonic() - began),
    }


def _versions(engine: str) -> str:
    if "CmdStan" in engine:
        from hdsl_stan import engine_cmdstan

        return f"CmdStan {engine_cmdstan.version()}"
    packages = {"numpyro": ("numpyro", "jax"), "pymc": ("pymc", "pytensor")}.get(engine, ("stanli",))
    return ", ".join(f"{package} {version(package)}" for package in packages)


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as Markdown."""
    return HEAD + "".join(_row(engine, figures[engine]) for engine in ENGINES if engine in figures)


def _row(engine: str, entry: Mapping[str, Any]) -> str:
    differences = [f"{size:.1g} ({case})" for case, size in (entry["worst"]["value"], entry["worst"]["gradient"])]
    counts = [str(entry[each]) for each in ("cases", "refused", "gaps")]
    return "| " + " | ".join((engine, entry["versions"], *counts, *differences, str(entry["seconds"]))) + " |\n"


def kept() -> dict[str, Any]:
    """Return the figures measured so far."""
    return json.loads(FIGURES.read_text()) if FIGURES.exists() else {}


def main(arguments: Sequence[str]) -> None:
    """Measure the engines named (all for none; CmdStan where CMDSTAN is set) and write the table."""
    wanted = [engine for engine in ENGINES if not arguments or any(each in engine.lower() for each in arguments)]
    for engine in wanted if arguments != ["--table"] else []:
        if "CmdStan" not in engine or os.environ.get("CMDSTAN"):
            figures = kept() | {engine: measure(engine)}
            FIGURES.write_text(
                json.dumps({name: figures[name] for name in ENGINES if name in figures}, indent=1) + "\n"
            )
    (HERE / "README.md").write_text(table(kept()))


if __name__ == "__main__":
    main(sys.argv[1:])
