"""The page on speed and its picture, from what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.against import FEWER, FEWER_DRAWS, NUTS_ROWS, best_of
from benchmarks.shapes import SHAPES, Shape

DOCS = Path(__file__).parents[1] / "docs"
NOTES = Path(__file__).parent / "notes.md"  # what the figures say of the goals, written by hand
STREAM = Path(__file__).parent / "stream.json"
WANTED = 1_000
Result = Mapping[str, Any]

START = """# Speed

A design tells which effects are linear and Gaussian and which rows are alike. hdsl uses that: rows become a few sums
for each group, group effects are integrated out, and what is left is drawn by importance sampling
([decision 0010](decisions/0010-exact-where-recognised.md)); group effects of binary outcomes are integrated out by
quadrature ([decision 0015](decisions/0015-quadrature-and-cells.md)). The answer is the posterior of the whole model,
with draws of every group's effects; each run checks by the weights' Pareto k-hat that it is, and falls back to NUTS
where it is not.

The first table compares the time of such a posterior with lme4's point estimate (REML; Laplace's approximation for
binary outcomes), and with programs that draw from the same posterior by NUTS: bambi with nutpie and with NumPyro, the
Stan program that brms writes, and programs by hand in Stan and in NumPyro, centred and non-centred. Data, model and
priors are the same. A time is from rows in memory to draws of all parameters and group effects, after a first fit in
the same process; the first fit of a process also loads libraries and compiles (last
column). Compiling is left out for Stan and for NumPyro by hand, counted for bambi, which compiles at every fit. ESS is
the least bulk effective sample size among all parameters and up to 500 of each grouping's effects.

{machine}
"""

AFTER_TABLE = """
"of lme4's" is hdsl's time at {few} draws in each of four chains over lme4's: below 1, the whole posterior takes less
time than the point estimate. "ESS ratio" is hdsl's effective draws a CPU second at 4 x 1,000 draws over those of the
best of the other programs at the same size. NUTS was run up to {most:,} rows. Beyond, with ~, its best figure at the
largest such size of the design is divided by how many times the rows are: as if ten times the rows, and groups, took
ten times as long for a gradient and no more gradients, which flatters NUTS.

![Seconds by number of rows](pictures/performance.png)
"""

CURVES = """
## What rows cost, and what groups cost

Left, ten thousand to a million rows in 1,000 sites: the statistics take longer, what comes after does not depend on
the rows. Right, pupils in 300 to 30,000 classes of 20, ten classes a school.

![Seconds of each stage by rows and by groups](pictures/performance_curves.png)

{table}
"""

END = """
## Measuring again

