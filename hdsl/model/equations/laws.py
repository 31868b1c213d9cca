"""The laws of explicit equations: how each is written and which distribution of the Model it means.

A law takes its parameters by place or by name. Where two ways to give them exist, the names decide:
`gamma(shape, rate)` or `gamma(mean = m, shape = k)`; `poisson(mean)` or `poisson(logmean = eta)`.
Standard deviations, never variances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hdsl.design import expr as study
from hdsl.design.roles import role_text
from hdsl.diagnostics import did_you_mean
from hdsl.model.derive.terms import NotDerivable

Domain = Literal["any", "positive", "share"]
MARKS: Mapping[str, Domain] = {"+": "positive", "%": "share"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a law as it is written: its name and which values it may have."""

    name: str
    domain: Domain = "any"

    @property
    def shown(self) -> str:
        """The parameter as help shows it."""
        return self.name


@dataclass(frozen=True)
class Form:
    """One way to write a law.

    `log` names the parameter that is written on its own scale where the distribution wants its logarithm.
    """

    distribution: str
    parameters: tuple[Parameter, ...]
    log: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)


def _form(distribution: str, parameters: str, log: str | None = None) -> Form:
    made = tuple(Parameter(text.rstrip("+%"), MARKS.get(text[-1], "any")) for text in parameters.split())
    return Form(distribution, made, log)


_STUDENT = _form("student", "df+ mean scale+")
_REAL: Mapping[str, tuple[Form, ...]] = {
    "normal": (_form("normal", "mean sd+"),),
    "student": (_STUDENT,),
    "student_t": (_STUDENT,),
    "cauchy": (_form("cauchy", "location scale+"),),
    "laplace": (_form("laplace", "mean scale+"),),
    "logistic": (_form("logistic", "mean scale+"),),
    "skewnormal": (_form("skewnormal", "location scale+ shape"),),
    "asymmetric_laplace": (_form("asymmetric_laplace", "quantile scale+ probability%"),),
}
_POSITIVE: Mapping[str, tuple[Form, ...]] = {
    "lognormal": (_form("lognormal", "meanlog sdlog+"),),
    "gamma": (_form("gamma", "shape+ rate+"), _form("gamma_mean", "mean+ shape+")),
    "inverse_gamma": (_form("inverse_gamma", "shape+ scale+"),),
    "weibull": (_form("weibull", "shape+ scale+"),),
    "exponential": (_form("exponential", "rate+"),),
    "beta": (_form("beta", "a+ b+"), _form("beta_mean", "mean% precision+")),
}
PARAMETER_LAWS: Mapping[str, tuple[Form, ...]] = {
    **_REAL,
    **_POSITIVE,
    "halfnormal": (_form("halfnormal", "sd+"),),
    "halfstudent": (_form("halfstudent", "df+ scale+"),),
    "halfcauchy": (_form("halfcauchy", "scale+"),),
    "uniform": (_form("uniform", "low high"),),
    "lkj": (_form("lkj_cholesky", "eta+"),),
    "ordered_normal": (_form("ordered_normal", "mean sd+"),),
}
OUTCOME_LAWS: Mapping[str, tuple[Form, ...]] = {
    **_REAL,
    **_POSITIVE,
    "bernoulli": (_form("bernoulli", "probability%"), _form("bernoulli_logit", "logit")),
    "binomial": (
        _form("binomial", "trials+ probability%"),
        _form("binomial_logit", "trials+ logit"),
        _form("binomial", "probability%"),
        _form("binomial_logit", "logit"),
    ),
    "betabinomial": (
        _form("betabinomial_logit", "trials+ logit precision+"),
        _form("betabinomial_logit", "logit precision+"),
    ),
    "poisson": (_form("poisson_log", "mean+", "mean"), _form("poisson_log", "logmean")),
    "negbinomial": (
        _form("negbinomial_log", "mean+ shape+", "mean"),
        _form("negbinomial_log", "logmean shape+"),
    ),
    "zipoisson": (
        _form("zipoisson_log", "mean+ zero%", "mean"),
        _form("zipoisson_log", "logmean zero%"),
    ),
    "hurdle_poisson": (
        _form("hurdle_poisson_log", "mean+ zero%", "mean"),
        _form("hurdle_poisson_log", "logmean zero%"),
    ),
    "hurdle_negbinomial": (
        _form("hurdle_negbinomial_log", "mean+ shape+ zero%", "mean"),
        _form("hurdle_negbinomial_log", "logmean shape+ zero%"),
    ),
    "hurdle_lognormal": (_form("hurdle_lognormal", "meanlog sdlog+ zero%"),),
    "hurdle_gamma": (_form("hurdle_gamma", "mean+ shape+ zero%"),),
    "ordinal": (_form("ordinal_logit", "location cutpoints"),),
    "ordinal_logit": (_form("ordinal_logit", "location cutpoints"),),
    "ordinal_probit": (_form("ordinal_probit", "location cutpoints"),),
    "categorical": (_form("categorical_logit", "logits"),),
}
JOINT = "multinormal"
LAW_NAMES: tuple[str, ...] = tuple(dict.fromkeys((*PARAMETER_LAWS, *OUTCOME_LAWS, JOINT)))


def usage(name: str, forms: tuple[Form, ...]) -> str:
    """Return how a law is written, as help shows it."""
    texts: list[str] = []
    for place, form in enumerate(forms):
        names = form.names if place == 0 else tuple(f"{name} = ..." for name in form.names)
        texts.append(f"`{name}({', '.join(names)})`")
    return "Write " + " or ".join(texts) + "."


def forms_of(call: study.Call, table: Mapping[str, tuple[Form, ...]], what: str) -> tuple[Form, ...]:
    """Return the ways to write a law; raises HDM646 where `what` cannot have it."""
    name = call.function
    if name in table:
        return table[name]
    known = ", ".join(table)
    if name in LAW_NAMES:
        raise NotDerivable("HDM646", f"`{role_text(call)}`: {what} cannot have this law.", f"Its laws: {known}.")
    near = did_you_mean(name, table)
    help_ = f"Did you mean `{near}`?" if near else f"Laws: {known}."
    raise NotDerivable("HDM646", f"There is no law `{name}`.", help_)


def arguments(call: study.Call, forms: tuple[Form, ...]) -> tuple[Form, tuple[study.Expr, ...]]:
    """Return the form that the arguments fit and the arguments in its order; raises HDM647 where none fits."""
    named = {option.name: option.value for option in call.options}
    for form in forms:
        rest = form.names[len(call.args) :]
        if len(call.args) <= len(form.names) and len(named) == len(call.options) and set(rest) == set(named):
            return form, (*call.args, *(named[name] for name in rest))
    raise NotDerivable("HDM647", f"The arguments of `{role_text(call)}` do not fit.", usage(call.function, forms))
