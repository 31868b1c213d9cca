"""Outcome families: their links, and the scale of the linear predictor from which priors are scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hdsl.data.bound import BoundVariable, Reals
from hdsl.design import expr as study
from hdsl.model.derive.terms import NotDerivable


@dataclass(frozen=True)
class FamilyName:
    """A family: the kinds of outcome it fits, its links (the first is the default), and its extra parameters."""

    kinds: tuple[str, ...]
    links: tuple[str, ...]
    spread: bool = False


FAMILIES: Mapping[str, FamilyName] = {
    "normal": FamilyName(("real", "positive", "proportion", "count", "binary"), ("identity",), spread=True),
    "student": FamilyName(("real", "positive", "proportion", "count"), ("identity",), spread=True),
    "skewnormal": FamilyName(("real", "positive", "proportion"), ("identity",), spread=True),
    "lognormal": FamilyName(("positive", "duration"), ("identity",), spread=True),
    "bernoulli": FamilyName(("binary",), ("logit", "probit", "cloglog")),
    "binomial": FamilyName(("count of", "binary"), ("logit", "probit", "cloglog")),
    "betabinomial": FamilyName(("count of",), ("logit",)),
    "poisson": FamilyName(("count",), ("log",)),
    "negbinomial": FamilyName(("count",), ("log",)),
    "zipoisson": FamilyName(("count",), ("log",)),
    "hurdle_poisson": FamilyName(("count",), ("log",)),
    "hurdle_negbinomial": FamilyName(("count",), ("log",)),
    "hurdle_lognormal": FamilyName(("positive", "real"), ("identity",)),
    "hurdle_gamma": FamilyName(("positive", "real"), ("log",)),
    "beta": FamilyName(("proportion",), ("logit",)),
    "gamma": FamilyName(("positive", "duration"), ("log",)),
    "weibull": FamilyName(("positive", "duration"), ("log",)),
    "ordinal": FamilyName(("ordered",), ("logit", "probit")),
    "categorical": FamilyName(("category",), ("logit",)),
    "quantile": FamilyName(("real", "positive", "proportion", "count"), ("identity",)),
}
DEFAULTS: Mapping[str, str] = {
    "real": "normal",
    "positive": "lognormal",
    "binary": "bernoulli",
    "count": "negbinomial",
    "count of": "binomial",
    "proportion": "beta",
    "ordered": "ordinal",
    "category": "categorical",
    "duration": "weibull",
}


@dataclass(frozen=True)
class Family:
    """A chosen family with its link; `declared` tells whether the user wrote it."""

    name: str
    link: str
    declared: bool


@dataclass(frozen=True)
class Scale:
    """The linear predictor's typical value and spread, in its own units."""

    middle: float
    sd: float
    group_sd: float
    described: str


def outcome_kind(outcome: BoundVariable) -> str:
    """Return the kind that decides the family: `count of` where trials are given."""
    return "count of" if outcome.trials is not None else outcome.kind


def choose(outcome: BoundVariable, law: study.Call | None) -> Family:
    """Return the family that was declared, or the default of the outcome's kind."""
    kind = outcome_kind(outcome)
    if law is None:
        name = DEFAULTS[kind]
        return Family(name, FAMILIES[name].links[0], declared=False)
    if law.function not in FAMILIES:
        raise NotDerivable("HDM626", f"There is no family `{law.function}`.", f"Families: {', '.join(FAMILIES)}.")
    family = FAMILIES[law.function]
    if kind not in family.kinds:
        raise NotDerivable(
            "HDM627",
            f"The family `{law.function}` does not fit the outcome `{outcome.name}`, which is {kind}.",
            f"It fits: {', '.join(family.kinds)}.",
        )
    if law.function == "quantile":
        return Family("quantile", "identity", declared=True)
    return Family(law.function, _link(law, family), declared=True)


def _link(law: study.Call, family: FamilyName) -> str:
    chosen = family.links[0]
    for option in law.options:
        value = option.value
        if option.name != "link" or not isinstance(value, study.Ref):
            raise NotDerivable("HDM626", f"`{law.function}` has no option `{option.name}`; it takes `link = ...`.")
        if value.name not in family.links:
            raise NotDerivable(
                "HDM626", f"`{law.function}` has no link `{value.name}`.", f"Links: {', '.join(family.links)}."
            )
        chosen = value.name
    if law.args:
        raise NotDerivable(
            "HDM626", f"`{law.function}` takes no numbers here; its parameters are estimated.", "Use `priors { }`."
        )
    return chosen


def scale_of(outcome: BoundVariable, family: Family, offset: Reals | None, frequency: Reals | None = None) -> Scale:
    """Return the scale of the linear predictor of `outcome` under `family`; `frequency` is that of the rows."""
    y = outcome.values
    if family.name in ("normal", "student", "skewnormal", "quantile"):
        return _measured(y, outcome.name, frequency)
    if family.name == "lognormal":
        return _measured(np.log(y), f"log({outcome.name})", frequency)
    if family.name == "hurdle_lognormal":
        return _measured(np.log(y[y > 0]), f"log({outcome.name})")
    if family.link == "log":
        return _log_scale(y, family, offset, frequency)
    if family.name in ("ordinal", "categorical"):
        return Scale(0.0, 1.0, 1.5, f"the {family.link} scale")
    trials = np.ones(len(y)) if outcome.trials is None else outcome.trials
    times = np.ones(len(y)) if frequency is None else frequency
    share = float(times @ y / (times @ trials))
    return Scale(_linked(np.clip(share, 0.01, 0.99), family.link), 1.0, 1.5, f"the {family.link} scale")


def _measured(y: Reals, text: str, frequency: Reals | None = None) -> Scale:
    with np.errstate(over="ignore", invalid="ignore"):
        if frequency is None:
            middle, sd = float(np.mean(y)), float(np.std(y, ddof=1)) if len(y) > 1 else 1.0
        else:
            middle, number = float(np.average(y, weights=frequency)), float(frequency.sum())
            sd = float(np.sqrt(frequency @ (y - middle) ** 2 / max(number - 1, 1.0)))
    if not np.isfinite(sd):
        message = f"The spread of {text} is no finite number: its values are too large."
        raise NotDerivable("HDM365", message, "Bring the outcome to a smaller scale, such as thousands of its unit.")
    sd = sd if sd > 0 else 1.0
    return Scale(middle, sd, sd, f"sd({text})")


def _log_scale(y: Reals, family: Family, offset: Reals | None, frequency: Reals | None) -> Scale:
    positive = y[y > 0]
    total = float(np.mean(positive) if family.name == "hurdle_gamma" else np.average(y, weights=frequency))
    exposure = 1.0 if offset is None else float(np.average(np.exp(offset), weights=frequency))
    middle = float(np.log(max(total, 1e-3) / exposure))
    return Scale(middle, 1.0, 1.0, "the log scale")


def _linked(share: float, link: str) -> float:
    if link == "probit":
        from statistics import NormalDist

        return NormalDist().inv_cdf(share)
    if link == "cloglog":
        return float(np.log(-np.log1p(-share)))
    return float(np.log(share / (1 - share)))
