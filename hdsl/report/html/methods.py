"""The methods paragraph of a result, for a paper, and how to run it again."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING

from hdsl.design.levels import row_level
from hdsl.model.ir import Model
from hdsl.report.html.references import by_quadrature, is_exact
from hdsl.report.words import assigned_how

if TYPE_CHECKING:
    from hdsl.report.result import Result


def methods(result: Result) -> str:
    """Return a paragraph that says what was done, with short citations."""
    return " ".join([*_data(result), *_assignments(result), *_model(result), *_inference(result), *_answer(result)])


def _data(result: Result) -> Iterator[str]:
    study, bound = result.study, result.bound
    row = row_level(study).name
    above = [f"{level.size:,} {_plural(name)}" for name, level in bound.levels.items() if name != row]
    within = f" (in {_listed(above)})" if above else ""
    outcome = result.model.response.outcome
    yield f"We analysed {outcome} of {bound.levels[row].size:,} {_plural(row)}{within}."


def _plural(name: str) -> str:
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _assignments(result: Result) -> Iterator[str]:
    for assignment in result.study.assignments:
        within = f" within each {_listed(list(assignment.within))}" if assignment.within else ""
        condition = assignment.condition
        where = f", where {condition.treatment} was {condition.arm}" if condition is not None else ""
        how = assigned_how(assignment.mechanism)
        yield f"Treatment {assignment.treatment} was assigned to each {assignment.to}{within}{where}, {how}."


def _model(result: Result) -> Iterator[str]:
    if result.study.equations:
        yield "The model was given by explicit equations (shown above)."
    else:
        yield (
            "A hierarchical Bayesian model was derived from this design, so that what went into the design is in the "
            "analysis (Feller & Gelman, 2015)."
        )
    law = result.model.response.law.distribution.split("_")[0]
    yield f"The outcome has a {law} law."
    varied = _varied(result.model)
    if varied:
        yield f"The {_listed(varied)}, partially pooled."
    if not result.study.priors and not result.study.equations:
        yield "Priors were hdsl's defaults: proper, weakly informative and scaled to the data."
    elif result.study.priors:
        yield "Priors were stated in advance where given, else hdsl's weakly informative defaults."


def _varied(model: Model) -> list[str]:
    by_level: dict[str, list[str]] = {}
    for each in model.reported:
        if each.role.startswith("sd(") and each.role.endswith(")") and ", " in each.role:
            effect, level = each.role[3:-1].rsplit(", ", 1)
            by_level.setdefault(level, []).append(effect)
    return [
        f"{_listed(effects)} {'varies' if len(effects) == 1 else 'vary'} across {level}"
        for level, effects in by_level.items()
        if level != "arms"
    ]


def _drawn(result: Result) -> str:
    """Return the beginning of the sentence that says what was drawn by importance sampling."""
    if by_quadrature(result):
        how = "by adaptive Gauss-Hermite quadrature (Pinheiro & Bates, 1995)"
        return f"Varying effects were integrated out {how}, and the remaining parameters"
    if "integrated out" in result.inference:
        return "Effects with normal laws were integrated out exactly, and the remaining parameters"
    return "The parameters were"


def _inference(result: Result) -> Iterator[str]:
    s, d = result.settings, result.diagnosis
    if is_exact(result):
        yield (
            f"{_drawn(result)} drawn by importance "
            f"sampling (Vehtari et al., 2024; Pareto k-hat {d.khat:.2f}), arranged as {s.chains} chains of {s.draws:,} "
            "draws."
        )
        if not isnan(d.interpolation_error):
            yield (
                "Their log density was interpolated from exact values; at draws that had not been interpolated the two "
                f"differed with a standard deviation of {d.interpolation_error:.4f}."
            )
    else:
        yield (
            f"The posterior was sampled with {result.inference}: {s.chains} chains of {s.draws:,} draws after "
            f"{s.warmup:,} of warm-up (Hoffman & Gelman, 2014)."
        )
    rhat = "" if isnan(d.max_rhat) else f"R-hat was at most {d.max_rhat:.3f} and "
    least = min(d.min_ess_bulk, d.min_ess_tail)
    ess = "" if isnan(least) else f"the least effective number of draws {least:,.0f} (Vehtari et al., 2021)"
    divergent = "" if is_exact(result) else f"; {d.divergences} draws diverged"
    if rhat or ess:
        said = f"{rhat}{ess}{divergent}."
        yield f"{said[0].upper()}{said[1:]}"


def _answer(result: Result) -> Iterator[str]:
    yield (
        "Effects are contrasts of potential outcomes (Rubin, 1974), computed from the posterior draws. We report "
        "posterior means, standard deviations and central 90% intervals."
    )
    if result.intervals:
        yield result.intervals
    waived = [found for found in result.warnings if found.waived is not None]
    if waived:
        yield f"Waived warnings: {'; '.join(f'{found.code} ({found.waived})' for found in waived)}."


def command(result: Result) -> str:
    """Return the command that makes the run again."""
    s = result.settings
    file = "study.hdm" if result.source is None else result.source.name.replace("\\", "/").rsplit("/", 1)[-1]
    parts = [f"hdsl run {file}", f"--backend {result.backend}", f"--seed {s.seed}", f"--chains {s.chains}"]
    parts += [f"--draws {s.draws}", f"--warmup {s.warmup}", f"--target-accept {s.target_accept:g}"]
    parts += [f"--engine {s.engine}"] if s.engine else []
    parts += [f"--inference {s.inference}"] if s.inference != "auto" else []
    return " ".join(parts)
