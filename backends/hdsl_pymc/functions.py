"""How each function of Model expressions is written in Python with PyTensor."""

from __future__ import annotations

from hdsl.model.array_source import ATOM, PRODUCT, SIGN, Code, Dialect, Row, aligned

_FUNCTIONS = {
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

_REDUCTIONS = {
    "sum": "pt.sum",
    "mean": "pt.mean",
    "log_sum_exp": "pt.logsumexp",
}

_SCANS = {"log_softmax": "pt.special.log_softmax", "cumulative_sum": "pt.cumsum"}


def _summed_product(left: Code, right: Code, dim: str) -> Code:
    union = tuple(dict.fromkeys((*left.dims, *right.dims)))
    axis = union.index(dim)
    factors = [aligned(code, union) for code in (left, right)]
    product = f"{factors[0].binding(PRODUCT)} * {factors[1].binding(SIGN)}"
    return Code(f"pt.sum({product}, axis={axis - len(union)})", ATOM, union[:axis] + union[axis + 1 :])


DIALECT = Dialect(
    module="pt",
    constants="np",
    functions=_FUNCTIONS,
    reductions=_REDUCTIONS,
    scans=_SCANS,
    summed_product=_summed_product,
    columns_first=True,  # gathering from one dim has PyTensor's plain form `x[index]`
)
