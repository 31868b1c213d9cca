"""A result as one HTML page: self-contained, without scripts, every text escaped by the template."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hdsl.design import expr as study_expr
from hdsl.design import ir
from hdsl.design.roles import role_text
from hdsl.design.snippets import StudyError
from hdsl.estimands import with_defaults
from hdsl.model.to_math import wrapped_math
from hdsl.model.to_text import Equation, equations, priors
from hdsl.report.html.audit import Table, audit_words, balance_tables, levels_table
from hdsl.report.html.methods import command, methods
from hdsl.report.html.references import works
from hdsl.report.html.verdicts import verdicts
from hdsl.report.notebook import HEADINGS, numbers
from hdsl.report.numbers import format_number
from hdsl.report.pictures import picture
from hdsl.report.pictures.curve import curve_names
from hdsl.report.pictures.design import described
from hdsl.report.pictures.shrinkage import levels_of
from hdsl.report.pictures.style import inline_svg
from hdsl.report.predictive.terminal import cells, left_out_words
from hdsl.report.summary import Summary
from hdsl.report.words import design_words

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

    from hdsl.report.result import Result

MOST_ROWS, MOST_CURVES = 60, 4
GRADES = {"ok": "sound", "warn": "warning", "fail": "failed"}
VERDICTS = {
    "ok": "The sampling looks sound.",
    "warn": "The sampling has warnings: read them below before you use the numbers.",
    "fail": "The sampling failed: do not use these numbers.",
}


@dataclass(frozen=True)
class Picture:
    """A picture on the page, with its caption; `svg` is markup."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Line:
    """An equation on the page and why it is there; `math` is markup."""

    math: Markup
    reason: str


def report_html(result: Result) -> str:
    """Return the report of a result as one HTML page, which needs no network and no other file."""
    found: str = _template().render(page=page_of(result))
    return found


@cache
def _template() -> Template:
    from jinja2 import Environment

    environment: Any = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    folder = files("hdsl.report.html")
    environment.globals["style"] = _safe((folder / "report.css").read_text(encoding="utf-8"))
    made: Template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    return made


def page_of(result: Result) -> dict[str, Any]:
    """Return all that the template shows."""
    study = result.study
    pictures = _Pictures(result)
    return {
        "title": study.title or study.name,
        "name": study.name,
        "made": datetime.now(UTC).strftime("%d %B %Y"),
        "heading": f"{result.heading.split('\n')[-1]}; {result.inference}",
        "verdict": VERDICTS[result.diagnosis.verdict],
        "grade": result.diagnosis.verdict,
        "sampling": result.verdict,
        "answers": list(_answers(result)),
        "design": pictures.of("design", "The design", described(study, result.bound)),
        "design_words": design_words(study, result.bound),
        "audit": audit_words(result),
        "tables": [levels_table(result), *balance_tables(result)],
        "hash": result.bound.audit.sha256,
        "equations": _lines(equations(result.model)),
        "priors": _lines(priors(result.model)),
        "prior": pictures.of("prior", "Priors and posteriors", "Densities, each scaled to its own height."),
        "estimands": _table("Estimands", result.estimand_summaries),
        "forest": pictures.of("forest", "Estimands", _said(result.estimand_summaries)),
        "groups": list(_groups(result, pictures)),
        "curves": list(_curves(result, pictures)),
        "parameters": _table("Parameters", [p for p in result.parameter_summaries if not p.index]),
        "variance": pictures.of("variance", "Variance components", _said(_spreads(result))),
        "ppc": pictures.of("ppc", "Predictive check", "The outcome as observed, and as the model predicts it."),
        **_fit_check(result, pictures),
        "verdicts": [(v.name, v.value, v.grade, GRADES[v.grade], v.words) for v in verdicts(result.diagnosis)],
        "rank": pictures.of("rank", "Ranks by chain", "Where chains agree, lines stay near zero."),
        "warnings": [found for found in result.warnings if found.waived is None],
        "waived": [found for found in result.warnings if found.waived is not None],
        "text": _text(result),
        "command": command(result),
        "versions": _versions(result),
        "methods": methods(result),
        "references": [work.text for work in works(result)],
        "bibtex": "\n\n".join(work.bibtex for work in works(result)),
    }


def _fit_check(result: Result, pictures: _Pictures) -> dict[str, Any]:
    found = result.check_fit()
    rows = tuple((*cells(check)[:-1], check.words) for check in found.checks)
    headings = ("statistic", "data", "90% of replicates", "share above", "verdict")
    return {
        "fit_verdict": found.verdict,
        "fit_grade": "ok" if found.passed else "warn",
        "fit_table": Table("The data against data drawn from the fitted model and from the priors", headings, rows),
        "fit_words": [*map(left_out_words, found.left_out), *(f"Not checked: {each}." for each in found.unchecked)],
        "fit_findings": found.findings,
        "fit": pictures.of("fit", "Checks that the design suggests", found.verdict) if rows else None,
    }


