"""Log densities of laws of data as elementwise expressions, up to what depends on the outcome alone."""

from __future__ import annotations

from collections.abc import Sequence

from hdsl.model.ir import Expr, add, apply, const, div, mul, sub


def log_kernel(distribution: str, outcome: Expr, args: Sequence[Expr]) -> Expr | None:
    """Return the log density of an outcome as an expression, without the terms that rest on no parameter.

    None where there is no simple one.
    """
    if distribution == "normal":
        mean, sd = args
        squared = apply("square", div(sub(outcome, mean), sd))
        return sub(mul(const(-0.5), squared), apply("log", sd))
    if distribution == "bernoulli_logit":
        (logit,) = args
        misses = mul(sub(const(1), outcome), logit)
        return sub(apply("log_inv_logit", logit), misses)
    if distribution == "bernoulli":
        return _successes(outcome, const(1), args[0])
    if distribution == "binomial_logit":
        trials, logit = args
        return sub(mul(trials, apply("log_inv_logit", logit)), mul(sub(trials, outcome), logit))
    if distribution == "binomial":
        return _successes(outcome, args[0], args[1])
    if distribution == "poisson_log":
        (logmean,) = args
        return sub(mul(outcome, logmean), apply("exp", logmean))
    if distribution == "exponential":
        (rate,) = args
        return sub(apply("log", rate), mul(rate, outcome))
    return None


def _successes(outcome: Expr, trials: Expr, probability: Expr) -> Expr:
    missed = mul(sub(trials, outcome), apply("log", sub(const(1), probability)))
    return add(mul(outcome, apply("log", probability)), missed)
