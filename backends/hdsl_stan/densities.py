"""The distributions of Model laws in Stan: one row each, and the user functions some of them need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hdsl.model.distributions import NESTED
from hdsl.model.ir import Const, Expr, Law, apply, const, div, mul, sub

Rewrite = Callable[[Sequence[Expr]], tuple[Expr, ...]]


@dataclass(frozen=True)
class Density:
    """How a law is written in Stan.

    Attributes
    ----------
    name : str
        Stan's distribution, without suffix.
    arguments : callable
        Stan's arguments from the law's.
    vectorised : bool
        Whether one statement takes vectors of outcomes and arguments.
    integers : tuple of int
        Arguments that are integers in Stan.
    vectors : tuple of int
        Arguments that are a whole vector for each outcome.
    survival : bool
        Whether Stan has its log survival function.
    mirror : str
        The symmetric law as whose log distribution function it is written, with mean and outcome exchanged:
        Stan's own is minus infinity, or has lost its digits, far in the tail. `log` takes the outcome's log.
    doubled : bool
        Whether the density is twice Stan's, because its support is half the line.
    user : bool
        Whether the density is one of `hdsl_stan.user_functions`.
    random : str
        The function that draws from it, where it is not Stan's `name_rng`.
    """

    name: str
    arguments: Rewrite
    vectorised: bool = True
    integers: tuple[int, ...] = ()
    vectors: tuple[int, ...] = ()
    survival: bool = True
    mirror: str = ""
    log: bool = False
    doubled: bool = False
    user: bool = False
    random: str = ""


def _same(args: Sequence[Expr]) -> tuple[Expr, ...]:
    return tuple(args)


def _half_normal(args: Sequence[Expr]) -> tuple[Expr, ...]:
    return (const(0), args[0])


def _half_student(args: Sequence[Expr]) -> tuple[Expr, ...]:
    return (args[0], const(0), args[1])


def _asymmetric_laplace(args: Sequence[Expr]) -> tuple[Expr, ...]:
    return (args[0], mul(const(2), args[1]), args[2])


def _gamma_by_mean(args: Sequence[Expr]) -> tuple[Expr, ...]:
    return (args[1], div(args[1], args[0]))


def _beta_by_mean(args: Sequence[Expr]) -> tuple[Expr, ...]:
    return (mul(args[0], args[1]), mul(sub(const(1), args[0]), args[1]))


def _beta_binomial_by_logit(args: Sequence[Expr]) -> tuple[Expr, ...]:
    trials, logit, precision = args
    up, down = apply("inv_logit", logit), apply("inv_logit", apply("neg", logit))
    return (trials, mul(precision, up), mul(precision, down))


def _plain(name: str, **settings: bool | tuple[int, ...] | str) -> Density:
    return Density(name, _same, **settings)  # pyright: ignore[reportArgumentType]


def _user(name: str) -> Density:
    return Density(name, _same, vectorised=False, survival=False, user=True, random=f"{name}_rng")


DISTRIBUTIONS: Mapping[str, Density] = {
    "normal": _plain("normal", mirror="normal"),
    "student": _plain("student_t"),
    "cauchy": _plain("cauchy"),
    "laplace": _plain("double_exponential"),
    "logistic": _plain("logistic", mirror="logistic"),
    "skewnormal": _plain("skew_normal", survival=False, random="skewed_normal_rng"),
    "asymmetric_laplace": Density("skew_double_exponential", _asymmetric_laplace, random="asymmetric_laplace_rng"),
    "normal_mixture": _user("normal_mixture"),
    "halfnormal": Density("normal", _half_normal, doubled=True, mirror="normal"),
    "halfstudent": Density("student_t", _half_student, doubled=True),
    "halfcauchy": Density("cauchy", _half_normal, doubled=True),
    "exponential": _plain("exponential"),
    "lognormal": _plain("lognormal", mirror="normal", log=True),
    "gamma": _plain("gamma"),
    "gamma_mean": Density("gamma", _gamma_by_mean),
    "inverse_gamma": _plain("inv_gamma"),
    "weibull": _plain("weibull"),
    "uniform": _plain("uniform"),
    "beta": _plain("beta"),
    "beta_mean": Density("beta", _beta_by_mean),
    "bernoulli_logit": _plain("bernoulli_logit", survival=False),
    "bernoulli": _plain("bernoulli", survival=False),
    "binomial_logit": _plain("binomial_logit", integers=(0,), survival=False, random="binomial_logits_rng"),
    "binomial": _plain("binomial", integers=(0,), survival=False),
    "betabinomial_logit": Density("beta_binomial", _beta_binomial_by_logit, integers=(0,), survival=False),
    "poisson_log": _plain("poisson_log", survival=False),
    "negbinomial_log": _plain("neg_binomial_2_log", survival=False),
    "zipoisson_log": _user("zero_inflated_poisson_log"),
    "hurdle_poisson_log": _user("hurdle_poisson_log"),
    "hurdle_negbinomial_log": _user("hurdle_neg_binomial_2_log"),
    "hurdle_lognormal": _user("hurdle_lognormal"),
    "hurdle_gamma": _user("hurdle_gamma"),
    "ordinal_logit": _plain("ordered_logistic", vectors=(1,), survival=False, random="ordered_logits_rng"),
    "ordinal_probit": _plain("ordered_probit", vectors=(1,), survival=False, random="ordered_probits_rng"),
    "categorical_logit": _plain("categorical_logit", vectorised=False, vectors=(0,), survival=False),
    "multinormal_cholesky": _plain("multi_normal_cholesky", vectors=(0, 1), survival=False),
    "multinormal_lowrank": _plain("multi_normal_lowrank", vectors=(0, 1, 2), survival=False, user=True),
    **dict.fromkeys(NESTED.values(), _plain("multi_normal_nested", survival=False, user=True)),
    "lkj_cholesky": _plain("lkj_corr_cholesky", survival=False),
    "ordered_normal": _plain("normal", survival=False),
    "dirichlet": _plain("dirichlet", vectors=(0,), survival=False),
}


def stan_law(law: Law) -> tuple[Density, str, tuple[Expr, ...]]:
    """Return the row of a law, Stan's name of it and Stan's arguments."""
    row = DISTRIBUTIONS[law.distribution]
    args = row.arguments(law.args)
    if row.name == "normal" and args == (Const(value=0.0), Const(value=1.0)):
        return row, "std_normal", ()
    return row, row.name, args
