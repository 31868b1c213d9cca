"""The law of the outcome given the linear predictor, and the family's own parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping

import numpy as np

from hdsl.data.bound import BoundVariable
from hdsl.model.derive.amendments import Amendments
from hdsl.model.derive.draft import Draft
from hdsl.model.derive.priors import Priors, normal
from hdsl.model.derive.scales import FAMILIES, Family, Scale
from hdsl.model.derive.spread import residual
from hdsl.model.derive.terms import NotDerivable, variable_slot
from hdsl.model.ir import Expr, Law, add, apply, const, div, dot, mul, sub

GAMMA = Law(distribution="gamma", args=(const(2), const(0.1)))
SHAPE = Law(distribution="gamma", args=(const(1), const(0.1)))
FLAT_SHARE = Law(distribution="beta", args=(const(1), const(1)))


def outcome_law(
    draft: Draft,
    outcome: BoundVariable,
    family: Family,
    predictor: Expr,
    amendments: Amendments,
    scale: Scale,
    priors: Priors,
) -> Law:
    """Return the law of the outcome, adding the family's parameters to the draft.

    `predictor` has the rows' dims. Parameters: `residual` (normal, student, lognormal, skewnormal), `df`,
    `skew`, `shape` (negbinomial, gamma, weibull), `precision` (beta, betabinomial), `zero` (zero-inflated and hurdle).
    """
    if outcome.known_sd is not None:
        return Law(distribution="normal", args=(predictor, _known_sd(draft, outcome)))
    if family.name in ("bernoulli", "binomial"):
        return _binary(draft, outcome, family, predictor)
    if family.name == "betabinomial":
        return _betabinomial(draft, outcome, predictor, priors)
    if FAMILIES[family.name].spread:
        sd = residual(draft, amendments, scale, priors)
        return _WITH_SPREAD[family.name](draft, predictor, sd, priors)
    return _OTHERS[family.name](draft, predictor, scale, priors)


def check_spread(amendments: Amendments, family: Family, outcome: BoundVariable) -> None:
    stated = (*amendments.variance_by, *amendments.variance_with, *amendments.variance_across)
    if stated and (outcome.known_sd is not None or not FAMILIES[family.name].spread):
        what = "its sampling sd is given" if outcome.known_sd is not None else f"the family is {family.name}"
        raise NotDerivable(
            "HDM628", f"`variance of {outcome.name}` cannot be stated: {what}.", "Leave the statement out."
        )


def _known_sd(draft: Draft, outcome: BoundVariable) -> Expr:
    assert outcome.known_sd is not None
    dims = (draft.level(outcome.level),)
    return draft.slot(f"sd {outcome.name}", dims, outcome.known_sd, source=f"known sd of {outcome.name}")


def _binary(draft: Draft, outcome: BoundVariable, family: Family, predictor: Expr) -> Law:
    inverse = {"probit": "inv_probit", "cloglog": "inv_cloglog"}.get(family.link)
    argument = predictor if inverse is None else apply(inverse, predictor)
    suffix = "_logit" if inverse is None else ""
    if outcome.trials is None:
        return Law(distribution=f"bernoulli{suffix}", args=(argument,))
    return Law(distribution=f"binomial{suffix}", args=(_trials(draft, outcome), argument))


def _trials(draft: Draft, outcome: BoundVariable) -> Expr:
    assert outcome.trials is not None
    dims = (draft.level(outcome.level),)
    return draft.slot(f"{outcome.name} trials", dims, outcome.trials, integer=True, source="number of trials")


def _betabinomial(draft: Draft, outcome: BoundVariable, predictor: Expr, priors: Priors) -> Law:
    """Successes whose probability differs from row to row by a beta law, which has the predicted mean."""
    law = priors.positive(SHAPE, "precision")
    precision = _parameter(draft, "precision", law, "how near each row's probability is to the predicted one")
    return Law(distribution="betabinomial_logit", args=(_trials(draft, outcome), predictor, precision))


def _parameter(draft: Draft, role: str, law: Law, reason: str) -> Expr:
    found = draft.random(role, law, reason=reason)
    draft.report(role, found)
    return found


def _student(draft: Draft, predictor: Expr, sd: Expr, priors: Priors) -> Law:
    df = _parameter(draft, "df", priors.positive(GAMMA, "df"), "degrees of freedom: how heavy the tails are")
    return Law(distribution="student", args=(df, predictor, sd))


def _skewnormal(draft: Draft, predictor: Expr, sd: Expr, priors: Priors) -> Law:
    """Azzalini's skew normal in terms of its mean and standard deviation."""
    skew = _parameter(draft, "skew", priors.law(normal(0, 4), "skew"), "asymmetry of the residuals")
    delta = draft.define("skew delta", div(skew, apply("sqrt", add(const(1), apply("square", skew)))))
    shrunk = sub(const(1), mul(const(2 / math.pi), apply("square", delta)))
    omega = div(sd, apply("sqrt", shrunk))
    location = sub(predictor, mul(mul(omega, delta), const(math.sqrt(2 / math.pi))))
    return Law(distribution="skewnormal", args=(location, omega, skew))


_WITH_SPREAD: Mapping[str, Callable[[Draft, Expr, Expr, Priors], Law]] = {
    "normal": lambda draft, eta, sd, priors: Law(distribution="normal", args=(eta, sd)),
    "lognormal": lambda draft, eta, sd, priors: Law(distribution="lognormal", args=(eta, sd)),
    "student": _student,
    "skewnormal": _skewnormal,
}


def _shape(draft: Draft, priors: Priors) -> Expr:
    return _parameter(draft, "shape", priors.positive(SHAPE, "shape"), "shape of the outcome's distribution")