`python -m benchmarks run`, `python -m benchmarks curves` and `python -m benchmarks.stream measure` write their results
as JSON, and `python -m benchmarks page` writes this page from them. R, lme4 and brms are the Debian packages listed,
with their versions, in `benchmarks/peers/debian.txt` (`apt-get install $(cat benchmarks/peers/debian.txt)`); bambi and
the programs by hand in NumPyro run in an environment of their own, made from `benchmarks/peers/requirements.txt`;
CmdStan is found by the variable `CMDSTAN`.
How the three backends compare with programs by hand that run the same sampler, and NUTS on binary
outcomes of a million rows, is in `benchmarks/README.md`.
"""

HEAD = (
    "design",
    "rows",
    "groups",
    "hdsl, 4 x 1,000: s (ESS)",
    f"4 x {FEWER_DRAWS}: s (ESS)",
    "lme4: s",
    "of lme4's",
    "best NUTS: ESS / CPU s",
    "hdsl: ESS / CPU s",
    "ESS ratio",
    "first fit: s",
    "peak MiB: hdsl, lme4",
)


def write(results: Path) -> None:
    """Write docs/performance.md and its pictures."""
    found = json.loads(results.read_text())
    machine, rows = found["machine"], found["results"]
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in ("processor", "cores"))
    peers = sorted({each["version"] for each in rows if "version" in each})
    told = f"Machine: {machine['processor']}, {machine['cores']} cores. {versions}; {', '.join(peers)}."
    parts = [START.format(machine=told), NOTES.read_text() if NOTES.exists() else "", table(rows)]
    parts += [AFTER_TABLE.format(few=FEWER_DRAWS, most=NUTS_ROWS)]
    draw(rows, DOCS / "pictures" / "performance.png")
    if "curves" in found:
        parts.append(CURVES.format(table=curve_table(found["curves"])))
        draw_curves(found["curves"], DOCS / "pictures" / "performance_curves.png")
    if STREAM.exists():
        parts.append(stream_section(json.loads(STREAM.read_text())))
    (DOCS / "performance.md").write_text("\n".join(part.strip("\n") + "\n" for part in [*parts, END] if part))


def by_size(rows: Sequence[Result], shape: Shape) -> dict[tuple[int, int], dict[str, Result]]:
    """Return the results of a design by size and program."""
    found: dict[tuple[int, int], dict[str, Result]] = {}
    for size in shape.sizes:
        here = {each["program"]: each for each in rows if (each["shape"], each["rows"]) == (shape.name, size[0])}
        if "hdsl" in here:
            found[size] = here
    return found


def table(rows: Sequence[Result]) -> str:
    """Return the comparison as a table in Markdown."""
    lines = [_cells(HEAD), _cells(["---"] * len(HEAD))]
    for shape in SHAPES:
        known: tuple[int, float] | None = None
        for (size, groups), here in by_size(rows, shape).items():
            best = best_of(here)
            known = known if best is None else (size, best[1])
            lines.append(_line(shape.what, size, groups, here, best, known))
    return "\n".join(lines)


def _line(
    what: str,
    size: int,
    groups: int,
    here: Mapping[str, Result],
    best: tuple[str, float] | None,
    known: tuple[int, float] | None,
) -> str:
    own, fewer = here["hdsl"], here.get(FEWER, {"failed": "not run"})
    lme4 = here.get("lme4", {"failed": "not run"})
    start = (what, f"{size:,}", f"{groups:,}")
    if "failed" in own:
        return _cells((*start, own["failed"], *[""] * (len(HEAD) - 4)))
    speed = own["ess"] / own["cpu"]
    if best is not None:
        compared = (f"{best[1]:,.1f} ({best[0]})", f"**{speed / best[1]:,.0f}**")
    elif known is not None:
        guess = known[1] * known[0] / size
        compared = (f"~{guess:,.2f}", f"~{speed / guess:,.0f}")
    else:
        compared = ("", "")
    point = "failed" if "failed" in lme4 else f"{lme4['wall']:.2f}"
    ratio = "" if "failed" in lme4 or "failed" in fewer else f"**{fewer['wall'] / lme4['wall']:.2f}**"
    return _cells(
        (
            *start,
            _timed(own),
            _timed(fewer),
            point,
            ratio,
            compared[0],
            f"{speed:,.0f}",
            compared[1],
            f"{own['first']:.1f}",
            ", ".join(f"{each['memory']:,.0f}" if "memory" in each else "-" for each in (own, lme4)),
        )
    )


def _timed(each: Result) -> str:
    return each["failed"] if "failed" in each else f"{each['wall']:.2f} ({each['ess']:,.0f})"


STAGES = ("statistics", "hyperparameters", "effects")


def curve_table(curves: Sequence[Result]) -> str:
    """Return the seconds of each stage as a table in Markdown."""
    lines = [_cells(("rows", "groups", *(f"{stage}: s" for stage in STAGES))), _cells(["---"] * 5)]
    for each in curves:
        lines.append(_cells((f"{each['rows']:,}", f"{each['groups']:,}", *(f"{each[stage]:.3f}" for stage in STAGES))))
    return "\n".join(lines)


def draw_curves(curves: Sequence[Result], path: Path) -> None:
    """Draw the seconds of each stage as rows grow, and as groups grow."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(7.5, 3.0), sharey=True, layout="constrained")
    marks = {"statistics": ("#777777", "s"), "hyperparameters": ("#b3560d", "^"), "effects": ("#0b4f8a", "o")}
    names = {"statistics": "statistics", "hyperparameters": "hyperparameters", "effects": "draws of all group effects"}
    for ax, grows in zip(panels, ("rows", "groups"), strict=True):
        here = [each for each in curves if each["grows"] == grows]
        for stage, (colour, mark) in marks.items():
            ax.plot(
                [e[grows] for e in here], [e[stage] for e in here], mark + "-", color=colour, label=names[stage], ms=4
            )
        ax.set(xscale="log", yscale="log", xlabel="rows, in 1,000 sites" if grows == "rows" else "classes of 20 pupils")
        ax.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def stream_section(stages: Sequence[Result]) -> str:
    """Return what a hundred million rows of Parquet cost, as a section in Markdown."""
    names = {
        "polars": "Polars, group-by with plain sums",
        "duckdb": "DuckDB, the same",
        "sums": "hdsl: compensated sums, gaps looked for",
        "derived": "the same, with checks, the model and its statistics",
        "posterior": "all of `hdsl run`: 4,000 draws of 40,000 group effects, summaries",
    }
    lines = [_cells(("", "clock: s", "processors: s", "peak MiB")), _cells(["---"] * 4)]
    for each in stages:
        row = (names[each["stage"]], f"{each['seconds']:.2f}", f"{each['cpu']:.2f}", f"{each['peak_mib']:,}")
        lines.append(_cells(row))
    text = """## A hundred million rows

Parquet of 1.9 GB, 20,000 groups, two arms, a covariate and an outcome, in random order, read in one pass. Each line is
a process of its own; medians of five runs, the last line of one.

"""
    return text + "\n".join(lines)


def _cells(parts: Sequence[str]) -> str:
    return f"| {' | '.join(parts)} |"


def draw(rows: Sequence[Result], path: Path) -> None:
    """Draw seconds against rows, a panel for each design that was measured at several sizes."""
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    shapes = [s for s in SHAPES if len({each["rows"] for each in rows if each["shape"] == s.name}) > 1]
    figure, panels = plt.subplots(
        1, len(shapes), figsize=(3.1 * len(shapes), 3.0), sharey=True, squeeze=False, layout="constrained"
    )
    marks = {FEWER: ("#0b4f8a", "o"), "lme4": ("#b3560d", "s")}
    rows = [each for each in rows if each["program"] != "hdsl"]
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
        ax.xaxis.set_minor_formatter(NullFormatter())
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
