"""How each elementwise function of Model expressions is written in Python with PyTensor."""

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
    "exp": Row("pt.exp({})"),
    "expm1": Row("pt.expm1({})"),
    "log": Row("pt.log({})"),
    "log1p": Row("pt.log1p({})"),
    "sqrt": Row("pt.sqrt({})"),
    "square": Row("pt.square({})"),
    "abs": Row("pt.abs({})"),
    "min": Row("pt.minimum({}, {})"),
    "max": Row("pt.maximum({}, {})"),
    "sin": Row("pt.sin({})"),
    "cos": Row("pt.cos({})"),
    "tanh": Row("pt.tanh({})"),
    "inv_logit": Row("pt.sigmoid({})"),
    "logit": Row("pm.math.logit({})"),
    "probit": Row("pm.math.probit({})"),
    "inv_probit": Row("pm.math.invprobit({})"),
    "inv_cloglog": Row("-pt.expm1(-pt.exp({}))", SIGN),
    "log_inv_logit": Row("-pt.softplus(-{})", SIGN, (SIGN,)),
    "equal": Row("pt.where(pt.eq({}, {}), 1.0, 0.0)"),
    "less": Row("pt.where(pt.lt({}, {}), 1.0, 0.0)"),
    "where": Row("pt.where(pt.neq({}, 0), {}, {})"),
}

REDUCTIONS: Mapping[str, str] = {
    "sum": "pt.sum",
    "mean": "pt.mean",
    "log_sum_exp": "pt.logsumexp",
}

SCANS: Mapping[str, str] = {"log_softmax": "pt.special.log_softmax", "cumulative_sum": "pt.cumsum"}