def _zero(draft: Draft, priors: Priors) -> Expr:
    return _parameter(draft, "zero", priors.positive(FLAT_SHARE, "zero"), "probability of a zero beside the counts")


def _counts(name: str, *, shape: bool, zero: bool) -> Callable[[Draft, Expr, Scale, Priors], Law]:
    def law(draft: Draft, predictor: Expr, scale: Scale, priors: Priors) -> Law:
        args: list[Expr] = [predictor]
        if shape:
            args.append(_shape(draft, priors))
        if zero:
            args.append(_zero(draft, priors))
        return Law(distribution=name, args=tuple(args))

    return law


def _hurdle_lognormal(draft: Draft, predictor: Expr, scale: Scale, priors: Priors) -> Law:
    from hdsl.model.derive.priors import halfnormal

    sd = _parameter(draft, "residual", priors.positive(halfnormal(2 * scale.sd), "residual"), "spread of the logs")
    return Law(distribution="hurdle_lognormal", args=(predictor, sd, _zero(draft, priors)))


def _hurdle_gamma(draft: Draft, predictor: Expr, scale: Scale, priors: Priors) -> Law:
    args = (apply("exp", predictor), _shape(draft, priors), _zero(draft, priors))
    return Law(distribution="hurdle_gamma", args=args)


def _beta(draft: Draft, predictor: Expr, scale: Scale, priors: Priors) -> Law:
    law = priors.positive(SHAPE, "precision")
    precision = _parameter(draft, "precision", law, "precision of the proportion")
    return Law(distribution="beta_mean", args=(apply("inv_logit", predictor), precision))


def _gamma(draft: Draft, predictor: Expr, scale: Scale, priors: Priors) -> Law:
    return Law(distribution="gamma_mean", args=(apply("exp", predictor), _shape(draft, priors)))


def _weibull(draft: Draft, predictor: Expr, scale: Scale, priors: Priors) -> Law:
    return Law(distribution="weibull", args=(_shape(draft, priors), apply("exp", predictor)))


_OTHERS: Mapping[str, Callable[[Draft, Expr, Scale, Priors], Law]] = {
    "poisson": _counts("poisson_log", shape=False, zero=False),
    "negbinomial": _counts("negbinomial_log", shape=True, zero=False),
    "zipoisson": _counts("zipoisson_log", shape=False, zero=True),
    "hurdle_poisson": _counts("hurdle_poisson_log", shape=False, zero=True),
    "hurdle_negbinomial": _counts("hurdle_negbinomial_log", shape=True, zero=True),
    "hurdle_lognormal": _hurdle_lognormal,
    "hurdle_gamma": _hurdle_gamma,
    "beta": _beta,
    "gamma": _gamma,
    "weibull": _weibull,
}


def ordinal_law(draft: Draft, outcome: BoundVariable, family: Family, predictor: Expr, priors: Priors) -> Law:
    """Return the cumulative law of an ordered outcome; its cutpoints take the place of the intercept."""
    dim = draft.index_set("cutpoints", [f"{a}|{b}" for a, b in itertools.pairwise(outcome.labels)], "terms")
    law = Law(distribution="ordered_normal", args=(const(0), const(5)))
    given = priors.law(normal(0, 5), "cutpoint")
    if given.distribution == "normal":
        law = Law(distribution="ordered_normal", args=given.args)
    cuts = draft.random("cutpoint", law, (dim,), "thresholds between the ordered categories")
    return Law(distribution=f"ordinal_{family.link}", args=(predictor, cuts))


def categorical_law(draft: Draft, outcome: BoundVariable, predictor: Expr, free: str) -> Law:
    """Return the law of an unordered category: the first is the reference, with logit 0."""
    every = draft.index_set("categories", outcome.labels, "categories")
    padded = np.eye(len(outcome.labels))[1:]
    place = draft.slot("category place", (free, every), padded, source="which logit each category has")
    return Law(distribution="categorical_logit", args=(dot(predictor, place, free),))


def observed_slot(draft: Draft, outcome: BoundVariable) -> str:
    """Return the name of the slot with the outcome's values."""
    whole = outcome.kind in ("binary", "count", "category", "ordered") or outcome.trials is not None
    if not whole:
        return variable_slot(draft, outcome).name  # pyright: ignore[reportAttributeAccessIssue]
    key = ("observed", outcome.name)
    if key not in draft.cache:
        dims = (draft.level(outcome.level),)
        values = np.asarray(outcome.values)
        draft.cache[key] = draft.slot(outcome.name, dims, values, variable=outcome.name, integer=True, source="outcome")
    return draft.cache[key].name


def weight_slot(draft: Draft) -> str | None:
    """Return the name of the slot of the rows' weights, None without a weight."""
    weights = [variable for variable in draft.bound.variables.values() if variable.role == "weight"]
    if draft.bound.frequency is not None:
        dims = (draft.level(draft.bound.row),)
        source = "rows of the data that a row stands for"
        return draft.slot("frequency", dims, draft.bound.frequency, source=source).name
    if not weights:
        return None
    if len(weights) > 1 or weights[0].level != draft.bound.row:
        raise NotDerivable("HDM633", f"There can be one weight, and it belongs to {draft.bound.row}.", "")
    return variable_slot(draft, weights[0]).name  # pyright: ignore[reportAttributeAccessIssue]


def event_slot(draft: Draft, outcome: BoundVariable) -> str | None:
    """Return the name of the slot that is 1 where a duration ended, None where nothing is censored."""
    if outcome.event is None:
        return None
    dims = (draft.level(outcome.level),)
    return draft.slot(f"{outcome.name} event", dims, outcome.event, integer=True, source="1 = the event was seen").name
