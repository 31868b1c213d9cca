"""The page on speed and its picture, from what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.shapes import SHAPES

DOCS = Path(__file__).parents[1] / "docs"
WANTED = 1_000
Result = Mapping[str, Any]

START = """# Speed

A design tells which effects are linear and Gaussian and which rows are alike. hdsl uses that: rows become a few sums
for each group, group effects are integrated out, and what is left is drawn by importance sampling
([decision 0010](decisions/0010-exact-where-recognised.md)). The answer is the posterior of the whole model, with
draws of every group's effects; each run checks by the weights' Pareto k-hat that it is, and falls back to NUTS where
it is not.

The table compares the time of such a posterior with lme4's point estimate, and with programs that draw from the same
posterior by NUTS: bambi, the Stan program that brms writes, and one by hand. Data, model and priors are the same. A
time is from rows in memory to draws of all parameters and group effects, median of {repeats} runs; hdsl's and Stan's
without compiling, bambi's with, as it compiles at every fit. ESS is the least of all parameters and group effects.

{machine}
"""

END = """
"times lme4's" is hdsl's time over lme4's (below 1: hdsl is faster). "ESS ratio" is hdsl's effective draws a CPU second
over those of the best of the other programs at the same size; larger sizes were not run with them.

Measured by `python -m benchmarks run`; `python -m benchmarks page` writes this page. lme4 and brms are those of the
operating system's R, bambi is installed from `benchmarks/peers/requirements.txt` into an environment of its own.
"""

HEAD = (
    "design",
    "rows",
    "groups",
    "hdsl: seconds (ESS)",
    "lme4: seconds",
    "times lme4's",
    "best NUTS: ESS / CPU s",
    "hdsl: ESS / CPU s",
    "ESS ratio",
)


def write(results: Path) -> None:
    """Write docs/performance.md and docs/pictures/performance.png."""
    found = json.loads(results.read_text())
    machine, rows = found["machine"], found["results"]
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in ("processor", "cores"))
    peers = sorted({each["version"] for each in rows if "version" in each})
    told = f"{machine['processor']}, {machine['cores']} cores. {versions}; {', '.join(peers)}."
    repeats = len(next(each for each in rows if each["program"] == "hdsl").get("runs", [])) or "several"
    parts = [
        START.format(machine=told, repeats=repeats),
        table(rows),
        "\n![Seconds by number of rows](pictures/performance.png)\n",
        END,
    ]
    (DOCS / "performance.md").write_text("\n".join(parts))
    draw(rows, DOCS / "pictures" / "performance.png")


def table(rows: Sequence[Result]) -> str:
    """Return the comparison as a table in Markdown."""
    lines = [_cells(HEAD), _cells(["---"] * len(HEAD))]
    for shape in SHAPES:
        for size, groups in shape.sizes:
            here = {each["program"]: each for each in rows if (each["shape"], each["rows"]) == (shape.name, size)}
            if "hdsl" in here:
                lines.append(_line(shape.what, size, groups, here))
    return "\n".join(lines)


def _line(what: str, size: int, groups: int, here: Mapping[str, Result]) -> str:
    own, lme4 = here["hdsl"], here.get("lme4", {"failed": "not run"})
    start = (what, f"{size:,}", f"{groups:,}")
    if "failed" in own:
        return _cells((*start, own["failed"], *[""] * 5))
    speed = own["ess"] / own["cpu"]
    others = {name: each["ess"] / each["cpu"] for name, each in here.items() if name != "hdsl" and "ess" in each}
    best = max(others, key=lambda name: others[name], default=None)
    compared = ("", "") if best is None else (f"{others[best]:,.1f} ({best})", f"**{speed / others[best]:,.0f}**")
    point = ("failed", "") if "failed" in lme4 else (f"{lme4['wall']:.2f}", f"**{own['wall'] / lme4['wall']:.2f}**")
    exact = f"{own['wall']:.2f} ({own['ess']:,.0f})"
    return _cells((*start, exact, *point, compared[0], f"{speed:,.0f}", compared[1]))


def _cells(parts: Sequence[str]) -> str:
    return f"| {' | '.join(parts)} |"


def draw(rows: Sequence[Result], path: Path) -> None:
    """Draw seconds against rows, a panel for each design that was measured at several sizes."""
    from matplotlib import pyplot as plt

    shapes = [s for s in SHAPES if len({each["rows"] for each in rows if each["shape"] == s.name}) > 1]
    figure, panels = plt.subplots(
        1, len(shapes), figsize=(3.1 * len(shapes), 3.0), sharey=True, squeeze=False, layout="constrained"
    )
    marks = {"hdsl": ("#0b4f8a", "o"), "lme4": ("#b3560d", "s")}
    for shape, ax in zip(shapes, panels[0], strict=True):
        for program in dict.fromkeys(each["program"] for each in rows if each["shape"] == shape.name):
            here = [e for e in rows if (e["shape"], e["program"]) == (shape.name, program) and "failed" not in e]
            colour, mark = marks.get(program, ("#777777", "."))
            wanted = [each["wall"] * (WANTED / each["ess"] if program not in marks else 1) for each in here]
            label = program if program in marks else f"{program}, for 1,000 effective draws"
            ax.plot(
                [each["rows"] for each in here],
                wanted,
                mark + "-",
                color=colour,
                label=label,
                lw=1.2,
                ms=4 if program in marks else 7,
            )
        ax.set(xscale="log", yscale="log", title=shape.name, xlabel="rows")
        ax.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("seconds")
    handles = {label: handle for ax in panels[0] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    known = {name: handle for name, handle in handles.items() if name in marks}
    other = next((handle for name, handle in handles.items() if name not in marks), None)
    if other is not None:
        known["NUTS of other programs, for 1,000 effective draws"] = other
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
