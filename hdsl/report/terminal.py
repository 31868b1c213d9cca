"""Results and progress on a terminal, plain where there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from hdsl.backend import Progress, Settings
from hdsl.report.numbers import format_number
from hdsl.report.result import Result
from hdsl.report.scores import scores_in, treatments_in
from hdsl.report.summary import Summary

if TYPE_CHECKING:
    from hdsl.report.compare import Agreement

FEW = 12
WIDTH = 28
ENDLESS = 10_000
_UNUSABLE = " (not to be used: the sampling failed)"
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@contextmanager
def progress_bars(settings: Settings, *, quiet: bool) -> Generator[Callable[[Progress], None] | None]:
    """Yield what a backend reports its progress to: a bar per chain on a terminal, None elsewhere.

    Until chains move, while a program is compiled and where draws need no chains, the time that went by is shown.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as bars

    screen = Console(stderr=True)
    elapsed = bars.TimeElapsedColumn()
    waiting = bars.Progress(bars.SpinnerColumn(), bars.TextColumn("working"), elapsed, console=screen, transient=True)
    chains = bars.Progress(
        bars.TextColumn("chain {task.fields[chain]}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[phase]}"),
        bars.TextColumn("{task.fields[divergences]} divergences"),
        bars.TextColumn("time left"),
        bars.TimeRemainingColumn(),
        console=screen,
        transient=True,
    )
    total = settings.warmup + settings.draws
    lock = Lock()

    def started() -> None:
        with lock:
            if chains.tasks:
                return
            waiting.stop()
            for chain in range(settings.chains):
                chains.add_task("", total=total, chain=chain + 1, phase="waits", divergences=0)
            chains.start()

    def report(progress: Progress) -> None:
        started()
        phase = "warm-up" if progress.warming_up else "sampling"
        task = chains.tasks[progress.chain].id
        chains.update(task, completed=progress.done, phase=phase, divergences=progress.divergences)

    waiting.add_task("", total=None)
    waiting.start()
    try:
        yield report
    finally:
        waiting.stop()
        chains.stop()


def show_result(result: Result, console: Console | None = None) -> None:
    """Print the design in two lines, the estimands, the parameters and the verdict on the sampling.

    Where the sampling failed, that stands before the numbers and in the title of each table.
    """
    screen = console or Console()
    screen.print(result.heading, highlight=False, markup=False, soft_wrap=True)
    screen.print()
    mark = _UNUSABLE if result.unusable else ""
    if mark:
        screen.print(result.unusable, highlight=False, markup=False, style=STYLES["fail"], soft_wrap=True)
        screen.print()
    many = {name: group for name, group in _groups(result.estimand_summaries) if len(group) > FEW}
    listed = [row for row in result.estimand_summaries if row.name not in many]
    if listed:
        _titled(screen, f"Estimands{mark}", _table(listed, chance=True))
    for name, group in many.items():
        _titled(screen, *_group(name, group, mark))
    plain = [p for p in result.parameter_summaries if not p.index]
    if plain:
        _titled(screen, f"Parameters{mark}", _table(plain))
    for role, group in _groups(result.parameter_summaries):
        _titled(screen, *_group(role, group, mark))
    for treatment in treatments_in(result):
        _titled(screen, f"Balance given the propensity of {treatment}", _balance(result, treatment))
    if result.intervals:
        screen.print(result.intervals, highlight=False, markup=False, soft_wrap=True)
    screen.print(f"{result.inference}.", highlight=False, markup=False, soft_wrap=True)
    screen.print(result.verdict, highlight=False, markup=False, style=STYLES[result.diagnosis.verdict], soft_wrap=True)


