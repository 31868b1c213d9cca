"""How each elementwise function of Model expressions is written in Python with jax.numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SUM, PRODUCT, SIGN, POWER, ATOM = range(1, 6)


class Row(NamedTuple):
    """A code template and how tightly it binds.

    `needs` gives the least binding that each argument must have to stand without parentheses.
    """

    template: str
    level: int = ATOM
    needs: tuple[int, ...] = (0, 0, 0)


FUNCTIONS: Mapping[str, Row] = {
    "add": Row("{} + {}", SUM, (SUM, PRODUCT)),
    "sub": Row("{} - {}", SUM, (SUM, PRODUCT)),
    "mul": Row("{} * {}", PRODUCT, (PRODUCT, SIGN)),
    "div": Row("{} / {}", PRODUCT, (PRODUCT, SIGN)),
    "pow": Row("{} ** {}", POWER, (ATOM, POWER)),
    "neg": Row("-{}", SIGN, (SIGN,)),
    "exp": Row("jnp.exp({})"),
    "expm1": Row("jnp.expm1({})"),
    "log": Row("jnp.log({})"),
    "log1p": Row("jnp.log1p({})"),
    "sqrt": Row("jnp.sqrt({})"),
    "square": Row("jnp.square({})"),
    "abs": Row("jnp.abs({})"),
    "min": Row("jnp.minimum({}, {})"),
    "max": Row("jnp.maximum({}, {})"),
    "sin": Row("jnp.sin({})"),
    "cos": Row("jnp.cos({})"),
    "tanh": Row("jnp.tanh({})"),
    "inv_logit": Row("jax.nn.sigmoid({})"),
    "logit": Row("jax.scipy.special.logit({})"),
    "probit": Row("jax.scipy.special.ndtri({})"),
    "inv_probit": Row("jax.scipy.special.ndtr({})"),
    "inv_cloglog": Row("-jnp.expm1(-jnp.exp({}))", SIGN),
    "log_inv_logit": Row("jax.nn.log_sigmoid({})"),
    "equal": Row("jnp.where({} == {}, 1.0, 0.0)", ATOM, (SUM, SUM)),
    "less": Row("jnp.where({} < {}, 1.0, 0.0)", ATOM, (SUM, SUM)),
    "where": Row("jnp.where({} != 0, {}, {})", ATOM, (SUM, 0, 0)),
}

REDUCTIONS: Mapping[str, str] = {
    "sum": "jnp.sum",
    "mean": "jnp.mean",
    "log_sum_exp": "jax.nn.logsumexp",
}

SCANS: Mapping[str, str] = {"log_softmax": "jax.nn.log_softmax", "cumulative_sum": "jnp.cumsum"}