class _Pictures:
    """Draws the pictures of a page; one that a result does not have is left out."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.number = 0

    def of(self, kind: str, caption: str, description: str, **options: Any) -> Picture | None:
        try:
            figure = picture(self.result, kind, **options)
        except StudyError:
            return None
        self.number += 1
        return Picture(_safe(inline_svg(figure, caption, description, f"p{self.number}")), caption)


def _safe(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)  # markup of our own making: style sheet, pictures, equations


def _lines(found: Sequence[Equation]) -> list[Line]:
    return [Line(_safe(wrapped_math(equation.text)), equation.reason) for equation in found]


def _table(caption: str, rows: Sequence[Summary]) -> Table:
    shown = rows[:MOST_ROWS]
    body = [(_called(row), *numbers(row)) for row in shown]
    more = f" ({len(shown)} of {len(rows)}; `hdsl table` writes all)" if len(shown) < len(rows) else ""
    return Table(f"{caption}{more}", ("", *HEADINGS), tuple(body))


def _called(row: Summary) -> str:
    return f"{row.name}[{', '.join(row.index.values())}]" if row.index else row.name


def _said(rows: Sequence[Summary]) -> str:
    """Return intervals in words: what a picture of them shows."""
    numbered = [(_called(row), *(_number(row, value) for value in (row.q50, row.q5, row.q95))) for row in rows]
    return "; ".join(f"{name} {middle}, from {low} to {high}" for name, middle, low, high in numbered[:MOST_ROWS]) + "."


def _number(row: Summary, value: float) -> str:
    return format_number(value, row.sd)


def _answers(result: Result) -> Iterator[dict[str, str]]:
    """Yield each estimand without index in words."""
    asked = {estimand.name: estimand for estimand in with_defaults(result.study)}
    for row in result.estimand_summaries:
        if row.index or row.name not in asked:
            continue
        chance = row.positive if row.q50 >= 0 else 1 - row.positive
        side = "above" if row.q50 >= 0 else "below"
        sure = "more than 0.999" if chance > 0.999 else f"{chance:.3f}"
        yield {
            "name": row.name,
            "meaning": role_text(asked[row.name].value),
            "value": _number(row, row.q50),
            "interval": f"{_number(row, row.q5)} to {_number(row, row.q95)}",
            "chance": f"the probability of being {side} zero is {sure}",
        }


def _groups(result: Result, pictures: _Pictures) -> Iterator[Picture]:
    for level in levels_of(result):
        caption = f"Effects by {level}: no pooling, partial pooling, complete pooling"
        words = "Partial pooling draws each unit's own estimate towards the common one, the more the fewer its rows."
        found = pictures.of("shrinkage", caption, words, level=level)
        if found is not None:
            yield found


def _curves(result: Result, pictures: _Pictures) -> Iterator[Picture]:
    for x in curves_wanted(result):
        caption = f"Along {x}"
        found = pictures.of("curve", caption, f"Medians with 90% intervals along {x}, averaged over the rows.", x=x)
        if found is not None:
            yield found


def curves_wanted(result: Result) -> list[str]:
    """Return what an effect or the outcome is shown along: moderators, waves and doses, and reported curves."""
    names = curve_names(result)
    wanted = [
        ref.name
        for amendment in result.study.analysis
        if isinstance(amendment, ir.VaryWith)
        for ref in study_expr.walk(amendment.term)
        if isinstance(ref, study_expr.Ref)
    ]
    bound = result.bound
    wanted += [name for name in names if name in bound.levels or name in bound.treatments]
    wanted = [name for name in wanted if name in names]
    wanted += [row.name for row in result.parameter_summaries if row.curve]
    return list(dict.fromkeys(wanted))[:MOST_CURVES]


def _spreads(result: Result) -> list[Summary]:
    return [row for row in result.parameter_summaries if row.name.startswith(("sd(", "residual")) and not row.index]


def _text(result: Result) -> str:
    if result.source is not None:
        return result.source.text
    to_text: Callable[[], str] | None = getattr(result.study, "to_text", None)
    return "" if to_text is None else to_text()


def _versions(result: Result) -> list[tuple[str, str]]:
    noted = result.posterior.attrs
    wanted = {"hdsl": "hdsl", "Python": "python", "packages": "packages", "sampler": "inference", "seed": "seed"}
    return [(name, str(noted[key])) for name, key in wanted.items() if key in noted]