def _balance(result: Result, treatment: str) -> Table:
    """Return the standardised mean differences of a treatment's covariates, the largest first where there are many."""
    from rich.markup import escape

    scores = scores_in(result, treatment)
    rows = list(zip(scores.names, scores.before.tolist(), scores.after.tolist(), strict=True))
    if len(rows) > FEW:
        rows = sorted(rows, key=lambda row: -abs(row[2]))[:FEW]
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in ("before", "after"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, before, after in rows:
        table.add_row(escape(name), f"{before:.2f}", f"{after:.2f}")
    if len(rows) < len(scores.names):
        table.add_row(f"... {len(scores.names) - len(rows)} more (hdsl table RESULT balance)")
    return table


def _titled(screen: Console, title: str, table: Table) -> None:
    screen.print(title, style="bold", highlight=False, markup=False, soft_wrap=True)
    _print(screen, table)


def _print(screen: Console, table: Table) -> None:
    """Print a table: on a terminal long names go on in the next line, in a file lines are as long as they must be."""
    width = screen.width
    if not screen.is_terminal:
        screen.width = max(width, screen.measure(table, options=screen.options.update(width=ENDLESS)).maximum)
    screen.print(table)
    screen.width = width


def _table(rows: Sequence[Summary], *, chance: bool = False) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for name in ("mean", "sd", "5%", "50%", "95%", *(["P(> 0)"] if chance else [])):
        table.add_column(name, justify="right", no_wrap=True)
    shown = rows if len(rows) <= 4 * FEW else rows[: 4 * FEW]
    for row in shown:
        numbers = [format_number(value, row.sd) for value in (row.mean, row.sd, row.q5, row.q50, row.q95)]
        table.add_row(_name(row), *numbers, *([f"{row.positive:.3f}"] if chance else []))
    if len(shown) < len(rows):
        table.add_row(f"... {len(rows) - len(shown)} more (all with --json)")
    return table


def _name(row: Summary) -> str:
    from rich.markup import escape

    index = ", ".join(row.index.values())
    return escape(f"{row.name}[{index}]" if index else row.name)


def _groups(rows: Sequence[Summary]) -> Iterator[tuple[str, list[Summary]]]:
    found: dict[str, list[Summary]] = {}
    for row in rows:
        if row.index:
            found.setdefault(row.name, []).append(row)
    yield from found.items()


def _group(role: str, rows: Sequence[Summary], mark: str = "") -> tuple[str, Table]:
    """Return the title and small intervals of a group's effects on one scale; the extremes where there are many.

    A curve keeps its order, thinned to two dozen values. `mark` ends the title.
    """
    from rich.markup import escape

    if rows[0].curve:
        shown, title = rows[:: -(-len(rows) // (2 * FEW))], f"{role}, along {', '.join(rows[0].index)}"
    else:
        ordered = sorted(rows, key=lambda row: row.q50)
        shown = ordered if len(rows) <= FEW else [*ordered[: FEW // 2], *ordered[-FEW // 2 :]]
        title = f"{role}, {len(rows)} in all" + ("" if len(rows) <= FEW else f", the lowest and highest {FEW // 2}")
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    table.add_column("50%", justify="right", no_wrap=True)
    table.add_column("5% to 95%", no_wrap=True)
    low, high = min(row.q5 for row in rows), max(row.q95 for row in rows)
    for row in shown:
        table.add_row(escape(", ".join(row.index.values())), format_number(row.q50, row.sd), _interval(row, low, high))
    return f"{title}{mark}", table


def _interval(row: Summary, low: float, high: float) -> str:
    scale = (WIDTH - 1) / (high - low) if high > low else 0.0
    first, middle, last = (round((value - low) * scale) for value in (row.q5, row.q50, row.q95))
    cells = [" "] * WIDTH
    for place in range(first, last + 1):
        cells[place] = "─"
    cells[middle] = "●"
    return "".join(cells)


def show_comparison(results: Mapping[str, Result], found: Agreement, console: Console | None = None) -> None:
    """Print each backend's mean (sd) side by side, how far they are apart, and whether that is Monte Carlo error."""
    from hdsl.report.compare import WANTED_ESS

    screen = console or Console()
    _print(screen, _comparison(results, found))
    for name, result in results.items():
        screen.print(f"{name}: {result.inference}. {result.verdict}", highlight=False, markup=False)
    failed = [name for name, result in results.items() if result.unusable]
    for name in failed:
        screen.print(f"{name}: {results[name].unusable}", highlight=False, markup=False, style=STYLES["fail"])
    if found.agrees and not failed:
        count = len(found.differences)
        screen.print(f"The posteriors agree: {count} comparisons, none beyond {found.limit:.1f} standard errors.")
    for each in [each for each in found.differences if abs(each.z) > found.limit][:10]:
        first, second = (format_number(value, abs(value) or 1.0) for value in each.values)
        text = f"{each.quantity}, {each.statistic}: {each.backends[0]} {first}, {each.backends[1]} {second}"
        screen.print(f"{text} ({each.z:.1f} standard errors)", highlight=False, markup=False)
    for name, least in found.weakest.items():
        if least.ess < WANTED_ESS:
            text = f"{name} has {least.ess:.0f} effective draws of {least.quantity}, too few to compare: draw more."
            screen.print(text, highlight=False, markup=False)


def _comparison(results: Mapping[str, Result], found: Agreement) -> Table:
    """Return the table of quantities by backends; its last column is the largest of their differences."""
    from rich.markup import escape

    from hdsl.report.compare import side_by_side

    apart: dict[str, float] = {}
    for each in found.differences:
        apart.setdefault(each.quantity, abs(each.z))
    caption = "mean (sd); apart: the largest difference of means, sds, 5% or 95% quantiles, in standard errors"
    table = Table(box=None, pad_edge=False, caption=caption, caption_justify="left")
    table.add_column("", overflow="fold")
    for name in (*results, "apart"):
        table.add_column(name, justify="right", no_wrap=True)
    for quantity, numbers in side_by_side(results):
        cells = [f"{format_number(mean, sd)} ({format_number(sd, sd)})" for mean, sd in numbers]
        cells += [""] * (len(results) - len(cells))
        table.add_row(escape(quantity), *cells, f"{apart[quantity]:.1f}" if quantity in apart else "")
    return table
