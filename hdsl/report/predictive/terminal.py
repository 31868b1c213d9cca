"""The checks of a fit on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hdsl.report.numbers import format_number
from hdsl.report.predictive.compared import FINE, FINE_PRIOR
from hdsl.report.predictive.values import Check, FitCheck, LeftOut

TITLES = {
    "same groups": "Against data from the fitted model, in the same groups",
    "new groups": "Against data from the fitted model, in new groups",
    "prior": "Against data from the priors",
}
EXPECTED = "as expected"
WIDTH_OF_NORMAL = 3.29


def show_fit(found: FitCheck, console: Console | None = None) -> None:
    """Print the checks by what the data are held against, then what leaving units out gave, then the verdict."""
    screen = console or Console()
    for replicates, title in TITLES.items():
        checks = [check for check in found.checks if check.replicates == replicates]
        if checks:
            screen.print(title, style="bold", highlight=False, markup=False)
            screen.print(_table(checks))
    for each in found.left_out:
        screen.print(left_out_words(each), highlight=False, markup=False, soft_wrap=True)
    for reason in found.unchecked:
        screen.print(f"Not checked: {reason}.", highlight=False, markup=False, soft_wrap=True)
    screen.print(found.verdict, style="green" if found.passed else "yellow", highlight=False, soft_wrap=True)


def cells(check: Check) -> tuple[str, str, str, str, str]:
    """Return name, data's value, 90% of replicates, share above, and the verdict."""
    width = abs(check.high - check.low) / WIDTH_OF_NORMAL
    low, high = format_number(check.low, width), format_number(check.high, width)
    words = "FAILS" if not check.passed else EXPECTED if check.words in (FINE, FINE_PRIOR) else check.words
    return check.name, format_number(check.observed, width), f"{low} to {high}", f"{check.p:.3f}", words


def left_out_words(found: LeftOut) -> str:
    """Return what leaving units out gave in a sentence."""
    many = len(found.unforeseen)
    said = "every one is foreseen by the others" if many == 0 else f"{many} not foreseen by the others"
    return f"Each {found.what} left out: elpd {found.elpd:.1f} (se {found.se:.1f}); of {found.units:,}, {said}."


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("data", "90% of replicates", "share above"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for check in checks:
        name, *numbers, words = cells(check)
        table.add_row(_plain(name), *numbers, _plain(words), style=None if check.passed else "yellow")
    return table


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
