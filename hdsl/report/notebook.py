"""Results as notebooks show them: small HTML fragments without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from hdsl.report.frames import rows_of
from hdsl.report.numbers import format_number, significant
from hdsl.report.summary import Summary

if TYPE_CHECKING:
    from hdsl.report.result import Result
    from hdsl.report.versus import Comparison

MOST_ROWS = 48
HEADINGS = ("mean", "sd", "5%", "50%", "95%", "P(> 0)")


def result_html(result: Result) -> str:
    """Return the heading, estimands, parameters without index, and the verdict."""
    title, _, rest = result.heading.partition("\n")
    plain = [summary for summary in result.parameter_summaries if not summary.index]
    parts = [
        f"<div class='hdsl-result'><p><strong>{escape(title)}</strong><br>{escape(rest)}</p>",
        *([f"<p><strong>{escape(result.unusable)}</strong></p>"] if result.unusable else []),
        _summaries("Estimands", result.estimand_summaries),
        _summaries("Parameters", plain),
        *([f"<p>{escape(result.intervals)}</p>"] if result.intervals else []),
        f"<p>{escape(result.inference)}. {escape(result.verdict)}</p>",
        _findings(result),
        "</div>",
    ]
    return "".join(parts)


def comparison_html(comparison: Comparison) -> str:
    """Return the tables of a comparison."""
    parts = [_frame("Estimands", comparison.estimands)]
    if comparison.fit is not None:
        parts.append(_frame("Expected log predictive density (PSIS-LOO)", comparison.fit))
    else:
        parts.append(f"<p>No comparison of fit: {escape(comparison.fit_reason)}.</p>")
    if comparison.group_fit is not None:
        parts.append(_frame(f"With whole units of {comparison.by} left out", comparison.group_fit))
    return f"<div class='hdsl-comparison'>{''.join(parts)}</div>"


def _findings(result: Result) -> str:
    items = [f"<li>{escape(f'{found.code}: {found.message}')}</li>" for found in result.warnings]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _summaries(title: str, rows: Sequence[Summary]) -> str:
    if not rows:
        return ""
    shown = rows[:MOST_ROWS]
    body = [[_called(row), *numbers(row)] for row in shown]
    if len(shown) < len(rows):
        body.append([f"... {len(rows) - len(shown)} more"])
    return table_html(title, ("", *HEADINGS), body)


def numbers(row: Summary) -> list[str]:
    """Return the numbers of a summary with the digits that they warrant."""
    found = [format_number(value, row.sd) for value in (row.mean, row.sd, row.q5, row.q50, row.q95)]
    return [*found, f"{row.positive:.3f}"]


def _called(row: Summary) -> str:
    return f"{row.name}[{', '.join(row.index.values())}]" if row.index else row.name


def _frame(title: str, frame: Any) -> str:
    columns = rows_of(frame)
    lines = zip(*columns.values(), strict=True)
    return table_html(title, tuple(columns), [[_cell(value) for value in line] for line in lines])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return significant(value) if isinstance(value, float) else str(value)


def table_html(title: str, headings: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table; all text is escaped."""
    head = "".join(f"<th scope='col'>{escape(each)}</th>" for each in headings)
    lines = ("".join(_body_cell(place, cell) for place, cell in enumerate(line)) for line in body)
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _body_cell(place: int, cell: str) -> str:
    if place == 0:
        return f"<th scope='row' style='text-align:left'>{escape(cell)}</th>"
    return f"<td style='text-align:right'>{escape(cell)}</td>"
