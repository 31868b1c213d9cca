"""`hdsl explain`: the design in words, the model with reasons, the priors with their scaling, the estimands."""

from __future__ import annotations

from collections.abc import Sequence

from hdsl.data.bound import Bound
from hdsl.design.ir import Propensity, StudyFields
from hdsl.design.roles import role_text
from hdsl.estimands.defaults import quantiles_only, with_defaults
from hdsl.estimands.quantile_effects import contrasts
from hdsl.model.ir import Model, ModelData
from hdsl.model.to_text import Equation, equations, priors
from hdsl.report.words import design_words


def explanation(design: StudyFields | None, bound: Bound | None, model: Model | None) -> str:
    """Return the explanation as plain text; parts that an error stands in the way of are left out."""
    if design is None:
        return ""
    parts = [_title(design), _section("Design", design_words(design, bound))]
    if bound is not None:
        parts.append(_section("Data", _data(bound)))
    if model is not None:
        parts.append(_section("Model", [*_lines(equations(model)), *_reasons(model), *_scores(design)]))
        parts.append(_section("Priors", _lines(_with_scaling(design, priors(model)))))
        parts.append(_section("Estimands", _estimands(design)))
    return "\n".join(part for part in parts if part)


def inference_words(model: Model, data: ModelData) -> str:
    """Return how a plain model will be sampled by default, and on a backend that is named, and why."""
    from hdsl.backend import Settings
    from hdsl.inference.choose import DEFAULT_BACKEND, choose
    from hdsl.inference.words import criteria

    choice = choose(model, data, DEFAULT_BACKEND, Settings())
    nuts, details = _by_nuts(model, data, None if choice.exact else choice.reason)
    if not choice.exact:
        return _section("Inference", [nuts, *details])
    gone = choice.grouped is None or choice.grouped.size > 0
    how = f"exact: {'effects are integrated out, what is left' if gone else 'all'} is drawn by importance sampling"
    proposals = "from t distributions around its modes, with the curvature there, then fitted to the draws"
    accepted = [*criteria(choice, Settings()), f"{nuts} otherwise"]
    title = "Inference where a backend or an engine is named, or exact draws are not accepted"
    found = _section("Inference", [how, proposals, *choice.reason.split("; "), *accepted])
    return found + "\n" + _section(title, [nuts, *details])


def _by_nuts(model: Model, data: ModelData, reason: str | None) -> tuple[str, list[str]]:
    """Return what NUTS runs on, and the details; `reason` is why there are no exact draws."""
    from hdsl.inference.integrated import Integrated, integrated
    from hdsl.inference.words import sampled_in_words
    from hdsl.passes import prepare

    marginal = integrated(model, data)
    if isinstance(marginal, Integrated):
        forms = sampled_in_words(marginal.model, marginal.prepared, marginal.values)
        details = ["they are then drawn given the rest", *marginal.in_words().split("; "), *forms]
        return "NUTS with effects integrated out", [*details, *_corrected(model)]
    forms = sampled_in_words(model, *prepare(model, data))
    details = [f"because {reason or marginal.reason}", *_cells(model, data), *forms]
    return "NUTS on the whole model", [*details, *_corrected(model)]


def _corrected(model: Model) -> list[str]:
    """Return what becomes of the draws of quantiles."""
    from hdsl.model.working import Working, working_of

    working = working_of(model)
    if not isinstance(working, Working):
        return []
    twice = ", those of a second fit whose scale is set for the pooling" if working.pooled else ""
    return [f"draws are corrected for the working likelihood{twice} (unless `intervals = working`)"]


def _cells(model: Model, data: ModelData) -> list[str]:
    """Return that rows are taken together, on every backend, where they are."""
    from hdsl.passes import precompute
    from hdsl.passes.cells import celled

    found = celled(*precompute(model, data))
    if found is None:
        return []
    return [f"{len(found.of_row):,} rows are taken together in {found.cells:,} cells: the density is the same"]


def _title(design: StudyFields) -> str:
    return f"{design.name}: {design.title}\n" if design.title else f"{design.name}\n"


def _section(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return "\n".join([title, *(f"  {line}" for line in lines), ""])


def _data(bound: Bound) -> list[str]:
    audit = bound.audit
    used = f"{audit.rows_used} of {audit.rows_read} rows used from {audit.source}"
    gaps = [f"{name} is missing in {count} rows" for name, count in audit.dropped.items()]
    return [used, *gaps, *_events(bound)]


def _events(bound: Bound) -> list[str]:
    found: list[str] = []
    for declared in (variable for level in bound.study.levels for variable in level.variables):
        variable = bound.variables.get(declared.name)
        if variable is not None and variable.event is not None:
            seen, total = int((variable.event == 1).sum()), len(variable.event)
            column = declared.kind.censored_by
            found.append(f"{declared.name}: {seen} of {total} end in the event, the rest are censored by {column}")
    return found


def _reasons(model: Model) -> list[str]:
    """Return why each effect and slope is in the model."""
    wanted = ("effect(", "slope(", "interaction(")
    stated = [v for v in model.variables if v.role.startswith(wanted) and v.reason]
    return [f"{variable.role}: {variable.reason}" for variable in stated]


def _scores(design: StudyFields) -> list[str]:
    """Return what propensity scores depend on and are used for."""
    uses = {"strata": "its strata have intercepts and effects of their own", "covariate": "its log odds are a term"}
    found: list[str] = []
    for item in design.analysis:
        if isinstance(item, Propensity):
            assigned = (a for a in design.assignments if a.treatment == item.treatment)
            terms = item.terms or tuple(term for a in assigned for term in a.mechanism.given)
            of = ", ".join(role_text(term) for term in terms) or "nothing else"
            across = f", with an intercept for each {item.across}" if item.across else ""
            use = uses.get(item.use, "rows are weighted by the inverse probability of their arm")
            found.append(f"propensity({item.treatment}): bernoulli given {of}{across}, fitted by itself; {use}")
    return found


def _lines(found: Sequence[Equation]) -> list[str]:
    lines: list[str] = []
    for equation in found:
        lines.append(equation.text)
        if equation.reason:
            lines.append(f"    because {equation.reason}")
    return lines


def _with_scaling(design: StudyFields, found: Sequence[Equation]) -> list[Equation]:
    given = {role_text(prior.target) for prior in design.priors}
    all_given = bool(design.equations)
    return [
        Equation(e.text + ("   (yours)" if all_given or _is_given(e.text, given) else "   (default)"), "")
        for e in found
    ]


def _is_given(text: str, given: set[str]) -> bool:
    role = text.split(" ~ ", 1)[0]
    plain = role.removeprefix("(").split(" + ", 1)[0]
    return bool({role, plain, role.split("[", 1)[0]} & given)


def _estimands(design: StudyFields) -> list[str]:
    declared = "" if design.estimands else "   (default)"
    found = [
        f"{e.name}{f'[{", ".join(e.index)}]' if e.index else ''} = {role_text(e.value)}{declared}"
        for e in with_defaults(design)
    ]
    if quantiles_only(design):
        found += [f"{e.name} = {role_text(e.value)}, by quantile   (default)" for e in contrasts(design)]
    return found
