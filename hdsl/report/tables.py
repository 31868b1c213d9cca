"""Tables of a result for papers: Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hdsl.report.frames import NUMBERS
from hdsl.report.frames import table as columns_of
from hdsl.report.notebook import HEADINGS, numbers
from hdsl.report.scores import balance_rows, scores_in
from hdsl.report.summary import Summary

if TYPE_CHECKING:
    from hdsl.report.result import Result

PARTS = ("estimands", "parameters", "all", "balance")
SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def table_text(result: Result, part: str = "estimands", form: str = "markdown", *, indexed: bool = True) -> str:
    """Return a table as text.

    Parameters
    ----------
    part : {"estimands", "parameters", "all", "balance"}
        `balance`: standardised mean differences before and after the use of propensity scores.
    form : {"markdown", "latex", "csv"}
        CSV has the numbers in full, one column a level; the others have the digits that their uncertainty warrants.
    indexed : bool
        Whether quantities with one value for each unit of a level are in it.

    Examples
    --------
    >>> print(table_text(result, "estimands").splitlines()[0])
    |  | mean | sd | 5% | 50% | 95% | P(> 0) |
    """
    if part == "balance":
        return _balance(result, form)
    found = {"estimands": result.estimand_summaries, "parameters": result.parameter_summaries}
    found["all"] = (*result.estimand_summaries, *result.parameter_summaries)
    rows = [row for row in found[part] if indexed or not row.index]
    write: Mapping[str, Callable[[Sequence[Summary]], str]] = {"csv": _csv, "latex": _latex, "markdown": _markdown}
    return write[form](rows)


def _balance(result: Result, form: str) -> str:
    scores_in(result)
    heads = ("treatment", "covariate", "before", "after")
    exact = balance_rows(result)
    rounded = [(name, covariate, f"{before:.2f}", f"{after:.2f}") for name, covariate, before, after in exact]
    if form == "csv":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([heads, *exact])
        return stream.getvalue()
    if form == "markdown":
        lines = [f"| {' | '.join(heads)} |", "|:--|:--|--:|--:|"]
        lines += [f"| {' | '.join(_in_markdown(cell) for cell in row)} |" for row in rounded]
        return "\n".join(lines) + "\n"
    lines = [r"\begin{tabular}{llrr}", r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
    for *words, before, after in rounded:
        cells = [*(in_latex(word) for word in words), *(f"${number}$" for number in (before, after))]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _called(row: Summary) -> str:
    return f"{row.name}[{', '.join(row.index.values())}]" if row.index else row.name


def _csv(rows: Sequence[Summary]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = columns_of("name", rows)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue()


def _markdown(rows: Sequence[Summary]) -> str:
    lines = [f"|  | {' | '.join(HEADINGS)} |", f"|:--|{'--:|' * len(NUMBERS)}"]
    lines += [f"| {' | '.join([_in_markdown(_called(row)), *numbers(row)])} |" for row in rows]
    return "\n".join(lines) + "\n"


def _in_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]#~])", r"\\\1", text)


def _latex(rows: Sequence[Summary]) -> str:
    heads = [in_latex(heading) for heading in HEADINGS]
    lines = [rf"\begin{{tabular}}{{l{'r' * len(heads)}}}", r"\toprule", f" & {' & '.join(heads)} \\\\", r"\midrule"]
    for row in rows:
        cells = [f"${cell}$" if cell.startswith("-") and cell != "-" else cell for cell in numbers(row)]
        lines.append(f"{in_latex(_called(row))} & {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def in_latex(text: str) -> str:
    """Return text in which LaTeX sees no command."""
    return "".join(SPECIAL.get(character, character) for character in text)
