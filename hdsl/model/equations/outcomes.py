"""The law of an outcome: its arguments at the rows, its link, weights, exposure and censoring."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from hdsl.data.bound import BoundVariable
from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.model.derive.likelihood import event_slot, observed_slot, weight_slot
from hdsl.model.derive.terms import NotDerivable
from hdsl.model.distributions import DISTRIBUTIONS
from hdsl.model.equations.arguments import Argument, inside, read_arguments
from hdsl.model.equations.laws import OUTCOME_LAWS, Form, arguments, forms_of
from hdsl.model.equations.names import Scope, Unknown, companion
from hdsl.model.equations.parameters import zeros
from hdsl.model.equations.program import Target
from hdsl.model.equations.translate import at, translate
from hdsl.model.equations.words import REASON
from hdsl.model.functions import FUNCTIONS, dims_of
from hdsl.model.ir import Apply, Expr, Law, Observation, Var, add, apply, const, stack

CENSORABLE = ("normal", "logistic", "lognormal", "weibull", "exponential", "gamma", "gamma_mean")
LINKED = {"bernoulli": ("bernoulli_logit", "inv_logit"), "binomial": ("binomial_logit", "inv_logit")}
MAIN = ("mean", "location", "logit", "logmean", "meanlog", "probability", "quantile", "scale", "rate", "a")


def add_outcome(scope: Scope, target: Target, call: study.Call) -> None:
    """Add the observation of an outcome."""
    outcome = scope.draft.bound.variables[target.name]
    if outcome.level != scope.draft.bound.row:
        raise NotDerivable(
            "HDM631",
            f"The outcome `{outcome.name}` belongs to {outcome.level}, but the rows are {scope.draft.bound.row}.",
            f"Declare {outcome.level} as the last unit, with a table of its own.",
        )
    form, args = arguments(call, forms_of(call, OUTCOME_LAWS, f"the outcome `{outcome.name}`"))
    _check_kind(outcome, form, call)
    law = _special(scope, outcome, form, args) or _plain(scope, outcome, form, args)
    _check_companions(outcome, law, scope)
    scope.draft.observations.append(
        Observation(
            name=scope.draft.name(f"observed {outcome.name}"),
            outcome=outcome.name,
            slot=observed_slot(scope.draft, outcome),
            dims=(scope.draft.level(outcome.level),),
            law=law,
            weight=weight_slot(scope.draft),
            event=_event(scope, outcome, law),
            reason=REASON,
        )
    )


def _check_kind(outcome: BoundVariable, form: Form, call: study.Call) -> None:
    """Refuse a law whose support does not hold the values of the outcome (HDM649)."""
    kind = DISTRIBUTIONS[form.distribution].support
    y, coded = outcome.values, outcome.kind in ("category", "ordered")
    whole = bool(np.all(y == np.round(y)))
    fits = {
        "real": not coded,
        "positive": not coded and bool(np.all(y >= 0 if form.distribution.startswith("hurdle") else y > 0)),
        "unit": not coded and bool(np.all((y > 0) & (y < 1))),
        "count": not coded and whole and bool(np.all(y >= 0)),
        "binary": not coded and bool(np.all((y == 0) | (y == 1))),
        "category": coded and (outcome.kind == "ordered" or form.distribution == "categorical_logit"),
    }
    if not fits[kind]:
        values = f"{y.min():g} to {y.max():g}" if not coded else ", ".join(outcome.labels[:5])
        raise NotDerivable(
            "HDM649",
            f"The law `{call.function}` does not fit the outcome `{outcome.name}`, which is {outcome.kind} ({values}).",
            f"Laws of outcomes: {', '.join(OUTCOME_LAWS)}.",
        )


def _check_companions(outcome: BoundVariable, law: Law, scope: Scope) -> None:
    if outcome.known_sd is not None and not _uses_known_sd(scope, outcome, law):
        raise NotDerivable(
            "HDM649",
            f"The sampling sd of `{outcome.name}` is known, and its law does not use it.",
            "Write it as the sd of the law, as in `y[site] ~ normal(theta[site], se)`.",
        )
    if outcome.trials is not None and not law.distribution.startswith(("binomial", "betabinomial")):
        raise NotDerivable(
            "HDM649", f"`{outcome.name}` counts successes in trials.", f"Write `{outcome.name} ~ binomial(...)`."
        )


def _uses_known_sd(scope: Scope, outcome: BoundVariable, law: Law) -> bool:
    parts = [part for arg in law.args for part in _walk(arg)]
    found = scope.draft.cache.get(("companion", outcome.name, "known_sd"))
    sds = outcome.known_sd
    return found in parts or (sds is not None and bool(np.all(sds == sds[0])) and const(float(sds[0])) in parts)


def _walk(expr: Expr) -> list[Expr]:
    return [expr, *(each for arg in expr.args for each in _walk(arg))] if isinstance(expr, Apply) else [expr]


def _special(scope: Scope, outcome: BoundVariable, form: Form, args: tuple[study.Expr, ...]) -> Law | None:
    if form.distribution.startswith("ordinal"):
        location = translate(scope, args[0], outcome.level)
        cuts = _cutpoints(scope, outcome, args[1])
        eta = _predictor(scope, outcome, at(scope, location, outcome.level, f"`{outcome.name}`"))
        return Law(distribution=form.distribution, args=(eta, cuts))
    if form.distribution == "categorical_logit":
        return _categorical(scope, outcome, args[0])
    return None


def _cutpoints(scope: Scope, outcome: BoundVariable, expr: study.Expr) -> Var:
    help_ = f"Write `{outcome.name} ~ ordinal(eta, cut)` and `cut ~ ordered_normal(0, 5)`."
    name = expr.name if isinstance(expr, study.Ref) else ""
    law = scope.shapes.get(name)
    if name in scope.targets and law is None and name not in scope.made and name not in scope.draft.bound.variables:
        raise Unknown(name)
    if law is None or law.distribution != "ordered_normal":
        raise NotDerivable("HDM647", f"`{role_text(expr)}` is no name of cutpoints.", help_)
    if name in scope.sized:
        raise NotDerivable("HDM655", f"`{name}` are the cutpoints of two outcomes.", help_)
    labels = [f"{a}|{b}" for a, b in itertools.pairwise(outcome.labels)]
    dim = scope.draft.index_set(f"{name} cutpoints", labels, "terms")
    made = scope.draft.random(name, law, (dim,), REASON)
    scope.sized[name] = {name: made}
    return made


def _categorical(scope: Scope, outcome: BoundVariable, expr: study.Expr) -> Law:
    if not isinstance(expr, study.Sequence) or len(expr.items) != len(outcome.labels):
        count = len(outcome.labels)
        raise NotDerivable(
            "HDM647",
            f"`categorical` takes {count} logits, one for each of {', '.join(outcome.labels)}.",
            f"Write `categorical((0, {', '.join(f'eta_{k}' for k in range(2, count + 1))}))`.",
        )
    values = [translate(scope, item, outcome.level) for item in expr.items]
    parts = [at(scope, value, outcome.level, f"`{outcome.name}`") for value in values]
    row = zeros(scope, outcome.level)
    dim = scope.draft.index_set(f"{outcome.name} categories", outcome.labels, "categories")
    logits = scope.draft.define(f"{outcome.name} logits", stack([add(part, row) for part in parts], dim))
    return Law(distribution="categorical_logit", args=(logits,))


def _plain(scope: Scope, outcome: BoundVariable, form: Form, args: tuple[study.Expr, ...]) -> Law:
    what = f"`{outcome.name}`"
    found = read_arguments(scope, form, args, outcome.level, what)
    exprs = {a.parameter.name: at(scope, a.value, outcome.level, what) for a in found}
    if form.distribution.startswith("binomial"):
        exprs = {"trials": _trials(scope, outcome, found), **exprs}
    if form.log is not None:
        value = exprs.pop(form.log)
        exprs = {"logmean": inside(scope, value, "exp") or apply("log", value), **exprs}
    distribution, link = LINKED.get(form.distribution, (form.distribution, ""))
    logit = inside(scope, exprs["probability"], link) if link else None
    if logit is not None:
        exprs = {**{name: e for name, e in exprs.items() if name != "probability"}, "logit": logit}
    else:
        distribution = form.distribution
    exprs = _with_exposure(scope, exprs)
    main = next(name for name in MAIN if name in exprs)
    exprs[main] = _predictor(scope, outcome, exprs[main])
    return Law(distribution=distribution, args=tuple(exprs.values()))


def _trials(scope: Scope, outcome: BoundVariable, found: Sequence[Argument]) -> Expr:
    """Return the slot of trials: those that were written, else those of the outcome's kind."""
    stated = [argument.value for argument in found if argument.parameter.name == "trials"]
    if not stated:
        if outcome.trials is None:
            raise NotDerivable(
                "HDM647",
                f"The number of trials of `{outcome.name}` is not known.",
                f"Declare `outcome {outcome.name} : count of N`, or write `binomial(trials, probability)`.",
            )
        return companion(scope.draft, outcome, "trials").expr
    value = stated[0]
    if value.values is None or np.any(value.values != np.round(value.values)):
        raise NotDerivable(
            "HDM648",
            f"`{outcome.name}`: the trials must be whole numbers of the data.",
            "Name a count covariate, or declare the outcome as `count of N`.",
        )
    rows = value.values if value.level is None else value.values[scope.draft.bound.levels[value.level].rows]
    if np.any(outcome.values > rows):
        raise NotDerivable(
            "HDM366", f"`{outcome.name}` is larger than its number of trials.", "Check which column holds the trials."
        )
    whole = np.broadcast_to(rows, outcome.values.shape)
    if outcome.trials is not None and np.array_equal(whole, outcome.trials):
        return companion(scope.draft, outcome, "trials").expr
    dims = (scope.draft.level(outcome.level),)
    return scope.draft.slot(f"{outcome.name} trials", dims, whole, integer=True, source="number of trials")


