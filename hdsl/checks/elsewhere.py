"""Laws and families by the names that other programs give them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hdsl.checks.finding import suggestion

ELSEWHERE = {
    "normal": "gaussian gauss norm n dnorm",
    "student": "t studentt tdist dt",
    "halfnormal": "halfgaussian halfgauss halfnorm truncatednormal",
    "halfstudent": "halft halfstudentt",
    "halfcauchy": "halfcauch",
    "laplace": "doubleexponential doubleexp",
    "exponential": "exp expon",
    "inverse_gamma": "invgamma",
    "uniform": "unif",
    "lognormal": "lognorm",
    "lkj": "lkjcorr lkjcholesky lkjcorrcholesky",
    "multinormal": "mvn mvnormal multivariatenormal multinormalcholesky",
    "bernoulli": "logit logistic binary bern",
    "binomial": "binom",
    "betabinomial": "betabinom bb",
    "poisson": "pois",
    "negbinomial": "negativebinomial negbin nbinom nb negbinomial2",
    "zipoisson": "zeroinflatedpoisson zip",
    "ordinal": "cumulative orderedlogit orderedlogistic ologit polr",
    "categorical": "multinomial multinomiallogit softmax",
    "skewnormal": "skewnorm",
}
HERE = {other: name for name, others in ELSEWHERE.items() for other in others.split()}


def _plain(name: str) -> str:
    return re.sub(r"[_.]", "", name.casefold())


def suggested_law(name: str, known: Iterable[str]) -> str:
    """Return a help line on an unknown law or family: what it is called here, else the nearest or all there are."""
    every = list(known)
    spelt = {_plain(each): each for each in reversed(every)}
    meant = HERE.get(_plain(name))
    meant = meant if meant in every else spelt.get(_plain(name))
    return f"It is called `{meant}` here." if meant is not None else suggestion(name, every)
