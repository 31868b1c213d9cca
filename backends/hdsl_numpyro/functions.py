"""How each function of Model expressions is written in Python with jax.numpy."""

from __future__ import annotations

from hdsl.model.array_source import ATOM, SIGN, SUM, Code, Dialect, Row

_FUNCTIONS = {
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

_REDUCTIONS = {
    "sum": "jnp.sum",
    "mean": "jnp.mean",
    "log_sum_exp": "jax.nn.logsumexp",
}

_SCANS = {"log_softmax": "jax.nn.log_softmax", "cumulative_sum": "jnp.cumsum"}


def _einsum(left: Code, right: Code, dim: str) -> Code:
    union = tuple(dict.fromkeys((*left.dims, *right.dims)))
    letter = {each: chr(ord("a") + place) for place, each in enumerate(union)}
    dims = tuple(each for each in union if each != dim)
    spec = ["".join(letter[each] for each in group) for group in (left.dims, right.dims, dims)]
    return Code(f'jnp.einsum("{spec[0]},{spec[1]}->{spec[2]}", {left}, {right})', ATOM, dims)


DIALECT = Dialect(
    module="jnp",
    constants="jnp",
    functions=_FUNCTIONS,
    reductions=_REDUCTIONS,
    scans=_SCANS,
    summed_product=_einsum,
)
