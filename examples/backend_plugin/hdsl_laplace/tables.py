"""What the backend can express: one row for each function and distribution of a Model, as JAX code."""

from __future__ import annotations

from collections.abc import Mapping

FUNCTIONS: Mapping[str, str] = {
    "add": "({} + {})",
    "sub": "({} - {})",
    "mul": "({} * {})",
    "div": "({} / {})",
    "neg": "(-{})",
    "pow": "({} ** {})",
    "exp": "jnp.exp({})",
    "expm1": "jnp.expm1({})",
    "log": "jnp.log({})",
    "log1p": "jnp.log1p({})",
    "sqrt": "jnp.sqrt({})",
    "square": "jnp.square({})",
    "logit": "(jnp.log({0}) - jnp.log1p(-{0}))",
    "inv_logit": "(1 / (1 + jnp.exp(-{})))",
    "log_inv_logit": "(-jnp.logaddexp(0.0, -{}))",
    "equal": "(({} == {}) * 1.0)",
}
REDUCTIONS: Mapping[str, str] = {"sum": "jnp.sum", "mean": "jnp.mean"}
INDEXED = ("gather", "column")

# Log densities of {x} up to a constant; the other names are parameters of the distribution.
DISTRIBUTIONS: Mapping[str, str] = {
    "normal": "-0.5 * (({x} - {mean}) / {sd}) ** 2 - jnp.log({sd})",
    "student": "student({x}, {df}, {mean}, {scale})",
    "halfnormal": "-0.5 * ({x} / {sd}) ** 2 - jnp.log({sd})",
    "halfstudent": "student({x}, {df}, 0.0, {scale})",
    "halfcauchy": "student({x}, 1.0, 0.0, {scale})",
    "exponential": "jnp.log({rate}) - {rate} * {x}",
    "lognormal": "-0.5 * ((jnp.log({x}) - {meanlog}) / {sdlog}) ** 2 - jnp.log({sdlog}) - jnp.log({x})",
    "gamma": "{shape} * jnp.log({rate}) - gammaln({shape}) + ({shape} - 1) * jnp.log({x}) - {rate} * {x}",
    "inverse_gamma": "{shape} * jnp.log({scale}) - gammaln({shape}) - ({shape} + 1) * jnp.log({x}) - {scale} / {x}",
    "weibull": "jnp.log({shape} / {scale}) + ({shape} - 1) * jnp.log({x} / {scale}) - ({x} / {scale}) ** {shape}",
    "beta": "({a} - 1) * jnp.log({x}) + ({b} - 1) * jnp.log1p(-{x}) - betaln({a}, {b})",
    "bernoulli_logit": "{x} * {logit} - jnp.logaddexp(0.0, {logit})",
    "poisson_log": "{x} * {logmean} - jnp.exp({logmean})",
}
# Log survival functions, for censored durations.
SURVIVAL: Mapping[str, str] = {
    "exponential": "-{rate} * {x}",
    "weibull": "-({x} / {scale}) ** {shape}",
}