def _with_exposure(scope: Scope, exprs: dict[str, Expr]) -> dict[str, Expr]:
    """Add the log of a declared exposure that no equation names to the log mean."""
    exposures = [v for v in scope.draft.bound.variables.values() if v.role == "exposure"]
    unnamed = [v for v in exposures if v.name not in scope.named]
    if not unnamed:
        return exprs
    name = unnamed[0].name
    if "logmean" not in exprs or len(unnamed) > 1 or not np.all(unnamed[0].values > 0):
        raise NotDerivable(
            "HDM632",
            f"The exposure `{name}` needs a law with a log mean, one exposure, and positive values.",
            f"Name `{name}` in an equation, or leave its declaration out.",
        )
    draft, row = scope.draft, scope.draft.bound.row
    values = np.log(draft.bound.at_rows(unnamed[0].level, unnamed[0].values).astype(np.float64))
    offset = draft.slot("log exposure", (draft.level(row),), values, source="log of the exposure")
    return {**exprs, "logmean": add(exprs["logmean"], offset)}


def _predictor(scope: Scope, outcome: BoundVariable, expr: Expr) -> Expr:
    """Return the main argument with its linear predictor as a definition of the rows' dims.

    Of `exp(eta)` and the like it is eta that becomes the definition.
    """
    dims = (scope.draft.level(outcome.level),)
    if isinstance(expr, Var) and any(s.name == expr.name and s.dims == dims for s in scope.draft.statements):
        return expr
    if isinstance(expr, Apply) and len(expr.args) == 1 and FUNCTIONS[expr.function].arity == 1 and not expr.static:
        return apply(expr.function, _predictor(scope, outcome, expr.args[0]))
    full = expr if dims_of(expr, scope.draft.scope) == dims else add(expr, zeros(scope, outcome.level))
    return scope.draft.define(f"{outcome.name} predictor", full, reason=f"the linear predictor of {outcome.name}")


def _event(scope: Scope, outcome: BoundVariable, law: Law) -> str | None:
    if outcome.event is not None and law.distribution not in CENSORABLE:
        raise NotDerivable(
            "HDM649",
            f"`{outcome.name}` is censored, which the law `{law.distribution}` is not ready for.",
            f"Laws of durations: {', '.join(CENSORABLE)}.",
        )
    return event_slot(scope.draft, outcome)
